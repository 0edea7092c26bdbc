//! What the parts of one server share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::capabilities::Capabilities;
use crate::connection::{Connection, ConnectionInfo};
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
    /// Mail is taken from those who have logged in only.
    pub(crate) require_login: bool,
    /// Of messages that are delivered only the length and the digest are kept.
    pub(crate) digests_only: bool,
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
            require_login: false,
            digests_only: false,
        }
    }
}

/// Why a login failed.
#[derive(Debug)]
pub(crate) enum LoginRefusal {
    /// A test wants it, in these words.
    Ordered(String),
    /// There are too many connections.
    Limit,
    /// The name or the password is wrong.
    Wrong,
}

#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) settings: RwLock<Settings>,
    pub(crate) capabilities: RwLock<Capabilities>,
    pub(crate) counters: Arc<CounterBoard>,
    pub(crate) faults: FaultBoard,
    pub(crate) store: Store,
    pub(crate) tls: TlsMaterial,
    connections: Mutex<Vec<Arc<Connection>>>,
    /// Held while a login is counted.
    login: Mutex<()>,
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
            counters: Arc::default(),
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

    /// Whether as many other connections as there may be are served and `counts`.
    pub(crate) fn is_full(
        &self,
        connection: &Connection,
        counts: impl Fn(&ConnectionInfo) -> bool,
    ) -> bool {
        let Some(max) = self.settings.read().max_connections else {
            return false;
        };
        let others = || {
            let connections = self.connections();
            connections
                .iter()
                .filter(|other| other.id != connection.id && !other.has_ended())
                .map(|other| other.info())
                .filter(|other| other.served && counts(other))
                .count()
        };
        self.sweep();
        if others() < max {
            return false;
        }
        self.sweep_thoroughly(connection.port);
        others() >= max
    }

    /// Whether more connections are served than there may be, this one included.
    pub(crate) fn is_one_too_many(&self, connection: &Connection) -> bool {
        // Those accepted later are not in the way: they will look for themselves.
        self.settings.read().limit_mode == LimitMode::ByeAtGreeting
            && self.is_full(connection, |other| other.id < connection.id)
    }

    /// Checks a login, counts it, and makes the connection this user's.
    pub(crate) fn log_in(
        &self,
        connection: &Connection,
        user: Option<&str>,
    ) -> Result<(), LoginRefusal> {
        // Two logins at once must not both see the last free place.
        let _alone = self.login.lock();
        let limit = self.settings.read().limit_mode == LimitMode::NoAtLogin;
        let refusal = if let Some(text) = self.faults.refuse_login(connection.id) {
            Some(LoginRefusal::Ordered(text))
        } else if limit && self.is_full(connection, |other| other.user.is_some()) {
            Some(LoginRefusal::Limit)
        } else if user.is_none() {
            Some(LoginRefusal::Wrong)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            self.counters.update(|counters| counters.failed_logins += 1);
            return Err(refusal);
        }
        connection.update_info(|info| info.user = user.map(str::to_owned));
        self.counters.update(|counters| counters.logins += 1);
        Ok(())
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}
