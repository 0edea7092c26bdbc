//! Watching mailboxes in the background: what users see of it. The threads are in [`workers`].

mod workers;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};

use self::workers::{Closing, Listener, Outlet, Polled, Poller};
use super::idle::IdleOptions;
use super::imap::ImapClient;
use crate::connection::cancel::{self, CancelToken, Notify, Watch};
use crate::error::{Error, Result};
use crate::sync::Mutex;
use crate::types::mailbox_change::MailboxChange;
use crate::types::mailbox_name::MailboxName;

/// Events that wait for their receiver before the watcher does.
const WAITING: usize = 256;

/// How mailboxes are watched: [`ImapClient::watch_with`].
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use mailpool::{IdleOptions, WatchOptions};
///
/// let options = WatchOptions::new()
///     .connections(2)
///     .idle(IdleOptions::new().poll_every(Duration::from_secs(300)));
/// # let _ = options;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "options do nothing by themselves"]
pub struct WatchOptions {
    idle: IdleOptions,
    connections: usize,
    waiting: usize,
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl WatchOptions {
    /// The defaults: one connection, the default [`IdleOptions`], 256 events that may wait.
    pub const fn new() -> Self {
        Self {
            idle: IdleOptions::new(),
            connections: 1,
            waiting: WAITING,
        }
    }

    /// How many mailboxes, the first ones named, are followed with IDLE on a connection of their
    /// own; the others are asked about by turns. At least 1, which is the default. They count
    /// against the quota like any others.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections.max(1);
        self
    }

    /// The intervals: of renewing IDLE, and of asking about the mailboxes that are not followed
    /// with IDLE.
    pub fn idle(mut self, options: IdleOptions) -> Self {
        self.idle = options;
        self
    }

    /// How many events may wait for their receiver before the watcher itself waits. Default: 256.
    pub fn events_waiting(mut self, events: usize) -> Self {
        self.waiting = events.max(1);
        self
    }
}

/// What a [`Watcher`] has to tell.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WatchEvent {
    /// The mailbox.
    pub mailbox: MailboxName,
    /// What has happened there. An error says that the mailbox cannot be followed for now, for
    /// instance because it does not exist; it is tried again with the interval for polling. What
    /// happens until the next [`MailboxChange::Began`] is not told.
    pub change: Result<MailboxChange>,
}

impl ImapClient {
    /// Watches mailboxes in the background with the default [`WatchOptions`].
    ///
    /// Every change is told once: also what happened while a connection was lost, or while a
    /// mailbox was not the one that is selected. The first event of each mailbox is
    /// [`MailboxChange::Began`].
    ///
    /// The first mailbox is followed with IDLE on a connection of its own; where the server does
    /// not offer IDLE it is asked with NOOP. The others are asked about with STATUS at every
    /// interval, and looked at when the answer differs from the one before; without CONDSTORE it
    /// does not tell all changes of flags. [`WatchOptions::connections`] has more of them followed.
    /// With a quota of 1 a single mailbox is followed on the main connection, which stands back
    /// for everything else; several are all asked about by turns.
    ///
    /// # Errors
    /// For no mailboxes, for names that cannot be sent, and where the system has no threads for
    /// it. Everything else is told as an event.
    ///
    /// # Examples
    /// ```no_run
    /// # fn example(client: mailpool::ImapClient) -> mailpool::Result<()> {
    /// use mailpool::MailboxChange;
    ///
    /// for event in client.watch(["INBOX", "Archive"])? {
    ///     match event.change? {
    ///         MailboxChange::New { uid, .. } => println!("{}: message {uid}", event.mailbox),
    ///         other => println!("{}: {other:?}", event.mailbox),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn watch<N>(&self, mailboxes: impl IntoIterator<Item = N>) -> Result<Watcher>
    where
        N: TryInto<MailboxName>,
        N::Error: Into<Error>,
    {
        self.watch_with(mailboxes, WatchOptions::new())
    }

    /// As [`watch`](Self::watch), with other options.
    ///
    /// # Errors
    /// The same.
    pub fn watch_with<N>(
        &self,
        mailboxes: impl IntoIterator<Item = N>,
        options: WatchOptions,
    ) -> Result<Watcher>
    where
        N: TryInto<MailboxName>,
        N::Error: Into<Error>,
    {
        let names = mailboxes
            .into_iter()
            .map(|name| name.try_into().map_err(Into::into))
            .collect::<Result<Vec<MailboxName>>>()?;
        Watcher::start(self, &names, &options)
    }

    /// As [`watch_with`](Self::watch_with), with a callback: it is called on a thread of the
    /// watcher's own, one event after the other, and may use the client. The iterator that is
    /// returned yields nothing, and ends when the watching does.
    ///
    /// # Errors
    /// The same.
    pub fn watch_each<N>(
        &self,
        mailboxes: impl IntoIterator<Item = N>,
        options: WatchOptions,
        callback: impl FnMut(WatchEvent) + Send + 'static,
    ) -> Result<Watcher>
    where
        N: TryInto<MailboxName>,
        N::Error: Into<Error>,
    {
        let mut watcher = self.watch_with(mailboxes, options)?;
        watcher.call(callback)?;
        Ok(watcher)
    }
}

