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

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use mio::{Events, Poll, Token};

use super::clock::earlier;
use super::failure::{Failure, Phase};
use super::handle::{
    Hooks, Keep, MakeProtocol, Opening, OperationPromise, Order, Request, Shared, SignalPromise,
};
use super::queue::{CommandQueue, Front, Waiting};
use super::recovery::{Broken, Persistence, Recovery};
use super::renewal::Leaving;
use super::settings::Settings;
use super::transport::Transport;
use crate::protocol::machine::{Gate, OperationId, Output, Protocol};
use crate::wire::receive::ReceiveBuffer;
use crate::wire::send::SendBuffer;

/// How long a server may take to close the connection after it has said goodbye.
const AFTER_GOODBYE: Duration = Duration::from_secs(2);

/// Parts that come together wake their caller once: at so many bytes, or after so long.
const WAKE_AT: usize = 256 * 1024;
const WAKE_WITHIN: Duration = Duration::from_micros(500);

pub(super) type Fail<P> = Failure<<P as Protocol>::Failure>;

/// An operation under way.
pub(super) struct InFlight<P: Protocol> {
    pub(super) promise: OperationPromise<P>,
    pub(super) count: super::handle::Count,
    pub(super) verb: &'static str,
    /// It stands back for others, and lasts until its caller has had enough.
    pub(super) standing: bool,
    /// It is carried out for the second time.
    pub(super) was_repeated: bool,
    /// It may have been carried out before, on a connection that broke.
    pub(super) uncertain: bool,
    pub(super) of_session: bool,
    /// On another connection it would be carried out as well.
    pub(super) repeatable: bool,
    /// Bytes of its reply that nobody wanted any more.
    pub(super) skipped: usize,
}

impl<P: Protocol> InFlight<P> {
    /// Whether it would survive its connection.
    pub(super) fn goes_on(&self) -> bool {
        self.standing || (self.repeatable && !self.of_session)
    }
}

/// The connection is to be ended.
pub(super) struct Closing {
    pub(super) deadline: Option<Instant>,
    pub(super) said: bool,
    /// It had been parked for its time.
    pub(super) expired: bool,
}

/// Why a connection is not served any more.
pub(super) enum Served {
    /// It was to be ended.
    Ended,
    /// Another one is to take its place.
    Worn,
}

pub(super) struct EventLoop<P: Protocol> {
    pub(super) shared: Arc<Shared<P>>,
    pub(super) receiver: Receiver<Request<P>>,
    pub(super) poll: Poll,
    pub(super) events: Events,
    pub(super) settings: Arc<Settings>,
    pub(super) hooks: Arc<dyn Hooks<Fail<P>>>,
    pub(super) make: Arc<MakeProtocol<P>>,
    pub(super) persistence: Persistence,
    pub(super) recovery: Recovery,
    pub(super) broken: Broken<P>,
    pub(super) protocol: P,
    pub(super) transport: Transport,
    pub(super) input: ReceiveBuffer,
    pub(super) output: SendBuffer,
    pub(super) queue: CommandQueue<Order<P>, SignalPromise<P>>,
    pub(super) in_flight: BTreeMap<OperationId, InFlight<P>>,
    pub(super) next_operation: OperationId,
    /// Operations whose callers sleep although parts have come for them.
    pub(super) awaited: Vec<OperationId>,
    /// Bytes of these parts, and since when there are any.
    pub(super) unwoken: (usize, Option<Instant>),
    /// The callers that wait for a reset.
    pub(super) resets: Vec<SignalPromise<P>>,
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// The peer has said that nothing more comes.
    pub(super) read_closed: bool,
    pub(super) ready: bool,
    /// By when the connection has to be ready.
    pub(super) open_by: Option<Instant>,
    pub(super) parked_at: Option<Instant>,
    pub(super) closing: Option<Closing>,
    /// It has served its time, and another one is to take its place.
    pub(super) leaving: Option<Leaving>,
    pub(super) ready_since: Instant,
    /// An operation has been begun since.
    pub(super) was_used: bool,
    pub(super) keep: Option<Keep>,
    pub(super) last_in: Instant,
    pub(super) last_out: Instant,
    /// Since when the server has owed an answer that nobody waits for any more.
    pub(super) given_up: Option<Instant>,
}

impl<P: Protocol> EventLoop<P> {
    pub(super) const WAKER: Token = Token(0);
    pub(super) const SOCKET: Token = Token(1);

