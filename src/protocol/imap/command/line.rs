//! A command on its way to the wire, and the one place where a caller's bytes are written.

use std::fmt::{self, Write as _};

use bytes::Bytes;

use crate::types::flag::{Flag, Flags, is_atom_byte};
use crate::types::invalid::InvalidArgument;
use crate::types::mailbox_name::MailboxName;
use crate::types::range_set::RangeSet;

/// A longer string is written as a literal: servers bound their lines.
const MAX_QUOTED: usize = 1024;

/// A command without its tag and its final CRLF (RFC 9051 §9, `command`).
///
/// Every argument is written by a method that knows its grammar and puts a space before it, so
/// that nothing in an argument can end it, or the line.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct CommandLine {
    verb: &'static str,
    /// What stands before `text`, from the first byte to the last literal.
    pieces: Vec<Piece>,
    text: Vec<u8>,
    secret: bool,
}

/// A stretch of a command. Whoever sends it writes what announces a literal: `{3}` or `{3+}`,
/// `~{3}` for a [`Piece::Literal8`], and CRLF.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(Vec<u8>),
    /// Bytes without NUL.
    Literal(Bytes),
    /// Any bytes (RFC 3516 §4.4).
    Literal8(Bytes),
}

impl Piece {
    /// The bytes, without what announces them.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Piece::Text(text) => text,
            Piece::Literal(bytes) | Piece::Literal8(bytes) => bytes,
        }
    }
}

impl CommandLine {
    pub(crate) fn new(verb: &'static str) -> Self {
        Self {
            verb,
            pieces: Vec::new(),
            text: verb.into(),
            secret: false,
        }
    }

    /// The same command, blotted out in debug output.
    pub(super) fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// The pieces in order; no text is empty.
    pub(crate) fn into_pieces(mut self) -> Vec<Piece> {
        if !self.text.is_empty() {
            self.pieces.push(Piece::Text(self.text));
        }
        self.pieces
    }

    /// Writes text that is part of the protocol and never comes from a caller.
    pub(super) fn word(&mut self, word: impl fmt::Display) {
        self.separate();
        self.put_display(word);
    }

    /// Like [`word`](Self::word), without a space before it.
    pub(super) fn joined(&mut self, text: impl fmt::Display) {
        self.put_display(text);
    }

    pub(super) fn open(&mut self) {
        self.word('(');
    }

    pub(super) fn close(&mut self) {
        self.joined(')');
    }

    /// Writes an `astring` as an atom, quoted or as a literal.
    ///
    /// # Errors
    /// When it holds NUL, which no string can hold.
    pub(super) fn astring(
        &mut self,
        what: &'static str,
        string: &[u8],
    ) -> Result<(), InvalidArgument> {
        if !is_plain_atom(string) {
            return self.string(what, string);
        }
        self.separate();
        self.text.extend_from_slice(string);
        Ok(())
    }

    /// Writes a `string` quoted or as a literal.
    ///
    /// # Errors
    /// When it holds NUL, which no string can hold.
    pub(super) fn string(
        &mut self,
        what: &'static str,
        string: &[u8],
    ) -> Result<(), InvalidArgument> {
        if string.contains(&0) {
            return Err(InvalidArgument::new(what, "holds NUL"));
        }
        let quotable = |byte: &u8| byte.is_ascii() && !matches!(byte, b'\r' | b'\n');
        if string.len() > MAX_QUOTED || !string.iter().all(quotable) {
            self.literal(Piece::Literal(Bytes::copy_from_slice(string)));
            return Ok(());
        }
        self.separate();
        let text = &mut self.text;
        text.push(b'"');
        for byte in string {
            if matches!(byte, b'"' | b'\\') {
                text.push(b'\\');
            }
            text.push(*byte);
        }
        text.push(b'"');
        Ok(())
    }

    /// Writes a mailbox name.
    ///
    /// # Errors
    /// When it came from a server and holds NUL.
    pub(super) fn mailbox(&mut self, name: &MailboxName) -> Result<(), InvalidArgument> {
        self.astring("mailbox name", name.wire())
    }

    /// Writes an atom.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn atom(&mut self, what: &'static str, atom: &str) -> Result<(), InvalidArgument> {
        if atom.is_empty() || !atom.bytes().all(is_atom_byte) {
            return Err(InvalidArgument::new(what, "is not an atom"));
        }
        self.word(atom);
        Ok(())
    }

    /// Writes a sequence set.
    ///
    /// # Errors
    /// When it is empty: the grammar has no such set.
    pub(super) fn set(&mut self, set: &RangeSet) -> Result<(), InvalidArgument> {
        if set.is_empty() {
            return Err(InvalidArgument::new("sequence set", "is empty"));
        }
        self.word(set);
        Ok(())
    }

    /// Writes a parenthesised list of flags to be set.
    ///
    /// # Errors
    /// When only a server can set one of them, or one came from a server and is no atom.
    pub(super) fn flags(&mut self, flags: &Flags) -> Result<(), InvalidArgument> {
        self.open();
        for flag in flags {
            match flag {
                Flag::Recent | Flag::AnyKeyword => {
                    return Err(InvalidArgument::new("flag", "can be set by a server only"));
                }
                Flag::Keyword(name) | Flag::Extension(name) if !is_flag_name(name.as_str()) => {
                    return Err(InvalidArgument::new("flag", "is not an atom"));
                }
                flag => self.word(flag),
            }
        }
        self.close();
        Ok(())
    }

    /// Writes a literal.
    pub(super) fn literal(&mut self, literal: Piece) {
        self.separate();
        self.pieces
            .push(Piece::Text(std::mem::take(&mut self.text)));
        self.pieces.push(literal);
    }

    /// A space between arguments, and none behind an opening parenthesis.
    fn separate(&mut self) {
        if self.text.last() != Some(&b'(') {
            self.text.push(b' ');
        }
    }

    fn put_display(&mut self, text: impl fmt::Display) {
        // Writing to memory does not fail.
        let _ = write!(Text(&mut self.text), "{text}");
    }
}

