//! The loop of a connection thread: one wait for the socket, the channel and the clock.
//!
//! ```text
//!    requests ──► command queue ──► protocol ──► send buffer ──► socket
//!                                   protocol ◄── receive buffer ◄── socket
//!    replies  ◄── slots ◄────────── outputs
//! ```
//! A turn of the loop takes the requests that have come, submits what the protocol accepts,
//! writes, reads once, hands on what was read, and sleeps only when none of this made any
//! progress. It never waits for one particular thing, so a command can go out while answers
//! come in, and no user code runs here.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::clock::earlier;
use super::connect;
use super::failure::{Failure, Phase};
use super::handle::{Hooks, Keep, OperationPromise, Order, Request, Shared, SignalPromise};
use super::queue::{CommandQueue, Front, Waiting};
use super::settings::Settings;
use super::slot::Resume;
use super::transport::{Handshake, ReadOutcome, TlsFailure, Transport};
use crate::protocol::machine::{Gate, OperationId, Output, Protocol, Weigh};
use crate::wire::receive::ReceiveBuffer;
use crate::wire::send::SendBuffer;

/// How long a server may take to close the connection after it has said goodbye.
const AFTER_GOODBYE: Duration = Duration::from_secs(2);
/// Queue length from which abandoned operations are looked for.
const SWEEP: usize = 64;

type Fail<P> = Failure<<P as Protocol>::Failure>;

/// An operation under way.
struct InFlight<P: Protocol> {
    promise: OperationPromise<P>,
    count: super::handle::Count,
    verb: &'static str,
}

/// The connection is to be ended.
struct Closing {
    deadline: Option<Instant>,
    said: bool,
}

pub(super) struct EventLoop<P: Protocol> {
    shared: Arc<Shared<P>>,
    receiver: Receiver<Request<P>>,
    poll: Poll,
    events: Events,
    settings: Arc<Settings>,
    hooks: Arc<dyn Hooks>,
    protocol: P,
    transport: Transport,
    input: ReceiveBuffer,
    output: SendBuffer,
    queue: CommandQueue<Order<P>, SignalPromise<P>>,
    in_flight: HashMap<OperationId, InFlight<P>>,
    next_operation: OperationId,
    /// The callers that wait for a reset, with what counts it as pending.
    resets: Vec<SignalPromise<P>>,
    reset_counts: Vec<super::handle::Count>,
    readable: bool,
    writable: bool,
    /// The peer has said that nothing more comes.
    read_closed: bool,
    ready: bool,
    /// By when the connection has to be ready.
    open_by: Option<Instant>,
    parked_at: Option<Instant>,
    closing: Option<Closing>,
    keep: Option<Keep>,
    last_in: Instant,
    last_out: Instant,
}

impl<P: Protocol> EventLoop<P> {
    pub(super) const WAKER: Token = Token(0);
    const SOCKET: Token = Token(1);

    pub(super) fn new(
        shared: Arc<Shared<P>>,
        receiver: Receiver<Request<P>>,
        poll: Poll,
        settings: Arc<Settings>,
        protocol: P,
        hooks: Arc<dyn Hooks>,
        open_by: Option<Instant>,
    ) -> Self {
        let now = Instant::now();
        Self {
            shared,
            receiver,
            poll,
            events: Events::with_capacity(8),
            settings,
            hooks,
            protocol,
            transport: Transport::Closed,
            input: ReceiveBuffer::new(),
            output: SendBuffer::new(),
            queue: CommandQueue::default(),
            in_flight: HashMap::new(),
            next_operation: 0,
            resets: Vec::new(),
            reset_counts: Vec::new(),
            readable: false,
            writable: false,
            read_closed: false,
            ready: false,
            open_by,
            parked_at: None,
            closing: None,
            keep: None,
            last_in: now,
            last_out: now,
        }
    }

    /// The life of the connection, from the resolver to the closed socket.
    pub(super) fn run(mut self) {
        let result = self.open().and_then(|()| self.serve());
        self.end(result);
    }

    fn open(&mut self) -> Result<(), Fail<P>> {
        let addresses = self.resolve()?;
        self.connect(&addresses)?;
        if self.settings.implicit_tls {
            self.handshake()?;
        }
        self.enter(Phase::Login);
        self.protocol.connected();
        Ok(())
    }

    fn enter(&mut self, phase: Phase) {
        self.shared.counters.set_phase(Some(phase));
    }

