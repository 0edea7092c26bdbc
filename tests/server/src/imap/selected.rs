//! What a session knows of its selected mailbox, and how it is told of changes.
//!
//! A session has its own list of messages, which changes only when a response says so: sequence
//! numbers are places in that list, not in the mailbox.

use std::collections::BTreeSet;
use std::sync::Arc;

use imap_codec::imap_types::sequence::SequenceSet;

use super::sequence;
use super::session::Session;
use crate::store::mailbox::{Mailbox, Stored};

/// A message that the session was told of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) uid: u32,
    /// The modification sequence of the flags that it was told.
    pub(super) modseq: u64,
}

pub(super) struct Selected {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) read_only: bool,
    /// Ascending by UID.
    pub(super) known: Vec<Known>,
    pub(super) recent: BTreeSet<u32>,
    /// The revision of the mailbox that was told in full.
    revision: Option<u64>,
}

impl Selected {
    pub(super) fn new(mailbox: Arc<Mailbox>, read_only: bool) -> Self {
        let mut selected = Self {
            mailbox: Arc::clone(&mailbox),
            read_only,
            known: Vec::new(),
            recent: BTreeSet::new(),
            revision: None,
        };
        mailbox.change(|contents| {
            selected.revision = Some(contents.revision);
            for message in &mut contents.messages {
                selected.learn(message);
            }
        });
        selected
    }

    /// Adds a new message to what is known.
    fn learn(&mut self, message: &mut Stored) {
        self.known.push(Known {
            uid: message.uid,
            modseq: message.modseq,
        });
        if message.recent {
            self.recent.insert(message.uid);
            message.recent = self.read_only;
        }
    }

    /// The places (from 0) of the messages in a set; `None` if a sequence number is too high.
    pub(super) fn resolve(&self, set: &SequenceSet, uid: bool) -> Option<Vec<usize>> {
        if uid {
            Some(sequence::by_uid(set, &self.known))
        } else {
            sequence::by_number(set, self.known.len())
        }
    }

    /// The flags of a message as a parenthesised list.
    pub(super) fn flags(&self, message: &Stored) -> String {
        let mut flags: Vec<&str> = message.flags.iter().map(String::as_str).collect();
        if self.recent.contains(&message.uid) {
            flags.push("\\Recent");
        }
        format!("({})", flags.join(" "))
    }
}

/// Compares what is known with what is there, both in the order of their UIDs: the places of the
/// known messages that are gone, and places and positions of those whose flags have changed.
fn differences(known: &[Known], messages: &[Stored]) -> (Vec<usize>, Vec<(usize, usize)>) {
    let mut gone = Vec::new();
    let mut changed = Vec::new();
    let mut there = messages.iter().enumerate().peekable();
    for (place, known) in known.iter().enumerate() {
        while there
            .next_if(|(_, message)| message.uid < known.uid)
            .is_some()
        {}
        match there.next_if(|(_, message)| message.uid == known.uid) {
            None => gone.push(place),
            Some((position, message)) if message.modseq != known.modseq => {
                changed.push((place, position));
            }
            Some(_) => {}
        }
    }
    (gone, changed)
}

impl Session {
    /// Tells the client what has changed in the selected mailbox. Without `allow_expunge`
    /// messages that are gone are told later, as sequence numbers must not change now.
    pub(super) fn announce(&mut self, allow_expunge: bool) {
        let Some(selected) = &mut self.selected else {
            return;
        };
        let out = &mut self.out;
        let mut line = |text: String| {
            out.extend_from_slice(text.as_bytes());
            out.extend_from_slice(b"\r\n");
        };
        let condstore = self.condstore;
        let rev2 = self.rev2;
        let mailbox = Arc::clone(&selected.mailbox);
        mailbox.change(|contents| {
            if selected.revision == Some(contents.revision) {
                return;
            }
            let (gone, changed) = differences(&selected.known, &contents.messages);
            if allow_expunge {
                for (already, place) in gone.iter().enumerate() {
                    line(format!("* {} EXPUNGE", place + 1 - already));
                }
                let mut place = 0;
                selected.known.retain(|_| {
                    let stays = gone.binary_search(&place).is_err();
                    place += 1;
                    stays
                });
            }
            for (place, position) in changed {
                let before = if allow_expunge {
                    gone.partition_point(|&other| other < place)
                } else {
                    0
                };
                let place = place - before;
                let Some(message) = contents.messages.get(position) else {
                    continue;
                };
                let mut items = format!("FLAGS {}", selected.flags(message));
                if condstore {
                    items += &format!(" UID {} MODSEQ ({})", message.uid, message.modseq);
                } else if rev2 {
                    items += &format!(" UID {}", message.uid);
                }
                line(format!("* {} FETCH ({items})", place + 1));
                if let Some(known) = selected.known.get_mut(place) {
                    known.modseq = message.modseq;
                }
            }
            let last = selected.known.last().map_or(0, |known| known.uid);
            let new = contents
                .messages
                .partition_point(|message| message.uid <= last);
            let is_new = new < contents.messages.len();
            for message in contents.messages.iter_mut().skip(new) {
                selected.learn(message);
            }
            if is_new {
                line(format!("* {} EXISTS", selected.known.len()));
                if !rev2 {
                    line(format!("* {} RECENT", selected.recent.len()));
                }
            }
            let complete = allow_expunge || gone.is_empty();
            selected.revision = complete.then_some(contents.revision);
        });
    }

    /// Leaves the selected mailbox.
    pub(super) fn deselect(&mut self) {
        if let Some(selected) = self.selected.take() {
            selected.mailbox.unwatch(&self.connection);
            self.connection.update_info(|info| info.mailbox = None);
        }
    }
}
