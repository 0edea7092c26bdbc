//! IDLE (RFC 2177).

use std::io;

use super::session::{Outcome, Session};
use crate::connection::{Wake, aborted};
use crate::stream::Filled;

impl Session {
    pub(super) fn idle(&mut self) -> io::Result<Outcome> {
        self.request_continuation("idling")?;
        self.set_idling(true);
        let outcome = self.wait_for_done();
        self.set_idling(false);
        outcome
    }

    fn set_idling(&self, idling: bool) {
        self.connection.update_info(|info| info.idling = idling);
        self.hub.counters.update(|counters| {
            if idling {
                counters.idling += 1;
            } else {
                counters.idling -= 1;
            }
        });
    }

    fn wait_for_done(&mut self) -> io::Result<Outcome> {
        loop {
            self.announce(true);
            self.send_out()?;
            if self.stream.input().windows(2).any(|pair| pair == b"\r\n") {
                let line = self.next_line()?.unwrap_or_default();
                if line.eq_ignore_ascii_case(b"DONE\r\n") {
                    return Outcome::ok("IDLE terminated");
                }
                return Outcome::bad("Expected DONE");
            }
            match self.stream.fill()? {
                Filled::Some => continue,
                Filled::End => return Err(aborted()),
                Filled::Nothing => {}
            }
            match self.connection.wait(true) {
                Wake::Input | Wake::Changed => {}
                Wake::Order(order) => self.obey(order)?,
                Wake::Stopped => return Err(aborted()),
            }
        }
    }
}
