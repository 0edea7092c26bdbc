//! Giving up from another thread.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::clock::{self, earlier};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};

/// Ends blocking calls from another thread.
///
/// A token is a cheap handle: clones are the same token. Calls take it through a view of their
/// client, `with_cancel(&token)`; from [`cancel`](Self::cancel) on they fail with
/// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled), those that wait already and those to
/// come. A cancelled token stays cancelled.
///
/// # Examples
/// ```
/// use mailpool::CancelToken;
///
/// let all = CancelToken::new();
/// let (one, other) = (all.child(), all.child());
/// one.cancel();
/// assert!(one.is_cancelled() && !other.is_cancelled());
/// all.cancel();
/// assert!(other.is_cancelled());
/// ```
#[derive(Clone)]
pub struct CancelToken(Arc<Inner>);

struct Inner {
    /// Set before anybody is woken; never taken back.
    cancelled: AtomicBool,
    state: Mutex<State>,
    /// Its parents, and what it is called there.
    parents: Vec<(CancelToken, u64)>,
}

#[derive(Default)]
struct State {
    /// When it counts as cancelled by itself: its own time or an ancestor's.
    deadline: Option<Instant>,
    next_key: u64,
    waiters: BTreeMap<u64, Arc<dyn Notify>>,
    children: BTreeMap<u64, Weak<Inner>>,
}

impl State {
    fn key(&mut self) -> u64 {
        self.next_key += 1;
        self.next_key
    }
}

/// Somebody who waits for a condition under a lock. To notify takes that lock for a moment, so
/// that nobody can be between his last look and his sleep.
pub(crate) trait Notify: Send + Sync {
    fn notify(&self);
}

impl Drop for Inner {
    fn drop(&mut self) {
        // One after the other and not each inside its child's: a chain may be long, and the stack
        // is not.
        let mut parents = std::mem::take(&mut self.parents);
        while let Some((parent, key)) = parents.pop() {
            parent.0.state.lock().children.remove(&key);
            if let Some(mut last) = Arc::into_inner(parent.0) {
                parents.append(&mut last.parents);
            }
        }
    }
}

impl Default for CancelToken {
    fn default() -> Self {
        Self::new()
    }
}

impl CancelToken {
    /// A token of its own.
    pub fn new() -> Self {
        Self::linked([])
    }

    /// A token that is cancelled with this one, and can be cancelled without it.
    #[must_use = "the child is the new token"]
    pub fn child(&self) -> Self {
        Self::linked([self])
    }

    /// A token that is cancelled with any of `parents`.
    #[must_use = "the child is the new token"]
    pub fn linked<'a>(parents: impl IntoIterator<Item = &'a Self>) -> Self {
        // The links need the child, and the child its links: the keys are settled first.
        let parents: Vec<(Self, u64)> = parents
            .into_iter()
            .map(|parent| (parent.clone(), parent.0.state.lock().key()))
            .collect();
        let child = Self(Arc::new(Inner {
            cancelled: AtomicBool::new(false),
            state: Mutex::new(State::default()),
            parents,
        }));
        for (parent, key) in &child.0.parents {
            let mut state = parent.0.state.lock();
            state.children.insert(*key, Arc::downgrade(&child.0));
            let deadline = state.deadline;
            drop(state);
            if let Some(deadline) = deadline {
                child.cancel_at(deadline);
            }
            // Cancelled before the child was there to be told.
            if parent.0.cancelled.load(Ordering::SeqCst) {
                child.cancel();
            }
        }
        child
    }

    /// Cancels the token and those that descend from it. Whoever waits with one of them is woken
    /// now; nothing is waited for.
    pub fn cancel(&self) {
        self.descend(|inner| !inner.cancelled.swap(true, Ordering::SeqCst));
    }

    /// Cancels the token `delay` from now, unless it is cancelled before. Of several delays the
    /// one that ends first counts.
    pub fn cancel_after(&self, delay: Duration) {
        if let Some(deadline) = clock::after(delay) {
            self.cancel_at(deadline);
        }
    }

    /// Whether the token is cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::SeqCst)
            || self
                .deadline()
                .is_some_and(|deadline| clock::now() >= deadline)
    }

    /// The same at a certain moment.
    pub(crate) fn cancel_at(&self, deadline: Instant) {
        self.descend(|inner| {
            let mut state = inner.state.lock();
            let before = state.deadline;
            state.deadline = earlier(before, Some(deadline));
            state.deadline != before
        });
    }

    /// When the token is cancelled by itself.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.state.lock().deadline
    }

    /// Changes this token and its descendants, and has those who wait look again. No lock is
    /// held while they are notified. Below a token that does not change, as one that is reached
    /// for the second time, nothing does.
    fn descend(&self, change: impl Fn(&Inner) -> bool) {
        let mut next = vec![Arc::clone(&self.0)];
        while let Some(inner) = next.pop() {
            if !change(&inner) {
                continue;
            }
            let state = inner.state.lock();
            let waiters: Vec<_> = state.waiters.values().cloned().collect();
            next.extend(state.children.values().filter_map(Weak::upgrade));
            drop(state);
            for waiter in waiters {
                waiter.notify();
            }
        }
    }

    /// Has `waiter` notified when something changes, until the guard is dropped.
    pub(crate) fn watch(&self, waiter: Arc<dyn Notify>) -> Watch {
        let mut state = self.0.state.lock();
        let key = state.key();
        state.waiters.insert(key, waiter);
        drop(state);
        Watch {
            token: self.clone(),
            key,
        }
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken")
            .field("cancelled", &self.is_cancelled())
            .finish()
    }
}

