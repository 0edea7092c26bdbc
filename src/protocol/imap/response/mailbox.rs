//! What a server says about mailboxes: `LIST`, `LSUB`, `STATUS`, `NAMESPACE`.
//!
//! Ours: imap-proto refuses extended list data, most status items and NAMESPACE, reads
//! `\AllMail` as `\All`, does not tell LSUB from LIST, and makes one name of different
//! ones that are not UTF-8.

use super::list::{list, lossy, strings};
use super::structure::Bounds;
use crate::types::ids::{ModSeq, Uid, UidValidity};
use crate::types::listing::{ListEntry, MailboxAttribute, MailboxStatus, Namespace, Namespaces};
use crate::types::mailbox_name::MailboxName;
use crate::wire::lexer::{Lexer, NString, ParseError, is_atom_byte};

/// `LIST` or `LSUB` (RFC 9051 §7.3.1; RFC 5258 for the extended data).
pub(super) fn entry(lexer: &mut Lexer<'_>, bounds: Bounds) -> Result<ListEntry, ParseError> {
    lexer.expect_space()?;
    let mut attributes = Vec::new();
    list(lexer, bounds, |lexer| {
        attributes.push(MailboxAttribute::from_wire(lexer.atom()?));
        Ok(())
    })?;
    lexer.expect_space()?;
    let delimiter = delimiter(lexer)?;
    lexer.expect_space()?;
    let mut entry = ListEntry {
        attributes,
        delimiter,
        name: name(lexer)?,
        old_name: None,
        child_info: Vec::new(),
        extended: Vec::new(),
    };
    if lexer.spaces() && lexer.peek() == Some(b'(') {
        list(lexer, bounds, |lexer| extended(lexer, &mut entry, bounds))?;
    }
    lexer.expect_end()?;
    Ok(entry)
}

/// One item of a list entry's extended data.
fn extended(
    lexer: &mut Lexer<'_>,
    entry: &mut ListEntry,
    bounds: Bounds,
) -> Result<(), ParseError> {
    let item = lexer.astring()?;
    lexer.expect_space()?;
    if item.eq_ignore_ascii_case(b"CHILDINFO") {
        entry.child_info = strings(lexer, bounds)?;
    } else if item.eq_ignore_ascii_case(b"OLDNAME") {
        list(lexer, bounds, |lexer| {
            entry.old_name = Some(name(lexer)?);
            Ok(())
        })?;
    } else {
        let start = lexer.mark();
        lexer.skip_value(bounds.nesting)?;
        entry.extended.push((lossy(&item), lexer.raw_since(start)));
    }
    Ok(())
}

/// `STATUS` (RFC 9051 §7.3.4).
pub(super) fn status(lexer: &mut Lexer<'_>, bounds: Bounds) -> Result<MailboxStatus, ParseError> {
    lexer.expect_space()?;
    let mut status = MailboxStatus::new(name(lexer)?);
    lexer.expect_space()?;
    list(lexer, bounds, |lexer| {
        let item = lexer.atom()?;
        lexer.expect_space()?;
        let start = lexer.mark();
        if known_item(lexer, &item.to_ascii_uppercase(), &mut status)?
            && !lexer.peek().is_some_and(is_atom_byte)
        {
            return Ok(());
        }
        lexer.rewind(start);
        lexer.skip_value(bounds.nesting)?;
        status.other.push((lossy(item), lexer.raw_since(start)));
        Ok(())
    })?;
    lexer.expect_end()?;
    Ok(status)
}

/// Reads the value of a status item; whether it was understood.
fn known_item(
    lexer: &mut Lexer<'_>,
    item: &[u8],
    status: &mut MailboxStatus,
) -> Result<bool, ParseError> {
    if item == b"MAILBOXID" {
        status.mailbox_id = object_id(lexer);
        return Ok(status.mailbox_id.is_some());
    }
    let Ok(number) = lexer.number_u64() else {
        // APPENDLIMIT is NIL where there is no limit: just what nothing says, too.
        return Ok(item == b"APPENDLIMIT" && lexer.eat_nil());
    };
    let small = u32::try_from(number).ok();
    match item {
        b"UIDVALIDITY" => {
            status.uid_validity = small.and_then(UidValidity::new);
            if status.uid_validity.is_none() {
                return Err(lexer.error("UIDVALIDITY is not a number from 1"));
            }
        }
        b"MESSAGES" => status.messages = small,
        b"RECENT" => status.recent = small,
        b"UNSEEN" => status.unseen = small,
        b"DELETED" => status.deleted = small,
        b"UIDNEXT" => status.uid_next = small.and_then(Uid::new),
        b"SIZE" => status.size = Some(number),
        b"APPENDLIMIT" => status.append_limit = Some(number),
        // 0 says that the mailbox keeps no mod-sequences.
        b"HIGHESTMODSEQ" => status.highest_mod_seq = ModSeq::new(number),
        _ => return Ok(false),
    }
    Ok(true)
}

/// `NAMESPACE` (RFC 2342, RFC 9051 §7.3.5).
pub(super) fn namespaces(lexer: &mut Lexer<'_>, bounds: Bounds) -> Result<Namespaces, ParseError> {
    let mut namespaces = Namespaces::default();
    for kind in [
        &mut namespaces.personal,
        &mut namespaces.other_users,
        &mut namespaces.shared,
    ] {
        lexer.expect_space()?;
        if lexer.eat_nil() {
            continue;
        }
        list(lexer, bounds, |lexer| {
            lexer.expect(b'(', "a namespace is missing")?;
            lexer.spaces();
            let prefix = name(lexer)?;
            lexer.expect_space()?;
            let delimiter = delimiter(lexer)?;
            kind.push(Namespace { prefix, delimiter });
            // Extensions: names, each with a list.
            while lexer.spaces() && lexer.peek() != Some(b')') {
                lexer.skip_value(bounds.nesting)?;
            }
            lexer.expect(b')', "a namespace does not end")
        })?;
    }
    lexer.expect_end()?;
    Ok(namespaces)
}

/// An identifier in parentheses (RFC 8474 §7). `None` for anything else.
pub(super) fn object_id(lexer: &mut Lexer<'_>) -> Option<String> {
    if !lexer.eat(b'(') {
        return None;
    }
    let id = lexer.astring().ok()?;
    lexer.eat(b')').then(|| lossy(&id))
}

fn name(lexer: &mut Lexer<'_>) -> Result<MailboxName, ParseError> {
    Ok(MailboxName::from_wire(&lexer.astring()?))
}

/// The hierarchy delimiter: a string of one character, or `NIL`.
fn delimiter(lexer: &mut Lexer<'_>) -> Result<Option<char>, ParseError> {
    match lexer.nstring()? {
        NString::Nil => Ok(None),
        NString::String(text) => Ok(String::from_utf8_lossy(&text).chars().next()),
        NString::Open(_) => Err(lexer.error("a delimiter is too long")),
    }
}
