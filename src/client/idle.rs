//! Waiting for what becomes of a mailbox.

use std::fmt;
use std::time::Duration;

use super::call::{self, ImapReply, Next, Patience};
use super::mailbox::Mailbox;
use crate::connection::cancel::Stopped;
use crate::connection::clock::{self, earlier};
use crate::connection::failure::Phase;
use crate::connection::slot::Event;
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::imap::session::operation::{Follow, Part, Request};
use crate::types::mailbox_change::MailboxChange;

/// How a mailbox is followed: [`Mailbox::idle_with`].
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use mailpool::IdleOptions;
///
/// let options = IdleOptions::new().renew_after(Duration::from_secs(5 * 60));
/// # let _ = options;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "options do nothing by themselves"]
pub struct IdleOptions {
    renew: Duration,
    poll: Duration,
}

/// Shorter intervals would be an attack on the server.
const SHORTEST: Duration = Duration::from_millis(10);

impl Default for IdleOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl IdleOptions {
    /// The defaults: 9 minutes and one minute.
    pub const fn new() -> Self {
        Self {
            renew: Duration::from_secs(9 * 60),
            poll: Duration::from_secs(60),
        }
    }

    /// How long one IDLE lasts. Then it is ended, what may have been missed is looked up, and it
    /// begins anew. 9 minutes by default: the norm allows 29 (RFC 2177 §3), but Gmail and some
    /// routers drop a connection after 10. Raised to 10 milliseconds where it is less.
    pub fn renew_after(mut self, interval: Duration) -> Self {
        self.renew = interval.max(SHORTEST);
        self
    }

    pub(super) fn renew(&self) -> Duration {
        self.renew
    }

    pub(super) fn poll(&self) -> Duration {
        self.poll
    }

    /// How often to ask, with NOOP, where the server does not offer IDLE or refuses it. One
    /// minute by default. Raised to 10 milliseconds where it is less.
    pub fn poll_every(mut self, interval: Duration) -> Self {
        self.poll = interval.max(SHORTEST);
        self
    }
}

impl Mailbox {
    /// Waits for what becomes of the mailbox (IDLE, RFC 2177), with the default
    /// [`IdleOptions`].
    ///
    /// The call returns when the request is queued. The iterator yields
    /// [`MailboxChange::Began`] as soon as the mailbox is followed, and from then on every
    /// change: none is missed, and none is yielded twice, also where the connection breaks and
    /// comes back. It lasts until it is dropped, or ended by a
    /// [deadline](crate::ImapClient::with_deadline) or a
    /// [token](crate::ImapClient::with_cancel) of the client; the client's timeout for single
    /// calls does not end it.
    ///
    /// Nothing waits behind it: a command for the same connection interrupts IDLE and has it
    /// resumed afterwards. One mailbox can be followed on a connection. To follow several, or
    /// to leave the main connection alone, idle on threads with
    /// [connections of their own](crate::ImapClient::create_connection).
    ///
    /// Changes that this client makes on the same connection with [`store`](Self::store) are
    /// answered there, and not reported again.
    ///
    /// # Errors
    /// - [`ErrorKind::InExclusive`] inside an exclusive session of this thread;
    /// - for a name that cannot be sent, and where there is no connection to be had or no time
    ///   left.
    ///
    /// Everything else comes from the iterator, which ends with it:
    /// - [`ErrorKind::Idling`] if the connection idles already;
    /// - [`ErrorKind::Rejected`] if the server says no, for instance because there is no such
    ///   mailbox;
    /// - [`ErrorKind::SlowReader`] if changes were not read while other callers used the
    ///   connection, until too many waited;
    /// - [`ErrorKind::Timeout`] and [`ErrorKind::Cancelled`];
    /// - [`ErrorKind::ShutDown`] after the client was shut down, or the connection given back;
    /// - whatever ends the connection for good.
    ///
    /// # Examples
    /// ```no_run
    /// # fn example(client: mailpool::ImapClient) -> mailpool::Result<()> {
    /// use mailpool::MailboxChange;
    ///
    /// for change in client.mailbox("INBOX").idle()? {
    ///     match change? {
    ///         MailboxChange::New { uid, .. } => println!("message {uid} has come"),
    ///         MailboxChange::Expunged(uid) => println!("message {uid} is gone"),
    ///         other => println!("{other:?}"),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn idle(&self) -> Result<Idle> {
        self.idle_with(IdleOptions::new())
    }

    /// As [`idle`](Self::idle), with other intervals.
    ///
    /// # Errors
    /// The same.
    pub fn idle_with(&self, options: IdleOptions) -> Result<Idle> {
        let request = Request::Follow(Follow {
            known: None,
            once: false,
            poll: options.poll,
            renew: options.renew,
        });
        let operation = self.operation(None, request)?;
        let patience = Patience {
            timeout: None,
            ..self.client.patience.clone()
        };
        patience.begin_call()?;
        let pool = self.client.pool();
        if pool.has_exclusive() {
            return Err(Error::not_sent(ErrorKind::InExclusive));
        }
        Ok(Idle {
            reply: call::submit(pool, operation)?,
            patience,
            is_over: false,
        })
    }
}

