//! What a connection thread reports about itself.

use std::time::Duration;

/// A step in the life of a connection that was ready once.
#[derive(Clone, Debug)]
pub(crate) enum Notice<F> {
    /// It is gone.
    Lost(F),
    /// It will be opened anew.
    Retrying {
        /// Which attempt it is, from 1.
        attempt: u32,
        /// After this time.
        delay: Duration,
    },
    /// It is ready again.
    Restored {
        /// After so many attempts.
        attempts: u32,
    },
    /// It will not be opened anew by itself.
    GivenUp(F),
}