    fn resolve(&mut self) -> Result<Vec<SocketAddr>, Fail<P>> {
        self.enter(Phase::Resolve);
        let bell = Arc::clone(&self.shared);
        let answer = connect::resolve(&self.settings.host, self.settings.port, move || {
            bell.resume();
        })
        .map_err(|error| Failure::system("a thread", error))?;
        loop {
            if let Ok(answer) = answer.try_recv() {
                let addresses = answer.map_err(|error| Failure::Resolve(Arc::new(error)))?;
                if addresses.is_empty() {
                    let none = io::Error::new(io::ErrorKind::NotFound, "no address");
                    return Err(Failure::Resolve(Arc::new(none)));
                }
                return Ok(addresses);
            }
            self.wait_while_opening(self.open_by)?;
        }
    }

    /// Tries the addresses one after the other, each with its share of the time that is left:
    /// one socket at a time, so that the quota also holds while connecting.
    fn connect(&mut self, addresses: &[SocketAddr]) -> Result<(), Fail<P>> {
        self.enter(Phase::Connect);
        let mut last = Failure::TimedOut(Phase::Connect);
        for (index, address) in addresses.iter().enumerate() {
            let left = addresses.len() - index;
            let until = self.open_by.map(|open_by| {
                let now = Instant::now();
                let share = open_by.saturating_duration_since(now)
                    / u32::try_from(left).unwrap_or(u32::MAX);
                now + share
            });
            match self.connect_to(*address, until) {
                Ok(()) => return Ok(()),
                Err(Failure::Closed) => return Err(Failure::Closed),
                Err(failure) => {
                    log::debug!("{} {address}: {failure}", self.settings.protocol);
                    last = failure;
                }
            }
        }
        Err(last)
    }

    fn connect_to(&mut self, address: SocketAddr, until: Option<Instant>) -> Result<(), Fail<P>> {
        let refused = |source: Arc<io::Error>| Failure::Connect { address, source };
        let mut stream = TcpStream::connect(address).map_err(|error| {
            // EMFILE and its like are the system's refusal, not the peer's.
            if matches!(error.raw_os_error(), Some(23 | 24)) {
                Failure::system("a socket", error)
            } else {
                refused(Arc::new(error))
            }
        })?;
        self.readable = false;
        self.writable = false;
        self.poll
            .registry()
            .register(
                &mut stream,
                Self::SOCKET,
                Interest::READABLE | Interest::WRITABLE,
            )
            .map_err(|error| Failure::system("readiness events", error))?;
        loop {
            if self.writable || self.readable {
                match connect::connected(&stream) {
                    Some(Ok(())) => break,
                    Some(Err(error)) => return Err(refused(error)),
                    None => self.writable = false,
                }
            }
            self.wait_while_opening(until)?;
        }
        // Without it a peer's delayed ACK holds up every second small write.
        if let Err(error) = stream.set_nodelay(true) {
            return Err(refused(Arc::new(error)));
        }
        self.transport = Transport::Plain(stream);
        Ok(())
    }

    fn handshake(&mut self) -> Result<(), Fail<P>> {
        self.enter(Phase::Tls);
        let settings = Arc::clone(&self.settings);
        let Some(tls) = &settings.tls else {
            return Err(Failure::io(io::ErrorKind::Unsupported.into()));
        };
        let mut step = self.transport.start_tls(tls);
        loop {
            match step {
                Ok(Handshake::Done) => break,
                Ok(Handshake::Blocked) => {}
                Err(TlsFailure::Tls(error)) => return Err(Failure::Tls(Arc::new(error))),
                Err(TlsFailure::NotPlain) => {
                    return Err(Failure::io(io::ErrorKind::NotConnected.into()));
                }
            }
            self.wait_while_opening(self.open_by)?;
            step = self.transport.continue_handshake();
        }
        // Records that came with the last handshake message wait inside the TLS layer.
        self.readable = true;
        self.writable = true;
        Ok(())
    }

    /// Sleeps until something happens, while there is no session yet.
    fn wait_while_opening(&mut self, until: Option<Instant>) -> Result<(), Fail<P>> {
        self.take_requests();
        if self.closing.is_some() {
            return Err(Failure::Closed);
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            let phase = self.shared.counters.phase().unwrap_or(Phase::Login);
            return Err(Failure::TimedOut(phase));
        }
        self.sleep(until)
    }

