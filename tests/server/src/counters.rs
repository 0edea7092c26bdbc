//! What the server has seen, for assertions: figures, and the log of commands.

use std::collections::BTreeMap;
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
    /// The client's tag.
    pub tag: String,
    /// The verb in capitals, with `UID ` before it for the UID forms; `BAD` if it had none.
    pub verb: String,
    /// The command without its final CRLF, literals included, if the server records lines.
    /// The arguments of LOGIN and AUTHENTICATE are left out.
    pub line: Option<String>,
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

    pub(crate) fn command(&self, connection: usize, tag: &str, verb: &str, line: Option<String>) {
        let mut inner = self.inner.lock();
        *inner.counters.commands.entry(verb.to_owned()).or_default() += 1;
        let order = inner.counters.total_commands();
        inner.log.push(CommandRecord {
            connection,
            order,
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
