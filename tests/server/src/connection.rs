//! One accepted socket: the thread that reads it, and the one place where its session waits.
//!
//! A connection has a reading thread and a session thread (and a third, for the way out, once a
//! delay is set). The reading thread takes bytes off the socket at all times, also while the
//! session is stalled by a fault, so the end of the connection is seen when it comes. The session
//! waits on one condition variable for whatever comes first: input, a change in its mailbox, an
//! order from the test, the end.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::clock;
use crate::hangup;
use crate::hub::Hub;

/// Received bytes that wait for the session; beyond it the socket is not read.
const MAX_INBOUND: usize = 8 << 20;
/// Bytes on the delay line on the way out; beyond it the session waits.
const MAX_OUTBOUND: usize = 8 << 20;
/// How often the end is looked for while the socket is not read.
const HANGUP_CHECK: Duration = Duration::from_millis(20);

/// What a test tells a running session.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    /// Say BYE with this text, then close.
    Bye(String),
    /// Send these bytes between two responses.
    Send(Vec<u8>),
    /// Close in an orderly way.
    Close,
}

/// Why a session woke up.
#[derive(Debug)]
pub(crate) enum Wake {
    /// There are bytes to read, or the end of the stream.
    Input,
    /// The selected mailbox has changed.
    Changed,
    Order(Order),
    /// The server stops, or the connection was reset.
    Stopped,
}

/// Something on its way out over the delay line.
#[derive(Debug)]
pub(crate) enum Outgoing {
    Bytes(Vec<u8>),
    Shutdown,
    Reset,
    /// Nothing follows.
    End,
}

#[derive(Debug, Default)]
struct State {
    inbound: VecDeque<(Instant, Vec<u8>)>,
    inbound_len: usize,
    outbound: VecDeque<(Instant, Outgoing)>,
    outbound_len: usize,
    /// Nothing leaves the delay line any more.
    outbound_over: bool,
    /// Everything that the client sent has been read.
    peer_closed: bool,
    /// The client's end has come; there may be bytes before it that are not read yet.
    peer_gone: bool,
    reading_over: bool,
    session_over: bool,
    stopped: bool,
    changed: bool,
    orders: VecDeque<Order>,
    info: ConnectionInfo,
}

/// What a connection is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// The connection's number, from 1 in the order of acceptance.
    pub id: usize,
    /// Who is logged in.
    pub user: Option<String>,
    /// The mailbox that is selected.
    pub mailbox: Option<String>,
    /// Whether TLS is on.
    pub tls: bool,
    /// Whether the connection is in IDLE.
    pub idling: bool,
    /// Whether the session is still served: not after BYE or a close by the server.
    pub served: bool,
}

pub(crate) struct Connection {
    pub(crate) id: usize,
    /// The server's port.
    pub(crate) port: u16,
    /// The client's port.
    pub(crate) peer_port: u16,
    pub(crate) hub: Arc<Hub>,
    socket: Mutex<Option<Arc<TcpStream>>>,
    state: Mutex<State>,
    wake: Condvar,
    ended: AtomicBool,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Connection")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// Takes a socket in and counts it.
    pub(crate) fn new(hub: Arc<Hub>, socket: TcpStream) -> io::Result<Arc<Self>> {
        socket.set_nodelay(true)?;
        // A write that finds no room comes back now and then to see whether it is still wanted.
        socket.set_write_timeout(Some(Duration::from_millis(50)))?;
        let peer_port = socket.peer_addr()?.port();
        let port = socket.local_addr()?.port();
        let id = hub.next_id();
        let connection = Arc::new(Self {
            id,
            port,
            peer_port,
            socket: Mutex::new(Some(Arc::new(socket))),
            state: Mutex::new(State {
                info: ConnectionInfo {
                    id,
                    served: true,
                    ..ConnectionInfo::default()
                },
                ..State::default()
            }),
            wake: Condvar::new(),
            ended: AtomicBool::new(false),
            hub: Arc::clone(&hub),
        });
        hub.sweep();
        let counters = hub.counters.snapshot();
        if counters.open >= counters.peak_open {
            // It would be the most ever: look twice.
            hub.sweep_thoroughly(port);
        }
        hub.register(Arc::clone(&connection));
        hub.counters.opened();
        Ok(connection)
    }

    pub(crate) fn socket(&self) -> io::Result<Arc<TcpStream>> {
        let socket = self.socket.lock();
        socket.clone().ok_or_else(aborted)
    }

    pub(crate) fn info(&self) -> ConnectionInfo {
        self.state.lock().info.clone()
    }

    pub(crate) fn update_info(&self, change: impl FnOnce(&mut ConnectionInfo)) {
        change(&mut self.state.lock().info);
    }

    pub(crate) fn wake(&self) {
        drop(self.state.lock());
        self.wake.notify_all();
    }

