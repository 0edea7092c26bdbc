//! The client's side of one IMAP connection (RFC 3501, RFC 9051).
//!
//! A [`Session`] goes through [`login`] to its ready state and then carries out operations.
//! An operation is one atomic unit: SELECT where another mailbox is selected, then one
//! command or several. Operations overlap as far as their answers can be told apart
//! ([`overlap`]); their commands are in [`commands`], their answers are matched in
//! [`answers`], [`untagged`] and [`deliver`]. What cannot be read ends in [`damaged`].

mod active;
mod answers;
mod commands;
mod damaged;
mod deliver;
mod follow;
mod held;
mod login;
pub(crate) mod operation;
mod overlap;
#[cfg(test)]
mod rig;
mod salvage;
mod seen;
mod steps;
#[cfg(test)]
mod tests;
mod untagged;

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use crate::protocol::machine::{Gate, OperationId, Output, Protocol, Salvaged, Verdict};
use crate::protocol::sasl::Account;
use crate::types::capability::Capabilities;
use crate::types::limits::Limits;
use crate::types::mailbox_info::MailboxEvent;
use crate::types::token::IssuedToken;
use crate::wire::framer::{FrameLimits, Framer};
use crate::wire::receive::ReceiveBuffer;
use crate::wire::send::SendBuffer;

use active::{Active, Selected};
use commands::{Command, Writer};
use follow::Following;
use login::Login;
use operation::{End, Failure, Operation, Part, Request};

/// How the transport is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protection {
    /// TLS from the first byte.
    Implicit,
    /// STARTTLS before anything else, or nothing.
    StartTls,
    /// None.
    Clear,
}

/// What a session is told about its account and its bounds.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub protection: Protection,
    pub account: Account,
    /// Extensions to ENABLE after the login, where they are offered.
    pub enable: Vec<String>,
    pub limits: Limits,
}

/// Events about the selected mailbox that are kept until somebody asks.
const MAX_EVENTS: usize = 10_000;
/// Memory that they may take, in bytes.
const MAX_EVENT_BYTES: usize = 1024 * 1024;

/// The client's side of one connection.
pub(crate) struct Session {
    config: Config,
    login: Login,
    /// The transport is encrypted.
    secure: bool,
    /// What tells the TLS connection from any other.
    end_point: Option<Vec<u8>>,
    /// The token to log in with, where the credentials have a provider.
    token: Option<IssuedToken>,
    token_is_new: bool,
    /// The server has refused a token in this attempt to log in.
    token_was_refused: bool,
    framer: Framer,
    capabilities: Capabilities,
    /// The mailbox that is selected.
    selected: Option<Box<Selected>>,
    /// The mailbox that is being selected, as far as it is known.
    selecting: Option<Box<Selected>>,
    events: Vec<MailboxEvent>,
    /// Memory that `events` take, about.
    event_bytes: usize,
    /// The commands that have not been answered, in the order of their tags.
    commands: VecDeque<Command>,
    writer: Writer,
    active: HashMap<OperationId, Active>,
    /// The mailbox that is followed.
    follow: Option<Box<Following>>,
    /// How often DONE has been written; a server that had ended IDLE already takes it for a
    /// command.
    dones: u64,
    /// Operations whose own commands may be written now.
    ready: VecDeque<OperationId>,
    /// Where the chunks of the streamed literal go.
    stream: Option<deliver::Stream>,
    outputs: VecDeque<Output<Self>>,
    next_tag: u64,
    /// Untagged responses since the last tagged one.
    untagged: u64,
    /// Responses, and pieces of them.
    heard: u64,
    resetting: bool,
}

impl Session {
    pub(crate) fn new(config: Config) -> Self {
        let limits = FrameLimits {
            response: config.limits.line(),
            literal: config.limits.literal(),
            stream_threshold: config.limits.streamed_above(),
        };
        Self {
            secure: config.protection == Protection::Implicit,
            config,
            end_point: None,
            token: None,
            token_is_new: false,
            token_was_refused: false,
            login: Login::Unconnected,
            framer: Framer::new(limits),
            capabilities: Capabilities::default(),
            selected: None,
            selecting: None,
            events: Vec::new(),
            event_bytes: 0,
            commands: VecDeque::new(),
            writer: Writer::default(),
            active: HashMap::new(),
            follow: None,
            dones: 0,
            ready: VecDeque::new(),
            stream: None,
            outputs: VecDeque::new(),
            next_tag: 1,
            untagged: 0,
            heard: 0,
            resetting: false,
        }
    }

    fn event(&mut self, event: MailboxEvent) {
        if self.events.last() == Some(&MailboxEvent::Overflow) {
            return;
        }
        self.event_bytes += weight_of(&event);
        if self.events.len() >= MAX_EVENTS || self.event_bytes > MAX_EVENT_BYTES {
            self.events.push(MailboxEvent::Overflow);
        } else {
            self.events.push(event);
        }
    }

