//! Work on many messages, through as many connections as the quota allows.

use std::fmt;

use crossbeam_channel::unbounded;

use super::imap::ImapClient;
use super::mailbox::Mailbox;
use super::message::Message;
use super::task::guarded;
use crate::error::{Certainty, Error, ErrorKind, Result};
use crate::types::ids::Uid;
use crate::types::items::Items;
use crate::types::mailbox_name::MailboxName;
use crate::types::query::Query;
use crate::types::request::{Append, Store};
use crate::types::response_code::AppendUid;
use crate::types::set::UidSet;

/// Messages that are asked for with one command.
const CHUNK: usize = 100;

/// Work on many messages: [`Mailbox::bulk`].
///
/// The messages are divided among connections, as many as the quota leaves free; with a quota of 1
/// everything goes over the main connection. What fails does not end the rest: the outcome lists
/// what succeeded, what failed and what was not attempted.
///
/// The work ends early when the client's view is cancelled or its deadline passes
/// ([`with_cancel`](ImapClient::with_cancel), [`with_deadline`](ImapClient::with_deadline)), or
/// when the client is shut down: the rest is not attempted.
///
/// # Examples
/// ```no_run
/// # fn example(client: mailpool::ImapClient) -> mailpool::Result<()> {
/// use mailpool::{Items, Query};
///
/// let inbox = client.mailbox("INBOX");
/// let unseen = inbox.search(Query::unseen())?;
/// let outcome = inbox
///     .bulk()
///     .on_progress(|progress| println!("{} of {}", progress.succeeded, progress.total))
///     .fetch(unseen, Items::full(), |message| {
///         println!("{} has {:?} bytes", message.uid(), message.size());
///         Ok(())
///     })?;
/// for (uid, error) in &outcome.failed {
///     eprintln!("{uid}: {error}");
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is done until an operation is chosen"]
pub struct Bulk<'a> {
    mailbox: Mailbox,
    chunk: usize,
    progress: Option<Report<'a>>,
}

type Report<'a> = Box<dyn FnMut(&BulkProgress) + 'a>;

/// How far the work is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BulkProgress {
    /// How many messages there are to work on; when messages are appended, how many have been
    /// taken so far.
    pub total: u64,
    /// How many have succeeded.
    pub succeeded: u64,
    /// How many have failed.
    pub failed: u64,
}

/// What became of the messages.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct BulkOutcome {
    /// Those for which it is done.
    pub succeeded: UidSet,
    /// Those for which it failed, in the order in which they did. Where a command for several
    /// messages failed it may have been carried out for some of them:
    /// [`Certainty::MaybeExecuted`].
    pub failed: Vec<(Uid, Error)>,
    /// Those that were not begun, because the work was ended before.
    pub not_attempted: UidSet,
    /// Those of the named ones that the mailbox does not have.
    pub missing: UidSet,
}

/// What became of messages that were to be appended, by their place in the order in which they
/// were given, from 0.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct BulkAppendOutcome {
    /// Those that are in the mailbox now, with their UIDs where the server has UIDPLUS.
    pub succeeded: Vec<(usize, Option<AppendUid>)>,
    /// Those that failed. With [`Certainty::MaybeExecuted`] one may be in the mailbox.
    pub failed: Vec<(usize, Error)>,
    /// Those that were taken and not sent, because the work was ended before. The iterator is not
    /// asked for more then.
    pub not_attempted: Vec<usize>,
}

impl BulkOutcome {
    /// Whether everything that the mailbox has was done.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty() && self.not_attempted.is_empty()
    }
}

impl Mailbox {
    /// Begins to describe work on many of the mailbox's messages.
    pub fn bulk<'a>(&self) -> Bulk<'a> {
        Bulk {
            mailbox: self.clone(),
            chunk: CHUNK,
            progress: None,
        }
    }
}

impl<'a> Bulk<'a> {
    /// How many messages go into one command. Default: 100. What the last command of a connection
    /// fails with concerns so many messages.
    pub fn chunk_size(mut self, messages: usize) -> Self {
        self.chunk = messages.max(1);
        self
    }

    /// Calls `report` when some messages are done, on the thread that called the operation. It may
    /// use the client.
    pub fn on_progress(mut self, report: impl FnMut(&BulkProgress) + 'a) -> Self {
        self.progress = Some(Box::new(report));
        self
    }

