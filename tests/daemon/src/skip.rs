//! Skipping tests where a server cannot be had, so that it is seen.

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How tests against one kind of server are left out.
#[derive(Debug)]
pub struct Skip {
    server: &'static str,
    variable: &'static str,
    count: AtomicUsize,
}

impl Skip {
    /// Tests against `server` are left out if the environment variable is `1`.
    #[must_use]
    pub const fn new(server: &'static str, variable: &'static str) -> Self {
        Self {
            server,
            variable,
            count: AtomicUsize::new(0),
        }
    }

    /// How many tests this process has left out.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether tests are to be left out; if so, the one that runs is counted, and a line on
    /// stderr says so.
    ///
    /// The line is written past the capture of test output, because nobody looks at the captured
    /// output of a test that passes.
    pub fn this_test(&self) -> bool {
        if std::env::var_os(self.variable).is_none_or(|value| value != "1") {
            return false;
        }
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("a test");
        let line = format!("skipped without {} ({count}): {test}\n", self.server);
        // A test binary whose stderr is gone has nobody to tell.
        let _ = std::io::stderr().write_all(line.as_bytes());
        true
    }
}
