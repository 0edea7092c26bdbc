//! What the server says about mailboxes: `LIST`, `STATUS`, `NAMESPACE`.

use crate::types::ids::{ModSeq, Uid, UidValidity};
use crate::types::mailbox_name::MailboxName;
use bytes::Bytes;

/// One mailbox of a list (RFC 9051 §7.3.1, `LIST`; RFC 3501 §7.2.3, `LSUB`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListEntry {
    /// What is known about the mailbox.
    pub attributes: Vec<MailboxAttribute>,
    /// The character that separates levels of the hierarchy in names of this namespace;
    /// `None` where names have no levels.
    pub delimiter: Option<char>,
    /// The mailbox.
    pub name: MailboxName,
    /// The name that the mailbox had, or was asked for by (RFC 9051 §6.3.9.7, `OLDNAME`).
    pub old_name: Option<MailboxName>,
    /// Which selection options mailboxes below this one satisfy, such as `SUBSCRIBED`
    /// (RFC 9051 §6.3.9.6, `CHILDINFO`).
    pub child_info: Vec<String>,
    /// Further extended data: the item's name and its value as it came.
    pub extended: Vec<(String, Bytes)>,
}

impl ListEntry {
    /// Whether the mailbox has the attribute.
    pub fn has(&self, attribute: &MailboxAttribute) -> bool {
        self.attributes.contains(attribute)
    }

    /// Whether the mailbox can be selected, as far as the attributes tell.
    pub fn is_selectable(&self) -> bool {
        !self.has(&MailboxAttribute::NoSelect) && !self.has(&MailboxAttribute::NonExistent)
    }
}

/// An attribute of a mailbox name (RFC 9051 §7.3.1; RFC 6154 §2 and RFC 8457 §3 for the
/// special uses).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MailboxAttribute {
    /// `\NoSelect`: the mailbox cannot be selected.
    NoSelect,
    /// `\NonExistent`: there is no such mailbox; the name is there for what is below it.
    NonExistent,
    /// `\HasChildren`: there are mailboxes below it.
    HasChildren,
    /// `\HasNoChildren`: there are no mailboxes below it that the user can see.
    HasNoChildren,
    /// `\NoInferiors`: there are no mailboxes below it and none can be created.
    NoInferiors,
    /// `\Marked`: probably there are new messages since it was last selected.
    Marked,
    /// `\Unmarked`: there are no new messages since it was last selected.
    Unmarked,
    /// `\Subscribed`: the user has subscribed to it.
    Subscribed,
    /// `\Remote`: it is on another server.
    Remote,
    /// `\All`: a view of all messages.
    All,
    /// `\Archive`: archived messages.
    Archive,
    /// `\Drafts`: unfinished messages.
    Drafts,
    /// `\Flagged`: a view of all flagged messages.
    Flagged,
    /// `\Junk`: spam.
    Junk,
    /// `\Sent`: copies of messages that were sent.
    Sent,
    /// `\Trash`: deleted messages.
    Trash,
    /// `\Important`: messages that seem important to the user.
    Important,
    /// Any other, with its backslash.
    Other(String),
}

impl MailboxAttribute {
    /// Reads an attribute. The name has to be known as a whole: `\AllMail` is not `\All`.
    pub(crate) fn from_wire(attribute: &[u8]) -> Self {
        for (name, known) in [
            ("\\NoSelect", Self::NoSelect),
            ("\\NonExistent", Self::NonExistent),
            ("\\HasChildren", Self::HasChildren),
            ("\\HasNoChildren", Self::HasNoChildren),
            ("\\NoInferiors", Self::NoInferiors),
            ("\\Marked", Self::Marked),
            ("\\Unmarked", Self::Unmarked),
            ("\\Subscribed", Self::Subscribed),
            ("\\Remote", Self::Remote),
            ("\\All", Self::All),
            ("\\Archive", Self::Archive),
            ("\\Drafts", Self::Drafts),
            ("\\Flagged", Self::Flagged),
            ("\\Junk", Self::Junk),
            ("\\Sent", Self::Sent),
            ("\\Trash", Self::Trash),
            ("\\Important", Self::Important),
        ] {
            if attribute.eq_ignore_ascii_case(name.as_bytes()) {
                return known;
            }
        }
        Self::Other(String::from_utf8_lossy(attribute).into_owned())
    }
}

/// Figures of a mailbox that need not be selected (RFC 9051 §7.3.4, `STATUS`).
///
/// A figure is `None` where the server did not give it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MailboxStatus {
    /// The mailbox.
    pub name: MailboxName,
    /// How many messages there are.
    pub messages: Option<u32>,
    /// How many of them no session has seen yet (RFC 3501 §6.3.10).
    pub recent: Option<u32>,
    /// A UID below which no new message will be numbered.
    pub uid_next: Option<Uid>,
    /// The validity of the mailbox's UIDs.
    pub uid_validity: Option<UidValidity>,
    /// How many messages are without `\Seen`.
    pub unseen: Option<u32>,
    /// How many messages have `\Deleted` (RFC 9051 §6.3.11).
    pub deleted: Option<u32>,
    /// The sum of the messages' sizes in octets (RFC 8438).
    pub size: Option<u64>,
    /// The highest mod-sequence of the messages (RFC 7162 §3.1.2.1); `None` also where
    /// the mailbox keeps none.
    pub highest_mod_seq: Option<ModSeq>,
    /// The largest message that the mailbox takes, in octets (RFC 7889 §4).
    pub append_limit: Option<u64>,
    /// The mailbox's identifier, which it keeps when renamed (RFC 8474 §4.3).
    pub mailbox_id: Option<String>,
    /// Anything else: the item's name and its value as it came.
    pub other: Vec<(String, Bytes)>,
}

impl MailboxStatus {
    pub(crate) fn new(name: MailboxName) -> Self {
        Self {
            name,
            messages: None,
            recent: None,
            uid_next: None,
            uid_validity: None,
            unseen: None,
            deleted: None,
            size: None,
            highest_mod_seq: None,
            append_limit: None,
            mailbox_id: None,
            other: Vec::new(),
        }
    }
}

/// The namespaces of a server (RFC 2342, RFC 9051 §7.3.5, `NAMESPACE`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Namespaces {
    /// Mailboxes of the user.
    pub personal: Vec<Namespace>,
    /// Mailboxes of other users.
    pub other_users: Vec<Namespace>,
    /// Mailboxes that are shared.
    pub shared: Vec<Namespace>,
}

/// One namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Namespace {
    /// What the names of its mailboxes begin with, the delimiter included; may be empty.
    pub prefix: MailboxName,
    /// The character that separates levels of the hierarchy; `None` where names have
    /// no levels.
    pub delimiter: Option<char>,
}
