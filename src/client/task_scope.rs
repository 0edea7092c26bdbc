//! Background tasks that borrow.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::thread::{Builder, Scope};
use std::time::Duration;

use super::task::{Slot, guarded};
use crate::connection::cancel::{self, CancelToken, Stopped, Until};
use crate::connection::clock;
use crate::error::{Certainty, Error, ErrorKind, Result};
use crate::sync::Mutex;

/// How a worker gets its connection; what it returns gives it back when it is dropped.
pub(super) type Bind<C> = fn(&C) -> Result<Box<dyn Any>>;

/// Starts tasks that may borrow what lives longer than the call of
/// [`ImapClient::scope`](crate::ImapClient::scope).
pub struct TaskScope<'scope, 'env: 'scope, C> {
    threads: &'scope Scope<'scope, 'env>,
    workers: Arc<Workers<'scope, C>>,
}

/// The threads of one scope: never more than there can be connections.
struct Workers<'scope, C> {
    client: C,
    /// The view of the client that a task gets with its token.
    view: fn(&C, &CancelToken) -> C,
    bind: Bind<C>,
    most: usize,
    name: &'static str,
    state: Mutex<State<'scope, C>>,
    panics: Panics,
}

struct State<'scope, C> {
    jobs: VecDeque<(u64, Job<'scope, C>)>,
    workers: usize,
    next: u64,
    /// Of the workers that wait for a connection.
    waiting: BTreeMap<u64, CancelToken>,
}

impl<C> State<'_, C> {
    /// The workers that wait for a connection without a job to be done with it.
    fn idle(&mut self) -> Vec<CancelToken> {
        if !self.jobs.is_empty() {
            return Vec::new();
        }
        std::mem::take(&mut self.waiting).into_values().collect()
    }
}

/// Ends the waits of these workers.
fn release(idle: Vec<CancelToken>) {
    for token in idle {
        token.cancel();
    }
}

/// Panics that nobody has been told of, by the number of their task.
type Panics = Arc<Mutex<Vec<(u64, Error)>>>;

/// Carries the job out, with the client or without a connection.
type Job<'scope, C> = Box<dyn FnOnce(&Workers<'scope, C>, Result<()>) + Send + 'scope>;

impl<'scope, C: Clone + Send + Sync + 'static> TaskScope<'scope, '_, C> {
    /// Puts a job in line. It gets a connection of its own when its turn has come, as a
    /// [`Task`](crate::Task) does; the scope uses as many threads as the quota leaves
    /// connections.
    pub fn spawn<T>(
        &self,
        job: impl FnOnce(&C) -> Result<T> + Send + 'scope,
    ) -> ScopedTask<'scope, T>
    where
        T: Send + 'static,
    {
        self.spawn_anyway(|ready| job(ready?))
    }

    /// The same for a job that is also called, on any thread, when it cannot have a connection.
    pub(super) fn spawn_anyway<T>(
        &self,
        job: impl FnOnce(Result<&C>) -> Result<T> + Send + 'scope,
    ) -> ScopedTask<'scope, T>
    where
        T: Send + 'static,
    {
        let slot = Slot::new();
        let token = match cancel::ambient() {
            Some(parent) => parent.child(),
            None => CancelToken::new(),
        };
        let mut state = self.workers.state.lock();
        state.next += 1;
        let id = state.next;
        let job: Job<'scope, C> = {
            let (slot, token) = (Arc::clone(&slot), token.clone());
            Box::new(move |workers, ready| {
                let view = (workers.view)(&workers.client, &token);
                let ready = if token.is_cancelled() {
                    Err(Error::not_sent(ErrorKind::Cancelled))
                } else {
                    ready
                };
                slot.begin();
                let _ambient = cancel::set_ambient(token);
                let result = guarded(|| job(ready.map(|()| &view)));
                if let Err(error) = &result {
                    if matches!(error.kind(), ErrorKind::TaskPanicked { .. }) {
                        workers.panics.lock().push((id, error.clone()));
                    }
                }
                slot.finish(result);
            })
        };
        state.jobs.push_back((id, job));
        let start = state.workers < self.workers.most;
        if start {
            state.workers += 1;
        }
        drop(state);
        if start {
            self.start_worker();
        }
        let withdraw = {
            let workers = Arc::clone(&self.workers);
            Box::new(move || workers.withdraw(id))
        };
        ScopedTask {
            slot,
            token,
            id,
            panics: Arc::clone(&self.workers.panics),
            withdraw,
        }
    }

    fn start_worker(&self) {
        let workers = Arc::clone(&self.workers);
        let started = Builder::new()
            .name(self.workers.name.to_owned())
            .spawn_scoped(self.threads, move || workers.work());
        if let Err(error) = started {
            let mut state = self.workers.state.lock();
            state.workers -= 1;
            // Others will do it, if there are any.
            let left = if state.workers == 0 {
                std::mem::take(&mut state.jobs)
            } else {
                VecDeque::new()
            };
            drop(state);
            let error = Error::no_thread(error);
            for (_, job) in left {
                job(&self.workers, Err(error.clone()));
            }
        }
    }
}

