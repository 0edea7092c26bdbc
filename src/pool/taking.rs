//! Taking a connection and giving it back.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::guard::{ExclusiveGuard, ExclusiveSeat, ScopeGuard, ScopeSeat, wait_signal};
use super::ledger::Role;
use super::pool::{Pool, PoolError, PoolResult, Seat, Warm, next_id};
use super::quota::{Grant, Nag, Refused, Ticket};
use super::route::{self, Held};
use crate::connection::cancel::Until;
use crate::connection::clock;
use crate::connection::failure::Failure;
use crate::connection::handle::{ConnectionId, Keep, SignalReply};
use crate::connection::recovery::Persistence;
use crate::protocol::machine::{Protocol, Verdict};

impl<P: Protocol> Pool<P> {
    /// Binds a connection to the calling thread. With `wait` false it takes what is there.
    /// `opening`: how long it may take from the moment of the permit; else `until` counts for
    /// both.
    pub(crate) fn create_scope(
        self: &Arc<Self>,
        wait: bool,
        until: &Until,
        opening: Option<&dyn Fn() -> Until>,
    ) -> PoolResult<ScopeGuard<P>, P> {
        if std::thread::current().id() == self.creator {
            return Err(PoolError::CreatingThread);
        }
        if self.quota.limit() <= 1 {
            return Err(PoolError::SingleConnection);
        }
        if let Some(scope) = route::share::<ScopeSeat<P>>(self.id) {
            return Ok(ScopeGuard::new(scope));
        }
        if until.is_cancelled() {
            return Err(PoolError::Cancelled);
        }
        let seat = if wait {
            let (grant, ticket) = self
                .with_nag(|nag| self.quota.acquire(until, nag))
                .map_err(|refused| self.no_permit(refused))?;
            match opening {
                None => self.occupy(grant, ticket, Role::Scope, until)?,
                Some(begin) => self.occupy(grant, ticket, Role::Task, &begin())?,
            }
        } else {
            let grant = self.quota.try_acquire();
            let grant = grant.map_err(|refused| self.no_permit(refused))?;
            self.try_occupy(grant, Role::Scope, until)?
        };
        self.bind(seat)
    }

    /// Makes a connection the calling thread's route.
    pub(super) fn bind(self: &Arc<Self>, seat: Seat<P>) -> PoolResult<ScopeGuard<P>, P> {
        let scope = Rc::new(ScopeSeat {
            seat: Some(seat).into(),
            pool: Arc::clone(self),
        });
        if !route::push(self.id, Rc::clone(&scope) as Rc<dyn Held>) {
            scope.give_back();
            return Err(PoolError::ShutDown);
        }
        Ok(ScopeGuard::new(scope))
    }

    /// Takes up a connection with what was granted. Where the server has as many as it allows,
    /// the wait goes on in the same place of the line until there is another permit or `until`
    /// is over.
    pub(super) fn occupy(
        self: &Arc<Self>,
        grant: Grant<Warm<P>>,
        ticket: Ticket,
        role: Role,
        until: &Until,
    ) -> PoolResult<Seat<P>, P> {
        let mut grant = grant;
        let mut refusal = None;
        loop {
            let error = match self.try_occupy(grant, role, until) {
                Ok(seat) => return Ok(seat),
                Err(error) if is_too_many::<P>(&error) => error,
                // The server's own words say more than that time was up in the next attempt.
                Err(PoolError::Failure(Failure::TimedOut(phase))) => {
                    return Err(refusal.unwrap_or(Failure::TimedOut(phase).into()));
                }
                Err(error) => return Err(error),
            };
            refusal = Some(error.clone());
            grant = self
                .with_nag(|mut nag| {
                    loop {
                        // The main connection, whose thread keeps the time, may be gone.
                        let next = || clock::after(self.next_delay());
                        let due = self.quota.release_due(clock::now(), next);
                        let present = until.at_most(due);
                        match self.quota.acquire_again(ticket, &present, nag) {
                            Err(Refused::NotInTime) if until.stopped().is_none() => {
                                nag = nag.filter(|(at, _)| clock::now() < *at);
                            }
                            other => break other,
                        }
                    }
                })
                .map_err(|refused| match refused {
                    Refused::NotInTime => error,
                    other => self.no_permit(other),
                })?;
        }
    }

    /// Takes up a connection with what was granted: the parked one, or a new one.
    fn try_occupy(
        self: &Arc<Self>,
        grant: Grant<Warm<P>>,
        role: Role,
        until: &Until,
    ) -> PoolResult<Seat<P>, P> {
        let permit = match grant {
            Grant::Warm(warm) if !warm.connection.is_closed() => {
                self.figures.reused.fetch_add(1, Ordering::Relaxed);
                let Warm {
                    permit, connection, ..
                } = warm;
                permit.entry().set_role(role);
                return Ok(Seat { permit, connection });
            }
            Grant::Warm(Warm { permit, .. }) | Grant::Fresh(permit) => permit,
        };
        permit.entry().set_role(role);
        let connection = self.open(&permit, Persistence::WhileWanted, until)?;
        let Err(failure) = connection.wait_ready(until) else {
            self.refusals.store(0, Ordering::SeqCst);
            return Ok(Seat { permit, connection });
        };
        let error = if until.is_cancelled() {
            PoolError::Cancelled
        } else {
            PoolError::Failure(failure)
        };
        if !connection.is_closed() {
            // A socket that is still open keeps its permit until it is closed.
            let permit: Keep = Box::new(permit);
            connection.close(Some(permit), clock::after(Duration::ZERO));
        } else if is_too_many::<P>(&error) {
            self.figures.refused.fetch_add(1, Ordering::Relaxed);
            if let Some(until) = clock::after(self.next_delay()) {
                self.quota.withhold(permit, until);
                self.look_after_permits();
            }
        }
        Err(error)
    }

