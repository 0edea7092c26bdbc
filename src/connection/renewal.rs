//! A connection that has served its time gives way to a new one, under the same permit.
//!
//! It says goodbye when the next operation comes and nothing is under way; then its own thread
//! opens it anew, as after a loss, but without a delay and without anybody being told.

use std::time::{Duration, Instant};

use super::event_loop::EventLoop;
use crate::protocol::machine::Protocol;

/// How long the goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);

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
    /// Whether the next operation needs another connection.
    pub(super) fn is_worn(&self) -> bool {
        if self.queue.front().is_none() {
            return false;
        }
        let age = self.ready_since.elapsed();
        // One that has not been of use yet is: however short its time, there is progress.
        let was_used = self.next_operation > self.first_operation;
        let is_old = was_used && self.settings.max_age.is_some_and(|most| age >= most);
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

    /// Prepares for the next connection.
    pub(super) fn renew(&mut self) {
        self.transport.close();
        self.leaving = None;
        self.begin_anew();
        self.recovery.is_renewal = true;
        self.limit_opening();
    }
}
