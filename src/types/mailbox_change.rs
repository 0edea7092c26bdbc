//! What becomes of a mailbox while it is followed.

use crate::types::flag::Flags;
use crate::types::ids::{ModSeq, Uid, UidValidity};

/// A change to a mailbox, by whomever it was made ([`Mailbox::idle`](crate::Mailbox::idle)).
///
/// Messages are named by UID: sequence numbers would mean nothing by the time they are read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MailboxChange {
    /// The mailbox is being followed from now on. What it has at this moment is not reported.
    Began {
        /// How many messages it has.
        exists: u32,
        /// What its UIDs belong to, where the server says it.
        uid_validity: Option<UidValidity>,
    },
    /// A message has come.
    New {
        /// Its UID.
        uid: Uid,
        /// All its flags.
        flags: Flags,
        /// Its mod-sequence, where the mailbox keeps them (CONDSTORE, RFC 7162).
        mod_seq: Option<ModSeq>,
    },
    /// A message is gone.
    Expunged(Uid),
    /// The flags of a message were changed.
    Flags {
        /// Its UID.
        uid: Uid,
        /// All its flags, as they are now.
        flags: Flags,
        /// Its mod-sequence, where the mailbox keeps them (CONDSTORE, RFC 7162).
        mod_seq: Option<ModSeq>,
    },
    /// Another mailbox has taken over the name: UIDs from before mean nothing any more. It is
    /// followed from now on, and what it has at this moment is not reported.
    UidValidityChanged {
        /// What its UIDs belong to now.
        found: Option<UidValidity>,
    },
    /// The server could not be listened to for a while and has no CONDSTORE: flags may have been
    /// changed meanwhile, and it does not say which. Messages that came or went are reported.
    FlagsUnknown,
    /// Words of the server for the user (`[ALERT]`, RFC 9051 §7.1).
    Alert(String),
}

impl MailboxChange {
    /// The memory that it takes, about.
    pub(crate) fn weight(&self) -> usize {
        const CHANGE: usize = 96;
        match self {
            Self::New { flags, .. } | Self::Flags { flags, .. } => {
                CHANGE
                    + flags
                        .iter()
                        .map(|flag| flag.to_string().len() + 32)
                        .sum::<usize>()
            }
            Self::Alert(text) => CHANGE + text.len(),
            _ => CHANGE,
        }
    }
}
