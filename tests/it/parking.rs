//! Connections that were given back: parked, handed on, closed.

use std::time::Duration;

use mailpool::{ImapClient, Query, Role};
use mailpool_test_server::{Message, Server};

use crate::support::{USER, builder, client, server_with};
use crate::threads::{
    SHORT, assert_last, bounded, elsewhere, in_scope, until, until_open, until_received, verbs,
};

/// A server with two mailboxes.
fn two_mailboxes(without: &[&str]) -> Server {
    let mut server = Server::builder()
        .user(USER.0, USER.1)
        .mailbox(
            USER.0,
            "INBOX",
            [Message::text("one", "1"), Message::text("two", "2")],
        )
        .mailbox(USER.0, "Archive", [Message::text("three", "3")]);
    for capability in without {
        server = server.without(capability);
    }
    server.start().unwrap()
}

fn search(client: &ImapClient, mailbox: &str) -> u64 {
    client.mailbox(mailbox).search(Query::all()).unwrap().len()
}

#[test]
fn a_parked_connection_is_handed_on_without_its_mailbox() {
    bounded(|| {
        let server = two_mailboxes(&[]);
        let client = client(&server);
        let first = in_scope(&client, |client, connection| {
            assert_eq!(search(client, "INBOX"), 2);
            connection.connection_id()
        });
        assert_eq!(client.stats().parked, 1);
        server.clear_commands();
        let second = in_scope(&client, |client, connection| {
            assert_eq!(search(client, "Archive"), 1);
            connection.connection_id()
        });
        assert_eq!(first, second);
        assert_eq!(server.counters().accepted, 2);
        assert_eq!(client.stats().reused, 1);
        // The first user's mailbox was left before the second one did anything.
        let after: Vec<String> = verbs(&server, 2)
            .into_iter()
            .filter(|verb| verb != "UNSELECT")
            .collect();
        assert_eq!(after, ["SELECT", "UID SEARCH"]);
        until_received(&server, "UNSELECT", 2);
    });
}

#[test]
fn a_taker_of_the_same_mailbox_selects_it_anew() {
    bounded(|| {
        let server = two_mailboxes(&[]);
        let client = client(&server);
        for _ in 0..3 {
            in_scope(&client, |client, connection| {
                assert_eq!(search(client, "INBOX"), 2);
                connection.close().unwrap();
            });
        }
        let one = ["SELECT", "UID SEARCH", "UNSELECT"];
        assert_last(&server, 2, &[one, one, one].concat());
        assert_eq!(server.counters().accepted, 2);
    });
}

#[test]
fn without_unselect_a_mailbox_is_left_without_expunging_anything() {
    bounded(|| {
        let server = two_mailboxes(&["UNSELECT"]);
        server.store().set_flags(USER.0, "INBOX", 1, &["\\Deleted"]);
        let client = client(&server);
        in_scope(&client, |client, connection| {
            assert_eq!(search(client, "INBOX"), 2);
            connection.close().unwrap();
        });
        assert_last(&server, 2, &["SELECT", "UID SEARCH", "EXAMINE", "CLOSE"]);
        assert_eq!(server.store().messages(USER.0, "INBOX").len(), 2);
    });
}

#[test]
fn a_connection_with_nothing_selected_is_parked_without_a_word() {
    bounded(|| {
        let server = two_mailboxes(&[]);
        let client = client(&server);
        in_scope(&client, |client, connection| {
            client.noop().unwrap();
            connection.close().unwrap();
        });
        assert_last(&server, 2, &["NOOP"]);
        assert_eq!(client.stats().parked, 1);
    });
}

#[test]
fn parked_connections_count_and_are_taken_before_new_ones_are_opened() {
    bounded(|| {
        let server = server_with(1);
        let client = builder(&server)
            .max_connections_per_server(4)
            .connect()
            .unwrap();
        let all = std::sync::Barrier::new(3);
        std::thread::scope(|threads| {
            for _ in 0..3 {
                let (client, all) = (&client, &all);
                threads.spawn(move || {
                    let _connection = client.create_connection().unwrap();
                    all.wait();
                });
            }
        });
        until("all are parked", || client.stats().parked == 3);
        let roles: Vec<Role> = client
            .stats()
            .holders
            .iter()
            .map(|holder| holder.role)
            .collect();
        assert_eq!(
            roles,
            [Role::Main, Role::Parked, Role::Parked, Role::Parked]
        );
        assert_eq!(server.counters().open, 4);
        for _ in 0..10 {
            in_scope(&client, |client, _connection| client.noop().unwrap());
        }
        assert_eq!(server.counters().accepted, 4);
        assert_eq!(client.stats().reused, 10);
    });
}

