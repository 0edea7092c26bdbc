//! Permits: the right to one socket each, first come, first served.
//!
//! Whoever waits stands in one line. A permit that is given back goes straight to the first
//! in line, so nobody can overtake; only where nobody waits does it become free. A parked
//! connection ("warm") keeps its permit and is handed on together with it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::ledger::{Entry, Ledger};
use crate::sync::{self, Condvar, Mutex, MutexGuard};

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
    /// The quota has been closed.
    Closed,
}

/// The permits of one client.
#[derive(Debug)]
pub(crate) struct Quota<W> {
    limit: usize,
    state: Mutex<State<W>>,
    pub ledger: Ledger,
}

#[derive(Debug)]
struct State<W> {
    free: usize,
    warm: Vec<W>,
    line: VecDeque<Waiter>,
    /// What has been given to those in line who have not woken up yet.
    granted: HashMap<u64, Grant<W>>,
    next_ticket: u64,
    closed: bool,
}

#[derive(Debug)]
struct Waiter {
    ticket: u64,
    called: Arc<Condvar>,
}

impl<W> Quota<W> {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            state: Mutex::new(State {
                free: limit,
                warm: Vec::new(),
                line: VecDeque::new(),
                granted: HashMap::new(),
                next_ticket: 0,
                closed: false,
            }),
            ledger: Ledger::default(),
        })
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
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
        self.take(&mut state).ok_or(Refused::NotInTime)
    }

    /// Waits in line until `deadline`. `nag` is called, without any lock, when the wait has
    /// lasted until its moment.
    pub(crate) fn acquire(
        self: &Arc<Self>,
        deadline: Option<Instant>,
        nag: Option<(Instant, &dyn Fn())>,
    ) -> Result<Grant<W>, Refused> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        if state.line.is_empty() {
            if let Some(grant) = self.take(&mut state) {
                return Ok(grant);
            }
        }
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        let called = Arc::new(Condvar::new());
        state.line.push_back(Waiter {
            ticket,
            called: Arc::clone(&called),
        });
        let mut nag = nag;
        loop {
            let until = match (deadline, nag.as_ref().map(|(at, _)| *at)) {
                (Some(deadline), Some(nag)) => Some(deadline.min(nag)),
                (deadline, nag) => deadline.or(nag),
            };
            let timed_out = sync::wait(&called, &mut state, until);
            if let Some(grant) = state.granted.remove(&ticket) {
                return Ok(grant);
            }
            if state.closed {
                state.line.retain(|waiter| waiter.ticket != ticket);
                return Err(Refused::Closed);
            }
            if !timed_out {
                continue;
            }
            if until == deadline {
                state.line.retain(|waiter| waiter.ticket != ticket);
                return Err(Refused::NotInTime);
            }
            if let Some((_, nag)) = nag.take() {
                drop(state);
                nag();
                state = self.state.lock();
                if let Some(grant) = state.granted.remove(&ticket) {
                    return Ok(grant);
                }
                if state.closed {
                    return Err(Refused::Closed);
                }
            }
        }
    }

    /// Parks a connection for the next taker, or hands it to the first in line. Handed back
    /// when the quota has been closed.
    pub(crate) fn park(&self, warm: W) -> Result<(), W> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(warm);
        }
        match state.line.pop_front() {
            Some(waiter) => hand_over(state, waiter, Grant::Warm(warm)),
            None => state.warm.push(warm),
        }
        Ok(())
    }

    /// Takes a certain parked connection.
    pub(crate) fn take_warm(&self, which: impl Fn(&W) -> bool) -> Option<W> {
        let mut state = self.state.lock();
        let index = state.warm.iter().position(which)?;
        Some(state.warm.remove(index))
    }

    /// Refuses everybody from now on, those in line included, and hands out what is parked.
    pub(crate) fn close(&self) -> Vec<W> {
        let mut state = self.state.lock();
        state.closed = true;
        let warm = std::mem::take(&mut state.warm);
        let line = std::mem::take(&mut state.line);
        drop(state);
        for waiter in line {
            waiter.called.notify_all();
        }
        warm
    }

    fn take(self: &Arc<Self>, state: &mut State<W>) -> Option<Grant<W>> {
        if let Some(warm) = state.warm.pop() {
            return Some(Grant::Warm(warm));
        }
        state.free = state.free.checked_sub(1)?;
        Some(Grant::Fresh(Permit::new(Arc::clone(self))))
    }

    fn give_back(self: &Arc<Self>) {
        let mut state = self.state.lock();
        if state.closed {
            state.free += 1;
            return;
        }
        match state.line.pop_front() {
            Some(waiter) => {
                let permit = Permit::new(Arc::clone(self));
                hand_over(state, waiter, Grant::Fresh(permit));
            }
            None => state.free += 1,
        }
    }
}

fn hand_over<W>(mut state: MutexGuard<'_, State<W>>, waiter: Waiter, grant: Grant<W>) {
    state.granted.insert(waiter.ticket, grant);
    drop(state);
    waiter.called.notify_all();
}

/// The right to one socket, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Permit<W> {
    quota: Arc<Quota<W>>,
    entry: Entry,
}

impl<W> Permit<W> {
    fn new(quota: Arc<Quota<W>>) -> Self {
        let entry = quota.ledger.enter();
        Self { quota, entry }
    }

    /// What is known of its use, for explanations.
    pub(crate) fn entry(&self) -> &Entry {
        &self.entry
    }
}

impl<W> Drop for Permit<W> {
    fn drop(&mut self) {
        self.entry.leave();
        self.quota.give_back();
    }
}

#[cfg(test)]
#[path = "quota_tests.rs"]
mod tests;
