//! Connection scopes: where the operations of a thread go.

use std::sync::Barrier;
use std::time::Duration;

use mailpool::{Certainty, ErrorKind, ImapClient, Items, Query, Role, StatusItems};
use rayon::prelude::*;

use crate::support::{builder, client, message, server_with};
use crate::threads::{bounded, connections_of, elsewhere, named, uids, verbs};

#[test]
fn without_a_scope_every_thread_uses_the_main_connection() {
    bounded(|| {
        let server = server_with(3);
        let client = client(&server);
        std::thread::scope(|threads| {
            for _ in 0..8 {
                threads.spawn(|| {
                    client.noop().unwrap();
                    assert_eq!(
                        client.mailbox("INBOX").search(Query::all()).unwrap().len(),
                        3
                    );
                });
            }
        });
        assert_eq!(server.counters().accepted, 1);
        assert_eq!(server.counters().commands("NOOP"), 8);
        assert_eq!(server.counters().commands("UID SEARCH"), 8);
    });
}

#[test]
fn a_scope_is_the_route_of_its_thread_and_of_no_other() {
    bounded(|| {
        let server = server_with(1);
        let client = client(&server);
        let both = Barrier::new(2);
        std::thread::scope(|threads| {
            threads.spawn(|| {
                let _connection = client.create_connection().unwrap();
                client.noop().unwrap();
                both.wait();
                both.wait();
                client.list("", "*").unwrap();
            });
            both.wait();
            client.namespace().unwrap();
            let other = threads.spawn(|| client.capabilities().map(drop));
            other.join().unwrap().unwrap();
            both.wait();
        });
        assert_eq!(connections_of(&server, "NOOP"), [2]);
        assert_eq!(connections_of(&server, "LIST"), [2]);
        assert_eq!(connections_of(&server, "NAMESPACE"), [1]);
        assert_eq!(connections_of(&server, "CAPABILITY"), [1]);
        assert_eq!(server.counters().accepted, 2);
    });
}

#[test]
fn the_route_is_the_main_connection_again_after_the_scope() {
    bounded(|| {
        let server = server_with(1);
        let client = client(&server);
        elsewhere(move || {
            drop(client.create_connection().unwrap());
            client.namespace().unwrap();
        });
        assert_eq!(connections_of(&server, "NAMESPACE"), [1]);
    });
}

#[test]
fn clones_views_and_mailboxes_made_elsewhere_share_the_route() {
    bounded(|| {
        let server = server_with(1);
        let client = client(&server);
        let inbox = client.mailbox("INBOX");
        let view = client.with_timeout(Duration::from_secs(20));
        server.clear_commands();
        let copy = client.clone();
        elsewhere(move || {
            let _connection = copy.create_connection().unwrap();
            inbox.search(Query::all()).unwrap();
            inbox
                .clone()
                .read_only()
                .status(StatusItems::new().messages())
                .unwrap();
            view.noop().unwrap();
            // A second scope through another handle is the same one.
            let again = view.create_connection().unwrap();
            view.namespace().unwrap();
            drop(again);
        });
        assert_eq!(verbs(&server, 1), [""; 0]);
        for verb in ["UID SEARCH", "STATUS", "NOOP", "NAMESPACE"] {
            assert_eq!(connections_of(&server, verb), [2], "{verb}");
        }
    });
}

#[test]
fn separate_clients_have_separate_quotas_and_routes() {
    bounded(|| {
        let server = server_with(1);
        let one = builder(&server)
            .max_connections_per_server(2)
            .connect()
            .unwrap();
        let other = builder(&server)
            .max_connections_per_server(2)
            .connect()
            .unwrap();
        std::thread::scope(|threads| {
            threads.spawn(|| {
                let _connection = one.create_connection().unwrap();
                one.noop().unwrap();
                other.namespace().unwrap();
                // One client's quota is used up, the other's is not.
                let _other = other.try_create_connection().unwrap();
                other.list("", "*").unwrap();
                one.capabilities().unwrap();
            });
        });
        assert_eq!(connections_of(&server, "NOOP"), [3]);
        assert_eq!(connections_of(&server, "NAMESPACE"), [2]);
        assert_eq!(connections_of(&server, "LIST"), [4]);
        assert_eq!(connections_of(&server, "CAPABILITY"), [3]);
    });
}

