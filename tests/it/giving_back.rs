//! When the connection of a scope is given back, and to whom.

use std::mem;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, mpsc};

use mailpool::{ConnectionScope, Query};

use crate::support::{builder, server_with};
use crate::threads::{
    bounded, connections_of, elsewhere, named, until, until_open, until_received,
};

#[test]
fn a_connection_is_given_back_when_the_guard_is_dropped() {
    taken_again_after(drop);
}

#[test]
fn a_connection_is_given_back_when_its_thread_ends_with_the_guard_leaked() {
    taken_again_after(mem::forget);
}

#[test]
fn a_connection_is_given_back_when_one_of_two_guards_is_leaked() {
    bounded(|| {
        let server = server_with(1);
        let client = builder(&server)
            .max_connections_per_server(2)
            .connect()
            .unwrap();
        let copy = client.clone();
        elsewhere(move || {
            let _outer = copy.create_connection().unwrap();
            mem::forget(copy.create_connection().unwrap());
        });
        elsewhere(move || drop(client.create_connection().unwrap()));
        assert_eq!(server.counters().accepted, 2);
    });
}

#[test]
fn a_connection_is_given_back_when_a_panic_unwinds_its_thread() {
    bounded(|| {
        let server = server_with(1);
        let client = builder(&server)
            .max_connections_per_server(2)
            .connect()
            .unwrap();
        let copy = client.clone();
        let thread = std::thread::spawn(move || {
            let _connection = copy.create_connection().unwrap();
            copy.noop().unwrap();
            // Unwinds as a panic does, without its message on the terminal.
            resume_unwind(Box::new("on purpose"));
        });
        thread.join().unwrap_err();
        elsewhere(move || {
            let _connection = client.create_connection().unwrap();
            client.namespace().unwrap();
        });
        assert_eq!(connections_of(&server, "NAMESPACE"), [2]);
        assert_eq!(server.counters().accepted, 2);
    });
}

/// One connection beside the main one: a second thread gets it after the first one is done.
fn taken_again_after(finish: fn(ConnectionScope)) {
    bounded(move || {
        let server = server_with(1);
        let client = builder(&server)
            .max_connections_per_server(2)
            .connect()
            .unwrap();
        let (copy, first_id) = (client.clone(), Arc::new(Mutex::new(None)));
        let id = Arc::clone(&first_id);
        elsewhere(move || {
            let connection = copy.create_connection().unwrap();
            *id.lock().unwrap() = connection.connection_id();
            copy.mailbox("INBOX").search(Query::all()).unwrap();
            finish(connection);
        });
        elsewhere(move || {
            let connection = client.create_connection().unwrap();
            assert_eq!(connection.connection_id(), *first_id.lock().unwrap());
            client.namespace().unwrap();
        });
        assert_eq!(connections_of(&server, "NAMESPACE"), [2]);
        assert_eq!(server.counters().accepted, 2);
    });
}

#[test]
fn dropping_a_guard_does_not_wait_for_the_network() {
    bounded(|| {
        let server = server_with(1);
        let client = builder(&server)
            .max_connections_per_server(2)
            .connect()
            .unwrap();
        server.faults().hold("UNSELECT");
        let copy = client.clone();
        elsewhere(move || {
            let connection = copy.create_connection().unwrap();
            copy.mailbox("INBOX").search(Query::all()).unwrap();
            drop(connection);
        });
        // The server has been asked and does not answer.
        until_received(&server, "UNSELECT", 1);
        client.noop().unwrap();
        server.faults().release("UNSELECT");
        elsewhere(move || drop(client.create_connection().unwrap()));
    });
}

#[test]
fn a_scope_whose_connection_broke_gets_a_new_one_under_the_same_permit() {
    bounded(|| {
        let server = server_with(3);
        let client = builder(&server)
            .max_connections_per_server(2)
            .connect()
            .unwrap();
        std::thread::scope(|threads| {
            threads.spawn(|| {
                let connection = client.create_connection().unwrap();
                let inbox = client.mailbox("INBOX");
                assert_eq!(inbox.search(Query::all()).unwrap().len(), 3);
                let before = connection.connection_id();
                assert!(server.reset(2));
                until("the client notices", || client.stats().open == 1);
                assert_eq!(inbox.search(Query::all()).unwrap().len(), 3);
                assert_ne!(connection.connection_id(), before);
            });
        });
        assert_eq!(connections_of(&server, "UID SEARCH"), [2, 3]);
        assert_eq!(server.counters().peak_open, 2);
        until_open(&server, 2);
        assert_eq!(client.stats().parked, 1);
    });
}

#[test]
fn a_scope_given_back_before_its_exclusive_session_keeps_the_connection_until_then() {
    bounded(|| {
        let server = server_with(3);
        let client = builder(&server)
            .max_connections_per_server(2)
            .connect()
            .unwrap();
        std::thread::scope(|threads| {
            threads.spawn(|| {
                let connection = client.create_connection().unwrap();
                let session = client.exclusive().unwrap();
                drop(connection);
                let (sender, taken) = mpsc::channel();
                named(threads, "taker", {
                    let client = &client;
                    move || {
                        let _connection = client.create_connection().unwrap();
                        sender.send(()).unwrap();
                        client.namespace().unwrap();
                    }
                });
                until("somebody waits for the connection", || {
                    client.stats().waiting == 1
                });
                session.mailbox("INBOX").search(Query::all()).unwrap();
                assert!(taken.try_recv().is_err(), "handed on while it is held");
                drop(session);
                taken.recv().unwrap();
            });
        });
        assert_eq!(connections_of(&server, "UID SEARCH"), [2]);
        assert_eq!(connections_of(&server, "NAMESPACE"), [2]);
    });
}
