//! The operations under way and the commands that each of them takes.

use super::Session;
use super::commands::{Kind, Owner};
use super::operation::{By, End, Expunged, Failure, Found, Moved, Operation, Request, Stored};
use crate::protocol::imap::command::{self, CommandLine};
use crate::protocol::machine::{OperationId, Output};
use crate::types::flag::{Flag, Flags};
use crate::types::invalid::InvalidArgument;
use crate::types::mailbox_info::MailboxInfo;
use crate::types::mailbox_name::MailboxName;
use crate::types::range_set::RangeSet;
use crate::types::request::{Append, Store};

/// The longest message set that is written into one command, in bytes: servers need not take
/// command lines above 8,000 (RFC 7162 §4).
const MAX_SET: usize = 7_000;

/// A mailbox that is, or is being, selected.
pub(super) struct Selected {
    pub info: MailboxInfo,
    /// EXAMINE was used.
    pub asked_read_only: bool,
}

/// Which of its commands an operation has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// SELECT or EXAMINE.
    Selecting,
    /// Its own commands.
    Main,
    /// A MOVE in pieces: copied, now being marked `\Deleted`.
    Marking,
    /// A MOVE in pieces: now being expunged.
    Expunging,
}

/// An operation under way.
pub(super) struct Active {
    pub operation: Operation,
    stage: Stage,
    /// Commands that have not been answered.
    outstanding: usize,
    /// The first thing that went wrong.
    pub failure: Option<Failure>,
    /// What the caller will get.
    pub end: End,
}

impl Active {
    pub(super) fn is_selecting(&self) -> bool {
        self.stage == Stage::Selecting
    }

    pub(super) fn fail(&mut self, failure: Failure) {
        self.failure.get_or_insert(failure);
    }
}

impl Session {
    /// Begins an operation, with SELECT if it needs another mailbox.
    pub(super) fn take_up(&mut self, id: OperationId, operation: Operation) {
        if let Some(missing) = self.missing(&operation.request) {
            let failure = Failure::Missing(missing);
            self.outputs.push_back(Output::End(id, Err(failure)));
            return;
        }
        let selects = self.needs_select(&operation);
        let only_selects = matches!(operation.request, Request::Select);
        let target = operation.target.clone();
        self.active.insert(
            id,
            Active {
                end: empty_end(&operation.request),
                operation,
                stage: Stage::Main,
                outstanding: 0,
                failure: None,
            },
        );
        match target {
            // A SELECT that the caller asked for is its own command: it passes the gate.
            Some(target) if selects && !only_selects => {
                if let Some(active) = self.active.get_mut(&id) {
                    active.stage = Stage::Selecting;
                }
                self.select(id, &target.name, target.read_only);
            }
            _ => self.ready.push_back(id),
        }
    }