    /// How long the next permit is withheld after a refusal.
    pub(super) fn next_delay(&self) -> Duration {
        let refusals = self.refusals.fetch_add(1, Ordering::SeqCst);
        self.settings.backoff.delay(refusals)
    }

    /// Has the main connection's thread, which keeps the time, look when permits are due.
    fn look_after_permits(&self) {
        let main = self.main.lock();
        if let Some(seat) = &*main {
            seat.connection.nudge();
        }
    }

    fn with_nag<T>(&self, wait: impl FnOnce(Nag<'_>) -> T) -> T {
        let Some(time) = self.settings.log_waits_after else {
            return wait(None);
        };
        let nag = || self.explain_long_wait(time);
        wait(clock::after(time).map(|at| (at, &nag as &dyn Fn())))
    }

    fn no_permit(&self, refused: Refused) -> PoolError<<P as Protocol>::Failure> {
        match refused {
            Refused::NotInTime => PoolError::NoPermit {
                holders: self.quota.ledger.holders(),
                withheld: self.quota.limit() - self.quota.effective(),
            },
            Refused::Cancelled => PoolError::Cancelled,
            Refused::Closed => PoolError::ShutDown,
        }
    }

    fn explain_long_wait(&self, time: Duration) {
        let holders = self.quota.ledger.holders();
        let list: Vec<String> = holders.iter().map(ToString::to_string).collect();
        log::warn!(
            "{} {}: a thread has waited {time:?} for one of {} connections: {}",
            self.settings.protocol,
            self.settings.host,
            self.quota.limit(),
            list.join("; ")
        );
    }

    /// Takes the calling thread's route for this thread alone.
    pub(crate) fn exclusive(self: &Arc<Self>, until: &Until) -> PoolResult<ExclusiveGuard<P>, P> {
        if let Some(held) = route::top(self.id) {
            if route::downcast::<ExclusiveSeat<P>>(&held).is_some() {
                if let Some(seat) = route::share::<ExclusiveSeat<P>>(self.id) {
                    return Ok(ExclusiveGuard::new(seat));
                }
            }
        }
        let (connection, _) = self.route()?;
        let session = next_id();
        let reply = connection.acquire(session);
        if let Err(failure) = wait_signal(reply, until) {
            connection.release(session);
            return Err(failure.into());
        }
        let scope = route::top(self.id)
            .and_then(|held| route::downcast::<ScopeSeat<P>>(&held))
            .and_then(|_| route::share::<ScopeSeat<P>>(self.id));
        let seat = Rc::new(ExclusiveSeat {
            connection,
            session,
            scope: scope.map(ScopeGuard::new).into(),
            released: false.into(),
        });
        if !route::push(self.id, Rc::clone(&seat) as Rc<dyn Held>) {
            seat.give_back();
            return Err(PoolError::ShutDown);
        }
        Ok(ExclusiveGuard::new(seat))
    }

    /// Parks a connection whose user is done with it, without waiting for the network.
    pub(super) fn give_back(&self, seat: Seat<P>) -> Option<SignalReply<P>> {
        let Seat { permit, connection } = seat;
        if connection.is_closed() {
            return None;
        }
        let id = connection.id();
        let warm = Warm {
            connection: connection.clone(),
            permit,
            expires: None,
        };
        let busy = connection.is_busy();
        if self.shut.load(Ordering::SeqCst) || (!busy && !self.parks()) {
            warm.close();
            return None;
        }
        let reply;
        if busy {
            // Replies are still to come. It is parked when they have come.
            warm.permit.entry().set_role(Role::Draining);
            self.draining.lock().insert(id, warm);
            reply = connection.reset();
        } else {
            // The reset goes ahead of whatever the next taker sends.
            reply = connection.reset();
            self.park(warm);
        }
        if connection.is_closed() {
            self.forget(id);
        }
        Some(reply)
    }

    /// Whether connections that are given back are kept at all.
    fn parks(&self) -> bool {
        !self.settings.idle_timeout.is_zero()
    }

    /// Keeps a connection for the next taker, or closes it where none is kept any more.
    pub(super) fn park(&self, mut warm: Warm<P>) {
        if !self.parks() {
            return warm.close();
        }
        warm.permit.entry().set_role(Role::Parked);
        warm.expires = clock::after(self.settings.idle_timeout);
        let connection = warm.connection.clone();
        match self.quota.park(warm) {
            // Not before: its thread would find nothing that could expire.
            Ok(()) => connection.parked(),
            Err(warm) => warm.close(),
        }
    }

    /// Drops what is kept of a connection that has ended, its permit included.
    pub(super) fn forget(&self, id: ConnectionId) {
        let draining = self.draining.lock().remove(&id);
        let parked = self.quota.take_warm(|warm| warm.connection.id() == id);
        drop((draining, parked));
    }
}

/// Whether the server has as many connections as it allows.
fn is_too_many<P: Protocol>(error: &PoolError<<P as Protocol>::Failure>) -> bool {
    match error {
        PoolError::Failure(Failure::Protocol(failure)) => P::verdict(failure) == Verdict::TooMany,
        _ => false,
    }
}