    /// Carries out operations until the connection ends.
    fn serve(&mut self) -> Result<(), Fail<P>> {
        loop {
            self.take_requests();
            self.pump()?;
            self.write()?;
            match self.read() {
                Ok(true) => continue,
                Ok(false) => {}
                // After the goodbye any end will do.
                Err(_) if self.closing.as_ref().is_some_and(|closing| closing.said) => {
                    return Ok(());
                }
                Err(failure) => return Err(failure),
            }
            let Some(until) = self.deadlines()? else {
                return Ok(());
            };
            self.sleep(until)?;
        }
    }

    fn take_requests(&mut self) {
        while let Ok(request) = self.receiver.try_recv() {
            match request {
                Request::Operation(order, session) => {
                    if self.closing.is_some() {
                        drop(order.count);
                        order.promise.finish(Err(Failure::Closed));
                        continue;
                    }
                    if let Err(order) = self.queue.push(order, session) {
                        drop(order.count);
                        order.promise.finish(Err(Failure::Closed));
                    }
                }
                Request::Acquire(session, promise) => self.queue.push_session(session, promise),
                Request::Release(session) => self.queue.release(session),
                Request::Reset(promise, count) => {
                    self.queue.push_reset(promise);
                    self.reset_counts.push(count);
                }
                Request::Close { keep, deadline } => self.begin_close(keep, deadline),
            }
        }
        if self.shared.resumed.swap(false, Ordering::SeqCst) || self.queue.len() >= SWEEP {
            self.queue.retain(
                |order| order.promise.is_wanted(),
                |session| session.is_wanted(),
            );
        }
    }

    fn begin_close(&mut self, keep: Option<Keep>, deadline: Option<Instant>) {
        if keep.is_some() {
            self.keep = keep;
        }
        let (orders, waiting) = self.queue.clear();
        for order in orders {
            drop(order.count);
            order.promise.finish(Err(Failure::Closed));
        }
        for promise in waiting {
            promise.finish(Err(Failure::Closed));
        }
        self.reset_counts.clear();
        match &mut self.closing {
            Some(closing) => closing.deadline = earlier(closing.deadline, deadline),
            None => {
                self.closing = Some(Closing {
                    deadline,
                    said: false,
                });
            }
        }
    }

    /// Submits what may be submitted and hands on what the protocol says, until it is still.
    fn pump(&mut self) -> Result<(), Fail<P>> {
        loop {
            self.submit();
            let mut gate = Commit(&self.in_flight);
            self.protocol
                .advance(&mut self.input, &mut self.output, &mut gate)
                .map_err(Failure::Protocol)?;
            let mut progress = false;
            while let Some(output) = self.protocol.poll() {
                progress = true;
                self.handle(output)?;
            }
            if !progress {
                return Ok(());
            }
        }
    }

    fn submit(&mut self) {
        if let Some(closing) = &mut self.closing {
            if self.ready && !closing.said && self.in_flight.is_empty() && self.protocol.is_quiet()
            {
                closing.said = true;
                closing.deadline = earlier(
                    closing.deadline,
                    Some(Instant::now() + self.settings.stall_timeout),
                );
                self.protocol.quit();
            }
            return;
        }
        if !self.ready {
            return;
        }
        while let Some(front) = self.queue.front() {
            match front {
                Front::Operation(order) => {
                    if order.promise.is_wanted() && !self.protocol.accepts(&order.operation) {
                        return;
                    }
                }
                Front::Session(promise) => {
                    if promise.is_wanted() && !self.is_still() {
                        return;
                    }
                }
                Front::Reset => {
                    if !self.is_still() {
                        return;
                    }
                }
            }
            match self.queue.pop() {
                Some(Waiting::Operation(order)) => self.begin(order),
                Some(Waiting::Session(session, promise)) => {
                    if promise.commit() {
                        self.queue.own(session);
                        promise.finish(Ok(()));
                    }
                }
                Some(Waiting::Reset(promise)) => {
                    self.resets.push(promise);
                    self.protocol.reset();
                }
                None => return,
            }
        }
    }

    /// Whether nothing is under way.
    fn is_still(&self) -> bool {
        self.in_flight.is_empty() && self.protocol.is_quiet()
    }

