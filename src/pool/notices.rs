//! Who wants to know what happens to the connections.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use crate::connection::cancel::{Notify, Stopped, Until};
use crate::connection::handle::ConnectionId;
use crate::connection::notice::Notice;
use crate::sync::{Condvar, Mutex};

/// Notices that wait for one subscriber; beyond them the oldest ones are given up and counted.
const KEPT: usize = 256;

/// The subscribers of one client.
#[derive(Debug)]
pub(crate) struct Notices<F>(Mutex<Subscribers<F>>);

/// `None`: there will be no more notices.
type Subscribers<F> = Option<Vec<Weak<Queue<F>>>>;

impl<F> Default for Notices<F> {
    fn default() -> Self {
        Self(Mutex::new(Some(Vec::new())))
    }
}

#[derive(Debug)]
struct Queue<F> {
    state: Mutex<State<F>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<F> {
    waiting: VecDeque<(ConnectionId, Notice<F>)>,
    /// How many were given up since the last one was taken.
    missed: u64,
    closed: bool,
}

impl<F: Send> Notify for Queue<F> {
    fn notify(&self) {
        drop(self.state.lock());
        self.changed.notify_all();
    }
}

/// What a subscriber gets.
#[derive(Debug)]
pub(crate) enum Told<F> {
    Notice(ConnectionId, Notice<F>),
    /// So many notices were given up: the subscriber is too slow.
    Missed(u64),
    /// There will be no more.
    Over,
}

impl<F: Clone> Notices<F> {
    pub(crate) fn subscribe(&self) -> Subscription<F> {
        let mut subscribers = self.0.lock();
        let queue = Arc::new(Queue {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                missed: 0,
                closed: subscribers.is_none(),
            }),
            changed: Condvar::new(),
        });
        if let Some(subscribers) = &mut *subscribers {
            subscribers.retain(|one| one.strong_count() > 0);
            subscribers.push(Arc::downgrade(&queue));
        }
        drop(subscribers);
        Subscription(queue)
    }

    pub(crate) fn publish(&self, id: ConnectionId, notice: &Notice<F>) {
        let subscribers: Vec<_> = self
            .0
            .lock()
            .iter()
            .flatten()
            .filter_map(Weak::upgrade)
            .collect();
        for queue in subscribers {
            let mut state = queue.state.lock();
            if state.waiting.len() >= KEPT {
                state.waiting.pop_front();
                state.missed += 1;
            }
            state.waiting.push_back((id, notice.clone()));
            drop(state);
            queue.changed.notify_all();
        }
    }

    /// There will be no more.
    pub(crate) fn close(&self) {
        let subscribers = self.0.lock().take();
        for queue in subscribers.iter().flatten().filter_map(Weak::upgrade) {
            queue.state.lock().closed = true;
            queue.changed.notify_all();
        }
    }
}

/// A subscriber's end.
#[derive(Debug)]
pub(crate) struct Subscription<F>(Arc<Queue<F>>);

impl<F: Send + 'static> Subscription<F> {
    pub(crate) fn next(&self, until: &Until) -> Result<Told<F>, Stopped> {
        let _watch = until.watch(|| Arc::clone(&self.0) as Arc<dyn Notify>);
        let mut state = self.0.state.lock();
        let mut stopped = None;
        loop {
            if state.missed > 0 {
                return Ok(Told::Missed(std::mem::take(&mut state.missed)));
            }
            if let Some((id, notice)) = state.waiting.pop_front() {
                return Ok(Told::Notice(id, notice));
            }
            if state.closed {
                return Ok(Told::Over);
            }
            if let Some(stopped) = stopped {
                return Err(stopped);
            }
            stopped = until.wait(&self.0.changed, &mut state);
        }
    }
}
