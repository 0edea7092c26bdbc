//! Permits: the right to one socket each, first come, first served.
//!
//! Whoever waits stands in one line, threads and background jobs alike. A permit that is given
//! back goes straight to the first in line, so nobody can overtake; only where nobody waits does
//! it become free. A parked connection ("warm") keeps its permit and is handed on together with
//! it. A permit with which the server refused a connection is withheld for a while.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::ledger::{Entry, Ledger};
use crate::connection::cancel::{Notify, Stopped, Until};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Condvar, Mutex, MutexGuard};

/// What a taker gets.
#[derive(Debug)]
pub(crate) enum Grant<W> {
    /// The right to open a connection.
    Fresh(Permit<W>),
    /// A parked connection; it carries its permit.
    Warm(W),
}

/// Why there was nothing to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The deadline passed, or it was only tried.
    NotInTime,
    /// The caller gave up.
    Cancelled,
    /// The quota has been closed.
    Closed,
}

/// A place in the line. Who comes back with it stands where he stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ticket(u64);

/// What a job in line is called for.
pub(crate) enum Call<W> {
    /// Its turn has come.
    Turn(Grant<W>, Ticket),
    /// It was taken out of the line.
    Cancelled,
    /// The quota has been closed.
    Closed,
}

/// Is called once, with no lock held. What it returns goes to the next in line.
pub(crate) type Job<W> = Box<dyn FnOnce(Call<W>) -> Option<Grant<W>> + Send>;

/// A moment, and what to say then.
pub(crate) type Nag<'a> = Option<(Instant, &'a dyn Fn())>;

/// The permits of one client.
pub(crate) struct Quota<W> {
    limit: usize,
    state: Mutex<State<W>>,
    /// Whether permits are withheld, to be known without the lock.
    withholds: AtomicBool,
    pub ledger: Ledger,
}

struct State<W> {
    free: usize,
    /// Permits that nobody may take for a while, the next one until `withheld_until`.
    withheld: usize,
    withheld_until: Option<Instant>,
    warm: Vec<W>,
    /// In the order of the tickets.
    line: VecDeque<Waiter<W>>,
    /// What has been given to threads in line that have not woken up yet.
    granted: HashMap<Ticket, Grant<W>>,
    next_ticket: u64,
    closed: bool,
}

struct Waiter<W> {
    ticket: Ticket,
    called: Called<W>,
}

enum Called<W> {
    Thread(Arc<Condvar>),
    Job(Job<W>),
}

/// What can be granted, before it is.
enum Right<W> {
    Fresh,
    Warm(W),
}

impl<W> State<W> {
    fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    fn take(&mut self) -> Option<Right<W>> {
        if let Some(warm) = self.warm.pop() {
            return Some(Right::Warm(warm));
        }
        self.free = self.free.checked_sub(1)?;
        Some(Right::Fresh)
    }

    fn stand_in_line(&mut self, waiter: Waiter<W>) {
        let at = self.line.partition_point(|one| one.ticket < waiter.ticket);
        self.line.insert(at, waiter);
    }

    fn leave_line(&mut self, ticket: Ticket) -> Option<Waiter<W>> {
        let at = self.line.iter().position(|one| one.ticket == ticket)?;
        self.line.remove(at)
    }
}

/// A thread in line, for those who cancel its wait.
struct Sleeper<W> {
    quota: Arc<Quota<W>>,
    called: Arc<Condvar>,
}

impl<W: Send> Notify for Sleeper<W> {
    fn notify(&self) {
        drop(self.quota.state.lock());
        self.called.notify_all();
    }
}