    fn begin(&mut self, order: Order<P>) {
        if !order.promise.is_wanted() {
            return;
        }
        self.parked_at = None;
        let id = self.next_operation;
        self.next_operation += 1;
        let verb = P::name_of(&order.operation);
        self.shared.counters.set_running(Some(verb));
        self.shared
            .counters
            .operations
            .fetch_add(1, Ordering::Relaxed);
        self.in_flight.insert(
            id,
            InFlight {
                promise: order.promise,
                count: order.count,
                verb,
            },
        );
        self.protocol.submit(id, order.operation);
    }

    fn handle(&mut self, output: Output<P>) -> Result<(), Fail<P>> {
        match output {
            Output::StartTls => {
                self.finish_writing()?;
                self.handshake()?;
                self.enter(Phase::Login);
                self.protocol.secured();
            }
            Output::Ready => {
                self.ready = true;
                self.shared.counters.set_phase(None);
                self.shared.set_readiness(Ok(()));
            }
            Output::Part(id, part) => self.deliver(id, part),
            Output::End(id, end) => {
                if let Some(in_flight) = self.in_flight.remove(&id) {
                    self.name_running();
                    drop(in_flight.count);
                    in_flight.promise.finish(end.map_err(Failure::Protocol));
                }
            }
            Output::Withdrawn(id) => {
                self.in_flight.remove(&id);
                self.name_running();
            }
            Output::WasReset => {
                self.reset_counts.clear();
                self.parked_at = Some(Instant::now());
                self.hooks.was_reset(self.shared.id);
                for promise in self.resets.drain(..) {
                    promise.finish(Ok(()));
                }
            }
            Output::Finished => {
                let soon = Instant::now() + AFTER_GOODBYE;
                if let Some(closing) = &mut self.closing {
                    closing.deadline = earlier(closing.deadline, Some(soon));
                }
            }
        }
        Ok(())
    }

    fn name_running(&self) {
        let verb = self.in_flight.values().next().map(|other| other.verb);
        self.shared.counters.set_running(verb);
    }

    fn deliver(&mut self, id: OperationId, part: P::Part) {
        let alone = self.nobody_waits();
        let limit = self.settings.buffer_limit;
        let Some(in_flight) = self.in_flight.get_mut(&id) else {
            return;
        };
        let weight = part.weight();
        if in_flight.promise.push(part, weight) > limit && !alone {
            in_flight.promise.end_early(Failure::Overflow { limit });
        }
    }

    /// Whether no other caller is held up when this connection stops reading.
    fn nobody_waits(&self) -> bool {
        self.in_flight.len() <= 1
            && self.queue.is_empty()
            && self.resets.is_empty()
            && self.closing.is_none()
    }

    /// Whether the only reader is behind: then it is the socket's turn to wait.
    fn is_paused(&self) -> bool {
        self.nobody_waits()
            && self
                .in_flight
                .values()
                .next()
                .is_some_and(|only| only.promise.pause(self.settings.window))
    }

    fn write(&mut self) -> Result<(), Fail<P>> {
        if self.output.is_empty() || !self.writable {
            return Ok(());
        }
        let before = self.output.len();
        let result = self.transport.write(&mut self.output);
        let written = before - self.output.len();
        self.shared
            .counters
            .bytes_out
            .fetch_add(written as u64, Ordering::Relaxed);
        self.last_out = Instant::now();
        self.writable = result.map_err(Failure::io)?;
        Ok(())
    }

    /// Writes everything that is left, before the transport changes.
    fn finish_writing(&mut self) -> Result<(), Fail<P>> {
        self.write()?;
        while !self.output.is_empty() {
            self.wait_while_opening(self.open_by)?;
            self.write()?;
        }
        Ok(())
    }

    /// Reads once. Returns whether anything came.
    fn read(&mut self) -> Result<bool, Fail<P>> {
        if !self.readable || self.is_paused() {
            return Ok(false);
        }
        let before = self.input.len();
        match self.transport.read(&mut self.input) {
            Ok(ReadOutcome::Some { drained }) => {
                let count = self.input.len() - before;
                self.shared
                    .counters
                    .bytes_in
                    .fetch_add(count as u64, Ordering::Relaxed);
                // The end of the stream may have been reported together with the data.
                self.readable = !drained || self.read_closed;
                self.last_in = Instant::now();
                Ok(true)
            }
            Ok(ReadOutcome::Blocked) => {
                self.readable = false;
                Ok(false)
            }
            Ok(ReadOutcome::EndOfStream) => Err(Failure::EndOfStream),
            Err(error) => Err(Failure::io(error)),
        }
    }

