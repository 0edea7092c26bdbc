//! Commands that concern mailboxes (RFC 9051 §6.3).

use super::line::{CommandLine, Piece};
use crate::types::invalid::InvalidArgument;
use crate::types::mailbox_name::{MailboxName, wire_form};
use crate::types::request::{Append, StatusItems};

/// `condstore` asks for modification sequences (RFC 7162 §3.1.8).
pub(crate) fn select(
    mailbox: &MailboxName,
    condstore: bool,
) -> Result<CommandLine, InvalidArgument> {
    open("SELECT", mailbox, condstore)
}

/// As [`select`], read-only.
pub(crate) fn examine(
    mailbox: &MailboxName,
    condstore: bool,
) -> Result<CommandLine, InvalidArgument> {
    open("EXAMINE", mailbox, condstore)
}

fn open(
    verb: &'static str,
    mailbox: &MailboxName,
    condstore: bool,
) -> Result<CommandLine, InvalidArgument> {
    let mut line = with_mailbox(verb, mailbox)?;
    if condstore {
        line.word("(CONDSTORE)");
    }
    Ok(line)
}

pub(crate) fn create(mailbox: &MailboxName) -> Result<CommandLine, InvalidArgument> {
    with_mailbox("CREATE", mailbox)
}

pub(crate) fn delete(mailbox: &MailboxName) -> Result<CommandLine, InvalidArgument> {
    with_mailbox("DELETE", mailbox)
}

pub(crate) fn rename(from: &MailboxName, to: &MailboxName) -> Result<CommandLine, InvalidArgument> {
    let mut line = with_mailbox("RENAME", from)?;
    line.mailbox(to)?;
    Ok(line)
}

pub(crate) fn subscribe(mailbox: &MailboxName) -> Result<CommandLine, InvalidArgument> {
    with_mailbox("SUBSCRIBE", mailbox)
}

pub(crate) fn unsubscribe(mailbox: &MailboxName) -> Result<CommandLine, InvalidArgument> {
    with_mailbox("UNSUBSCRIBE", mailbox)
}

fn with_mailbox(verb: &'static str, mailbox: &MailboxName) -> Result<CommandLine, InvalidArgument> {
    let mut line = CommandLine::new(verb);
    line.mailbox(mailbox)?;
    Ok(line)
}

/// In `pattern`, `*` stands for anything and `%` for anything up to the next delimiter. Both
/// arguments are text and may be empty.
pub(crate) fn list(reference: &str, pattern: &str) -> Result<CommandLine, InvalidArgument> {
    with_pattern("LIST", reference, pattern)
}

/// As [`list`], of subscribed mailboxes (RFC 3501 §6.3.9).
pub(crate) fn lsub(reference: &str, pattern: &str) -> Result<CommandLine, InvalidArgument> {
    with_pattern("LSUB", reference, pattern)
}

fn with_pattern(
    verb: &'static str,
    reference: &str,
    pattern: &str,
) -> Result<CommandLine, InvalidArgument> {
    let mut line = CommandLine::new(verb);
    line.string("reference name", &wire_form(reference)?)?;
    line.string("mailbox pattern", &wire_form(pattern)?)?;
    Ok(line)
}

/// RFC 2342.
pub(crate) fn namespace() -> CommandLine {
    CommandLine::new("NAMESPACE")
}

pub(crate) fn status(
    mailbox: &MailboxName,
    items: &StatusItems,
) -> Result<CommandLine, InvalidArgument> {
    let mut line = with_mailbox("STATUS", mailbox)?;
    let mut words = items.words().peekable();
    if words.peek().is_none() {
        return Err(InvalidArgument::new("list of status items", "is empty"));
    }
    line.open();
    words.for_each(|word| line.word(word));
    line.close();
    Ok(line)
}

/// # Errors
/// Also when the message has a NUL byte, which no literal can hold: see [`append_binary`].
pub(crate) fn append(
    mailbox: &MailboxName,
    append: &Append,
) -> Result<CommandLine, InvalidArgument> {
    if memchr::memchr(0, append.message()).is_some() {
        let reason = "holds NUL, which needs a server with BINARY";
        return Err(InvalidArgument::new("message", reason));
    }
    write_append(mailbox, append, Piece::Literal(append.message().clone()))
}

/// As [`append`], where the server has BINARY (RFC 3516 §4.4): a message with a NUL byte is
/// sent as a literal8.
pub(crate) fn append_binary(
    mailbox: &MailboxName,
    append: &Append,
) -> Result<CommandLine, InvalidArgument> {
    let message = append.message().clone();
    let message = match memchr::memchr(0, &message) {
        Some(_) => Piece::Literal8(message),
        None => Piece::Literal(message),
    };
    write_append(mailbox, append, message)
}

fn write_append(
    mailbox: &MailboxName,
    append: &Append,
    message: Piece,
) -> Result<CommandLine, InvalidArgument> {
    let mut line = with_mailbox("APPEND", mailbox)?;
    if !append.initial_flags().is_empty() {
        line.flags(append.initial_flags())?;
    }
    if let Some(date) = append.internal_date() {
        line.word(format_args!("\"{date}\""));
    }
    line.literal(message);
    Ok(line)
}

/// Expunges without saying what, and leaves the mailbox.
pub(crate) fn close() -> CommandLine {
    CommandLine::new("CLOSE")
}

/// Leaves the mailbox and expunges nothing (RFC 3691).
pub(crate) fn unselect() -> CommandLine {
    CommandLine::new("UNSELECT")
}
