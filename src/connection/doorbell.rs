//! Wakes a connection thread, and only if it sleeps.

use crate::sync::atomic::{AtomicBool, Ordering};

/// Interrupts the wait of the thread that owns the readiness loop.
pub(crate) trait Wake {
    fn wake(&self);
}

impl Wake for mio::Waker {
    fn wake(&self) {
        if let Err(error) = mio::Waker::wake(self) {
            log::error!("a connection thread could not be woken: {error}");
        }
    }
}

/// A waker that costs a system call only when the thread is about to sleep.
///
/// The sleeper calls [`Doorbell::going_to_sleep`], looks at its queue once more, and sleeps
/// if it is still empty. A sender puts its item into the queue first and rings afterwards.
/// One of the two sees the other, so no item is left lying while the thread sleeps.
#[derive(Debug)]
pub(crate) struct Doorbell<W> {
    asleep: AtomicBool,
    waker: W,
}

impl<W: Wake> Doorbell<W> {
    pub(crate) fn new(waker: W) -> Self {
        Self {
            asleep: AtomicBool::new(false),
            waker,
        }
    }

    pub(crate) fn ring(&self) {
        if self.asleep.swap(false, Ordering::SeqCst) {
            self.waker.wake();
        }
    }

    /// Wakes the thread now, or keeps it from its next sleep.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    pub(crate) fn going_to_sleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
    }

    pub(crate) fn awake(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }
}

#[cfg(all(test, shuttle))]
mod model {
    use super::*;
    use crate::sync::{Condvar, Mutex};
    use shuttle::sync::Arc;
    use std::collections::VecDeque;

    #[derive(Default)]
    struct Event {
        set: Mutex<bool>,
        changed: Condvar,
    }

    impl Wake for Arc<Event> {
        fn wake(&self) {
            *self.set.lock() = true;
            self.changed.notify_one();
        }
    }

    /// Two senders, one sleeper that takes four items: a lost wake-up is a deadlock, which
    /// the model checker reports.
    #[test]
    fn model_no_wake_up_is_lost() {
        shuttle::check_random(
            || {
                let event = Arc::new(Event::default());
                let bell = Arc::new(Doorbell::new(event.clone()));
                let queue = Arc::new(Mutex::new(VecDeque::new()));
                let senders: Vec<_> = (0..2)
                    .map(|sender| {
                        let (bell, queue) = (bell.clone(), queue.clone());
                        shuttle::thread::spawn(move || {
                            for item in 0..2 {
                                queue.lock().push_back((sender, item));
                                bell.ring();
                            }
                        })
                    })
                    .collect();
                let mut taken = 0;
                while taken < 4 {
                    if queue.lock().pop_front().is_some() {
                        taken += 1;
                        continue;
                    }
                    bell.going_to_sleep();
                    if queue.lock().is_empty() {
                        let mut set = event.set.lock();
                        while !*set {
                            event.changed.wait(&mut set);
                        }
                        *set = false;
                    }
                    bell.awake();
                }
                for sender in senders {
                    sender.join().unwrap();
                }
            },
            5_000,
        );
    }
}
