//! Background jobs: each waits in the line for permits, and then runs on a thread of its own
//! that is bound to a connection.
//!
//! ```text
//!   queued ──► running ──► finished
//!      └─────► never run (cancelled, shut down, no thread to be had)
//! ```
//! With a quota of one there is no second connection: jobs run one after the other over the main
//! connection.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{Builder, JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use super::ledger::{Holder, Role};
use super::pool::{Pool, PoolError, PoolResult, Warm, next_id};
use super::quota::{Call, Grant, Job, Refused, Ticket};
use crate::connection::cancel::{CancelToken, Until, set_ambient};
use crate::connection::clock;
use crate::connection::failure::Failure;
use crate::protocol::machine::Protocol;
use crate::sync::{Condvar, Mutex};

/// How long the jobs that were cancelled at a shutdown may take to notice it.
const FORCED: Duration = Duration::from_secs(1);

/// Names one job. Never used twice in a process.
pub(crate) type TaskId = u64;

/// What is done last, when the job has given its connection back: its result is published, and
/// what it held is dropped.
pub(crate) type Finish = Box<dyn FnOnce() + Send>;

/// Carries a job out, or is told why it never will be.
pub(crate) type Work<P> = Box<dyn FnOnce(PoolResult<(), P>) -> Finish + Send>;

/// How long the job may wait for its connection once its turn has come.
pub(crate) type Patience = Box<dyn Fn() -> Until + Send>;

/// The jobs of one client.
pub(crate) struct Tasks<P: Protocol> {
    state: Mutex<State<P>>,
    changed: Condvar,
}

struct State<P: Protocol> {
    running: BTreeMap<TaskId, Running>,
    /// Threads that have nothing more to do, or nearly so.
    ended: Vec<JoinHandle<()>>,
    /// With a quota of one: those that wait for the one that runs.
    over_main: VecDeque<Assignment<P>>,
    main_is_taken: bool,
}

impl<P: Protocol> Default for Tasks<P> {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                running: BTreeMap::new(),
                ended: Vec::new(),
                over_main: VecDeque::new(),
                main_is_taken: false,
            }),
            changed: Condvar::new(),
        }
    }
}

struct Running {
    token: CancelToken,
    since: Instant,
    thread: Option<JoinHandle<()>>,
    own: Option<ThreadId>,
}

/// A job and what it needs.
pub(crate) struct Assignment<P: Protocol> {
    pub id: TaskId,
    pub token: CancelToken,
    pub patience: Patience,
    pub work: Work<P>,
}

impl<P: Protocol> Assignment<P> {
    /// It never runs.
    fn refuse(self, why: PoolError<P::Failure>) {
        (self.work)(Err(why))();
    }
}

/// Where a job waits.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Line(Ticket),
    OverMain(TaskId),
    /// It has begun already, or never will.
    Nowhere,
}

pub(crate) fn next_task() -> TaskId {
    next_id()
}

impl<P: Protocol> Pool<P> {
    /// Puts a job in line. It may have begun when this returns.
    pub(crate) fn spawn(self: &Arc<Self>, assignment: Assignment<P>) -> Place {
        self.join_tasks();
        if self.shut.load(Ordering::SeqCst) {
            assignment.refuse(PoolError::ShutDown);
            return Place::Nowhere;
        }
        if self.quota.limit() <= 1 {
            let id = assignment.id;
            self.tasks.state.lock().over_main.push_back(assignment);
            self.next_over_main();
            return Place::OverMain(id);
        }
        // Kept apart from the job, which the quota drops when it takes none any more.
        let slot = Arc::new(Mutex::new(Some(assignment)));
        let job: Job<Warm<P>> = {
            let (pool, slot) = (Arc::clone(self), Arc::clone(&slot));
            Box::new(move |call| {
                let assignment = slot.lock().take()?;
                match call {
                    Call::Turn(grant, at) => pool.start(assignment, grant, at),
                    Call::Cancelled => {
                        assignment.refuse(PoolError::Cancelled);
                        None
                    }
                    Call::Closed => {
                        assignment.refuse(PoolError::ShutDown);
                        None
                    }
                }
            })
        };
        match self.quota.enqueue(job) {
            Ok(ticket) => Place::Line(ticket),
            Err(Refused::NotInTime | Refused::Cancelled | Refused::Closed) => {
                let assignment = slot.lock().take();
                if let Some(assignment) = assignment {
                    assignment.refuse(PoolError::ShutDown);
                }
                Place::Nowhere
            }
        }
    }