    pub(super) fn new(
        shared: Arc<Shared<P>>,
        receiver: Receiver<Request<P>>,
        poll: Poll,
        opening: Opening<P>,
    ) -> Self {
        let now = Instant::now();
        let Opening {
            settings,
            make,
            hooks,
            persistence,
            deadline,
            ..
        } = opening;
        Self {
            shared,
            receiver,
            poll,
            events: Events::with_capacity(8),
            settings,
            hooks,
            protocol: make(),
            make,
            persistence,
            recovery: Recovery::default(),
            broken: Broken::default(),
            transport: Transport::Closed,
            input: ReceiveBuffer::new(),
            output: SendBuffer::new(),
            queue: CommandQueue::default(),
            in_flight: BTreeMap::new(),
            next_operation: 0,
            awaited: Vec::new(),
            unwoken: (0, None),
            resets: Vec::new(),
            readable: false,
            writable: false,
            read_closed: false,
            ready: false,
            open_by: deadline,
            parked_at: None,
            closing: None,
            leaving: None,
            ready_since: now,
            was_used: false,
            keep: None,
            last_in: now,
            last_out: now,
            given_up: None,
        }
    }

    /// Carries out operations until the connection ends.
    pub(super) fn serve(&mut self) -> Result<Served, Fail<P>> {
        loop {
            match self.turn() {
                Ok(None) => {}
                Ok(Some(served)) => return Ok(served),
                // Nothing is under way on a connection that is being left.
                Err(_) if self.leaving.is_some() => return Ok(Served::Worn),
                Err(failure) => return Err(failure),
            }
        }
    }

    fn turn(&mut self) -> Result<Option<Served>, Fail<P>> {
        self.take_requests();
        self.pump()?;
        if self.leaving.as_ref().is_some_and(Leaving::is_over) {
            return Ok(Some(Served::Worn));
        }
        let wrote = match self.write() {
            Ok(wrote) => wrote,
            Err(failure) => return Err(self.last_words(failure)),
        };
        let read = match self.read() {
            Ok(read) => read,
            // After the goodbye any end will do.
            Err(_) if self.closing.as_ref().is_some_and(|closing| closing.said) => {
                return Ok(Some(Served::Ended));
            }
            Err(failure) => return Err(failure),
        };
        // At every turn: a server that never stops sending must not put them off.
        let Some(until) = self.deadlines()? else {
            return Ok(Some(Served::Ended));
        };
        let due = self.wake_due();
        let goes_on = read || (wrote && self.protocol.is_held_back());
        if !goes_on {
            self.sleep(earlier(until, due))?;
        }
        Ok(None)
    }

    pub(super) fn take_requests(&mut self) {
        while let Ok(request) = self.receiver.try_recv() {
            match request {
                Request::Operation(order, session) => {
                    if self.closing.is_some() {
                        drop(order.count);
                        order.promise.finish(Err(Failure::Closed));
                        continue;
                    }
                    if let Err(order) = self.queue.push(order, session) {
                        // The session's connection has broken.
                        drop(order.count);
                        order.promise.finish(Err(Failure::EndOfStream));
                    }
                }
                Request::Acquire(session, promise) => self.queue.push_session(session, promise),
                Request::Release(session) => self.queue.release(session),
                Request::Reset(promise) if self.has_expired() => promise.finish(Ok(())),
                Request::Reset(promise) => self.queue.push_reset(promise),
                Request::Parked => self.parked_at = Some(Instant::now()),
                Request::Close { keep, deadline } => self.begin_close(keep, deadline),
            }
        }
        if self.shared.resumed.swap(false, Ordering::SeqCst) {
            self.drop_unwanted();
        }
    }

    /// Forgets what callers have given up before it began, and ends what only lasts for them.
    pub(super) fn drop_unwanted(&mut self) {
        self.queue.retain(
            |order| order.promise.is_wanted(),
            |session| session.is_wanted(),
        );
        for (id, in_flight) in &self.in_flight {
            if !in_flight.promise.is_wanted() {
                self.protocol.give_up(*id);
            }
        }
    }

    /// Submits what may be submitted and hands on what the protocol says, until it is still.
    fn pump(&mut self) -> Result<(), Fail<P>> {
        loop {
            let progress = self.advance()?;
            // After what has come: it may have made room for more.
            if !self.submit() && !progress {
                return Ok(());
            }
        }
    }

    /// Hands on what the protocol makes of what has come. Returns whether it said anything.
    pub(super) fn advance(&mut self) -> Result<bool, Fail<P>> {
        let mut gate = Commit(&self.in_flight);
        let result = self
            .protocol
            .advance(&mut self.input, &mut self.output, &mut gate);
        let mut progress = false;
        let mut handled = Ok(());
        // What was complete before something went wrong counts all the same; and so does what
        // came with it, which the protocol takes for delivered.
        while let Some(output) = self.protocol.poll() {
            progress = true;
            handled = handled.and(self.handle(output));
        }
        if self.unwoken.0 >= WAKE_AT {
            self.wake_callers();
        }
        handled?;
        result.map_err(Failure::Protocol)?;
        Ok(progress)
    }

