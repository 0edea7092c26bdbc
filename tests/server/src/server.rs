//! The server: its listener, its connections, and what a test can do to them.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::builder::Builder;
use crate::capabilities::Stage;
use crate::connection::{Connection, ConnectionInfo, Order};
use crate::counters::{CommandRecord, Counters, Violation};
use crate::faults::Faults;
use crate::hub::Hub;
use crate::store::{Delivery, Store};

/// What a server speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// IMAP4rev1 (RFC 3501).
    #[default]
    Imap,
    /// SMTP (RFC 5321), for relay and submission.
    Smtp,
    /// LMTP (RFC 2033): SMTP with LHLO, and an answer for each recipient after the message.
    Lmtp,
}

/// How connections are secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte.
    Tls,
    /// In clear until STARTTLS; login before that is refused, and so is mail.
    StartTls,
    /// In clear.
    None,
}

/// How a connection too many is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitMode {
    /// `* BYE`, or 421 in SMTP, instead of a greeting, then the end.
    ByeAtGreeting,
    /// `NO [LIMIT]`, or 454 in SMTP, to the login; the connection stays.
    NoAtLogin,
}

/// What a session thread does: the one thing that a protocol brings.
pub(crate) type SessionBody = Arc<dyn Fn(&Arc<Connection>) + Send + Sync>;

/// Whether the listener is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listening {
    Open,
    Closed,
}

#[derive(Debug)]
struct Gate {
    wanted: Mutex<(Listening, Listening)>,
    changed: Condvar,
}

/// A mail server on loopback. It runs until it is dropped; dropping it closes every connection
/// and joins every thread.
#[derive(Debug)]
pub struct Server {
    hub: Arc<Hub>,
    address: SocketAddr,
    host: String,
    gate: Arc<Gate>,
    accepting: Option<JoinHandle<()>>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Server {
    /// Begins to describe a server.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn start(
        hub: Arc<Hub>,
        host: String,
        bind: SocketAddr,
        session: SessionBody,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(bind)?;
        let address = listener.local_addr()?;
        let gate = Arc::new(Gate {
            wanted: Mutex::new((Listening::Open, Listening::Open)),
            changed: Condvar::new(),
        });
        let threads = Arc::new(Mutex::new(Vec::new()));
        let accepting = std::thread::Builder::new()
            .name("accept".to_owned())
            .spawn({
                let hub = Arc::clone(&hub);
                let gate = Arc::clone(&gate);
                let threads = Arc::clone(&threads);
                move || accept_all(&hub, listener, address, &gate, &threads, &session)
            })?;
        Ok(Self {
            hub,
            address,
            host,
            gate,
            accepting: Some(accepting),
            threads,
        })
    }

    /// The name or address to connect to; the certificate is good for it.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The address of the listener.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate of the authority that signed the server's certificate, in PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.hub.tls.ca_pem
    }

    /// The mail of the server.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.hub.store
    }

    /// The figures as they are now.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.hub.counters.snapshot()
    }

    /// The commands received so far, in the order of arrival.
    #[must_use]
    pub fn commands(&self) -> Vec<CommandRecord> {
        self.hub.counters.log()
    }

    /// Forgets the commands received so far; the figures stay.
    pub fn clear_commands(&self) {
        self.hub.counters.clear_log();
    }

    /// What clients did that the protocol forbids, in the order in which it was seen. Only SMTP
    /// and LMTP keep this record.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        self.hub.counters.violations()
    }

    /// The messages accepted so far by way of SMTP or LMTP: [`Store::deliveries`] of this
    /// server's store.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.hub.store.deliveries()
    }

    /// Blocks until so many messages have been accepted, at most for `timeout`:
    /// [`Store::wait_for_deliveries`] of this server's store.
    #[must_use]
    pub fn wait_for_deliveries(&self, count: usize, timeout: Duration) -> Vec<Delivery> {
        self.hub.store.wait_for_deliveries(count, timeout)
    }

    /// What the open connections are doing.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        let connections = self.hub.connections();
        connections
            .iter()
            .filter(|connection| !connection.has_ended())
            .map(|connection| connection.info())
            .collect()
    }

    /// Blocks until `condition` holds for the figures, at most for `timeout`; says whether it
    /// came to hold.
    pub fn wait_until(&self, timeout: Duration, condition: impl FnMut(&Counters) -> bool) -> bool {
        self.hub.counters.wait_until(timeout, condition)
    }

    /// Faults for every connection.
    #[must_use]
    pub fn faults(&self) -> Faults {
        Faults::new(Arc::clone(&self.hub), None)
    }

    /// Faults for the nth connection accepted, from 1, be it open already or still to come.
    #[must_use]
    pub fn faults_for(&self, connection: usize) -> Faults {
        Faults::new(Arc::clone(&self.hub), Some(connection))
    }

    /// Replaces the capability list of a stage from the next command on.
    pub fn set_capabilities(&self, stage: Stage, names: &[&str]) {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        self.hub.capabilities.write().set(stage, names);
    }

    /// Changes how many connections are served at once.
    pub fn set_max_connections(&self, max: Option<usize>) {
        self.hub.settings.write().max_connections = max;
    }

    /// Says `* BYE` (421 in SMTP and LMTP) with this text on every connection, between two
    /// responses, and closes it.
    pub fn bye_all(&self, text: &str) {
        self.order_all(&Order::Bye(text.to_owned()));
    }

    /// Sends these bytes on every connection, between two responses.
    pub fn send_all(&self, bytes: impl AsRef<[u8]>) {
        self.order_all(&Order::Send(bytes.as_ref().to_vec()));
    }

    /// Sends these bytes on one connection, between two responses. Says whether it was open.
    pub fn send_to(&self, connection: usize, bytes: impl AsRef<[u8]>) -> bool {
        self.order_one(connection, Order::Send(bytes.as_ref().to_vec()))
    }

    /// Closes every connection in an orderly way, between two responses.
    pub fn close_all(&self) {
        self.order_all(&Order::Close);
    }

    /// Says `* BYE` (421 in SMTP and LMTP) with this text on one connection, between two
    /// responses, and closes it. Says whether it was open.
    pub fn bye(&self, connection: usize, text: &str) -> bool {
        self.order_one(connection, Order::Bye(text.to_owned()))
    }

    /// Closes one connection in an orderly way, between two responses. Says whether it was open.
    pub fn close(&self, connection: usize) -> bool {
        self.order_one(connection, Order::Close)
    }

    /// Resets every connection (RST) at once, whatever it does.
    pub fn reset_all(&self) {
        for connection in self.hub.connections() {
            connection.reset();
        }
    }

    /// Resets one connection (RST) at once. Says whether it was open.
    pub fn reset(&self, connection: usize) -> bool {
        let connection = self.connection(connection);
        connection.map(|connection| connection.reset()).is_some()
    }

    /// Closes the listener, so that the system refuses new connections, or opens it again on the
    /// same port. Open connections are left alone. Returns when it is done.
    ///
    /// # Errors
    /// If the port was taken by another process meanwhile.
    pub fn refuse_connections(&self, refuse: bool) -> io::Result<()> {
        let wanted = if refuse {
            Listening::Closed
        } else {
            Listening::Open
        };
        let mut state = self.gate.wanted.lock();
        if state.0 == wanted {
            return Ok(());
        }
        state.0 = wanted;
        self.gate.changed.notify_all();
        if refuse {
            // Wakes the accepting thread.
            let _ = TcpStream::connect(self.address);
        }
        while state.1 != state.0 {
            if self
                .gate
                .changed
                .wait_for(&mut state, Duration::from_secs(10))
                .timed_out()
            {
                return Err(io::ErrorKind::AddrInUse.into());
            }
        }
        Ok(())
    }

    fn order_all(&self, order: &Order) {
        for connection in self.hub.connections() {
            connection.order(order.clone());
        }
    }

    fn order_one(&self, connection: usize, order: Order) -> bool {
        let connection = self.connection(connection);
        connection
            .map(|connection| connection.order(order))
            .is_some()
    }

    fn connection(&self, id: usize) -> Option<Arc<Connection>> {
        let connections = self.hub.connections();
        connections
            .into_iter()
            .find(|connection| connection.id == id && !connection.has_ended())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.hub.stopping.store(true, Ordering::SeqCst);
        drop(self.gate.wanted.lock());
        self.gate.changed.notify_all();
        let _ = TcpStream::connect(self.address);
        let mut panicked = self
            .accepting
            .take()
            .is_some_and(|thread| thread.join().is_err());
        for connection in self.hub.connections() {
            connection.kill();
        }
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            panicked |= thread.join().is_err();
        }
        assert!(
            !panicked || std::thread::panicking(),
            "a thread of the test server panicked"
        );
    }
}

