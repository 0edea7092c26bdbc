//! Where a reply waits for its caller.
//!
//! One slot belongs to one operation. The connection thread holds a [`Promise`], the caller
//! a [`Reply`]; whichever side goes away first, the other is told.

use std::collections::VecDeque;
use std::sync::Arc;

use super::cancel::{Notify, Stopped, Until};
use crate::sync::atomic::{AtomicU8, Ordering};
use crate::sync::{Condvar, Mutex};

/// Not written yet: it may still be withdrawn.
const QUEUED: u8 = 0;
/// Bytes of it have gone out, or may have.
const WRITTEN: u8 = 1;
/// The caller gave up before anything was written.
const WITHDRAWN: u8 = 2;
/// The caller gave up after it was written; the reply is dropped when it comes.
const ABANDONED: u8 = 3;

/// How far an operation had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The server has not seen any of it.
    NotWritten,
    /// The server may have carried it out.
    Written,
}

/// What ends a wait.
#[derive(Debug)]
pub(crate) enum Event<T, E, F> {
    Part(T),
    End(Result<E, F>),
    /// The wait is over; the operation goes on.
    Stopped(Stopped),
    /// The end has been taken already.
    Nothing,
}

/// What became of a part.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pushed {
    /// How many bytes now wait for the caller.
    pub total: usize,
    /// The caller sleeps until [`Promise::wake`] or the end.
    pub awaited: bool,
}

/// Tells the connection that a paused reader has room again.
pub(crate) trait Resume<F>: Send + Sync {
    fn resume(&self);
    /// While the connection is lost: how many attempts to connect have failed, and why the last
    /// one did.
    fn trouble(&self) -> Option<(u32, F)>;
}

struct Slot<T, E, F> {
    state: AtomicU8,
    inner: Mutex<Inner<T, E, F>>,
    changed: Condvar,
}

struct Inner<T, E, F> {
    parts: VecDeque<T>,
    /// Memory that `parts` hold on to, in bytes.
    weight: usize,
    end: Option<Result<E, F>>,
    ended: bool,
    waiting: bool,
    /// The connection has stopped reading until this slot has room.
    paused: bool,
}

impl<T: Send, E: Send, F: Send> Notify for Slot<T, E, F> {
    fn notify(&self) {
        drop(self.inner.lock());
        self.changed.notify_all();
    }
}

/// Makes the two ends of a slot.
///
/// `dropped` is what the caller is told if the promise goes away unfulfilled.
pub(crate) fn slot<T, E, F>(dropped: F) -> (Promise<T, E, F>, Reply<T, E, F>) {
    let slot = Arc::new(Slot {
        state: AtomicU8::new(QUEUED),
        inner: Mutex::new(Inner {
            parts: VecDeque::new(),
            weight: 0,
            end: None,
            ended: false,
            waiting: false,
            paused: false,
        }),
        changed: Condvar::new(),
    });
    let promise = Promise {
        slot: Arc::clone(&slot),
        dropped: Some(dropped),
    };
    let reply = Reply {
        slot,
        taken: VecDeque::new(),
        resume: None,
        over: false,
    };
    (promise, reply)
}

/// The connection's end of a slot.
pub(crate) struct Promise<T, E, F> {
    slot: Arc<Slot<T, E, F>>,
    dropped: Option<F>,
}

impl<T, E, F> Promise<T, E, F> {
    /// The operation is about to be written. `false`: the caller gave up, write nothing.
    pub(crate) fn commit(&self) -> bool {
        let written =
            self.slot
                .state
                .compare_exchange(QUEUED, WRITTEN, Ordering::SeqCst, Ordering::SeqCst);
        written.is_ok() || written == Err(WRITTEN)
    }

    /// Takes [`Promise::commit`] back: it is known that the operation has had no effect.
    pub(crate) fn uncommit(&self) {
        let state = &self.slot.state;
        let _ = state.compare_exchange(WRITTEN, QUEUED, Ordering::SeqCst, Ordering::SeqCst);
    }

    pub(crate) fn is_wanted(&self) -> bool {
        matches!(self.slot.state.load(Ordering::SeqCst), QUEUED | WRITTEN)
    }

    /// Delivers a part. The caller is not woken by it: whoever delivers parts calls
    /// [`Promise::wake`] when there are no more for now, so that one wake-up serves them all.
    pub(crate) fn push(&self, part: T, weight: usize) -> Pushed {
        let mut pushed = Pushed::default();
        if !self.is_wanted() {
            return pushed;
        }
        let mut inner = self.slot.inner.lock();
        if inner.ended {
            return pushed;
        }
        inner.parts.push_back(part);
        inner.weight += weight;
        pushed.total = inner.weight;
        pushed.awaited = inner.waiting;
        pushed
    }