    /// Takes a job out of the line. Nothing happens if it has begun.
    pub(crate) fn withdraw(&self, place: Place) {
        match place {
            Place::Line(ticket) => {
                if let Some(job) = self.quota.withdraw(ticket) {
                    drop(job(Call::Cancelled));
                }
            }
            Place::OverMain(id) => {
                let mut state = self.tasks.state.lock();
                let at = state.over_main.iter().position(|one| one.id == id);
                let assignment = at.and_then(|at| state.over_main.remove(at));
                drop(state);
                if let Some(assignment) = assignment {
                    assignment.refuse(PoolError::Cancelled);
                }
            }
            Place::Nowhere => {}
        }
    }

    /// Starts the thread of a job whose turn has come. Returns the grant if there is none.
    fn start(
        self: &Arc<Self>,
        assignment: Assignment<P>,
        grant: Grant<Warm<P>>,
        ticket: Ticket,
    ) -> Option<Grant<Warm<P>>> {
        if assignment.token.is_cancelled() {
            // What it holds is dropped with it, and this may be a connection's thread.
            let failed = self.start_thread(assignment, (), |assignment, ()| {
                (assignment.work)(Err(PoolError::Cancelled))
            });
            if let Some((assignment, ..)) = failed {
                assignment.refuse(PoolError::Cancelled);
            }
            return Some(grant);
        }
        let pool = Arc::clone(self);
        let failed = self.start_thread(assignment, grant, move |assignment, grant| {
            let Assignment {
                patience,
                work,
                token,
                ..
            } = assignment;
            if token.is_cancelled() {
                match grant {
                    Grant::Fresh(permit) => drop(permit),
                    // It is still open.
                    Grant::Warm(warm) => pool.park(warm),
                }
                return work(Err(PoolError::Cancelled));
            }
            let _ambient = set_ambient(token);
            let seat = pool.occupy(grant, ticket, Role::Task, &patience());
            match seat.and_then(|seat| pool.bind(seat)) {
                Ok(scope) => {
                    let finish = work(Ok(()));
                    drop(scope);
                    finish
                }
                Err(error) => work(Err(error)),
            }
        });
        let (assignment, grant, error) = failed?;
        assignment.refuse(Failure::system("a thread", error).into());
        Some(grant)
    }

    /// Starts the next of those that run over the main connection.
    fn next_over_main(self: &Arc<Self>) {
        loop {
            let mut state = self.tasks.state.lock();
            if state.main_is_taken {
                return;
            }
            let Some(assignment) = state.over_main.pop_front() else {
                return;
            };
            state.main_is_taken = true;
            drop(state);
            let failed = if assignment.token.is_cancelled() {
                Some((assignment, PoolError::Cancelled))
            } else {
                let pool = Arc::clone(self);
                self.start_thread(assignment, (), move |assignment, ()| {
                    let _ambient = set_ambient(assignment.token);
                    let finish = (assignment.work)(Ok(()));
                    Box::new(move || {
                        pool.tasks.state.lock().main_is_taken = false;
                        pool.next_over_main();
                        finish();
                    })
                })
                .map(|(assignment, (), error)| {
                    (assignment, Failure::system("a thread", error).into())
                })
            };
            let Some((assignment, why)) = failed else {
                return;
            };
            self.tasks.state.lock().main_is_taken = false;
            assignment.refuse(why);
        }
    }

