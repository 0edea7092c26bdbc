//! What STATUS, STORE and APPEND are asked to do.

use std::fmt;

use bytes::Bytes;

use super::date::DateTime;
use super::flag::Flags;
use super::ids::ModSeq;

/// What STATUS is asked for (RFC 9051 §6.3.11).
///
/// The default is what every server knows: messages, next UID, UIDVALIDITY and unseen.
///
/// ```
/// use mailpool::StatusItems;
/// let items = StatusItems::new().messages().size();
/// # let _ = items;
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[must_use]
pub struct StatusItems {
    /// One bit for each entry of `WORDS`.
    bits: u8,
}

const WORDS: [&str; 8] = [
    "MESSAGES",
    "RECENT",
    "UIDNEXT",
    "UIDVALIDITY",
    "UNSEEN",
    "HIGHESTMODSEQ",
    "SIZE",
    "DELETED",
];

impl Default for StatusItems {
    fn default() -> Self {
        Self::new().messages().uid_next().uid_validity().unseen()
    }
}

impl StatusItems {
    /// Nothing yet; at least one item must be asked for.
    pub const fn new() -> Self {
        Self { bits: 0 }
    }

    /// `MESSAGES`: the number of messages.
    pub const fn messages(self) -> Self {
        self.with(0)
    }

    /// `RECENT`: the number of messages with `\Recent` (RFC 3501; not in IMAP4rev2).
    pub const fn recent(self) -> Self {
        self.with(1)
    }

    /// `UIDNEXT`: the UID that the next message gets.
    pub const fn uid_next(self) -> Self {
        self.with(2)
    }

    /// `UIDVALIDITY`.
    pub const fn uid_validity(self) -> Self {
        self.with(3)
    }

    /// `UNSEEN`: the number of messages without `\Seen`.
    pub const fn unseen(self) -> Self {
        self.with(4)
    }

    /// `HIGHESTMODSEQ` (RFC 7162): needs a server with CONDSTORE.
    pub const fn highest_mod_seq(self) -> Self {
        self.with(5)
    }

    /// `SIZE`: the size of all messages in bytes. Needs STATUS=SIZE (RFC 8438) or IMAP4rev2.
    pub const fn size(self) -> Self {
        self.with(6)
    }

    /// `DELETED`: the number of messages with `\Deleted`. Needs IMAP4rev2, or QUOTA with
    /// messages counted (RFC 9208).
    pub const fn deleted(self) -> Self {
        self.with(7)
    }

    const fn with(self, item: u8) -> Self {
        Self {
            bits: self.bits | 1 << item,
        }
    }

    const fn has(self, item: u8) -> bool {
        self.bits >> item & 1 == 1
    }

    /// The items as they are written.
    pub(crate) fn words(self) -> impl Iterator<Item = &'static str> {
        (0..)
            .zip(WORDS)
            .filter_map(move |(item, word)| self.has(item).then_some(word))
    }
}

impl fmt::Debug for StatusItems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.words()).finish()
    }
}

/// A change of flags (RFC 9051 §6.4.6).
///
/// ```
/// use mailpool::{Flag, Store};
/// let seen = Store::add(Flag::Seen);
/// let quiet = Store::remove([Flag::Flagged, Flag::Draft]).silent();
/// # let _ = (seen, quiet);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[must_use]
pub struct Store {
    action: StoreAction,
    flags: Flags,
    silent: bool,
    unchanged_since: Option<ModSeq>,
}

/// How a STORE changes flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum StoreAction {
    Add,
    Remove,
    Replace,
}

impl Store {
    /// Adds the flags to those that a message has, `+FLAGS`.
    pub fn add(flags: impl Into<Flags>) -> Self {
        Self::with(StoreAction::Add, flags.into())
    }

    /// Takes the flags away, `-FLAGS`.
    pub fn remove(flags: impl Into<Flags>) -> Self {
        Self::with(StoreAction::Remove, flags.into())
    }

    /// Puts the flags in the place of those that a message has, `FLAGS`.
    pub fn replace(flags: impl Into<Flags>) -> Self {
        Self::with(StoreAction::Replace, flags.into())
    }

    const fn with(action: StoreAction, flags: Flags) -> Self {
        Self {
            action,
            flags,
            silent: false,
            unchanged_since: None,
        }
    }

    /// Asks the server not to send the new flags, `.SILENT`.
    pub fn silent(mut self) -> Self {
        self.silent = true;
        self
    }

    /// Changes only messages whose modification sequence is not above `mod_seq`
    /// (RFC 7162 §3.1.3): needs a server with CONDSTORE. Such a store is never repeated by
    /// itself after a broken connection.
    pub fn unchanged_since(mut self, mod_seq: ModSeq) -> Self {
        self.unchanged_since = Some(mod_seq);
        self
    }

    pub(crate) fn adds_or_removes(&self) -> bool {
        self.action != StoreAction::Replace
    }

    pub(crate) fn action(&self) -> StoreAction {
        self.action
    }

    pub(crate) fn flags(&self) -> &Flags {
        &self.flags
    }

    pub(crate) fn is_silent(&self) -> bool {
        self.silent
    }

    /// The condition of a conditional STORE.
    pub(crate) fn condition(&self) -> Option<ModSeq> {
        self.unchanged_since
    }
}

impl From<&Store> for Store {
    fn from(store: &Store) -> Self {
        store.clone()
    }
}

/// A message to be added to a mailbox (RFC 9051 §6.3.12).
///
/// The message is sent as it is: its lines should end in CRLF. A message with a NUL byte is
/// refused: it would take BINARY (RFC 3516), which is not used yet.
///
/// ```
/// use mailpool::{Append, Flag};
/// let message = "Subject: hello\r\n\r\nHello.\r\n";
/// let append = Append::new(message).flags([Flag::Seen]);
/// assert_eq!(append.message().len(), message.len());
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
#[must_use]
pub struct Append {
    message: Bytes,
    flags: Flags,
    date: Option<DateTime>,
}

impl Append {
    /// A message without flags, dated by the server.
    pub fn new(message: impl Into<Bytes>) -> Self {
        Self {
            message: message.into(),
            flags: Flags::new(),
            date: None,
        }
    }

    /// The flags that it gets, instead of those set before.
    pub fn flags(mut self, flags: impl Into<Flags>) -> Self {
        self.flags = flags.into();
        self
    }

    /// Its internal date, instead of the time at which it is added.
    pub fn date(mut self, date: DateTime) -> Self {
        self.date = Some(date);
        self
    }

    /// The message's bytes.
    pub const fn message(&self) -> &Bytes {
        &self.message
    }

    pub(crate) fn initial_flags(&self) -> &Flags {
        &self.flags
    }

    pub(crate) fn internal_date(&self) -> Option<DateTime> {
        self.date
    }
}

impl From<&Append> for Append {
    fn from(append: &Append) -> Self {
        append.clone()
    }
}

/// The message's length stands for its bytes.
impl fmt::Debug for Append {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Append")
            .field("bytes", &self.message.len())
            .field("flags", &self.flags)
            .field("date", &self.date)
            .finish()
    }
}