/// Takes a waiter off the token's list.
pub(crate) struct Watch {
    token: CancelToken,
    key: u64,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.token.0.state.lock().waiters.remove(&self.key);
    }
}

thread_local! {
    /// The token of the job that this thread carries out.
    static AMBIENT: RefCell<Option<CancelToken>> = const { RefCell::new(None) };
}

/// The token of the job that the calling thread carries out, if it does.
pub(crate) fn ambient() -> Option<CancelToken> {
    AMBIENT
        .try_with(|ambient| ambient.borrow().clone())
        .ok()
        .flatten()
}

/// From now on this thread's calls end with `token`, until the guard is dropped.
pub(crate) fn set_ambient(token: CancelToken) -> Ambient {
    let before = AMBIENT.try_with(|ambient| ambient.replace(Some(token)));
    Ambient {
        before: before.ok().flatten(),
        _bound: std::marker::PhantomData,
    }
}

/// Puts the thread's token back that was there before.
pub(crate) struct Ambient {
    before: Option<CancelToken>,
    /// Belongs to its thread.
    _bound: std::marker::PhantomData<*const ()>,
}

impl Drop for Ambient {
    fn drop(&mut self) {
        let before = self.before.take();
        let _ = AMBIENT.try_with(|ambient| ambient.replace(before));
    }
}

/// How long a wait may last: until a moment, and until somebody cancels it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Until {
    deadline: Option<Instant>,
    tokens: Vec<CancelToken>,
}

/// What ended a wait before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    TimedOut,
    Cancelled,
}

impl Until {
    /// A wait that lasts until `deadline`, or for ever.
    pub(crate) fn deadline(deadline: Option<Instant>) -> Self {
        Self {
            deadline,
            tokens: Vec::new(),
        }
    }

    /// The same wait, which also ends with `token`.
    pub(crate) fn with(mut self, token: Option<CancelToken>) -> Self {
        self.tokens.extend(token);
        self
    }

    /// The same wait, which also ends at `deadline`.
    pub(crate) fn at_most(&self, deadline: Option<Instant>) -> Self {
        Self {
            deadline: earlier(self.deadline, deadline),
            tokens: self.tokens.clone(),
        }
    }

    /// When its time is up, as far as it is known now.
    pub(crate) fn moment(&self) -> Option<Instant> {
        let tokens = self.tokens.iter().filter_map(CancelToken::deadline).min();
        earlier(self.deadline, tokens)
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.tokens.iter().any(CancelToken::is_cancelled)
    }

    /// Whether it is over already.
    pub(crate) fn stopped(&self) -> Option<Stopped> {
        if self.is_cancelled() {
            return Some(Stopped::Cancelled);
        }
        let late = self.deadline.is_some_and(|at| clock::now() >= at);
        late.then_some(Stopped::TimedOut)
    }

    /// Has the waiter notified when one of the tokens is cancelled, until the guards are
    /// dropped. It must be called before the waiter looks at its condition.
    pub(crate) fn watch(&self, waiter: impl Fn() -> Arc<dyn Notify>) -> Vec<Watch> {
        let tokens = self.tokens.iter();
        tokens.map(|token| token.watch(waiter())).collect()
    }

