//! Background tasks: begin now, join later.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::call::Patience;
use crate::connection::cancel::{CancelToken, Notify, Stopped, Until, Watch};
use crate::connection::clock;
use crate::connection::failure::Phase;
use crate::error::{Certainty, Error, ErrorKind, Result};
use crate::pool::pool::{Pool, PoolError};
use crate::pool::tasks::{Assignment, Finish, Place, Work, next_task};
use crate::protocol::machine::Protocol;
use crate::sync::{Condvar, Mutex};

/// A job in the background: [`ImapClient::spawn`](crate::ImapClient::spawn).
///
/// It waits in the same line as the callers of `create_connection`, first come, first served. When
/// its turn has come it gets a thread of its own that is bound to a connection, a parked one or
/// a new one; both are given back when it ends. Dropping the handle lets it run on.
///
/// # Examples
/// ```no_run
/// # fn example(client: mailpool::ImapClient) -> mailpool::Result<()> {
/// use mailpool::StatusItems;
///
/// let task = client.spawn(|client| client.mailbox("Archive").status(StatusItems::default()));
/// // ... something else ...
/// let status = task.join()?;
/// println!("{status:?}");
/// # Ok(())
/// # }
/// ```
#[must_use = "the result of a task is had by joining it; call detach() to let it go"]
pub struct Task<T> {
    slot: Arc<Slot<T>>,
    token: CancelToken,
    /// Ends the wait in line: with the token, and at the client's deadline.
    waiting: CancelToken,
    /// Takes the job out of the line.
    withdraw: Box<dyn Fn() + Send + Sync>,
}

impl<T: Send + 'static> Task<T> {
    /// Waits until the task has ended, and takes its result.
    ///
    /// On the thread of another task the wait ends when that one is cancelled.
    ///
    /// # Errors
    /// What the job returned; [`ErrorKind::TaskPanicked`] if it panicked;
    /// [`ErrorKind::Cancelled`], [`ErrorKind::ShutDown`] or what went wrong with its connection
    /// or its thread if it never ran.
    pub fn join(mut self) -> Result<T> {
        let until = Until::default().with(crate::connection::cancel::ambient());
        match self.wait(&until) {
            Ok(result) => result,
            // The job may go on.
            Err(_) => Err(Error::new(ErrorKind::Cancelled, Certainty::MaybeExecuted)),
        }
    }

    /// As [`join`](Self::join), for `timeout` at most. `None`: the task has not ended by then.
    ///
    /// # Errors
    /// As [`join`](Self::join); [`ErrorKind::ResultTaken`] the second time.
    pub fn join_timeout(&mut self, timeout: Duration) -> Option<Result<T>> {
        let until = Until::deadline(clock::after(timeout));
        self.wait(&until.with(crate::connection::cancel::ambient()))
            .ok()
    }

    /// As [`join`](Self::join), until `token` is cancelled at most. `None`: the task has not ended
    /// by then. It goes on: to end it use [`cancel`](Self::cancel).
    ///
    /// # Errors
    /// As [`join_timeout`](Self::join_timeout).
    pub fn join_unless(&mut self, token: &CancelToken) -> Option<Result<T>> {
        let until = Until::default().with(Some(token.clone()));
        self.wait(&until.with(crate::connection::cancel::ambient()))
            .ok()
    }

    /// Takes the result if there is one already.
    ///
    /// # Errors
    /// As [`join_timeout`](Self::join_timeout).
    pub fn try_join(&mut self) -> Option<Result<T>> {
        self.slot.take()
    }

    fn wait(&mut self, until: &Until) -> std::result::Result<Result<T>, Stopped> {
        self.slot.wait(until, &self.waiting, &*self.withdraw)
    }
}

impl<T> Task<T> {
    /// Whether the task has ended: with a result, or without ever having run.
    pub fn is_finished(&self) -> bool {
        self.slot.state.lock().is_over()
    }

    /// Ends the task. One that waits for its connection never runs; in one that runs, the calls
    /// of the client that block, and those to come, fail with [`ErrorKind::Cancelled`]. Nothing
    /// is waited for.
    pub fn cancel(&self) {
        self.token.cancel();
    }

    /// Lets the task run on without its handle.
    pub fn detach(self) {}
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("is_finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}

/// Where a task's result waits.
pub(super) struct Slot<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    /// Kept while the job waits: it is withdrawn when its token is cancelled.
    watch: Mutex<Option<Watch>>,
}

enum State<T> {
    Waiting,
    Running,
    Finished(Result<T>),
    Taken,
}

impl<T> State<T> {
    fn is_over(&self) -> bool {
        matches!(self, Self::Finished(_) | Self::Taken)
    }
}

impl<T: Send> Notify for Slot<T> {
    fn notify(&self) {
        drop(self.state.lock());
        self.changed.notify_all();
    }
}

impl<T> Slot<T> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State::Waiting),
            changed: Condvar::new(),
            watch: Mutex::new(None),
        })
    }

    pub(super) fn begin(&self) {
        let watch = self.watch.lock().take();
        drop(watch);
        *self.state.lock() = State::Running;
    }

    pub(super) fn finish(&self, result: Result<T>) {
        let watch = self.watch.lock().take();
        drop(watch);
        *self.state.lock() = State::Finished(result);
        self.changed.notify_all();
    }

    fn keep(&self, watch: Watch) {
        *self.watch.lock() = Some(watch);
        // It may have begun meanwhile.
        if !matches!(*self.state.lock(), State::Waiting) {
            let watch = self.watch.lock().take();
            drop(watch);
        }
    }

    /// The result, if there is one.
    pub(super) fn take(&self) -> Option<Result<T>> {
        take(&mut self.state.lock())
    }
}

