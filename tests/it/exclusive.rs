//! Exclusive sessions: a connection for one thread alone.

use std::mem;
use std::panic::resume_unwind;

use mailpool::{
    Certainty, ErrorKind, Exclusive, Flag, ImapClient, Items, Query, SeqSet, StatusItems, Store,
};
use mailpool_test_server::Server;

use crate::support::{USER, builder, client, message, never, server_with};
use crate::threads::{
    LONG, SHORT, assert_last, bounded, connections_of, elsewhere, seq, settle, uids, until,
    until_pending, until_received, verbs,
};

fn seqs(first: u32, last: u32) -> SeqSet {
    SeqSet::from_range(seq(first)..=seq(last))
}

#[test]
fn others_wait_until_the_session_is_over_and_are_not_lost() {
    bounded(|| {
        let server = server_with(3);
        let client = client(&server);
        let session = client.exclusive().unwrap();
        std::thread::scope(|threads| {
            let others: Vec<_> = (0..5)
                .map(|_| {
                    threads.spawn(|| {
                        client.noop().unwrap();
                        client.mailbox("INBOX").search(Query::all()).unwrap().len()
                    })
                })
                .collect();
            until_pending(&client, 5);
            settle(&server, &client, 1);
            assert_eq!(server.counters().commands("NOOP"), 0);
            // The holder works meanwhile.
            assert_eq!(
                session.mailbox("INBOX").search(Query::all()).unwrap().len(),
                3
            );
            assert_eq!(
                client
                    .mailbox("INBOX")
                    .status(StatusItems::default())
                    .unwrap()
                    .messages,
                Some(3)
            );
            settle(&server, &client, 1);
            assert_eq!(server.counters().commands("NOOP"), 0);
            drop(session);
            for other in others {
                assert_eq!(other.join().unwrap(), 3);
            }
        });
        assert_eq!(server.counters().commands("NOOP"), 5);
        assert_eq!(server.counters().accepted, 1);
    });
}

#[test]
fn the_session_waits_until_what_others_sent_is_done() {
    bounded(|| {
        let server = server_with(3);
        let client = client(&server);
        server.faults().hold("UID SEARCH");
        std::thread::scope(|threads| {
            let other = threads.spawn(|| client.mailbox("INBOX").search(Query::all()).map(drop));
            until_received(&server, "UID SEARCH", 1);
            let client = &client;
            let holder = threads.spawn(move || {
                let session = client.exclusive().unwrap();
                session
                    .mailbox("INBOX")
                    .search_sequence(Query::all())
                    .unwrap();
            });
            settle(&server, client, 1);
            server.faults().release("UID SEARCH");
            other.join().unwrap().unwrap();
            holder.join().unwrap();
        });
        assert_eq!(
            verbs(&server, 1).split_off(1),
            ["SELECT", "UID SEARCH", "SEARCH"]
        );
    });
}

#[test]
fn all_calls_of_the_holder_go_to_its_session() {
    bounded(|| {
        let server = server_with(3);
        let client = client(&server);
        let before = client.mailbox("INBOX");
        let copy = client.clone();
        std::thread::scope(|threads| {
            let _session = client.exclusive().unwrap();
            let other = threads.spawn(|| client.namespace().map(drop));
            until_pending(&client, 1);
            // Any of these would wait for ever behind the other thread's, or for itself.
            assert_eq!(before.search(Query::all()).unwrap().len(), 3);
            assert_eq!(before.fetch(uids(1, 3), Items::fast()).unwrap().count(), 3);
            copy.noop().unwrap();
            copy.with_timeout(LONG).list("", "*").unwrap();
            copy.mailbox("INBOX")
                .read_only()
                .status(StatusItems::default())
                .unwrap();
            settle(&server, &client, 1);
            assert_eq!(server.counters().commands("NAMESPACE"), 0);
            drop(_session);
            other.join().unwrap().unwrap();
        });
        assert_last(&server, 1, &["NAMESPACE"]);
    });
}

#[test]
fn a_second_session_on_the_same_thread_is_the_same_one() {
    bounded(|| {
        let server = server_with(3);
        let client = client(&server);
        let outer = client.exclusive().unwrap();
        let inner = client.exclusive().unwrap();
        std::thread::scope(|threads| {
            let other = threads.spawn(|| client.namespace().map(drop));
            until_pending(&client, 1);
            drop(outer);
            inner
                .mailbox("INBOX")
                .search_sequence(Query::all())
                .unwrap();
            settle(&server, &client, 1);
            assert_eq!(server.counters().commands("NAMESPACE"), 0);
            drop(inner);
            other.join().unwrap().unwrap();
        });
    });
}

