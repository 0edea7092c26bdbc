//! Exclusive sessions: a connection for one thread alone, where sequence numbers mean something.

use std::mem;
use std::panic::resume_unwind;

use mailpool::{
    Certainty, ErrorKind, Exclusive, Flag, ImapClient, Items, MailboxEvent, Query, SeqSet,
    StatusItems, Store,
};
use mailpool_test_server::Server;

use crate::support::{USER, builder, client, message, server_with};
use crate::threads::{
    SHORT, assert_last, bounded, connections_of, elsewhere, seq, settle, uid, uids, until,
    until_pending, until_received, verbs,
};

fn numbers(set: &SeqSet) -> Vec<u32> {
    set.iter().map(|number| number.get()).collect()
}

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
            copy.with_timeout(2 * SHORT + crate::threads::LONG)
                .list("", "*")
                .unwrap();
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
fn messages_are_addressed_by_sequence_number() {
    let server = server_with(6);
    server.store().expunge(USER.0, "INBOX", 2);
    server.store().create_mailbox(USER.0, "Archive");
    let client = client(&server);
    let session = client.exclusive().unwrap();
    let inbox = session.mailbox("INBOX");
    // UIDs 1, 3, 4, 5, 6.
    let all = inbox.search_sequence(Query::all()).unwrap();
    assert_eq!(numbers(&all), [1, 2, 3, 4, 5]);
    let fetched: Vec<_> = inbox
        .fetch_sequence(seqs(2, 3), Items::full())
        .unwrap()
        .map(|fetched| {
            let fetched = fetched.unwrap();
            let (number, fetched_uid) = (fetched.seq(), fetched.uid());
            let body = fetched.into_body().unwrap().into_bytes().unwrap();
            assert_eq!(body, message(fetched_uid.get() as usize - 1));
            (number, fetched_uid)
        })
        .collect();
    assert_eq!(fetched, [(seq(2), uid(3)), (seq(3), uid(4))]);
    let (updates, modified) = inbox
        .store_sequence(seqs(2, 2), Store::add(Flag::Flagged))
        .unwrap();
    assert_eq!(updates.len(), 1);
    assert_eq!(updates[0].seq, seq(2));
    assert!(updates[0].flags.contains(&Flag::Flagged) && modified.is_empty());
    let flagged = server.store().message(USER.0, "INBOX", 3).unwrap();
    assert!(flagged.has_flag("\\Flagged"), "{flagged:?}");
    assert_eq!(
        numbers(&inbox.search_sequence(Query::flagged()).unwrap()),
        [2]
    );
    let copies = inbox.copy_sequence(seqs(2, 2), "Archive").unwrap().unwrap();
    assert_eq!(copies.source().iter().collect::<Vec<_>>(), [uid(3)]);
    let moved = inbox.move_sequence(seqs(1, 1), "Archive").unwrap();
    assert!(!moved.left_behind && moved.copies.is_some());
    assert_eq!(server.store().messages(USER.0, "Archive").len(), 2);
    // UIDs 3, 4, 5, 6.
    inbox
        .store_sequence(seqs(2, 3), Store::add(Flag::Deleted).silent())
        .unwrap();
    assert_eq!(inbox.expunge_sequence().unwrap(), [seq(2), seq(2)]);
    let left: Vec<u32> = server
        .store()
        .messages(USER.0, "INBOX")
        .iter()
        .map(|one| one.uid)
        .collect();
    assert_eq!(left, [3, 6]);
    assert_eq!(connections_of(&server, "STORE"), [1]);
}

#[test]
fn without_move_messages_moved_by_number_stay_behind_marked() {
    let server = Server::builder()
        .user(USER.0, USER.1)
        .mailbox(USER.0, "INBOX", (0..3).map(message))
        .mailbox(USER.0, "Archive", [message(9)])
        .without("MOVE")
        .start()
        .unwrap();
    let client = client(&server);
    let session = client.exclusive().unwrap();
    let moved = session
        .mailbox("INBOX")
        .move_sequence(seqs(2, 2), "Archive")
        .unwrap();
    assert!(moved.left_behind);
    assert_eq!(server.store().messages(USER.0, "Archive").len(), 2);
    let there = server.store().message(USER.0, "INBOX", 2).unwrap();
    assert!(there.has_flag("\\Deleted"));
}

#[test]
fn what_other_connections_do_shows_up_in_the_events() {
    let server = server_with(4);
    let client = client(&server);
    let session = client.exclusive().unwrap();
    let inbox = session.mailbox("INBOX");
    assert_eq!(inbox.events().unwrap(), []);
    server.store().expunge(USER.0, "INBOX", 2);
    server.store().append(USER.0, "INBOX", message(4));
    server
        .store()
        .set_flags(USER.0, "INBOX", 4, &["\\Answered"]);
    let events = inbox.events().unwrap();
    assert!(
        events.contains(&MailboxEvent::Expunged(seq(2))),
        "{events:?}"
    );
    assert!(events.contains(&MailboxEvent::Exists(4)), "{events:?}");
    let changed = events.iter().find_map(|event| match event {
        MailboxEvent::FlagsChanged { seq, flags, .. } => Some((*seq, flags.clone())),
        _ => None,
    });
    let (number, flags) = changed.expect("the flags have changed");
    assert_eq!(number, seq(3));
    assert!(flags.contains(&Flag::Answered));
    // Numbers mean what the server last said.
    let second: Vec<_> = inbox
        .fetch_sequence(seqs(2, 2), Items::new())
        .unwrap()
        .collect();
    assert_eq!(second[0].as_ref().unwrap().uid(), uid(3));
    assert_eq!(inbox.events().unwrap(), []);
}

#[test]
fn numbers_do_not_move_between_the_commands_that_use_them() {
    let server = server_with(4);
    let client = client(&server);
    let session = client.exclusive().unwrap();
    let inbox = session.mailbox("INBOX");
    assert_eq!(inbox.search_sequence(Query::all()).unwrap().len(), 4);
    server.store().expunge(USER.0, "INBOX", 1);
    // The server does not say so in answers to commands with sequence numbers.
    let last: Vec<_> = inbox
        .fetch_sequence(seqs(4, 4), Items::new())
        .unwrap()
        .collect();
    assert_eq!(last[0].as_ref().unwrap().uid(), uid(4));
    assert_eq!(inbox.events().unwrap()[0], MailboxEvent::Expunged(seq(1)));
    let last: Vec<_> = inbox
        .fetch_sequence(seqs(3, 3), Items::new())
        .unwrap()
        .collect();
    assert_eq!(last[0].as_ref().unwrap().uid(), uid(4));
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
        let client = builder(&server).connect().unwrap();
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
