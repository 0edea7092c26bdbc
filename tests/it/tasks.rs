//! Background tasks, alone and in a scope that lets them borrow.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};

use mailpool::{CancelToken, Certainty, ErrorKind, ImapClient, Query, Role, Task};

use crate::support::{builder, client_with, never, server_with};
use crate::threads::{
    LONG, SHORT, bounded, elsewhere, until, until_open, until_pending, until_received,
};

/// A task that has begun and goes on until the sender is dropped.
fn blocked(client: &ImapClient) -> (Task<()>, mpsc::Sender<()>) {
    let (go_on, wait) = mpsc::channel::<()>();
    let (begun, has_begun) = mpsc::channel();
    let task = client.spawn(move |_| {
        begun.send(()).unwrap();
        let _ = wait.recv();
        Ok(())
    });
    has_begun.recv_timeout(LONG).unwrap();
    (task, go_on)
}

#[test]
fn a_task_has_a_connection_and_a_thread_of_its_own_and_gives_both_back() {
    bounded(|| {
        let server = server_with(3);
        let client = client_with(&server, 3);
        let task = client.spawn(|client| {
            let thread = std::thread::current();
            let name = thread.name().unwrap_or_default().to_owned();
            assert!(name.starts_with("imap-task-"), "{name}");
            let roles: Vec<Role> = client.stats().holders.iter().map(|one| one.role).collect();
            assert_eq!(roles, [Role::Main, Role::Task]);
            client.mailbox("INBOX").search(Query::all())
        });
        assert_eq!(task.join().unwrap().len(), 3);
        let stats = client.stats();
        assert_eq!((stats.parked, stats.tasks, stats.reused), (1, 0, 0));
        // The next one finds it warm.
        client.spawn(|client| client.noop()).join().unwrap();
        assert_eq!(client.stats().reused, 1);
        assert_eq!(server.counters().peak_open, 2);
        let selects = server
            .commands()
            .into_iter()
            .filter(|one| one.verb == "SELECT");
        assert_eq!(selects.map(|one| one.connection).collect::<Vec<_>>(), [2]);
    });
}

#[test]
fn a_thousand_tasks_share_four_connections() {
    bounded(|| {
        const TASKS: usize = 1_000;
        let server = server_with(1);
        let client = client_with(&server, 4);
        let running = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<Task<usize>> = (0..TASKS)
            .map(|number| {
                let running = Arc::clone(&running);
                client.spawn(move |client| {
                    assert!(running.fetch_add(1, Ordering::SeqCst) < 3);
                    client.noop()?;
                    running.fetch_sub(1, Ordering::SeqCst);
                    Ok(number)
                })
            })
            .collect();
        for (number, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.join().unwrap(), number);
        }
        assert_eq!(server.counters().commands("NOOP"), TASKS as u64);
        assert!(server.counters().peak_open <= 4);
        until("all of them are parked", || client.stats().parked == 3);
    });
}

#[test]
fn tasks_begin_in_the_order_in_which_they_were_begun() {
    bounded(|| {
        let server = server_with(1);
        let client = client_with(&server, 2);
        let (begun, order) = mpsc::channel();
        let tasks: Vec<Task<()>> = (0..200)
            .map(|number| {
                let begun = begun.clone();
                client.spawn(move |_| {
                    begun.send(number).unwrap();
                    Ok(())
                })
            })
            .collect();
        for task in tasks {
            task.join().unwrap();
        }
        drop(begun);
        assert_eq!(
            order.iter().collect::<Vec<_>>(),
            (0..200).collect::<Vec<_>>()
        );
        assert_eq!(server.counters().peak_open, 2);
    });
}

#[test]
fn with_room_for_one_the_order_is_strict_and_threads_stand_in_the_same_line() {
    bounded(|| {
        let server = server_with(1);
        let client = client_with(&server, 2);
        let (first, go_on) = blocked(&client);
        let order = Arc::new(Mutex::new(Vec::new()));
        let note = |what: &'static str| {
            let order = Arc::clone(&order);
            move || order.lock().unwrap().push(what)
        };
        let early = {
            let note = note("task");
            client.spawn(move |_| {
                note();
                Ok(())
            })
        };
        let thread = {
            let (client, note) = (client.clone(), note("thread"));
            std::thread::spawn(move || {
                let _connection = client.create_connection().unwrap();
                note();
            })
        };
        until("two stand in line", || client.stats().waiting == 2);
        let late = {
            let note = note("late task");
            client.spawn(move |_| {
                note();
                Ok(())
            })
        };
        drop(go_on);
        for task in [first, early, late] {
            task.join().unwrap();
        }
        thread.join().unwrap();
        assert_eq!(*order.lock().unwrap(), ["task", "thread", "late task"]);
    });
}

