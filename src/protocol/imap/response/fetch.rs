//! `FETCH` (RFC 9051 §7.5.2).
//!
//! The response is split into its attributes here, so that one that is not understood
//! affects nothing but itself: its extent is known from its strings and parentheses,
//! whatever it means. imap-proto would swallow it up to the first closing parenthesis,
//! even one inside a string. What the attribute is about decides who reads its value:
//! envelope and body structure are imap-proto's (see [`structure`]).

use super::Fetch;
use super::attributes::{Attributes, OpenSection, SectionData, SectionKind, Value};
use super::list::{flags, list, lossy};
use super::mailbox::object_id;
use super::section::section_name;
use super::structure::{self, Bounds};
use crate::types::date::DateTime;
use crate::types::ids::{ModSeq, SeqNum, Uid};
use crate::types::section::Section;
use crate::wire::lexer::{Lexer, NString, ParseError, Reason, is_atom_byte};

/// Reads what follows `FETCH`.
pub(super) fn fetch(
    lexer: &mut Lexer<'_>,
    seq: SeqNum,
    bounds: Bounds,
) -> Result<Fetch, ParseError> {
    lexer.spaces();
    lexer.expect(b'(', "the attributes are missing")?;
    attributes(lexer, seq, bounds, true)
}

/// Reads the attributes that follow a streamed literal.
pub(super) fn rest(
    lexer: &mut Lexer<'_>,
    seq: SeqNum,
    bounds: Bounds,
) -> Result<Fetch, ParseError> {
    attributes(lexer, seq, bounds, false)
}

/// Reads attributes up to the last parenthesis, or up to a literal that is left out.
fn attributes(
    lexer: &mut Lexer<'_>,
    seq: SeqNum,
    bounds: Bounds,
    mut separated: bool,
) -> Result<Fetch, ParseError> {
    let mut attributes = Attributes::default();
    for _ in 0..=bounds.items {
        separated |= lexer.spaces();
        let open = if lexer.eat(b')') {
            lexer.expect_end()?;
            None
        } else if separated {
            match attribute(lexer, &mut attributes, bounds)? {
                None => {
                    separated = false;
                    continue;
                }
                open => open,
            }
        } else {
            return Err(lexer.error("a space is missing between attributes"));
        };
        return Ok(Fetch {
            seq,
            attributes,
            open,
        });
    }
    Err(lexer.fail(Reason::Items(bounds.items)))
}

/// What an attribute's name says about its value.
enum Name {
    /// A section's data, in this way.
    Section(SectionKind, Section, Option<u64>),
    BinarySize(Section),
    /// A word without brackets.
    Word,
    Unknown,
}

/// Reads one attribute. The section whose literal is left out, if it is that.
fn attribute(
    lexer: &mut Lexer<'_>,
    attributes: &mut Attributes,
    bounds: Bounds,
) -> Result<Option<OpenSection>, ParseError> {
    let start = lexer.mark();
    let word = lexer.take_while(|byte| is_atom_byte(byte) && byte != b'[');
    if word.is_empty() {
        return Err(lexer.error("an attribute has no name"));
    }
    let name = name(lexer, word, bounds)?;
    let full_name = lexer.mark();
    lexer.expect_space()?;
    let value_start = lexer.mark();
    let value = match name {
        Name::Section(kind, section, origin) => match lexer.nstring() {
            Ok(NString::Open(length)) => {
                let open = OpenSection {
                    kind,
                    section,
                    origin,
                    length,
                };
                return Ok(Some(open));
            }
            Ok(data) => {
                let data = match data {
                    NString::String(data) => Some(data),
                    _ => None,
                };
                Some(Value::Section(SectionData {
                    kind,
                    section,
                    origin,
                    data,
                }))
            }
            Err(_) => None,
        },
        Name::BinarySize(section) => {
            let size = lexer.number_u64().ok();
            size.map(|size| Value::BinarySize(section, size))
        }
        Name::Unknown => None,
        Name::Word => match known(lexer, word, bounds) {
            Ok(value) => value,
            Err(error) if error.is_limit() => return Err(error),
            Err(_) => None,
        },
    };
    // A value has to end where a value ends.
    match value.filter(|_| matches!(lexer.peek(), None | Some(b' ' | b')'))) {
        Some(value) => {
            if !attributes.set(value) {
                return Err(lexer.error("a message has two UIDs"));
            }
        }
        None if word.eq_ignore_ascii_case(b"UID") => {
            return Err(lexer.error("UID is not a number from 1"));
        }
        None => {
            lexer.rewind(full_name);
            let full_name = lossy(&lexer.raw_since(start));
            lexer.rewind(value_start);
            // However deep it is, it takes no stack.
            lexer.skip_value(usize::MAX)?;
            attributes
                .others
                .push((full_name, lexer.raw_since(value_start)));
        }
    }
    Ok(None)
}