    /// What the server would have to offer for `request`.
    fn missing(&self, request: &Request) -> Option<&'static str> {
        let capabilities = &self.capabilities;
        let rev2 = capabilities.imap4rev2();
        let (name, offered) = match request {
            Request::Id(_) => ("ID", capabilities.contains("ID")),
            Request::Enable(_) => ("ENABLE", rev2 || capabilities.contains("ENABLE")),
            Request::Namespace => ("NAMESPACE", rev2 || capabilities.contains("NAMESPACE")),
            Request::ExpungeUids(_) => ("UIDPLUS", rev2 || capabilities.uidplus()),
            Request::Store(_, _, store) if store.condition().is_some() => {
                ("CONDSTORE", capabilities.condstore())
            }
            Request::Append(_, append) if has_nul(append) => {
                ("BINARY", capabilities.contains("BINARY"))
            }
            _ => return None,
        };
        (!offered).then_some(name)
    }

    fn select(&mut self, id: OperationId, name: &MailboxName, read_only: bool) {
        let condstore = self.capabilities.condstore();
        let line = if read_only {
            command::examine(name, condstore)
        } else {
            command::select(name, condstore)
        };
        let line = match line {
            Ok(line) => line,
            Err(invalid) => return self.finish(id, Err(invalid.into())),
        };
        self.deselect();
        self.selecting = Some(Box::new(Selected {
            info: MailboxInfo::new(name.clone()),
            asked_read_only: read_only,
        }));
        self.send_for(id, Kind::Select, line);
    }

    fn send_for(&mut self, id: OperationId, kind: Kind, line: CommandLine) {
        if let Some(active) = self.active.get_mut(&id) {
            active.outstanding += 1;
        }
        self.send(Owner::Operation(id), kind, line);
    }

    /// Sends the commands of an operation whose mailbox is selected.
    pub(super) fn begin(&mut self, id: OperationId) {
        let Some(active) = self.active.get_mut(&id) else {
            return;
        };
        let target = active.operation.target.clone();
        if let Some(target) = &target {
            if matches!(active.operation.request, Request::Select) {
                self.select(id, &target.name, target.read_only);
                return;
            }
            let found = self
                .selected
                .as_ref()
                .and_then(|selected| selected.info.uid_validity);
            if let Some(expected) = target.uid_validity {
                if found != Some(expected) {
                    let failure = Failure::UidValidity { expected, found };
                    return self.finish(id, Err(failure));
                }
            }
            if let End::Found(result) = &mut active.end {
                result.uid_validity = found;
            }
        }
        match self.encode(id) {
            Ok(commands) if commands.is_empty() => self.complete(id),
            Ok(commands) => {
                for (kind, line) in commands {
                    self.send_for(id, kind, line);
                }
            }
            Err(invalid) => self.finish(id, Err(invalid.into())),
        }
    }

    /// The commands of an operation. An empty message set takes none.
    fn encode(&self, id: OperationId) -> Result<Vec<(Kind, CommandLine)>, InvalidArgument> {
        let Some(active) = self.active.get(&id) else {
            return Ok(Vec::new());
        };
        let one = |kind, line| Ok(vec![(kind, line)]);
        match &active.operation.request {
            Request::Capability => one(Kind::Capability, command::capability()),
            Request::Noop | Request::Events => one(Kind::Plain, command::noop()),
            Request::Id(fields) => one(Kind::Id, command::id(fields)?),
            Request::Enable(names) => one(Kind::Enable, command::enable(names)?),
            Request::List { reference, pattern } => {
                one(Kind::List, command::list(reference, pattern)?)
            }
            Request::Lsub { reference, pattern } => {
                one(Kind::Lsub, command::lsub(reference, pattern)?)
            }
            Request::Namespace => one(Kind::Namespace, command::namespace()),
            Request::Status(name, items) => {
                one(Kind::Status(name.clone()), command::status(name, items)?)
            }
            Request::Create(name) => one(Kind::Plain, command::create(name)?),
            Request::Delete(name) => one(Kind::Plain, command::delete(name)?),
            Request::Rename(from, to) => one(Kind::Plain, command::rename(from, to)?),
            Request::Subscribe(name) => one(Kind::Plain, command::subscribe(name)?),
            Request::Unsubscribe(name) => one(Kind::Plain, command::unsubscribe(name)?),
            Request::Append(name, append) if has_nul(append) => {
                one(Kind::Plain, command::append_binary(name, append)?)
            }
            Request::Append(name, append) => one(Kind::Plain, command::append(name, append)?),
            Request::Select => Ok(Vec::new()),
            Request::Unselect if self.selected.is_none() => Ok(Vec::new()),
            Request::Unselect if self.can_unselect() => one(Kind::Plain, command::unselect()),
            Request::Unselect => self.unselect_by_close(),
            Request::Close => one(Kind::Plain, command::close()),
            Request::Search(by, query) => {
                let esearch = self.capabilities.esearch();
                let line = match by {
                    By::Uid => command::uid_search(query, esearch)?,
                    By::Sequence => command::search(query, esearch)?,
                };
                one(Kind::Search, line)
            }
            Request::Fetch(by, set, items) => in_pieces(set, |set| {
                let line = match by {
                    By::Uid => command::uid_fetch(&set, items)?,
                    By::Sequence => command::fetch(&set, items)?,
                };
                let kind = Kind::Fetch {
                    by: *by,
                    set,
                    flags_only: items.is_flags_only(),
                    seen: RangeSet::default(),
                };
                Ok((kind, line))
            }),
            Request::Store(by, set, store) => in_pieces(set, |set| store_line(*by, set, store)),
            Request::Copy(by, set, to) => in_pieces(set, |set| {
                let line = match by {
                    By::Uid => command::uid_copy(&set, to)?,
                    By::Sequence => command::copy(&set, to)?,
                };
                Ok((Kind::Plain, line))
            }),
            Request::Move(by, set, to) => self.encode_move(*by, set, to),
            Request::ExpungeUids(set) => {
                in_pieces(set, |set| Ok((Kind::Plain, command::uid_expunge(&set)?)))
            }
            Request::Expunge => one(Kind::Expunge, command::expunge()),
        }
    }

    fn can_unselect(&self) -> bool {
        self.capabilities.unselect() || self.capabilities.imap4rev2()
    }

    fn can_move(&self) -> bool {
        self.capabilities.move_messages() || self.capabilities.imap4rev2()
    }

    fn can_expunge_uids(&self) -> bool {
        self.capabilities.uidplus() || self.capabilities.imap4rev2()
    }

    /// CLOSE expunges nothing in a mailbox that was EXAMINEd.
    fn unselect_by_close(&self) -> Result<Vec<(Kind, CommandLine)>, InvalidArgument> {
        let mut commands = Vec::new();
        if let Some(selected) = &self.selected {
            let examine = command::examine(&selected.info.name, false)?;
            commands.push((Kind::Plain, examine));
        }
        commands.push((Kind::Plain, command::close()));
        Ok(commands)
    }

    fn encode_move(
        &self,
        by: By,
        set: &RangeSet,
        to: &MailboxName,
    ) -> Result<Vec<(Kind, CommandLine)>, InvalidArgument> {
        let moves = self.can_move();
        in_pieces(set, |set| {
            let line = match (moves, by) {
                (true, By::Uid) => command::uid_move(&set, to)?,
                (true, By::Sequence) => command::move_messages(&set, to)?,
                (false, By::Uid) => command::uid_copy(&set, to)?,
                (false, By::Sequence) => command::copy(&set, to)?,
            };
            let kind = if moves { Kind::Move } else { Kind::Plain };
            Ok((kind, line))
        })
    }

    /// One of an operation's commands has been answered; goes on or completes it.
    pub(super) fn command_done(&mut self, id: OperationId) {
        let Some(active) = self.active.get_mut(&id) else {
            return;
        };
        active.outstanding = active.outstanding.saturating_sub(1);
        if active.outstanding > 0 {
            return;
        }
        if active.failure.is_some() {
            return self.complete(id);
        }
        match active.stage {
            Stage::Selecting => {
                active.stage = Stage::Main;
                self.ready.push_back(id);
            }
            _ => match self.next_of_move(id) {
                Ok(commands) if commands.is_empty() => self.complete(id),
                Ok(commands) => {
                    for (kind, line) in commands {
                        self.send_for(id, kind, line);
                    }
                }
                Err(invalid) => self.finish(id, Err(invalid.into())),
            },
        }
    }

    /// What follows the copying where the server has no MOVE (RFC 6851 §3.3).
    fn next_of_move(
        &mut self,
        id: OperationId,
    ) -> Result<Vec<(Kind, CommandLine)>, InvalidArgument> {
        let (moves, expunges) = (self.can_move(), self.can_expunge_uids());
        let Some(active) = self.active.get_mut(&id) else {
            return Ok(Vec::new());
        };
        let Request::Move(by, set, _) = &active.operation.request else {
            return Ok(Vec::new());
        };
        if moves {
            return Ok(Vec::new());
        }
        match active.stage {
            Stage::Main => {
                active.stage = Stage::Marking;
                let deleted = Flags::from_iter([Flag::Deleted]);
                let store = Store::add(deleted).silent();
                in_pieces(set, |set| store_line(*by, set, &store))
            }
            Stage::Marking if expunges && *by == By::Uid => {
                active.stage = Stage::Expunging;
                in_pieces(set, |set| Ok((Kind::Plain, command::uid_expunge(&set)?)))
            }
            Stage::Marking => {
                // EXPUNGE would take what others have marked along.
                if let End::Moved(moved) = &mut active.end {
                    moved.left_behind = true;
                }
                Ok(Vec::new())
            }
            Stage::Selecting | Stage::Expunging => Ok(Vec::new()),
        }
    }

    fn complete(&mut self, id: OperationId) {
        let Some(active) = self.active.remove(&id) else {
            return;
        };
        let result = match active.failure {
            Some(failure) => Err(failure),
            None => Ok(active.end),
        };
        self.outputs.push_back(Output::End(id, result));
    }

    /// Ends an operation that has no commands under way.
    fn finish(&mut self, id: OperationId, result: Result<End, Failure>) {
        self.active.remove(&id);
        self.outputs.push_back(Output::End(id, result));
    }
}