#[test]
fn a_cancelled_task_that_waits_never_runs() {
    bounded(|| {
        let server = server_with(1);
        let client = client_with(&server, 2);
        let (first, go_on) = blocked(&client);
        let ran = Arc::new(AtomicBool::new(false));
        let job = || {
            let ran = Arc::clone(&ran);
            move |_: &ImapClient| {
                ran.store(true, Ordering::SeqCst);
                Ok(())
            }
        };
        let token = CancelToken::new();
        let timed = CancelToken::new();
        let by_handle = client.spawn(job());
        let by_token = client.with_cancel(&token).spawn(job());
        let by_time = client.with_cancel(&timed).spawn(job());
        let too_late = client.with_cancel(&token.child());
        assert_eq!(client.stats().waiting, 3);
        by_handle.cancel();
        token.cancel();
        timed.cancel_after(SHORT);
        let never = too_late.spawn(job());
        for task in [by_handle, by_token, by_time, never] {
            let error = task.join().unwrap_err();
            assert!(error.is_cancelled(), "{error:?}");
            assert_eq!(error.certainty(), Certainty::NotSent);
        }
        assert_eq!(client.stats().waiting, 0);
        drop(go_on);
        first.join().unwrap();
        assert!(!ran.load(Ordering::SeqCst));
    });
}

#[test]
fn in_a_cancelled_task_every_blocking_call_ends() {
    bounded(|| {
        let server = server_with(1);
        let client = client_with(&server, 2);
        server.faults().hold("NOOP");
        let (told, errors) = mpsc::channel();
        let task = {
            let other_handle = client.clone();
            client.spawn(move |client| {
                told.send(client.noop().unwrap_err()).unwrap();
                // Also with a handle that knows nothing of the task, and without waiting.
                told.send(other_handle.noop().unwrap_err()).unwrap();
                client.noop()
            })
        };
        until_received(&server, "NOOP", 1);
        task.cancel();
        let certainties = [Certainty::MaybeExecuted, Certainty::NotSent];
        for certainty in certainties {
            let error = errors.recv_timeout(LONG).unwrap();
            assert!(error.is_cancelled(), "{error:?}");
            assert_eq!(error.certainty(), certainty);
        }
        assert!(task.join().unwrap_err().is_cancelled());
        server.faults().release("NOOP");
        client.noop().unwrap();
    });
}

#[test]
fn a_panic_reaches_the_joiner_and_the_connection_is_used_again() {
    bounded(|| {
        let server = server_with(1);
        let client = client_with(&server, 2);
        for (task, words) in [
            (
                client.spawn(|client| -> mailpool::Result<()> {
                    client.mailbox("INBOX").select()?;
                    panic!("of {}", "cabbages")
                }),
                "of cabbages",
            ),
            (client.spawn(|_| panic!("and kings")), "and kings"),
        ] {
            let error = task.join().unwrap_err();
            let ErrorKind::TaskPanicked { message } = error.kind() else {
                panic!("{error:?}");
            };
            assert_eq!(message, words);
        }
        client
            .spawn(|client| client.mailbox("INBOX").search(Query::all()))
            .join()
            .unwrap();
        assert_eq!(client.stats().reused, 2);
        assert_eq!(server.counters().commands("SELECT"), 2);
    });
}

#[test]
fn the_ways_to_join() {
    bounded(|| {
        let server = server_with(1);
        let client = client_with(&server, 2);
        let (mut task, go_on) = blocked(&client);
        assert!(task.try_join().is_none());
        assert!(task.join_timeout(SHORT).is_none());
        let token = CancelToken::new();
        token.cancel_after(SHORT);
        assert!(task.join_unless(&token).is_none());
        assert!(!task.is_finished());
        drop(go_on);
        assert!(task.join_timeout(LONG).unwrap().is_ok());
        assert!(task.is_finished());
        let error = task.try_join().unwrap().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ResultTaken), "{error:?}");
    });
}

#[test]
fn a_task_whose_handle_is_dropped_runs_on_and_keeps_the_client() {
    bounded(|| {
        let server = server_with(1);
        let client = client_with(&server, 2);
        let (first, go_on) = blocked(&client);
        let (done, is_done) = mpsc::channel();
        client
            .spawn(move |client| {
                client.noop()?;
                done.send(()).unwrap();
                Ok(())
            })
            .detach();
        drop(first);
        drop(client);
        drop(go_on);
        is_done.recv_timeout(LONG).unwrap();
        // The last handle went with the last task: its thread ended the client.
        until_open(&server, 0);
        assert!(server.counters().commands("LOGOUT") >= 1);
    });
}

#[test]
fn a_task_that_cannot_have_a_connection_says_why() {
    bounded(|| {
        let server = server_with(1);
        let client = client_with(&server, 2);
        server
            .faults()
            .refuse_next_login("[AUTHENTICATIONFAILED] No");
        let error = client.spawn(|client| client.noop()).join().unwrap_err();
        assert!(error.is_authentication(), "{error:?}");
        until("the permit is free", || client.stats().holders.len() == 1);
        client.spawn(|client| client.noop()).join().unwrap();
    });
}

