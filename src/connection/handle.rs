//! A connection as the threads that use it see it.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Instant;

use super::cancel::{Notify, Stopped, Until};

use crate::sync::{Condvar, Mutex};
use crossbeam_channel::{Receiver, SendError, Sender, unbounded};

use super::doorbell::Doorbell;
use super::event_loop::EventLoop;
use super::failure::{Failure, Phase};
use super::notice::Notice;
use super::queue::SessionId;
use super::recovery::Persistence;
use super::settings::Settings;
use super::slot::{Promise, Reply, Resume, slot};
use crate::protocol::machine::Protocol;

/// Names one connection. Never used twice in a process.
pub(crate) type ConnectionId = u64;

/// The caller's end of an operation.
pub(crate) type OperationReply<P> =
    Reply<<P as Protocol>::Part, <P as Protocol>::End, Failure<<P as Protocol>::Failure>>;

/// The connection's end of an operation.
pub(crate) type OperationPromise<P> =
    Promise<<P as Protocol>::Part, <P as Protocol>::End, Failure<<P as Protocol>::Failure>>;

/// The caller's end of something that has no result but its completion.
pub(crate) type SignalReply<P> = Reply<(), (), Failure<<P as Protocol>::Failure>>;

pub(super) type SignalPromise<P> = Promise<(), (), Failure<<P as Protocol>::Failure>>;

/// Something to be dropped when the socket is closed: the permit.
pub(crate) type Keep = Box<dyn Send>;

/// What becomes of a connection that may have been parked for its time.
pub(crate) enum Expiry {
    /// It ends. This is kept until its socket is closed.
    Now(Keep),
    /// It was parked anew meanwhile.
    At(Instant),
    /// Somebody has taken it, or it is not parked yet.
    Taken,
}

/// What the owner of the connections is told by their threads. No lock of the connection is
/// held meanwhile, and nothing in here may wait for the network.
pub(crate) trait Hooks<F>: Send + Sync {
    /// A reset is done.
    fn was_reset(&self, id: ConnectionId);
    /// The connection may have been parked for its time by `now`.
    fn expire(&self, id: ConnectionId, now: Instant) -> Expiry;
    /// The socket is closed, the thread ends.
    fn ended(&self, id: ConnectionId);
    /// Something has happened to a connection that was ready once.
    fn notice(&self, id: ConnectionId, notice: Notice<F>);
    /// Does what is due. Returns when it wants to be called again, at the latest.
    fn housekeeping(&self, id: ConnectionId, now: Instant) -> Option<Instant>;
}

/// How to build the protocol machine of a new connection.
pub(crate) type MakeProtocol<P> = dyn Fn() -> P + Send + Sync;

/// What it takes to open a connection.
pub(crate) struct Opening<P: Protocol> {
    pub id: ConnectionId,
    pub settings: Arc<Settings>,
    pub make: Arc<MakeProtocol<P>>,
    pub hooks: Arc<dyn Hooks<Failure<P::Failure>>>,
    pub persistence: Persistence,
    /// By when it has to be ready for the first time.
    pub deadline: Option<Instant>,
}

/// An operation on its way to the connection thread.
pub(super) struct Order<P: Protocol> {
    pub operation: P::Operation,
    pub promise: OperationPromise<P>,
    pub count: Count,
    /// It has been sent before, on a connection that broke.
    pub was_repeated: bool,
    /// It may have been carried out before, on a connection that broke.
    pub uncertain: bool,
    /// It belongs to an exclusive session: on another connection it may mean something else.
    pub of_session: bool,
}

/// Counts one operation as pending for as long as it lives.
pub(super) struct Count(Arc<Counters>);

impl Count {
    fn new(counters: &Arc<Counters>) -> Self {
        counters.pending.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(counters))
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.0.pending.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What a connection thread is asked to do.
pub(super) enum Request<P: Protocol> {
    Operation(Order<P>, Option<SessionId>),
    Acquire(SessionId, SignalPromise<P>),
    Release(SessionId),
    Reset(SignalPromise<P>),
    /// It can be taken from now on.
    Parked,
    Close {
        keep: Option<Keep>,
        deadline: Option<Instant>,
    },
}

/// Figures of one connection, for explanations and statistics.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Operations that have been sent and are not over.
    pub pending: AtomicUsize,
    pub operations: AtomicU64,
    pub bytes_in: AtomicU64,
    pub bytes_out: AtomicU64,
    /// Times the thread woke up.
    pub wakeups: AtomicU64,
    closed: AtomicBool,
    phase: AtomicU8,
    running: Mutex<Option<&'static str>>,
}

