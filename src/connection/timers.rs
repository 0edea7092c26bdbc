//! What is due at a connection, and when.

use std::time::Instant;

use super::clock::earlier;
use super::event_loop::{EventLoop, Fail};
use super::failure::{Failure, Phase};
use super::handle::Expiry;
use crate::protocol::machine::Protocol;

/// Until when the loop may sleep; `None` inside: until something happens.
type Sleep = Option<Instant>;

impl<P: Protocol> EventLoop<P> {
    /// Does what is due, and says until when to sleep. `None`: the connection is to end.
    pub(super) fn deadlines(&mut self) -> Result<Option<Sleep>, Fail<P>> {
        let now = Instant::now();
        if !self.ready {
            if self.closing.is_some() {
                return Err(Failure::Closed);
            }
            if self.is_given_up() {
                return Err(Failure::EndOfStream);
            }
            if self.open_by.is_some_and(|open_by| now >= open_by) {
                return Err(Failure::TimedOut(Phase::Login));
            }
            let due = self.hooks.housekeeping(self.shared.id, now);
            return Ok(Some(earlier(self.open_by, due)));
        }
        let leaving = self.leaving.as_ref().and_then(|leaving| leaving.until);
        if let Some(closing) = &self.closing {
            return match closing.deadline {
                Some(deadline) if now >= deadline => Ok(None),
                // The goodbye of a connection that is being left is not waited for any longer.
                deadline => Ok(Some(earlier(deadline, leaving))),
            };
        }
        let free = self.queue.is_empty()
            && !self.queue.is_owned()
            && self.resets.is_empty()
            && self.in_flight.values().all(|one| one.standing);
        let mut until = self.expire(now);
        self.prove_by_lasting(now);
        // While nothing is read, what the server says cannot come.
        let deaf = self.readable && self.is_paused();
        if !deaf {
            let did = self.protocol.elapsed(now, free);
            if did.map_err(Failure::Protocol)? {
                // There may be something to write.
                until = Some(now);
            }
            until = earlier(until, self.protocol.wakes_at());
        }
        until = earlier(until, self.hooks.housekeeping(self.shared.id, now));
        until = earlier(until, self.keep_alive(now));
        until = earlier(until, self.stalled(now)?);
        Ok(Some(earlier(until, leaving)))
    }

    /// Ends the connection when it has been parked for its time.
    fn expire(&mut self, now: Instant) -> Sleep {
        let expires = self.parked_at?.checked_add(self.settings.idle_timeout)?;
        if now < expires {
            return Some(expires);
        }
        self.parked_at = None;
        let keep = match self.hooks.expire(self.shared.id, now) {
            Expiry::Now(keep) => keep,
            Expiry::At(later) => {
                self.parked_at = Some(now);
                return Some(later);
            }
            Expiry::Taken => return None,
        };
        self.begin_expiry(keep, now.checked_add(self.settings.stall_timeout));
        Some(now)
    }

    /// Says something harmless on a connection that nobody has used for long. Not inside an
    /// exclusive session: the answer may move sequence numbers under its holder.
    fn keep_alive(&mut self, now: Instant) -> Sleep {
        let interval = self.settings.keep_alive?;
        let idle = self.protocol.is_quiet() && self.in_flight.is_empty() && !self.queue.is_owned();
        if !idle || self.closing.is_some() {
            return None;
        }
        let due = self.last_out.max(self.last_in).checked_add(interval)?;
        if now < due {
            return Some(due);
        }
        self.protocol.keep_alive();
        Some(now)
    }

    /// Servers answer in order. One that owes the oldest answer to nobody any more, and says
    /// nothing, is of no use to those who come later, however many they are. As long as somebody
    /// waits for the oldest answer, the server may be at work on it.
    fn stalled(&mut self, now: Instant) -> Result<Sleep, Fail<P>> {
        let mut commands = self.in_flight.values().filter(|one| !one.standing);
        let owes_to_nobody = match commands.next() {
            Some(oldest) => !oldest.promise.is_wanted(),
            // Standing operations keep their own deadlines.
            None => self.in_flight.is_empty() && !self.protocol.is_quiet(),
        };
        if !owes_to_nobody {
            self.given_up = None;
            return Ok(None);
        }
        let since = *self.given_up.get_or_insert(now);
        let Some(due) = since
            .max(self.last_in)
            .checked_add(self.settings.stall_timeout)
        else {
            return Ok(None);
        };
        if now >= due {
            return Err(Failure::Stalled);
        }
        Ok(Some(due))
    }
}
