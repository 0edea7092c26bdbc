//! A message on its way out: clean lines, no Bcc, dots that can be doubled without a further look.
//!
//! ```text
//!  message ──► header without Bcc ──► line endings ──► pieces ──► DATA: dots doubled
//!                                                            └──► BDAT: as they are
//! ```
//! Only a CRLF ends a line here, and a line that begins with a dot has it doubled under DATA. So
//! nothing in a message can be taken for its end, whatever the next server thinks of a CR or an
//! LF that stands alone (RFC 5321 §2.3.8, §4.5.2).

use bytes::{Bytes, BytesMut};
use memchr::{memchr, memchr2_iter};

use super::send::SendBuffer;

/// The longest header section that is looked through for Bcc, in bytes.
const MAX_HEADER: usize = 1024 * 1024;

/// What is done to the lines of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lines {
    /// A CR or LF that stands alone becomes CRLF.
    Normalise,
    /// It is refused, and so is NUL.
    Refuse,
    /// Nothing: the message is not text.
    Binary,
}

/// What a message has that cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unclean {
    #[error("has a CR or LF that is no part of a CRLF")]
    BareLineEnd,
    #[error("contains NUL")]
    Nul,
    #[error("has a header of more than 1 MiB")]
    LongHeader,
}

/// A part of a message as it goes out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Piece {
    bytes: Bytes,
    /// Where lines begin with a dot.
    dots: Vec<usize>,
    /// It has bytes beyond ASCII.
    pub eight_bit: bool,
    /// It has NUL bytes.
    pub nul: bool,
}

impl Piece {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// As it is.
    pub(crate) fn put(&self, output: &mut SendBuffer) {
        output.put_shared(&self.bytes);
    }

    /// With the dots doubled that begin a line.
    pub(crate) fn put_stuffed(&self, output: &mut SendBuffer) {
        let mut from = 0;
        for dot in &self.dots {
            output.put_shared(&self.bytes.slice(from..*dot));
            output.put(b".");
            from = *dot;
        }
        output.put_shared(&self.bytes.slice(from..));
    }
}

/// A whole message, ready to go out any number of times.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prepared {
    pub pieces: Vec<Piece>,
    /// Its size in bytes, without doubled dots (RFC 1870 §3).
    pub len: u64,
    pub eight_bit: bool,
    pub nul: bool,
}

impl Prepared {
    pub(crate) fn new(message: Bytes, lines: Lines) -> Result<Self, Unclean> {
        let mut cleaner = Cleaner::new(lines);
        let mut pieces = Vec::new();
        cleaner.push(message, &mut pieces)?;
        cleaner.finish(&mut pieces)?;
        Ok(Self {
            len: pieces.iter().map(|piece| piece.len() as u64).sum(),
            eight_bit: pieces.iter().any(|piece| piece.eight_bit),
            nul: pieces.iter().any(|piece| piece.nul),
            pieces,
        })
    }
}

/// Makes pieces of a message that comes in chunks.
#[derive(Debug)]
pub(crate) struct Cleaner {
    lines: Lines,
    /// What has come of the header section, as long as that has not ended.
    header: Option<BytesMut>,
    /// The last byte was a CR: what follows decides.
    after_cr: bool,
    at_line_start: bool,
}

impl Cleaner {
    pub(crate) fn new(lines: Lines) -> Self {
        Self {
            lines,
            header: Some(BytesMut::new()),
            after_cr: false,
            at_line_start: true,
        }
    }

    /// Takes the next chunk. In memory that is in order already nothing is copied.
    pub(crate) fn push(&mut self, mut chunk: Bytes, out: &mut Vec<Piece>) -> Result<(), Unclean> {
        let Some(header) = &mut self.header else {
            return self.push_text(&chunk, out);
        };
        if header.is_empty() {
            if let Some(end) = header_end(&chunk) {
                self.header = None;
                let header = chunk.split_to(end);
                self.push_text(&without_bcc(header), out)?;
                return self.push_text(&chunk, out);
            }
        }
        header.extend_from_slice(&chunk);
        if let Some(end) = header_end(header) {
            let mut whole = std::mem::take(header).freeze();
            self.header = None;
            let header = whole.split_to(end);
            self.push_text(&without_bcc(header), out)?;
            return self.push_text(&whole, out);
        }
        if header.len() > MAX_HEADER {
            return Err(Unclean::LongHeader);
        }
        Ok(())
    }

    /// The message is over. One that does not end with a line end gets one.
    pub(crate) fn finish(&mut self, out: &mut Vec<Piece>) -> Result<(), Unclean> {
        if let Some(header) = self.header.take() {
            self.push_text(&without_bcc(header.freeze()), out)?;
        }
        if self.after_cr {
            if self.lines == Lines::Refuse {
                return Err(Unclean::BareLineEnd);
            }
            self.add(Bytes::from_static(b"\r\n"), out);
        } else if !self.at_line_start && self.lines != Lines::Binary {
            self.add(Bytes::from_static(b"\r\n"), out);
        }
        Ok(())
    }

