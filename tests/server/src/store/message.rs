//! Messages: where their bytes come from.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use chrono::{DateTime, FixedOffset, Utc};

use super::synthetic::Synthetic;
use crate::mime::Part;

/// A message to put into a mailbox.
#[derive(Clone, Debug)]
pub struct Message {
    pub(crate) content: Arc<Content>,
    pub(crate) flags: BTreeSet<String>,
    pub(crate) internal_date: DateTime<FixedOffset>,
}

impl Message {
    /// A message of these bytes. They are served as they are: lines should end in CRLF.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self::from_source(Source::Bytes(bytes.into()))
    }

    /// A small plain text message with this subject and text.
    #[must_use]
    pub fn text(subject: &str, text: &str) -> Self {
        let text = text.replace("\r\n", "\n").replace('\n', "\r\n");
        Self::new(format!(
            "From: Alice <alice@example.org>\r\nTo: Bob <bob@example.org>\r\n\
             Subject: {subject}\r\nDate: Mon, 1 Jan 2024 12:00:00 +0000\r\n\
             Message-ID: <{}@example.org>\r\nMIME-Version: 1.0\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n",
            subject.replace(|c: char| !c.is_ascii_alphanumeric(), "-")
        ))
    }

    /// A message of exactly `len` bytes (at least [`Synthetic::MIN_LEN`]) that is made while it
    /// is sent and never held in memory. [`Synthetic`] gives the same bytes for comparison.
    #[must_use]
    pub fn synthetic(len: u64, seed: u64) -> Self {
        Self::from_source(Source::Synthetic(Synthetic::new(len, seed)))
    }

    /// A message in a file, read when it is asked for. Bare LF is served as CRLF.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::from_source(Source::File(path.into()))
    }

    fn from_source(source: Source) -> Self {
        Self {
            content: Arc::new(Content::new(source)),
            flags: BTreeSet::new(),
            internal_date: DateTime::<Utc>::UNIX_EPOCH.fixed_offset()
                + chrono::TimeDelta::days(19_723),
        }
    }

    /// Sets a flag, such as `\Seen` or a keyword.
    #[must_use]
    pub fn flag(mut self, flag: &str) -> Self {
        self.flags.insert(canonical_flag(flag));
        self
    }

    /// Sets the internal date, in seconds since 1970 (UTC). Without it: 2024-01-01 00:00:00.
    #[must_use]
    pub fn internal_date(mut self, unix_seconds: i64) -> Self {
        if let Some(date) = DateTime::from_timestamp(unix_seconds, 0) {
            self.internal_date = date.fixed_offset();
        }
        self
    }
}

impl<T: Into<Vec<u8>>> From<T> for Message {
    fn from(bytes: T) -> Self {
        Self::new(bytes)
    }
}

/// The system flags in the RFC's spelling, keywords as they are.
pub(crate) fn canonical_flag(flag: &str) -> String {
    [
        "\\Answered",
        "\\Deleted",
        "\\Draft",
        "\\Flagged",
        "\\Seen",
        "\\Recent",
    ]
    .iter()
    .find(|system| system.eq_ignore_ascii_case(flag))
    .map_or_else(|| flag.to_owned(), |&system| system.to_owned())
}

#[derive(Debug)]
enum Source {
    Bytes(Vec<u8>),
    Synthetic(Synthetic),
    File(PathBuf),
}

/// The bytes of a message, shared by every mailbox that holds a copy.
#[derive(Debug)]
pub(crate) struct Content {
    source: Source,
    len: OnceLock<u64>,
    structure: OnceLock<Arc<Part>>,
}

/// Bytes that are in memory or were just brought there.
pub(crate) enum Loaded<'a> {
    Borrowed(&'a [u8]),
    Owned(Vec<u8>),
}

impl std::ops::Deref for Loaded<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }
}

impl Content {
    fn new(source: Source) -> Self {
        Self {
            source,
            len: OnceLock::new(),
            structure: OnceLock::new(),
        }
    }

    /// The size in octets; zero for a file that cannot be read.
    pub(crate) fn len(&self) -> u64 {
        *self.len.get_or_init(|| match &self.source {
            Source::Bytes(bytes) => bytes.len() as u64,
            Source::Synthetic(synthetic) => synthetic.len(),
            Source::File(_) => self.load().len() as u64,
        })
    }

    /// The MIME structure, with offsets into the message.
    pub(crate) fn structure(&self) -> Arc<Part> {
        Arc::clone(self.structure.get_or_init(|| {
            Arc::new(match &self.source {
                Source::Synthetic(synthetic) => Part::synthetic(&self.load(), synthetic.len()),
                _ => Part::parse(&self.load()),
            })
        }))
    }

    /// The whole message, except for a synthetic one: of that only the beginning.
    pub(crate) fn load(&self) -> Loaded<'_> {
        match &self.source {
            Source::Bytes(bytes) => Loaded::Borrowed(bytes),
            Source::Synthetic(synthetic) => {
                let len = usize::try_from(synthetic.len()).unwrap_or(usize::MAX);
                let mut bytes = vec![0; len.min(Synthetic::BEGINNING)];
                synthetic.read_at(0, &mut bytes);
                Loaded::Owned(bytes)
            }
            Source::File(path) => {
                let bytes = std::fs::read(path).unwrap_or_default();
                Loaded::Owned(with_crlf(bytes))
            }
        }
    }

    /// Hands `len` bytes from `offset` to `sink`, in pieces.
    pub(crate) fn stream(
        &self,
        offset: u64,
        len: u64,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        if let Source::Synthetic(synthetic) = &self.source {
            let mut block = vec![0; 64 << 10];
            let mut at = offset;
            let end = offset.saturating_add(len).min(synthetic.len());
            while at < end {
                let count = usize::try_from(end - at)
                    .unwrap_or(usize::MAX)
                    .min(block.len());
                let piece = block.get_mut(..count).unwrap_or_default();
                synthetic.read_at(at, piece);
                sink(piece)?;
                at += count as u64;
            }
            return Ok(());
        }
        let bytes = self.load();
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let end = usize::try_from(offset.saturating_add(len))
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        for piece in bytes.get(start..end).unwrap_or_default().chunks(64 << 10) {
            sink(piece)?;
        }
        Ok(())
    }
}

fn with_crlf(bytes: Vec<u8>) -> Vec<u8> {
    let mut last = 0;
    let mut bare = |byte: u8| {
        let is_bare = byte == b'\n' && last != b'\r';
        last = byte;
        is_bare
    };
    let count = bytes.iter().filter(|&&byte| bare(byte)).count();
    if count == 0 {
        return bytes;
    }
    let mut result = Vec::with_capacity(bytes.len() + count);
    let mut last = 0;
    for byte in bytes {
        if byte == b'\n' && last != b'\r' {
            result.push(b'\r');
        }
        result.push(byte);
        last = byte;
    }
    result
}