struct Text<'a>(&'a mut Vec<u8>);

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Whether an `astring` can stand as it is. Fewer characters than the grammar has: some
/// servers take offence at the odd ones, and at `NIL` where a string is meant.
fn is_plain_atom(string: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./@$+=:".contains(byte);
    !string.is_empty()
        && string.len() <= MAX_QUOTED
        && string.iter().all(plain)
        && !string.eq_ignore_ascii_case(b"NIL")
}

/// Flags of servers may hold `]`, which no atom does; it can end nothing in a command.
fn is_flag_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| is_atom_byte(byte) || byte == b']')
}

/// The command as it is sent, with sizes in the place of literals; of a secret command, its
/// name only.
impl fmt::Debug for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.secret {
            return write!(f, "{} ...", self.verb);
        }
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => write!(f, "{}", text.escape_ascii())?,
                Piece::Literal(bytes) => write!(f, "{{{}}}", bytes.len())?,
                Piece::Literal8(bytes) => write!(f, "~{{{}}}", bytes.len())?,
            }
        }
        write!(f, "{}", self.text.escape_ascii())
    }
}

/// The kind and the size: a piece does not know whether it is secret.
impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Piece::Text(_) => "Text",
            Piece::Literal(_) => "Literal",
            Piece::Literal8(_) => "Literal8",
        };
        write!(f, "{kind}({} bytes)", self.bytes().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn astring(string: &[u8]) -> Vec<Piece> {
        let mut line = CommandLine::new("X");
        line.astring("string", string).unwrap();
        line.into_pieces()
    }

    fn text(text: &str) -> Vec<Piece> {
        vec![Piece::Text(text.into())]
    }

    #[test]
    fn a_string_is_written_as_what_it_needs() {
        assert_eq!(astring(b"INBOX"), text("X INBOX"));
        assert_eq!(astring(b""), text("X \"\""));
        assert_eq!(astring(b"nil"), text("X \"nil\""));
        assert_eq!(astring(b"a b"), text("X \"a b\""));
        assert_eq!(astring(b"a\"\\b"), text("X \"a\\\"\\\\b\""));
        assert_eq!(astring(b"{5}"), text("X \"{5}\""));
        assert_eq!(astring(b"a)("), text("X \"a)(\""));
        assert_eq!(astring(&[b'a'; 1024]).len(), 1);
        for literal in [
            &b"a\r\nA2 LOGOUT"[..],
            b"\n",
            "é".as_bytes(),
            b"\xff",
            &[b'a'; 1025],
        ] {
            let expected = vec![
                Piece::Text(b"X ".into()),
                Piece::Literal(Bytes::copy_from_slice(literal)),
            ];
            assert_eq!(astring(literal), expected);
        }
        let error = CommandLine::new("X")
            .astring("password", b"a\0")
            .unwrap_err();
        assert_eq!(error.to_string(), "invalid password: holds NUL");
    }

    #[test]
    fn arguments_are_separated_also_behind_literals_and_parentheses() {
        let mut line = CommandLine::new("X");
        line.open();
        line.literal(Piece::Literal("(".into()));
        line.string("string", b"(").unwrap();
        line.open();
        line.word(1);
        line.close();
        line.close();
        line.literal(Piece::Literal8("z".into()));
        assert_eq!(format!("{line:?}"), "X ({1} \\\"(\\\" (1)) ~{1}");
    }

    #[test]
    fn flags_that_only_servers_set_and_names_that_are_no_atoms_are_refused() {
        let flags = |flags: &[Flag]| CommandLine::new("X").flags(&flags.into());
        assert!(flags(&[Flag::Seen, Flag::keyword("$a").unwrap()]).is_ok());
        assert!(flags(&[Flag::from_wire(b"a]").unwrap()]).is_ok());
        assert!(flags(&[Flag::Recent]).is_err());
        assert!(flags(&[Flag::AnyKeyword]).is_err());
        for odd in [&b"a{1}"[..], "é".as_bytes(), b"a%", b"a\\b"] {
            assert!(flags(&[Flag::from_wire(odd).unwrap()]).is_err());
        }
    }

    #[test]
    fn a_secret_line_shows_its_name_only() {
        let mut line = CommandLine::new("LOGIN").secret();
        line.astring("password", b"hunter2").unwrap();
        line.astring("password", "hünter2".as_bytes()).unwrap();
        assert_eq!(format!("{line:?}"), "LOGIN ...");
        let pieces = line.into_pieces();
        assert_eq!(pieces.len(), 2);
        assert!(!format!("{pieces:?}").contains("nter2"));
    }
}