impl Counters {
    /// Whether the connection has ended, or could not be opened.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// What the connection is doing.
    pub(crate) fn activity(&self) -> String {
        if self.is_closed() {
            return "closed".to_owned();
        }
        let pending = self.pending.load(Ordering::SeqCst);
        match self.phase() {
            Some(phase) if pending > 0 => return format!("{phase}, {pending} queued"),
            Some(phase) => return phase.to_string(),
            None => {}
        }
        match *self.running.lock() {
            Some(verb) if pending > 1 => format!("{verb} and {} more", pending - 1),
            Some(verb) => verb.to_owned(),
            None if pending > 0 => format!("{pending} queued"),
            None => "idle".to_owned(),
        }
    }

    /// Where the connection is on its way to being ready.
    pub(super) fn phase(&self) -> Option<Phase> {
        match self.phase.load(Ordering::SeqCst) {
            0 => Some(Phase::Resolve),
            1 => Some(Phase::Connect),
            2 => Some(Phase::Tls),
            3 => Some(Phase::Login),
            4 => Some(Phase::Reconnect),
            6 => Some(Phase::Token),
            _ => None,
        }
    }

    pub(super) fn set_phase(&self, phase: Option<Phase>) {
        let number = match phase {
            Some(Phase::Resolve) => 0,
            Some(Phase::Connect) => 1,
            Some(Phase::Tls) => 2,
            Some(Phase::Reconnect) => 4,
            Some(Phase::Token) => 6,
            Some(_) => 3,
            None => 5,
        };
        self.phase.store(number, Ordering::SeqCst);
    }

    pub(super) fn set_running(&self, verb: Option<&'static str>) {
        *self.running.lock() = verb;
    }
}

/// How many attempts to connect have failed, and why the last one did.
type Trouble<P> = (u32, Failure<<P as Protocol>::Failure>);

pub(super) type Readiness<P> = Option<Result<(), Failure<<P as Protocol>::Failure>>>;

pub(super) struct Shared<P: Protocol> {
    pub id: ConnectionId,
    sender: Sender<Request<P>>,
    pub doorbell: Doorbell<mio::Waker>,
    /// A paused reader has taken what waited, or a caller has given up.
    pub resumed: AtomicBool,
    readiness: Mutex<Readiness<P>>,
    readiness_changed: Condvar,
    /// While it is lost: how many attempts have failed, and why the last one did.
    trouble: Mutex<Option<Trouble<P>>>,
    /// Why the connection ended.
    end: OnceLock<Failure<P::Failure>>,
    pub counters: Arc<Counters>,
}

impl<P: Protocol> Shared<P> {
    /// Settles whether the connection became ready. Only the first answer counts.
    pub(super) fn set_readiness(&self, result: Result<(), Failure<P::Failure>>) {
        self.readiness.lock().get_or_insert(result);
        self.readiness_changed.notify_all();
    }

    pub(super) fn set_trouble(&self, trouble: Option<Trouble<P>>) {
        *self.trouble.lock() = trouble;
    }

    /// From now on nothing sent to this connection will be carried out.
    pub(super) fn set_closed(&self, why: Failure<P::Failure>) {
        let _ = self.end.set(why);
        self.counters.closed.store(true, Ordering::SeqCst);
    }
}

/// For those who wait for the connection to be ready.
impl<P: Protocol> Notify for Shared<P> {
    fn notify(&self) {
        drop(self.readiness.lock());
        self.readiness_changed.notify_all();
    }
}

impl<P: Protocol> Resume<Failure<P::Failure>> for Shared<P> {
    fn resume(&self) {
        self.resumed.store(true, Ordering::SeqCst);
        self.doorbell.ring();
    }

    fn trouble(&self) -> Option<(u32, Failure<P::Failure>)> {
        self.trouble.lock().clone()
    }
}

/// Says that a connection thread has ended, however it did: a panic leaves nobody waiting and
/// no permit behind.
struct Ended<P: Protocol>(Arc<Shared<P>>, Arc<dyn Hooks<Failure<P::Failure>>>);

impl<P: Protocol> Drop for Ended<P> {
    fn drop(&mut self) {
        self.0.set_closed(Failure::EndOfStream);
        self.0.set_readiness(Err(Failure::EndOfStream));
        self.1.ended(self.0.id);
    }
}

/// A handle of a connection. All threads may share it.
pub(crate) struct Connection<P: Protocol>(Arc<Shared<P>>);

