//! Which FETCH response goes to which caller, and streamed literals.

use bytes::Bytes;

use super::Session;
use super::commands::{Kind, Owner};
use super::damaged::uid_in;
use super::held::Held;
use super::operation::{By, End, Part, Refusal, StreamedSection};
use crate::protocol::imap::response::{self, Attributes, Fetch, OpenSection};
use crate::protocol::machine::{OperationId, Output};
use crate::types::ids::{SeqNum, Uid};
use crate::types::mailbox_info::MailboxEvent;
use crate::types::range_set::RangeSet;
use crate::wire::frame::Frame;

/// A literal that is being handed on in chunks.
#[derive(Default)]
pub(super) struct Stream {
    /// `None`: nobody wants it.
    to: Option<OperationId>,
    seq: Option<SeqNum>,
    /// It is kept until the message's UID comes.
    held: Option<Box<Held>>,
}

impl Stream {
    /// Whether it goes to the caller of this operation.
    pub(super) fn is_for(&self, id: OperationId) -> bool {
        self.to == Some(id)
    }
}

impl Session {
    /// A FETCH response, perhaps with a literal that follows in chunks.
    pub(super) fn fetched(&mut self, mut fetch: Fetch, open_literal: Option<u64>, size: usize) {
        let seq = fetch.seq;
        if fetch.attributes.uid.is_none() && self.oldest_fetch().is_some() {
            if let Some(open) = fetch.open.take() {
                self.stream = Some(Stream {
                    held: Some(Box::new(Held::new(seq, fetch.attributes, open, size))),
                    ..Stream::default()
                });
                return;
            }
        }
        let owner = self.owner_of(&fetch);
        if open_literal.is_some() {
            self.stream = Some(Stream {
                to: match owner {
                    Some(Owned::Fetch(id)) if fetch.attributes.uid.is_some() => Some(id),
                    _ => None,
                },
                seq: Some(seq),
                held: None,
            });
        }
        if let (Some(Owned::Fetch(_) | Owned::Store(_)), Some(follow)) = (&owner, self.followed()) {
            let is_store = matches!(owner, Some(Owned::Store(_)));
            follow.overheard(&fetch.attributes, is_store);
        }
        match owner {
            Some(Owned::Fetch(id)) if fetch.attributes.uid.is_none() => {
                self.part(
                    id,
                    Part::Refused(Refusal {
                        uid: None,
                        reason: format!("message {seq} came without its UID"),
                        is_limit: false,
                        continued: false,
                    }),
                );
            }
            Some(Owned::Fetch(id)) => {
                let selected = self.selected.as_ref();
                let part = Part::Message {
                    seq,
                    uid_validity: selected.and_then(|selected| selected.info.uid_validity),
                    attributes: Box::new(fetch.attributes),
                    stream: fetch.open.map(streamed),
                    size,
                };
                self.part(id, part);
            }
            Some(Owned::Store(id)) => {
                if self.may_hold(id, size) {
                    self.stored(id, seq, fetch.attributes);
                }
            }
            Some(Owned::Follow) => {
                if let Some(follow) = self.followed() {
                    follow.answered(seq, &fetch.attributes);
                }
            }
            None => self.flags_changed(seq, fetch.attributes),
        }
    }