#[test]
fn sessions_of_several_threads_follow_each_other() {
    bounded(|| {
        let server = Server::builder()
            .user(USER.0, USER.1)
            .mailbox(USER.0, "INBOX", (0..3).map(message))
            .record_lines()
            .start()
            .unwrap();
        let client = client(&server);
        std::thread::scope(|threads| {
            for thread in 0..8 {
                let client = &client;
                threads.spawn(move || {
                    for _ in 0..5 {
                        let session = client.exclusive().unwrap();
                        let inbox = session.mailbox("INBOX");
                        for _ in 0..3 {
                            let mark = Flag::keyword(&format!("t{thread}")).unwrap();
                            inbox
                                .store_sequence(seqs(1, 1), Store::add([mark]))
                                .unwrap();
                        }
                    }
                });
            }
        });
        // The three of a session stand together.
        let stores: Vec<String> = server
            .commands()
            .into_iter()
            .filter(|command| command.verb == "STORE")
            .map(|command| {
                command
                    .line
                    .unwrap()
                    .split(' ')
                    .next_back()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        assert_eq!(stores.len(), 8 * 5 * 3);
        for three in stores.chunks(3) {
            assert!(three.iter().all(|one| one == &three[0]), "{three:?}");
        }
    });
}

#[test]
fn a_session_in_a_scope_has_the_scopes_connection() {
    bounded(|| {
        let server = server_with(3);
        let client = client(&server);
        std::thread::scope(|threads| {
            threads.spawn(|| {
                let _connection = client.create_connection().unwrap();
                let session = client.exclusive().unwrap();
                session
                    .mailbox("INBOX")
                    .search_sequence(Query::all())
                    .unwrap();
                client.noop().unwrap();
                // The main connection is nobody's.
                let other = threads.spawn(|| client.namespace().map(drop));
                other.join().unwrap().unwrap();
            });
        });
        assert_eq!(connections_of(&server, "SEARCH"), [2]);
        assert_eq!(connections_of(&server, "NOOP"), [2]);
        assert_eq!(connections_of(&server, "NAMESPACE"), [1]);
    });
}

#[test]
fn a_scope_inside_a_session_is_the_route_while_it_lives() {
    bounded(|| {
        let server = server_with(3);
        let client = client(&server);
        let copy = client.clone();
        elsewhere(move || {
            let session = copy.exclusive().unwrap();
            let connection = copy.create_connection().unwrap();
            copy.noop().unwrap();
            session
                .mailbox("INBOX")
                .search_sequence(Query::all())
                .unwrap();
            drop(connection);
            copy.namespace().unwrap();
        });
        assert_eq!(connections_of(&server, "NOOP"), [2]);
        assert_eq!(connections_of(&server, "SEARCH"), [1]);
        assert_eq!(connections_of(&server, "NAMESPACE"), [1]);
    });
}

/// Another thread's command comes through after the holder is done.
fn released_by(finish: fn(Exclusive)) {
    bounded(move || {
        let server = server_with(1);
        let client = client(&server);
        let copy = client.clone();
        let thread = std::thread::spawn(move || {
            let session = copy.exclusive().unwrap();
            session
                .mailbox("INBOX")
                .search_sequence(Query::all())
                .unwrap();
            finish(session);
        });
        let _ = thread.join();
        client.noop().unwrap();
        drop(client.exclusive().unwrap());
    });
}

#[test]
fn a_session_ends_with_its_guard() {
    released_by(drop);
}

#[test]
fn a_session_whose_guard_was_leaked_ends_with_its_thread() {
    released_by(mem::forget);
}

#[test]
fn a_session_ends_when_a_panic_unwinds_its_thread() {
    released_by(|_session| resume_unwind(Box::new("on purpose")));
}

#[test]
fn a_wait_for_a_session_that_was_given_up_blocks_nobody() {
    bounded(|| {
        let server = server_with(1);
        let client = client(&server);
        let session = client.exclusive().unwrap();
        std::thread::scope(|threads| {
            let impatient = threads.spawn(|| client.with_timeout(SHORT).exclusive().unwrap_err());
            let error = impatient.join().unwrap();
            assert!(error.is_timeout(), "{error:?}");
            assert_eq!(error.certainty(), Certainty::NotSent);
            let other = threads.spawn(|| client.noop());
            until_pending(&client, 1);
            drop(session);
            other.join().unwrap().unwrap();
            let later = threads.spawn(|| {
                let session = client.exclusive().unwrap();
                session
                    .mailbox("INBOX")
                    .search_sequence(Query::all())
                    .unwrap();
            });
            later.join().unwrap();
        });
        client.noop().unwrap();
    });
}

#[test]
fn a_wait_that_was_given_up_behind_a_running_command_blocks_nobody() {
    bounded(|| {
        let server = server_with(1);
        let client = client(&server);
        server.faults().hold("NOOP");
        std::thread::scope(|threads| {
            let running = threads.spawn(|| client.noop());
            until_received(&server, "NOOP", 1);
            let impatient = threads.spawn(|| client.with_timeout(SHORT).exclusive().unwrap_err());
            assert!(impatient.join().unwrap().is_timeout());
            // Goes out at once, beside the one that is held.
            settle(&server, &client, 1);
            let sent = client.stats().bytes_sent;
            let other = threads.spawn(|| client.namespace().map(drop));
            until("it is written", || client.stats().bytes_sent > sent);
            server.faults().release("NOOP");
            running.join().unwrap().unwrap();
            other.join().unwrap().unwrap();
        });
    });
}

#[test]
fn what_a_session_sent_before_its_end_goes_before_the_others() {
    bounded(|| {
        let server = server_with(3);
        let client = client(&server);
        std::thread::scope(|threads| {
            server.faults().hold("FETCH");
            let session = client.exclusive().unwrap();
            let inbox = session.mailbox("INBOX");
            let first = inbox.fetch_sequence(seqs(1, 3), Items::fast()).unwrap();
            until_received(&server, "FETCH", 1);
            let other = threads.spawn(|| client.namespace().map(drop));
            until_pending(&client, 2);
            let second = inbox.fetch_sequence(seqs(2, 2), Items::full()).unwrap();
            drop(session);
            server.faults().release("FETCH");
            other.join().unwrap().unwrap();
            assert_eq!(first.map(Result::unwrap).count(), 3);
            assert_eq!(second.map(Result::unwrap).count(), 1);
        });
        let log = verbs(&server, 1);
        assert_eq!(log[1..], ["SELECT", "FETCH", "FETCH", "NAMESPACE"]);
    });
}

#[test]
fn a_session_whose_connection_breaks_is_over_and_the_others_go_on() {
    bounded(|| {
        let server = server_with(3);
        let client = builder(&server).reconnect(never()).connect().unwrap();
        std::thread::scope(|threads| {
            let session = client.exclusive().unwrap();
            let inbox = session.mailbox("INBOX");
            inbox.search_sequence(Query::all()).unwrap();
            assert!(server.reset(1));
            until("the client notices", || client.stats().open == 0);
            for error in [
                inbox.search_sequence(Query::all()).unwrap_err(),
                client.noop().unwrap_err(),
            ] {
                assert!(error.is_connection(), "{error:?}");
                assert!(!matches!(error.kind(), ErrorKind::ShutDown), "{error:?}");
                assert_eq!(error.certainty(), Certainty::NotSent);
            }
            let other = threads.spawn(|| client.namespace().map(drop));
            other.join().unwrap().unwrap();
            drop(session);
            client.noop().unwrap();
        });
        assert_eq!(connections_of(&server, "NOOP"), [2]);
    });
}

#[test]
fn a_command_of_a_session_that_breaks_meanwhile_fails_with_the_reason() {
    bounded(|| {
        let server = server_with(3);
        let client = client(&server);
        server.faults().hold("SEARCH");
        std::thread::scope(|threads| {
            let holder = threads.spawn(|| {
                let session = client.exclusive().unwrap();
                session
                    .mailbox("INBOX")
                    .search_sequence(Query::all())
                    .unwrap_err()
            });
            until_received(&server, "SEARCH", 1);
            assert!(server.reset(1));
            let error = holder.join().unwrap();
            assert!(error.is_connection(), "{error:?}");
            assert_eq!(error.certainty(), Certainty::MaybeExecuted);
        });
        client.noop().unwrap();
    });
}

#[test]
fn a_session_of_one_client_does_not_concern_another() {
    bounded(|| {
        let server = server_with(3);
        let (one, other): (ImapClient, ImapClient) = (client(&server), client(&server));
        let _session = one.exclusive().unwrap();
        other.noop().unwrap();
        let _second = other.exclusive().unwrap();
        other.namespace().unwrap();
        one.list("", "*").unwrap();
        assert_eq!(connections_of(&server, "NAMESPACE"), [2]);
        assert_eq!(connections_of(&server, "LIST"), [1]);
    });
}
