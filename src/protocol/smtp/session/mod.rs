//! The client's side of one SMTP or LMTP connection (RFC 5321, RFC 2033).
//!
//! A [`Session`] goes through [`login`] to its ready state and then carries out operations. A
//! message is a [`transaction`]. Replies carry no tag: each answers the oldest command that has
//! not been answered ([`answers`]). Where the server has PIPELINING (RFC 2920), MAIL and all RCPT
//! leave in one flight, and those of the next message behind the end of the last one:
//!
//! ```text
//! C: MAIL RCPT RCPT      DATA      message . MAIL RCPT      DATA
//! S:               250s       354                      250s      354
//! ```
//! DATA waits until it is known that somebody is to have the message.

mod answers;
mod login;
mod needs;
pub(crate) mod operation;
mod salvage;
#[cfg(test)]
mod tests;
mod transaction;
mod writing;

use std::collections::VecDeque;
use std::time::Instant;

use super::command;
use super::reply::ReplyReader;
use crate::protocol::machine::{Gate, OperationId, Output, Protocol, Salvaged, Verdict};
use crate::protocol::sasl::Account;
use crate::types::limits::Limits;
use crate::types::smtp::capabilities::SmtpCapabilities;
use crate::types::token::IssuedToken;
use crate::wire::receive::ReceiveBuffer;
use crate::wire::send::SendBuffer;

use login::Login;
use operation::{End, Failure, Operation, Part};
use transaction::{Stage, Transaction};

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
    /// LMTP rather than SMTP: LHLO, and a reply for each recipient.
    pub lmtp: bool,
    pub protection: Protection,
    /// Who logs in, if anybody does.
    pub account: Option<Account>,
    /// What this side calls itself.
    pub hello_name: String,
    /// Use PIPELINING where it is offered.
    pub pipelining: bool,
    /// Use CHUNKING where it is offered.
    pub chunking: bool,
    /// Messages on one connection.
    pub max_messages: Option<u64>,
    pub limits: Limits,
}

/// What the next reply answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// A command of the login, or the greeting.
    Login,
    Mail(OperationId),
    /// RCPT, with the recipient's place in the envelope.
    Rcpt(OperationId, usize),
    /// DATA: may the message come?
    Go(OperationId),
    /// A BDAT that is not the last one.
    Chunk(OperationId),
    /// The end of a message.
    End(OperationId),
    /// The same for one recipient, with LMTP.
    EndFor(OperationId, usize),
    Reset,
    KeepAlive,
    /// NOOP, VRFY or EXPN.
    Simple(OperationId, &'static str),
    Quit,
}

/// The client's side of one connection.
pub(crate) struct Session {
    config: Config,
    login: Login,
    /// The transport is encrypted.
    secure: bool,
    replies: ReplyReader,
    capabilities: SmtpCapabilities,
    /// What tells this TLS connection from any other.
    end_point: Option<Vec<u8>>,
    token: Option<IssuedToken>,
    /// It has come and not been used.
    token_is_new: bool,
    token_was_refused: bool,
    authenticated: bool,
    /// What has been asked and not been answered, the oldest first.
    expected: VecDeque<Expected>,
    /// Command lines that are to go out.
    lines: String,
    /// Messages under way, the oldest first: two at most, of which the first has been sent whole.
    transactions: VecDeque<Transaction>,
    /// NOOP, VRFY and the like that have not been written.
    simple: VecDeque<(OperationId, Operation)>,
    /// The one of them that has not been answered.
    asked: Option<(OperationId, Operation)>,
    /// MAIL commands so far.
    begun: u64,
    /// A message was broken off: the connection cannot go on.
    broken_off: bool,
    outputs: VecDeque<Output<Self>>,
    resetting: bool,
}

impl Session {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            secure: config.protection == Protection::Implicit,
            replies: ReplyReader::new(config.limits.line()),
            config,
            login: Login::Unconnected,
            capabilities: SmtpCapabilities::default(),
            end_point: None,
            token: None,
            token_is_new: false,
            token_was_refused: false,
            authenticated: false,
            expected: VecDeque::new(),
            lines: String::new(),
            transactions: VecDeque::new(),
            simple: VecDeque::new(),
            asked: None,
            begun: 0,
            broken_off: false,
            outputs: VecDeque::new(),
            resetting: false,
        }
    }

    fn send(&mut self, expected: Expected, line: &str) {
        self.expected.push_back(expected);
        self.lines.push_str(line);
    }

    fn flush(&mut self, output: &mut SendBuffer) {
        output.put(self.lines.as_bytes());
        self.lines.clear();
    }

    /// Whether commands may leave before those ahead of them have been answered.
    fn pipelines(&self) -> bool {
        self.config.pipelining && self.capabilities.supports("PIPELINING")
    }

    fn transaction(&mut self, id: OperationId) -> Option<&mut Transaction> {
        self.transactions.iter_mut().find(|one| one.id == id)
    }

    fn end(&mut self, id: OperationId, end: Result<End, Failure>) {
        self.transactions.retain(|one| one.id != id);
        self.outputs.push_back(Output::End(id, end));
    }

    fn begin_simple(&mut self, gate: &mut dyn Gate) {
        while self.expected.is_empty() {
            let Some((id, operation)) = self.simple.pop_front() else {
                return;
            };
            if !gate.write(id) {
                self.outputs.push_back(Output::Withdrawn(id));
                continue;
            }
            let verb = Self::name_of(&operation);
            let line = match &operation {
                Operation::Verify(about) | Operation::Expand(about) => {
                    let utf8 = !about.is_ascii() && self.capabilities.supports("SMTPUTF8");
                    command::about(verb, about, utf8)
                }
                _ => format!("{verb}\r\n"),
            };
            self.asked = Some((id, operation));
            self.send(Expected::Simple(id, verb), &line);
        }
    }

    fn begin_reset(&mut self) {
        if self.resetting && self.expected.is_empty() && self.transactions.is_empty() {
            self.resetting = false;
            self.outputs.push_back(Output::WasReset);
        }
    }
}