    /// What is due, and until when to sleep. `None`: the connection is to end.
    fn deadlines(&mut self) -> Result<Option<Option<Instant>>, Fail<P>> {
        let now = Instant::now();
        if !self.ready {
            if self.closing.is_some() {
                return Err(Failure::Closed);
            }
            if self.open_by.is_some_and(|open_by| now >= open_by) {
                return Err(Failure::TimedOut(Phase::Login));
            }
            return Ok(Some(self.open_by));
        }
        if let Some(closing) = &self.closing {
            return match closing.deadline {
                Some(deadline) if now >= deadline => Ok(None),
                deadline => Ok(Some(deadline)),
            };
        }
        let mut until = None;
        if let Some(parked_at) = self.parked_at {
            let expires = parked_at + self.settings.idle_timeout;
            if now < expires {
                until = earlier(until, Some(expires));
            } else {
                self.parked_at = None;
                if let Some(keep) = self.hooks.expire(self.shared.id) {
                    self.begin_close(Some(keep), Some(now + self.settings.stall_timeout));
                    return Ok(Some(Some(now)));
                }
            }
        }
        if self.protocol.is_quiet() && self.in_flight.is_empty() {
            if let Some(keep_alive) = self.settings.keep_alive {
                let due = self.last_out.max(self.last_in) + keep_alive;
                if now < due {
                    until = earlier(until, Some(due));
                } else {
                    self.protocol.keep_alive();
                    return Ok(Some(Some(now)));
                }
            }
        } else if !self.in_flight.values().any(|one| one.promise.is_wanted()) {
            // Nobody waits for what the server owes. If it never answers, the connection is
            // of no use to those who come later.
            let due = self.last_out.max(self.last_in) + self.settings.stall_timeout;
            if now >= due {
                return Err(Failure::Stalled);
            }
            until = earlier(until, Some(due));
        }
        Ok(Some(until))
    }

    fn sleep(&mut self, until: Option<Instant>) -> Result<(), Fail<P>> {
        self.shared.doorbell.going_to_sleep();
        let pending = !self.receiver.is_empty() || self.shared.resumed.load(Ordering::SeqCst);
        let timeout = if pending {
            Some(Duration::ZERO)
        } else {
            until.map(|until| until.saturating_duration_since(Instant::now()))
        };
        let result = self.poll.poll(&mut self.events, timeout);
        self.shared.doorbell.awake();
        self.shared
            .counters
            .wakeups
            .fetch_add(1, Ordering::Relaxed);
        match result {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(Failure::io(error)),
        }
        for event in &self.events {
            if event.token() == Self::SOCKET {
                // An error or a hang-up is found by the next read or write.
                self.read_closed |= event.is_read_closed();
                self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
                self.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
            }
        }
        Ok(())
    }

    /// Closes the socket first, then tells everybody: who tries again at once finds room.
    fn end(mut self, result: Result<(), Fail<P>>) {
        self.transport.close();
        self.shared.set_closed();
        let failure = match result {
            Ok(()) => Failure::Closed,
            Err(failure) => failure,
        };
        if !matches!(failure, Failure::Closed) {
            log::debug!(
                "{} connection {} to {}: {failure}",
                self.settings.protocol,
                self.shared.id,
                self.settings.host
            );
        }
        drop(self.keep.take());
        self.shared.set_readiness(Err(failure.clone()));
        for (_, in_flight) in self.in_flight.drain() {
            drop(in_flight.count);
            in_flight.promise.finish(Err(failure.clone()));
        }
        let (orders, waiting) = self.queue.clear();
        for order in orders {
            drop(order.count);
            order.promise.finish(Err(failure.clone()));
        }
        for promise in waiting.into_iter().chain(self.resets.drain(..)) {
            promise.finish(Err(failure.clone()));
        }
        // A request that arrives from now on is dropped with the receiver.
        while let Ok(request) = self.receiver.try_recv() {
            if let Request::Operation(order, _) = request {
                drop(order.count);
                order.promise.finish(Err(failure.clone()));
            }
        }
        drop(self.receiver);
        self.hooks.ended(self.shared.id);
    }
}

/// Lets an operation out while its caller still wants it.
struct Commit<'a, P: Protocol>(&'a HashMap<OperationId, InFlight<P>>);

impl<P: Protocol> Gate for Commit<'_, P> {
    fn write(&mut self, id: OperationId) -> bool {
        self.0
            .get(&id)
            .is_some_and(|in_flight| in_flight.promise.commit())
    }
}
