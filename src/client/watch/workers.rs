//! The threads that watch: one for each mailbox that is followed, and one for all that are asked
//! about by turns.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, at, bounded, never, select};

use super::WatchEvent;
use crate::client::call::{self, Next};
use crate::client::handle;
use crate::client::idle::IdleOptions;
use crate::client::imap::ImapClient;
use crate::client::mailbox::Mailbox;
use crate::client::scope::ConnectionScope;
use crate::connection::cancel::{CancelToken, Notify, Stopped, Until};
use crate::connection::clock;
use crate::connection::failure::Phase;
use crate::error::{Error, ErrorKind, Result};
use crate::pool::notices::Told;
use crate::protocol::imap::session::operation::{End, Follow, Known, Part, Request};
use crate::sync::Mutex;
use crate::types::listing::MailboxStatus;
use crate::types::mailbox_change::MailboxChange;
use crate::types::mailbox_name::MailboxName;
use crate::types::request::StatusItems;

/// Where the events go.
#[derive(Clone)]
pub(super) struct Outlet {
    pub(super) sender: Sender<WatchEvent>,
    pub(super) closing: Arc<Closing>,
    pub(super) client: ImapClient,
    pub(super) token: CancelToken,
}

impl Outlet {
    /// Hands an event over, as long as it may take. `false`: the watching is over.
    fn send(&self, mailbox: &MailboxName, change: Result<MailboxChange>) -> bool {
        let event = WatchEvent {
            mailbox: mailbox.clone(),
            change,
        };
        loop {
            let changed = self.closing.changed();
            if self.token.is_cancelled() {
                return false;
            }
            let until = Until::default().with(Some(self.token.clone()));
            let over = until.moment().map_or_else(never, at);
            select! {
                send(self.sender, event) -> sent => return sent.is_ok(),
                recv(changed) -> _ => {}
                recv(over) -> _ => {}
            }
        }
    }

    /// Lets `time` pass. `false`: the watching is over, or the client is shut down.
    fn rest(&self, time: Duration) -> bool {
        let until = Until::deadline(clock::after(time)).with(Some(self.token.clone()));
        let notices = self.client.pool().notices.subscribe();
        loop {
            match notices.next(&until) {
                Ok(Told::Over) => return false,
                Ok(Told::Notice(..) | Told::Missed(_)) => {}
                Err(stopped) => return stopped == Stopped::TimedOut,
            }
        }
    }
}

/// Ends a channel, and begins another one, when something becomes of the token.
pub(super) struct Closing(pub(super) Mutex<(Sender<()>, Receiver<()>)>);

impl Closing {
    /// Ends when the token is cancelled, or gets another deadline.
    fn changed(&self) -> Receiver<()> {
        self.0.lock().1.clone()
    }
}

impl Notify for Closing {
    fn notify(&self) {
        let before = std::mem::replace(&mut *self.0.lock(), bounded(0));
        drop(before);
    }
}

/// Follows one mailbox with IDLE.
pub(super) struct Listener {
    pub(super) mailbox: Mailbox,
    pub(super) name: MailboxName,
    pub(super) outlet: Outlet,
    pub(super) options: IdleOptions,
}

impl Listener {
    pub(super) fn run(self) {
        while let Err(error) = self.follow() {
            let goes_on = !is_the_end(&error)
                && self.outlet.send(&self.name, Err(error))
                && self.outlet.rest(self.options.poll());
            if !goes_on {
                return;
            }
        }
    }

    /// Returns when the watching is over.
    fn follow(&self) -> Result<()> {
        let _connection = own_connection(&self.mailbox.client)?;
        for change in self.mailbox.idle_with(self.options.clone())? {
            if !self.outlet.send(&self.name, Ok(change?)) {
                break;
            }
        }
        Ok(())
    }
}

/// Asks about mailboxes by turns.
pub(super) struct Poller {
    pub(super) client: ImapClient,
    pub(super) mailboxes: Vec<Polled>,
    pub(super) outlet: Outlet,
    pub(super) options: IdleOptions,
}

