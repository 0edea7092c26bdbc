//! What the caller has been told, and what the mailbox has.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::uids::Uids;
use crate::types::flag::{Flag, Flags};
use crate::types::ids::{ModSeq, SeqNum, Uid, UidValidity};
use crate::types::mailbox_change::MailboxChange;
use crate::types::range_set::RangeSet;

/// What the caller of a Follow has been told so far. It outlives the connection.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(super) uid_validity: Option<UidValidity>,
    /// Above the UIDs of all messages so far.
    pub(super) uid_next: u32,
    /// The messages that the caller believes to be there.
    pub(super) uids: Uids,
    /// All flag changes up to here have been told.
    pub(super) mod_seq: Option<ModSeq>,
    /// What was last told of a message. Only messages of `uids` are in here.
    told: HashMap<u32, Told>,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    mod_seq: Option<ModSeq>,
    /// Of the flags.
    hash: u64,
}

/// The same for the same flags. `\Recent` says something about sessions.
fn hash_of(flags: &Flags) -> u64 {
    let mut hasher = DefaultHasher::new();
    for flag in flags.iter().filter(|flag| **flag != Flag::Recent) {
        flag.hash(&mut hasher);
    }
    hasher.finish()
}

/// How a message's flags have become known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The server has said it by itself, or in answer to a question for changes.
    Change,
    /// Somebody asked for them.
    Answer,
}

impl Known {
    pub(super) fn new(
        uid_validity: Option<UidValidity>,
        list: &RangeSet,
        mod_seq: Option<ModSeq>,
    ) -> Self {
        Self {
            uid_validity,
            uid_next: list.last().map_or(1, |last| last.saturating_add(1)),
            uids: Uids::from(list),
            mod_seq,
            told: HashMap::new(),
        }
    }

    /// Whether a message's flags are news.
    pub(super) fn is_news(
        &self,
        uid: u32,
        flags: &Flags,
        mod_seq: Option<ModSeq>,
        source: Source,
    ) -> bool {
        match (self.told.get(&uid), mod_seq) {
            (
                Some(Told {
                    mod_seq: Some(told),
                    ..
                }),
                Some(now),
            ) => now > *told,
            (Some(told), _) => told.hash != hash_of(flags),
            (None, Some(now)) if self.mod_seq.is_some_and(|known| now <= known) => false,
            (None, _) => source == Source::Change,
        }
    }

    /// Whether what the caller knows of a message's flags is sure to be from before `mod_seq`,
    /// or may be.
    pub(super) fn may_be_behind(&self, uid: u32, mod_seq: Option<ModSeq>) -> bool {
        let known = self.told.get(&uid).and_then(|told| told.mod_seq);
        mod_seq.is_none_or(|now| known.max(self.mod_seq).is_none_or(|known| now > known))
    }

    pub(super) fn was_told(&self, uid: u32) -> bool {
        self.told.contains_key(&uid)
    }

    /// From now on the caller knows the flags of a message.
    pub(super) fn tell(&mut self, uid: u32, flags: &Flags, mod_seq: Option<ModSeq>) {
        if self.uids.contains(uid) {
            let hash = hash_of(flags);
            self.told.insert(uid, Told { mod_seq, hash });
        }
    }

    /// A message has come.
    pub(super) fn add(&mut self, uid: u32, flags: &Flags, mod_seq: Option<ModSeq>) {
        self.uids.insert(uid);
        self.uid_next = self.uid_next.max(uid.saturating_add(1));
        self.tell(uid, flags, mod_seq);
    }

    /// A message is gone. Returns whether the caller believed it to be there.
    pub(super) fn remove(&mut self, uid: u32) -> bool {
        self.told.remove(&uid);
        self.uids.remove(uid)
    }

    /// What the caller knows of flags may be wrong.
    pub(super) fn forget_flags(&mut self) {
        self.told = HashMap::new();
    }
}

/// The mailbox as the server sees it in this session: which message is which.
#[derive(Debug)]
pub(super) struct View {
    pub(super) uids: Uids,
    /// The list is as long as the mailbox, so that sequence numbers can be counted in it.
    pub(super) is_exact: bool,
    /// Messages that the caller has not been told of; they are to be fetched.
    pub(super) pending: BTreeSet<u32>,
    /// Such messages that the server did not give.
    pub(super) unanswered: BTreeSet<u32>,
    /// What the FETCH under way has found beyond the list: sequence numbers and UIDs.
    pub(super) arrived: Vec<(SeqNum, u32)>,
}

impl View {
    pub(super) fn new(list: &RangeSet, is_exact: bool, pending: BTreeSet<u32>) -> Self {
        Self {
            uids: Uids::from(list),
            is_exact,
            pending,
            unanswered: BTreeSet::new(),
            arrived: Vec::new(),
        }
    }

    /// The next messages to be fetched, at most `count`.
    pub(super) fn next_pending(&self, count: usize) -> Option<RangeSet> {
        let mut set = RangeSet::new();
        set.extend(self.pending.iter().take(count).map(|uid| (*uid, *uid)));
        (!set.is_empty()).then_some(set)
    }

    /// The message with this sequence number, as far as it is known.
    pub(super) fn uid_at(&self, seq: SeqNum) -> Option<u32> {
        let place = usize::try_from(seq.get()).ok()?.checked_sub(1)?;
        let arrived = self.arrived.iter().find(|(at, _)| *at == seq);
        let listed = self.uids.at(place);
        listed.or(arrived.map(|(_, uid)| *uid))
    }

    pub(super) fn forget(&mut self, uid: u32) {
        self.pending.remove(&uid);
        self.unanswered.remove(&uid);
    }
}

pub(super) fn expunged(uid: u32) -> Option<MailboxChange> {
    Uid::new(uid).map(MailboxChange::Expunged)
}
