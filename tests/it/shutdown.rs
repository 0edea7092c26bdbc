//! The end of a client: goodbye on every connection, and nothing left behind.

use std::sync::mpsc;

use mailpool::{
    Certainty, ConnectionScope, Credentials, ErrorKind, ImapClient, ImapClientBuilder, Items,
    Query, Security,
};
use mailpool_test_server::Server;

use crate::support::{USER, builder, client, server_with};
use crate::threads::{
    LONG, SHORT, bounded, elsewhere, large_message, large_server, uids, until, until_open,
    until_pending, until_received,
};

/// A client that knows the server's address in a spelling of its own. The threads of its
/// connections bear it, so they are told from those of other tests. The system keeps little of
/// a thread's name: no two spellings begin with the same four characters.
fn builder_with_host(server: &Server, host: &str) -> ImapClientBuilder {
    ImapClient::builder(host)
        .port(server.port())
        .security(Security::None)
        .allow_cleartext_password()
        .credentials(Credentials::password(USER.0, USER.1))
}

/// How many threads serve connections to `host` by this protocol.
fn connection_threads(protocol: &str, host: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names
        .filter(|name| {
            // The system keeps 15 bytes of a name: of a long number's, less of the host.
            let number = name.trim_end().strip_prefix(protocol);
            let number = number.and_then(|rest| rest.strip_prefix('-'));
            let host_part = number.and_then(|rest| rest.split_once(' '));
            host_part.is_some_and(|(_, part)| part.len() >= 4 && host.starts_with(part))
        })
        .count()
}

/// Waits for the system to forget the threads: they have been joined.
pub(crate) fn until_no_threads(protocol: &str, host: &str) {
    until("no thread is left", || {
        connection_threads(protocol, host) == 0
    });
}

fn assert_shut_down(client: &ImapClient) {
    let inbox = client.mailbox("INBOX");
    for error in [
        client.noop().unwrap_err(),
        inbox.search(Query::all()).unwrap_err(),
        inbox.fetch(uids(1, 1), Items::full()).unwrap_err(),
        client.exclusive().unwrap_err(),
    ] {
        assert!(matches!(error.kind(), ErrorKind::ShutDown), "{error:?}");
        assert_eq!(error.certainty(), Certainty::NotSent);
    }
    let copy = client.clone();
    elsewhere(move || {
        for error in [
            copy.create_connection().unwrap_err(),
            copy.try_create_connection().unwrap_err(),
        ] {
            assert!(matches!(error.kind(), ErrorKind::ShutDown), "{error:?}");
        }
    });
}

/// A client with a main connection, one that is parked and one that is held, all used.
fn three_connections<T>(
    client: &ImapClient,
    with_scope: impl FnOnce(ConnectionScope) -> T + Send,
    meanwhile: impl FnOnce(),
) -> T
where
    T: Send,
{
    let (ready, is_ready) = mpsc::channel();
    let (go_on, wait) = mpsc::channel::<()>();
    let both = &std::sync::Barrier::new(2);
    std::thread::scope(|threads| {
        threads.spawn(move || {
            let _connection = client.create_connection().unwrap();
            client.mailbox("INBOX").search(Query::all()).unwrap();
            both.wait();
        });
        let holder = threads.spawn(move || {
            let connection = client.create_connection().unwrap();
            client.mailbox("INBOX").search(Query::all()).unwrap();
            both.wait();
            ready.send(()).unwrap();
            wait.recv().unwrap();
            with_scope(connection)
        });
        is_ready.recv().unwrap();
        client.mailbox("INBOX").search(Query::all()).unwrap();
        until("the first one is parked", || client.stats().parked == 1);
        meanwhile();
        go_on.send(()).unwrap();
        holder.join().unwrap()
    })
}

