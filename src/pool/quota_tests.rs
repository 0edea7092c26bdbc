use super::*;

#[cfg(not(shuttle))]
mod plain {
    use super::*;
    use std::sync::mpsc;

    /// Waits until `condition` holds: the threads under test make it come true.
    fn until(condition: impl Fn() -> bool) {
        let deadline = crate::connection::clock::now() + std::time::Duration::from_secs(20);
        while !condition() {
            assert!(crate::connection::clock::now() < deadline, "never happened");
            std::thread::yield_now();
        }
    }

    #[test]
    fn permits_run_out_and_come_back() {
        let quota: Arc<Quota<()>> = Quota::new(2);
        let one = quota.try_acquire().unwrap();
        let two = quota.try_acquire().unwrap();
        assert_eq!(quota.try_acquire().unwrap_err(), Refused::NotInTime);
        drop(one);
        let three = quota.try_acquire().unwrap();
        assert_eq!(quota.try_acquire().unwrap_err(), Refused::NotInTime);
        assert_eq!(quota.ledger.holders().len(), 2);
        drop((two, three));
        assert!(quota.ledger.holders().is_empty());
    }

    #[test]
    fn those_in_line_are_served_in_their_order_and_nobody_overtakes() {
        let quota: Arc<Quota<()>> = Quota::new(1);
        let first = quota.try_acquire().unwrap();
        let (sender, order) = mpsc::channel();
        let threads: Vec<_> = (0..8)
            .map(|number| {
                let (thread_quota, sender) = (Arc::clone(&quota), sender.clone());
                let thread = std::thread::spawn(move || {
                    let grant = thread_quota.acquire(None, None).unwrap();
                    sender.send(number).unwrap();
                    drop(grant);
                });
                until(|| quota.waiting() == number + 1);
                thread
            })
            .collect();
        assert_eq!(quota.try_acquire().unwrap_err(), Refused::NotInTime);
        drop(first);
        for thread in threads {
            thread.join().unwrap();
        }
        drop(sender);
        assert_eq!(order.iter().collect::<Vec<_>>(), (0..8).collect::<Vec<_>>());
    }

    #[test]
    fn a_wait_that_times_out_leaves_the_line() {
        let quota: Arc<Quota<()>> = Quota::new(1);
        let first = quota.try_acquire().unwrap();
        let now = crate::connection::clock::now();
        assert_eq!(
            quota.acquire(Some(now), None).unwrap_err(),
            Refused::NotInTime
        );
        assert_eq!(quota.waiting(), 0);
        drop(first);
        assert!(quota.try_acquire().is_ok());
    }

    #[test]
    fn a_long_wait_is_explained_once() {
        let quota: Arc<Quota<()>> = Quota::new(1);
        let first = quota.try_acquire().unwrap();
        let nags = std::cell::Cell::new(0);
        let now = crate::connection::clock::now();
        let deadline = now + std::time::Duration::from_millis(20);
        let refused = quota
            .acquire(Some(deadline), Some((now, &|| nags.set(nags.get() + 1))))
            .unwrap_err();
        assert_eq!((refused, nags.get()), (Refused::NotInTime, 1));
        drop(first);
    }

    #[test]
    fn closing_while_a_wait_is_explained_is_noticed() {
        let quota: Arc<Quota<()>> = Quota::new(1);
        let first = quota.try_acquire().unwrap();
        let now = crate::connection::clock::now();
        let close = || drop(quota.close());
        let refused = quota.acquire(None, Some((now, &close))).unwrap_err();
        assert_eq!(refused, Refused::Closed);
        drop(first);
    }

    #[test]
    fn closing_wakes_everybody_up() {
        let quota: Arc<Quota<()>> = Quota::new(1);
        let first = quota.try_acquire().unwrap();
        let waiter = {
            let quota = Arc::clone(&quota);
            std::thread::spawn(move || quota.acquire(None, None).map(drop))
        };
        until(|| quota.waiting() == 1);
        quota.close();
        assert_eq!(waiter.join().unwrap(), Err(Refused::Closed));
        assert_eq!(quota.try_acquire().unwrap_err(), Refused::Closed);
        drop(first);
    }
}

#[cfg(shuttle)]
mod model {
    use super::*;
    use shuttle::sync::atomic::{AtomicUsize, Ordering};

    /// Three threads, one permit, some of which give up: at most one holds it at a time, all
    /// of those who wait get it, and it is free at the end.
    #[test]
    fn model_permits_are_neither_lost_nor_doubled() {
        shuttle::check_random(
            || {
                let quota: Arc<Quota<()>> = Quota::new(1);
                let held = Arc::new(AtomicUsize::new(0));
                let threads: Vec<_> = (0..3)
                    .map(|number| {
                        let (quota, held) = (Arc::clone(&quota), Arc::clone(&held));
                        shuttle::thread::spawn(move || {
                            // The model lets any deadline pass or not.
                            let deadline = (number == 0).then(crate::connection::clock::now);
                            match quota.acquire(deadline, None) {
                                Ok(grant) => {
                                    assert_eq!(held.fetch_add(1, Ordering::SeqCst), 0);
                                    shuttle::thread::yield_now();
                                    held.fetch_sub(1, Ordering::SeqCst);
                                    drop(grant);
                                }
                                Err(refused) => assert_eq!(refused, Refused::NotInTime),
                            }
                        })
                    })
                    .collect();
                for thread in threads {
                    thread.join().unwrap();
                }
                assert_eq!(quota.waiting(), 0);
                assert!(matches!(quota.try_acquire(), Ok(Grant::Fresh(_))));
            },
            10_000,
        );
    }

    struct Warm(Option<Permit<Warm>>);

    /// Connections that are parked reach those who wait, and the permits with them.
    #[test]
    fn model_parked_connections_reach_those_in_line() {
        shuttle::check_random(
            || {
                let quota: Arc<Quota<Warm>> = Quota::new(2);
                let threads: Vec<_> = (0..4)
                    .map(|_| {
                        let quota = Arc::clone(&quota);
                        shuttle::thread::spawn(move || {
                            let permit = match quota.acquire(None, None).unwrap() {
                                Grant::Fresh(permit) => Some(permit),
                                Grant::Warm(mut warm) => warm.0.take(),
                            };
                            assert!(quota.park(Warm(permit)).is_ok());
                        })
                    })
                    .collect();
                for thread in threads {
                    thread.join().unwrap();
                }
                let parked = quota.close();
                assert!((1..=2).contains(&parked.len()));
            },
            10_000,
        );
    }

    /// Closing while others wait and give back: everybody comes to an end.
    #[test]
    fn model_closing_leaves_nobody_behind() {
        shuttle::check_random(
            || {
                let quota: Arc<Quota<()>> = Quota::new(1);
                let threads: Vec<_> = (0..2)
                    .map(|_| {
                        let quota = Arc::clone(&quota);
                        shuttle::thread::spawn(move || drop(quota.acquire(None, None)))
                    })
                    .collect();
                drop(quota.close());
                for thread in threads {
                    thread.join().unwrap();
                }
                assert_eq!(quota.waiting(), 0);
            },
            10_000,
        );
    }
}
