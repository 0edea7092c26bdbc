//! Ctrl-C, and SIGTERM.

use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use mailpool::CancelToken;

use crate::error::Result;

/// Whether somebody wants the program to end.
pub(crate) struct Interrupt {
    token: CancelToken,
    /// Disconnected by the signal.
    running: Receiver<()>,
}

impl Interrupt {
    pub(crate) fn on_signal() -> Result<Self> {
        let token = CancelToken::new();
        let (sender, running) = bounded(0);
        let cancelled = token.clone();
        let mut sender = Some(sender);
        // The crate calls this on a thread of its own, where everything is allowed.
        ctrlc::set_handler(move || {
            cancelled.cancel();
            drop(sender.take());
        })?;
        Ok(Self { token, running })
    }

    /// Ends what the client does.
    pub(crate) fn token(&self) -> &CancelToken {
        &self.token
    }

    pub(crate) fn has_come(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits so long, or until it comes. Returns whether it has.
    pub(crate) fn wait(&self, time: Duration) -> bool {
        self.running.recv_timeout(time) != Err(RecvTimeoutError::Timeout)
    }
}
