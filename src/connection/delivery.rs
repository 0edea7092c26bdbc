//! Parts of replies on their way to their callers: who is held up by a slow reader, and what becomes
//! of what nobody wants any more.

use std::time::{Duration, Instant};

use super::event_loop::{EventLoop, Fail};
use super::failure::Failure;
use crate::protocol::machine::{OperationId, Protocol, Weigh};

impl<P: Protocol> EventLoop<P> {
    pub(super) fn deliver(&mut self, id: OperationId, part: P::Part) -> Result<(), Fail<P>> {
        let alone = self.nobody_waits();
        let limit = self.settings.buffer_limit;
        let Some(in_flight) = self.in_flight.get_mut(&id) else {
            return Ok(());
        };
        let weight = part.weight();
        if !in_flight.promise.is_wanted() {
            in_flight.skipped = in_flight.skipped.saturating_add(weight);
            let skipped = in_flight.skipped;
            return self.pass_over(skipped);
        }
        let pushed = in_flight.promise.push(part, weight);
        if pushed.awaited {
            if self.awaited.last() != Some(&id) {
                self.awaited.push(id);
            }
            self.unwoken.0 += weight;
            self.unwoken.1.get_or_insert_with(Instant::now);
        }
        if pushed.total > limit && !alone {
            in_flight.promise.end_early(Failure::Overflow { limit });
            if in_flight.standing {
                // Its caller has got his end, and would never ask for it.
                self.protocol.give_up(id);
            }
        }
        Ok(())
    }

    /// Something came that nobody wants any more. Beyond a limit a new connection costs less;
    /// but as long as somebody waits for an answer that could not be had again, it is read on.
    fn pass_over(&self, skipped: usize) -> Result<(), Fail<P>> {
        let limit = self.settings.skip_limit;
        let mut others = self.in_flight.values();
        if skipped > limit
            && !self.settings.backoff.is_exhausted(0, Duration::ZERO)
            && !self.queue.is_owned()
            && others.all(|one| one.goes_on() || !one.promise.is_wanted())
        {
            return Err(Failure::Unwanted { limit });
        }
        Ok(())
    }

    /// Whether no other caller is held up when this connection stops reading.
    fn nobody_waits(&self) -> bool {
        self.in_flight.len() <= 1
            && self.queue.is_empty()
            && self.resets.is_empty()
            && self.closing.is_none()
    }

    /// Whether the only reader is behind: then it is the socket's turn to wait.
    pub(super) fn is_paused(&self) -> bool {
        self.nobody_waits()
            && self
                .in_flight
                .values()
                .next()
                .is_some_and(|only| only.promise.pause(self.settings.window))
    }
}
