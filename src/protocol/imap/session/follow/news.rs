//! What the server says about the mailbox that is followed.

use std::collections::BTreeSet;

use super::view::{Known, Source, View, expunged};
use super::{Doubt, Following, State, Step};
use crate::protocol::imap::response::Attributes;
use crate::protocol::imap::session::Session;
use crate::protocol::imap::session::operation::Part;
use crate::protocol::machine::Output;
use crate::types::flag::Flags;
use crate::types::ids::{ModSeq, SeqNum, Uid, UidValidity};
use crate::types::mailbox_change::MailboxChange;
use crate::types::range_set::RangeSet;

impl Following {
    /// The mailbox has `count` messages and had `before`.
    pub(in super::super) fn exists(&mut self, count: u32, before: u32) {
        let Some(view) = &mut self.view else {
            return;
        };
        let listed = u32::try_from(view.uids.len()).unwrap_or(u32::MAX);
        if count > listed {
            self.may_have_more |= count > before;
        } else if count < listed && view.is_exact {
            // Which of them are gone the server did not say.
            self.view = None;
        }
    }

    /// The message with this sequence number is gone.
    pub(in super::super) fn expunged(&mut self, seq: SeqNum) {
        self.listing.is_dirty = true;
        let Some(view) = &mut self.view else {
            return;
        };
        let uid = match place_of(seq).filter(|place| *place < view.uids.len()) {
            Some(place) if view.is_exact => view.uids.remove_at(place),
            // One that came since the last look, and has not been looked at.
            None if !matches!(self.state, State::Asking(_)) => return,
            // Which one that is only a new list can tell.
            _ => {
                self.view = None;
                return;
            }
        };
        if let Some(uid) = uid {
            view.forget(uid);
            self.gone(uid);
        }
    }

    /// The messages with these UIDs are gone (RFC 7162 §3.2.10).
    pub(in super::super) fn vanished(&mut self, uids: &RangeSet) {
        self.listing.is_dirty = true;
        let listed = match (&self.view, &self.known) {
            (Some(view), _) => view.uids.ranges(),
            (None, Some(known)) => known.uids.ranges(),
            (None, None) => return,
        };
        for uid in listed.intersection(uids).iter() {
            if let Some(view) = &mut self.view {
                view.uids.remove(uid);
                view.forget(uid);
            }
            self.gone(uid);
        }
    }

    pub(super) fn gone(&mut self, uid: u32) {
        if self.known.as_mut().is_some_and(|known| known.remove(uid)) {
            self.news.extend(expunged(uid));
        }
    }

    /// Flags that nobody asked for.
    pub(in super::super) fn unasked(&mut self, seq: SeqNum, attributes: &Attributes) {
        self.highest = self.highest.max(attributes.mod_seq);
        let Some(flags) = &attributes.flags else {
            return;
        };
        let Some(known) = &mut self.known else {
            return;
        };
        let uid = match (attributes.uid, &self.view) {
            (Some(uid), _) => uid.get(),
            (None, Some(view)) if view.is_exact => {
                match view.uid_at(seq) {
                    Some(uid) => uid,
                    // A new one that has not been looked at: its flags come with it.
                    None => return,
                }
            }
            (None, _) => {
                self.doubt = Doubt::Certain;
                return;
            }
        };
        if known.uids.contains(uid) {
            self.flags(uid, flags, attributes.mod_seq, Source::Change);
        } else if let Some(view) = &mut self.view {
            if view.unanswered.remove(&uid) {
                self.add(uid, flags, attributes.mod_seq);
            }
        }
    }

    /// An answer to a FETCH of this Follow.
    pub(in super::super) fn answered(&mut self, seq: SeqNum, attributes: &Attributes) {
        self.highest = self.highest.max(attributes.mod_seq);
        let (Some(uid), Some(flags)) = (attributes.uid, &attributes.flags) else {
            return;
        };
        let uid = uid.get();
        let (Some(known), Some(view)) = (&mut self.known, &mut self.view) else {
            return;
        };
        if known.uids.contains(uid) {
            let source = match self.state {
                State::Asking(Step::Changes { .. }) => Source::Change,
                _ => Source::Answer,
            };
            return self.flags(uid, flags, attributes.mod_seq, source);
        }
        let is_listed = view.pending.contains(&uid) || view.unanswered.contains(&uid);
        if !is_listed {
            // `n:*` always names the last message.
            if uid < known.uid_next {
                return;
            }
            if !view.uids.contains(uid) {
                view.arrived.push((seq, uid));
            }
        }
        view.forget(uid);
        self.add(uid, flags, attributes.mod_seq);
    }