impl<W: Send + 'static> Quota<W> {
    /// Waits in line. `nag` is called, without any lock, when the wait has lasted until its
    /// moment.
    pub(crate) fn acquire(
        self: &Arc<Self>,
        until: &Until,
        nag: Nag<'_>,
    ) -> Result<(Grant<W>, Ticket), Refused> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        let ticket = state.ticket();
        if state.line.is_empty() {
            if let Some(right) = state.take() {
                drop(state);
                return Ok((self.grant(right), ticket));
            }
        }
        drop(state);
        self.wait(ticket, until, nag).map(|grant| (grant, ticket))
    }

    /// Waits in line again, in the place of before.
    pub(crate) fn acquire_again(
        self: &Arc<Self>,
        ticket: Ticket,
        until: &Until,
        nag: Nag<'_>,
    ) -> Result<Grant<W>, Refused> {
        self.wait(ticket, until, nag)
    }

    fn wait(
        self: &Arc<Self>,
        ticket: Ticket,
        until: &Until,
        mut nag: Nag<'_>,
    ) -> Result<Grant<W>, Refused> {
        let called = Arc::new(Condvar::new());
        let _watch = until.watch(|| {
            Arc::new(Sleeper {
                quota: Arc::clone(self),
                called: Arc::clone(&called),
            })
        });
        let mut state = self.state.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        // It may have become free since the caller looked.
        if state.line.front().is_none_or(|first| first.ticket > ticket) {
            if let Some(right) = state.take() {
                drop(state);
                return Ok(self.grant(right));
            }
        }
        state.stand_in_line(Waiter {
            ticket,
            called: Called::Thread(Arc::clone(&called)),
        });
        loop {
            let nag_at = nag.as_ref().map(|(at, _)| *at);
            let nags_first = match (nag_at, until.moment()) {
                (Some(nag), Some(end)) => nag < end,
                (nag, _) => nag.is_some(),
            };
            let present = if nags_first {
                until.at_most(nag_at)
            } else {
                until.clone()
            };
            let stopped = present.wait(&called, &mut state);
            if let Some(grant) = state.granted.remove(&ticket) {
                return Ok(grant);
            }
            if state.closed {
                state.leave_line(ticket);
                return Err(Refused::Closed);
            }
            match stopped {
                None => {}
                Some(Stopped::Cancelled) => {
                    state.leave_line(ticket);
                    return Err(Refused::Cancelled);
                }
                Some(Stopped::TimedOut) => match nag.take().filter(|_| nags_first) {
                    Some((_, say)) => {
                        drop(state);
                        say();
                        state = self.state.lock();
                        if let Some(grant) = state.granted.remove(&ticket) {
                            return Ok(grant);
                        }
                        if state.closed {
                            return Err(Refused::Closed);
                        }
                    }
                    None => {
                        state.leave_line(ticket);
                        return Err(Refused::NotInTime);
                    }
                },
            }
        }
    }
}

