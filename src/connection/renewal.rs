//! A connection that has served its time gives way to a new one, under the same permit.
//!
//! It says goodbye when the next operation comes and nothing is under way; then its own thread
//! opens it anew, as after a loss, but without a delay and without anybody being told.

use std::time::{Duration, Instant};

use super::event_loop::EventLoop;
use super::handle::Order;
use super::queue::Front;
use crate::protocol::machine::{OperationId, Protocol};

/// How long the goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// A connection that nobody has used is not too old before this time.
const FRESH: Duration = Duration::from_secs(1);

/// A connection is being left.
pub(super) struct Leaving {
    pub(super) until: Option<Instant>,
    /// The server has answered the goodbye.
    pub(super) done: bool,
}

impl Leaving {
    pub(super) fn is_over(&self) -> bool {
        self.done || self.until.is_some_and(|until| Instant::now() >= until)
    }
}

impl<P: Protocol> EventLoop<P> {
    /// Whether the next operation needs another connection. Who only gives it back does not.
    pub(super) fn is_worn(&self) -> bool {
        if matches!(self.queue.front(), None | Some(Front::Reset)) {
            return false;
        }
        let age = self.ready_since.elapsed();
        // However short its time is, one that has just been opened serves for something.
        let least = if self.was_used { Duration::ZERO } else { FRESH };
        let is_old = self
            .settings
            .max_age
            .is_some_and(|most| age >= most.max(least));
        // Inside an exclusive session it may mean something else on another connection.
        self.protocol.is_worn() || (is_old && !self.queue.is_owned())
    }

    /// Says goodbye, once nothing is under way. Returns whether it did.
    pub(super) fn leave(&mut self) -> bool {
        if !self.in_flight.is_empty() || !self.protocol.is_quiet() {
            return self.protocol.make_way();
        }
        log::debug!(
            "{} connection {} to {} is renewed",
            self.settings.protocol,
            self.shared.id,
            self.settings.host
        );
        self.protocol.quit();
        self.leaving = Some(Leaving {
            until: Instant::now().checked_add(GOODBYE),
            done: false,
        });
        true
    }

    /// Puts the rest of an operation to the front: the next connection goes on with it.
    pub(super) fn put_off(&mut self, id: OperationId, operation: P::Operation) {
        let Some(in_flight) = self.in_flight.remove(&id) else {
            return;
        };
        self.name_running();
        self.queue.put_back(vec![Order {
            operation,
            promise: in_flight.promise,
            count: in_flight.count,
            was_repeated: in_flight.was_repeated,
            uncertain: in_flight.uncertain,
            of_session: in_flight.of_session,
        }]);
    }

    /// Prepares for the next connection.
    pub(super) fn renew(&mut self) {
        self.transport.close();
        self.leaving = None;
        self.begin_anew();
        self.recovery.is_renewal = true;
        self.limit_opening();
    }
}
