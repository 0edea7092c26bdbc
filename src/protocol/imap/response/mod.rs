//! Parsing of framed IMAP responses (RFC 9051 §7).
//!
//! A response comes as one [`Frame`]: complete, bounded in length, its literals set apart.
//! It is read once, by [`parse`], and its strings and bodies stay slices of the frame.
//!
//! # Who reads what
//! imap-proto reads envelopes and body structures, where nearly all of IMAP's grammar is;
//! [`structure`] says in which form it gets them. The rest is read here, with the
//! [`Lexer`]:
//! - status responses and continuation requests, because imap-proto panics on some and
//!   knows few codes ([`status`], [`code`]);
//! - the division of `FETCH` into attributes, and those that are a single token
//!   ([`fetch`]), because imap-proto lets one attribute run into the next;
//! - lists and figures of mailboxes ([`mailbox`]), because most extended forms are refused
//!   and names lost;
//! - numbers ([`numbers`]), because they come by the million;
//! - `CAPABILITY`, `ENABLED`, `FLAGS` and `ID`: words in a row, of which imap-proto refuses
//!   some and mixes up others.
//!
//! # What is an error
//! A response that is not known is [`Untagged::Unknown`], never an error. A known one
//! that is malformed is a [`ParseError`]; the stream goes on behind it, for
//! the framing does not depend on its meaning. In `FETCH`, an attribute that is not
//! understood is set aside, and only a UID that is none or comes twice condemns the whole.

pub(crate) mod attributes;
mod code;
mod fetch;
mod list;
mod mailbox;
mod numbers;
mod section;
mod status;
mod structure;

pub(crate) use self::attributes::{Attributes, OpenSection, SectionData, SectionKind};
use self::list::{lossy, words};
use self::structure::Bounds;
use crate::types::capability::Capabilities;
use crate::types::flag::Flags;
use crate::types::ids::{ModSeq, SeqNum};
use crate::types::limits::Limits;
use crate::types::listing::{ListEntry, MailboxStatus, Namespaces};
use crate::types::range_set::RangeSet;
use crate::types::response_code::ResponseCode;
use crate::wire::frame::Frame;
pub(crate) use crate::wire::lexer::ParseError;
use crate::wire::lexer::{Lexer, NString};
use bytes::Bytes;

/// One response of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "most responses are the large variant"
)]
pub(crate) enum Response {
    /// The answer to a command.
    Tagged {
        tag: Bytes,
        status: Status,
        code: Option<ResponseCode>,
        text: String,
    },
    /// The server waits for the rest of a command (RFC 9051 §7.6).
    Continuation {
        text: Bytes,
    },
    Untagged(Untagged),
}

/// The outcome of a command (RFC 9051 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Status {
    Ok,
    No,
    Bad,
}

/// What an untagged status response begins with (RFC 9051 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum StatusKind {
    Ok,
    No,
    Bad,
    Bye,
    PreAuth,
}

/// Data of the server (RFC 9051 §7.1 to §7.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Untagged {
    Status {
        status: StatusKind,
        code: Option<ResponseCode>,
        text: String,
    },
    Capability(Capabilities),
    /// The extensions that are now on, in upper case (RFC 9051 §7.2.1).
    Enabled(Vec<String>),
    Flags(Flags),
    List(ListEntry),
    Lsub(ListEntry),
    MailboxStatus(MailboxStatus),
    Namespace(Namespaces),
    Search {
        numbers: RangeSet,
        mod_seq: Option<ModSeq>,
    },
    Sort(Vec<u32>),
    ESearch(SearchResult),
    Exists(u32),
    Recent(u32),
    Expunge(SeqNum),
    Vanished {
        earlier: bool,
        uids: RangeSet,
    },
    Fetch(Fetch),
    /// Names and values (RFC 2971); `None` if the server does not say who it is.
    Id(Option<IdFields>),
    /// Data that is not known: its name, in upper case.
    Unknown {
        name: String,
    },
}

/// What a server says about itself.
pub(crate) type IdFields = Vec<(String, Option<String>)>;

/// The result of a search with options (RFC 9051 §7.3.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SearchResult {
    /// The command that it belongs to.
    pub tag: Option<Bytes>,
    /// Whether the numbers are UIDs.
    pub uid: bool,
    pub min: Option<u32>,
    pub max: Option<u32>,
    pub all: RangeSet,
    pub count: Option<u32>,
    pub mod_seq: Option<ModSeq>,
}

/// Data of one message (RFC 9051 §7.5.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fetch {
    pub seq: SeqNum,
    pub attributes: Attributes,
    /// The section whose literal follows; after it, the response goes on in a further
    /// frame, for [`parse_fetch_rest`].
    pub open: Option<OpenSection>,
}

