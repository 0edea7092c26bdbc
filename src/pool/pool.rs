//! The connections of one client.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use crate::sync::{Condvar, Mutex, MutexGuard};

use super::guard::{ExclusiveSeat, ScopeSeat};
use super::hooks::PoolHooks;
use super::ledger::{Holder, Role};
use super::notices::Notices;
use super::quota::{Grant, Permit, Quota};
use super::route::{self, PoolId};
use super::tasks::Tasks;
use crate::connection::cancel::Until;
use crate::connection::clock;
use crate::connection::failure::Failure;
use crate::connection::handle::{
    Connection, ConnectionId, Hooks, Keep, MakeProtocol, Opening, OperationReply,
};
use crate::connection::queue::SessionId;
use crate::connection::recovery::Persistence;
use crate::connection::settings::Settings;
use crate::protocol::machine::Protocol;

/// How long a connection that nobody needs any more may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(5);

/// How long a connection thread may take to close its socket when its time is up.
const FORCED: Duration = Duration::from_secs(1);

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

pub(super) fn next_id() -> u64 {
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
    NoPermit {
        holders: Vec<Holder>,
        /// Permits that are not used for a while because the server has refused more.
        withheld: usize,
    },
    /// The caller gave up before there was a permit.
    Cancelled,
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
pub(super) type PoolResult<T, P> = Result<T, PoolError<<P as Protocol>::Failure>>;

/// A parked connection.
pub(crate) struct Warm<P: Protocol> {
    pub(super) connection: Connection<P>,
    pub(super) permit: Permit<Warm<P>>,
    /// When its time is up.
    pub(super) expires: Option<Instant>,
}

impl<P: Protocol> Warm<P> {
    /// Says goodbye. The permit is given back when the socket is closed.
    pub(super) fn close(self) {
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

/// Figures since the client was made.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) opened: AtomicU64,
    pub(super) restored: AtomicU64,
    pub(super) refused: AtomicU64,
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
    pub effective: usize,
    pub open: usize,
    pub parked: usize,
    pub waiting: usize,
    pub tasks: usize,
    pub opened: u64,
    pub restored: u64,
    pub refused: u64,
    pub reused: u64,
    pub operations: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub wakeups: u64,
    pub holders: Vec<Holder>,
}

/// The connections of one client.
pub(crate) struct Pool<P: Protocol> {
    pub(super) id: PoolId,
    pub(super) creator: ThreadId,
    pub(super) quota: Arc<Quota<Warm<P>>>,
    pub(super) settings: Arc<Settings>,
    make: Arc<MakeProtocol<P>>,
    /// Refusals in a row, because the server has as many connections as it allows.
    pub(super) refusals: AtomicU32,
    pub(crate) notices: Notices<Fail<P>>,
    pub(super) tasks: Tasks<P>,
    pub(super) main: Mutex<Option<Seat<P>>>,
    /// Given back while replies were still to come.
    pub(super) draining: Mutex<HashMap<ConnectionId, Warm<P>>>,
    pub(super) live: Mutex<HashMap<ConnectionId, Live<P>>>,
    pub(super) live_changed: Condvar,
    pub(super) figures: Figures,
    pub(super) shut: AtomicBool,
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
        until: &Until,
        make: Arc<MakeProtocol<P>>,
    ) -> PoolResult<Arc<Self>, P> {
        let pool = Arc::new_cyclic(|this| Self {
            id: next_id(),
            creator: std::thread::current().id(),
            quota: Quota::new(quota),
            settings: Arc::new(settings),
            make,
            refusals: AtomicU32::new(0),
            notices: Notices::default(),
            tasks: Tasks::default(),
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
        let result = pool
            .open(&permit, Persistence::Always, until)
            .and_then(|connection| {
                connection.wait_ready(until)?;
                *pool.main.lock() = Some(Seat { permit, connection });
                Ok(())
            });
        match result {
            Ok(()) => Ok(pool),
            Err(error) => {
                let _ = pool.shutdown(clock::after(GOODBYE));
                Err(if until.is_cancelled() {
                    PoolError::Cancelled
                } else {
                    error
                })
            }
        }
    }

    /// The protocol's name, for log lines.
    pub(crate) fn protocol(&self) -> &'static str {
        self.settings.protocol
    }

    /// The most connections that may be open.
    pub(crate) fn quota_limit(&self) -> usize {
        self.quota.limit()
    }

    /// Starts a connection thread under `permit`.
    pub(super) fn open(
        &self,
        permit: &Permit<Warm<P>>,
        persistence: Persistence,
        until: &Until,
    ) -> PoolResult<Connection<P>, P> {
        self.join_ended();
        let id = next_id();
        let hooks: Arc<dyn Hooks<Fail<P>>> = Arc::new(PoolHooks(self.this.clone()));
        // Held across the start so that a thread that ends at once finds itself in the table.
        let mut live = self.live.lock();
        if self.shut.load(Ordering::SeqCst) {
            return Err(PoolError::ShutDown);
        }
        let (connection, thread) = Connection::open(Opening {
            id,
            settings: Arc::clone(&self.settings),
            make: Arc::clone(&self.make),
            hooks,
            persistence,
            deadline: until.moment(),
        })?;
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
    fn working(
        &self,
        seat: &mut Seat<P>,
        persistence: Persistence,
    ) -> PoolResult<Connection<P>, P> {
        if seat.connection.is_closed() {
            let until = Until::deadline(self.settings.open_timeout.and_then(clock::after));
            seat.connection = self.open(&seat.permit, persistence, &until)?;
        }
        Ok(seat.connection.clone())
    }

    /// Where the calling thread's operations go.
    pub(super) fn route(&self) -> PoolResult<(Connection<P>, Option<SessionId>), P> {
        if let Some(held) = route::top(self.id) {
            if let Some(scope) = route::downcast::<ScopeSeat<P>>(&held) {
                let mut seat = scope.seat.borrow_mut();
                let seat = seat.as_mut().ok_or(PoolError::ShutDown)?;
                return Ok((self.working(seat, Persistence::WhileWanted)?, None));
            }
            if let Some(exclusive) = route::downcast::<ExclusiveSeat<P>>(&held) {
                return Ok((exclusive.connection.clone(), Some(exclusive.session)));
            }
        }
        let mut main = self.main.lock();
        let seat = main.as_mut().ok_or(PoolError::ShutDown)?;
        Ok((self.working(seat, Persistence::Always)?, None))
    }

    /// Whether the calling thread has a connection bound to it.
    pub(crate) fn has_scope(&self) -> bool {
        route::holds::<ScopeSeat<P>>(self.id)
    }

    /// Whether the calling thread has its route for itself.
    pub(crate) fn has_exclusive(&self) -> bool {
        let top = route::top(self.id);
        top.is_some_and(|held| route::downcast::<ExclusiveSeat<P>>(&held).is_some())
    }

    /// Sends an operation along the calling thread's route.
    pub(crate) fn submit(&self, operation: P::Operation) -> PoolResult<OperationReply<P>, P> {
        let (connection, session) = self.route()?;
        Ok(connection.submit(operation, session))
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
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
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
            effective: self.quota.effective(),
            open,
            parked: self.quota.parked(),
            waiting: self.quota.waiting(),
            tasks: self.tasks_running(),
            opened: self.figures.opened.load(Ordering::Relaxed),
            restored: self.figures.restored.load(Ordering::Relaxed),
            refused: self.figures.refused.load(Ordering::Relaxed),
            reused: self.figures.reused.load(Ordering::Relaxed),
            operations,
            bytes_in,
            bytes_out,
            wakeups,
            holders,
        }
    }

    /// Ends the tasks that wait, lets those that run finish, ends every connection and joins the
    /// threads. On a connection thread, or on the thread of a task, that one is not waited for.
    ///
    /// # Errors
    /// What had to be left running at `deadline`.
    pub(crate) fn shutdown(&self, deadline: Option<Instant>) -> Result<(), Vec<Holder>> {
        self.shut.store(true, Ordering::SeqCst);
        let warm = self.quota.close();
        let mut left = self.end_tasks(deadline);
        let main = self.main.lock().take();
        let mut live = self.live.lock();
        let own_thread = std::thread::current().id();
        let on_own_thread = live.values().any(|one| {
            one.thread
                .as_ref()
                .is_some_and(|it| it.thread().id() == own_thread)
        });
        for one in live.values() {
            one.connection.close(None, None);
        }
        if on_own_thread {
            // It cannot wait for its own end.
            drop(live);
            self.notices.close();
            drop((main, warm));
            return if left.is_empty() { Ok(()) } else { Err(left) };
        }
        let in_time = self.wait_ended(&mut live, deadline);
        if !in_time {
            left.extend(self.quota.ledger.still_open());
            // They close their sockets now, without a goodbye.
            for one in live.values() {
                one.connection.close(None, Some(clock::now()));
            }
            self.wait_ended(&mut live, clock::after(FORCED));
        }
        drop(live);
        self.join_ended();
        self.notices.close();
        drop((main, warm));
        if left.is_empty() { Ok(()) } else { Err(left) }
    }
}
