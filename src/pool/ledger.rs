//! Who holds which connection, for how long, and what it does: the explanation of a wait.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::sync::Mutex;

use crate::connection::clock;
use crate::connection::handle::Counters;

/// What a connection is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// The main connection.
    Main,
    /// Bound to a thread by a connection scope.
    Scope,
    /// Bound to the thread of a background task.
    Task,
    /// Given back and waiting for the next taker.
    Parked,
    /// Given back with replies still to come.
    Draining,
    /// Being closed.
    Closing,
}

/// One connection that counts against the quota.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// What the connection is used for.
    pub role: Role,
    /// The thread that holds it: its name, or its number where it has none. Only connection
    /// scopes and background tasks have one.
    pub thread: Option<String>,
    /// For how long it has had this role.
    pub held_for: Duration,
    /// What the connection is doing, such as `UID FETCH`, `idle` or `connecting`.
    pub activity: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.role, &self.thread) {
            (Role::Main, _) => f.write_str("the main connection")?,
            (Role::Scope, Some(thread)) => write!(f, "thread {thread}")?,
            (Role::Scope, None) => f.write_str("a thread")?,
            (Role::Task, Some(thread)) => write!(f, "task {thread}")?,
            (Role::Task, None) => f.write_str("a task")?,
            (Role::Parked, _) => f.write_str("parked")?,
            (Role::Draining, _) => f.write_str("given back, replies to come")?,
            (Role::Closing, _) => f.write_str("closing")?,
        }
        write!(f, " for {:.1?}: {}", self.held_for, self.activity)
    }
}

#[derive(Debug)]
struct Record {
    role: Role,
    thread: Option<String>,
    since: Instant,
    counters: Option<Arc<Counters>>,
}

type Records = Arc<Mutex<(u64, BTreeMap<u64, Record>)>>;

/// The permits that are out.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Records);

impl Ledger {
    /// Notes a new permit, held by the calling thread.
    pub(crate) fn enter(&self) -> Entry {
        let mut records = self.0.lock();
        records.0 += 1;
        let id = records.0;
        records.1.insert(
            id,
            Record {
                role: Role::Scope,
                thread: None,
                since: clock::now(),
                counters: None,
            },
        );
        Entry {
            id,
            records: Arc::clone(&self.0),
        }
    }

    /// All permits that are out, the oldest first.
    pub(crate) fn holders(&self) -> Vec<Holder> {
        self.holders_where(|_| true)
    }

    /// Those of them whose connections have not ended.
    pub(crate) fn still_open(&self) -> Vec<Holder> {
        self.holders_where(|record| {
            let counters = record.counters.as_ref();
            counters.is_some_and(|counters| !counters.is_closed())
        })
    }

    fn holders_where(&self, condition: impl Fn(&Record) -> bool) -> Vec<Holder> {
        let now = clock::now();
        let records = self.0.lock();
        let records = records.1.values().filter(|record| condition(record));
        records
            .map(|record| Holder {
                role: record.role,
                thread: record.thread.clone(),
                held_for: now.saturating_duration_since(record.since),
                activity: record
                    .counters
                    .as_ref()
                    .map_or_else(|| "connecting".to_owned(), |counters| counters.activity()),
            })
            .collect()
    }
}

/// One permit's place in the ledger.
#[derive(Debug)]
pub(crate) struct Entry {
    id: u64,
    records: Records,
}

impl Entry {
    /// Notes what the permit is used for from now on; a scope or a task is the calling thread's.
    pub(crate) fn set_role(&self, role: Role) {
        let thread = matches!(role, Role::Scope | Role::Task).then(thread_label);
        if let Some(record) = self.records.lock().1.get_mut(&self.id) {
            record.role = role;
            record.thread = thread;
            record.since = clock::now();
        }
    }

    /// Notes whose socket it is.
    pub(crate) fn set_connection(&self, counters: &Arc<Counters>) {
        if let Some(record) = self.records.lock().1.get_mut(&self.id) {
            record.counters = Some(Arc::clone(counters));
        }
    }

    pub(crate) fn leave(&self) {
        self.records.lock().1.remove(&self.id);
    }
}

fn thread_label() -> String {
    let thread = std::thread::current();
    match thread.name() {
        Some(name) => name.to_owned(),
        None => format!("{:?}", thread.id()),
    }
}