impl<C> Workers<'_, C> {
    /// Carries out jobs until there are none left.
    fn work(&self) {
        loop {
            let token = CancelToken::new();
            let mut state = self.state.lock();
            if state.jobs.is_empty() {
                state.workers -= 1;
                return;
            }
            state.next += 1;
            let number = state.next;
            state.waiting.insert(number, token.clone());
            drop(state);
            let connection = (self.bind)(&(self.view)(&self.client, &token));
            let mut state = self.state.lock();
            state.waiting.remove(&number);
            if connection.is_err() && token.is_cancelled() {
                // There was nothing left to be done with it.
                continue;
            }
            let job = state.jobs.pop_front();
            let idle = state.idle();
            drop(state);
            release(idle);
            match (job, connection) {
                // Withdrawn meanwhile, or taken by another worker.
                (None, _) => {}
                (Some((_, job)), Ok(connection)) => {
                    job(self, Ok(()));
                    drop(connection);
                }
                (Some((_, job)), Err(error)) => job(self, Err(error)),
            }
        }
    }

    /// A job that has been cancelled never runs, if it has not begun.
    fn withdraw(&self, id: u64) {
        let mut state = self.state.lock();
        let at = state.jobs.iter().position(|(of, _)| *of == id);
        let job = at.and_then(|at| state.jobs.remove(at));
        let idle = state.idle();
        drop(state);
        release(idle);
        if let Some((_, job)) = job {
            job(self, Err(Error::not_sent(ErrorKind::Cancelled)));
        }
    }
}

/// What is left of a scope whose closure panics never runs.
struct Abandon<'a, 'scope, C>(&'a Workers<'scope, C>);

impl<C> Drop for Abandon<'_, '_, C> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut state = self.0.state.lock();
            let jobs = std::mem::take(&mut state.jobs);
            let idle = state.idle();
            drop(state);
            release(idle);
            for (_, job) in jobs {
                job(self.0, Err(Error::not_sent(ErrorKind::Cancelled)));
            }
        }
    }
}

impl<C> fmt::Debug for TaskScope<'_, '_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskScope").finish_non_exhaustive()
    }
}

/// A task of a [`TaskScope`]. Dropping the handle lets it run on; the scope waits for it.
#[must_use = "the result of a task is had by joining it; call detach() to let it go"]
pub struct ScopedTask<'scope, T> {
    slot: Arc<Slot<T>>,
    token: CancelToken,
    id: u64,
    panics: Panics,
    withdraw: Box<dyn Fn() + Send + Sync + 'scope>,
}

impl<T: Send + 'static> ScopedTask<'_, T> {
    /// Waits until the task has ended, and takes its result.
    ///
    /// # Errors
    /// As [`Task::join`](crate::Task::join).
    pub fn join(mut self) -> Result<T> {
        let until = Until::default().with(cancel::ambient());
        match self.wait(&until) {
            Ok(result) => result,
            // The job may go on.
            Err(_) => Err(Error::new(ErrorKind::Cancelled, Certainty::MaybeExecuted)),
        }
    }

    /// As [`join`](Self::join), for `timeout` at most. `None`: the task has not ended by then.
    ///
    /// # Errors
    /// As [`Task::join_timeout`](crate::Task::join_timeout).
    pub fn join_timeout(&mut self, timeout: Duration) -> Option<Result<T>> {
        let until = Until::deadline(clock::after(timeout));
        self.wait(&until.with(cancel::ambient())).ok()
    }

    /// Takes the result if there is one already.
    ///
    /// # Errors
    /// As [`Task::join_timeout`](crate::Task::join_timeout).
    pub fn try_join(&mut self) -> Option<Result<T>> {
        let result = self.slot.take()?;
        Some(self.told(result))
    }

    /// Lets the task run on without its handle; the scope waits for it.
    pub fn detach(self) {}

    /// Ends the task, as [`Task::cancel`](crate::Task::cancel) does.
    pub fn cancel(&self) {
        self.token.cancel();
        (self.withdraw)();
    }

    fn wait(&mut self, until: &Until) -> std::result::Result<Result<T>, Stopped> {
        let result = self.slot.wait(until, &self.token, &*self.withdraw)?;
        Ok(self.told(result))
    }

    /// The joiner knows of the panic now.
    fn told(&self, result: Result<T>) -> Result<T> {
        self.panics.lock().retain(|(of, _)| *of != self.id);
        result
    }
}

impl<T> fmt::Debug for ScopedTask<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedTask").finish_non_exhaustive()
    }
}

/// Runs `body` with a scope, and waits for its tasks.
pub(super) fn scope<'env, C, R>(
    client: C,
    view: fn(&C, &CancelToken) -> C,
    bind: Bind<C>,
    most: usize,
    name: &'static str,
    body: impl for<'scope> FnOnce(&TaskScope<'scope, 'env, C>) -> R,
) -> Result<R>
where
    C: Clone + Send + Sync + 'static,
{
    let panics = Panics::default();
    let result = std::thread::scope(|threads| {
        let workers = Arc::new(Workers {
            client,
            view,
            bind,
            most: most.max(1),
            name,
            state: Mutex::new(State {
                jobs: VecDeque::new(),
                workers: 0,
                next: 0,
                waiting: BTreeMap::new(),
            }),
            panics: Arc::clone(&panics),
        });
        let _abandon = Abandon(&workers);
        let scope = TaskScope {
            threads,
            workers: Arc::clone(&workers),
        };
        body(&scope)
    });
    let first = panics.lock().pop();
    match first {
        Some((_, panic)) => Err(panic),
        None => Ok(result),
    }
}