/// Reads a response.
///
/// # Errors
/// If it is malformed, or goes beyond a limit.
pub(crate) fn parse(frame: &Frame, limits: &Limits) -> Result<Response, ParseError> {
    let mut lexer = Lexer::new(frame);
    let bounds = Bounds::new(limits);
    match lexer.peek() {
        Some(b'*') => {
            lexer.eat(b'*');
            lexer.expect_space()?;
            untagged(&mut lexer, bounds).map(Response::Untagged)
        }
        Some(b'+') => {
            lexer.eat(b'+');
            Ok(status::continuation(&mut lexer))
        }
        _ => status::tagged(&mut lexer, bounds),
    }
}

/// Reads what follows a streamed literal of a `FETCH` response.
///
/// # Errors
/// As [`parse`].
pub(crate) fn parse_fetch_rest(
    frame: &Frame,
    limits: &Limits,
    seq: SeqNum,
) -> Result<Fetch, ParseError> {
    fetch::rest(&mut Lexer::new(frame), seq, Bounds::new(limits))
}

fn untagged(lexer: &mut Lexer<'_>, bounds: Bounds) -> Result<Untagged, ParseError> {
    if lexer.peek().is_some_and(|byte| byte.is_ascii_digit()) {
        return message_data(lexer, bounds);
    }
    let name = lexer.take_while(|byte| byte.is_ascii_graphic() && byte != b'(');
    if let Some(kind) = status::kind(name) {
        return status::untagged(lexer, kind, bounds);
    }
    let name = name.to_ascii_uppercase();
    let data = match name.as_slice() {
        b"CAPABILITY" => Untagged::Capability(Capabilities::from_wire_words(words(lexer.rest()))),
        b"ENABLED" => {
            let names = words(lexer.rest()).map(|word| lossy(&word.to_ascii_uppercase()));
            Untagged::Enabled(names.collect())
        }
        b"FLAGS" => {
            lexer.spaces();
            let flags = list::flags(lexer, bounds)?;
            lexer.expect_end()?;
            Untagged::Flags(flags.ok_or_else(|| lexer.error("a flag is malformed"))?)
        }
        b"LIST" => Untagged::List(mailbox::entry(lexer, bounds)?),
        b"LSUB" => Untagged::Lsub(mailbox::entry(lexer, bounds)?),
        b"STATUS" => Untagged::MailboxStatus(mailbox::status(lexer, bounds)?),
        b"NAMESPACE" => Untagged::Namespace(mailbox::namespaces(lexer, bounds)?),
        b"SEARCH" => numbers::search(lexer)?,
        b"SORT" => numbers::sort(lexer)?,
        b"ESEARCH" => numbers::extended_search(lexer, bounds)?,
        b"VANISHED" => numbers::vanished(lexer)?,
        b"ID" => Untagged::Id(id(lexer, bounds)?),
        _ => Untagged::Unknown { name: lossy(&name) },
    };
    Ok(data)
}

/// Data that begins with a number (RFC 9051 §7.4.1, §7.5).
fn message_data(lexer: &mut Lexer<'_>, bounds: Bounds) -> Result<Untagged, ParseError> {
    let number = lexer.number_u32()?;
    lexer.spaces();
    let name = lexer.take_while(|byte| byte.is_ascii_alphanumeric());
    let seq = || SeqNum::new(number).ok_or_else(|| lexer.error("a message has the number 0"));
    let data = if name.eq_ignore_ascii_case(b"FETCH") {
        let seq = seq()?;
        return fetch::fetch(lexer, seq, bounds).map(Untagged::Fetch);
    } else if name.eq_ignore_ascii_case(b"EXISTS") {
        Untagged::Exists(number)
    } else if name.eq_ignore_ascii_case(b"EXPUNGE") {
        Untagged::Expunge(seq()?)
    } else if name.eq_ignore_ascii_case(b"RECENT") {
        Untagged::Recent(number)
    } else {
        let name = lossy(&name.to_ascii_uppercase());
        return Ok(Untagged::Unknown { name });
    };
    lexer.expect_end()?;
    Ok(data)
}

/// `ID` (RFC 2971 §3.2).
fn id(lexer: &mut Lexer<'_>, bounds: Bounds) -> Result<Option<IdFields>, ParseError> {
    lexer.expect_space()?;
    let mut fields = None;
    if !lexer.eat_nil() {
        let fields = fields.insert(Vec::new());
        list::list(lexer, bounds, |lexer| {
            let name = lossy(&lexer.string()?);
            lexer.expect_space()?;
            let value = match lexer.nstring()? {
                NString::String(value) => Some(lossy(&value)),
                NString::Nil | NString::Open(_) => None,
            };
            fields.push((name, value));
            Ok(())
        })?;
    }
    lexer.expect_end()?;
    Ok(fields)
}

#[cfg(test)]
mod tests;