/// Reads what follows the first word of an attribute's name.
fn name(lexer: &mut Lexer<'_>, word: &[u8], bounds: Bounds) -> Result<Name, ParseError> {
    if lexer.peek() == Some(b'[') {
        let section = section_name(lexer, bounds)?;
        let origin = if lexer.eat(b'<') {
            let origin = lexer.number_u64()?;
            lexer.expect(b'>', "an origin does not end")?;
            Some(origin)
        } else {
            None
        };
        let Some(section) = section else {
            return Ok(Name::Unknown);
        };
        return Ok(if word.eq_ignore_ascii_case(b"BODY") {
            Name::Section(SectionKind::Body, section, origin)
        } else if word.eq_ignore_ascii_case(b"BINARY") {
            Name::Section(SectionKind::Binary, section, origin)
        } else if word.eq_ignore_ascii_case(b"BINARY.SIZE") {
            Name::BinarySize(section)
        } else {
            Name::Unknown
        });
    }
    for (name, section) in [
        ("RFC822", Section::full as fn() -> Section),
        ("RFC822.HEADER", Section::header),
        ("RFC822.TEXT", Section::text),
    ] {
        if word.eq_ignore_ascii_case(name.as_bytes()) {
            return Ok(Name::Section(SectionKind::Body, section(), None));
        }
    }
    Ok(Name::Word)
}

/// Reads the value of a known attribute that is not a section. `None`, or an error that
/// is not about a limit, if it is not known or not understood.
fn known(lexer: &mut Lexer<'_>, name: &[u8], bounds: Bounds) -> Result<Option<Value>, ParseError> {
    // In the order of how usual they are.
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    let value = if is("UID") {
        Uid::new(lexer.number_u32()?).map(Value::Uid)
    } else if is("FLAGS") {
        flags(lexer, bounds)?.map(Value::Flags)
    } else if is("RFC822.SIZE") {
        Some(Value::Size(lexer.number_u64()?))
    } else if is("INTERNALDATE") {
        date(&lexer.string()?).map(Value::InternalDate)
    } else if is("MODSEQ") {
        mod_seq(lexer)?.map(Value::ModSeq)
    } else if is("ENVELOPE") {
        Some(Value::Envelope(structure::envelope(lexer, bounds)?))
    } else if is("BODYSTRUCTURE") || is("BODY") {
        Some(Value::BodyStructure(structure::body_structure(
            lexer, bounds,
        )?))
    } else {
        return extension(lexer, name, bounds);
    };
    Ok(value)
}

/// As [`known`], for the attributes of extensions.
fn extension(
    lexer: &mut Lexer<'_>,
    name: &[u8],
    bounds: Bounds,
) -> Result<Option<Value>, ParseError> {
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    let value = if is("PREVIEW") {
        match lexer.nstring()? {
            NString::String(text) => Some(Value::Preview(text)),
            NString::Nil => Some(Value::Absent),
            NString::Open(_) => None,
        }
    } else if is("SAVEDATE") {
        match lexer.nstring()? {
            NString::String(text) => date(&text).map(Value::SaveDate),
            NString::Nil => Some(Value::Absent),
            NString::Open(_) => None,
        }
    } else if is("EMAILID") {
        object_id(lexer).map(Value::EmailId)
    } else if is("THREADID") {
        if lexer.eat_nil() {
            Some(Value::Absent)
        } else {
            object_id(lexer).map(Value::ThreadId)
        }
    } else if is("X-GM-MSGID") {
        Some(Value::GmailMessageId(lexer.number_u64()?))
    } else if is("X-GM-THRID") {
        Some(Value::GmailThreadId(lexer.number_u64()?))
    } else if is("X-GM-LABELS") {
        let mut labels = Vec::new();
        list(lexer, bounds, |lexer| {
            labels.push(lexer.astring()?);
            Ok(())
        })?;
        Some(Value::GmailLabels(labels))
    } else {
        None
    };
    Ok(value)
}

/// A mod-sequence in parentheses (RFC 7162 §3.1.4).
fn mod_seq(lexer: &mut Lexer<'_>) -> Result<Option<ModSeq>, ParseError> {
    lexer.expect(b'(', "a mod-sequence is missing")?;
    let mod_seq = ModSeq::new(lexer.number_u64()?);
    lexer.expect(b')', "a mod-sequence does not end")?;
    Ok(mod_seq)
}

/// A date and time (RFC 9051 §9, `date-time`).
fn date(text: &[u8]) -> Option<DateTime> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