    /// Fetches messages and gives each to `handle`, on the threads of the connections. A message
    /// has succeeded when `handle` returns `Ok`.
    ///
    /// # Errors
    /// When the messages cannot be looked up, before anything is begun. What fails after that is in
    /// the outcome.
    pub fn fetch(
        self,
        uids: impl Into<UidSet>,
        items: Items,
        handle: impl Fn(Message) -> Result<()> + Sync,
    ) -> Result<BulkOutcome> {
        self.over_uids(uids.into(), |mailbox, chunk| {
            let mut outcome = BulkOutcome::default();
            let result = fetch_chunk(mailbox, chunk, &items, &handle, &mut outcome);
            let failed: UidSet = outcome.failed.iter().map(|(uid, _)| *uid).collect();
            let open = chunk.difference(&outcome.succeeded).difference(&failed);
            match result {
                // Gone between the search and the fetch.
                Ok(()) => outcome.missing = open,
                Err(error) => outcome.give_up(mailbox, &open, &error),
            }
            outcome
        })
    }

    /// Changes flags.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch). Messages that a conditional change left alone have failed.
    pub fn store(self, uids: impl Into<UidSet>, store: Store) -> Result<BulkOutcome> {
        self.over_uids(uids.into(), |mailbox, chunk| {
            let mut outcome = BulkOutcome::default();
            match mailbox.store(chunk, store.clone()) {
                Ok(stored) => {
                    let changed = Error::new(ErrorKind::ChangedMeanwhile, Certainty::Rejected);
                    let left_alone = stored.modified.intersection(chunk);
                    for uid in left_alone.iter() {
                        outcome.failed.push((uid, changed.clone()));
                    }
                    outcome.succeeded = chunk.difference(&left_alone);
                }
                Err(error) => outcome.give_up(mailbox, chunk, &error),
            }
            outcome
        })
    }

    /// Copies messages into another mailbox.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch), and for a name that cannot be sent.
    pub fn copy<N>(self, uids: impl Into<UidSet>, to: N) -> Result<BulkOutcome>
    where
        N: TryInto<MailboxName>,
        N::Error: Into<Error>,
    {
        let to: MailboxName = to.try_into().map_err(Into::into)?;
        self.over_uids(uids.into(), |mailbox, chunk| {
            let mut outcome = BulkOutcome::default();
            match mailbox.copy(chunk, to.clone()) {
                Ok(_) => outcome.succeeded = chunk.clone(),
                Err(error) => outcome.give_up(mailbox, chunk, &error),
            }
            outcome
        })
    }

    /// Puts messages into the mailbox, one after the other on each connection. Only a few of them
    /// are taken from `messages` ahead of what has been sent.
    ///
    /// # Errors
    /// When there is no mailbox of such a name to be sent. What fails after that is in the
    /// outcome.
    pub fn append(
        mut self,
        messages: impl IntoIterator<Item = Append>,
    ) -> Result<BulkAppendOutcome> {
        self.mailbox.name()?;
        let mailbox = self.mailbox.clone();
        let mut outcome = BulkAppendOutcome::default();
        let mut progress = BulkProgress::default();
        let report = &mut self.progress;
        run(
            &mailbox.client,
            messages.into_iter().enumerate(),
            |client, (number, message): (usize, Append)| {
                let mailbox = mailbox.with_client(client);
                (number, mailbox.append(message))
            },
            |(number, _), error| (*number, Err(error)),
            |(number, result)| {
                let over = match result {
                    Ok(uids) => {
                        outcome.succeeded.push((number, uids));
                        false
                    }
                    Err(error) if mailbox.client.patience.is_ended_by(&error) => {
                        outcome.not_attempted.push(number);
                        true
                    }
                    Err(error) => {
                        outcome.failed.push((number, error));
                        false
                    }
                };
                progress.total = progress.total.max(number as u64 + 1);
                progress.succeeded = outcome.succeeded.len() as u64;
                progress.failed = outcome.failed.len() as u64;
                if let Some(report) = report {
                    report(&progress);
                }
                over
            },
        )?;
        outcome
            .succeeded
            .sort_unstable_by_key(|(number, _)| *number);
        outcome.failed.sort_by_key(|(number, _)| *number);
        outcome.not_attempted.sort_unstable();
        Ok(outcome)
    }