impl Protocol for Session {
    type Operation = Operation;
    type Part = Part;
    type End = End;
    type Failure = Failure;

    fn connected(&mut self) {
        self.login = Login::Greeting;
        self.expected.push_back(Expected::Login);
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
        if self.is_worn() {
            return false;
        }
        match operation {
            Operation::Capabilities => true,
            Operation::Send(_) if self.pipelines() => {
                // Behind VRFY and EXPN nothing may follow (RFC 2920 §3.1).
                self.simple.is_empty()
                    && self.asked.is_none()
                    && self.transactions.len() < 2
                    && self.transactions.iter().all(Transaction::is_sent)
            }
            _ => self.is_quiet() && self.simple.is_empty(),
        }
    }

    fn is_worn(&self) -> bool {
        let allowed = [self.config.max_messages, self.capabilities.limit("MAILMAX")];
        allowed.into_iter().flatten().any(|most| self.begun >= most)
    }

    fn is_repeatable(operation: &Operation) -> bool {
        !matches!(operation, Operation::Send(_))
    }

    fn is_standing(_: &Operation) -> bool {
        false
    }

    fn make_way(&mut self) -> bool {
        false
    }

    fn give_up(&mut self, id: OperationId) -> bool {
        match self.transaction(id) {
            Some(transaction) if transaction.stage != Stage::Sent => {
                !std::mem::replace(&mut transaction.given_up, true)
            }
            _ => false,
        }
    }

    fn is_held_back(&self) -> bool {
        self.transactions.iter().any(Transaction::is_held_back)
    }

    fn wakes_at(&self) -> Option<Instant> {
        None
    }

    fn elapsed(&mut self, _: Instant, _: bool) -> Result<bool, Failure> {
        Ok(false)
    }

    fn salvage(&mut self, written: u64) -> Vec<Salvaged<Self>> {
        self.salvage_transactions(written)
    }

    fn verdict(failure: &Failure) -> Verdict {
        failure.verdict()
    }

    /// Only what had no effect is carried out again.
    fn of_repeated(failure: Failure) -> Failure {
        failure
    }

    fn submit(&mut self, id: OperationId, operation: Operation) {
        match operation {
            Operation::Send(mail) => self.transactions.push_back(Transaction::new(id, *mail)),
            Operation::Noop | Operation::Verify(_) | Operation::Expand(_) => {
                self.simple.push_back((id, operation));
            }
            Operation::Capabilities => {
                let capabilities = Box::new(self.capabilities.clone());
                self.end(id, Ok(End::Capabilities(capabilities)));
            }
        }
    }

    fn reset(&mut self) {
        self.resetting = true;
        self.begin_reset();
    }

    fn keep_alive(&mut self) {
        self.send(Expected::KeepAlive, "NOOP\r\n");
    }

    fn quit(&mut self) {
        self.send(Expected::Quit, "QUIT\r\n");
    }

    fn is_quiet(&self) -> bool {
        self.expected.is_empty()
            && self.simple.is_empty()
            && self.transactions.is_empty()
            && !self.resetting
    }

    fn advance(
        &mut self,
        input: &mut ReceiveBuffer,
        output: &mut SendBuffer,
        gate: &mut dyn Gate,
    ) -> Result<(), Failure> {
        self.go_on_with_login()?;
        while !matches!(self.login, Login::Handshake) {
            let reply = self
                .replies
                .next(input)
                .map_err(|error| Failure::protocol(error.to_string()))?;
            let Some(reply) = reply else {
                break;
            };
            self.answer(reply, input.len())?;
        }
        self.drive(output, gate);
        self.begin_simple(gate);
        self.begin_reset();
        self.flush(output);
        if self.broken_off {
            return Err(Failure::BrokenOff);
        }
        Ok(())
    }

    fn poll(&mut self) -> Option<Output<Self>> {
        self.outputs.pop_front()
    }

    fn name_of(operation: &Operation) -> &'static str {
        match operation {
            Operation::Send(_) => "MAIL",
            Operation::Noop => "NOOP",
            Operation::Verify(_) => "VRFY",
            Operation::Expand(_) => "EXPN",
            Operation::Capabilities => "EHLO",
        }
    }
}
