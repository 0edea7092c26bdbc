//! The one place of this crate that reads the clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, FixedOffset};

/// The present moment.
#[allow(clippy::disallowed_methods)] // a server owns its clock; the ban is for the client's lower layers
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The present date and time, in UTC, to the second.
#[allow(clippy::disallowed_methods)] // as above
pub(crate) fn today() -> DateTime<FixedOffset> {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    DateTime::from_timestamp(i64::try_from(seconds).unwrap_or(0), 0)
        .unwrap_or_default()
        .fixed_offset()
}