    /// Finds the command that a FETCH response answers: the oldest one that asked for this
    /// message, has not had it yet, and asked for what the response holds. Content that comes
    /// without a UID, or before it where it is streamed, is the oldest one's, which is told
    /// that it misses a message.
    fn owner_of(&mut self, fetch: &Fetch) -> Option<Owned> {
        let uid = fetch.attributes.uid;
        let only_flags = is_flags_update(&fetch.attributes) && fetch.open.is_none();
        let nameless = uid.is_none() && (fetch.open.is_some() || has_content(&fetch.attributes));
        let selected = self.selected.as_ref();
        let exists = selected.map_or(0, |one| one.info.exists);
        // `*` is the last message, whatever its number (RFC 9051 §9, seq-number): the last one
        // when the command was sent, or now.
        let names = |set: &RangeSet, number, at_sending| {
            let seq = fetch.seq.get();
            let is_last = seq == exists || seq == at_sending;
            set.contains(number) || (is_last && set.last() == Some(u32::MAX))
        };
        let has_more = fetch.open.is_some() || has_content(&fetch.attributes);
        let mut told_before = None;
        for command in &mut self.commands {
            let id = match command.owner {
                Owner::Operation(id) => Some(id),
                Owner::Follow => None,
                _ => continue,
            };
            match &mut command.kind {
                Kind::Fetch {
                    by,
                    set,
                    flags_only,
                    seen,
                } => {
                    let Some(number) = number(*by, uid, fetch.seq) else {
                        if let Some(id) = id.filter(|_| nameless) {
                            return Some(Owned::Fetch(id));
                        }
                        continue;
                    };
                    if !names(set, number, command.exists) {
                        continue;
                    }
                    if seen.contains(number) {
                        // Servers may tell of one message in several responses.
                        if has_more && told_before.is_none() {
                            told_before = id.map(Owned::Fetch);
                        }
                        continue;
                    }
                    if only_flags && !*flags_only {
                        continue;
                    }
                    seen.insert(number);
                    let at = fetch.seq.get();
                    if set.last() == Some(u32::MAX) && (at == exists || at == command.exists) {
                        // This was `*`, also where its own number is in another range.
                        seen.insert(u32::MAX);
                    }
                    return Some(id.map_or(Owned::Follow, Owned::Fetch));
                }
                Kind::Store { by, set }
                    if only_flags
                        && number(*by, uid, fetch.seq)
                            .is_some_and(|number| names(set, number, command.exists)) =>
                {
                    return id.map(Owned::Store);
                }
                _ => {}
            }
        }
        told_before
    }

    fn stored(&mut self, id: OperationId, seq: SeqNum, attributes: Attributes) {
        let Some(active) = self.active.get_mut(&id) else {
            return;
        };
        if let (End::Stored(stored), Some(flags)) = (&mut active.end, attributes.flags) {
            stored
                .flags
                .push((seq, attributes.uid, flags, attributes.mod_seq));
        }
    }

    /// Nobody asked: the flags of a message have changed.
    fn flags_changed(&mut self, seq: SeqNum, attributes: Attributes) {
        if let Some(follow) = self.followed() {
            follow.unasked(seq, &attributes);
        }
        if let Some(flags) = attributes.flags {
            self.event(MailboxEvent::FlagsChanged {
                seq,
                uid: attributes.uid,
                flags,
            });
        }
    }

    fn part(&mut self, id: OperationId, part: Part) {
        self.outputs.push_back(Output::Part(id, part));
    }

    pub(super) fn chunk(&mut self, bytes: Bytes) {
        let limit = self.config.limits.buffered_body();
        let Some(stream) = &mut self.stream else {
            return;
        };
        if let Some(held) = &mut stream.held {
            if held.push(bytes) > limit {
                let reason = format!(
                    "message {} came without its UID, and {limit} bytes of it do not hold it",
                    held.seq
                );
                stream.held = None;
                self.refuse_oldest(reason, true);
            }
            return;
        }
        if let Some(id) = stream.to {
            self.part(id, Part::Chunk(bytes));
        }
    }

    /// The oldest FETCH of a caller.
    fn oldest_fetch(&self) -> Option<OperationId> {
        self.commands
            .iter()
            .find_map(|one| match (&one.kind, one.owner) {
                (Kind::Fetch { .. }, Owner::Operation(id)) => Some(id),
                _ => None,
            })
    }

    /// Tells the oldest FETCH that it misses a message.
    fn refuse_oldest(&mut self, reason: String, is_limit: bool) {
        if let Some(id) = self.oldest_fetch() {
            self.part(
                id,
                Part::Refused(Refusal {
                    uid: None,
                    reason,
                    is_limit,
                    continued: false,
                }),
            );
        }
    }

    /// What follows a body that was held back.
    fn rest_of_held(&mut self, held: Held, frame: &Frame) {
        match response::parse_fetch_rest(frame, &self.config.limits, held.seq) {
            Ok(rest) => {
                let (fetch, held) = held.complete(rest);
                self.fetched(fetch, frame.open_literal, held + frame.len());
            }
            Err(error) => {
                if frame.open_literal.is_some() {
                    self.stream = Some(Stream::default());
                }
                self.refuse_oldest(error.to_string(), error.is_limit());
            }
        }
    }