    fn push_text(&mut self, chunk: &Bytes, out: &mut Vec<Piece>) -> Result<(), Unclean> {
        if chunk.is_empty() {
            return Ok(());
        }
        if self.lines == Lines::Binary {
            self.add(chunk.clone(), out);
            return Ok(());
        }
        if self.lines == Lines::Refuse && memchr(0, chunk).is_some() {
            return Err(Unclean::Nul);
        }
        // A CR at the end waits for the next chunk, as one from the last chunk has waited.
        let waited = std::mem::replace(&mut self.after_cr, chunk.last() == Some(&b'\r'));
        let kept = chunk.slice(..chunk.len() - usize::from(self.after_cr));
        let in_order = !waited && line_ends(&kept).all(|end| end.is_crlf);
        if in_order {
            self.add(kept, out);
            return Ok(());
        }
        let followed = waited && chunk.first() == Some(&b'\n');
        let bare = line_ends(&kept)
            .skip(usize::from(followed))
            .any(|end| !end.is_crlf);
        if self.lines == Lines::Refuse && (bare || waited && !followed) {
            return Err(Unclean::BareLineEnd);
        }
        let mut text = BytesMut::with_capacity(kept.len() + kept.len() / 16 + 2);
        if waited {
            text.extend_from_slice(b"\r\n");
        }
        let mut from = usize::from(followed);
        for end in line_ends(&kept).skip(from) {
            text.extend_from_slice(kept.get(from..end.start).unwrap_or_default());
            text.extend_from_slice(b"\r\n");
            from = end.end;
        }
        text.extend_from_slice(kept.get(from..).unwrap_or_default());
        self.add(text.freeze(), out);
        Ok(())
    }

    /// Notes a piece that is in order.
    fn add(&mut self, bytes: Bytes, out: &mut Vec<Piece>) {
        if bytes.is_empty() {
            return;
        }
        let mut dots = Vec::new();
        if self.lines != Lines::Binary {
            if self.at_line_start && bytes.first() == Some(&b'.') {
                dots.push(0);
            }
            let starts = memchr::memchr_iter(b'\n', &bytes).map(|at| at + 1);
            dots.extend(starts.filter(|start| bytes.get(*start) == Some(&b'.')));
        }
        self.at_line_start = bytes.last() == Some(&b'\n');
        out.push(Piece {
            eight_bit: !bytes.is_ascii(),
            nul: memchr(0, &bytes).is_some(),
            dots,
            bytes,
        });
    }
}

/// Where a line ends, in whatever way.
struct LineEnd {
    start: usize,
    end: usize,
    is_crlf: bool,
}

fn line_ends(bytes: &[u8]) -> impl Iterator<Item = LineEnd> {
    let mut passed = 0;
    memchr2_iter(b'\r', b'\n', bytes).filter_map(move |at| {
        if at < passed {
            // The LF of a CRLF.
            return None;
        }
        let is_crlf = bytes.get(at..at + 2) == Some(b"\r\n");
        passed = at + 1 + usize::from(is_crlf);
        Some(LineEnd {
            start: at,
            end: passed,
            is_crlf,
        })
    })
}

/// Where the header section ends: behind the first empty line.
fn header_end(bytes: &[u8]) -> Option<usize> {
    let mut line = 0;
    for end in line_ends(bytes) {
        // A CR at the very end may be half of a line end.
        let is_whole = end.is_crlf || bytes.get(end.start) == Some(&b'\n');
        if end.start == line && (is_whole || end.end < bytes.len()) {
            return Some(end.end);
        }
        line = end.end;
    }
    None
}

/// The header section without Bcc and Resent-Bcc (RFC 5322 §3.6.3, §3.6.6).
fn without_bcc(header: Bytes) -> Bytes {
    let mut kept: Option<BytesMut> = None;
    let mut dropping = false;
    let mut start = 0;
    let ends = line_ends(&header).map(|end| end.end);
    for end in ends.chain(std::iter::once(header.len())) {
        let line = header.get(start..end).unwrap_or_default();
        if !matches!(line.first(), Some(b' ' | b'\t')) {
            dropping = is_bcc(line);
        }
        if dropping && kept.is_none() {
            kept = header.get(..start).map(BytesMut::from);
        } else if let (Some(kept), false) = (&mut kept, dropping) {
            kept.extend_from_slice(line);
        }
        start = end;
    }
    kept.map_or(header, BytesMut::freeze)
}

fn is_bcc(line: &[u8]) -> bool {
    let Some(colon) = memchr(b':', line) else {
        return false;
    };
    let name = line.get(..colon).unwrap_or_default().trim_ascii_end();
    name.eq_ignore_ascii_case(b"bcc") || name.eq_ignore_ascii_case(b"resent-bcc")
}

#[cfg(test)]
#[path = "outgoing_tests.rs"]
mod tests;