/// Whether a message has a byte that only a literal8 can hold (RFC 3516 §4.4).
fn has_nul(append: &Append) -> bool {
    memchr::memchr(0, append.message()).is_some()
}

/// A command for each piece of a message set.
fn in_pieces(
    set: &RangeSet,
    encode: impl FnMut(RangeSet) -> Result<(Kind, CommandLine), InvalidArgument>,
) -> Result<Vec<(Kind, CommandLine)>, InvalidArgument> {
    set.split_text(MAX_SET).into_iter().map(encode).collect()
}

fn store_line(
    by: By,
    set: RangeSet,
    store: &Store,
) -> Result<(Kind, CommandLine), InvalidArgument> {
    let line = match by {
        By::Uid => command::uid_store(&set, store)?,
        By::Sequence => command::store(&set, store)?,
    };
    Ok((Kind::Store { by, set }, line))
}

/// What an operation ends with if no answer adds anything.
pub(super) fn empty_end(request: &Request) -> End {
    match request {
        Request::Capability => End::Capabilities(crate::types::capability::Capabilities::default()),
        Request::Id(_) => End::Id(None),
        Request::Enable(_) => End::Enabled(Vec::new()),
        Request::List { .. } | Request::Lsub { .. } => End::List(Vec::new()),
        Request::Namespace => End::Namespaces(crate::types::listing::Namespaces::default()),
        Request::Status(name, _) => {
            End::Status(crate::types::listing::MailboxStatus::new(name.clone()))
        }
        Request::Append(..) => End::Appended(None),
        Request::Search(..) => End::Found(Found::default()),
        Request::Store(..) => End::Stored(Stored::default()),
        Request::Copy(..) => End::Copied(None),
        Request::Move(..) => End::Moved(Moved::default()),
        Request::Expunge => End::Expunged(Expunged::default()),
        Request::Events => End::Events(Vec::new()),
        _ => End::Done,
    }
}
