//! Messages that are made while they are sent.

use std::sync::Arc;

/// The number of bytes in a line of the body, CRLF included.
const LINE: usize = 80;
/// The lines of the body repeat after so many.
const LINES: usize = 512;

/// A message of any length whose bytes follow from its length and a seed.
///
/// It has a plain header and a body of lines of 80 bytes that repeat after 40 KiB. It is what
/// [`Message::synthetic`](crate::Message::synthetic) serves; a test makes its own to compare.
#[derive(Clone, Debug)]
pub struct Synthetic {
    len: u64,
    header: Arc<[u8]>,
    pattern: Arc<[u8]>,
}

impl Synthetic {
    /// The shortest synthetic message.
    pub const MIN_LEN: u64 = 512;
    /// As much of the message as its header is looked for in.
    pub(crate) const BEGINNING: usize = 4096;

    /// The message of `len` bytes for `seed`. A length below [`MIN_LEN`](Self::MIN_LEN) is raised
    /// to it.
    #[must_use]
    pub fn new(len: u64, seed: u64) -> Self {
        let header = format!(
            "From: Generator <generator@example.org>\r\nTo: Reader <reader@example.org>\r\n\
             Subject: synthetic {seed}\r\nDate: Mon, 1 Jan 2024 12:00:00 +0000\r\n\
             Message-ID: <synthetic-{seed}@example.org>\r\nMIME-Version: 1.0\r\n\
             Content-Type: text/plain; charset=us-ascii\r\n\r\n"
        );
        let mut pattern = Vec::with_capacity(LINE * LINES);
        let mut state = seed ^ 0x9E37_79B9_7F4A_7C15;
        for _ in 0..LINES {
            for _ in 0..LINE - 2 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let letter = u8::try_from((state >> 33) % 26).unwrap_or(0);
                pattern.push(b'a' + letter);
            }
            pattern.extend_from_slice(b"\r\n");
        }
        Self {
            len: len.max(Self::MIN_LEN),
            header: header.into_bytes().into(),
            pattern: pattern.into(),
        }
    }

    /// The length of the message in bytes.
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // it never is
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Fills `buffer` with the bytes from `offset` on; says how many there were.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let end = self.len.min(offset.saturating_add(buffer.len() as u64));
        let mut at = offset;
        let mut filled = 0;
        while at < end {
            let header = self.header.len() as u64;
            let source = if at < header {
                usize::try_from(at)
                    .ok()
                    .and_then(|at| self.header.get(at..))
            } else {
                let at = (at - header) % self.pattern.len() as u64;
                usize::try_from(at)
                    .ok()
                    .and_then(|at| self.pattern.get(at..))
            }
            .unwrap_or_default();
            let left = usize::try_from(end - at).unwrap_or(usize::MAX);
            let count = source.len().min(left);
            if let (Some(to), Some(from)) =
                (buffer.get_mut(filled..filled + count), source.get(..count))
            {
                to.copy_from_slice(from);
            }
            filled += count;
            at += count as u64;
        }
        filled
    }

    /// The number of lines in a body of `len` bytes.
    pub(crate) fn body_lines(len: u64) -> u64 {
        len / LINE as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_do_not_depend_on_how_they_are_read() {
        let synthetic = Synthetic::new(200_000, 7);
        let mut whole = vec![0; 200_000];
        assert_eq!(synthetic.read_at(0, &mut whole), 200_000);
        let mut pieces = Vec::new();
        let mut piece = vec![0; 977];
        while pieces.len() < whole.len() {
            let count = synthetic.read_at(pieces.len() as u64, &mut piece);
            pieces.extend_from_slice(&piece[..count]);
        }
        assert!(pieces == whole);
        assert_ne!(Synthetic::new(2000, 8).pattern, synthetic.pattern);
    }
}