#[test]
fn clones_share_one_quota() {
    bounded(|| {
        let server = server_with(1);
        let client = builder(&server)
            .max_connections_per_server(2)
            .connect()
            .unwrap();
        let copy = client.clone();
        std::thread::scope(|threads| {
            threads.spawn(|| {
                let _connection = client.create_connection().unwrap();
                threads
                    .spawn(|| {
                        let error = copy.try_create_connection().unwrap_err();
                        assert!(matches!(error.kind(), ErrorKind::NoPermit { limit: 2, .. }));
                    })
                    .join()
                    .unwrap();
            });
        });
    });
}

#[test]
fn the_creating_thread_is_told_what_to_do() {
    let server = server_with(1);
    let client = client(&server);
    let copy = client.clone();
    for error in [
        client.create_connection().unwrap_err(),
        client.try_create_connection().unwrap_err(),
        copy.create_connection_timeout(Duration::ZERO).unwrap_err(),
    ] {
        assert!(
            matches!(error.kind(), ErrorKind::CreatingThread),
            "{error:?}"
        );
        assert_eq!(error.certainty(), Certainty::NotSent);
        let text = error.to_string();
        assert!(
            text.contains("main connection") && text.contains("worker thread"),
            "{text}"
        );
    }
    client.noop().unwrap();
    assert_eq!(server.counters().accepted, 1);
}

#[test]
fn the_creating_thread_is_the_one_that_called_connect() {
    bounded(|| {
        let server = server_with(1);
        let client = elsewhere({
            let builder = builder(&server);
            move || builder.connect().unwrap()
        });
        let _connection = client.create_connection().unwrap();
        client.namespace().unwrap();
        assert_eq!(connections_of(&server, "NAMESPACE"), [2]);
    });
}

#[test]
fn with_a_quota_of_one_there_are_no_scopes_and_everything_works_without() {
    bounded(|| {
        let server = server_with(40);
        let client = builder(&server)
            .max_connections_per_server(1)
            .connect()
            .unwrap();
        let inbox = client.mailbox("INBOX");
        std::thread::scope(|threads| {
            for thread in 0..8_u32 {
                let (client, inbox) = (&client, &inbox);
                threads.spawn(move || {
                    for error in [
                        client.create_connection().unwrap_err(),
                        client.try_create_connection().unwrap_err(),
                    ] {
                        assert!(matches!(error.kind(), ErrorKind::SingleConnection));
                        let text = error.to_string();
                        assert!(text.contains("max_connections_per_server(1)"), "{text}");
                        assert!(text.contains("without a scope"), "{text}");
                    }
                    let first = thread * 5 + 1;
                    let fetch = inbox.fetch(uids(first, first + 4), Items::full()).unwrap();
                    for (number, fetched) in (first..).zip(fetch) {
                        let body = fetched.unwrap().into_body().unwrap().into_bytes().unwrap();
                        assert_eq!(body, message(number as usize - 1));
                    }
                });
            }
        });
        assert_eq!(server.counters().accepted, 1);
    });
}

