//! Which operations may be under way at the same time (RFC 9051 §5.5).
//!
//! Two operations overlap where the server may carry them out in any order without a
//! difference, and where every answer says which of them it belongs to. UID FETCHes do:
//! each answer names its UID. Two LISTs do not: nothing in an answer tells them apart.

use super::Session;
use super::commands::{Command, Kind};
use super::operation::{By, Operation, Request, Target};
use crate::types::range_set::RangeSet;

/// Operations under way on one connection at the same time.
const MAX_ACTIVE: usize = 128;

impl Session {
    /// Whether `operation` may begin beside those that are under way.
    pub(super) fn may_overlap(&self, operation: &Operation) -> bool {
        if !self.login.is_ready() || self.resetting || !self.writer.takes_more() {
            return false;
        }
        if matches!(operation.request, Request::Follow(_)) {
            // A second one is refused, but not while the first one ends.
            let ends = |follow: &super::Following| follow.is_given_up();
            return !self.follow.as_deref().is_some_and(ends);
        }
        if self.follow.as_ref().is_some_and(|follow| follow.holds()) {
            return false;
        }
        if self.active.is_empty() {
            // Behind DONE the answer to IDLE is as good as there.
            let is_idle = |one: &Command| matches!(one.kind, Kind::Idle);
            return self.commands.iter().all(is_idle);
        }
        if self.active.len() >= MAX_ACTIVE || needs_all(&operation.request) {
            return false;
        }
        if self.needs_select(operation) {
            return false;
        }
        self.active.values().all(|active| {
            !active.is_selecting()
                && !needs_all(&active.operation.request)
                && !conflict(
                    &active.operation.request,
                    &operation.request,
                    self.capabilities.esearch(),
                )
        })
    }

    /// Whether the mailbox of `operation` has to be selected first.
    pub(super) fn needs_select(&self, operation: &Operation) -> bool {
        let Some(target) = &operation.target else {
            return false;
        };
        matches!(operation.request, Request::Select) || !self.is_selected(target)
    }

    /// Whether the mailbox is selected, and in the way that is wanted.
    pub(super) fn is_selected(&self, target: &Target) -> bool {
        self.selected.as_ref().is_some_and(|selected| {
            !selected.is_stale
                && selected.info.name == target.name
                && selected.asked_read_only == target.read_only
        })
    }
}

/// Requests that nothing may overlap: they change what is selected or what numbers mean, or
/// their answers look like anybody's.
fn needs_all(request: &Request) -> bool {
    match request {
        Request::Select
        | Request::Unselect
        | Request::Close
        | Request::Expunge
        | Request::Events
        | Request::Enable(_)
        | Request::Delete(_)
        | Request::Rename(..) => true,
        Request::Search(by, _)
        | Request::Fetch(by, ..)
        | Request::Store(by, ..)
        | Request::Copy(by, ..)
        | Request::Move(by, ..) => *by == By::Sequence,
        _ => false,
    }
}

fn conflict(one: &Request, other: &Request, esearch: bool) -> bool {
    use Request::{
        Capability, ExpungeUids, Fetch, Id, List, Lsub, Move, Namespace, Search, Status, Store,
    };
    match (one, other) {
        (Capability, Capability)
        | (Id(_), Id(_))
        | (List { .. }, List { .. })
        | (Lsub { .. }, Lsub { .. })
        | (Namespace, Namespace)
        // COPYUID may come untagged.
        | (Move(..), Move(..)) => true,
        (Status(one, _), Status(other, _)) => one == other,
        // An ESEARCH answer bears the tag of its command, a SEARCH answer nothing.
        (Search(..), Search(..)) => !esearch,
        (Fetch(..), Fetch(..)) => false,
        // Reading beside changing the same messages: the answers are alike, and a thread
        // counts on its own order.
        (Store(..) | Move(..) | ExpungeUids(_), _) | (_, Store(..) | Move(..) | ExpungeUids(_)) => {
            match (messages(one), messages(other)) {
                (Some(one), Some(other)) => {
                    // `*` may be any of them.
                    let open = |set: &RangeSet| set.last() == Some(u32::MAX);
                    one.intersects(other) || open(one) || open(other)
                }
                // A search looks at all messages.
                _ => matches!(one, Search(..)) || matches!(other, Search(..)),
            }
        }
        _ => false,
    }
}

/// The messages that a request is about.
fn messages(request: &Request) -> Option<&RangeSet> {
    match request {
        Request::Fetch(_, set, _)
        | Request::Store(_, set, _)
        | Request::Copy(_, set, _)
        | Request::Move(_, set, _)
        | Request::ExpungeUids(set) => Some(set),
        _ => None,
    }
}
