//! How long to wait before the next attempt to connect.

use std::time::Duration;

/// When a lost connection is opened anew.
///
/// Before each attempt there is a random delay ("full jitter"): any time between zero and a
/// bound, which begins with [`first_delay`](Self::first_delay) and doubles until it has reached
/// [`max_delay`](Self::max_delay). So the clients of a server that was away do not all come back
/// at the same moment.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use mailpool::Backoff;
///
/// let patient = Backoff::new().max_delay(Duration::from_secs(300)).max_attempts(50);
/// # let _ = patient;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a policy does nothing by itself"]
pub struct Backoff {
    first: Duration,
    max: Duration,
    attempts: Option<u32>,
    time: Option<Duration>,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

impl Backoff {
    /// The defaults: at first up to 250 milliseconds, at most a minute, without an end.
    pub const fn new() -> Self {
        Self {
            first: Duration::from_millis(250),
            max: Duration::from_secs(60),
            attempts: None,
            time: None,
        }
    }

    /// The bound of the first delay. Default: 250 milliseconds.
    pub const fn first_delay(mut self, delay: Duration) -> Self {
        self.first = delay;
        self
    }

    /// The largest bound of a delay. Default: a minute.
    pub const fn max_delay(mut self, delay: Duration) -> Self {
        self.max = delay;
        self
    }

    /// How many attempts may fail in a row before it is given up; 0: none is made. Default: no
    /// limit.
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        self.attempts = Some(attempts);
        self
    }

    /// For how long it is attempted before it is given up. Default: no limit.
    pub const fn max_time(mut self, time: Duration) -> Self {
        self.time = Some(time);
        self
    }

    /// The bound of the delay before an attempt, which is the one after `failed` others.
    fn bound(&self, failed: u32) -> Duration {
        let factor = 1_u32.checked_shl(failed).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.max)
    }

    /// The delay before an attempt, which is the one after `failed` others.
    pub(crate) fn delay(&self, failed: u32) -> Duration {
        self.bound(failed).mul_f64(fastrand::f64())
    }

    /// Whether there is no further attempt after `failed` of them, in `time` since the
    /// connection was lost.
    pub(crate) fn is_exhausted(&self, failed: u32, time: Duration) -> bool {
        self.attempts.is_some_and(|most| failed >= most)
            || self.time.is_some_and(|most| time >= most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_bound_and_stay_below_it() {
        let backoff = Backoff::new()
            .first_delay(Duration::from_millis(100))
            .max_delay(Duration::from_secs(1));
        let bounds: Vec<u128> = (0..6)
            .map(|failed| backoff.bound(failed).as_millis())
            .collect();
        assert_eq!(bounds, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(backoff.bound(u32::MAX), Duration::from_secs(1));
        for failed in 0..200 {
            assert!(backoff.delay(failed) <= backoff.bound(failed));
        }
        assert_eq!(
            Backoff::new().max_delay(Duration::MAX).bound(40).as_secs(),
            u64::from(u32::MAX) / 4
        );
    }

    #[test]
    fn delays_are_spread_over_the_whole_range() {
        let backoff = Backoff::new().first_delay(Duration::from_secs(1));
        let delays: Vec<f64> = (0..2_000).map(|_| backoff.delay(0).as_secs_f64()).collect();
        for quarter in 0..4 {
            let from = f64::from(quarter) / 4.0;
            let count = delays
                .iter()
                .filter(|at| (from..from + 0.25).contains(*at))
                .count();
            assert!((300..700).contains(&count), "{count} of 2000 from {from}");
        }
    }

    #[test]
    fn attempts_and_time_have_their_limits() {
        let backoff = Backoff::new()
            .max_attempts(2)
            .max_time(Duration::from_secs(9));
        assert!(!backoff.is_exhausted(1, Duration::from_secs(8)));
        assert!(backoff.is_exhausted(2, Duration::ZERO));
        assert!(backoff.is_exhausted(0, Duration::from_secs(9)));
        assert!(
            Backoff::new()
                .max_attempts(0)
                .is_exhausted(0, Duration::ZERO)
        );
        assert!(!Backoff::new().is_exhausted(u32::MAX, Duration::MAX));
    }
}