    /// When those who sleep although parts have come are to be woken, if there are any.
    fn wake_due(&mut self) -> Option<Instant> {
        let since = self.unwoken.1?;
        let due = since.checked_add(WAKE_WITHIN)?;
        if Instant::now() >= due {
            self.wake_callers();
            return None;
        }
        Some(due)
    }

    /// One wake-up for all the parts that came together; those whose operation has ended were
    /// woken by its end.
    pub(super) fn wake_callers(&mut self) {
        self.unwoken = (0, None);
        for id in self.awaited.drain(..) {
            if let Some(in_flight) = self.in_flight.get(&id) {
                in_flight.promise.wake();
            }
        }
    }

    /// Submits what the protocol accepts. Returns whether it did anything.
    fn submit(&mut self) -> bool {
        if let Some(closing) = &mut self.closing {
            let made_way = self.protocol.make_way();
            let still = self.protocol.is_quiet() && self.in_flight.values().all(|one| one.standing);
            if self.ready && !closing.said && still {
                closing.said = true;
                closing.deadline = earlier(
                    closing.deadline,
                    Instant::now().checked_add(self.settings.stall_timeout),
                );
                self.protocol.quit();
                return true;
            }
            return made_way;
        }
        let mut progress = false;
        if !self.ready || self.leaving.is_some() {
            return progress;
        }
        if self.is_worn() {
            return self.leave();
        }
        while let Some(front) = self.queue.front() {
            match front {
                Front::Operation(order) => {
                    if order.promise.is_wanted() && !self.protocol.accepts(&order.operation) {
                        progress |= self.protocol.make_way();
                        if !self.protocol.accepts(&order.operation) {
                            return progress | (self.is_worn() && self.leave());
                        }
                    }
                }
                Front::Session(promise) => {
                    if promise.is_wanted() && !self.is_still() {
                        return progress | self.protocol.make_way();
                    }
                }
                Front::Reset => {
                    // Who gives the connection back has had enough.
                    for (id, in_flight) in &self.in_flight {
                        if in_flight.standing {
                            progress |= self.protocol.give_up(*id);
                        }
                    }
                    if !self.in_flight.is_empty() || !self.protocol.is_quiet() {
                        return progress;
                    }
                }
            }
            progress = true;
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
                None => return progress,
            }
        }
        progress
    }

    /// Whether nothing is under way.
    fn is_still(&self) -> bool {
        self.protocol.is_quiet() && self.in_flight.values().all(|one| one.standing)
    }

    fn begin(&mut self, order: Order<P>) {
        if !order.promise.is_wanted() {
            return;
        }
        self.parked_at = None;
        self.was_used = true;
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
                standing: P::is_standing(&order.operation),
                was_repeated: order.was_repeated,
                uncertain: order.uncertain,
                of_session: order.of_session,
                repeatable: P::is_repeatable(&order.operation) && !order.was_repeated,
                skipped: 0,
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
            Output::NeedToken => {
                let token = self.fetch_token()?;
                self.protocol.take_token(token);
            }
            Output::TokenRefused(number) => {
                if let Some(tokens) = &self.settings.tokens {
                    tokens.refuse(number);
                }
            }
            Output::Ready => {
                self.ready = true;
                self.ready_since = Instant::now();
                self.was_used = false;
                self.shared.counters.set_phase(None);
                self.was_restored();
                self.shared.set_readiness(Ok(()));
            }
            Output::Part(id, part) => return self.deliver(id, part),
            Output::End(id, end) => self.finish(id, end),
            Output::Withdrawn(id) => {
                self.in_flight.remove(&id);
                self.name_running();
            }
            Output::Again(id, operation) => self.put_off(id, operation),
            Output::WasReset => {
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
                if let Some(leaving) = &mut self.leaving {
                    leaving.done = true;
                }
            }
        }
        Ok(())
    }

    /// Tells the caller of an operation how it ended.
    pub(super) fn finish(&mut self, id: OperationId, end: Result<P::End, P::Failure>) {
        if end.is_ok() {
            self.has_proved_itself();
        }
        if let Some(in_flight) = self.in_flight.remove(&id) {
            self.name_running();
            drop(in_flight.count);
            let end = end.map_err(Failure::Protocol);
            let end = end.map_err(|why| why.of_repeated::<P>(in_flight.was_repeated));
            in_flight.promise.finish(end);
        }
    }

    pub(super) fn name_running(&self) {
        let verb = self.in_flight.values().next().map(|other| other.verb);
        self.shared.counters.set_running(verb);
    }
}

/// Lets an operation out while its caller still wants it.
struct Commit<'a, P: Protocol>(&'a BTreeMap<OperationId, InFlight<P>>);

impl<P: Protocol> Gate for Commit<'_, P> {
    fn write(&mut self, id: OperationId) -> bool {
        self.0
            .get(&id)
            .is_some_and(|in_flight| in_flight.promise.commit())
    }
}
