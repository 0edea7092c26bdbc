//! Cuts the byte stream of an IMAP server into responses (RFC 9051 §2.2, §4.3).
//!
//! The framer alone decides where a response ends. It looks at each byte once, however the
//! bytes arrive, knows texts and literals only, and bounds both; what a response means is
//! left to the parser.

use bytes::{Bytes, BytesMut};
use memchr::memchr;

use super::frame::Frame;
use super::receive::ReceiveBuffer;

/// Literals one response may have.
const MAX_LITERALS: usize = 100_000;
/// Literals up to this size are taken in one piece, which may take a move of what has come of
/// them. Larger ones are put together when all of their bytes have come: one copy, and nothing is
/// allocated because of what was announced.
const IN_ONE_PIECE: usize = 32 * 1024;
/// How much of a refused response is kept to tell what it was.
const EXCERPT: usize = 256;

/// The bounds that a framer keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameLimits {
    /// Bytes of one response that are held in memory, message bodies left out.
    pub response: usize,
    /// Bytes of one literal that is not a message body.
    pub literal: usize,
    /// Body literals larger than this are streamed.
    pub stream_threshold: usize,
}

/// What the framer found.
#[derive(Debug)]
pub(crate) enum Framed {
    /// A whole response, or what precedes a streamed literal, or what follows one.
    Frame(Frame),
    /// Bytes of the streamed literal that the last frame announced.
    Chunk(Bytes),
    /// A response that exceeded a limit; it has been skipped to its end.
    Refused(Refused),
}

/// A response that exceeded a limit.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    /// Which limit: "response size", "literal size" or "number of literals".
    pub what: &'static str,
    /// Its value.
    pub limit: u64,
    /// The first bytes of the response.
    pub excerpt: Bytes,
    /// The response continued one of which a part was delivered already.
    pub continued: bool,
}

/// The stream cannot be framed any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a line that ends in LF without CR")]
    BareLineFeed,
    #[error("a literal whose size is not a number")]
    LiteralSize,
}

#[derive(Debug)]
enum State {
    /// Text up to the next CRLF.
    Text,
    /// A small literal that is kept in memory.
    Literal(usize),
    /// A larger one, with the pieces of it that have come; this many bytes are to come.
    Pieces(Vec<Bytes>, usize),
    /// A literal that is handed on as it comes; this many bytes are to come.
    Streaming(u64),
    /// A literal of a refused response.
    Skipping(u64),
}

#[derive(Debug)]
pub(crate) struct Framer {
    limits: FrameLimits,
    state: State,
    /// Bytes of the present text that have been searched for its end.
    scanned: usize,
    /// Where the present text was last looked at for quotes, and whether that was inside one.
    quote_scan: (usize, bool),
    texts: Vec<Bytes>,
    literals: Vec<Bytes>,
    /// Bytes held in `texts` and `literals`.
    held: usize,
    /// The present response began in an earlier frame.
    continued: bool,
    refused: Option<Refused>,
}

impl Framer {
    pub(crate) fn new(limits: FrameLimits) -> Self {
        Self {
            limits,
            state: State::Text,
            scanned: 0,
            quote_scan: (0, false),
            texts: Vec::new(),
            literals: Vec::new(),
            held: 0,
            continued: false,
            refused: None,
        }
    }

    /// Whether the stream stands between two responses.
    #[cfg(test)]
    pub(crate) fn at_boundary(&self) -> bool {
        matches!(self.state, State::Text)
            && self.texts.is_empty()
            && !self.continued
            && self.refused.is_none()
    }

    /// Takes the next thing out of `buffer`, or `None` where more bytes are needed.
    pub(crate) fn next(
        &mut self,
        buffer: &mut ReceiveBuffer,
    ) -> Result<Option<Framed>, FrameError> {
        loop {
            match &mut self.state {
                State::Text => match self.text(buffer)? {
                    Step::More => return Ok(None),
                    Step::Go => {}
                    Step::Found(framed) => return Ok(Some(framed)),
                },
                State::Literal(size) => {
                    let size = *size;
                    if buffer.len() < size {
                        if size <= IN_ONE_PIECE {
                            buffer.expect(size);
                            return Ok(None);
                        }
                        self.state = State::Pieces(Vec::new(), size);
                        continue;
                    }
                    self.literals.push(buffer.take(size));
                    self.state = State::Text;
                }
                State::Pieces(pieces, 0) => {
                    let size = pieces.iter().map(Bytes::len).sum();
                    let mut literal = BytesMut::with_capacity(size);
                    for piece in pieces.iter() {
                        literal.extend_from_slice(piece);
                    }
                    self.literals.push(literal.freeze());
                    self.state = State::Text;
                }
                State::Pieces(pieces, remaining) => {
                    // Few pieces: what is left of a chunk, and whole chunks.
                    let is_some = buffer.is_full() && !buffer.is_empty();
                    if buffer.len() < *remaining && !is_some {
                        return Ok(None);
                    }
                    let piece = buffer.take(*remaining);
                    *remaining -= piece.len();
                    pieces.push(piece);
                }
                State::Streaming(0) => {
                    self.state = State::Text;
                    self.continued = true;
                }
                State::Streaming(remaining) => {
                    let Some(chunk) = take_up_to(buffer, *remaining) else {
                        return Ok(None);
                    };
                    *remaining -= chunk.len() as u64;
                    return Ok(Some(Framed::Chunk(chunk)));
                }
                State::Skipping(0) => self.state = State::Text,
                State::Skipping(remaining) => {
                    let Some(chunk) = take_up_to(buffer, *remaining) else {
                        return Ok(None);
                    };
                    *remaining -= chunk.len() as u64;
                }
            }
        }
    }

