//! Follows mailboxes with one client.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use mailpool::{
    CancelToken, IdleOptions, ImapClient, ImapClientBuilder, Items, MailboxChange, MailboxName,
    Uid, UidSet, WatchEvent, WatchOptions,
};

use crate::error::{Error, Result, in_one_line, printable};

/// How long the goodbyes may take.
const GOODBYE: Duration = Duration::from_secs(5);

/// What is to be followed, and how.
pub(crate) struct Job {
    /// The server as messages name it.
    pub(crate) server: String,
    pub(crate) client: ImapClientBuilder,
    pub(crate) mailboxes: Vec<String>,
    /// How many of the mailboxes have a connection of their own.
    pub(crate) connections: usize,
    pub(crate) poll: Duration,
    /// Ends it after so many events; that a mailbox is followed from now on is none.
    pub(crate) events: Option<u64>,
}

/// Prints what becomes of the mailboxes, until the token is cancelled.
///
/// The watcher has connections of its own and hands its events to this thread, which fetches the
/// subjects over the main connection. While it does so the watcher listens on.
pub(crate) fn run(job: Job, interrupted: &CancelToken) -> Result<()> {
    let connected = job
        .client
        // The main connection, and the one that asks about mailboxes by turns.
        .max_connections_per_server(job.connections + 2)
        .cancel(interrupted)
        .connect();
    let client = match connected {
        Ok(client) => client,
        Err(error) if error.is_cancelled() => return Ok(()),
        Err(source) => {
            let server = job.server;
            return Err(Error::Server { server, source });
        }
    };
    let view = client.with_cancel(interrupted);
    let options = WatchOptions::new()
        .connections(job.connections)
        .idle(IdleOptions::new().poll_every(job.poll));
    let mut watcher = view.watch_with(job.mailboxes, options)?;
    let mut told = Told::default();
    while job.events.is_none_or(|limit| told.events() < limit) {
        match watcher.next() {
            Some(event) if !interrupted.is_cancelled() => told.tell(&view, &event)?,
            _ => break,
        }
    }
    // First: it has threads that use the client.
    drop(watcher);
    client.shutdown(GOODBYE)?;
    writeln!(io::stdout(), "{told}")?;
    Ok(())
}

/// What has been printed.
#[derive(Default)]
struct Told {
    new: u64,
    flags: u64,
    gone: u64,
    other: u64,
}

impl Told {
    fn events(&self) -> u64 {
        self.new + self.flags + self.gone + self.other
    }

    fn tell(&mut self, client: &ImapClient, event: &WatchEvent) -> Result<()> {
        let mailbox = &event.mailbox;
        let change = match &event.change {
            Ok(change) => change,
            // It is tried again: nothing to end for.
            Err(error) => {
                eprintln!("watch: {mailbox}: {}", in_one_line(error));
                return Ok(());
            }
        };
        let mut out = io::stdout();
        match change {
            MailboxChange::Began { exists, .. } => {
                writeln!(out, "{mailbox}: followed from now on, messages: {exists}")?;
            }
            MailboxChange::New { uid, flags, .. } => {
                self.new += 1;
                let subject = subject(client, mailbox, *uid);
                writeln!(out, "{mailbox}: new message {uid} {flags}{subject}")?;
            }
            MailboxChange::Expunged(uid) => {
                self.gone += 1;
                writeln!(out, "{mailbox}: {uid} is gone")?;
            }
            MailboxChange::Flags { uid, flags, .. } => {
                self.flags += 1;
                writeln!(out, "{mailbox}: {uid} now has {flags}")?;
            }
            MailboxChange::UidValidityChanged { .. } => {
                self.other += 1;
                writeln!(out, "{mailbox}: another mailbox has taken over the name")?;
            }
            MailboxChange::FlagsUnknown => {
                self.other += 1;
                writeln!(out, "{mailbox}: flags may have changed")?;
            }
            MailboxChange::Alert(text) => {
                self.other += 1;
                writeln!(out, "{mailbox}: the server says: {}", printable(text))?;
            }
            other => {
                self.other += 1;
                writeln!(out, "{mailbox}: {other:?}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            new,
            flags,
            gone,
            other,
        } = self;
        write!(
            f,
            "events: {}; new messages: {new}, changes of flags: {flags}, messages gone: {gone}, \
             others: {other}",
            self.events()
        )
    }
}

/// The subject as the message has it, with a colon before it; nothing if there is none. A message
/// that cannot be fetched is not worth ending for.
fn subject(client: &ImapClient, mailbox: &MailboxName, uid: Uid) -> String {
    match fetch_subject(client, mailbox, uid) {
        Ok(Some(subject)) => format!(": {}", printable(&subject)),
        Ok(None) => String::new(),
        Err(error) => {
            if !error.is_cancelled() {
                eprintln!("watch: {mailbox}: message {uid}: {}", in_one_line(&error));
            }
            String::new()
        }
    }
}

/// `None`: the message has no subject that can be read, or is gone already.
fn fetch_subject(
    client: &ImapClient,
    mailbox: &MailboxName,
    uid: Uid,
) -> mailpool::Result<Option<String>> {
    let mailbox = client.mailbox(mailbox.clone()).read_only();
    let mut found = None;
    for message in mailbox.fetch(UidSet::from_iter([uid]), Items::new().envelope())? {
        let message = message?;
        if let Some(Ok(envelope)) = message.envelope() {
            let subject = envelope.subject.as_ref();
            found = subject.map(|subject| subject.to_string_lossy().into_owned());
        }
    }
    Ok(found)
}
