//! The connections of one client.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use crate::sync::{Condvar, Mutex, MutexGuard};

use super::guard::{ExclusiveGuard, ExclusiveSeat, ScopeGuard, ScopeSeat, wait_signal};
use super::hooks::PoolHooks;
use super::ledger::{Holder, Role};
use super::quota::{Grant, Permit, Quota, Refused};
use super::route::{self, Held, PoolId};
use crate::connection::clock;
use crate::connection::failure::Failure;
use crate::connection::handle::{
    Connection, ConnectionId, Hooks, Keep, OperationReply, SignalReply,
};
use crate::connection::queue::SessionId;
use crate::connection::settings::Settings;
use crate::protocol::machine::Protocol;

/// A wait for a permit that lasts longer is logged, once.
const LONG_WAIT: Duration = Duration::from_secs(30);
/// How long a connection that nobody needs any more may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(5);

/// How long a connection thread may take to close its socket when its time is up.
const FORCED: Duration = Duration::from_secs(1);

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

fn next_id() -> u64 {
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}

/// Why a connection could not be had.
#[derive(Clone, Debug)]
pub(crate) enum PoolError<F> {
    /// `create_connection` on the thread that created the client.
    CreatingThread,
    /// `create_connection` with a quota of one.
    SingleConnection,
    /// No permit came in time.
    NoPermit(Vec<Holder>),
    /// The client has been shut down.
    ShutDown,
    Failure(Failure<F>),
}

impl<F> From<Failure<F>> for PoolError<F> {
    fn from(failure: Failure<F>) -> Self {
        Self::Failure(failure)
    }
}

pub(super) type Fail<P> = Failure<<P as Protocol>::Failure>;
type PoolResult<T, P> = Result<T, PoolError<<P as Protocol>::Failure>>;

/// A parked connection.
pub(crate) struct Warm<P: Protocol> {
    pub(super) connection: Connection<P>,
    pub(super) permit: Permit<Warm<P>>,
}

impl<P: Protocol> Warm<P> {
    /// Says goodbye. The permit is given back when the socket is closed.
    fn close(self) {
        self.permit.entry().set_role(Role::Closing);
        let permit: Keep = Box::new(self.permit);
        self.connection.close(Some(permit), clock::after(GOODBYE));
    }
}

/// A permit and the connection that uses it now; a broken one is replaced when it is needed.
pub(super) struct Seat<P: Protocol> {
    pub(super) permit: Permit<Warm<P>>,
    pub(super) connection: Connection<P>,
}

/// How to build the protocol machine of a new connection.
pub(crate) type MakeProtocol<P> = Box<dyn Fn() -> P + Send + Sync>;

/// Figures since the client was made.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) opened: AtomicU64,
    pub(super) reused: AtomicU64,
    pub(super) operations: AtomicU64,
    pub(super) bytes_in: AtomicU64,
    pub(super) bytes_out: AtomicU64,
    pub(super) wakeups: AtomicU64,
}

/// A look at a pool's figures.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub quota: usize,
    pub open: usize,
    pub parked: usize,
    pub waiting: usize,
    pub opened: u64,
    pub reused: u64,
    pub operations: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub wakeups: u64,
    pub holders: Vec<Holder>,
}

/// The connections of one client.
pub(crate) struct Pool<P: Protocol> {
    id: PoolId,
    creator: ThreadId,
    pub(super) quota: Arc<Quota<Warm<P>>>,
    settings: Arc<Settings>,
    make: MakeProtocol<P>,
    /// Time for opening a connection that no caller waits for by name.
    open_timeout: Option<Duration>,
    main: Mutex<Option<Seat<P>>>,
    /// Given back while replies were still to come.
    pub(super) draining: Mutex<HashMap<ConnectionId, Warm<P>>>,
    pub(super) live: Mutex<HashMap<ConnectionId, Live<P>>>,
    pub(super) live_changed: Condvar,
    pub(super) figures: Figures,
    shut: AtomicBool,
    this: Weak<Self>,
}

/// A connection whose thread has not been joined.
pub(super) struct Live<P: Protocol> {
    pub(super) connection: Connection<P>,
    thread: Option<JoinHandle<()>>,
    pub(super) ended: bool,
}

