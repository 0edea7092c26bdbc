//! COPY and MOVE where they take several steps.
//!
//! Two things call for steps: a server without MOVE (RFC 6851 §3.3: COPY, STORE `\\Deleted`,
//! EXPUNGE), and sequence numbers in more than one command, for the first command may change
//! what the numbers of the second mean. Either way the messages that are meant are found first,
//! and every step is about their UIDs: a message that arrives meanwhile, or takes over the
//! sequence number of another one, is not touched.

use super::Session;
use super::active::{MAX_SET, Stage, in_pieces, store_line};
use super::commands::Kind;
use super::operation::{By, End, Failure, Request};
use crate::protocol::imap::command::{self, CommandLine};
use crate::protocol::machine::OperationId;
use crate::types::flag::{Flag, Flags};
use crate::types::invalid::InvalidArgument;
use crate::types::mailbox_name::MailboxName;
use crate::types::query::Query;
use crate::types::range_set::RangeSet;
use crate::types::request::Store;
use crate::types::set::{SeqSet, UidSet};

type Commands = Vec<(Kind, CommandLine)>;

/// A COPY or MOVE in steps.
#[derive(Debug)]
pub(super) struct Steps {
    /// The messages that are meant.
    pub uids: RangeSet,
    /// The server has MOVE. It is asked once: capabilities may change under way.
    moves: bool,
    /// The server has UID EXPUNGE.
    expunges: bool,
}

impl Session {
    /// The search that begins a COPY or MOVE in steps; `None` where one step will do.
    pub(super) fn first_step(&mut self, id: OperationId) -> Result<Option<Commands>, Failure> {
        let rev2 = self.capabilities.imap4rev2();
        let moves = rev2 || self.capabilities.move_messages();
        let expunges = rev2 || self.capabilities.uidplus();
        let esearch = self.capabilities.esearch();
        let Some(active) = self.active.get_mut(&id) else {
            return Ok(None);
        };
        let (by, set, one_step) = match &active.operation.request {
            Request::Copy(by, set, _) => (*by, set, true),
            Request::Move(by, set, _) => (*by, set, moves),
            _ => return Ok(None),
        };
        let in_one = by == By::Uid || set.split_text(MAX_SET).len() <= 1;
        if one_step && in_one {
            return Ok(None);
        }
        let commands = in_pieces(set, |set| {
            let query = match by {
                By::Uid => Query::all().uid(UidSet::from(set)),
                By::Sequence => Query::all().sequence(SeqSet::from(set)),
            };
            Ok((Kind::Search, command::uid_search(&query, esearch)?))
        })?;
        active.stage = Stage::Resolving;
        active.steps = Some(Steps {
            uids: RangeSet::default(),
            moves,
            expunges,
        });
        Ok(Some(commands))
    }

    /// What follows when the present step has succeeded; nothing after the last one.
    pub(super) fn next_step(&mut self, id: OperationId) -> Result<Commands, InvalidArgument> {
        let Some(active) = self.active.get_mut(&id) else {
            return Ok(Vec::new());
        };
        let Some(steps) = &mut active.steps else {
            return Ok(Vec::new());
        };
        if active.stage == Stage::Resolving {
            let mut found = RangeSet::default();
            found.extend(std::mem::take(&mut active.gathered));
            steps.uids = match &active.operation.request {
                Request::Copy(By::Uid, set, _) | Request::Move(By::Uid, set, _) => {
                    only_of(&found, set)
                }
                _ => found,
            };
        }
        let uids = &steps.uids;
        match (&active.operation.request, active.stage) {
            (Request::Copy(_, _, to), Stage::Resolving) => {
                active.stage = Stage::Main;
                copy_lines(By::Uid, uids, to)
            }
            (Request::Move(_, _, to), Stage::Resolving) => {
                active.stage = Stage::Main;
                if steps.moves {
                    move_lines(By::Uid, uids, to)
                } else {
                    copy_lines(By::Uid, uids, to)
                }
            }
            (Request::Move(..), Stage::Main) if !steps.moves => {
                active.stage = Stage::Marking;
                let deleted = Flags::from_iter([Flag::Deleted]);
                let store = Store::add(deleted).silent();
                in_pieces(uids, |set| store_line(By::Uid, set, &store))
            }
            (Request::Move(..), Stage::Marking) if steps.expunges => {
                active.stage = Stage::Expunging;
                in_pieces(uids, |set| Ok((Kind::Plain, command::uid_expunge(&set)?)))
            }
            (Request::Move(..), Stage::Marking) => {
                // EXPUNGE would take what others have marked along.
                if let End::Moved(moved) = &mut active.end {
                    moved.left_behind = true;
                }
                Ok(Vec::new())
            }
            _ => Ok(Vec::new()),
        }
    }
}

/// What was asked for of what was found. `*` names the last message, whatever its UID.
fn only_of(found: &RangeSet, asked: &RangeSet) -> RangeSet {
    let mut only = found.intersection(asked);
    if asked.last() == Some(u32::MAX) {
        if let Some(last) = found.last() {
            only.insert(last, last);
        }
    }
    only
}

pub(super) fn copy_lines(
    by: By,
    set: &RangeSet,
    to: &MailboxName,
) -> Result<Commands, InvalidArgument> {
    in_pieces(set, |set| {
        let line = match by {
            By::Uid => command::uid_copy(&set, to)?,
            By::Sequence => command::copy(&set, to)?,
        };
        Ok((Kind::Copy, line))
    })
}

pub(super) fn move_lines(
    by: By,
    set: &RangeSet,
    to: &MailboxName,
) -> Result<Commands, InvalidArgument> {
    in_pieces(set, |set| {
        let line = match by {
            By::Uid => command::uid_move(&set, to)?,
            By::Sequence => command::move_messages(&set, to)?,
        };
        Ok((Kind::Move, line))
    })
}
