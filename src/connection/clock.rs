//! The clock, for the layers above that set deadlines.

use std::time::{Duration, Instant};

/// The present.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The moment `duration` from now, or never where that is beyond the clock's range.
pub(crate) fn after(duration: Duration) -> Option<Instant> {
    now().checked_add(duration)
}

/// The earlier of two deadlines.
pub(crate) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