    /// Waits once. `None`: look at the condition again.
    pub(crate) fn wait<T>(
        &self,
        condvar: &crate::sync::Condvar,
        guard: &mut crate::sync::MutexGuard<'_, T>,
    ) -> Option<Stopped> {
        if self.is_cancelled() {
            return Some(Stopped::Cancelled);
        }
        let of_tokens = self.tokens.iter().filter_map(CancelToken::deadline).min();
        let until = earlier(self.deadline, of_tokens);
        let late = crate::sync::wait(condvar, guard, until);
        if self.is_cancelled() {
            return Some(Stopped::Cancelled);
        }
        late.then_some(if until == self.deadline {
            Stopped::TimedOut
        } else {
            Stopped::Cancelled
        })
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_cancelled_with_any_of_its_parents_and_not_the_other_way_round() {
        let (one, other) = (CancelToken::new(), CancelToken::new());
        let linked = CancelToken::linked([&one, &other]);
        let grandchild = linked.child();
        let sibling = one.child();
        grandchild.cancel();
        assert!(grandchild.is_cancelled() && !linked.is_cancelled());
        other.cancel();
        assert!(linked.is_cancelled() && !one.is_cancelled() && !sibling.is_cancelled());
        assert!(other.child().is_cancelled(), "a late child is told at once");
    }

    #[test]
    fn a_delay_reaches_descendants_born_before_and_after_it() {
        let token = CancelToken::new();
        let before = token.child();
        token.cancel_after(Duration::from_secs(3600));
        token.cancel_after(Duration::ZERO);
        token.cancel_after(Duration::from_secs(3600));
        assert!(token.is_cancelled() && before.is_cancelled() && token.child().is_cancelled());
    }

    #[test]
    fn tokens_that_are_gone_leave_nothing_behind() {
        struct Nobody;
        impl Notify for Nobody {
            fn notify(&self) {}
        }
        let token = CancelToken::new();
        for _ in 0..100 {
            drop(token.child());
            drop(token.watch(Arc::new(Nobody)));
        }
        let state = token.0.state.lock();
        assert!(state.children.is_empty() && state.waiters.is_empty());
    }

    #[test]
    fn a_long_chain_of_tokens_is_cancelled_and_dropped_without_a_deep_stack() {
        let first = CancelToken::new();
        let mut last = first.child();
        for _ in 0..200_000 {
            last = last.child();
        }
        first.cancel();
        assert!(last.is_cancelled());
        drop(last);
        assert!(first.0.state.lock().children.is_empty());
    }

    #[test]
    fn a_job_has_its_token_only_while_it_runs() {
        let (outer, inner) = (CancelToken::new(), CancelToken::new());
        let first = set_ambient(outer.clone());
        let second = set_ambient(inner.clone());
        inner.cancel();
        assert!(ambient().unwrap().is_cancelled());
        drop(second);
        assert!(!ambient().unwrap().is_cancelled());
        drop(first);
        assert!(ambient().is_none());
    }
}

#[cfg(all(test, shuttle))]
mod model {
    use super::*;
    use crate::sync::Condvar;

    struct Waiter {
        ready: Mutex<bool>,
        changed: Condvar,
    }

    impl Notify for Waiter {
        fn notify(&self) {
            drop(self.ready.lock());
            self.changed.notify_all();
        }
    }

    /// Whoever waits without a deadline is woken, whenever the token is cancelled: a lost
    /// wake-up is a deadlock, which the model checker reports.
    #[test]
    fn model_a_cancelled_wait_ends() {
        shuttle::check_random(
            || {
                let parent = CancelToken::new();
                let token = parent.child();
                let waiter = Arc::new(Waiter {
                    ready: Mutex::new(false),
                    changed: Condvar::new(),
                });
                let waiting = {
                    let (token, waiter) = (token.clone(), waiter.clone());
                    shuttle::thread::spawn(move || {
                        let until = Until::default().with(Some(token));
                        let _watch = until.watch(|| waiter.clone());
                        let mut ready = waiter.ready.lock();
                        loop {
                            if *ready {
                                return;
                            }
                            if let Some(stopped) = until.wait(&waiter.changed, &mut ready) {
                                assert_eq!(stopped, Stopped::Cancelled);
                                return;
                            }
                        }
                    })
                };
                let late = shuttle::thread::spawn(move || drop(token.child()));
                parent.cancel();
                waiting.join().unwrap();
                late.join().unwrap();
            },
            5_000,
        );
    }
}