#[test]
fn shutdown_says_goodbye_on_every_connection_and_leaves_nothing_behind() {
    bounded(|| {
        let host = "000177.1";
        let server = server_with(2);
        let client = builder_with_host(&server, host).connect().unwrap();
        let in_scope = client.clone();
        three_connections(
            &client,
            move |connection| {
                let error = in_scope.noop().unwrap_err();
                assert!(matches!(error.kind(), ErrorKind::ShutDown), "{error:?}");
                drop(connection);
            },
            || {
                assert_eq!(connection_threads("imap", host), 3);
                client.shutdown(LONG).unwrap();
                assert_eq!(client.stats().open, 0);
                until_no_threads("imap", host);
                until_open(&server, 0);
                assert_eq!(server.counters().commands("LOGOUT"), 3);
            },
        );
        assert_shut_down(&client);
        assert_eq!(client.stats().holders, []);
        client.shutdown(LONG).unwrap();
        assert_eq!(server.counters().accepted, 3);
    });
}

#[test]
fn dropping_the_last_handle_does_the_same() {
    bounded(|| {
        let host = "0177.1";
        let server = server_with(2);
        let client = builder_with_host(&server, host).connect().unwrap();
        let copy = client.clone();
        elsewhere(move || drop(copy.create_connection().unwrap()));
        assert_eq!(connection_threads("imap", host), 2);
        // A mailbox is a handle too, and so is a view.
        let inbox = client.mailbox("INBOX");
        let view = client.with_timeout(LONG);
        drop(client);
        assert_eq!(inbox.search(Query::all()).unwrap().len(), 2);
        drop(inbox);
        view.noop().unwrap();
        assert_eq!(server.counters().commands("LOGOUT"), 0);
        drop(view);
        until_no_threads("imap", host);
        until_open(&server, 0);
        assert_eq!(server.counters().commands("LOGOUT"), 2);
    });
}

#[test]
fn a_client_that_never_came_to_be_leaves_nothing_behind() {
    bounded(|| {
        let host = "0x7f.1";
        let server = server_with(2);
        server
            .faults()
            .refuse_next_login("[AUTHENTICATIONFAILED] No");
        let error = builder_with_host(&server, host).connect().unwrap_err();
        assert!(error.is_authentication(), "{error:?}");
        until_no_threads("imap", host);
        until_open(&server, 0);
    });
}

#[test]
fn those_who_wait_for_a_connection_are_told() {
    bounded(|| {
        let server = server_with(1);
        let client = builder(&server)
            .max_connections_per_server(2)
            // Nothing but the shutdown ends their wait.
            .timeout(None)
            .connect()
            .unwrap();
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
            let (sender, told) = mpsc::channel();
            for _ in 0..4 {
                let sender = sender.clone();
                threads.spawn(move || sender.send(client.create_connection().unwrap_err()));
            }
            until("they wait", || client.stats().waiting == 4);
            client.shutdown(LONG).unwrap();
            for _ in 0..4 {
                let error = told.recv_timeout(LONG / 3).expect("told at once");
                assert!(matches!(error.kind(), ErrorKind::ShutDown), "{error:?}");
            }
            give_back.send(()).unwrap();
        });
        until_open(&server, 0);
    });
}

#[test]
fn one_that_is_connecting_is_told_and_its_socket_is_closed() {
    bounded(|| {
        let server = server_with(1);
        let client = client(&server);
        server.faults().never_answer("AUTHENTICATE");
        std::thread::scope(|threads| {
            let connecting = threads.spawn(|| client.create_connection().unwrap_err());
            until_received(&server, "AUTHENTICATE", 2);
            client.shutdown(LONG).unwrap();
            let error = connecting.join().unwrap();
            assert!(matches!(error.kind(), ErrorKind::ShutDown), "{error:?}");
        });
        until_open(&server, 0);
    });
}

#[test]
fn commands_under_way_finish_and_queued_ones_fail() {
    bounded(|| {
        let server = server_with(3);
        let client = client(&server);
        client.mailbox("INBOX").search(Query::all()).unwrap();
        server.faults().hold("UID SEARCH");
        std::thread::scope(|threads| {
            let running = threads.spawn(|| client.mailbox("INBOX").search(Query::all()));
            until_received(&server, "UID SEARCH", 2);
            let queued = threads.spawn(|| client.mailbox("Other").search(Query::all()));
            until_pending(&client, 2);
            let ending = threads.spawn(|| client.shutdown(LONG));
            let error = queued.join().unwrap().unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::ShutDown), "{error:?}");
            assert_eq!(error.certainty(), Certainty::NotSent);
            server.faults().release("UID SEARCH");
            assert_eq!(running.join().unwrap().unwrap().len(), 3);
            ending.join().unwrap().unwrap();
        });
        assert_eq!(server.counters().commands("LOGOUT"), 1);
        until_open(&server, 0);
    });
}

