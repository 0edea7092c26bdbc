//! Commands that concern messages (RFC 9051 §6.4, except SEARCH).
//!
//! Each has a form by sequence number and one by UID. The sets come in pieces that fit a
//! command line, so they are [`RangeSet`]s: which numbers they hold, the name says.

use super::line::CommandLine;
use crate::types::ids::ModSeq;
use crate::types::invalid::InvalidArgument;
use crate::types::items::Items;
use crate::types::mailbox_name::MailboxName;
use crate::types::range_set::RangeSet;
use crate::types::request::{Store, StoreAction};

pub(crate) fn fetch(messages: &RangeSet, items: &Items) -> Result<CommandLine, InvalidArgument> {
    write_fetch("FETCH", messages, items)
}

pub(crate) fn uid_fetch(uids: &RangeSet, items: &Items) -> Result<CommandLine, InvalidArgument> {
    write_fetch("UID FETCH", uids, items)
}

/// Only the messages that have changed since (RFC 7162 §3.1.4.1).
pub(crate) fn uid_fetch_changes(
    uids: &RangeSet,
    items: &Items,
    since: ModSeq,
) -> Result<CommandLine, InvalidArgument> {
    let mut line = uid_fetch(uids, items)?;
    line.word(format_args!("(CHANGEDSINCE {since})"));
    Ok(line)
}

fn write_fetch(
    verb: &'static str,
    set: &RangeSet,
    items: &Items,
) -> Result<CommandLine, InvalidArgument> {
    let mut line = with_set(verb, set)?;
    line.open();
    items.words().for_each(|word| line.word(word));
    for item in items.sections() {
        let name = if item.peek { "BODY.PEEK" } else { "BODY" };
        line.word(format_args!("{name}[{}]", item.section));
        if let Some(partial) = item.partial {
            line.joined(partial);
        }
    }
    line.close();
    Ok(line)
}

pub(crate) fn store(messages: &RangeSet, store: &Store) -> Result<CommandLine, InvalidArgument> {
    write_store("STORE", messages, store)
}

pub(crate) fn uid_store(uids: &RangeSet, store: &Store) -> Result<CommandLine, InvalidArgument> {
    write_store("UID STORE", uids, store)
}

fn write_store(
    verb: &'static str,
    set: &RangeSet,
    store: &Store,
) -> Result<CommandLine, InvalidArgument> {
    let mut line = with_set(verb, set)?;
    if let Some(mod_seq) = store.condition() {
        line.word(format_args!("(UNCHANGEDSINCE {mod_seq})"));
    }
    line.word(match store.action() {
        StoreAction::Add => "+FLAGS",
        StoreAction::Remove => "-FLAGS",
        StoreAction::Replace => "FLAGS",
    });
    if store.is_silent() {
        line.joined(".SILENT");
    }
    line.flags(store.flags())?;
    Ok(line)
}

pub(crate) fn copy(messages: &RangeSet, to: &MailboxName) -> Result<CommandLine, InvalidArgument> {
    with_target("COPY", messages, to)
}

pub(crate) fn uid_copy(uids: &RangeSet, to: &MailboxName) -> Result<CommandLine, InvalidArgument> {
    with_target("UID COPY", uids, to)
}

/// RFC 6851.
pub(crate) fn move_messages(
    messages: &RangeSet,
    to: &MailboxName,
) -> Result<CommandLine, InvalidArgument> {
    with_target("MOVE", messages, to)
}

/// RFC 6851.
pub(crate) fn uid_move(uids: &RangeSet, to: &MailboxName) -> Result<CommandLine, InvalidArgument> {
    with_target("UID MOVE", uids, to)
}

fn with_target(
    verb: &'static str,
    set: &RangeSet,
    to: &MailboxName,
) -> Result<CommandLine, InvalidArgument> {
    let mut line = with_set(verb, set)?;
    line.mailbox(to)?;
    Ok(line)
}

pub(crate) fn expunge() -> CommandLine {
    CommandLine::new("EXPUNGE")
}

/// RFC 4315 §2.1.
pub(crate) fn uid_expunge(uids: &RangeSet) -> Result<CommandLine, InvalidArgument> {
    with_set("UID EXPUNGE", uids)
}

fn with_set(verb: &'static str, set: &RangeSet) -> Result<CommandLine, InvalidArgument> {
    let mut line = CommandLine::new(verb);
    line.set(set)?;
    Ok(line)
}