    /// Says that the selected mailbox has changed.
    pub(crate) fn mailbox_changed(&self) {
        self.state.lock().changed = true;
        self.wake.notify_all();
    }

    pub(crate) fn order(&self, order: Order) {
        self.state.lock().orders.push_back(order);
        self.wake.notify_all();
    }

    /// Reads the socket until its end; the body of the reading thread.
    pub(crate) fn read_socket(&self) {
        let Ok(socket) = self.socket() else { return };
        let mut buffer = vec![0; 64 << 10];
        let mut total = 0_u64;
        while let Some(room) = self.wait_for_room(total) {
            let window = buffer.len().min(room);
            let count = match (&*socket).read(buffer.get_mut(..window).unwrap_or_default()) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            total += count as u64;
            let due = clock::now() + self.hub.faults.delay_in(self.id);
            let mut state = self.state.lock();
            if !state.session_over {
                let bytes = buffer.get(..count).unwrap_or_default().to_vec();
                state.inbound_len += count;
                state.inbound.push_back((due, bytes));
            }
            drop(state);
            self.wake.notify_all();
            // What is counted can be seen by the session.
            self.hub
                .counters
                .update(|counters| counters.bytes_in += count as u64);
        }
        drop(socket);
        self.ended();
        let mut state = self.state.lock();
        state.reading_over = true;
        state.peer_closed = true;
        let both_over = state.session_over;
        drop(state);
        self.wake.notify_all();
        if both_over {
            self.hub.forget(self.id);
        }
    }

    /// Waits until the socket may be read; says how much, or `None` at the end.
    fn wait_for_room(&self, total: u64) -> Option<usize> {
        let mut state = self.state.lock();
        loop {
            if state.stopped {
                return None;
            }
            let limit = self.hub.faults.receive_limit(self.id).unwrap_or(u64::MAX);
            let left = usize::try_from(limit.saturating_sub(total)).unwrap_or(usize::MAX);
            if (state.inbound_len < MAX_INBOUND && left > 0) || state.session_over {
                return Some(if state.session_over { usize::MAX } else { left });
            }
            self.wake.wait_for(&mut state, HANGUP_CHECK);
            if MutexGuard::unlocked(&mut state, || self.peer_has_hung_up()) {
                MutexGuard::unlocked(&mut state, || self.ended());
                // What the client sent before its end is still in the socket and of no interest
                // unless the rule is lifted.
                if left == 0 {
                    return None;
                }
            }
        }
    }

    /// Whether the client's end has come, be there unread bytes before it or not.
    pub(crate) fn peer_has_hung_up(&self) -> bool {
        let Some(socket) = self.socket.lock().clone() else {
            return false;
        };
        hangup::has_hung_up(&socket)
    }