#[test]
fn a_shutdown_that_takes_too_long_says_what_was_left_and_closes_it() {
    bounded(|| {
        let host = "0X7f.1";
        let server = server_with(3);
        let client = builder_with_host(&server, host).connect().unwrap();
        server.faults().hold("UID SEARCH");
        std::thread::scope(|threads| {
            let running = threads.spawn(|| client.mailbox("INBOX").search(Query::all()));
            until_received(&server, "UID SEARCH", 1);
            let error = client.shutdown(SHORT).unwrap_err();
            assert!(error.is_timeout());
            let ErrorKind::ShutdownTimeout { holders } = error.kind() else {
                panic!("{error:?}");
            };
            assert_eq!(holders.len(), 1);
            assert_eq!(holders[0].activity, "UID SEARCH");
            assert!(error.to_string().contains("UID SEARCH"), "{error}");
            let error = running.join().unwrap().unwrap_err();
            assert_eq!(error.certainty(), Certainty::MaybeExecuted, "{error:?}");
        });
        until_open(&server, 0);
        until_no_threads("imap", host);
        assert_shut_down(&client);
        assert_eq!(server.counters().commands("LOGOUT"), 0);
    });
}

#[test]
fn a_drop_is_not_held_up_by_a_server_that_does_not_answer() {
    bounded(|| {
        let host = "2130706433";
        let server = server_with(3);
        let client = builder_with_host(&server, host)
            .shutdown_timeout(SHORT)
            .connect()
            .unwrap();
        server.faults().hold("LOGOUT");
        drop(client);
        until_open(&server, 0);
        until_no_threads("imap", host);
    });
}

#[test]
fn a_stream_may_outlive_its_client() {
    bounded(|| {
        let server = large_server(6);
        let client = client(&server);
        let stream = client
            .mailbox("INBOX")
            .fetch(uids(1, 6), Items::full())
            .unwrap();
        until_received(&server, "UID FETCH", 1);
        drop(client);
        until_open(&server, 0);
        assert_eq!(server.counters().commands("LOGOUT"), 1);
        let bytes = stream
            .map(|message| {
                message
                    .unwrap()
                    .into_body()
                    .unwrap()
                    .into_bytes()
                    .unwrap()
                    .len()
            })
            .sum::<usize>();
        assert_eq!(
            bytes,
            (1..=6)
                .map(|number| large_message(number).len())
                .sum::<usize>()
        );
    });
}

#[test]
fn a_scope_may_outlive_its_client() {
    bounded(|| {
        let host = "00177.1";
        let server = server_with(1);
        let client = builder_with_host(&server, host).connect().unwrap();
        let (scoped, is_scoped) = mpsc::channel();
        let (dropped, is_dropped) = mpsc::channel::<()>();
        let thread = std::thread::spawn({
            let client = client.clone();
            move || {
                let connection = client.create_connection().unwrap();
                drop(client);
                scoped.send(()).unwrap();
                is_dropped.recv().unwrap();
                assert!(connection.close().is_err());
            }
        });
        is_scoped.recv().unwrap();
        drop(client);
        until_open(&server, 0);
        assert_eq!(server.counters().commands("LOGOUT"), 2);
        dropped.send(()).unwrap();
        thread.join().unwrap();
        until_no_threads("imap", host);
    });
}

#[test]
fn handles_dropped_by_many_threads_end_the_client_once() {
    bounded(|| {
        let server = server_with(1);
        let client = client(&server);
        let threads: Vec<_> = (0..16)
            .map(|_| {
                let client = client.clone();
                std::thread::spawn(move || client.noop().unwrap())
            })
            .collect();
        drop(client);
        for thread in threads {
            thread.join().unwrap();
        }
        until_open(&server, 0);
        assert_eq!(server.counters().commands("LOGOUT"), 1);
        assert_eq!(server.counters().commands("NOOP"), 16);
    });
}
