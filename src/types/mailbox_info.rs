//! What a server tells about a selected mailbox.

use crate::types::flag::Flags;
use crate::types::ids::{ModSeq, SeqNum, Uid, UidValidity};
use crate::types::mailbox_name::MailboxName;

/// A mailbox as SELECT or EXAMINE found it (RFC 9051 §6.3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MailboxInfo {
    /// The mailbox.
    pub name: MailboxName,
    /// Whether it can only be read.
    pub read_only: bool,
    /// How many messages it has.
    pub exists: u32,
    /// How many messages have the `\Recent` flag (RFC 3501 only).
    pub recent: u32,
    /// The flags that messages of this mailbox may have.
    pub flags: Flags,
    /// The flags that can be changed for good; `None` where the server did not say, which
    /// means all of `flags`.
    pub permanent_flags: Option<Flags>,
    /// What the UIDs of this mailbox belong to.
    pub uid_validity: Option<UidValidity>,
    /// A UID below which no new message will be numbered.
    pub uid_next: Option<Uid>,
    /// The sequence number of the first message that is not seen (RFC 3501 only).
    pub first_unseen: Option<u32>,
    /// The highest mod-sequence (RFC 7162), where the mailbox keeps them.
    pub highest_mod_seq: Option<ModSeq>,
    /// Whether the server keeps UIDs from session to session: `false` after UIDNOTSTICKY.
    pub uids_are_sticky: bool,
}

impl MailboxInfo {
    pub(crate) fn new(name: MailboxName) -> Self {
        Self {
            name,
            read_only: false,
            exists: 0,
            recent: 0,
            flags: Flags::default(),
            permanent_flags: None,
            uid_validity: None,
            uid_next: None,
            first_unseen: None,
            highest_mod_seq: None,
            uids_are_sticky: true,
        }
    }
}

/// Something that a server tells about the selected mailbox without being asked (RFC 9051
/// §7.4, §7.5).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MailboxEvent {
    /// The mailbox now has this many messages.
    Exists(u32),
    /// The message with this sequence number is gone; those above it move down by one.
    Expunged(SeqNum),
    /// Messages with these UIDs are gone; the first and the last of each range (RFC 7162).
    Vanished(Vec<(u32, u32)>),
    /// The flags of a message are now these.
    FlagsChanged {
        /// Its sequence number.
        seq: SeqNum,
        /// Its UID, where the server said it.
        uid: Option<Uid>,
        /// All its flags.
        flags: Flags,
    },
    /// More has happened than is kept: look at the mailbox anew.
    Overflow,
}
