//! Ctrl-C, and SIGTERM.
//!
//! The first one lets what is under way come to its end, so that no message is left in doubt, but
//! not for longer than a short grace. A second one ends everything at once.

use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use mailpool::CancelToken;

use crate::error::Result;

/// How long what is under way may take to come to its end.
const GRACE: Duration = Duration::from_secs(3);

/// Whether somebody wants the program to end.
pub(crate) struct Interrupt {
    begin_nothing: CancelToken,
    end_everything: CancelToken,
    /// Disconnected by the signal.
    running: Receiver<()>,
}

impl Interrupt {
    pub(crate) fn on_signal() -> Result<Self> {
        let (sender, running) = bounded(0);
        let interrupt = Self {
            begin_nothing: CancelToken::new(),
            end_everything: CancelToken::new(),
            running,
        };
        let first = interrupt.begin_nothing.clone();
        let second = interrupt.end_everything.clone();
        let mut sender = Some(sender);
        // The crate calls this on a thread of its own, where everything is allowed.
        ctrlc::set_handler(move || match sender.take() {
            Some(sender) => {
                second.cancel_after(GRACE);
                first.cancel();
                drop(sender);
                eprintln!("send: interrupted, what is under way comes to its end");
            }
            None => second.cancel(),
        })?;
        Ok(interrupt)
    }

    /// Ends the wait for the first connection.
    pub(crate) fn begin_nothing(&self) -> &CancelToken {
        &self.begin_nothing
    }

    /// Ends the calls that are under way.
    pub(crate) fn end_everything(&self) -> &CancelToken {
        &self.end_everything
    }

    /// Whether nothing more is to be begun.
    pub(crate) fn has_come(&self) -> bool {
        self.begin_nothing.is_cancelled()
    }

    /// Waits so long, or until it comes. Returns whether it has.
    pub(crate) fn wait(&self, time: Duration) -> bool {
        self.running.recv_timeout(time) != Err(RecvTimeoutError::Timeout)
    }
}