#[test]
fn a_second_scope_on_a_thread_shares_the_connection_until_the_last_guard() {
    bounded(|| {
        let server = server_with(1);
        let client = builder(&server)
            .max_connections_per_server(2)
            .connect()
            .unwrap();
        std::thread::scope(|threads| {
            threads.spawn(|| {
                let outer = client.create_connection().unwrap();
                let inner = client.create_connection().unwrap();
                let third = client.try_create_connection().unwrap();
                assert_eq!(outer.connection_id(), inner.connection_id());
                assert_eq!(outer.connection_id(), third.connection_id());
                // In any order: the last one counts.
                drop(outer);
                third.close().unwrap();
                client.namespace().unwrap();
                let other = threads.spawn(|| client.try_create_connection().map(drop));
                let error = other.join().unwrap().unwrap_err();
                assert!(matches!(error.kind(), ErrorKind::NoPermit { .. }));
                assert_eq!(client.stats().open, 2);
                drop(inner);
                client.capabilities().unwrap();
                let other = threads.spawn(|| client.try_create_connection().map(drop));
                other.join().unwrap().unwrap();
            });
        });
        assert_eq!(connections_of(&server, "NAMESPACE"), [2]);
        assert_eq!(connections_of(&server, "CAPABILITY"), [1]);
        assert_eq!(server.counters().accepted, 2);
    });
}

/// A scope held over `join`, whose halves want scopes too.
fn divide(client: &ImapClient, depth: u32) {
    let _connection = client.create_connection().unwrap();
    client.noop().unwrap();
    if depth > 0 {
        rayon::join(|| divide(client, depth - 1), || divide(client, depth - 1));
        client.noop().unwrap();
    }
}

#[test]
fn stolen_jobs_do_not_make_a_thread_wait_for_itself() {
    bounded(|| {
        let server = server_with(1);
        let client = builder(&server)
            .max_connections_per_server(3)
            .connect()
            .unwrap();
        let workers = rayon::ThreadPoolBuilder::new()
            .num_threads(2)
            .build()
            .unwrap();
        workers.install(|| divide(&client, 5));
        workers.scope(|jobs| {
            for _ in 0..20 {
                jobs.spawn(|jobs| {
                    let _connection = client.create_connection().unwrap();
                    jobs.spawn(|_| divide(&client, 1));
                });
            }
        });
        assert!(server.counters().peak_open <= 3);
        assert_eq!(server.counters().commands("NOOP"), 63 + 31 + 20 * 4);
    });
}

#[test]
fn more_workers_and_jobs_than_connections_all_finish() {
    bounded(|| {
        let server = server_with(200);
        let client = builder(&server)
            .max_connections_per_server(3)
            .connect()
            .unwrap();
        let inbox = client.mailbox("INBOX");
        let all = inbox.search(Query::all()).unwrap();
        let workers = rayon::ThreadPoolBuilder::new()
            .num_threads(8)
            .build()
            .unwrap();
        let bytes: usize = workers.install(|| {
            all.chunks(5)
                .par_iter()
                .map_init(
                    || client.create_connection().unwrap(),
                    |_connection, chunk| {
                        let fetch = inbox.fetch(chunk, Items::full()).unwrap();
                        fetch
                            .map(|fetched| {
                                fetched
                                    .unwrap()
                                    .into_body()
                                    .unwrap()
                                    .into_bytes()
                                    .unwrap()
                                    .len()
                            })
                            .sum::<usize>()
                    },
                )
                .sum()
        });
        assert_eq!(
            bytes,
            (0..200).map(|number| message(number).len()).sum::<usize>()
        );
        assert!(server.counters().peak_open <= 3);
    });
}

#[test]
fn a_guard_says_which_connection_it_is() {
    bounded(|| {
        let server = server_with(1);
        let client = client(&server);
        std::thread::scope(|threads| {
            named(threads, "importer", || {
                let connection = client.create_connection().unwrap();
                let id = connection.connection_id().unwrap();
                assert!(format!("{connection:?}").contains(&id.to_string()));
                let holders = client.stats().holders;
                assert_eq!(holders.len(), 2);
                assert_eq!(holders[1].role, Role::Scope);
                assert_eq!(holders[1].thread.as_deref(), Some("importer"));
                // The thread that serves the connection bears its number.
                let names = thread_names();
                let prefix = format!("imap-{id} ");
                assert!(
                    names.iter().any(|name| name.starts_with(&prefix)),
                    "{names:?}"
                );
            });
        });
    });
}

/// The names of this process's threads; the system keeps 15 bytes of each.
fn thread_names() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .collect()
}