impl<P: Protocol> Clone for Connection<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P: Protocol> Connection<P> {
    /// Starts the thread of a new connection, which connects and authenticates. Operations may
    /// be sent at once; they wait until it is ready.
    pub(crate) fn open(opening: Opening<P>) -> Result<(Self, JoinHandle<()>), Failure<P::Failure>> {
        let id = opening.id;
        let (sender, receiver): (_, Receiver<Request<P>>) = unbounded();
        let poll = mio::Poll::new().map_err(|error| Failure::system("a poll instance", error))?;
        let waker = mio::Waker::new(poll.registry(), EventLoop::<P>::WAKER)
            .map_err(|error| Failure::system("a waker", error))?;
        let shared = Arc::new(Shared {
            id,
            sender,
            doorbell: Doorbell::new(waker),
            resumed: AtomicBool::new(false),
            readiness: Mutex::new(None),
            readiness_changed: Condvar::new(),
            trouble: Mutex::new(None),
            end: OnceLock::new(),
            counters: Arc::new(Counters::default()),
        });
        let told = Arc::clone(&opening.hooks);
        let settings = &opening.settings;
        let name = format!("{}-{id} {}", settings.protocol, settings.host);
        let stack_size = settings.stack_size;
        let event_loop = EventLoop::new(Arc::clone(&shared), receiver, poll, opening);
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name(name)
            .stack_size(stack_size)
            .spawn(move || {
                let _ended = Ended(of_thread, told);
                event_loop.run();
            })
            .map_err(|error| Failure::system("a thread", error))?;
        Ok((Self(shared), thread))
    }

    pub(crate) fn id(&self) -> ConnectionId {
        self.0.id
    }

    /// Waits until the connection is authenticated or has failed.
    pub(crate) fn wait_ready(&self, until: &Until) -> Result<(), Failure<P::Failure>> {
        let _watch = until.watch(|| Arc::clone(&self.0) as Arc<dyn Notify>);
        let mut readiness = self.0.readiness.lock();
        loop {
            if let Some(result) = &*readiness {
                return result.clone();
            }
            let stopped = until.wait(&self.0.readiness_changed, &mut readiness);
            if readiness.is_some() {
                continue;
            }
            match stopped {
                None => {}
                Some(Stopped::Cancelled) => return Err(Failure::Cancelled),
                Some(Stopped::TimedOut) => {
                    let phase = self.0.counters.phase().unwrap_or(Phase::Login);
                    return Err(Failure::TimedOut(phase));
                }
            }
        }
    }

    /// Whether the connection has ended, or could not be opened.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.counters.is_closed()
    }

    /// Whether operations that were sent are not over yet.
    pub(crate) fn is_busy(&self) -> bool {
        self.0.counters.pending.load(Ordering::SeqCst) > 0
    }

    pub(crate) fn counters(&self) -> &Arc<Counters> {
        &self.0.counters
    }

    /// Sends an operation, of `session` if the caller holds one.
    pub(crate) fn submit(
        &self,
        operation: P::Operation,
        session: Option<SessionId>,
    ) -> OperationReply<P> {
        // What arrives while the thread ends is dropped with the channel.
        let (promise, reply) = slot(Failure::EndOfStream);
        let order = Order {
            operation,
            promise,
            count: Count::new(&self.0.counters),
            was_repeated: false,
            uncertain: false,
            of_session: session.is_some(),
        };
        self.send(Request::Operation(order, session));
        reply.resume_with(Arc::clone(&self.0) as Arc<dyn Resume<_>>)
    }

    /// Has the thread look at what is due.
    pub(crate) fn nudge(&self) {
        self.0.resume();
    }

    /// Asks for the connection alone. The session lasts until [`Connection::release`], which
    /// must also follow when the wait is given up.
    pub(crate) fn acquire(&self, session: SessionId) -> SignalReply<P> {
        let (promise, reply) = slot(Failure::EndOfStream);
        self.send(Request::Acquire(session, promise));
        reply
    }

    pub(crate) fn release(&self, session: SessionId) {
        self.send(Request::Release(session));
    }

    /// Brings the connection back to the state of a new one, behind everything that was sent
    /// before.
    pub(crate) fn reset(&self) -> SignalReply<P> {
        let (promise, reply) = slot(Failure::Closed);
        self.send(Request::Reset(promise));
        reply
    }

    /// Says that the connection has been parked.
    pub(crate) fn parked(&self) {
        self.send(Request::Parked);
    }

    /// Says goodbye and closes the socket, by `deadline` at the latest; then drops `keep`.
    pub(crate) fn close(&self, keep: Option<Keep>, deadline: Option<Instant>) {
        self.send(Request::Close { keep, deadline });
    }

    fn send(&self, request: Request<P>) {
        match self.0.sender.send(request) {
            Ok(()) => self.0.doorbell.ring(),
            // The thread has ended, for a reason that the caller is told.
            Err(SendError(Request::Operation(order, _))) => {
                let why = self.0.end.get().cloned();
                drop(order.count);
                order
                    .promise
                    .finish(Err(why.unwrap_or(Failure::EndOfStream)));
            }
            // Its promise tells the caller when it is dropped.
            Err(SendError(_)) => {}
        }
    }
}
