//! The content of a message: where it ends, what is kept of it, what is wrong with it.

use std::collections::BTreeMap;

use memchr::{memchr, memchr2_iter, memmem};
use sha2::{Digest as _, Sha256};

use crate::counters::ViolationKind;
use crate::store::{Body, Message};

/// The longest line of text, CRLF included (RFC 5321 section 4.5.3.1.6).
const MAX_TEXT_LINE: usize = 1000;
/// As much of what is wrong is shown.
const SAMPLE: usize = 40;

/// Where the unstuffing of dots is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// At the beginning, or behind CRLF.
    #[default]
    LineStart,
    /// Behind a dot at the beginning of a line.
    Dot,
    /// Behind a dot at the beginning of a line, and CR.
    DotCr,
    Text,
    /// Behind CR.
    Cr,
}

/// Finds the end of the data and takes the stuffed dots out (RFC 5321 section 4.5.2). A line ends
/// at CRLF and nowhere else, and so does the data: at CRLF, dot, CRLF.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unstuffer {
    at: At,
}

impl Unstuffer {
    /// Hands the content in `input` to `sink`, byte for byte; says how much of the input was
    /// used, and whether the data has ended.
    pub(super) fn push(&mut self, input: &[u8], mut sink: impl FnMut(&[u8])) -> (usize, bool) {
        let mut used = 0;
        while let Some(&byte) = input.get(used) {
            let rest = input.get(used..).unwrap_or_default();
            match (self.at, byte) {
                (At::LineStart, b'.') => {
                    self.at = At::Dot;
                    used += 1;
                }
                (At::Dot, b'\r') => {
                    self.at = At::DotCr;
                    used += 1;
                }
                (At::DotCr, b'\n') => return (used + 1, true),
                (At::DotCr, _) => {
                    sink(b"\r");
                    self.at = At::Text;
                }
                (At::Cr, b'\n') => {
                    sink(b"\n");
                    self.at = At::LineStart;
                    used += 1;
                }
                (At::LineStart | At::Dot | At::Cr, _) => self.at = At::Text,
                (At::Text, _) => {
                    let count = if let Some(end) = memmem::find(rest, b"\r\n.") {
                        self.at = At::LineStart;
                        end + 2
                    } else {
                        self.at = match rest {
                            [.., b'\r', b'\n'] => At::LineStart,
                            [.., b'\r'] => At::Cr,
                            _ => At::Text,
                        };
                        rest.len()
                    };
                    sink(rest.get(..count).unwrap_or_default());
                    used += count;
                }
            }
        }
        (used, false)
    }
}

/// Looks for what a text may not contain (RFC 5321 section 2.3.8, 4.5.3.1.6).
#[derive(Debug, Default)]
struct TextCheck {
    eight_bit: bool,
    after_cr: bool,
    line: usize,
    found: BTreeMap<ViolationKind, Vec<u8>>,
}

impl TextCheck {
    fn push(&mut self, piece: &[u8]) {
        if !self.eight_bit && !piece.is_ascii() {
            let at = piece.iter().position(|byte| !byte.is_ascii()).unwrap_or(0);
            self.note(ViolationKind::EightBit, piece, at);
        }
        if let Some(at) = memchr(0, piece) {
            self.note(ViolationKind::Nul, piece, at);
        }
        let mut start = 0;
        for at in memchr2_iter(b'\r', b'\n', piece) {
            self.text(at - start, piece, start);
            let is_lf = piece.get(at) == Some(&b'\n');
            match (is_lf, self.after_cr) {
                (true, true) => {
                    if self.line + 2 > MAX_TEXT_LINE {
                        self.note(ViolationKind::LongLine, piece, start);
                    }
                    self.line = 0;
                }
                (true, false) => {
                    self.note(ViolationKind::BareLf, piece, at);
                    self.line += 1;
                }
                (false, true) => {
                    self.note(ViolationKind::BareCr, piece, at);
                    self.line += 1;
                }
                (false, false) => {}
            }
            self.after_cr = !is_lf;
            start = at + 1;
        }
        self.text(piece.len() - start, piece, start);
    }

    /// So many bytes that are neither CR nor LF.
    fn text(&mut self, count: usize, piece: &[u8], at: usize) {
        if count > 0 && std::mem::take(&mut self.after_cr) {
            self.note(ViolationKind::BareCr, piece, at);
            self.line += 1;
        }
        self.line += count;
    }

    fn end(&mut self) {
        if self.after_cr {
            self.note(ViolationKind::BareCr, b"\r", 0);
        }
    }

    fn note(&mut self, kind: ViolationKind, piece: &[u8], at: usize) {
        self.found.entry(kind).or_insert_with(|| {
            let rest = piece
                .get(at.saturating_sub(SAMPLE / 2)..)
                .unwrap_or_default();
            rest.get(..SAMPLE).unwrap_or(rest).to_vec()
        });
    }
}

#[derive(Debug)]
enum Keep {
    All(Vec<u8>),
    Digest(Box<Sha256>),
}