/// What becomes of a mailbox, as it happens: [`Mailbox::idle`].
///
/// After an error it has ended. Dropping it ends IDLE; nothing is waited for, and the
/// connection stays in use.
///
/// A slow reader loses nothing: as long as it alone uses the connection, reading stops until it
/// goes on. As soon as others use it, what comes is kept in memory, up to
/// [`Limits::max_buffered_body`](crate::Limits::max_buffered_body); beyond that it ends with
/// [`ErrorKind::SlowReader`].
#[must_use = "IDLE ends when it is dropped"]
pub struct Idle {
    reply: ImapReply,
    patience: Patience,
    is_over: bool,
}

impl Idle {
    /// The next change, if there is one within `timeout`. `None`: there was none, or it has
    /// ended ([`is_over`](Self::is_over)).
    ///
    /// # Examples
    /// ```no_run
    /// # fn example(client: mailpool::ImapClient) -> mailpool::Result<()> {
    /// use std::time::Duration;
    ///
    /// let mut idle = client.mailbox("INBOX").idle()?;
    /// while !idle.is_over() {
    ///     match idle.next_timeout(Duration::from_secs(1)) {
    ///         Some(change) => println!("{:?}", change?),
    ///         None => println!("nothing yet"),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<Result<MailboxChange>> {
        self.wait(Some(timeout))
    }

    /// Whether it has ended: after an error.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Option<Result<MailboxChange>> {
        let until = self.patience.begin();
        // Without end where that is too far for the clock.
        let soon = timeout.and_then(clock::after);
        while !self.is_over {
            // The short wait first: it gives nothing up.
            let is_last = earlier(until.moment(), soon) == until.moment();
            if let (Some(_), false) = (soon, is_last) {
                match self.reply.next(&until.at_most(soon)) {
                    Event::Part(Part::Change(change)) => return Some(Ok(change)),
                    Event::Part(_) => continue,
                    Event::Stopped(Stopped::TimedOut) => return None,
                    Event::Stopped(Stopped::Cancelled) => {}
                    Event::End(Ok(_)) | Event::Nothing => return self.end(closed()),
                    Event::End(Err(failure)) => {
                        return self.end(Error::from_failure(failure, self.reply.progress()));
                    }
                }
            }
            match call::next(&mut self.reply, &until, Phase::Idle) {
                Ok(Next::Part(Part::Change(change))) => return Some(Ok(change)),
                Ok(Next::Part(_)) => {}
                Ok(Next::End(_)) => return self.end(closed()),
                Err(error) => return self.end(error),
            }
        }
        None
    }

    fn end(&mut self, error: Error) -> Option<Result<MailboxChange>> {
        self.is_over = true;
        Some(Err(error))
    }
}

/// Its connection was given back under it.
fn closed() -> Error {
    Error::not_sent(ErrorKind::ShutDown)
}

impl Iterator for Idle {
    type Item = Result<MailboxChange>;

    fn next(&mut self) -> Option<Result<MailboxChange>> {
        self.wait(None)
    }
}

impl fmt::Debug for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Idle")
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_is_renewed_every_9_minutes_unless_said_otherwise() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        assert_eq!(IdleOptions::new().renew(), minutes(9));
        assert_eq!(IdleOptions::default(), IdleOptions::new());
        assert_eq!(
            IdleOptions::new().renew_after(minutes(5)).renew(),
            minutes(5)
        );
        assert_eq!(
            IdleOptions::new().renew_after(Duration::ZERO).renew(),
            SHORTEST
        );
    }
}