impl<T: Send> Slot<T> {
    /// Waits for the result. `withdraw` takes the job out of the line once its token has been
    /// cancelled by the clock, which nobody else would notice.
    pub(super) fn wait(
        self: &Arc<Self>,
        until: &Until,
        token: &CancelToken,
        withdraw: &dyn Fn(),
    ) -> std::result::Result<Result<T>, Stopped>
    where
        T: 'static,
    {
        let with_token = until.clone().with(Some(token.clone()));
        let _watch = with_token.watch(|| Arc::clone(self) as Arc<dyn Notify>);
        let mut withdrawn = false;
        let mut state = self.state.lock();
        loop {
            if let Some(result) = take(&mut state) {
                return Ok(result);
            }
            let waits = matches!(*state, State::Waiting) && !withdrawn;
            if waits && token.is_cancelled() {
                withdrawn = true;
                drop(state);
                withdraw();
                state = self.state.lock();
                continue;
            }
            let present = if waits { &with_token } else { until };
            let stopped = present.wait(&self.changed, &mut state);
            if state.is_over() || (waits && token.is_cancelled()) {
                continue;
            }
            if let Some(stopped) = stopped {
                return Err(stopped);
            }
        }
    }
}

fn take<T>(state: &mut State<T>) -> Option<Result<T>> {
    if !state.is_over() {
        return None;
    }
    match std::mem::replace(state, State::Taken) {
        State::Finished(result) => Some(result),
        _ => Some(Err(Error::not_sent(ErrorKind::ResultTaken))),
    }
}

/// Withdraws a job when its token is cancelled.
struct Withdrawal<P: Protocol> {
    pool: Weak<Pool<P>>,
    place: Place,
    token: CancelToken,
}

impl<P: Protocol> Notify for Withdrawal<P> {
    fn notify(&self) {
        if self.token.is_cancelled() {
            if let Some(pool) = self.pool.upgrade() {
                pool.withdraw(self.place);
            }
        }
    }
}

/// Runs a job; a panic becomes an error.
pub(super) fn guarded<T>(job: impl FnOnce() -> Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(job)) {
        Ok(result) => result,
        Err(panic) => Err(Error::new(
            ErrorKind::TaskPanicked {
                message: message_of(&*panic),
            },
            Certainty::MaybeExecuted,
        )),
    }
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

/// Puts a job in line. `client` is what the job is given, and kept until it has ended.
pub(super) fn spawn<P, C, T>(
    pool: &Arc<Pool<P>>,
    patience: &Patience,
    error_of: fn(PoolError<P::Failure>, usize) -> Error,
    client: impl FnOnce(CancelToken) -> C,
    job: impl FnOnce(&C) -> Result<T> + Send + 'static,
) -> Task<T>
where
    P: Protocol,
    C: Send + 'static,
    T: Send + 'static,
{
    let token = match &patience.cancel {
        Some(parent) => parent.child(),
        None => CancelToken::new(),
    };
    let waiting = token.child();
    if let Some(deadline) = patience.deadline {
        waiting.cancel_at(deadline);
    }
    let slot = Slot::new();
    let limit = pool.quota_limit();
    let work: Work<P> = {
        let slot = Arc::clone(&slot);
        let client = client(token.clone());
        let by = Until::deadline(patience.deadline)
            .with(patience.cancel.clone())
            .with(Some(token.clone()));
        Box::new(move |ready| {
            let result = match ready {
                Ok(()) => {
                    slot.begin();
                    guarded(|| job(&client))
                }
                Err(error) => {
                    // Whoever joins must not wait in vain because what the job holds panics.
                    let _ = catch_unwind(AssertUnwindSafe(|| drop(job)));
                    Err(match error {
                        PoolError::Cancelled if by.stopped() == Some(Stopped::TimedOut) => {
                            let phase = Phase::Queue;
                            Error::not_sent(ErrorKind::Timeout { phase })
                        }
                        other => error_of(other, limit),
                    })
                }
            };
            Box::new(move || {
                slot.finish(result);
                drop(client);
            }) as Finish
        })
    };
    let place = pool.spawn(Assignment {
        id: next_task(),
        token: token.clone(),
        patience: {
            let patience = patience.clone();
            Box::new(move || patience.begin())
        },
        work,
    });
    let withdrawal = Arc::new(Withdrawal {
        pool: Arc::downgrade(pool),
        place,
        token: waiting.clone(),
    });
    slot.keep(waiting.watch(Arc::clone(&withdrawal) as Arc<dyn Notify>));
    // Cancelled before anybody watched.
    withdrawal.notify();
    Task {
        slot,
        token,
        waiting,
        withdraw: Box::new(move || withdrawal.notify()),
    }
}
