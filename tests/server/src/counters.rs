//! What the server has seen, for assertions: figures, and the log of commands.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::clock;

/// A snapshot of the server's figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Connections that are open now: accepted, and the client's end not yet seen.
    ///
    /// A connection that the server has closed in an orderly way still counts until the client
    /// has closed its side too; one that the server reset does not.
    pub open: usize,
    /// The most connections that were ever open at once.
    pub peak_open: usize,
    /// Connections accepted in total.
    pub accepted: u64,
    /// Connections turned away at the greeting because there were too many.
    pub refused: u64,
    /// TLS handshakes completed.
    pub tls_handshakes: u64,
    /// Logins that succeeded.
    pub logins: u64,
    /// Logins that were refused.
    pub failed_logins: u64,
    /// Connections that are in IDLE now.
    pub idling: usize,
    /// Bytes received from the sockets, TLS overhead included.
    pub bytes_in: u64,
    /// Bytes written to the sockets, TLS overhead included.
    pub bytes_out: u64,
    /// Sessions that run now. A session can outlive its connection by the command that it is at:
    /// when it is zero, what was delivered is final.
    pub sessions: usize,
    /// Messages accepted by way of SMTP or LMTP on this server.
    pub deliveries: u64,
    /// How often clients did what the protocol forbids; see
    /// [`Server::violations`](crate::Server::violations).
    pub violations: u64,
    commands: BTreeMap<String, u64>,
}

impl Counters {
    /// How many commands with this verb were received, such as `"FETCH"` or `"UID FETCH"`.
    #[must_use]
    pub fn commands(&self, verb: &str) -> u64 {
        self.commands
            .get(&verb.to_ascii_uppercase())
            .copied()
            .unwrap_or(0)
    }

    /// How many commands were received in total.
    #[must_use]
    pub fn total_commands(&self) -> u64 {
        self.commands.values().sum()
    }
}

/// One command as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommandRecord {
    /// The connection, numbered from 1 in the order of acceptance.
    pub connection: usize,
    /// The place of the command among all commands of the server, from 1.
    pub order: u64,
    /// The flight in which the command came to its end, from 1 on each connection. Commands of
    /// one flight were sent without waiting for answers: a new flight begins when there was no
    /// more input at the moment at which the server answered. A flight that comes in many
    /// segments can be counted as several.
    pub flight: u64,
    /// The client's tag; empty in SMTP.
    pub tag: String,
    /// The verb in capitals, with `UID ` before it for the UID forms; `BAD` if it had none. In
    /// SMTP the end of a message is a command with the verb `.`.
    pub verb: String,
    /// The command without its final CRLF, literals included, if the server records lines.
    /// The arguments of LOGIN, AUTHENTICATE and AUTH are left out.
    pub line: Option<String>,
}

/// Something that a client did and the protocol forbids.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// The connection, numbered from 1 in the order of acceptance.
    pub connection: usize,
    /// What it was.
    pub kind: ViolationKind,
    /// Where: the command, or the beginning of what was wrong.
    pub text: String,
}

/// What a client can do that SMTP or LMTP forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ViolationKind {
    /// Something was sent before the greeting.
    BeforeGreeting,
    /// Something was sent behind a command before its answer, and PIPELINING is not announced.
    Pipelining,
    /// Something was sent behind a command that ends a group (RFC 2920 section 3.1), such as EHLO
    /// or DATA, before its answer.
    BehindLastOfGroup,
    /// A command is not well formed.
    Syntax,
    /// A command came where it makes no sense, and not because one before it in the same flight
    /// was refused.
    Sequence,
    /// A command or parameter needs an extension that is not announced.
    NotAnnounced,
    /// More than the extension LIMITS allows.
    OverLimit,
    /// CR without LF in a message that is not BODY=BINARYMIME, or in a command.
    BareCr,
    /// LF without CR in a message that is not BODY=BINARYMIME, or in a command.
    BareLf,
    /// NUL in a message that is not BODY=BINARYMIME.
    Nul,
    /// A byte above 127 in a message that is not BODY=8BITMIME or BODY=BINARYMIME.
    EightBit,
    /// A line of a message that is longer than 1000 octets, CRLF included.
    LongLine,
}

/// Holds the figures and wakes those who wait for them.
#[derive(Debug, Default)]
pub(crate) struct CounterBoard {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    counters: Counters,
    log: Vec<CommandRecord>,
    violations: Vec<Violation>,
}

/// Counts a session as long as it lives.
pub(crate) struct Running(Arc<CounterBoard>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.update(|counters| counters.sessions -= 1);
    }
}

impl CounterBoard {
    pub(crate) fn snapshot(&self) -> Counters {
        self.inner.lock().counters.clone()
    }

    pub(crate) fn log(&self) -> Vec<CommandRecord> {
        self.inner.lock().log.clone()
    }

    pub(crate) fn clear_log(&self) {
        self.inner.lock().log.clear();
    }

    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut Counters) -> T) -> T {
        let mut inner = self.inner.lock();
        let result = change(&mut inner.counters);
        drop(inner);
        self.changed.notify_all();
        result
    }

    pub(crate) fn opened(&self) -> usize {
        self.update(|counters| {
            counters.accepted += 1;
            counters.open += 1;
            counters.peak_open = counters.peak_open.max(counters.open);
            counters.open
        })
    }

    pub(crate) fn closed(&self) {
        self.update(|counters| counters.open = counters.open.saturating_sub(1));
    }

    pub(crate) fn session(self: &Arc<Self>) -> Running {
        self.update(|counters| counters.sessions += 1);
        Running(Arc::clone(self))
    }

    pub(crate) fn violations(&self) -> Vec<Violation> {
        self.inner.lock().violations.clone()
    }

    pub(crate) fn violation(&self, connection: usize, kind: ViolationKind, text: &[u8]) {
        let text = text.get(..200).unwrap_or(text);
        let mut inner = self.inner.lock();
        inner.counters.violations += 1;
        inner.violations.push(Violation {
            connection,
            kind,
            text: String::from_utf8_lossy(text).into_owned(),
        });
        drop(inner);
        self.changed.notify_all();
    }

    pub(crate) fn command(
        &self,
        connection: usize,
        flight: u64,
        tag: &str,
        verb: &str,
        line: Option<String>,
    ) {
        let mut inner = self.inner.lock();
        *inner.counters.commands.entry(verb.to_owned()).or_default() += 1;
        let order = inner.counters.total_commands();
        inner.log.push(CommandRecord {
            connection,
            order,
            flight,
            tag: tag.to_owned(),
            verb: verb.to_owned(),
            line,
        });
        drop(inner);
        self.changed.notify_all();
    }

    /// Blocks until `condition` holds for the figures or `timeout` has passed.
    pub(crate) fn wait_until(
        &self,
        timeout: Duration,
        mut condition: impl FnMut(&Counters) -> bool,
    ) -> bool {
        let deadline = clock::now() + timeout;
        let mut inner = self.inner.lock();
        loop {
            if condition(&inner.counters) {
                return true;
            }
            if self.changed.wait_until(&mut inner, deadline).timed_out() {
                return condition(&inner.counters);
            }
        }
    }
}
