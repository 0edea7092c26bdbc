//! What a thread holds of a pool: connection scopes and exclusive sessions.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use super::pool::{Fail, Pool, Seat};
use super::route::{self, Held};
use crate::connection::cancel::Until;
use crate::connection::failure::{Failure, Phase};
use crate::connection::handle::{Connection, ConnectionId, OperationReply};
use crate::connection::queue::SessionId;
use crate::connection::slot::Event;
use crate::protocol::machine::Protocol;

/// Waits for something that has no result but its completion.
pub(super) fn wait_signal<F>(
    mut reply: crate::connection::slot::Reply<(), (), Failure<F>>,
    until: &Until,
) -> Result<(), Failure<F>>
where
    F: Send + 'static,
{
    loop {
        match reply.next(until) {
            Event::Part(()) => {}
            Event::End(result) => return result,
            Event::Stopped(stopped) => return Err(Failure::stopped(stopped, Phase::Queue)),
            Event::Nothing => return Err(Failure::Closed),
        }
    }
}

/// A connection that is bound to a thread.
pub(super) struct ScopeSeat<P: Protocol> {
    pub seat: RefCell<Option<Seat<P>>>,
    pub pool: Arc<Pool<P>>,
}

impl<P: Protocol> Held for ScopeSeat<P> {
    fn give_back(&self) {
        if let Some(seat) = self.seat.take() {
            self.pool.give_back(seat);
        }
    }
}

/// The guard of a connection scope.
pub(crate) struct ScopeGuard<P: Protocol> {
    scope: Option<Rc<ScopeSeat<P>>>,
}

impl<P: Protocol> ScopeGuard<P> {
    pub(super) fn new(scope: Rc<ScopeSeat<P>>) -> Self {
        Self { scope: Some(scope) }
    }

    /// What the connection is doing.
    pub(crate) fn activity(&self) -> String {
        self.scope
            .as_ref()
            .and_then(|scope| {
                let seat = scope.seat.borrow();
                seat.as_ref()
                    .map(|seat| seat.connection.counters().activity())
            })
            .unwrap_or_else(|| "closed".to_owned())
    }

    /// The connection's number.
    pub(crate) fn connection_id(&self) -> Option<ConnectionId> {
        let seat = self.scope.as_ref()?.seat.borrow();
        seat.as_ref().map(|seat| seat.connection.id())
    }

    /// Gives the connection back and waits until it is in order. The guards of this thread
    /// that share it keep it.
    pub(crate) fn close(mut self, until: &Until) -> Result<(), Fail<P>> {
        let Some(scope) = self.scope.take() else {
            return Ok(());
        };
        let broken = {
            let seat = scope.seat.borrow();
            seat.as_ref()
                .is_some_and(|seat| seat.connection.is_closed())
        };
        let last = route::pop(&(Rc::clone(&scope) as Rc<dyn Held>));
        let seat = if last { scope.seat.take() } else { None };
        let reply = seat.and_then(|seat| scope.pool.give_back(seat));
        if broken {
            return Err(Failure::Closed);
        }
        reply.map_or(Ok(()), |reply| wait_signal(reply, until))
    }
}

impl<P: Protocol> Drop for ScopeGuard<P> {
    fn drop(&mut self) {
        if let Some(scope) = self.scope.take() {
            let held = scope as Rc<dyn Held>;
            if route::pop(&held) {
                held.give_back();
            }
        }
    }
}

/// A connection that a thread has for itself.
pub(super) struct ExclusiveSeat<P: Protocol> {
    pub connection: Connection<P>,
    pub session: SessionId,
    /// The scope whose connection it is, which is not given back before the session is over:
    /// the next taker must not wait for it.
    pub scope: RefCell<Option<ScopeGuard<P>>>,
    pub released: Cell<bool>,
}

impl<P: Protocol> Held for ExclusiveSeat<P> {
    fn give_back(&self) {
        if !self.released.replace(true) {
            self.connection.release(self.session);
            drop(self.scope.take());
        }
    }
}

/// The guard of an exclusive session.
pub(crate) struct ExclusiveGuard<P: Protocol> {
    seat: Rc<ExclusiveSeat<P>>,
}

impl<P: Protocol> ExclusiveGuard<P> {
    pub(super) fn new(seat: Rc<ExclusiveSeat<P>>) -> Self {
        Self { seat }
    }

    /// Sends an operation inside the session.
    pub(crate) fn submit(&self, operation: P::Operation) -> OperationReply<P> {
        self.seat
            .connection
            .submit(operation, Some(self.seat.session))
    }
}

impl<P: Protocol> Drop for ExclusiveGuard<P> {
    fn drop(&mut self) {
        let held = Rc::clone(&self.seat) as Rc<dyn Held>;
        if route::pop(&held) {
            held.give_back();
        }
    }
}