    /// Looks the messages up and works on them chunk by chunk.
    fn over_uids(
        mut self,
        uids: UidSet,
        work: impl Fn(&Mailbox, &UidSet) -> BulkOutcome + Sync,
    ) -> Result<BulkOutcome> {
        let mut outcome = BulkOutcome::default();
        if uids.is_empty() {
            return Ok(outcome);
        }
        let found = self.mailbox.search(Query::all().uid(uids.clone()))?;
        if uids.range_set().last() != Some(u32::MAX) {
            outcome.missing = uids.difference(&found);
        }
        let mut progress = BulkProgress {
            total: found.len(),
            ..BulkProgress::default()
        };
        let mailbox = self.mailbox.clone();
        let report = &mut self.progress;
        let mut attempted = UidSet::default();
        run(
            &mailbox.client,
            found.iter_chunks(self.chunk),
            |client, chunk: UidSet| {
                let mailbox = mailbox.with_client(client);
                let done = work(&mailbox, &chunk);
                (chunk, done)
            },
            |chunk, error| {
                let mut done = BulkOutcome::default();
                done.give_up(&mailbox, chunk, &error);
                (chunk.clone(), done)
            },
            |(chunk, done)| {
                attempted = attempted.union(&chunk);
                let over = !done.not_attempted.is_empty();
                outcome.add(done);
                progress.succeeded = outcome.succeeded.len();
                progress.failed = outcome.failed.len() as u64;
                if let Some(report) = report {
                    report(&progress);
                }
                over
            },
        )?;
        let never_begun = found.difference(&attempted);
        outcome.not_attempted = outcome.not_attempted.union(&never_begun);
        Ok(outcome)
    }
}

impl fmt::Debug for Bulk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bulk")
            .field("mailbox", &self.mailbox)
            .field("chunk", &self.chunk)
            .finish_non_exhaustive()
    }
}

impl BulkOutcome {
    /// These messages have failed together, or were not begun.
    fn give_up(&mut self, mailbox: &Mailbox, uids: &UidSet, error: &Error) {
        if mailbox.client.patience.is_ended_by(error) {
            self.not_attempted = self.not_attempted.union(uids);
        } else {
            self.failed
                .extend(uids.iter().map(|uid| (uid, error.clone())));
        }
    }

    fn add(&mut self, other: Self) {
        self.succeeded = self.succeeded.union(&other.succeeded);
        self.failed.extend(other.failed);
        self.not_attempted = self.not_attempted.union(&other.not_attempted);
        self.missing = self.missing.union(&other.missing);
    }
}

fn fetch_chunk(
    mailbox: &Mailbox,
    chunk: &UidSet,
    items: &Items,
    handle: &(impl Fn(Message) -> Result<()> + Sync),
    outcome: &mut BulkOutcome,
) -> Result<()> {
    for message in mailbox.fetch(chunk, items.clone())? {
        match message {
            Ok(message) => {
                let uid = message.uid();
                match handle(message) {
                    Ok(()) => outcome.succeeded.insert(uid),
                    Err(error) => outcome.failed.push((uid, error)),
                }
            }
            Err(error) => match error.kind() {
                ErrorKind::Message { uid: Some(uid), .. } => {
                    let uid = *uid;
                    outcome.failed.push((uid, error));
                }
                _ => return Err(error),
            },
        }
    }
    Ok(())
}

/// Has `work` done for all of `pieces` by tasks, a few of them ahead, and gives what comes of each
/// to `done` on this thread. Once that returns `true` no more are begun. `refuse` makes the result
/// of a piece for which there was no connection, or whose work panicked.
fn run<W, R>(
    client: &ImapClient,
    pieces: impl IntoIterator<Item = W>,
    work: impl Fn(&ImapClient, W) -> R + Sync,
    refuse: impl Fn(&W, Error) -> R + Sync,
    mut done: impl FnMut(R) -> bool,
) -> Result<()>
where
    W: Clone + Send,
    R: Send + 'static,
{
    let connections = client.stats().quota.saturating_sub(1).max(1);
    let (work, refuse) = (&work, &refuse);
    let (results, next_result) = unbounded::<R>();
    client.scope(|scope| {
        let mut pieces = pieces.into_iter();
        let mut under_way = 0;
        let mut over = false;
        loop {
            while !over && under_way < 2 * connections {
                let Some(piece) = pieces.next() else {
                    over = true;
                    break;
                };
                let results = results.clone();
                let job = move |ready: Result<&ImapClient>| {
                    let result = ready.and_then(|client| {
                        let piece = piece.clone();
                        guarded(|| Ok(work(client, piece)))
                    });
                    let result = result.unwrap_or_else(|error| refuse(&piece, error));
                    let _ = results.send(result);
                    Ok(())
                };
                scope.spawn_anyway(job).detach();
                under_way += 1;
            }
            if under_way == 0 {
                return;
            }
            // Each of them sends one result, whatever becomes of it.
            let Ok(result) = next_result.recv() else {
                return;
            };
            under_way -= 1;
            over |= done(result);
        }
    })
}
