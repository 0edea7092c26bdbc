//! Skipping tests where Dovecot cannot be had, so that it is seen.

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The environment variable that, set to `1`, turns a missing Dovecot from a failure into a skip.
pub const WITHOUT_DOVECOT: &str = "MAILPOOL_WITHOUT_DOVECOT";

static SKIPPED: AtomicUsize = AtomicUsize::new(0);

/// How many times this process has skipped a test for want of Dovecot.
pub fn skipped() -> usize {
    SKIPPED.load(Ordering::Relaxed)
}

/// Whether tests against Dovecot are to be left out.
pub(crate) fn wanted() -> bool {
    std::env::var_os(WITHOUT_DOVECOT).is_some_and(|value| value == "1")
}

/// Counts the running test as skipped and says so.
///
/// The line is written past the capture of test output, because nobody looks at the captured
/// output of a test that passes.
pub(crate) fn announce() {
    let count = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let line = format!("skipped without Dovecot ({count}): {test}\n");
    // A test binary whose stderr is gone has nobody to tell.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
