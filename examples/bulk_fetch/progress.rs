//! The progress bar: messages, bytes and rate, on a terminal only.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{BinaryBytes, ProgressBar, ProgressFinish, ProgressState, ProgressStyle};

/// Counts what has been fetched, and shows it until it is dropped.
pub(crate) struct Progress {
    bar: ProgressBar,
    bytes: Arc<AtomicU64>,
}

impl Progress {
    /// Begins a job of so many messages. Nothing is shown if stderr is not a terminal.
    pub(crate) fn new(messages: u64) -> Self {
        let bytes = Arc::new(AtomicU64::new(0));
        let (received, rate) = (Arc::clone(&bytes), Arc::clone(&bytes));
        let style = ProgressStyle::with_template(
            "{bar:30} {pos}/{len} messages, {received}, {rate}, {eta} left",
        )
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key(
            "received",
            move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = write!(out, "{}", BinaryBytes(received.load(Ordering::Relaxed)));
            },
        )
        .with_key(
            "rate",
            move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let bytes = rate.load(Ordering::Relaxed) as f64;
                let rate = bytes / state.elapsed().as_secs_f64().max(0.001);
                let _ = write!(out, "{}/s", BinaryBytes(rate as u64));
            },
        );
        let bar = ProgressBar::new(messages)
            .with_style(style)
            .with_finish(ProgressFinish::AndClear);
        if !bar.is_hidden() {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Self { bar, bytes }
    }

    /// Some bytes of a message have come.
    pub(crate) fn received(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// A message has been written.
    pub(crate) fn saved(&self) {
        self.bar.inc(1);
    }

    /// Prints a line to stderr without spoiling the bar.
    pub(crate) fn warn(&self, text: &str) {
        self.bar.suspend(|| eprintln!("bulk_fetch: {text}"));
    }

    /// Ends the bar: messages, bytes and time so far.
    pub(crate) fn finish(self) -> (u64, u64, Duration) {
        let bytes = self.bytes.load(Ordering::Relaxed);
        (self.bar.position(), bytes, self.bar.elapsed())
    }
}
