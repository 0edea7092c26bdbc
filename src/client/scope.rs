//! Connection scopes.

use std::fmt;

use super::call::Patience;
use crate::connection::cancel::Until;
use crate::connection::failure::Failure;
use crate::connection::slot::Progress;
use crate::error::{Error, ProtocolFailure, Result};
use crate::pool::guard::ScopeGuard;
use crate::protocol::machine::Protocol;

/// A connection of its own for the calling thread.
///
/// While the guard lives, everything that this thread does with the client, or with a clone
/// of it, goes to this connection. Other threads are not affected. A second
/// [`create_connection`](crate::ImapClient::create_connection) on the same thread shares the
/// connection, which is given back with the last guard.
///
/// Dropping the guard gives the connection back without waiting for the network; it is parked
/// and handed to the next taker. A connection is also given back when its thread ends, even if
/// the guard was leaked.
///
/// The guard cannot leave its thread:
///
/// ```compile_fail,E0277
/// fn needs_send<T: Send>() {}
/// needs_send::<mailpool::ConnectionScope>();
/// ```
#[must_use = "the connection is given back when the guard is dropped"]
pub struct ConnectionScope {
    guard: Box<dyn Bound>,
    patience: Patience,
}

/// A connection of any protocol that is bound to its thread.
trait Bound {
    fn connection_id(&self) -> Option<u64>;
    fn activity(&self) -> String;
    fn close(self: Box<Self>, until: &Until) -> Result<()>;
}

impl<P: Protocol<Failure: ProtocolFailure>> Bound for ScopeGuard<P> {
    fn connection_id(&self) -> Option<u64> {
        self.connection_id()
    }

    fn activity(&self) -> String {
        self.activity()
    }

    fn close(self: Box<Self>, until: &Until) -> Result<()> {
        ScopeGuard::close(*self, until).map_err(|failure| {
            let failure = match failure {
                Failure::Closed => Failure::EndOfStream,
                other => other,
            };
            Error::from_failure(failure, Progress::NotWritten)
        })
    }
}

impl ConnectionScope {
    pub(crate) fn new<P>(guard: ScopeGuard<P>, patience: Patience) -> Self
    where
        P: Protocol<Failure: ProtocolFailure>,
    {
        Self {
            guard: Box::new(guard),
            patience,
        }
    }

    /// The number of the connection, which also stands in its thread's name. Two guards that
    /// share a connection have the same.
    pub fn connection_id(&self) -> Option<u64> {
        self.guard.connection_id()
    }

    /// Gives the connection back and waits until the server has confirmed that it is in order.
    ///
    /// # Errors
    /// When the connection broke while it was held, or breaks now; it is given back all the
    /// same. Where other guards of this thread share the connection it stays, and only a
    /// connection that is already broken is an error.
    pub fn close(self) -> Result<()> {
        let until = self.patience.begin();
        self.guard.close(&until)
    }
}

impl fmt::Debug for ConnectionScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionScope")
            .field("connection", &self.connection_id())
            .field("activity", &self.guard.activity())
            .finish()
    }
}
