//! Figures of a client.

use crate::pool::ledger::Holder;
use crate::pool::pool::Snapshot;

/// Figures of a client at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// The most connections that may be open.
    pub quota: usize,
    /// How many may be open at present: fewer than the quota for a while after the server has
    /// refused some because there were too many.
    pub effective_quota: usize,
    /// Connections that are open, being opened or being closed.
    pub open: usize,
    /// Connections that are parked.
    pub parked: usize,
    /// Threads and background tasks that wait for a connection.
    pub waiting: usize,
    /// Background tasks that run.
    pub tasks: usize,
    /// Connections begun since the client was made, the main connection included, and those that
    /// could not be opened too.
    pub opened: u64,
    /// Times that a lost connection was opened anew by itself.
    pub reconnected: u64,
    /// Times that the server refused a connection because there were too many.
    pub refused: u64,
    /// Times that a parked connection was handed out again.
    pub reused: u64,
    /// Operations carried out.
    pub operations: u64,
    /// Bytes received, after TLS.
    pub bytes_received: u64,
    /// Bytes sent, before TLS.
    pub bytes_sent: u64,
    /// Times that connection threads woke up. Idle connections do not wake up.
    pub wakeups: u64,
    /// Who holds the connections.
    pub holders: Vec<Holder>,
}

impl From<Snapshot> for Stats {
    fn from(snapshot: Snapshot) -> Self {
        Self {
            quota: snapshot.quota,
            effective_quota: snapshot.effective,
            open: snapshot.open,
            parked: snapshot.parked,
            waiting: snapshot.waiting,
            tasks: snapshot.tasks,
            opened: snapshot.opened,
            reconnected: snapshot.restored,
            refused: snapshot.refused,
            reused: snapshot.reused,
            operations: snapshot.operations,
            bytes_received: snapshot.bytes_in,
            bytes_sent: snapshot.bytes_out,
            wakeups: snapshot.wakeups,
            holders: snapshot.holders,
        }
    }
}