impl<P: Protocol> Pool<P> {
    /// Opens the main connection and waits until it is ready.
    pub(crate) fn connect(
        settings: Settings,
        quota: usize,
        open_timeout: Option<Duration>,
        deadline: Option<Instant>,
        make: MakeProtocol<P>,
    ) -> PoolResult<Arc<Self>, P> {
        let pool = Arc::new_cyclic(|this| Self {
            id: next_id(),
            creator: std::thread::current().id(),
            quota: Quota::new(quota),
            settings: Arc::new(settings),
            make,
            open_timeout,
            main: Mutex::new(None),
            draining: Mutex::default(),
            live: Mutex::default(),
            live_changed: Condvar::new(),
            figures: Figures::default(),
            shut: AtomicBool::new(false),
            this: this.clone(),
        });
        let permit = match pool.quota.try_acquire() {
            Ok(Grant::Fresh(permit)) => permit,
            Ok(Grant::Warm(_)) | Err(_) => return Err(PoolError::ShutDown),
        };
        permit.entry().set_role(Role::Main);
        let result = pool.open(&permit, deadline).and_then(|connection| {
            connection.wait_ready(deadline)?;
            *pool.main.lock() = Some(Seat { permit, connection });
            Ok(())
        });
        match result {
            Ok(()) => Ok(pool),
            Err(error) => {
                let _ = pool.shutdown(clock::after(GOODBYE));
                Err(error)
            }
        }
    }

    /// The most connections that may be open.
    pub(crate) fn quota_limit(&self) -> usize {
        self.quota.limit()
    }

    /// Starts a connection thread under `permit`.
    fn open(
        &self,
        permit: &Permit<Warm<P>>,
        deadline: Option<Instant>,
    ) -> PoolResult<Connection<P>, P> {
        self.join_ended();
        let id = next_id();
        let hooks: Arc<dyn Hooks> = Arc::new(PoolHooks(self.this.clone()));
        // Held across the start so that a thread that ends at once finds itself in the table.
        let mut live = self.live.lock();
        if self.shut.load(Ordering::SeqCst) {
            return Err(PoolError::ShutDown);
        }
        let (connection, thread) = Connection::open(
            id,
            Arc::clone(&self.settings),
            (self.make)(),
            hooks,
            deadline,
        )?;
        live.insert(
            id,
            Live {
                connection: connection.clone(),
                thread: Some(thread),
                ended: false,
            },
        );
        drop(live);
        permit.entry().set_connection(connection.counters());
        self.figures.opened.fetch_add(1, Ordering::Relaxed);
        Ok(connection)
    }

    /// The seat's connection, opened anew where it is broken. Its socket is closed by then:
    /// the two never count at the same time.
    fn working(&self, seat: &mut Seat<P>) -> PoolResult<Connection<P>, P> {
        if seat.connection.is_closed() {
            let deadline = self.open_timeout.and_then(clock::after);
            seat.connection = self.open(&seat.permit, deadline)?;
        }
        Ok(seat.connection.clone())
    }

    /// Where the calling thread's operations go.
    fn route(&self) -> PoolResult<(Connection<P>, Option<SessionId>), P> {
        if let Some(held) = route::top(self.id) {
            if let Some(scope) = route::downcast::<ScopeSeat<P>>(&held) {
                let mut seat = scope.seat.borrow_mut();
                let seat = seat.as_mut().ok_or(PoolError::ShutDown)?;
                return Ok((self.working(seat)?, None));
            }
            if let Some(exclusive) = route::downcast::<ExclusiveSeat<P>>(&held) {
                return Ok((exclusive.connection.clone(), Some(exclusive.session)));
            }
        }
        let mut main = self.main.lock();
        let seat = main.as_mut().ok_or(PoolError::ShutDown)?;
        Ok((self.working(seat)?, None))
    }

    /// Sends an operation along the calling thread's route.
    pub(crate) fn submit(&self, operation: P::Operation) -> PoolResult<OperationReply<P>, P> {
        let (connection, session) = self.route()?;
        Ok(connection.submit(operation, session))
    }

