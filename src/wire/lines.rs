//! Lines that a server sends (RFC 5321 §2.3.8, RFC 1939 §3).

use bytes::Bytes;
use memchr::memchr;

use super::receive::ReceiveBuffer;

/// A line is longer than it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Cuts the stream into lines. Each byte is looked at once, however the bytes arrive.
#[derive(Debug, Default)]
pub(crate) struct LineReader {
    /// How much of what waits has been looked at.
    scanned: usize,
}

impl LineReader {
    /// The next line without its line end, if all of it has come. An LF alone ends a line, too:
    /// some servers send it, and nothing depends on the difference here.
    pub(crate) fn next(
        &mut self,
        input: &mut ReceiveBuffer,
        limit: usize,
    ) -> Result<Option<Bytes>, TooLong> {
        let fresh = input.bytes().get(self.scanned..).unwrap_or_default();
        let Some(at) = memchr(b'\n', fresh) else {
            self.scanned = input.len();
            return if self.scanned > limit.saturating_add(2) {
                Err(TooLong)
            } else {
                Ok(None)
            };
        };
        let end = self.scanned + at;
        self.scanned = 0;
        let mut line = input.take(end + 1);
        line.truncate(end);
        if line.last() == Some(&b'\r') {
            line.truncate(end - 1);
        }
        if line.len() > limit {
            return Err(TooLong);
        }
        Ok(Some(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(stream: &[u8], step: usize, limit: usize) -> Result<Vec<Vec<u8>>, TooLong> {
        let mut input = ReceiveBuffer::new();
        let mut reader = LineReader::default();
        let mut found = Vec::new();
        for chunk in stream.chunks(step) {
            input.push(chunk);
            while let Some(line) = reader.next(&mut input, limit)? {
                found.push(line.to_vec());
            }
        }
        Ok(found)
    }

    #[test]
    fn lines_are_the_same_however_they_arrive() {
        let stream = b"220 a\r\n\r\n250-b\n250 \rc\r\r\nnot yet";
        for step in 1..=stream.len() {
            assert_eq!(
                lines(stream, step, 100).unwrap(),
                [&b"220 a"[..], b"", b"250-b", b"250 \rc\r"]
            );
        }
    }

    #[test]
    fn a_line_is_bounded_whether_it_ends_or_not() {
        for step in [1, 7, 100] {
            assert_eq!(lines(&[b'x'; 100], step, 20), Err(TooLong));
            assert_eq!(lines(b"0123456789012345678901\r\n", step, 20), Err(TooLong));
            assert!(lines(b"01234567890123456789\r\n", step, 20).is_ok());
        }
    }
}
