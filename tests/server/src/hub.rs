//! What the parts of one server share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::capabilities::Capabilities;
use crate::connection::Connection;
use crate::counters::CounterBoard;
use crate::faults::FaultBoard;
use crate::hangup;
use crate::server::{LimitMode, Security};
use crate::store::Store;
use crate::tls::TlsMaterial;

/// How the server was built.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) security: Security,
    pub(crate) max_connections: Option<usize>,
    pub(crate) limit_mode: LimitMode,
    pub(crate) max_literal: usize,
    pub(crate) record_lines: bool,
    pub(crate) preauth: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            security: Security::None,
            max_connections: None,
            limit_mode: LimitMode::ByeAtGreeting,
            max_literal: 64 << 20,
            record_lines: false,
            preauth: None,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) settings: RwLock<Settings>,
    pub(crate) capabilities: RwLock<Capabilities>,
    pub(crate) counters: CounterBoard,
    pub(crate) faults: FaultBoard,
    pub(crate) store: Store,
    pub(crate) tls: TlsMaterial,
    connections: Mutex<Vec<Arc<Connection>>>,
    /// Held while a login is counted.
    pub(crate) login: Mutex<()>,
    next_id: AtomicUsize,
    pub(crate) stopping: AtomicBool,
}

impl Hub {
    pub(crate) fn new(
        settings: Settings,
        capabilities: Capabilities,
        store: Store,
        tls: TlsMaterial,
    ) -> Self {
        Self {
            settings: RwLock::new(settings),
            capabilities: RwLock::new(capabilities),
            counters: CounterBoard::default(),
            faults: FaultBoard::default(),
            store,
            tls,
            connections: Mutex::new(Vec::new()),
            login: Mutex::new(()),
            next_id: AtomicUsize::new(1),
            stopping: AtomicBool::new(false),
        }
    }

    pub(crate) fn next_id(&self) -> usize {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// The connections that still have a thread.
    pub(crate) fn connections(&self) -> Vec<Arc<Connection>> {
        self.connections.lock().clone()
    }

    pub(crate) fn register(&self, connection: Arc<Connection>) {
        self.connections.lock().push(connection);
    }

    pub(crate) fn forget(&self, id: usize) {
        self.connections.lock().retain(|other| other.id != id);
    }

    pub(crate) fn wake_all(&self) {
        for connection in self.connections() {
            connection.wake();
        }
    }

    /// Notices the connections whose client has closed before their threads do, so that the
    /// figure of open connections is exact when a new one is counted.
    pub(crate) fn sweep(&self) {
        for connection in self.connections() {
            if connection.peer_has_hung_up() {
                connection.ended();
            }
        }
    }

    /// As [`sweep`](Self::sweep), and asks the clients' sockets too. Costs more.
    pub(crate) fn sweep_thoroughly(&self, port: u16) {
        let closed = hangup::closed_clients(port);
        for connection in self.connections() {
            if closed.contains(&connection.peer_port) {
                connection.ended();
            }
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}
