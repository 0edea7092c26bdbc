//! The operations under way and the commands that each of them takes.

use super::Session;
use super::commands::{Kind, Owner};
use super::operation::{
    By, End, Expunged, Failure, Found, Moved, Operation, Request, Stored, Target,
};
use super::seen::Seen;
use super::steps::{Steps, copy_lines, move_lines};
use crate::protocol::imap::command::{self, CommandLine};
use crate::protocol::machine::{Gate, OperationId, Output};
use crate::types::ids::Uid;
use crate::types::invalid::InvalidArgument;
use crate::types::listing::MailboxStatus;
use crate::types::mailbox_info::MailboxInfo;
use crate::types::range_set::RangeSet;
use crate::types::request::{Append, Store};

/// The longest message set that is written into one command, in bytes: servers need not take
/// command lines above 8,000 (RFC 7162 §4).
pub(super) const MAX_SET: usize = 7_000;

/// A mailbox that is, or is being, selected.
pub(super) struct Selected {
    pub info: MailboxInfo,
    /// EXAMINE was used.
    pub asked_read_only: bool,
    /// A mailbox was renamed or deleted since: the name may now mean another one.
    pub is_stale: bool,
}

/// Which of its commands an operation has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// SELECT or EXAMINE.
    Selecting,
    /// The EXAMINE that makes a CLOSE harmless.
    Leaving,
    /// Finding the UIDs of the messages that are meant.
    Resolving,
    /// Its own commands.
    Main,
    /// A MOVE in steps: copied, now being marked `\Deleted`.
    Marking,
    /// A MOVE in steps: now being expunged.
    Expunging,
}

/// An operation under way.
pub(super) struct Active {
    pub operation: Operation,
    pub stage: Stage,
    /// Commands that have not been answered.
    outstanding: usize,
    /// The UIDs that a COPY or MOVE in steps is about, and whether it uses MOVE: both are
    /// settled before the first step.
    pub steps: Option<Steps>,
    /// What its searches have found.
    pub gathered: Vec<(u32, u32)>,
    /// Its own commands have been handed out to be written, and this is the tag of the first.
    pub first_tag: Option<u64>,
    /// One of its own commands has succeeded.
    pub begun: bool,
    /// Bytes of the responses that its result is made of.
    pub held: usize,
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

    /// Whether the server has told of something that the operation did: a command for several
    /// messages may fail halfway (RFC 6851 §3.3, RFC 2180 §4.2).
    pub(super) fn has_begun(&self) -> bool {
        match &self.end {
            End::Appended(uids) => uids.is_some(),
            End::Stored(stored) => !stored.flags.is_empty(),
            End::Copied(copies) => copies.is_some(),
            End::Moved(moved) => moved.copy_uid.is_some(),
            End::Expunged(expunged) => !expunged.numbers.is_empty() || expunged.vanished > 0,
            _ => false,
        }
    }

