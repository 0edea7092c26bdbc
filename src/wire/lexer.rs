//! Tokens of a framed IMAP response (RFC 9051 §9).
//!
//! A [`Lexer`] is a cursor over a [`Frame`]. It reads atoms, strings, numbers and
//! parentheses where the caller's grammar expects them; what the tokens mean is the
//! business of the layer above. Strings come out as reference-counted slices of the
//! frame: only a quoted string that really contains an escaped `"` or `\` is copied.
//!
//! What servers do in practice is read as it is meant: runs of spaces count as one
//! space, atoms and quoted strings may hold bytes that the grammar forbids, and a
//! backslash in a quoted string that escapes neither `"` nor `\` stands for itself
//! (servers that send such a string did not escape it). What would make the extent of a
//! token uncertain is an error: a quoted string that does not end in its own text, a
//! literal that does not have the announced length.
//!
//! Nothing here recurses, so nesting costs no stack; it is bounded all the same, because
//! of what the layers above do with nested data.

use crate::wire::frame::Frame;
use bytes::{BufMut, Bytes, BytesMut};
use memchr::memchr2;

/// A response that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}, near \"{excerpt}\"")]
pub(crate) struct ParseError {
    pub reason: Reason,
    /// A few of the bytes around the place, escaped.
    pub excerpt: String,
}

/// What was wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Reason {
    #[error("{0}")]
    Syntax(&'static str),
    #[error("more than {0} levels of parentheses")]
    Nesting(usize),
    #[error("more than {0} items in a list")]
    Items(usize),
}

/// The longest excerpt in an error, in bytes of the response.
const EXCERPT: usize = 64;

impl ParseError {
    pub(crate) fn new(reason: Reason, near: &[u8]) -> Self {
        let near = near.get(..EXCERPT).unwrap_or(near);
        Self {
            reason,
            excerpt: near.escape_ascii().to_string(),
        }
    }

    /// Whether the response went beyond a limit, rather than being malformed.
    pub(crate) fn is_limit(&self) -> bool {
        !matches!(self.reason, Reason::Syntax(_))
    }
}

/// A place that a [`Lexer`] can go back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    chunk: usize,
    position: usize,
}

/// A value where the grammar says `nstring`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NString {
    Nil,
    String(Bytes),
    /// The announcement of the literal that is not part of the frame, with its length.
    Open(u64),
}

/// What comes after a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Nothing,
    /// A literal of the announced length.
    Literal(u64),
    /// The literal that the frame leaves out.
    Open(u64),
    /// Something that was not announced: the frame contradicts itself.
    Unannounced,
}

/// A cursor over a frame.
#[derive(Clone, Debug)]
pub(crate) struct Lexer<'f> {
    frame: &'f Frame,
    /// Which text: 0 is the head, n the one after the n-th literal.
    chunk: usize,
    text: &'f Bytes,
    /// Where the text ends, the announcement of a literal not counted.
    end: usize,
    next: Next,
    position: usize,
}

/// A byte that an atom may contain, read leniently: not a space, a control, a
/// parenthesis or a quote.
pub(crate) fn is_atom_byte(byte: u8) -> bool {
    !matches!(byte, 0..=b' ' | b'"' | b'(' | b')' | 0x7f)
}

impl<'f> Lexer<'f> {
    pub(crate) fn new(frame: &'f Frame) -> Self {
        let mut lexer = Self {
            frame,
            chunk: 0,
            text: &frame.head,
            end: 0,
            next: Next::Nothing,
            position: 0,
        };
        lexer.enter(0);
        lexer
    }