impl<W> Quota<W> {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            state: Mutex::new(State {
                free: limit,
                withheld: 0,
                withheld_until: None,
                warm: Vec::new(),
                line: VecDeque::new(),
                granted: HashMap::new(),
                next_ticket: 0,
                closed: false,
            }),
            withholds: AtomicBool::new(false),
            ledger: Ledger::default(),
        })
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// How many permits there are at present: fewer while some are withheld.
    pub(crate) fn effective(&self) -> usize {
        self.limit - self.state.lock().withheld
    }

    /// How many stand in line.
    pub(crate) fn waiting(&self) -> usize {
        self.state.lock().line.len()
    }

    /// How many connections are parked.
    pub(crate) fn parked(&self) -> usize {
        self.state.lock().warm.len()
    }

    /// Takes a parked connection or a permit if there is one and nobody waits for it.
    pub(crate) fn try_acquire(self: &Arc<Self>) -> Result<Grant<W>, Refused> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        if !state.line.is_empty() {
            return Err(Refused::NotInTime);
        }
        let right = state.take().ok_or(Refused::NotInTime)?;
        drop(state);
        Ok(self.grant(right))
    }

    /// Puts a job in line. Where its turn has come already it is called at once. Refused, and
    /// never called, when the quota has been closed.
    pub(crate) fn enqueue(self: &Arc<Self>, job: Job<W>) -> Result<Ticket, Refused> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        let ticket = state.ticket();
        state.stand_in_line(Waiter {
            ticket,
            called: Called::Job(job),
        });
        let right = if state.line.len() == 1 {
            state.take()
        } else {
            None
        };
        if let Some(right) = right {
            self.pass_on(state, right);
        }
        Ok(ticket)
    }

    /// Takes a job out of the line again; `None`: its turn has come already.
    pub(crate) fn withdraw(&self, ticket: Ticket) -> Option<Job<W>> {
        match self.state.lock().leave_line(ticket)?.called {
            Called::Job(job) => Some(job),
            Called::Thread(_) => None,
        }
    }

    /// Parks a connection for the next taker, or hands it to the first in line. Handed back
    /// when the quota has been closed.
    pub(crate) fn park(self: &Arc<Self>, warm: W) -> Result<(), W> {
        let state = self.state.lock();
        if state.closed {
            return Err(warm);
        }
        self.pass_on(state, Right::Warm(warm));
        Ok(())
    }

    /// Takes a certain parked connection.
    pub(crate) fn take_warm(&self, which: impl FnMut(&W) -> bool) -> Option<W> {
        let mut state = self.state.lock();
        let index = state.warm.iter().position(which)?;
        Some(state.warm.remove(index))
    }

    /// Gives a permit back that nobody gets before `until`.
    pub(crate) fn withhold(self: &Arc<Self>, permit: Permit<W>, until: Instant) {
        if permit.dissolve() {
            let mut state = self.state.lock();
            state.withheld += 1;
            let present = state.withheld_until.get_or_insert(until);
            *present = (*present).max(until);
            self.withholds.store(true, Ordering::SeqCst);
        }
    }

    /// Lets one of the withheld permits go when its time is up, and the next one not before
    /// `next`. Returns when to call again.
    pub(crate) fn release_due(
        self: &Arc<Self>,
        now: Instant,
        next: impl FnOnce() -> Option<Instant>,
    ) -> Option<Instant> {
        if !self.withholds.load(Ordering::SeqCst) {
            return None;
        }
        let mut state = self.state.lock();
        let due = state.withheld_until?;
        if now < due {
            return Some(due);
        }
        state.withheld = state.withheld.saturating_sub(1);
        state.withheld_until = if state.withheld > 0 { next() } else { None };
        let again = state.withheld_until;
        self.withholds.store(again.is_some(), Ordering::SeqCst);
        self.pass_on(state, Right::Fresh);
        again
    }

    /// Refuses everybody from now on, those in line included, and hands out what is parked.
    pub(crate) fn close(&self) -> Vec<W> {
        let mut state = self.state.lock();
        state.closed = true;
        let warm = std::mem::take(&mut state.warm);
        let line = std::mem::take(&mut state.line);
        drop(state);
        for waiter in line {
            match waiter.called {
                Called::Thread(called) => {
                    called.notify_all();
                }
                Called::Job(job) => drop(job(Call::Closed)),
            }
        }
        warm
    }

    fn grant(self: &Arc<Self>, right: Right<W>) -> Grant<W> {
        match right {
            Right::Fresh => Grant::Fresh(Permit::new(Arc::clone(self))),
            Right::Warm(warm) => Grant::Warm(warm),
        }
    }

    fn give_back(self: &Arc<Self>) {
        let mut state = self.state.lock();
        if state.closed {
            state.free += 1;
            return;
        }
        self.pass_on(state, Right::Fresh);
    }

    /// Gives a right to the first in line, or keeps it for the next comer. Jobs are called
    /// without the lock.
    fn pass_on<'a>(self: &'a Arc<Self>, mut state: MutexGuard<'a, State<W>>, right: Right<W>) {
        let mut right = right;
        loop {
            let Some(waiter) = state.line.pop_front() else {
                match right {
                    Right::Fresh => state.free += 1,
                    Right::Warm(warm) => state.warm.push(warm),
                }
                return;
            };
            match waiter.called {
                Called::Thread(called) => {
                    // The permit's entry in the ledger has a lock of its own, taken last.
                    let grant = self.grant(right);
                    state.granted.insert(waiter.ticket, grant);
                    drop(state);
                    called.notify_all();
                    return;
                }
                Called::Job(job) => {
                    drop(state);
                    let grant = self.grant(right);
                    let Some(refused) = job(Call::Turn(grant, waiter.ticket)) else {
                        return;
                    };
                    right = match refused {
                        Grant::Fresh(permit) => {
                            permit.dissolve();
                            Right::Fresh
                        }
                        Grant::Warm(warm) => Right::Warm(warm),
                    };
                    state = self.state.lock();
                    if state.closed {
                        match right {
                            Right::Fresh => state.free += 1,
                            Right::Warm(warm) => {
                                drop(state);
                                drop(warm);
                            }
                        }
                        return;
                    }
                }
            }
        }
    }
}

impl<W> std::fmt::Debug for Quota<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Quota").field("limit", &self.limit).finish()
    }
}

/// The right to one socket, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Permit<W> {
    quota: Option<Arc<Quota<W>>>,
    entry: Entry,
}

impl<W> Permit<W> {
    fn new(quota: Arc<Quota<W>>) -> Self {
        let entry = quota.ledger.enter();
        Self {
            quota: Some(quota),
            entry,
        }
    }

    /// What is known of its use, for explanations.
    pub(crate) fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Ends the permit without giving it back.
    fn dissolve(mut self) -> bool {
        self.quota.take().is_some()
    }
}

impl<W> Drop for Permit<W> {
    fn drop(&mut self) {
        self.entry.leave();
        if let Some(quota) = self.quota.take() {
            quota.give_back();
        }
    }
}

#[cfg(test)]
#[path = "quota_tests.rs"]
mod tests;