    /// An answer to an operation of somebody else, who changed the flags or asked for them.
    pub(in super::super) fn overheard(&mut self, attributes: &Attributes, is_store: bool) {
        self.highest = self.highest.max(attributes.mod_seq);
        let (Some(uid), Some(flags)) = (attributes.uid, &attributes.flags) else {
            return;
        };
        let (uid, mod_seq) = (uid.get(), attributes.mod_seq);
        let Some(known) = self.known.as_mut().filter(|it| it.uids.contains(uid)) else {
            return;
        };
        if is_store {
            if known.may_be_behind(uid, mod_seq) {
                known.tell(uid, flags, mod_seq);
            }
        } else if known.was_told(uid) {
            // A server need not say again what an answer has said.
            self.flags(uid, flags, mod_seq, Source::Answer);
        } else if known.mod_seq.is_none() {
            known.tell(uid, flags, mod_seq);
        } else if known.may_be_behind(uid, mod_seq) {
            // Whether they have changed only the server knows.
            self.doubt = Doubt::Certain;
        }
    }

    fn flags(&mut self, uid: u32, flags: &Flags, mod_seq: Option<ModSeq>, source: Source) {
        let Some(known) = &mut self.known else {
            return;
        };
        if !known.is_news(uid, flags, mod_seq, source) {
            return;
        }
        known.tell(uid, flags, mod_seq);
        if let Some(uid) = Uid::new(uid) {
            self.news.push_back(MailboxChange::Flags {
                uid,
                flags: flags.clone(),
                mod_seq,
            });
        }
    }

    fn add(&mut self, uid: u32, flags: &Flags, mod_seq: Option<ModSeq>) {
        if let Some(known) = &mut self.known {
            known.add(uid, flags, mod_seq);
        }
        if let Some(uid) = Uid::new(uid) {
            self.news.push_back(MailboxChange::New {
                uid,
                flags: flags.clone(),
                mod_seq,
            });
        }
    }

    /// Compares a new list with what the caller has been told.
    pub(super) fn compare(
        &mut self,
        list: &RangeSet,
        is_exact: bool,
        uid_validity: Option<UidValidity>,
        mod_seq: Option<ModSeq>,
    ) {
        let fresh = || Box::new(Known::new(uid_validity, list, mod_seq));
        let mut pending = BTreeSet::new();
        match &self.known {
            None => {
                self.known = Some(fresh());
                self.doubt = Doubt::None;
                self.news.push_back(MailboxChange::Began {
                    exists: u32::try_from(list.len()).unwrap_or(u32::MAX),
                    uid_validity,
                });
            }
            Some(known) if known.uid_validity != uid_validity => {
                self.known = Some(fresh());
                self.doubt = Doubt::None;
                self.news.push_back(MailboxChange::UidValidityChanged {
                    found: uid_validity,
                });
            }
            Some(known) => {
                let before = known.uids.ranges();
                pending.extend(list.difference(&before).iter());
                for uid in before.difference(list).iter() {
                    self.gone(uid);
                }
            }
        }
        self.view = Some(View::new(list, is_exact, pending));
    }
}

fn place_of(seq: SeqNum) -> Option<usize> {
    usize::try_from(seq.get()).ok()?.checked_sub(1)
}

impl Session {
    /// The Follow, if its mailbox is the one that is selected: what the server says is about
    /// messages that it knows.
    pub(in super::super) fn followed(&mut self) -> Option<&mut Following> {
        let selected = self.selected.as_ref()?;
        let follow = self.follow.as_deref_mut()?;
        let is_it = selected.info.name == follow.target.name;
        let known = follow.known.as_ref();
        let same = known.is_none_or(|it| it.uid_validity == selected.info.uid_validity);
        (is_it && (same || follow.view.is_some())).then_some(follow)
    }

    /// Hands on what there is to tell, and leaves IDLE where there is something to ask.
    pub(in super::super) fn tell_news(&mut self) {
        let Some(follow) = &mut self.follow else {
            return;
        };
        let id = follow.id;
        let news = follow.news.drain(..);
        self.outputs
            .extend(news.map(|change| Output::Part(id, Part::Change(change))));
        if follow.is_idling() && follow.has_had_enough() {
            self.leave_idle();
        }
    }

    /// Text of the server for the user.
    pub(in super::super) fn tell_alert(&mut self, text: &str) {
        if let Some(follow) = &mut self.follow {
            follow.news.push_back(MailboxChange::Alert(text.to_owned()));
            self.tell_news();
        }
    }
}