    /// Wakes the caller if it waits for what has been pushed.
    pub(crate) fn wake(&self) {
        let mut inner = self.slot.inner.lock();
        let notify = !inner.parts.is_empty() && std::mem::take(&mut inner.waiting);
        drop(inner);
        if notify {
            self.slot.changed.notify_all();
        }
    }

    /// Asks to be resumed when the caller has taken what waits. Returns `false` if less than
    /// `window` bytes wait, so that there is no reason to pause.
    pub(crate) fn pause(&self, window: usize) -> bool {
        let mut inner = self.slot.inner.lock();
        inner.paused = inner.weight >= window && !inner.ended && self.is_wanted();
        inner.paused
    }

    /// Ends the operation.
    pub(crate) fn finish(mut self, end: Result<E, F>) {
        self.dropped = None;
        self.end(end);
    }

    /// Ends the operation for the caller while the connection still has to deal with it.
    pub(crate) fn end_early(&mut self, failure: F) {
        self.dropped = None;
        self.end(Err(failure));
        // Nobody waits for the rest: a server that stays silent is left in the end.
        self.slot.state.store(ABANDONED, Ordering::SeqCst);
    }

    fn end(&self, end: Result<E, F>) {
        let mut inner = self.slot.inner.lock();
        if inner.ended {
            return;
        }
        inner.ended = true;
        inner.end = Some(end);
        let notify = std::mem::take(&mut inner.waiting);
        drop(inner);
        if notify {
            self.slot.changed.notify_all();
        }
    }
}

impl<T, E, F> Drop for Promise<T, E, F> {
    fn drop(&mut self) {
        if let Some(failure) = self.dropped.take() {
            self.end(Err(failure));
        }
    }
}

/// The caller's end of a slot. Dropping it gives the operation up.
pub(crate) struct Reply<T, E, F> {
    slot: Arc<Slot<T, E, F>>,
    taken: VecDeque<T>,
    resume: Option<Arc<dyn Resume<F>>>,
    over: bool,
}

impl<T, E, F> Reply<T, E, F> {
    /// Whom to tell when there is room again.
    pub(crate) fn resume_with(mut self, resume: Arc<dyn Resume<F>>) -> Self {
        self.resume = Some(resume);
        self
    }

    /// Waits for the next part or the end.
    pub(crate) fn next(&mut self, until: &Until) -> Event<T, E, F>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: Send + 'static,
    {
        if let Some(part) = self.taken.pop_front() {
            return Event::Part(part);
        }
        let _watch = until.watch(|| Arc::clone(&self.slot) as Arc<dyn Notify>);
        let mut inner = self.slot.inner.lock();
        loop {
            if !inner.parts.is_empty() {
                std::mem::swap(&mut self.taken, &mut inner.parts);
                inner.weight = 0;
                let resume = std::mem::take(&mut inner.paused);
                drop(inner);
                if resume {
                    self.tell_resume();
                }
                return match self.taken.pop_front() {
                    Some(part) => Event::Part(part),
                    None => Event::Nothing,
                };
            }
            if inner.ended {
                self.over = true;
                return inner.end.take().map_or(Event::Nothing, Event::End);
            }
            inner.waiting = true;
            if let Some(stopped) = until.wait(&self.slot.changed, &mut inner) {
                if inner.parts.is_empty() && !inner.ended {
                    inner.waiting = false;
                    return Event::Stopped(stopped);
                }
            }
        }
    }

    /// How far the operation has come.
    pub(crate) fn progress(&self) -> Progress {
        match self.slot.state.load(Ordering::SeqCst) {
            QUEUED | WITHDRAWN => Progress::NotWritten,
            _ => Progress::Written,
        }
    }

    /// Gives the operation up. What has not been written never will be.
    pub(crate) fn abandon(&mut self) -> Progress {
        let state = &self.slot.state;
        let withdrawn =
            state.compare_exchange(QUEUED, WITHDRAWN, Ordering::SeqCst, Ordering::SeqCst);
        match withdrawn {
            Ok(_) | Err(WITHDRAWN) => {}
            Err(_) => state.store(ABANDONED, Ordering::SeqCst),
        }
        let mut inner = self.slot.inner.lock();
        let parts = std::mem::take(&mut inner.parts);
        inner.weight = 0;
        inner.paused = false;
        let ended = inner.ended;
        drop(inner);
        drop(parts);
        self.taken.clear();
        if !ended && !self.over {
            self.tell_resume();
        }
        self.over = true;
        match withdrawn {
            Ok(_) | Err(WITHDRAWN) => Progress::NotWritten,
            Err(_) => Progress::Written,
        }
    }