    /// Starts a thread for a job, which takes `luggage` along. Hands everything back, and says
    /// why, if there is none to be had.
    fn start_thread<L: Send + 'static>(
        self: &Arc<Self>,
        assignment: Assignment<P>,
        luggage: L,
        body: impl FnOnce(Assignment<P>, L) -> Finish + Send + 'static,
    ) -> Option<(Assignment<P>, L, std::io::Error)> {
        let id = assignment.id;
        let running = Running {
            token: assignment.token.clone(),
            since: clock::now(),
            thread: None,
            own: None,
        };
        self.tasks.state.lock().running.insert(id, running);
        let all = Arc::new(Mutex::new(Some((assignment, luggage))));
        let started = {
            let (pool, all) = (Arc::clone(self), Arc::clone(&all));
            Builder::new()
                .name(format!("{}-task-{id}", self.settings.protocol))
                .spawn(move || {
                    let Some((assignment, luggage)) = all.lock().take() else {
                        return;
                    };
                    pool.note_thread(id);
                    let finish = body(assignment, luggage);
                    pool.note_end(id);
                    // The last handle of the client may go with it, and the pool with that.
                    drop(pool);
                    finish();
                })
        };
        match started {
            Ok(thread) => {
                let mut state = self.tasks.state.lock();
                match state.running.get_mut(&id) {
                    Some(running) => running.thread = Some(thread),
                    None => state.ended.push(thread),
                }
                None
            }
            Err(error) => {
                self.note_end(id);
                let (assignment, luggage) = all.lock().take()?;
                Some((assignment, luggage, error))
            }
        }
    }

    fn note_thread(&self, id: TaskId) {
        if let Some(running) = self.tasks.state.lock().running.get_mut(&id) {
            running.own = Some(std::thread::current().id());
        }
    }

    fn note_end(&self, id: TaskId) {
        let mut state = self.tasks.state.lock();
        let ended = state.running.remove(&id).and_then(|one| one.thread);
        state.ended.extend(ended);
        drop(state);
        self.tasks.changed.notify_all();
    }

    /// How many jobs run.
    pub(crate) fn tasks_running(&self) -> usize {
        self.tasks.state.lock().running.len()
    }

    /// Joins the threads that have ended.
    fn join_tasks(&self) {
        let ended = {
            let mut state = self.tasks.state.lock();
            let (ended, others) = std::mem::take(&mut state.ended)
                .into_iter()
                .partition(|thread: &JoinHandle<()>| thread.is_finished());
            state.ended = others;
            ended
        };
        join(ended);
    }

    /// Ends the jobs that wait and lets those that run finish until `deadline`; then they are
    /// cancelled. Returns what had to be left.
    pub(super) fn end_tasks(&self, deadline: Option<Instant>) -> Vec<Holder> {
        let waiting = std::mem::take(&mut self.tasks.state.lock().over_main);
        for assignment in waiting {
            assignment.refuse(PoolError::ShutDown);
        }
        let own = std::thread::current().id();
        let mut left = Vec::new();
        let mut state = self.tasks.state.lock();
        let mut until = deadline;
        while state.running.values().any(|one| one.own != Some(own)) {
            if !crate::sync::wait(&self.tasks.changed, &mut state, until) {
                continue;
            }
            let others = state.running.iter().filter(|(_, one)| one.own != Some(own));
            let tokens: Vec<CancelToken> = others
                .clone()
                .map(|(_, running)| running.token.clone())
                .collect();
            if !left.is_empty() || tokens.is_empty() {
                break;
            }
            let now = clock::now();
            left = others
                .map(|(id, running)| Holder {
                    role: Role::Task,
                    thread: Some(format!("{}-task-{id}", self.settings.protocol)),
                    held_for: now.saturating_duration_since(running.since),
                    activity: "running".to_owned(),
                })
                .collect();
            drop(state);
            for token in tokens {
                token.cancel();
            }
            until = clock::after(FORCED);
            state = self.tasks.state.lock();
        }
        let ended = std::mem::take(&mut state.ended);
        drop(state);
        join(ended);
        left
    }
}

/// Joins threads that are at their end, but for the calling one.
fn join(threads: Vec<JoinHandle<()>>) {
    let own = std::thread::current().id();
    for thread in threads {
        if thread.thread().id() != own {
            let _ = thread.join();
        }
    }
}
