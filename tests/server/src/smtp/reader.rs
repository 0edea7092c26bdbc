//! Lines, and the content between them.

use std::io;

use super::content::{Content, Unstuffer};
use super::request::MAX_AUTH_LINE;
use super::session::Session;
use crate::faults::Place;

impl Session {
    /// The next line without its CRLF; `None` at the end of the stream. Of a line that is far too
    /// long only as much is kept as shows that it is.
    pub(super) fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let mut scanned: usize = 0;
        loop {
            let input = self.stream.input();
            let from = scanned.saturating_sub(1);
            let end = memchr::memmem::find(input.get(from..).unwrap_or_default(), b"\r\n");
            if let Some(end) = end {
                let rest = self.stream.take(from + end + 2);
                line.extend_from_slice(rest.strip_suffix(b"\r\n").unwrap_or_default());
                return Ok(Some(line));
            }
            scanned = input.len();
            if scanned > 2 * MAX_AUTH_LINE {
                // The last byte can be half of a CRLF.
                let beginning = self.stream.take(scanned - 1);
                if line.is_empty() {
                    line = beginning;
                }
                scanned = 1;
            }
            if !self.wait_for_input()? {
                return Ok(None);
            }
        }
    }

    /// Reads the content of a message to the final dot; `false` at the end of the stream.
    pub(super) fn read_data(&mut self, content: &mut Content) -> io::Result<bool> {
        let mut unstuffer = Unstuffer::default();
        loop {
            let before = content.len;
            let (used, ended) = unstuffer.push(self.stream.input(), |piece| content.push(piece));
            self.stream.discard(used);
            self.reach(Place::Content(before, content.len))?;
            if ended {
                return Ok(true);
            }
            if !self.wait_for_input()? {
                return Ok(false);
            }
        }
    }

    /// Reads a chunk of a message; `false` at the end of the stream. Without a place for it the
    /// chunk is passed over.
    pub(super) fn read_chunk(
        &mut self,
        len: u64,
        mut content: Option<&mut Content>,
    ) -> io::Result<bool> {
        let mut left = len;
        while left > 0 {
            let input = self.stream.input();
            let count = input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            if let Some(content) = content.as_deref_mut() {
                let before = content.len;
                content.push(input.get(..count).unwrap_or_default());
                let after = content.len;
                self.stream.discard(count);
                self.reach(Place::Content(before, after))?;
            } else {
                self.stream.discard(count);
            }
            left -= count as u64;
            if left > 0 && !self.wait_for_input()? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
