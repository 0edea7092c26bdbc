//! What connection threads tell their pool.

use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::ledger::Role;
use super::pool::{Fail, Pool};
use crate::connection::clock;
use crate::connection::handle::{ConnectionId, Expiry, Hooks};
use crate::connection::notice::Notice;
use crate::protocol::machine::Protocol;

/// What connection threads tell the pool.
pub(super) struct PoolHooks<P: Protocol>(pub Weak<Pool<P>>);

impl<P: Protocol> Hooks<Fail<P>> for PoolHooks<P> {
    fn was_reset(&self, id: ConnectionId) {
        let Some(pool) = self.0.upgrade() else {
            return;
        };
        let mut draining = pool.draining.lock();
        // A reset that was asked for before the last user came does not end that user's time:
        // his own reset is still to come.
        let done = draining
            .get(&id)
            .is_some_and(|warm| !warm.connection.is_busy());
        let drained = if done { draining.remove(&id) } else { None };
        drop(draining);
        if let Some(warm) = drained {
            pool.park(warm);
        }
    }

    fn expire(&self, id: ConnectionId, now: Instant) -> Expiry {
        let Some(pool) = self.0.upgrade() else {
            return Expiry::Taken;
        };
        let mut later = None;
        let warm = pool.quota.take_warm(|warm| {
            if warm.connection.id() != id {
                return false;
            }
            later = warm.expires.filter(|expires| *expires > now);
            later.is_none()
        });
        match (warm, later) {
            (Some(warm), _) => {
                warm.permit.entry().set_role(Role::Closing);
                Expiry::Now(Box::new(warm.permit))
            }
            (None, Some(later)) => Expiry::At(later),
            (None, None) => Expiry::Taken,
        }
    }

    fn ended(&self, id: ConnectionId) {
        let Some(pool) = self.0.upgrade() else {
            return;
        };
        pool.forget(id);
        let mut live = pool.live.lock();
        if let Some(one) = live.get_mut(&id) {
            one.ended = true;
            let counters = one.connection.counters();
            let figures = &pool.figures;
            for (sum, part) in [
                (&figures.operations, &counters.operations),
                (&figures.bytes_out, &counters.bytes_out),
                (&figures.wakeups, &counters.wakeups),
                (&figures.bytes_in, &counters.bytes_in),
            ] {
                sum.fetch_add(part.load(Ordering::Relaxed), Ordering::Relaxed);
            }
        }
        drop(live);
        pool.live_changed.notify_all();
    }

    fn notice(&self, id: ConnectionId, notice: Notice<Fail<P>>) {
        let Some(pool) = self.0.upgrade() else {
            return;
        };
        if matches!(notice, Notice::Restored { .. }) {
            pool.figures.restored.fetch_add(1, Ordering::Relaxed);
        }
        pool.notices.publish(id, &notice);
    }

    /// The permits that are withheld are released when they are due. Any connection thread that
    /// is awake does it; the main one, which always is there, is woken for it.
    fn housekeeping(&self, _: ConnectionId, now: Instant) -> Option<Instant> {
        let pool = self.0.upgrade()?;
        pool.quota
            .release_due(now, || clock::after(pool.next_delay()))
    }
}
