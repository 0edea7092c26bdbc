//! What happens to a client's connections, for those who want to know.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::call::Patience;
use crate::connection::cancel::{Stopped, Until};
use crate::connection::clock;
use crate::connection::failure::Failure;
use crate::connection::notice::Notice;
use crate::connection::slot::Progress;
use crate::error::{Error, ProtocolFailure};
use crate::pool::notices::{Subscription, Told};
use crate::pool::pool::Pool;
use crate::protocol::machine::Protocol;

/// A step in the life of a connection that has been lost.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ConnectionEvent {
    /// The connection is gone. Commands that wait for it keep their places.
    #[non_exhaustive]
    Lost {
        /// Its number, as in the name of its thread.
        connection: u64,
        /// Why.
        error: Error,
    },
    /// It will be opened anew.
    #[non_exhaustive]
    Retrying {
        /// Its number.
        connection: u64,
        /// Which attempt it is, from 1.
        attempt: u32,
        /// How long it waits before.
        delay: Duration,
    },
    /// It is ready again.
    #[non_exhaustive]
    Restored {
        /// Its number.
        connection: u64,
        /// How many attempts it took.
        attempts: u32,
    },
    /// It will not be opened anew by itself: the policy's limits are reached, or the server has
    /// refused the login. The next call tries once more.
    #[non_exhaustive]
    GivenUp {
        /// Its number.
        connection: u64,
        /// Why the last attempt failed.
        error: Error,
    },
    /// The subscriber was too slow: so many events, the oldest ones, were given up.
    #[non_exhaustive]
    Missed {
        /// How many.
        events: u64,
    },
}

/// The events of a client's connections:
/// [`ImapClient::connection_events`](crate::ImapClient::connection_events).
///
/// An iterator that blocks until there is an event, and ends when the client is shut down. 256
/// events are kept for a slow subscriber.
#[must_use = "events are delivered while the iterator is advanced"]
pub struct ConnectionEvents {
    source: Box<dyn Source>,
    patience: Patience,
}

/// The events of a client of any protocol.
trait Source: Send + Sync {
    fn next(&self, until: &Until) -> Option<ConnectionEvent>;
}

impl<F: ProtocolFailure> Source for Subscription<Failure<F>> {
    fn next(&self, until: &Until) -> Option<ConnectionEvent> {
        match self.next(until) {
            Ok(Told::Notice(connection, notice)) => Some(event(connection, notice)),
            Ok(Told::Missed(events)) => Some(ConnectionEvent::Missed { events }),
            Ok(Told::Over) | Err(Stopped::TimedOut | Stopped::Cancelled) => None,
        }
    }
}

impl ConnectionEvents {
    pub(super) fn new<P>(pool: &Arc<Pool<P>>, patience: Patience) -> Self
    where
        P: Protocol<Failure: ProtocolFailure>,
    {
        Self {
            source: Box::new(pool.notices.subscribe()),
            patience,
        }
    }

    /// The next event, if there is one within `timeout`.
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<ConnectionEvent> {
        let until = self.patience.begin_standing();
        self.source.next(&until.at_most(clock::after(timeout)))
    }
}

impl Iterator for ConnectionEvents {
    type Item = ConnectionEvent;

    fn next(&mut self) -> Option<ConnectionEvent> {
        self.source.next(&self.patience.begin_standing())
    }
}

impl fmt::Debug for ConnectionEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionEvents").finish_non_exhaustive()
    }
}

fn event<F: ProtocolFailure>(connection: u64, notice: Notice<Failure<F>>) -> ConnectionEvent {
    let error = |failure| Error::from_failure(failure, Progress::NotWritten);
    match notice {
        Notice::Lost(failure) => ConnectionEvent::Lost {
            connection,
            error: error(failure),
        },
        Notice::Retrying { attempt, delay } => ConnectionEvent::Retrying {
            connection,
            attempt,
            delay,
        },
        Notice::Restored { attempts } => ConnectionEvent::Restored {
            connection,
            attempts,
        },
        Notice::GivenUp(failure) => ConnectionEvent::GivenUp {
            connection,
            error: error(failure),
        },
    }
}