/// Breaks the parked connection: it is dropped, its permit is free, and the next taker gets a
/// fresh one that works.
fn broken_while_parked(way: fn(&Server)) {
    bounded(move || {
        let server = server_with(1);
        let client = builder(&server)
            .max_connections_per_server(2)
            .connect()
            .unwrap();
        let first = in_scope(&client, |client, connection| {
            search(client, "INBOX");
            connection.connection_id()
        });
        assert_eq!(client.stats().parked, 1);
        way(&server);
        until("its permit is free", || client.stats().holders.len() == 1);
        assert_eq!((client.stats().parked, client.stats().open), (0, 1));
        until_open(&server, 1);
        let second = in_scope(&client, |client, connection| {
            assert_eq!(search(client, "INBOX"), 1);
            connection.connection_id()
        });
        assert_ne!(first, second);
        assert_eq!(server.counters().accepted, 3);
    });
}

#[test]
fn a_parked_connection_that_was_reset_is_replaced() {
    broken_while_parked(|server| assert!(server.reset(2)));
}

#[test]
fn a_parked_connection_to_which_the_server_said_goodbye_is_replaced() {
    broken_while_parked(|server| assert!(server.send_to(2, "* BYE Autologout\r\n")));
}

#[test]
fn a_parked_connection_that_the_server_closed_is_replaced() {
    broken_while_parked(|server| assert!(server.close(2)));
}

#[test]
fn a_parked_connection_is_closed_when_its_time_is_up() {
    bounded(|| {
        let server = server_with(1);
        let client = builder(&server)
            .max_connections_per_server(2)
            .idle_timeout(SHORT)
            .connect()
            .unwrap();
        for round in 1..=2 {
            in_scope(&client, |client, _connection| {
                search(client, "INBOX");
            });
            until_open(&server, 1);
            assert_eq!(server.counters().commands("LOGOUT"), round);
            until("its permit is free", || client.stats().holders.len() == 1);
            assert_eq!(client.stats().parked, 0);
            assert_eq!(server.counters().accepted, round + 1);
        }
    });
}

#[test]
fn a_connection_in_use_is_not_closed_by_the_time_for_parked_ones() {
    bounded(|| {
        let server = server_with(1);
        let client = builder(&server).idle_timeout(SHORT).connect().unwrap();
        in_scope(&client, |client, connection| {
            client.noop().unwrap();
            drop(connection);
            // Taken again while the time runs.
            let connection = client.create_connection().unwrap();
            let id = connection.connection_id();
            std::thread::park_timeout(3 * SHORT);
            client.noop().unwrap();
            assert_eq!(connection.connection_id(), id);
        });
    });
}

#[test]
fn with_no_idle_timeout_nothing_is_parked() {
    bounded(|| {
        let server = server_with(1);
        let client = builder(&server)
            .max_connections_per_server(2)
            .idle_timeout(Duration::ZERO)
            .connect()
            .unwrap();
        for _ in 0..10 {
            in_scope(&client, |client, _connection| {
                assert_eq!(search(client, "INBOX"), 1);
                assert_eq!(client.stats().parked, 0);
            });
        }
        until_open(&server, 1);
        let counters = server.counters();
        assert_eq!((counters.accepted, counters.commands("LOGOUT")), (11, 10));
        assert_eq!(counters.peak_open, 2);
        assert_eq!(client.stats().reused, 0);
    });
}

#[test]
fn closing_a_scope_waits_for_the_servers_word() {
    bounded(|| {
        let server = server_with(1);
        let client = client(&server);
        in_scope(&client, |client, connection| {
            search(client, "INBOX");
            connection.close().unwrap();
            assert_eq!(client.stats().parked, 1);
        });
        assert_eq!(server.counters().commands("UNSELECT"), 1);
    });
}