/// The content of one message as it comes in.
#[derive(Debug)]
pub(super) struct Content {
    keep: Keep,
    check: Option<TextCheck>,
    /// The length that is taken.
    limit: u64,
    pub(super) len: u64,
}

impl Content {
    pub(super) fn new(limit: u64, digest_only: bool) -> Self {
        Self {
            keep: if digest_only {
                Keep::Digest(Box::default())
            } else {
                Keep::All(Vec::new())
            },
            check: None,
            limit,
            len: 0,
        }
    }

    /// Has the content checked as text.
    pub(super) fn text(mut self, eight_bit: bool) -> Self {
        self.check = Some(TextCheck {
            eight_bit,
            ..TextCheck::default()
        });
        self
    }

    pub(super) fn push(&mut self, piece: &[u8]) {
        self.len += piece.len() as u64;
        if let Some(check) = &mut self.check {
            check.push(piece);
        }
        match &mut self.keep {
            // What is refused is not kept.
            Keep::All(bytes) if self.len > self.limit => *bytes = Vec::new(),
            Keep::All(bytes) => bytes.extend_from_slice(piece),
            Keep::Digest(digest) => digest.update(piece),
        }
    }

    pub(super) fn is_too_big(&self) -> bool {
        self.len > self.limit
    }

    /// What is left of the content, and what was wrong with it.
    pub(super) fn finish(self) -> (Body, BTreeMap<ViolationKind, Vec<u8>>) {
        let body = match self.keep {
            Keep::All(bytes) => Body::Kept(Message::new(bytes)),
            Keep::Digest(digest) => Body::Digest(digest.finalize().into()),
        };
        let mut check = self.check.unwrap_or_default();
        check.end();
        (body, check.found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Unstuffs in pieces of `size`; the content, and how much of the input was used if the data
    /// ended.
    fn unstuff(input: &[u8], size: usize) -> (Vec<u8>, Option<usize>) {
        let mut unstuffer = Unstuffer::default();
        let mut content = Vec::new();
        let mut total = 0;
        for piece in input.chunks(size) {
            let (used, ended) = unstuffer.push(piece, |bytes| content.extend_from_slice(bytes));
            total += used;
            if ended {
                return (content, Some(total));
            }
            assert_eq!(used, piece.len());
        }
        (content, None)
    }

    #[test]
    fn data_ends_at_a_dot_between_two_crlf_only() {
        for (input, content, used) in [
            (&b".\r\nQUIT"[..], &b""[..], Some(3)),
            (b"a\r\n.\r\nQUIT", b"a\r\n", Some(6)),
            (b"a\r\n..\r\n.\r\n", b"a\r\n.\r\n", Some(10)),
            (b"..a\r\n...\r\n.b\r\n.\r\n", b".a\r\n..\r\nb\r\n", Some(17)),
            (b"\r\n\r\n.\r\n", b"\r\n\r\n", Some(7)),
            (b"a\n.\n", b"a\n.\n", None),
            (b"a\n.\r\n", b"a\n.\r\n", None),
            (b"a\r.\r\n", b"a\r.\r\n", None),
            (b"a\r.\r", b"a\r.\r", None),
            (b"a\r\n.\n", b"a\r\n\n", None),
            (b"a\r\n.\rb", b"a\r\n\rb", None),
            (b"a\r\n.\r.\r\n", b"a\r\n\r.\r\n", None),
            (b"a\r\n\0.\r\n", b"a\r\n\0.\r\n", None),
            (b"a\n\n.\r\n", b"a\n\n.\r\n", None),
            (b"a\r\n.\r\r\n.\r\n", b"a\r\n\r\r\n", Some(10)),
            (b"a\r\r\n.\r\n", b"a\r\r\n", Some(7)),
        ] {
            for size in 1..=input.len() {
                let shown = input.escape_ascii().to_string();
                let expected = (content.to_vec(), used);
                assert_eq!(unstuff(input, size), expected, "{shown} in {size}");
            }
        }
    }

    #[test]
    fn what_is_no_text_is_found_once() {
        use ViolationKind::{BareCr, BareLf, EightBit, LongLine, Nul};
        let long = [&[b'x'; 999][..], b"\r\n"].concat();
        for (input, expected) in [
            (&b"a\r\nb\r\n"[..], &[][..]),
            (b"a\nb\nc", &[BareLf]),
            (b"a\rb", &[BareCr]),
            (b"a\r", &[BareCr]),
            (b"a\r\r\n", &[BareCr]),
            (b"a\n\r", &[BareCr, BareLf]),
            (b"\0\xff\r\n", &[Nul, EightBit]),
            (&long, &[LongLine]),
            (long.get(1..).unwrap(), &[]),
        ] {
            for size in [1, 2, 3, input.len()] {
                let mut content = Content::new(u64::MAX, false).text(false);
                for piece in input.chunks(size) {
                    content.push(piece);
                }
                let (body, found) = content.finish();
                let found: Vec<_> = found.into_keys().collect();
                assert_eq!(found, expected, "{}", input.escape_ascii());
                assert_eq!(&*body.message().unwrap().content.load(), input);
            }
        }
    }
}
