//! A mailbox: its messages, and who watches it.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use chrono::{DateTime, FixedOffset};
use parking_lot::Mutex;

use super::message::{Content, Message, canonical_flag};
use crate::connection::Connection;

/// A message in a mailbox.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) uid: u32,
    pub(crate) modseq: u64,
    pub(crate) flags: BTreeSet<String>,
    pub(crate) recent: bool,
    pub(crate) internal_date: DateTime<FixedOffset>,
    pub(crate) content: Arc<Content>,
}

impl Stored {
    pub(crate) fn has(&self, flag: &str) -> bool {
        self.flags.contains(flag)
    }

    /// The message as it is put into another mailbox.
    pub(crate) fn as_message(&self) -> Message {
        Message {
            content: Arc::clone(&self.content),
            flags: self.flags.clone(),
            internal_date: self.internal_date,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) uid_validity: u32,
    pub(crate) uid_next: u32,
    pub(crate) highest_modseq: u64,
    /// Goes up with every change, so that a session knows when to look.
    pub(crate) revision: u64,
    /// In the order of their UIDs.
    pub(crate) messages: Vec<Stored>,
}

impl Contents {
    pub(crate) fn position(&self, uid: u32) -> Option<usize> {
        self.messages
            .binary_search_by_key(&uid, |message| message.uid)
            .ok()
    }

    pub(crate) fn find(&self, uid: u32) -> Option<&Stored> {
        self.messages.get(self.position(uid)?)
    }

    /// Adds a message; returns its UID.
    pub(crate) fn append(&mut self, message: &Message) -> u32 {
        let uid = self.uid_next;
        self.uid_next += 1;
        self.highest_modseq += 1;
        self.messages.push(Stored {
            uid,
            modseq: self.highest_modseq,
            flags: message.flags.clone(),
            recent: true,
            internal_date: message.internal_date,
            content: Arc::clone(&message.content),
        });
        uid
    }

    /// Changes the flags of a message; returns whether that made a difference.
    pub(crate) fn change_flags(
        &mut self,
        uid: u32,
        change: impl FnOnce(&mut BTreeSet<String>),
    ) -> bool {
        let next = self.highest_modseq + 1;
        let Some(message) = self
            .position(uid)
            .and_then(|position| self.messages.get_mut(position))
        else {
            return false;
        };
        let before = message.flags.clone();
        change(&mut message.flags);
        if message.flags == before {
            return false;
        }
        message.modseq = next;
        self.highest_modseq = next;
        true
    }

    /// Removes the messages that `gone` names; returns them.
    pub(crate) fn remove(&mut self, mut gone: impl FnMut(&Stored) -> bool) -> Vec<Stored> {
        let mut removed = Vec::new();
        self.messages.retain(|message| {
            let is_gone = gone(message);
            if is_gone {
                removed.push(message.clone());
            }
            !is_gone
        });
        if !removed.is_empty() {
            self.highest_modseq += 1;
        }
        removed
    }
}

/// A mailbox, shared by the sessions that have it selected. It outlives its name.
#[derive(Debug)]
pub(crate) struct Mailbox {
    contents: Mutex<Contents>,
    watchers: Mutex<Vec<Weak<Connection>>>,
}

impl Mailbox {
    pub(crate) fn new(uid_validity: u32) -> Arc<Self> {
        Arc::new(Self {
            contents: Mutex::new(Contents {
                uid_validity,
                uid_next: 1,
                highest_modseq: 1,
                revision: 0,
                messages: Vec::new(),
            }),
            watchers: Mutex::new(Vec::new()),
        })
    }

    pub(crate) fn read<T>(&self, look: impl FnOnce(&Contents) -> T) -> T {
        look(&self.contents.lock())
    }

    /// Changes the mailbox and tells those who watch it.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Contents) -> T) -> T {
        let mut contents = self.contents.lock();
        let before = (contents.highest_modseq, contents.uid_validity);
        let result = change(&mut contents);
        let changed = before != (contents.highest_modseq, contents.uid_validity);
        if changed {
            contents.revision += 1;
        }
        drop(contents);
        if changed {
            let watchers = self.watchers.lock().clone();
            for watcher in watchers.iter().filter_map(Weak::upgrade) {
                watcher.mailbox_changed();
            }
        }
        result
    }

    pub(crate) fn watch(&self, connection: &Arc<Connection>) {
        let mut watchers = self.watchers.lock();
        watchers.retain(|watcher| watcher.strong_count() > 0);
        watchers.push(Arc::downgrade(connection));
    }

    pub(crate) fn unwatch(&self, connection: &Arc<Connection>) {
        let gone = Arc::downgrade(connection);
        self.watchers
            .lock()
            .retain(|watcher| !watcher.ptr_eq(&gone));
    }
}

/// A message as [`Store`](crate::Store) shows it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoredMessage {
    /// The UID.
    pub uid: u32,
    /// The modification sequence.
    pub modseq: u64,
    /// The flags and keywords, `\Recent` not among them.
    pub flags: Vec<String>,
    /// The internal date in seconds since 1970.
    pub internal_date: i64,
    /// The size in octets.
    pub size: u64,
    content: Arc<Content>,
}

impl StoredMessage {
    pub(crate) fn of(stored: &Stored) -> Self {
        Self {
            uid: stored.uid,
            modseq: stored.modseq,
            flags: stored.flags.iter().cloned().collect(),
            internal_date: stored.internal_date.timestamp(),
            size: stored.content.len(),
            content: Arc::clone(&stored.content),
        }
    }

    /// Whether the message has a flag or keyword.
    #[must_use]
    pub fn has_flag(&self, flag: &str) -> bool {
        self.flags.contains(&canonical_flag(flag))
    }

    /// The whole message; of a synthetic one only the first 4 KiB.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.content.load().to_vec()
    }
}