#[test]
fn with_a_quota_of_one_tasks_run_over_the_main_connection_one_by_one() {
    bounded(|| {
        let server = server_with(1);
        let client = client_with(&server, 1);
        let (first, go_on) = blocked(&client);
        let order = Arc::new(Mutex::new(Vec::new()));
        let tasks: Vec<_> = (0..20)
            .map(|number| {
                let order = Arc::clone(&order);
                client.spawn(move |client| {
                    order.lock().unwrap().push(number);
                    client.noop()
                })
            })
            .collect();
        let cancelled = client.spawn(|_| Ok(()));
        cancelled.cancel();
        assert!(cancelled.join().unwrap_err().is_cancelled());
        client.noop().unwrap();
        drop(go_on);
        first.join().unwrap();
        for task in tasks {
            task.join().unwrap();
        }
        assert_eq!(*order.lock().unwrap(), (0..20).collect::<Vec<_>>());
        assert_eq!(server.counters().peak_open, 1);
    });
}

#[test]
fn a_shutdown_waits_for_tasks_that_run_and_cancels_those_that_wait() {
    bounded(|| {
        for quota in [2, 1] {
            let server = server_with(1);
            let client = client_with(&server, quota);
            let (go_on, wait) = mpsc::channel::<()>();
            let (begun, has_begun) = mpsc::channel();
            let running = client.spawn(move |client| {
                begun.send(()).unwrap();
                let _ = wait.recv();
                // The connection is still there.
                client.noop()
            });
            has_begun.recv_timeout(LONG).unwrap();
            let waiting = client.spawn(|_| Ok(()));
            std::thread::scope(|threads| {
                let ending = threads.spawn(|| client.shutdown(LONG));
                let error = waiting.join().unwrap_err();
                assert!(matches!(error.kind(), ErrorKind::ShutDown), "{error:?}");
                assert!(!ending.is_finished());
                drop(go_on);
                ending.join().unwrap().unwrap();
            });
            running.join().unwrap();
            until_open(&server, 0);
            let refused = client.spawn(|_| Ok(())).join().unwrap_err();
            assert!(matches!(refused.kind(), ErrorKind::ShutDown), "{refused:?}");
        }
    });
}

#[test]
fn a_shutdown_names_the_tasks_that_it_had_to_cancel() {
    bounded(|| {
        let server = server_with(1);
        let client = client_with(&server, 2);
        server.faults().hold("NOOP");
        let task = client.spawn(|client| client.noop());
        until_received(&server, "NOOP", 1);
        let error = client.shutdown(SHORT).unwrap_err();
        let ErrorKind::ShutdownTimeout { holders } = error.kind() else {
            panic!("{error:?}");
        };
        let task_holder = holders.iter().find(|one| one.role == Role::Task).unwrap();
        let name = task_holder.thread.as_deref().unwrap_or_default();
        assert!(name.starts_with("imap-task-"), "{name}");
        assert!(task.join().is_err());
        until_open(&server, 0);
    });
}

#[test]
fn a_task_may_begin_another_and_take_a_connection_for_itself() {
    bounded(|| {
        let server = server_with(2);
        let client = client_with(&server, 3);
        let task = client.spawn(|client| {
            // The thread has a connection already.
            let _same = client.create_connection()?;
            assert_eq!(client.stats().open, 2);
            let inner = client.spawn(|client| client.mailbox("INBOX").search(Query::all()));
            inner.join()
        });
        assert_eq!(task.join().unwrap().len(), 2);
        assert_eq!(server.counters().peak_open, 3);
    });
}

#[test]
fn tasks_and_scopes_under_load_never_exceed_the_quota_and_nothing_hangs() {
    bounded(|| {
        let server = server_with(3);
        let client = builder(&server)
            .max_connections_per_server(5)
            .reconnect(never())
            .timeout(LONG)
            .connect()
            .unwrap();
        let start = Arc::new(Barrier::new(12));
        let threads: Vec<_> = (0..12_usize)
            .map(|number| {
                let (client, start) = (client.clone(), Arc::clone(&start));
                std::thread::spawn(move || {
                    start.wait();
                    for turn in 0..20 {
                        // The server may notice the end of one that was cancelled while it was
                        // opened after the next one has come: so this side is asked.
                        assert!(client.stats().open <= 5);
                        match (number + turn) % 4 {
                            0 => drop(client.create_connection().unwrap()),
                            1 => client.spawn(|client| client.noop()).join().unwrap(),
                            2 => {
                                let task = client.spawn(|client| client.noop());
                                task.cancel();
                                if let Err(error) = task.join() {
                                    assert!(error.is_cancelled(), "{error:?}");
                                }
                            }
                            _ => client.noop().unwrap(),
                        }
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        until("everything is given back", || {
            let stats = client.stats();
            stats.tasks == 0 && stats.waiting == 0 && stats.parked + 1 == stats.holders.len()
        });
        until_pending(&client, 0);
        elsewhere(move || client.shutdown(LONG).unwrap());
        until_open(&server, 0);
    });
}
