//! What the library logs.
//!
//! A process has one logger, and many tests run beside each other: each looks at the lines with
//! a text that no other test's lines have, the host as nobody else spells it.

use std::sync::{Arc, Mutex, Once, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};

/// A line, and how loud it is.
pub(crate) type Line = (Level, String);

/// Somebody who looks at the lines with a text.
type Reader = (&'static str, Arc<Mutex<Vec<Line>>>);

static READERS: Mutex<Vec<Reader>> = Mutex::new(Vec::new());

struct Collector;

impl Log for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("mailpool::")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let readers = READERS.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.is_empty() {
            return;
        }
        let text = record.args().to_string();
        for (_, lines) in readers.iter().filter(|(with, _)| text.contains(with)) {
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines.push((record.level(), text.clone()));
        }
    }

    fn flush(&self) {}
}

/// The lines that are logged from now on with a certain text.
pub(crate) struct Lines(Arc<Mutex<Vec<Line>>>);

impl Lines {
    pub(crate) fn with(text: &'static str) -> Self {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| {
            log::set_logger(&Collector).expect("no other logger");
            log::set_max_level(LevelFilter::Trace);
        });
        let lines: Arc<Mutex<Vec<Line>>> = Arc::default();
        READERS
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((text, Arc::clone(&lines)));
        Self(lines)
    }

    /// The lines up to now.
    pub(crate) fn all(&self) -> Vec<Line> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How many lines with `text` there are.
    pub(crate) fn count(&self, text: &str) -> usize {
        self.all()
            .iter()
            .filter(|(_, line)| line.contains(text))
            .count()
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        READERS
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|(_, lines)| !Arc::ptr_eq(lines, &self.0));
    }
}
