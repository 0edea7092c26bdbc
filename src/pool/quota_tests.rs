use super::*;
use crate::connection::cancel::CancelToken;

fn take<W: Send + 'static>(
    quota: &Arc<Quota<W>>,
    deadline: Option<Instant>,
    nag: Nag<'_>,
) -> Result<Grant<W>, Refused> {
    let taken = quota.acquire(&Until::deadline(deadline), nag);
    taken.map(|(grant, _)| grant)
}

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
                    let grant = take(&thread_quota, None, None).unwrap();
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
            take(&quota, Some(now), None).unwrap_err(),
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
        let nag: &dyn Fn() = &|| nags.set(nags.get() + 1);
        let refused = take(&quota, Some(deadline), Some((now, nag))).unwrap_err();
        assert_eq!((refused, nags.get()), (Refused::NotInTime, 1));
        drop(first);
    }

    #[test]
    fn closing_while_a_wait_is_explained_is_noticed() {
        let quota: Arc<Quota<()>> = Quota::new(1);
        let first = quota.try_acquire().unwrap();
        let now = crate::connection::clock::now();
        let close = || drop(quota.close());
        let refused = take(&quota, None, Some((now, &close))).unwrap_err();
        assert_eq!(refused, Refused::Closed);
        drop(first);
    }

    /// A job that tells its number when its turn comes, and keeps what it got.
    fn job(number: usize, turns: &mpsc::Sender<(usize, Option<Grant<()>>)>) -> Job<()> {
        let turns = turns.clone();
        Box::new(move |call| {
            let grant = match call {
                Call::Turn(grant, _) => Some(grant),
                Call::Cancelled | Call::Closed => None,
            };
            turns.send((number, grant)).unwrap();
            None
        })
    }

    #[test]
    fn jobs_and_threads_stand_in_one_line() {
        let quota: Arc<Quota<()>> = Quota::new(1);
        let first = quota.try_acquire().unwrap();
        let (sender, turns) = mpsc::channel();
        quota.enqueue(job(0, &sender)).unwrap();
        let thread = {
            let (quota, sender) = (Arc::clone(&quota), sender.clone());
            std::thread::spawn(move || {
                let grant = take(&quota, None, None).unwrap();
                sender.send((1, Some(grant))).unwrap();
            })
        };
        until(|| quota.waiting() == 2);
        quota.enqueue(job(2, &sender)).unwrap();
        drop((first, sender));
        let mut order = Vec::new();
        // Each turn comes only when the permit of the one before has been given back.
        for (number, grant) in turns {
            assert!(quota.try_acquire().is_err());
            order.push(number);
            drop(grant);
        }
        assert_eq!(order, [0, 1, 2]);
        thread.join().unwrap();
        assert!(quota.try_acquire().is_ok());
    }

    #[test]
    fn a_job_that_is_withdrawn_or_cannot_run_keeps_nobody_waiting() {
        let quota: Arc<Quota<()>> = Quota::new(1);
        let first = quota.try_acquire().unwrap();
        let (sender, turns) = mpsc::channel();
        let withdrawn = quota.enqueue(job(0, &sender)).unwrap();
        quota
            .enqueue(Box::new(|call| match call {
                Call::Turn(grant, _) => Some(grant),
                Call::Cancelled | Call::Closed => None,
            }))
            .unwrap();
        let last = quota.enqueue(job(2, &sender)).unwrap();
        drop(quota.withdraw(withdrawn).unwrap()(Call::Cancelled));
        assert!(matches!(turns.recv().unwrap(), (0, None)));
        drop(first);
        let (number, grant) = turns.recv().unwrap();
        assert_eq!((number, grant.is_some()), (2, true));
        assert!(quota.withdraw(last).is_none(), "its turn has come");
        drop(grant);
        assert!(quota.try_acquire().is_ok());
    }

    #[test]
    fn a_place_in_line_is_kept_for_who_comes_back() {
        let quota: Arc<Quota<()>> = Quota::new(1);
        let (first, ticket) = quota.acquire(&Until::default(), None).unwrap();
        let (sender, turns) = mpsc::channel();
        quota.enqueue(job(1, &sender)).unwrap();
        let Grant::Fresh(permit) = first else {
            unreachable!("nothing is parked");
        };
        let now = crate::connection::clock::now();
        quota.withhold(permit, now);
        assert_eq!((quota.effective(), quota.waiting()), (0, 1));
        let thread = {
            let (quota, sender) = (Arc::clone(&quota), sender.clone());
            std::thread::spawn(move || {
                let grant = quota.acquire_again(ticket, &Until::default(), None);
                sender.send((0, Some(grant.unwrap()))).unwrap();
            })
        };
        until(|| quota.waiting() == 2);
        assert_eq!(quota.release_due(now, || None), None);
        assert_eq!(quota.effective(), 1);
        let (number, grant) = turns.recv().unwrap();
        assert_eq!(number, 0, "first again");
        drop(grant);
        assert_eq!(turns.recv().unwrap().0, 1);
        thread.join().unwrap();
    }

    #[test]
    fn withheld_permits_come_back_one_at_a_time_when_they_are_due() {
        let quota: Arc<Quota<()>> = Quota::new(3);
        let now = crate::connection::clock::now();
        let [soon, late] = [1, 2].map(|seconds| now + std::time::Duration::from_secs(seconds));
        for _ in 0..2 {
            let Ok(Grant::Fresh(permit)) = quota.try_acquire() else {
                unreachable!("there are three");
            };
            quota.withhold(permit, soon);
        }
        assert_eq!(quota.effective(), 1);
        assert_eq!(quota.release_due(now, || None), Some(soon));
        assert_eq!(quota.effective(), 1);
        assert_eq!(quota.release_due(soon, || Some(late)), Some(late));
        assert_eq!(quota.release_due(soon, || None), Some(late));
        assert_eq!(quota.effective(), 2);
        assert_eq!(quota.release_due(late, || None), None);
        assert_eq!(quota.effective(), 3);
        let all: Vec<_> = (0..3).map(|_| quota.try_acquire().unwrap()).collect();
        assert!(quota.try_acquire().is_err());
        drop(all);
    }

    #[test]
    fn a_cancelled_wait_leaves_the_line() {
        let quota: Arc<Quota<()>> = Quota::new(1);
        let first = quota.try_acquire().unwrap();
        let token = CancelToken::new();
        let waiter = {
            let (quota, token) = (Arc::clone(&quota), token.clone());
            std::thread::spawn(move || {
                let until = Until::default().with(Some(token));
                quota.acquire(&until, None).map(drop)
            })
        };
        until(|| quota.waiting() == 1);
        token.cancel();
        assert_eq!(waiter.join().unwrap(), Err(Refused::Cancelled));
        assert_eq!(quota.waiting(), 0);
        drop(first);
        assert!(quota.try_acquire().is_ok());
    }

    #[test]
    fn closing_wakes_everybody_up() {
        let quota: Arc<Quota<()>> = Quota::new(1);
        let first = quota.try_acquire().unwrap();
        let waiter = {
            let quota = Arc::clone(&quota);
            std::thread::spawn(move || take(&quota, None, None).map(drop))
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
                            match take(&quota, deadline, None) {
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
                            let permit = match take(&quota, None, None).unwrap() {
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
                        shuttle::thread::spawn(move || drop(take(&quota, None, None)))
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

    /// A thread that is cancelled, a job and a permit that is withheld: whoever is not cancelled
    /// gets his turn, and the permit is there at the end.
    #[test]
    fn model_cancelled_waits_jobs_and_withheld_permits_lose_nothing() {
        shuttle::check_random(
            || {
                let quota: Arc<Quota<()>> = Quota::new(1);
                let first = quota.try_acquire().unwrap();
                let token = CancelToken::new();
                let waiter = {
                    let (quota, token) = (Arc::clone(&quota), token.clone());
                    shuttle::thread::spawn(move || {
                        let until = Until::default().with(Some(token));
                        drop(quota.acquire(&until, None));
                    })
                };
                let turns = Arc::new(AtomicUsize::new(0));
                let job = {
                    let (quota, turns) = (Arc::clone(&quota), Arc::clone(&turns));
                    shuttle::thread::spawn(move || {
                        let turn: Job<()> = Box::new(move |call| {
                            turns.fetch_add(1, Ordering::SeqCst);
                            match call {
                                Call::Turn(grant, _) => drop(grant),
                                Call::Cancelled | Call::Closed => {}
                            }
                            None
                        });
                        assert!(quota.enqueue(turn).is_ok());
                    })
                };
                let now = crate::connection::clock::now();
                let withheld = {
                    let quota = Arc::clone(&quota);
                    shuttle::thread::spawn(move || {
                        if let Grant::Fresh(permit) = first {
                            quota.withhold(permit, now);
                        }
                        assert_eq!(quota.release_due(now, || None), None);
                    })
                };
                token.cancel();
                for thread in [waiter, job, withheld] {
                    thread.join().unwrap();
                }
                assert_eq!(turns.load(Ordering::SeqCst), 1);
                assert_eq!((quota.waiting(), quota.effective()), (0, 1));
                assert!(matches!(quota.try_acquire(), Ok(Grant::Fresh(_))));
            },
            10_000,
        );
    }
}