    /// Where the cursor stands.
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            chunk: self.chunk,
            position: self.position,
        }
    }

    /// Goes back to a mark of this lexer.
    pub(crate) fn rewind(&mut self, mark: Mark) {
        if mark.chunk != self.chunk {
            self.enter(mark.chunk);
        }
        self.position = mark.position;
    }

    /// The next byte of the text; `None` before a literal and at the end.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    /// What is left of the current text, up to the next literal.
    pub(crate) fn rest(&self) -> &'f [u8] {
        self.text.get(self.position..self.end).unwrap_or_default()
    }

    /// Whether a string begins here: a quote, or a literal.
    pub(crate) fn at_string(&self) -> bool {
        match self.peek() {
            Some(byte) => byte == b'"',
            None => matches!(self.next, Next::Literal(_)),
        }
    }

    /// Whether nothing is left.
    pub(crate) fn at_end(&self) -> bool {
        self.rest().is_empty() && self.next == Next::Nothing
    }

    /// Passes over `byte` if it is next.
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.position += usize::from(found);
        found
    }

    /// Passes over `word` if it is next, whatever its case; `word` is ASCII.
    pub(crate) fn eat_word(&mut self, word: &[u8]) -> bool {
        let found = self
            .rest()
            .get(..word.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(word));
        if found {
            self.position += word.len();
        }
        found
    }

    /// Passes over `byte`, which has to be next.
    pub(crate) fn expect(&mut self, byte: u8, otherwise: &'static str) -> Result<(), ParseError> {
        if self.eat(byte) {
            Ok(())
        } else {
            Err(self.error(otherwise))
        }
    }

    /// Passes over spaces; whether there were any.
    pub(crate) fn spaces(&mut self) -> bool {
        let before = self.position;
        while self.eat(b' ') {}
        self.position != before
    }

    /// Passes over spaces, of which there has to be one.
    pub(crate) fn expect_space(&mut self) -> Result<(), ParseError> {
        if self.spaces() {
            Ok(())
        } else {
            Err(self.error("a space is missing"))
        }
    }

    /// Only spaces are left.
    pub(crate) fn expect_end(&mut self) -> Result<(), ParseError> {
        self.spaces();
        if self.at_end() {
            Ok(())
        } else {
            Err(self.error("the response goes on after its end"))
        }
    }

    /// Takes the bytes of the current text that satisfy `wanted`, perhaps none.
    pub(crate) fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'f [u8] {
        let rest = self.rest();
        let length = rest
            .iter()
            .position(|byte| !wanted(*byte))
            .unwrap_or(rest.len());
        self.position += length;
        rest.get(..length).unwrap_or_default()
    }

    /// Takes this many bytes of the current text, or what there is.
    pub(crate) fn take(&mut self, length: usize) -> &'f [u8] {
        let rest = self.rest();
        let taken = rest.get(..length).unwrap_or(rest);
        self.position += taken.len();
        taken
    }

    /// Everything that is left, as it came, literals and their announcements included.
    pub(crate) fn remainder(&mut self) -> Bytes {
        let start = self.mark();
        if self.chunk < self.frame.rest.len() {
            self.enter(self.frame.rest.len());
        }
        self.position = self.text.len();
        self.end = self.position;
        self.next = Next::Nothing;
        self.raw_since(start)
    }

    /// An atom, read leniently (see [`is_atom_byte`]).
    pub(crate) fn atom(&mut self) -> Result<&'f [u8], ParseError> {
        let atom = self.take_while(is_atom_byte);
        if atom.is_empty() {
            return Err(self.error("an atom is missing"));
        }
        Ok(atom)
    }

    /// A number of 64 bits (RFC 9051 §9, `number64`).
    pub(crate) fn number_u64(&mut self) -> Result<u64, ParseError> {
        let mark = self.mark();
        let digits = self.take_while(|byte| byte.is_ascii_digit());
        match parse_number(digits) {
            Some(number) => Ok(number),
            None => {
                self.rewind(mark);
                Err(self.error("a number is missing or too large"))
            }
        }
    }

    /// A number of 32 bits.
    pub(crate) fn number_u32(&mut self) -> Result<u32, ParseError> {
        let mark = self.mark();
        u32::try_from(self.number_u64()?).map_err(|_| {
            self.rewind(mark);
            self.error("a number is too large")
        })
    }

    /// Passes over `NIL` if that is the whole atom that comes next.
    pub(crate) fn eat_nil(&mut self) -> bool {
        let mark = self.mark();
        if self.eat_word(b"NIL") && !self.peek().is_some_and(is_atom_byte) {
            return true;
        }
        self.rewind(mark);
        false
    }

    /// A string: quoted, or a literal.
    pub(crate) fn string(&mut self) -> Result<Bytes, ParseError> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            None => self.literal(),
            Some(_) => Err(self.error("a string is missing")),
        }
    }

    /// A string, `NIL`, or the announcement of the literal that the frame leaves out.
    pub(crate) fn nstring(&mut self) -> Result<NString, ParseError> {
        if self.eat_nil() {
            return Ok(NString::Nil);
        }
        if let (None, Next::Open(length)) = (self.peek(), self.next) {
            self.position = self.text.len();
            self.end = self.position;
            self.next = Next::Nothing;
            return Ok(NString::Open(length));
        }
        self.string().map(NString::String)
    }

    /// An atom or a string.
    pub(crate) fn astring(&mut self) -> Result<Bytes, ParseError> {
        if self.peek().is_some_and(is_atom_byte) {
            let atom = self.atom()?;
            return Ok(self.text.slice_ref(atom));
        }
        self.string()
    }

    /// Passes over one value, which may be a list with everything in it.
    pub(crate) fn skip_value(&mut self, nesting: usize) -> Result<(), ParseError> {
        let mut depth = 0_usize;
        loop {
            match self.peek() {
                Some(b'(') => {
                    depth += 1;
                    if depth > nesting {
                        return Err(self.fail(Reason::Nesting(nesting)));
                    }
                    self.position += 1;
                }
                Some(b')') if depth > 0 => {
                    depth -= 1;
                    self.position += 1;
                }
                Some(b' ') if depth > 0 => self.position += 1,
                Some(b'"') | None => drop(self.string()?),
                Some(_) if depth > 0 => {
                    // Controls are nobody's tokens, but they end nothing either.
                    self.take_while(|byte| !matches!(byte, b' ' | b'"' | b'(' | b')'));
                }
                Some(_) => drop(self.atom()?),
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// The bytes from `mark` up to here, as they came, literals and their
    /// announcements included.
    pub(crate) fn raw_since(&self, mark: Mark) -> Bytes {
        if mark.chunk == self.chunk {
            let raw = self.text.get(mark.position..self.position);
            return self.text.slice_ref(raw.unwrap_or_default());
        }
        let mut raw = BytesMut::new();
        let mut from = mark.position;
        for chunk in mark.chunk..self.chunk {
            if let Some(text) = text_of(self.frame, chunk).and_then(|text| text.get(from..)) {
                raw.put_slice(text);
            }
            raw.put_slice(b"\r\n");
            if let Some((literal, _)) = self.frame.rest.get(chunk) {
                raw.put_slice(literal);
            }
            from = 0;
        }
        raw.put_slice(self.text.get(..self.position).unwrap_or_default());
        raw.freeze()
    }

    /// A reference-counted copy of bytes that this lexer gave out.
    pub(crate) fn share(&self, part: &'f [u8]) -> Bytes {
        self.text.slice_ref(part)
    }

    /// An error at the place of the cursor.
    pub(crate) fn error(&self, reason: &'static str) -> ParseError {
        self.fail(Reason::Syntax(reason))
    }

    /// An error at the place of the cursor.
    pub(crate) fn fail(&self, reason: Reason) -> ParseError {
        // A few bytes before the place say more than those after it alone.
        let from = self.position.saturating_sub(EXCERPT / 2);
        ParseError::new(reason, self.text.get(from..).unwrap_or_default())
    }

    /// A quoted string, without its quotes and escapes.
    fn quoted(&mut self) -> Result<Bytes, ParseError> {
        let inside = self.rest().get(1..).unwrap_or_default();
        let mut unescaped: Option<BytesMut> = None;
        // `from` is where the part that is not yet copied begins.
        let (mut from, mut at) = (0, 0);
        loop {
            let found = inside
                .get(at..)
                .and_then(|rest| memchr2(b'"', b'\\', rest))
                .map(|offset| at + offset);
            let Some(found) = found else {
                return Err(self.error("a quoted string does not end"));
            };
            if inside.get(found) == Some(&b'"') {
                self.position += found + 2;
                let last = inside.get(from..found).unwrap_or_default();
                return Ok(match unescaped {
                    None => self.text.slice_ref(last),
                    Some(mut copy) => {
                        copy.put_slice(last);
                        copy.freeze()
                    }
                });
            }
            if matches!(inside.get(found + 1), Some(b'"' | b'\\')) {
                let copy = unescaped.get_or_insert_with(BytesMut::new);
                copy.put_slice(inside.get(from..found).unwrap_or_default());
                from = found + 1;
                at = found + 2;
            } else {
                at = found + 1;
            }
        }
    }

    fn literal(&mut self) -> Result<Bytes, ParseError> {
        let announced = match self.next {
            Next::Literal(length) => length,
            Next::Nothing => return Err(self.error("the response ends too early")),
            Next::Open(_) => return Err(self.error("a literal that is left out is out of place")),
            Next::Unannounced => return Err(self.error("a literal was not announced")),
        };
        let Some((literal, _)) = self.frame.rest.get(self.chunk) else {
            return Err(self.error("a literal is missing"));
        };
        if literal.len() as u64 != announced {
            return Err(self.error("a literal does not have the announced length"));
        }
        self.enter(self.chunk + 1);
        Ok(literal.clone())
    }

    /// Goes to the beginning of a text.
    fn enter(&mut self, chunk: usize) {
        self.chunk = chunk;
        self.position = 0;
        if let Some(text) = text_of(self.frame, chunk) {
            self.text = text;
        }
        let is_last = chunk >= self.frame.rest.len();
        let followed = !is_last || self.frame.open_literal.is_some();
        (self.end, self.next) = match (followed, announcement(self.text)) {
            (false, _) => (self.text.len(), Next::Nothing),
            (true, Some((start, length))) if !is_last => (start, Next::Literal(length)),
            (true, Some((start, length))) => (start, Next::Open(length)),
            (true, None) => (self.text.len(), Next::Unannounced),
        };
    }
}

/// A text of a frame: 0 is the head, n the one after the n-th literal.
fn text_of(frame: &Frame, chunk: usize) -> Option<&Bytes> {
    match chunk.checked_sub(1) {
        None => Some(&frame.head),
        Some(index) => frame.rest.get(index).map(|(_, text)| text),
    }
}

/// The announcement of a literal at the end of a text: where it starts, and the length
/// that it announces (RFC 9051 §4.3; `~` is RFC 3516 §4.4, `+` RFC 7888).
pub(crate) fn announcement(text: &[u8]) -> Option<(usize, u64)> {
    let inside = text.strip_suffix(b"}")?;
    let inside = match inside.split_last() {
        Some((b'+', before)) => before,
        _ => inside,
    };
    let digits = inside
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let (before, digits) = inside.split_at_checked(inside.len() - digits)?;
    let before = before.strip_suffix(b"{")?;
    let start = before.strip_suffix(b"~").unwrap_or(before).len();
    Some((start, parse_number(digits)?))
}

/// Decimal digits as a number; `None` if there are none or the number is too large.
pub(crate) fn parse_number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
#[path = "lexer_tests.rs"]
mod tests;
