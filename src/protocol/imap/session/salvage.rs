//! What becomes of the operations under way when their connection breaks.
//!
//! | the server has seen | then |
//! |---|---|
//! | nothing of it | it is carried out on the next connection |
//! | some of it, and it may be repeated | the same, in the mailbox with the same UIDVALIDITY |
//! | some of it | nobody knows whether it was carried out |

use super::Session;
use super::commands::{Kind, Owner};
use super::operation::{By, Failure, Operation, Request};
use super::seen::Seen;
use crate::protocol::machine::{OperationId, Salvaged, Verdict};
use crate::types::range_set::RangeSet;
use crate::types::response_code::ResponseCode;

impl Session {
    /// The operations that may be carried out on another connection, when `written` bytes may
    /// have left on this one.
    pub(super) fn salvage_operations(&mut self, written: u64) -> Vec<Salvaged<Self>> {
        let active = std::mem::take(&mut self.active);
        let mut salvaged: Vec<_> = self.salvage_follow().into_iter().collect();
        for (id, active) in active {
            if active.failure.is_some() {
                continue;
            }
            let mut operation = active.operation;
            // What has gone through the gate may still be waiting for the socket.
            let sent = active
                .first_tag
                .is_some_and(|tag| !self.writer.is_unseen(tag, written));
            if sent && !self.may_be_repeated(id, &mut operation) {
                continue;
            }
            salvaged.push(Salvaged {
                id,
                again: Some(operation),
                sent,
                undone: !sent,
            });
        }
        salvaged
    }

    /// Whether an operation of which the server has seen something may be carried out again.
    /// What its caller has had already is taken out, and it is bound to the mailbox as it is
    /// now.
    fn may_be_repeated(&self, id: OperationId, operation: &mut Operation) -> bool {
        if !is_repeatable(&operation.request) {
            return false;
        }
        if let Some(target) = &mut operation.target {
            let selected = self.selected.as_ref();
            let validity = selected.and_then(|selected| selected.info.uid_validity);
            match (target.uid_validity, validity) {
                (None, Some(validity)) => target.uid_validity = Some(validity),
                // Whether it is the same mailbox could not be told.
                (None, None) if addresses_messages(&operation.request) => return false,
                _ => {}
            }
        }
        let Request::Fetch(_, set, _) = &mut operation.request else {
            return true;
        };
        let broken_off = self.stream.as_ref().is_some_and(|stream| stream.is_for(id));
        if broken_off {
            return false;
        }
        for command in &self.commands {
            if let (
                Owner::Operation(owner),
                Kind::Fetch {
                    set: piece, seen, ..
                },
            ) = (command.owner, &command.kind)
            {
                if owner == id {
                    *set = without(set, piece, seen);
                }
            }
        }
        // The commands that have been answered have delivered what there was.
        let open = self
            .commands
            .iter()
            .filter(|one| one.owner == Owner::Operation(id));
        let mut left = RangeSet::default();
        for command in open {
            if let Kind::Fetch { set: piece, .. } = &command.kind {
                left = left.union(&set.intersection(piece));
            }
        }
        *set = left;
        true
    }
}

/// The operations that do no harm when they are carried out twice.
pub(super) fn is_repeatable(request: &Request) -> bool {
    match request {
        Request::Capability
        | Request::Noop
        | Request::Id(_)
        | Request::List { .. }
        | Request::Lsub { .. }
        | Request::Namespace
        | Request::Status(..)
        | Request::Select
        | Request::Search(By::Uid, _)
        | Request::Fetch(By::Uid, ..)
        | Request::ExpungeUids(_) => true,
        Request::Store(By::Uid, _, store) => store.adds_or_removes() && store.condition().is_none(),
        _ => false,
    }
}

fn addresses_messages(request: &Request) -> bool {
    matches!(
        request,
        Request::Search(..) | Request::Fetch(..) | Request::Store(..) | Request::ExpungeUids(_)
    )
}

fn without(set: &RangeSet, piece: &RangeSet, seen: &Seen) -> RangeSet {
    let mut taken = RangeSet::default();
    taken.extend(seen.ranges());
    // `*` names the last message, whatever its number. Once that has been delivered what is left
    // must not name it again.
    if let Some((open, u32::MAX)) = piece.ranges().last().copied() {
        let is_last = |(_, number): (u32, u32)| number >= open || !piece.contains(number);
        if seen.ranges().any(is_last) {
            taken.insert(u32::MAX, u32::MAX);
        }
    }
    set.difference(&taken)
}

/// What a failure means for the next attempt to connect.
pub(super) fn verdict(failure: &Failure) -> Verdict {
    if failure.is_too_many_connections() {
        return Verdict::TooMany;
    }
    match failure {
        // The server knows who is there, and says no for the time being (RFC 5530 §3).
        Failure::Rejected { code, .. }
            if matches!(code.as_deref(), Some(ResponseCode::Unavailable)) =>
        {
            Verdict::Transient
        }
        Failure::Rejected { .. }
        | Failure::NoStartTls
        | Failure::Injected(_)
        | Failure::PreAuthBeforeTls
        | Failure::Cleartext
        | Failure::NoMechanism { .. }
        | Failure::Sasl { .. }
        | Failure::Missing(_)
        | Failure::Following
        | Failure::Invalid(_) => Verdict::Permanent,
        Failure::Bye { .. }
        | Failure::Protocol(_)
        | Failure::UidValidity { .. }
        | Failure::Silent
        | Failure::Limit { .. } => Verdict::Transient,
    }
}
