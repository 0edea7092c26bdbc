//! The progress bar, on a terminal only.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

/// Counts the messages that are done with, and shows it until it is dropped.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Begins a job of so many messages. Nothing is shown if stderr is not a terminal.
    pub(crate) fn new(messages: usize) -> Self {
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} messages, {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(messages as u64)
            .with_style(style)
            .with_finish(ProgressFinish::AndClear);
        if !bar.is_hidden() {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Self(bar)
    }

    /// So many more messages have been sent or have failed.
    pub(crate) fn done(&self, messages: u64) {
        self.0.inc(messages);
    }

    /// Ends the bar: the time so far.
    pub(crate) fn finish(self) -> Duration {
        self.0.elapsed()
    }
}