    /// Binds a connection to the calling thread. With `wait` false it takes what is there.
    pub(crate) fn create_scope(
        self: &Arc<Self>,
        wait: bool,
        deadline: Option<Instant>,
    ) -> PoolResult<ScopeGuard<P>, P> {
        if std::thread::current().id() == self.creator {
            return Err(PoolError::CreatingThread);
        }
        if self.quota.limit() <= 1 {
            return Err(PoolError::SingleConnection);
        }
        if let Some(scope) = route::share::<ScopeSeat<P>>(self.id) {
            return Ok(ScopeGuard::new(scope));
        }
        let grant = self.acquire(wait, deadline)?;
        let (permit, connection) = match grant {
            Grant::Warm(warm) if !warm.connection.is_closed() => {
                self.figures.reused.fetch_add(1, Ordering::Relaxed);
                (warm.permit, warm.connection)
            }
            Grant::Warm(Warm { permit, .. }) | Grant::Fresh(permit) => {
                permit.entry().set_role(Role::Scope);
                let connection = self.open(&permit, deadline)?;
                if let Err(failure) = connection.wait_ready(deadline) {
                    // A socket that is still open keeps its permit until it is closed.
                    if !connection.is_closed() {
                        let permit: Keep = Box::new(permit);
                        connection.close(Some(permit), clock::after(Duration::ZERO));
                    }
                    return Err(failure.into());
                }
                (permit, connection)
            }
        };
        permit.entry().set_role(Role::Scope);
        let scope = Rc::new(ScopeSeat {
            seat: Some(Seat { permit, connection }).into(),
            pool: Arc::clone(self),
        });
        if !route::push(self.id, Rc::clone(&scope) as Rc<dyn Held>) {
            scope.give_back();
            return Err(PoolError::ShutDown);
        }
        Ok(ScopeGuard::new(scope))
    }

    fn acquire(&self, wait: bool, deadline: Option<Instant>) -> PoolResult<Grant<Warm<P>>, P> {
        let result = if wait {
            let nag = || self.explain_long_wait();
            let at = clock::after(LONG_WAIT);
            self.quota
                .acquire(deadline, at.map(|at| (at, &nag as &dyn Fn())))
        } else {
            self.quota.try_acquire()
        };
        result.map_err(|refused| match refused {
            Refused::NotInTime => PoolError::NoPermit(self.quota.ledger.holders()),
            Refused::Closed => PoolError::ShutDown,
        })
    }

    fn explain_long_wait(&self) {
        let holders = self.quota.ledger.holders();
        let list: Vec<String> = holders.iter().map(ToString::to_string).collect();
        log::warn!(
            "{} {}: a thread has waited {LONG_WAIT:?} for one of {} connections: {}",
            self.settings.protocol,
            self.settings.host,
            self.quota.limit(),
            list.join("; ")
        );
    }

    /// Takes the calling thread's route for this thread alone.
    pub(crate) fn exclusive(
        self: &Arc<Self>,
        deadline: Option<Instant>,
    ) -> PoolResult<ExclusiveGuard<P>, P> {
        if let Some(held) = route::top(self.id) {
            if route::downcast::<ExclusiveSeat<P>>(&held).is_some() {
                if let Some(seat) = route::share::<ExclusiveSeat<P>>(self.id) {
                    return Ok(ExclusiveGuard::new(seat));
                }
            }
        }
        let (connection, _) = self.route()?;
        let session = next_id();
        let reply = connection.acquire(session);
        if let Err(failure) = wait_signal(reply, deadline) {
            connection.release(session);
            return Err(failure.into());
        }
        let scope = route::top(self.id)
            .and_then(|held| route::downcast::<ScopeSeat<P>>(&held))
            .and_then(|_| route::share::<ScopeSeat<P>>(self.id));
        let seat = Rc::new(ExclusiveSeat {
            connection,
            session,
            scope: scope.map(ScopeGuard::new).into(),
            released: false.into(),
        });
        if !route::push(self.id, Rc::clone(&seat) as Rc<dyn Held>) {
            seat.give_back();
            return Err(PoolError::ShutDown);
        }
        Ok(ExclusiveGuard::new(seat))
    }