pub(super) struct Polled {
    pub(super) name: MailboxName,
    pub(super) mailbox: Mailbox,
    pub(super) known: Option<Box<Known>>,
    /// What it was like when it was looked at.
    pub(super) status: Option<MailboxStatus>,
}

impl Poller {
    pub(super) fn run(mut self) {
        loop {
            if !self.round() || !self.outlet.rest(self.options.poll()) {
                return;
            }
        }
    }

    /// Asks about all of them. The connection is given back in between: it is kept warm for the
    /// next round or the next taker, and closed if that takes long.
    fn round(&mut self) -> bool {
        let connection = own_connection(&self.client);
        for polled in &mut self.mailboxes {
            let result = match &connection {
                Ok(_) => polled.look(&self.outlet, &self.options),
                Err(error) => Err(error.clone()),
            };
            let goes_on = match result {
                Ok(goes_on) => goes_on,
                Err(error) => !is_the_end(&error) && self.outlet.send(&polled.name, Err(error)),
            };
            if !goes_on {
                return false;
            }
        }
        true
    }
}

impl Polled {
    /// Looks at the mailbox if it is not what it was. `false`: the watching is over.
    fn look(&mut self, outlet: &Outlet, options: &IdleOptions) -> Result<bool> {
        let items = StatusItems::default();
        let items = if self.mailbox.client.capabilities()?.condstore() {
            items.highest_mod_seq()
        } else {
            items
        };
        let status = self.mailbox.status(items)?;
        if self.known.is_some() && self.status.as_ref() == Some(&status) {
            return Ok(true);
        }
        let client = &self.mailbox.client;
        let (mut reply, before) = begin(&mut self.known, |known| {
            let request = Request::Follow(Follow {
                known,
                once: true,
                poll: options.poll(),
                renew: options.renew(),
            });
            call::submit(client.pool(), self.mailbox.operation(None, request)?)
        })?;
        let mut has_told = false;
        loop {
            let until = client.patience.begin();
            match call::next(&mut reply, &until, Phase::Command) {
                Ok(Next::Part(Part::Change(change))) => {
                    has_told = true;
                    if !outlet.send(&self.name, Ok(change)) {
                        return Ok(false);
                    }
                }
                Ok(Next::Part(_)) => {}
                Ok(Next::End(End::Followed(known))) => {
                    self.known = Some(known);
                    self.status = Some(status);
                    return Ok(true);
                }
                Ok(Next::End(other)) => return Err(call::unexpected(&other)),
                Err(error) => {
                    // What was told before it broke off must not be told twice.
                    if !has_told {
                        self.known = before;
                    }
                    return Err(error);
                }
            }
        }
    }
}

/// Takes what is known out and begins with it. Where that fails nothing has been told, and it
/// stays known.
fn begin<K: Clone, R>(
    known: &mut Option<K>,
    submit: impl FnOnce(Option<K>) -> Result<R>,
) -> Result<(R, Option<K>)> {
    let begun = submit(known.clone())?;
    Ok((begun, known.take()))
}

/// A connection of the watcher's own, as long as it may take to get one; `None` with a quota of 1.
fn own_connection(client: &ImapClient) -> Result<Option<ConnectionScope>> {
    if client.pool().quota_limit() <= 1 {
        return Ok(None);
    }
    handle::for_task(client.pool(), &client.patience).map(Some)
}

/// Whether nothing can be watched any more.
fn is_the_end(error: &Error) -> bool {
    error.is_cancelled() || matches!(error.kind(), ErrorKind::ShutDown)
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use crate::error::Certainty;

    #[test]
    fn what_is_known_survives_a_look_that_does_not_begin() {
        let mut known = Some(7);
        let failed = begin(&mut known, |given| -> Result<()> {
            assert_eq!(given, Some(7));
            Err(Error::new(ErrorKind::CreatingThread, Certainty::NotSent))
        });
        assert!(failed.is_err());
        assert_eq!(known, Some(7), "the next event would say that it begins");
        let (_, before) = begin(&mut known, |_| Ok(())).unwrap();
        assert_eq!((before, known), (Some(7), None));
    }
}