    /// The events that have been kept.
    fn take_events(&mut self) -> Vec<MailboxEvent> {
        self.event_bytes = 0;
        std::mem::take(&mut self.events)
    }

    /// Another mailbox, or none, is selected from now on.
    fn deselect(&mut self) {
        self.selected = None;
        self.take_events();
        if let Some(follow) = &mut self.follow {
            follow.lose_view();
        }
    }

    /// Hands the operations that may begin their own commands through the gate.
    fn begin_ready(&mut self, gate: &mut dyn Gate) {
        while let Some(id) = self.ready.pop_front() {
            self.begin(id, gate);
        }
        self.begin_follow(gate);
    }

    /// Goes on with a reset once nothing else is under way.
    fn begin_reset(&mut self) {
        if !self.resetting || !self.commands.is_empty() || !self.active.is_empty() {
            return;
        }
        if self.selected.is_none() {
            self.resetting = false;
            self.outputs.push_back(Output::WasReset);
            return;
        }
        self.send_unselect();
    }
}

/// The memory that an event takes, about.
fn weight_of(event: &MailboxEvent) -> usize {
    const EVENT: usize = 64;
    match event {
        MailboxEvent::FlagsChanged { flags, .. } => {
            EVENT
                + flags
                    .iter()
                    .map(|flag| flag.to_string().len() + 32)
                    .sum::<usize>()
        }
        MailboxEvent::Vanished(ranges) => EVENT + ranges.len() * 8,
        _ => EVENT,
    }
}

impl Protocol for Session {
    type Operation = Operation;
    type Part = Part;
    type End = End;
    type Failure = Failure;

    fn connected(&mut self) {
        self.login = Login::Greeting;
    }

    fn secured(&mut self) {
        self.secure = true;
        self.after_tls();
    }

    fn channel_is_bound_by(&mut self, end_point: Vec<u8>) {
        self.end_point = Some(end_point);
    }

    fn take_token(&mut self, token: IssuedToken) {
        self.log_in_with(token);
    }

    fn accepts(&self, operation: &Operation) -> bool {
        self.may_overlap(operation)
    }

    fn is_repeatable(operation: &Operation) -> bool {
        salvage::is_repeatable(&operation.request)
    }

    fn is_standing(operation: &Operation) -> bool {
        matches!(operation.request, Request::Follow(_))
    }

    fn make_way(&mut self) -> bool {
        self.follow_makes_way()
    }

    fn give_up(&mut self, id: OperationId) -> bool {
        self.give_up_follow(Some(id))
    }

    fn wakes_at(&self) -> Option<Instant> {
        self.follow_wakes_at()
    }

    fn elapsed(&mut self, now: Instant, free: bool) -> Result<bool, Failure> {
        self.follow_elapsed(now, free)
    }

    fn salvage(&mut self, written: u64) -> Vec<Salvaged<Self>> {
        self.salvage_operations(written)
    }

    fn verdict(failure: &Failure) -> Verdict {
        salvage::verdict(failure)
    }

    fn of_repeated(failure: Failure) -> Failure {
        failure.after_a_success()
    }

    fn submit(&mut self, id: OperationId, operation: Operation) {
        self.take_up(id, operation);
    }

    fn reset(&mut self) {
        self.resetting = true;
        self.give_up_follow(None);
        self.begin_reset();
    }

    fn keep_alive(&mut self) {
        self.send_noop();
    }

    fn quit(&mut self) {
        self.send_logout();
    }

    fn is_quiet(&self) -> bool {
        self.commands.is_empty() && self.active.is_empty() && !self.resetting
    }

    fn advance(
        &mut self,
        input: &mut ReceiveBuffer,
        output: &mut SendBuffer,
        gate: &mut dyn Gate,
    ) -> Result<(), Failure> {
        self.go_on_with_login()?;
        // What was submitted goes out first: it does not depend on what has come.
        self.begin_ready(gate);
        self.writer.flush(output, &self.capabilities);
        while !self.login.is_waiting_for_tls() {
            let framed = self
                .framer
                .next(input)
                .map_err(|error| Failure::protocol(error.to_string()))?;
            let Some(framed) = framed else {
                break;
            };
            self.receive(framed, input)?;
        }
        self.begin_ready(gate);
        self.begin_reset();
        self.writer.flush(output, &self.capabilities);
        Ok(())
    }

    fn poll(&mut self) -> Option<Output<Self>> {
        self.outputs.pop_front()
    }

    fn name_of(operation: &Operation) -> &'static str {
        operation.request.verb()
    }
}