/// Mailboxes that are being watched: [`ImapClient::watch`].
///
/// An iterator that blocks until there is an event. It ends after [`stop`](Self::stop), and when the
/// client is shut down. Dropping it ends the watching and waits for its threads, which takes a
/// moment only.
///
/// A slow receiver loses nothing: when the events that may wait do
/// ([`WatchOptions::events_waiting`]), the watcher waits, and then the server.
#[must_use = "the watching ends when the watcher is dropped"]
pub struct Watcher {
    token: CancelToken,
    events: Receiver<WatchEvent>,
    threads: Vec<JoinHandle<()>>,
    /// Wakes those that wait for their receiver, or rest, when it is over.
    _closing: Watch,
}

impl Watcher {
    fn start(client: &ImapClient, names: &[MailboxName], options: &WatchOptions) -> Result<Self> {
        if names.is_empty() {
            let none = crate::types::invalid::InvalidArgument::new("the mailboxes", "are none");
            return Err(none.into());
        }
        let task = cancel::ambient();
        let token = CancelToken::linked(client.patience.cancel.iter().chain(&task));
        let followed = followed(
            client.pool().quota_limit(),
            names.len(),
            options.connections,
        );
        let (followed, polled) = names.split_at(followed);
        let (sender, events) = bounded(options.waiting);
        let closing = Arc::new(Closing(Mutex::new(bounded(0))));
        let mut watcher = Self {
            token: token.clone(),
            events,
            threads: Vec::new(),
            _closing: token.watch(Arc::clone(&closing) as Arc<dyn Notify>),
        };
        let mut view = client.with_cancel(&token);
        // Waiting is its purpose.
        view.patience.deadline = None;
        let outlet = Outlet {
            sender,
            closing,
            client: view.clone(),
            token: token.clone(),
        };
        for name in followed {
            let task = Listener {
                mailbox: view.mailbox(name.clone()),
                name: name.clone(),
                outlet: outlet.clone(),
                options: options.idle.clone(),
            };
            watcher.spawn(&format!("imap-watch {name}"), move || task.run())?;
        }
        if !polled.is_empty() {
            let poller = Poller {
                mailboxes: polled
                    .iter()
                    .map(|name| Polled {
                        name: name.clone(),
                        mailbox: view.mailbox(name.clone()),
                        known: None,
                        status: None,
                    })
                    .collect(),
                outlet,
                options: options.idle.clone(),
                client: view,
            };
            watcher.spawn("imap-watch", move || poller.run())?;
        }
        Ok(watcher)
    }

    fn spawn(&mut self, name: &str, body: impl FnOnce() + Send + 'static) -> Result<()> {
        // A name that a thread cannot have is no reason to fail.
        let name = name.replace('\0', " ");
        match Builder::new().name(name).spawn(body) {
            Ok(thread) => {
                self.threads.push(thread);
                Ok(())
            }
            Err(error) => Err(Error::no_thread(error)),
        }
    }

    fn call(&mut self, mut callback: impl FnMut(WatchEvent) + Send + 'static) -> Result<()> {
        let (lasts, over) = bounded(0);
        let events = std::mem::replace(&mut self.events, over);
        let token = self.token.clone();
        self.spawn("imap-watch-call", move || {
            let _lasts = lasts;
            for event in &events {
                if token.is_cancelled() {
                    return;
                }
                let call = AssertUnwindSafe(|| callback(event));
                if catch_unwind(call).is_err() {
                    log::error!("imap: the callback of a watcher panicked; the watching ends");
                    token.cancel();
                    return;
                }
            }
        })
    }

    /// The next event, if there is one within `timeout`.
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<WatchEvent> {
        self.events.recv_timeout(timeout).ok()
    }

    /// Ends the watching, from any thread that has the token. Nothing is waited for.
    pub fn stop(&self) {
        self.token.cancel();
    }

    /// A token that ends the watching when it is cancelled, for other threads.
    pub fn token(&self) -> &CancelToken {
        &self.token
    }
}

impl Iterator for Watcher {
    type Item = WatchEvent;

    fn next(&mut self) -> Option<WatchEvent> {
        self.events.recv().ok()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.token.cancel();
        let own = std::thread::current().id();
        for thread in self.threads.drain(..) {
            // The callback may hold the watcher.
            if thread.thread().id() != own {
                let _ = thread.join();
            }
        }
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher")
            .field("waiting", &self.events.len())
            .finish_non_exhaustive()
    }
}

/// How many of the mailboxes are followed with IDLE. What asks about the others needs a connection,
/// too.
fn followed(quota: usize, mailboxes: usize, wanted: usize) -> usize {
    let permits = quota.saturating_sub(1);
    if permits == 0 {
        return usize::from(mailboxes == 1);
    }
    let followed = wanted.min(mailboxes).min(permits);
    if followed < mailboxes {
        followed.min(permits - 1)
    } else {
        followed
    }
}

#[cfg(test)]
mod tests {
    use super::followed;

    #[test]
    fn a_connection_is_left_for_those_that_are_asked_about() {
        for (quota, mailboxes, wanted, expected) in [
            (1, 1, 1, 1),
            (1, 2, 1, 0),
            (2, 1, 1, 1),
            (2, 2, 2, 0),
            (3, 2, 1, 1),
            (3, 2, 2, 2),
            (3, 9, 9, 1),
            (10, 3, 9, 3),
        ] {
            let found = followed(quota, mailboxes, wanted);
            assert_eq!(found, expected, "quota {quota}, {mailboxes} mailboxes");
        }
    }
}