    /// While the connection is lost: how many attempts to connect have failed, and why the last
    /// one did.
    pub(crate) fn trouble(&self) -> Option<(u32, F)> {
        self.resume.as_ref()?.trouble()
    }

    /// Has the connection look at what is due.
    pub(crate) fn nudge(&self) {
        self.tell_resume();
    }

    fn tell_resume(&self) {
        if let Some(resume) = &self.resume {
            resume.resume();
        }
    }
}

impl<T, E, F> Drop for Reply<T, E, F> {
    fn drop(&mut self) {
        if !self.over {
            self.abandon();
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    type Pair = (
        Promise<u8, &'static str, &'static str>,
        Reply<u8, &'static str, &'static str>,
    );

    fn pair() -> Pair {
        slot("dropped")
    }

    #[test]
    fn parts_come_in_order_before_the_end() {
        let (promise, mut reply) = pair();
        promise.push(1, 1);
        promise.push(2, 1);
        promise.finish(Ok("end"));
        assert!(matches!(reply.next(&Until::default()), Event::Part(1)));
        assert!(matches!(reply.next(&Until::default()), Event::Part(2)));
        assert!(matches!(
            reply.next(&Until::default()),
            Event::End(Ok("end"))
        ));
        assert!(matches!(reply.next(&Until::default()), Event::Nothing));
    }

    #[test]
    fn a_promise_that_goes_away_fails_the_caller() {
        let (promise, mut reply) = pair();
        drop(promise);
        assert!(matches!(
            reply.next(&Until::default()),
            Event::End(Err("dropped"))
        ));
    }

    #[test]
    fn withdrawn_before_it_was_written_it_is_never_written() {
        let (promise, mut reply) = pair();
        assert_eq!(reply.abandon(), Progress::NotWritten);
        assert!(!promise.commit());
    }

    #[test]
    fn given_up_after_it_was_written_it_may_have_happened() {
        let (promise, mut reply) = pair();
        assert!(promise.commit());
        assert_eq!(reply.abandon(), Progress::Written);
        assert!(!promise.is_wanted());
        assert_eq!(promise.push(1, 100).total, 0);
    }

    #[test]
    fn a_full_slot_pauses_until_it_is_read() {
        struct Count(std::sync::atomic::AtomicUsize);
        impl Resume<&'static str> for Count {
            fn resume(&self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }

            fn trouble(&self) -> Option<(u32, &'static str)> {
                None
            }
        }
        let count = Arc::new(Count(std::sync::atomic::AtomicUsize::new(0)));
        let (promise, reply) = pair();
        let mut reply = reply.resume_with(count.clone());
        assert!(!promise.pause(10));
        promise.push(1, 10);
        assert!(promise.pause(10));
        assert!(matches!(reply.next(&Until::default()), Event::Part(1)));
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert!(!promise.pause(10));
    }
}

#[cfg(all(test, shuttle))]
mod model {
    use super::*;

    /// A caller that gives up races with the connection that commits: exactly one wins, and
    /// what the caller is told is true.
    #[test]
    fn model_withdrawal_and_writing_exclude_each_other() {
        shuttle::check_random(
            || {
                let (promise, mut reply) = slot::<u8, (), ()>(());
                let connection = shuttle::thread::spawn(move || {
                    let written = promise.commit();
                    if written {
                        promise.push(1, 1);
                        promise.finish(Ok(()));
                    }
                    written
                });
                let progress = reply.abandon();
                let written = connection.join().unwrap();
                assert_eq!(written, progress == Progress::Written);
            },
            5_000,
        );
    }

    /// No part and no end is missed, whenever the caller starts to wait.
    #[test]
    fn model_a_waiting_caller_is_always_woken() {
        shuttle::check_random(
            || {
                let (promise, mut reply) = slot::<u8, (), ()>(());
                let connection = shuttle::thread::spawn(move || {
                    promise.push(1, 1);
                    promise.wake();
                    promise.push(2, 1);
                    promise.push(3, 1);
                    promise.finish(Ok(()));
                });
                let mut parts = Vec::new();
                loop {
                    match reply.next(&Until::default()) {
                        Event::Part(part) => parts.push(part),
                        Event::End(Ok(())) => break,
                        _ => unreachable!("nothing else happens here"),
                    }
                }
                assert_eq!(parts, [1, 2, 3]);
                connection.join().unwrap();
            },
            5_000,
        );
    }
}