    /// What follows a streamed literal; perhaps another one.
    pub(super) fn rest_of_stream(&mut self, frame: &Frame) {
        let Some(mut stream) = self.stream.take() else {
            return;
        };
        if let Some(held) = stream.held.take() {
            return self.rest_of_held(*held, frame);
        }
        if frame.open_literal.is_some() {
            self.stream = Some(Stream {
                held: None,
                ..stream
            });
        }
        let (Some(id), Some(seq)) = (stream.to, stream.seq) else {
            return;
        };
        match response::parse_fetch_rest(frame, &self.config.limits, seq) {
            // The first part had one: whose message this is would be anybody's guess.
            Ok(fetch) if fetch.attributes.uid.is_some() => {
                if let Some(stream) = &mut self.stream {
                    stream.to = None;
                }
                self.part(
                    id,
                    Part::Refused(Refusal {
                        uid: None,
                        reason: "a second UID in one FETCH response".to_owned(),
                        is_limit: false,
                        continued: true,
                    }),
                );
            }
            Ok(fetch) => {
                let part = Part::Rest {
                    attributes: Box::new(fetch.attributes),
                    stream: fetch.open.map(streamed),
                    size: frame.len(),
                };
                self.part(id, part);
            }
            Err(error) => {
                if let Some(stream) = &mut self.stream {
                    stream.to = None;
                }
                self.part(
                    id,
                    Part::Refused(Refusal {
                        uid: None,
                        reason: error.to_string(),
                        is_limit: error.is_limit(),
                        continued: true,
                    }),
                );
            }
        }
    }

    /// What follows a streamed literal went beyond a limit.
    pub(super) fn break_stream(&mut self, reason: &str) {
        let Some(stream) = self.stream.take() else {
            return;
        };
        if stream.held.is_some() {
            return self.refuse_oldest(reason.to_owned(), true);
        }
        let Some(id) = stream.to else {
            return;
        };
        self.part(
            id,
            Part::Refused(Refusal {
                uid: None,
                reason: reason.to_owned(),
                is_limit: true,
                continued: true,
            }),
        );
    }

    /// A FETCH response that cannot be read: the caller that asked for it is told which
    /// message it misses.
    pub(super) fn refuse_message(&mut self, frame: &Frame, reason: &str, is_limit: bool) {
        let uid = uid_in(&frame.head);
        let command = self
            .commands
            .iter_mut()
            .find_map(|one| match &mut one.kind {
                Kind::Fetch { by, set, seen, .. } => {
                    let may_be = |uid: Uid| {
                        let asked = set.contains(uid.get()) || set.last() == Some(u32::MAX);
                        asked && !seen.contains(uid.get())
                    };
                    let is_it = *by == By::Sequence || uid.is_none_or(may_be);
                    is_it.then_some((one.owner, by, seen))
                }
                _ => None,
            });
        let owner = command.map(|(owner, by, seen)| {
            if let (By::Uid, Some(uid)) = (by, uid) {
                seen.insert(uid.get());
            }
            owner
        });
        if frame.open_literal.is_some() {
            self.stream = Some(Stream::default());
        }
        let id = match owner {
            Some(Owner::Operation(id)) => id,
            Some(Owner::Follow) => return self.follow_misses(reason),
            _ => return,
        };
        self.part(
            id,
            Part::Refused(Refusal {
                uid,
                reason: reason.to_owned(),
                is_limit,
                continued: false,
            }),
        );
    }
}

enum Owned {
    Fetch(OperationId),
    Store(OperationId),
    Follow,
}

fn number(by: By, uid: Option<Uid>, seq: SeqNum) -> Option<u32> {
    match by {
        By::Uid => uid.map(Uid::get),
        By::Sequence => Some(seq.get()),
    }
}

fn streamed(open: OpenSection) -> StreamedSection {
    StreamedSection {
        section: open.section,
        origin: open.origin,
        size: open.length,
    }
}

/// Whether a response holds what no server sends unasked.
fn has_content(attributes: &Attributes) -> bool {
    attributes.internal_date.is_some()
        || attributes.size.is_some()
        || attributes.envelope.is_some()
        || attributes.body_structure.is_some()
        || !attributes.sections.is_empty()
}

/// Whether a response holds nothing but flags, as one that nobody asked for does.
fn is_flags_update(attributes: &Attributes) -> bool {
    attributes.flags.is_some()
        && attributes.internal_date.is_none()
        && attributes.size.is_none()
        && attributes.envelope.is_none()
        && attributes.body_structure.is_none()
        && attributes.sections.is_empty()
        && attributes.extended.is_none()
        && attributes.others.is_empty()
}