fn accept_all(
    hub: &Arc<Hub>,
    listener: TcpListener,
    address: SocketAddr,
    gate: &Gate,
    threads: &Mutex<Vec<JoinHandle<()>>>,
    session: &SessionBody,
) {
    let mut listener = Some(listener);
    let mut panicked = false;
    while !hub.is_stopping() {
        let mut state = gate.wanted.lock();
        // Who stops the server says so before it takes the lock, and rings once.
        if hub.is_stopping() {
            break;
        }
        match (state.0, &listener) {
            (Listening::Closed, Some(_)) => {
                listener = None;
                state.1 = Listening::Closed;
                gate.changed.notify_all();
                continue;
            }
            (Listening::Closed, None) => {
                gate.changed.wait(&mut state);
                continue;
            }
            (Listening::Open, None) => {
                listener = TcpListener::bind(address).ok();
                if listener.is_some() {
                    state.1 = Listening::Open;
                    gate.changed.notify_all();
                } else {
                    gate.changed.wait_for(&mut state, Duration::from_millis(20));
                }
                continue;
            }
            (Listening::Open, Some(_)) => drop(state),
        }
        let Some(Ok((socket, _))) = listener.as_ref().map(TcpListener::accept) else {
            continue;
        };
        if hub.is_stopping() || gate.wanted.lock().0 == Listening::Closed {
            continue;
        }
        let mut threads = threads.lock();
        let (over, running): (Vec<_>, Vec<_>) =
            threads.drain(..).partition(JoinHandle::is_finished);
        *threads = running;
        for thread in over {
            panicked |= thread.join().is_err();
        }
        if let Ok(started) = serve(hub, socket, session) {
            threads.extend(started);
        }
    }
    assert!(!panicked, "a session of the test server panicked");
}

/// Starts the threads of a connection.
fn serve(hub: &Arc<Hub>, socket: TcpStream, body: &SessionBody) -> io::Result<[JoinHandle<()>; 2]> {
    let connection = Connection::new(Arc::clone(hub), socket)?;
    let session = std::thread::Builder::new()
        .name(format!("session-{}", connection.id))
        .spawn({
            let connection = Arc::clone(&connection);
            let body = Arc::clone(body);
            let running = hub.counters.session();
            move || {
                let _running = running;
                body(&connection);
            }
        })
        .inspect_err(|_| connection.kill())?;
    let reading = std::thread::Builder::new()
        .name(format!("read-{}", connection.id))
        .spawn({
            let connection = Arc::clone(&connection);
            move || connection.read_socket()
        });
    match reading {
        Ok(reading) => Ok([session, reading]),
        Err(error) => {
            connection.ended();
            connection.kill();
            let _ = session.join();
            Err(error)
        }
    }
}