    /// Looks for the end of the present text.
    fn text(&mut self, buffer: &mut ReceiveBuffer) -> Result<Step, FrameError> {
        let bytes = buffer.bytes();
        let found = memchr(b'\n', bytes.get(self.scanned..).unwrap_or_default());
        let Some(found) = found else {
            self.scanned = bytes.len();
            if self.refused.is_some() || self.held + bytes.len() > self.limits.response {
                self.drop_text(buffer);
            }
            return Ok(Step::More);
        };
        let end = self.scanned + found;
        self.scanned = end + 1;
        let has_return = end > 0 && bytes.get(end - 1) == Some(&b'\r');
        if !has_return {
            return if self.inside_quotes(bytes, end) {
                Ok(Step::Go)
            } else {
                Err(FrameError::BareLineFeed)
            };
        }
        let line = bytes.get(..end - 1).unwrap_or_default();
        let literal = if self.may_have_literals(line) {
            announced(line)?
        } else {
            None
        };
        if self.held + line.len() > self.limits.response {
            self.refuse("response size", self.limits.response, line);
        }
        if self.refused.is_some() {
            buffer.skip(end + 1);
            self.begin_text();
            return Ok(match literal {
                Some(size) => {
                    self.state = State::Skipping(size);
                    Step::Go
                }
                None => Step::Found(self.finish_refused()),
            });
        }
        self.line(buffer, end, literal)
    }

    /// Takes a line that ends at `end`, with the literal that it announces.
    fn line(
        &mut self,
        buffer: &mut ReceiveBuffer,
        end: usize,
        literal: Option<u64>,
    ) -> Result<Step, FrameError> {
        let mut text = buffer.take(end + 1);
        text.truncate(end - 1);
        self.begin_text();
        let Some(size) = literal else {
            return Ok(Step::Found(Framed::Frame(self.finish(text, None))));
        };
        let is_body = self.is_body_section(&text);
        let room = self.limits.response.saturating_sub(self.held + text.len());
        let memory = if is_body {
            self.limits.stream_threshold.min(room)
        } else {
            self.limits.literal.min(room)
        };
        match usize::try_from(size) {
            Ok(size) if size <= memory => {
                if self.literals.len() >= MAX_LITERALS {
                    self.refuse("number of literals", MAX_LITERALS, &text);
                    self.state = State::Skipping(size as u64);
                    return Ok(Step::Go);
                }
                self.held += text.len() + size;
                self.texts.push(text);
                self.state = State::Literal(size);
                Ok(Step::Go)
            }
            _ if is_body => {
                self.state = State::Streaming(size);
                Ok(Step::Found(Framed::Frame(self.finish(text, Some(size)))))
            }
            _ => {
                self.refuse("literal size", self.limits.literal.min(room), &text);
                self.state = State::Skipping(size);
                Ok(Step::Go)
            }
        }
    }

    fn begin_text(&mut self) {
        self.scanned = 0;
        self.quote_scan = (0, false);
    }

    /// Puts the parts of a response together and begins the next one.
    fn finish(&mut self, last: Bytes, open_literal: Option<u64>) -> Frame {
        self.held = 0;
        self.continued = false;
        let mut texts = self.texts.drain(..);
        let Some(head) = texts.next() else {
            return Frame {
                head: last,
                rest: Vec::new(),
                open_literal,
            };
        };
        let after = texts.chain(std::iter::once(last));
        Frame {
            head,
            rest: self.literals.drain(..).zip(after).collect(),
            open_literal,
        }
    }

    fn refuse(&mut self, what: &'static str, limit: usize, text: &[u8]) {
        let first = self.texts.first().map_or(text, |head| head.as_ref());
        let excerpt = first.get(..EXCERPT).unwrap_or(first);
        self.refused.get_or_insert(Refused {
            what,
            limit: limit as u64,
            excerpt: Bytes::copy_from_slice(excerpt),
            continued: self.continued,
        });
        self.texts.clear();
        self.literals.clear();
        self.held = 0;
    }

