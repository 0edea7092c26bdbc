//! The quota: the line of those who wait, and what its errors explain.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, mpsc};
use std::time::Duration;

use mailpool::{Certainty, ErrorKind, Holder, ImapClient, Items, Query, Role};
use mailpool_test_server::Server;

use crate::support::{builder, server_with};
use crate::threads::{
    LONG, SHORT, bounded, elsewhere, named, uids, until, until_open, until_received,
};

fn client_with(server: &Server, quota: usize) -> ImapClient {
    let builder = builder(server).max_connections_per_server(quota);
    builder.timeout(LONG).connect().unwrap()
}

#[test]
fn many_threads_share_few_connections_and_all_finish() {
    bounded(|| {
        const THREADS: usize = 64;
        const TURNS: usize = 4;
        let server = server_with(THREADS);
        let client = client_with(&server, 3);
        let inbox = client.mailbox("INBOX");
        let done = AtomicUsize::new(0);
        let all_there = Barrier::new(THREADS);
        std::thread::scope(|threads| {
            for thread in 0..THREADS {
                let (client, inbox, done, all_there) = (&client, &inbox, &done, &all_there);
                threads.spawn(move || {
                    all_there.wait();
                    let number = u32::try_from(thread).unwrap() + 1;
                    for _ in 0..TURNS {
                        let _connection = client.create_connection().unwrap();
                        let fetch = inbox.fetch(uids(number, number), Items::new()).unwrap();
                        let found: Vec<u32> =
                            fetch.map(|message| message.unwrap().uid().get()).collect();
                        assert_eq!(found, [number]);
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(done.into_inner(), THREADS * TURNS);
        assert_eq!(server.counters().peak_open, 3);
        // Handed from one thread to the next, not opened anew.
        assert_eq!(server.counters().accepted, 3);
        let stats = client.stats();
        assert_eq!(
            (stats.opened, stats.reused),
            (3, (THREADS * TURNS) as u64 - 2)
        );
    });
}

#[test]
fn those_in_line_are_served_in_the_order_in_which_they_came() {
    bounded(|| {
        let server = server_with(1);
        let client = client_with(&server, 2);
        let (sender, served) = mpsc::channel();
        let (give_back, wait) = mpsc::channel::<()>();
        std::thread::scope(|threads| {
            let client = &client;
            let (held, holds) = mpsc::channel();
            threads.spawn(move || {
                let _connection = client.create_connection().unwrap();
                held.send(()).unwrap();
                wait.recv().unwrap();
            });
            holds.recv().unwrap();
            for number in 0..10 {
                let sender = sender.clone();
                threads.spawn(move || {
                    let _connection = client.create_connection().unwrap();
                    sender.send(number).unwrap();
                    client.noop().unwrap();
                });
                until("it stands in line", || client.stats().waiting == number + 1);
            }
            // Nobody overtakes those who wait.
            elsewhere({
                let client = client.clone();
                move || {
                    let error = client.try_create_connection().unwrap_err();
                    assert!(matches!(
                        error.kind(),
                        ErrorKind::NoPermit { waited: None, .. }
                    ));
                }
            });
            give_back.send(()).unwrap();
            drop(sender);
        });
        assert_eq!(
            served.iter().collect::<Vec<_>>(),
            (0..10).collect::<Vec<_>>()
        );
        assert_eq!(server.counters().peak_open, 2);
        assert_eq!(client.stats().waiting, 0);
    });
}

#[test]
fn one_that_gives_up_waiting_leaves_the_line_to_those_behind_it() {
    bounded(|| {
        let server = server_with(1);
        let client = client_with(&server, 2);
        std::thread::scope(|threads| {
            let (held, holds) = mpsc::channel();
            let (give_back, wait) = mpsc::channel::<()>();
            let client = &client;
            threads.spawn(move || {
                let _connection = client.create_connection().unwrap();
                held.send(()).unwrap();
                wait.recv().unwrap();
            });
            holds.recv().unwrap();
            let impatient = threads.spawn(move || {
                let error = client.create_connection_timeout(5 * SHORT).unwrap_err();
                assert!(matches!(error.kind(), ErrorKind::NoPermit { .. }));
            });
            until("the first waits", || {
                client.stats().waiting == 1 || impatient.is_finished()
            });
            let patient = threads.spawn(move || client.create_connection().map(drop));
            impatient.join().unwrap();
            until("the second waits", || client.stats().waiting == 1);
            give_back.send(()).unwrap();
            patient.join().unwrap().unwrap();
        });
    });
}

/// Whoever asks for a connection while `importer` runs a FETCH on the only one.
fn while_it_is_held(server: &Server, client: &ImapClient, ask: impl FnOnce(&ImapClient) + Send) {
    server.faults().hold("UID FETCH");
    std::thread::scope(|threads| {
        named(threads, "importer", || {
            let _connection = client.create_connection().unwrap();
            let inbox = client.mailbox("INBOX");
            let fetch = inbox.fetch(uids(1, 1), Items::full()).unwrap();
            assert_eq!(fetch.map(Result::unwrap).count(), 1);
        });
        until_received(server, "UID FETCH", 1);
        let asked = threads.spawn(|| ask(client)).join();
        server.faults().release("UID FETCH");
        asked.unwrap();
    });
}

fn assert_explained(error: &mailpool::Error) {
    assert_eq!(error.certainty(), Certainty::NotSent);
    let ErrorKind::NoPermit { limit, holders, .. } = error.kind() else {
        panic!("{error:?}");
    };
    assert_eq!(*limit, 2);
    let roles: Vec<Role> = holders.iter().map(|holder| holder.role).collect();
    assert_eq!(roles, [Role::Main, Role::Scope]);
    assert_eq!(holders[0].activity, "idle");
    assert_eq!(holders[1].thread.as_deref(), Some("importer"));
    assert_eq!(holders[1].activity, "UID FETCH");
    let text = error.to_string();
    for part in [
        "no connection of 2",
        "the main connection",
        "thread importer",
        "UID FETCH",
    ] {
        assert!(text.contains(part), "{part:?} in {text:?}");
    }
}

#[test]
fn a_quota_that_is_used_up_is_explained_at_once() {
    bounded(|| {
        let server = server_with(1);
        let client = client_with(&server, 2);
        while_it_is_held(&server, &client, |client| {
            // More often than there are permits: none is lost with an error.
            for _ in 0..4 {
                let error = client.try_create_connection().unwrap_err();
                assert_explained(&error);
                assert!(matches!(
                    error.kind(),
                    ErrorKind::NoPermit { waited: None, .. }
                ));
                assert!(!error.is_timeout());
            }
        });
        elsewhere(move || drop(client.try_create_connection().unwrap()));
    });
}

#[test]
fn a_wait_that_was_too_long_is_explained() {
    bounded(|| {
        let server = server_with(1);
        let client = client_with(&server, 2);
        while_it_is_held(&server, &client, |client| {
            for _ in 0..4 {
                let error = client.create_connection_timeout(SHORT).unwrap_err();
                assert_explained(&error);
                assert!(error.is_timeout());
                let ErrorKind::NoPermit {
                    waited: Some(waited),
                    holders,
                    ..
                } = error.kind()
                else {
                    panic!("{error:?}");
                };
                assert!(*waited >= SHORT && *waited < LONG);
                assert!(holders[1].held_for >= SHORT);
                assert!(error.to_string().contains(" within "), "{error}");
            }
            assert_eq!(client.stats().waiting, 0);
        });
        elsewhere(move || drop(client.try_create_connection().unwrap()));
        drop(server);
    });
}

#[test]
fn the_clients_own_timeout_bounds_the_wait_too() {
    bounded(|| {
        let server = server_with(1);
        let client = client_with(&server, 2);
        while_it_is_held(&server, &client, |client| {
            let error = client.with_timeout(SHORT).create_connection().unwrap_err();
            assert_explained(&error);
        });
    });
}

/// Fails more often to open a connection than there are permits, and succeeds afterwards.
fn fails_and_gives_the_permit_back(
    server: &Server,
    client: &ImapClient,
    server_keeps_open: bool,
    attempt: impl Fn(&ImapClient) + Send + Sync,
    repair: impl FnOnce(),
) {
    std::thread::scope(|threads| {
        let failing = threads.spawn(|| {
            for _ in 0..4 {
                attempt(client);
            }
        });
        failing.join().unwrap();
    });
    if !server_keeps_open {
        // At once: the next one to ask finds it.
        assert_eq!(client.stats().holders.len(), 1);
    }
    repair();
    until_open(server, 1);
    until("the permit is free", || {
        let stats = client.stats();
        stats.holders.len() == 1 && stats.effective_quota == stats.quota
    });
    let client = client.clone();
    elsewhere(move || {
        let _connection = client.try_create_connection().unwrap();
        client.mailbox("INBOX").search(Query::all()).unwrap();
        assert_eq!(client.stats().open, 2);
    });
    assert!(server.counters().peak_open <= 2);
}

#[test]
fn a_refused_login_gives_the_permit_back() {
    bounded(|| {
        let server = server_with(1);
        let client = client_with(&server, 2);
        let attempt = |client: &ImapClient| {
            server
                .faults()
                .refuse_next_login("[AUTHENTICATIONFAILED] No");
            let error = client.create_connection().unwrap_err();
            assert!(error.is_authentication(), "{error:?}");
        };
        fails_and_gives_the_permit_back(&server, &client, false, attempt, || ());
    });
}

#[test]
fn a_refused_connection_gives_the_permit_back() {
    bounded(|| {
        let server = server_with(1);
        let client = client_with(&server, 2);
        server.refuse_connections(true).unwrap();
        let attempt = |client: &ImapClient| {
            let error = client.create_connection().unwrap_err();
            // The first one may have been in the listener's queue when that was closed.
            assert!(error.is_connection(), "{error:?}");
            assert_eq!(error.certainty(), Certainty::NotSent);
        };
        let repair = || server.refuse_connections(false).unwrap();
        fails_and_gives_the_permit_back(&server, &client, false, attempt, repair);
    });
}

#[test]
fn a_server_with_too_many_connections_gives_the_permit_back() {
    bounded(|| {
        let server = server_with(1);
        let client = client_with(&server, 2);
        server.set_max_connections(Some(1));
        let attempt = |client: &ImapClient| {
            let error = client.try_create_connection().unwrap_err();
            assert!(error.is_too_many_connections(), "{error:?}");
        };
        let repair = || server.set_max_connections(None);
        fails_and_gives_the_permit_back(&server, &client, false, attempt, repair);
    });
}

#[test]
fn a_login_that_takes_too_long_gives_the_permit_back() {
    bounded(|| {
        let server = server_with(1);
        let client = client_with(&server, 2);
        server.faults().never_answer("AUTHENTICATE");
        let attempt = |client: &ImapClient| {
            let error = client.create_connection_timeout(3 * SHORT).unwrap_err();
            assert!(error.is_timeout());
            // Until the socket of the last attempt is closed, the permit stands for it.
            let expected = matches!(
                error.kind(),
                ErrorKind::NoPermit { .. } | ErrorKind::Timeout { .. }
            );
            assert!(expected, "{error:?}");
        };
        let repair = || {
            server.faults().answer_again("AUTHENTICATE");
        };
        fails_and_gives_the_permit_back(&server, &client, true, attempt, repair);
    });
}

/// Scopes come and go while their connections are reset: the quota holds, and nobody hangs.
#[test]
fn the_quota_holds_while_connections_break() {
    bounded(|| {
        const THREADS: usize = 8;
        const TURNS: usize = 25;
        let server = server_with(1);
        let client = client_with(&server, 4);
        let turns = AtomicUsize::new(0);
        std::thread::scope(|threads| {
            for _ in 0..THREADS {
                threads.spawn(|| {
                    for _ in 0..TURNS {
                        // Both may fail where the connection breaks; neither may hang.
                        if let Ok(_connection) = client.create_connection() {
                            let _ = client.mailbox("INBOX").search(Query::all());
                        }
                        turns.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            for round in 1..=10 {
                until("the threads work", || {
                    turns.load(Ordering::SeqCst) >= round * THREADS * TURNS / 11
                });
                for info in server.connections() {
                    if info.id != 1 {
                        server.reset(info.id);
                    }
                }
            }
        });
        assert!(server.counters().peak_open <= 4, "{:?}", server.counters());
        assert!(server.counters().accepted > 4);
        // Nothing was lost: all permits are to be had.
        let all = Barrier::new(3);
        std::thread::scope(|threads| {
            for _ in 0..3 {
                threads.spawn(|| {
                    let _connection = client.create_connection().unwrap();
                    all.wait();
                });
            }
        });
    });
}

#[test]
fn the_figures_are_right() {
    bounded(|| {
        let server = server_with(5);
        let client = client_with(&server, 3);
        let stats = client.stats();
        assert_eq!(
            (stats.quota, stats.open, stats.parked, stats.waiting),
            (3, 1, 0, 0)
        );
        assert_eq!((stats.opened, stats.reused, stats.operations), (1, 0, 0));
        assert_eq!(stats.holders.len(), 1);
        let copy = client.clone();
        elsewhere(move || {
            let _connection = copy.create_connection().unwrap();
            assert_eq!(copy.mailbox("INBOX").search(Query::all()).unwrap().len(), 5);
            copy.noop().unwrap();
            let stats = copy.stats();
            assert_eq!((stats.open, stats.parked, stats.opened), (2, 0, 2));
            assert_eq!(stats.operations, 2);
        });
        until("it is parked", || {
            let holders = client.stats().holders;
            holders.get(1).is_some_and(|holder| {
                holder.role == Role::Parked && holder.thread.is_none() && holder.activity == "idle"
            })
        });
        let stats = client.stats();
        assert_eq!((stats.open, stats.parked), (2, 1));
        let copy = client.clone();
        elsewhere(move || drop(copy.create_connection().unwrap()));
        client.noop().unwrap();
        let stats = client.stats();
        assert_eq!((stats.opened, stats.reused, stats.operations), (2, 1, 3));
        until_received(&server, "UNSELECT", 1);
        until("both count the same bytes", || {
            let (stats, counters) = (client.stats(), server.counters());
            (stats.bytes_sent, stats.bytes_received) == (counters.bytes_in, counters.bytes_out)
        });
        let stats = client.stats();
        // Those of a connection that has ended still count.
        assert!(server.reset(2));
        until("the client notices", || client.stats().holders.len() == 1);
        let after = client.stats();
        assert_eq!((after.operations, after.open, after.parked), (3, 1, 0));
        assert_eq!(
            (after.bytes_sent, after.holders.len()),
            (stats.bytes_sent, 1)
        );
    });
}

#[test]
fn a_holder_is_told_in_words() {
    bounded(|| {
        let server = server_with(1);
        let client = client_with(&server, 2);
        let copy = client.clone();
        elsewhere(move || drop(copy.create_connection().unwrap()));
        let told: Vec<String> = client
            .stats()
            .holders
            .iter()
            .map(Holder::to_string)
            .collect();
        assert!(told[0].starts_with("the main connection for "), "{told:?}");
        assert!(told[0].ends_with(": idle"), "{told:?}");
        assert!(told[1].starts_with("parked for "), "{told:?}");
    });
}

#[test]
fn idle_connections_do_not_wake_up() {
    bounded(|| {
        let server = server_with(1);
        let client = client_with(&server, 2);
        client.noop().unwrap();
        until("it sleeps", || {
            let before = client.stats().wakeups;
            std::thread::park_timeout(Duration::from_millis(50));
            client.stats().wakeups == before
        });
    });
}