    /// Records the client's end; the first call counts.
    pub(crate) fn ended(&self) {
        if !self.ended.swap(true, Ordering::SeqCst) {
            self.hub.counters.closed();
        }
        self.state.lock().peer_gone = true;
        self.wake.notify_all();
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// The session is over: nothing is read for it any more.
    pub(crate) fn session_over(&self) {
        let mut state = self.state.lock();
        state.session_over = true;
        state.info.served = false;
        state.inbound.clear();
        state.inbound_len = 0;
        let both_over = state.reading_over;
        drop(state);
        self.wake.notify_all();
        if both_over {
            self.hub.forget(self.id);
        }
    }

    /// Ends the connection at once with FIN, whatever its session does.
    pub(crate) fn kill(&self) {
        self.state.lock().stopped = true;
        self.wake.notify_all();
        if let Some(socket) = self.socket.lock().take() {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Ends the connection at once with RST.
    pub(crate) fn reset(&self) {
        // First of all, as a session that only sees the end of its input says FIN.
        self.state.lock().stopped = true;
        let socket = self.socket.lock().take();
        if let Some(socket) = socket {
            let _ = socket2::SockRef::from(&*socket).set_linger(Some(Duration::ZERO));
            // Wakes the reading thread and sends nothing. RST goes out when the last of the
            // threads lets go of the socket.
            let _ = socket.shutdown(Shutdown::Read);
        }
        self.ended();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.state.lock().stopped
    }

    /// Moves received bytes whose time has come into `buffer`. `Ok(0)` is the end.
    ///
    /// # Errors
    /// `WouldBlock` if there is nothing yet and `block` is not set; `ConnectionAborted` if the
    /// server stops.
    pub(crate) fn receive(&self, buffer: &mut [u8], block: bool) -> io::Result<usize> {
        let mut state = self.state.lock();
        loop {
            if state.stopped {
                return Err(aborted());
            }
            let now = clock::now();
            let due = state.inbound.front().map(|(due, _)| *due);
            match due {
                Some(due) if due <= now => {
                    let Some((_, bytes)) = state.inbound.front_mut() else {
                        continue;
                    };
                    let count = bytes.len().min(buffer.len());
                    if let (Some(to), Some(from)) = (buffer.get_mut(..count), bytes.get(..count)) {
                        to.copy_from_slice(from);
                    }
                    bytes.drain(..count);
                    if bytes.is_empty() {
                        state.inbound.pop_front();
                    }
                    let was_full = state.inbound_len >= MAX_INBOUND;
                    state.inbound_len -= count;
                    drop(state);
                    if was_full {
                        self.wake.notify_all();
                    }
                    return Ok(count);
                }
                None if state.peer_closed => return Ok(0),
                _ if !block => return Err(io::ErrorKind::WouldBlock.into()),
                Some(due) => {
                    self.wake.wait_until(&mut state, due);
                }
                None => self.wake.wait(&mut state),
            }
        }
    }

    /// Waits for the next thing that concerns the session. Changes in the mailbox are reported
    /// only with `want_changes`, and kept for later otherwise.
    pub(crate) fn wait(&self, want_changes: bool) -> Wake {
        let mut state = self.state.lock();
        loop {
            if state.stopped {
                return Wake::Stopped;
            }
            if let Some(order) = state.orders.pop_front() {
                return Wake::Order(order);
            }
            if want_changes && std::mem::take(&mut state.changed) {
                return Wake::Changed;
            }
            match state.inbound.front().map(|(due, _)| *due) {
                Some(due) if due <= clock::now() => return Wake::Input,
                Some(due) => {
                    self.wake.wait_until(&mut state, due);
                }
                None if state.peer_closed => return Wake::Input,
                None => self.wake.wait(&mut state),
            }
        }
    }

    /// Waits while `condition` holds. `condition` is asked again whenever a rule changes.
    ///
    /// # Errors
    /// If the connection ends first, or a test orders it closed.
    pub(crate) fn wait_while(&self, mut condition: impl FnMut() -> bool) -> io::Result<()> {
        let mut state = self.state.lock();
        while condition() {
            let close = state
                .orders
                .iter()
                .any(|order| matches!(order, Order::Close));
            if state.stopped || state.peer_gone || close {
                return Err(aborted());
            }
            self.wake.wait(&mut state);
        }
        Ok(())
    }

    /// Waits for a time to pass.
    ///
    /// # Errors
    /// As [`wait_while`](Self::wait_while).
    pub(crate) fn pause(&self, time: Duration) -> io::Result<()> {
        let until = clock::now() + time;
        let mut state = self.state.lock();
        while clock::now() < until {
            if state.stopped || state.peer_gone {
                return Err(aborted());
            }
            self.wake.wait_until(&mut state, until);
        }
        Ok(())
    }

    /// As [`wait_while`](Self::wait_while), but an order ends the wait and is handed over.
    pub(crate) fn wait_while_or_order(
        &self,
        mut condition: impl FnMut() -> bool,
    ) -> io::Result<Option<Order>> {
        let mut state = self.state.lock();
        while condition() {
            if state.stopped || state.peer_gone {
                return Err(aborted());
            }
            if let Some(order) = state.orders.pop_front() {
                return Ok(Some(order));
            }
            self.wake.wait(&mut state);
        }
        Ok(None)
    }

    /// Puts something on the delay line.
    pub(crate) fn push_outgoing(&self, item: Outgoing) -> io::Result<()> {
        let mut due = clock::now() + self.hub.faults.delay_out(self.id);
        let mut state = self.state.lock();
        while state.outbound_len >= MAX_OUTBOUND && !state.stopped && !state.outbound_over {
            self.wake.wait(&mut state);
        }
        if state.stopped || state.outbound_over {
            return Err(aborted());
        }
        if let Some((last, _)) = state.outbound.back() {
            due = due.max(*last);
        }
        if let Outgoing::Bytes(bytes) = &item {
            state.outbound_len += bytes.len();
        }
        state.outbound.push_back((due, item));
        drop(state);
        self.wake.notify_all();
        Ok(())
    }

    /// Nothing is taken off the delay line any more.
    pub(crate) fn outbound_over(&self) {
        self.state.lock().outbound_over = true;
        self.wake.notify_all();
    }

    /// Takes the next thing whose time has come off the delay line.
    pub(crate) fn next_outgoing(&self) -> Option<Outgoing> {
        let mut state = self.state.lock();
        loop {
            if state.stopped {
                return None;
            }
            match state.outbound.front().map(|(due, _)| *due) {
                None => self.wake.wait(&mut state),
                Some(due) if due > clock::now() => {
                    self.wake.wait_until(&mut state, due);
                }
                Some(_) => {
                    let (_, item) = state.outbound.pop_front()?;
                    if let Outgoing::Bytes(bytes) = &item {
                        state.outbound_len -= bytes.len();
                    }
                    drop(state);
                    self.wake.notify_all();
                    return Some(item);
                }
            }
        }
    }
}

pub(crate) fn aborted() -> io::Error {
    io::ErrorKind::ConnectionAborted.into()
}