    fn finish_refused(&mut self) -> Framed {
        self.continued = false;
        match self.refused.take() {
            Some(refused) => Framed::Refused(refused),
            None => Framed::Frame(Frame::default()),
        }
    }

    /// Drops what has come of a text that is too long. The last bytes stay: they may be half
    /// of the line's end or of an announcement.
    fn drop_text(&mut self, buffer: &mut ReceiveBuffer) {
        const KEEP: usize = 32;
        if self.refused.is_none() {
            let bytes = buffer.bytes();
            let excerpt = bytes.get(..EXCERPT).unwrap_or(bytes).to_vec();
            self.refuse("response size", self.limits.response, &excerpt);
        }
        let drop = buffer.len().saturating_sub(KEEP);
        buffer.skip(drop);
        self.scanned = buffer.len();
        self.quote_scan = (0, self.quote_scan.1);
    }

    /// Whether the position `end` of the text lies inside a quoted string.
    fn inside_quotes(&mut self, bytes: &[u8], end: usize) -> bool {
        let (from, mut quoted) = self.quote_scan;
        let mut rest = bytes.get(from..end).unwrap_or_default().iter();
        while let Some(byte) = rest.next() {
            match byte {
                b'"' => quoted = !quoted,
                b'\\' if quoted => {
                    rest.next();
                }
                _ => {}
            }
        }
        self.quote_scan = (end, quoted);
        quoted
    }

    /// Status responses and continuation requests end in free text, in which a `{5}` at the
    /// end of the line is text (RFC 9051 §9: resp-text has no literals).
    fn may_have_literals(&self, line: &[u8]) -> bool {
        if self.continued || !self.texts.is_empty() || self.refused.is_some() {
            return true;
        }
        let mut words = line
            .split(|byte| *byte == b' ')
            .filter(|word| !word.is_empty());
        if words.next() != Some(b"*") {
            return false;
        }
        let Some(word) = words.next() else {
            return false;
        };
        ![&b"OK"[..], b"NO", b"BAD", b"BYE", b"PREAUTH"]
            .iter()
            .any(|status| word.eq_ignore_ascii_case(status))
    }

    /// Whether `text` ends in the announcement of a body section's literal in a FETCH.
    fn is_body_section(&self, text: &[u8]) -> bool {
        let first = self.texts.first().map_or(text, |head| head.as_ref());
        if !self.continued && !is_fetch(first) {
            return false;
        }
        let Some(brace) = text.iter().rposition(|byte| *byte == b'{') else {
            return false;
        };
        let before = text.get(..brace).unwrap_or_default();
        let before = before.strip_suffix(b"~").unwrap_or(before).trim_ascii_end();
        if before.ends_with(b"]") || before.ends_with(b">") {
            return true;
        }
        let start = before
            .iter()
            .rposition(|byte| matches!(byte, b' ' | b'('))
            .map_or(0, |at| at + 1);
        let name = before.get(start..).unwrap_or_default();
        [&b"RFC822"[..], b"RFC822.TEXT", b"RFC822.HEADER"]
            .iter()
            .any(|item| name.eq_ignore_ascii_case(item))
    }
}

enum Step {
    More,
    Go,
    Found(Framed),
}

fn take_up_to(buffer: &mut ReceiveBuffer, remaining: u64) -> Option<Bytes> {
    if buffer.is_empty() {
        return None;
    }
    let count = usize::try_from(remaining).unwrap_or(usize::MAX);
    Some(buffer.take(count))
}

/// `* 12 FETCH (...`
fn is_fetch(text: &[u8]) -> bool {
    let mut words = text
        .split(|byte| *byte == b' ')
        .filter(|word| !word.is_empty());
    words.next() == Some(b"*")
        && words
            .next()
            .is_some_and(|w| w.iter().all(u8::is_ascii_digit))
        && words
            .next()
            .is_some_and(|w| w.eq_ignore_ascii_case(b"FETCH"))
}

/// The size of the literal that a text ends in: `{5}`, `{5+}`, `~{5}`.
fn announced(text: &[u8]) -> Result<Option<u64>, FrameError> {
    let Some(inner) = text.strip_suffix(b"}") else {
        return Ok(None);
    };
    let Some(brace) = inner.iter().rposition(|byte| *byte == b'{') else {
        return Ok(None);
    };
    let digits = inner.get(brace + 1..).unwrap_or_default();
    let digits = digits.strip_suffix(b"+").unwrap_or(digits);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Ok(None);
    }
    std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| digits.parse::<u64>().ok())
        .filter(|size| *size <= i64::MAX as u64)
        .map(Some)
        .ok_or(FrameError::LiteralSize)
}

#[cfg(test)]
#[path = "framer_tests.rs"]
mod tests;