    /// Parks a connection whose user is done with it, without waiting for the network.
    pub(super) fn give_back(&self, seat: Seat<P>) -> Option<SignalReply<P>> {
        let Seat { permit, connection } = seat;
        if connection.is_closed() {
            return None;
        }
        let id = connection.id();
        let warm = Warm {
            connection: connection.clone(),
            permit,
        };
        let busy = connection.is_busy();
        if self.shut.load(Ordering::SeqCst) || (!busy && !self.parks()) {
            warm.close();
            return None;
        }
        let reply;
        if busy {
            // Replies are still to come. It is parked when they have come.
            warm.permit.entry().set_role(Role::Draining);
            self.draining.lock().insert(id, warm);
            reply = connection.reset();
        } else {
            // The reset goes ahead of whatever the next taker sends.
            reply = connection.reset();
            self.park(warm);
        }
        if connection.is_closed() {
            self.forget(id);
        }
        Some(reply)
    }

    /// Whether connections that are given back are kept at all.
    fn parks(&self) -> bool {
        !self.settings.idle_timeout.is_zero()
    }

    /// Keeps a connection for the next taker, or closes it where none is kept any more.
    pub(super) fn park(&self, warm: Warm<P>) {
        if !self.parks() {
            return warm.close();
        }
        warm.permit.entry().set_role(Role::Parked);
        if let Err(warm) = self.quota.park(warm) {
            warm.close();
        }
    }

    /// Drops what is kept of a connection that has ended, its permit included.
    pub(super) fn forget(&self, id: ConnectionId) {
        let draining = self.draining.lock().remove(&id);
        let parked = self.quota.take_warm(|warm| warm.connection.id() == id);
        drop((draining, parked));
    }

    fn join_ended(&self) {
        let mut threads = Vec::new();
        self.live.lock().retain(|_, live| {
            if live.ended {
                threads.extend(live.thread.take());
            }
            !live.ended
        });
        for thread in threads {
            let _ = thread.join();
        }
    }

    /// Waits until every connection thread has ended. Returns whether they did in time.
    fn wait_ended(
        &self,
        live: &mut MutexGuard<'_, HashMap<ConnectionId, Live<P>>>,
        deadline: Option<Instant>,
    ) -> bool {
        while live.values().any(|one| !one.ended) {
            if crate::sync::wait(&self.live_changed, live, deadline) {
                return live.values().all(|one| one.ended);
            }
        }
        true
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let holders = self.quota.ledger.holders();
        // What a connection that ends leaves is added to the sums under this lock.
        let live = self.live.lock();
        let mut operations = self.figures.operations.load(Ordering::Relaxed);
        let mut bytes_in = self.figures.bytes_in.load(Ordering::Relaxed);
        let mut bytes_out = self.figures.bytes_out.load(Ordering::Relaxed);
        let mut wakeups = self.figures.wakeups.load(Ordering::Relaxed);
        let mut open = 0;
        for one in live.values().filter(|one| !one.ended) {
            open += usize::from(!one.connection.is_closed());
            let counters = one.connection.counters();
            operations += counters.operations.load(Ordering::Relaxed);
            bytes_in += counters.bytes_in.load(Ordering::Relaxed);
            bytes_out += counters.bytes_out.load(Ordering::Relaxed);
            wakeups += counters.wakeups.load(Ordering::Relaxed);
        }
        drop(live);
        Snapshot {
            quota: self.quota.limit(),
            open,
            parked: self.quota.parked(),
            waiting: self.quota.waiting(),
            opened: self.figures.opened.load(Ordering::Relaxed),
            reused: self.figures.reused.load(Ordering::Relaxed),
            operations,
            bytes_in,
            bytes_out,
            wakeups,
            holders,
        }
    }

    /// Ends every connection and joins their threads.
    ///
    /// # Errors
    /// What had to be left running at `deadline`.
    pub(crate) fn shutdown(&self, deadline: Option<Instant>) -> Result<(), Vec<Holder>> {
        self.shut.store(true, Ordering::SeqCst);
        let main = self.main.lock().take();
        let warm = self.quota.close();
        let mut live = self.live.lock();
        for one in live.values() {
            one.connection.close(None, None);
        }
        let in_time = self.wait_ended(&mut live, deadline);
        let left = (!in_time).then(|| self.quota.ledger.still_open());
        if !in_time {
            // They close their sockets now, without a goodbye.
            for one in live.values() {
                one.connection.close(None, Some(clock::now()));
            }
            self.wait_ended(&mut live, clock::after(FORCED));
        }
        drop(live);
        self.join_ended();
        drop((main, warm));
        left.map_or(Ok(()), Err)
    }
}