#[test]
fn closing_a_scope_reports_a_connection_that_broke() {
    bounded(|| {
        let server = server_with(1);
        let client = builder(&server)
            .max_connections_per_server(2)
            .connect()
            .unwrap();
        std::thread::scope(|threads| {
            let broken = threads.spawn(|| {
                let connection = client.create_connection().unwrap();
                client.noop().unwrap();
                assert!(server.reset(2));
                until("the client notices", || client.stats().open == 1);
                connection.close().unwrap_err()
            });
            let error = broken.join().unwrap();
            assert!(error.is_connection(), "{error:?}");
            // While it is being given back.
            server.faults().hold("UNSELECT");
            let closing = threads.spawn(|| {
                let connection = client.create_connection().unwrap();
                search(&client, "INBOX");
                connection.close().unwrap_err()
            });
            until_received(&server, "UNSELECT", 1);
            assert!(server.reset(3));
            let error = closing.join().unwrap();
            assert!(error.is_connection(), "{error:?}");
        });
        // It was given back all the same.
        server.faults().release("UNSELECT");
        in_scope(&client, |client, connection| {
            client.noop().unwrap();
            connection.close().unwrap();
        });
        assert_eq!(client.stats().parked, 1);
    });
}

#[test]
fn a_server_that_does_not_answer_the_reset_loses_the_connection() {
    bounded(|| {
        let server = server_with(1);
        let client = builder(&server)
            .max_connections_per_server(2)
            .stall_timeout(3 * SHORT)
            .connect()
            .unwrap();
        server.faults().never_answer("UNSELECT");
        let error = in_scope(&client, |client, connection| {
            search(client, "INBOX");
            connection.close().unwrap_err()
        });
        assert!(error.is_connection(), "{error:?}");
        until_open(&server, 1);
        in_scope(&client, |client, _connection| client.noop().unwrap());
        assert_eq!(server.counters().accepted, 3);
    });
}

#[test]
fn closing_a_scope_takes_no_longer_than_a_call_may() {
    bounded(|| {
        let server = server_with(1);
        let client = client(&server);
        in_scope(&client, |client, _connection| client.noop().unwrap());
        server.faults().hold("UNSELECT");
        let copy = client.clone();
        let error = elsewhere(move || {
            // There is a parked one, so that this does not take long.
            let connection = copy.create_connection_timeout(10 * SHORT).unwrap();
            search(&copy, "INBOX");
            connection.close().unwrap_err()
        });
        assert!(error.is_timeout(), "{error:?}");
        server.faults().release("UNSELECT");
        in_scope(&client, |client, _connection| client.noop().unwrap());
        assert_eq!(server.counters().accepted, 2);
    });
}

/// However short the time is for which a connection is parked, it ends when it is over.
#[test]
fn a_parked_connection_always_expires() {
    bounded(|| {
        let server = server_with(1);
        let client = builder(&server)
            .idle_timeout(Duration::from_nanos(1))
            .max_connections_per_server(4)
            .connect()
            .unwrap();
        elsewhere(move || {
            for round in 0..1_000 {
                let connection = client.create_connection().unwrap();
                client.noop().unwrap();
                drop(connection);
                until(&format!("it is gone in round {round}"), || {
                    client.stats().parked == 0
                });
            }
        });
    });
}

/// A connection in use has nothing to do with the time for which it was parked before.
#[test]
fn closing_a_scope_is_no_error_when_an_earlier_parking_would_have_ended() {
    bounded(|| {
        let server = server_with(1);
        let time = Duration::from_millis(2);
        let client = builder(&server)
            .idle_timeout(time)
            .max_connections_per_server(4)
            .connect()
            .unwrap();
        elsewhere(move || {
            for round in 0..500_u32 {
                let connection = client.create_connection().unwrap();
                client.noop().unwrap();
                drop(connection);
                // Taken while warm, and held without a command for about that time.
                let connection = client.create_connection().unwrap();
                let about = Duration::from_micros(1_900 + u64::from(round % 40) * 5);
                let taken = std::time::Instant::now();
                while taken.elapsed() < about {
                    std::hint::spin_loop();
                }
                connection.close().unwrap();
            }
        });
    });
}