    /// Whether this is a COPY or MOVE that a message belongs to, as far as its UID tells.
    pub(super) fn copies(&self, uid: Uid) -> bool {
        let (Request::Copy(by, set, _) | Request::Move(by, set, _)) = &self.operation.request
        else {
            return false;
        };
        *by == By::Sequence || set.contains(uid.get()) || set.last() == Some(u32::MAX)
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
        if let Request::Follow(follow) = operation.request {
            return self.take_up_follow(id, operation.target, follow);
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
                steps: None,
                gathered: Vec::new(),
                first_tag: None,
                begun: false,
                held: 0,
                failure: None,
            },
        );
        match target {
            // A SELECT that the caller asked for is its own command: it passes the gate.
            Some(target) if selects && !only_selects => {
                if let Some(active) = self.active.get_mut(&id) {
                    active.stage = Stage::Selecting;
                }
                match self.select_line(&target) {
                    Ok(line) => self.select(id, &target, line),
                    Err(invalid) => self.finish(id, Err(invalid.into())),
                }
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

    /// SELECT or EXAMINE.
    pub(super) fn select_line(&self, target: &Target) -> Result<CommandLine, InvalidArgument> {
        let condstore = self.capabilities.condstore();
        if target.read_only {
            command::examine(&target.name, condstore)
        } else {
            command::select(&target.name, condstore)
        }
    }

    fn select(&mut self, id: OperationId, target: &Target, line: CommandLine) {
        self.begin_selecting(target);
        self.send_for(id, Kind::Select, line);
    }

    /// SELECT or EXAMINE is about to be sent.
    pub(super) fn begin_selecting(&mut self, target: &Target) {
        self.deselect();
        self.selecting = Some(Box::new(Selected {
            info: MailboxInfo::new(target.name.clone()),
            asked_read_only: target.read_only,
            is_stale: false,
        }));
    }

    fn send_for(&mut self, id: OperationId, kind: Kind, line: CommandLine) {
        if let Some(active) = self.active.get_mut(&id) {
            active.outstanding += 1;
        }
        self.send(Owner::Operation(id), kind, line);
    }

    /// Sends the commands of an operation whose mailbox is selected. What is found to be wrong
    /// before they go through the gate has not been sent.
    pub(super) fn begin(&mut self, id: OperationId, gate: &mut dyn Gate) {
        let commands = match self.prepare(id) {
            Ok(commands) => commands,
            Err(failure) => return self.finish(id, Err(failure)),
        };
        if commands.is_empty() {
            return self.complete(id);
        }
        if !gate.write(id) {
            if self.active.remove(&id).is_some() {
                self.outputs.push_back(Output::Withdrawn(id));
            }
            return;
        }
        let next_tag = self.next_tag;
        if let Some(active) = self.active.get_mut(&id) {
            active.first_tag = Some(next_tag);
        }
        for (kind, line) in commands {
            let target = match &kind {
                Kind::Select => self.target_of(id),
                _ => None,
            };
            match target {
                Some(target) => self.select(id, &target, line),
                None => self.send_for(id, kind, line),
            }
        }
        self.after_sending(id);
    }

    /// What sending a command changes already, whatever its answer will be.
    fn after_sending(&mut self, id: OperationId) {
        let Some(active) = self.active.get(&id) else {
            return;
        };
        match &active.operation.request {
            // With EXAMINE or CLOSE on its way nothing is selected for certain.
            Request::Unselect => self.deselect(),
            Request::Delete(_) | Request::Rename(..) => {
                if let Some(selected) = &mut self.selected {
                    selected.is_stale = true;
                }
            }
            _ => {}
        }
    }

    fn target_of(&self, id: OperationId) -> Option<Target> {
        self.active.get(&id)?.operation.target.clone()
    }

    /// The commands of an operation, if it may be carried out as things are now.
    fn prepare(&mut self, id: OperationId) -> Result<Vec<(Kind, CommandLine)>, Failure> {
        let Some(target) = self.target_of(id) else {
            if let Some(commands) = self.leave_read_write(id)? {
                return Ok(commands);
            }
            return Ok(self.encode(id)?);
        };
        let selected = self.selected.as_ref();
        let found = selected.and_then(|selected| selected.info.uid_validity);
        let Some(active) = self.active.get_mut(&id) else {
            return Ok(Vec::new());
        };
        if matches!(active.operation.request, Request::Select) {
            return Ok(vec![(Kind::Select, self.select_line(&target)?)]);
        }
        if let Some(expected) = target.uid_validity {
            if found != Some(expected) {
                return Err(Failure::UidValidity { expected, found });
            }
        }
        if let End::Found(result) = &mut active.end {
            result.uid_validity = found;
        }
        if let Some(commands) = self.first_step(id)? {
            return Ok(commands);
        }
        Ok(self.encode(id)?)
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
                one(Kind::Append, command::append_binary(name, append)?)
            }
            Request::Append(name, append) => one(Kind::Append, command::append(name, append)?),
            Request::Select | Request::Follow(_) => Ok(Vec::new()),
            Request::Unselect if self.selected.is_none() => Ok(Vec::new()),
            Request::Unselect if self.can_unselect() => one(Kind::Plain, command::unselect()),
            Request::Unselect => one(Kind::Plain, command::close()),
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
                    seen: Seen::default(),
                };
                Ok((kind, line))
            }),
            Request::Store(by, set, store) => in_pieces(set, |set| store_line(*by, set, store)),
            Request::Copy(by, set, to) => copy_lines(*by, set, to),
            Request::Move(by, set, to) => move_lines(*by, set, to),
            Request::ExpungeUids(set) => {
                in_pieces(set, |set| Ok((Kind::Plain, command::uid_expunge(&set)?)))
            }
            Request::Expunge => one(Kind::Expunge, command::expunge()),
        }
    }

    pub(super) fn can_unselect(&self) -> bool {
        self.capabilities.unselect() || self.capabilities.imap4rev2()
    }

    /// CLOSE expunges nothing in a mailbox that is EXAMINEd. So without UNSELECT the mailbox is
    /// EXAMINEd first, and CLOSE is sent when that has succeeded.
    fn leave_read_write(
        &mut self,
        id: OperationId,
    ) -> Result<Option<Vec<(Kind, CommandLine)>>, Failure> {
        let can_unselect = self.can_unselect();
        let (Some(active), Some(selected)) = (self.active.get_mut(&id), &self.selected) else {
            return Ok(None);
        };
        let is_unselect = matches!(active.operation.request, Request::Unselect);
        if !is_unselect || can_unselect || selected.asked_read_only {
            return Ok(None);
        }
        active.stage = Stage::Leaving;
        let examine = command::examine(&selected.info.name, false)?;
        Ok(Some(vec![(Kind::Leave, examine)]))
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
            Stage::Leaving => {
                active.stage = Stage::Main;
                self.send_for(id, Kind::Plain, command::close());
            }
            _ => match self.next_step(id) {
                Ok(commands) if commands.is_empty() => self.complete(id),
                Ok(commands) => {
                    for (kind, line) in commands {
                        self.send_for(id, kind, line);
                    }
                }
                Err(invalid) => {
                    if let Some(active) = self.active.get_mut(&id) {
                        active.fail(invalid.into());
                    }
                    self.complete(id);
                }
            },
        }
    }

    fn complete(&mut self, id: OperationId) {
        let Some(active) = self.active.remove(&id) else {
            return;
        };
        let result = match active.failure {
            Some(failure) if active.begun => Err(failure.after_a_success()),
            Some(failure) => Err(failure),
            None => {
                let mut end = active.end;
                if let End::Found(found) = &mut end {
                    found.numbers.extend(active.gathered);
                }
                match &end {
                    End::Status(status) if *status == MailboxStatus::new(status.name.clone()) => {
                        Err(Failure::protocol("STATUS was answered without any figures"))
                    }
                    _ => Ok(end),
                }
            }
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
pub(super) fn in_pieces(
    set: &RangeSet,
    encode: impl FnMut(RangeSet) -> Result<(Kind, CommandLine), InvalidArgument>,
) -> Result<Vec<(Kind, CommandLine)>, InvalidArgument> {
    set.split_text(MAX_SET).into_iter().map(encode).collect()
}

pub(super) fn store_line(
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
        Request::Status(name, _) => End::Status(MailboxStatus::new(name.clone())),
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
