//! Mailboxes that are followed, through the public API.

use std::time::{Duration, Instant};

use mailpool::{
    Append, CancelToken, ErrorKind, Flag, Idle, IdleOptions, ImapClient, Items, MailboxChange,
    Query, StatusItems, Store,
};
use mailpool_test_server::Server;

use crate::support::{USER, builder, client, message, server_with};
use crate::threads::{
    LONG, SHORT, bounded, in_scope, named, uid, uids, until, until_open, until_received,
};
use crate::tls;

/// The next change, and that there is one.
#[track_caller]
fn next(idle: &mut Idle) -> MailboxChange {
    match idle.next_timeout(LONG) {
        Some(Ok(change)) => change,
        other => panic!("no change: {other:?}"),
    }
}

/// Follows INBOX, and waits until it does.
#[track_caller]
fn begin(client: &ImapClient) -> Idle {
    let mut idle = client.mailbox("INBOX").idle().unwrap();
    let began = next(&mut idle);
    assert!(matches!(began, MailboxChange::Began { .. }), "{began:?}");
    idle
}

#[track_caller]
fn until_idling(server: &Server, count: usize) {
    let happened = server.wait_until(LONG, |counters| counters.idling == count);
    assert!(happened, "{} idle", server.counters().idling);
}

fn new_uid(change: &MailboxChange) -> Option<u32> {
    match change {
        MailboxChange::New { uid, .. } => Some(uid.get()),
        _ => None,
    }
}

/// Checks that the next change is the arrival of the message `number`.
#[track_caller]
fn expect_new(idle: &mut Idle, number: u32) {
    let change = next(idle);
    assert_eq!(new_uid(&change), Some(number), "{change:?}");
}

#[test]
fn changes_by_others_are_yielded_as_they_happen() {
    bounded(|| {
        let server = server_with(3);
        let client = client(&server);
        let mut idle = begin(&client);
        until_idling(&server, 1);
        let store = server.store();
        let new = store.append(USER.0, "INBOX", message(9));
        expect_new(&mut idle, new);
        until_idling(&server, 1);
        assert!(store.set_flags(USER.0, "INBOX", 2, &["\\Seen"]));
        match next(&mut idle) {
            MailboxChange::Flags { uid, flags, .. } => {
                assert_eq!(uid.get(), 2);
                assert!(flags.contains(&Flag::Seen));
            }
            other => panic!("{other:?}"),
        }
        assert!(store.expunge(USER.0, "INBOX", 1));
        assert_eq!(next(&mut idle), MailboxChange::Expunged(uid(1)));
        assert!(idle.next_timeout(SHORT).is_none() && !idle.is_over());
    });
}

#[test]
fn dropping_it_ends_idle_at_once_and_the_connection_goes_on() {
    bounded(|| {
        let server = server_with(1);
        let client = client(&server);
        for _ in 0..3 {
            let idle = begin(&client);
            until_idling(&server, 1);
            drop(idle);
            until_idling(&server, 0);
        }
        client.noop().unwrap();
        assert_eq!(server.counters().accepted, 1);
    });
}

#[test]
fn a_token_on_another_thread_ends_it() {
    bounded(|| {
        let server = server_with(1);
        let client = client(&server);
        let token = CancelToken::new();
        let mut idle = begin(&client.with_cancel(&token));
        until_idling(&server, 1);
        std::thread::scope(|threads| {
            let waiting = named(threads, "idler", || {
                let error = idle.next().unwrap().unwrap_err();
                assert!(error.is_cancelled(), "{error:?}");
                assert!(idle.is_over() && idle.next().is_none());
            });
            token.cancel();
            waiting.join().unwrap();
        });
        until_idling(&server, 0);
        client.noop().unwrap();
    });
}

#[test]
fn a_token_ends_it_over_tls_with_done_and_the_connection_goes_on() {
    bounded(|| {
        for (secured, security) in tls::BOTH {
            let server = tls::server(secured);
            let client = tls::trusting(&server, security).connect().unwrap();
            for round in 1..=3 {
                let token = CancelToken::new();
                let mut idle = begin(&client.with_cancel(&token));
                until_idling(&server, 1);
                std::thread::scope(|threads| {
                    let waiting = named(threads, "idler", || {
                        let error = idle.next().unwrap().unwrap_err();
                        assert!(error.is_cancelled(), "{error:?}");
                    });
                    token.cancel();
                    waiting.join().unwrap();
                });
                // The server has had DONE, and has answered it.
                until_idling(&server, 0);
                tls::works(&client);
                assert_eq!(server.counters().commands("IDLE"), round);
            }
            let counters = server.counters();
            assert_eq!((counters.accepted, counters.tls_handshakes), (1, 1));
        }
    });
}

#[test]
fn a_deadline_ends_it_and_the_timeout_of_calls_does_not() {
    bounded(|| {
        let server = server_with(1);
        let client = client(&server);
        let mut idle = begin(&client.with_timeout(SHORT));
        // Longer than a call may take.
        assert!(idle.next_timeout(3 * SHORT).is_none() && !idle.is_over());
        drop(idle);
        let deadline = Instant::now() + Duration::from_secs(2);
        let mut idle = begin(&client.with_deadline(deadline));
        let error = idle.next().unwrap().unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
        assert!(idle.next().is_none());
        until_idling(&server, 0);
        client.noop().unwrap();
    });
}

#[test]
fn eight_threads_use_the_connection_that_idles_and_no_change_is_missed() {
    bounded(|| {
        const THREADS: usize = 8;
        const ROUNDS: usize = 20;
        let server = server_with(5);
        let client = client(&server);
        let mut idle = begin(&client);
        until_idling(&server, 1);
        let inbox = client.mailbox("INBOX");
        client.mailbox("Other").create().unwrap();
        std::thread::scope(|threads| {
            for thread in 0..THREADS {
                let (client, inbox) = (&client, &inbox);
                named(threads, &format!("worker {thread}"), move || {
                    for round in 0..ROUNDS {
                        match (thread + round) % 4 {
                            0 => {
                                let append = Append::new(message(thread * ROUNDS + round));
                                inbox.append(append).unwrap();
                            }
                            1 => assert!(inbox.search(Query::all()).unwrap().len() >= 5),
                            2 => {
                                let status = client.mailbox("Other").select();
                                assert_eq!(status.unwrap().exists, 0);
                            }
                            _ => {
                                let found = inbox.fetch(uids(1, 5), Items::fast()).unwrap();
                                assert_eq!(found.map(Result::unwrap).count(), 5);
                            }
                        }
                    }
                });
            }
        });
        let expected: Vec<u32> = (6..6 + (THREADS * ROUNDS / 4) as u32).collect();
        let mut came = Vec::new();
        while came.len() < expected.len() {
            came.extend(new_uid(&next(&mut idle)));
        }
        assert_eq!(came, expected);
        until_idling(&server, 1);
        assert!(idle.next_timeout(SHORT).is_none());
        assert_eq!(server.counters().accepted, 1);
    });
}

#[test]
fn a_connection_that_breaks_comes_back_and_tells_what_happened_meanwhile() {
    bounded(|| {
        let server = server_with(3);
        let client = client(&server);
        let mut idle = begin(&client);
        let store = server.store();
        for round in 0..3 {
            until_idling(&server, 1);
            server.reset_all();
            until_idling(&server, 0);
            let new = store.append(USER.0, "INBOX", message(round));
            assert!(store.expunge(USER.0, "INBOX", new - 1));
            assert!(store.set_flags(USER.0, "INBOX", 1, &[["\\Seen", "\\Draft", "$x"][round]]));
            let mut changes = [next(&mut idle), next(&mut idle), next(&mut idle)];
            changes.sort_by_key(|change| match change {
                MailboxChange::Expunged(_) => 0,
                MailboxChange::Flags { .. } => 1,
                _ => 2,
            });
            assert_eq!(changes[0], MailboxChange::Expunged(uid(new - 1)));
            assert!(
                matches!(&changes[1], MailboxChange::Flags { uid: it, .. } if *it == uid(1)),
                "{changes:?}"
            );
            assert_eq!(new_uid(&changes[2]), Some(new));
        }
        until_idling(&server, 1);
        assert!(idle.next_timeout(SHORT).is_none());
    });
}

#[test]
fn without_condstore_a_gap_leaves_the_flags_unknown() {
    bounded(|| {
        let server = Server::builder()
            .user(USER.0, USER.1)
            .mailbox(USER.0, "INBOX", (0..2).map(message))
            .without("CONDSTORE")
            .without("QRESYNC")
            .start()
            .unwrap();
        let client = client(&server);
        let mut idle = begin(&client);
        until_idling(&server, 1);
        server.reset_all();
        assert_eq!(next(&mut idle), MailboxChange::FlagsUnknown);
        until_idling(&server, 1);
        server.store().set_flags(USER.0, "INBOX", 1, &["\\Seen"]);
        let change = next(&mut idle);
        assert!(matches!(change, MailboxChange::Flags { .. }), "{change:?}");
    });
}

#[test]
fn another_mailbox_that_is_selected_meanwhile_costs_no_change() {
    bounded(|| {
        let server = server_with(2);
        server.store().create_mailbox(USER.0, "Other");
        let client = client(&server);
        let mut idle = begin(&client);
        for _ in 0..3 {
            until_idling(&server, 1);
            client.mailbox("Other").select().unwrap();
            let new = server.store().append(USER.0, "INBOX", message(7));
            expect_new(&mut idle, new);
        }
    });
}

#[test]
fn a_mailbox_that_is_replaced_is_followed_anew() {
    bounded(|| {
        let server = server_with(2);
        server.store().create_mailbox(USER.0, "Other");
        let client = client(&server);
        let mut idle = begin(&client);
        until_idling(&server, 1);
        client.mailbox("Other").select().unwrap();
        server.store().set_uid_validity(USER.0, "INBOX", 4711);
        match next(&mut idle) {
            MailboxChange::UidValidityChanged { found } => {
                assert_eq!(found.map(mailpool::UidValidity::get), Some(4711));
            }
            other => panic!("{other:?}"),
        }
        let new = server.store().append(USER.0, "INBOX", message(7));
        expect_new(&mut idle, new);
    });
}

#[test]
fn what_this_client_stores_is_not_reported() {
    bounded(|| {
        let server = server_with(2);
        let client = client(&server);
        let mut idle = begin(&client);
        until_idling(&server, 1);
        let inbox = client.mailbox("INBOX");
        inbox.store([uid(1)], Store::add(Flag::Seen)).unwrap();
        until_idling(&server, 1);
        let new = server.store().append(USER.0, "INBOX", message(7));
        expect_new(&mut idle, new);
    });
}

#[test]
fn a_second_one_on_the_connection_is_refused_and_one_of_its_own_is_not() {
    bounded(|| {
        let server = server_with(2);
        let client = client(&server);
        let mut idle = begin(&client);
        let error = client.mailbox("INBOX").idle().unwrap().next().unwrap();
        let error = error.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Idling), "{error:?}");
        assert!(error.to_string().contains("create_connection()"));
        in_scope(&client, |client, connection| {
            let own = begin(client);
            drop(connection);
            drop(own);
        });
        until_idling(&server, 1);
        let new = server.store().append(USER.0, "INBOX", message(7));
        expect_new(&mut idle, new);
    });
}

#[test]
fn a_connection_that_idles_is_given_back_and_handed_on() {
    bounded(|| {
        let server = server_with(2);
        let client = client(&server);
        let mut idle = in_scope(&client, |client, connection| {
            let idle = begin(client);
            connection.close().unwrap();
            idle
        });
        // Who gives the connection back has had enough.
        let error = idle.next().unwrap().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ShutDown), "{error:?}");
        assert!(idle.is_over() && idle.next().is_none());
        until_idling(&server, 0);
        in_scope(&client, |client, _connection| client.noop().unwrap());
        assert_eq!(server.counters().accepted, 2);
    });
}

#[test]
fn an_exclusive_session_is_not_disturbed_and_idle_goes_on_after_it() {
    bounded(|| {
        let server = server_with(2);
        let client = client(&server);
        let mut idle = begin(&client);
        until_idling(&server, 1);
        let session = client.exclusive().unwrap();
        let error = client.mailbox("INBOX").idle().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InExclusive), "{error:?}");
        until_idling(&server, 0);
        let new = server.store().append(USER.0, "INBOX", message(7));
        // Longer than an interrupted IDLE would wait.
        assert!(idle.next_timeout(4 * SHORT).is_none());
        assert_eq!(server.counters().idling, 0);
        session
            .mailbox("INBOX")
            .status(StatusItems::new().messages())
            .unwrap();
        drop(session);
        expect_new(&mut idle, new);
        until_idling(&server, 1);
    });
}

#[test]
fn a_shutdown_says_goodbye_to_a_server_that_listens() {
    bounded(|| {
        let server = server_with(2);
        let client = client(&server);
        let mut idle = begin(&client);
        until_idling(&server, 1);
        client.shutdown(LONG).unwrap();
        until_open(&server, 0);
        until_received(&server, "LOGOUT", 1);
        let error = idle.next().unwrap().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ShutDown), "{error:?}");
    });
}

#[test]
fn a_mailbox_that_is_not_there_is_an_error_of_the_iterator() {
    bounded(|| {
        let server = server_with(0);
        let client = client(&server);
        let mut idle = client.mailbox("Nowhere").idle().unwrap();
        let error = idle.next().unwrap().unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Rejected { .. }),
            "{error:?}"
        );
        assert!(idle.next().is_none());
        client.noop().unwrap();
    });
}

#[test]
fn without_idle_the_server_is_asked_again_and_again() {
    bounded(|| {
        let server = Server::builder()
            .user(USER.0, USER.1)
            .mailbox(USER.0, "INBOX", (0..2).map(message))
            .without("IDLE")
            .start()
            .unwrap();
        let client = client(&server);
        let options = IdleOptions::new().poll_every(SHORT);
        let mut idle = client.mailbox("INBOX").idle_with(options).unwrap();
        assert!(matches!(
            next(&mut idle),
            MailboxChange::Began { exists: 2, .. }
        ));
        let new = server.store().append(USER.0, "INBOX", message(7));
        expect_new(&mut idle, new);
        assert!(server.store().expunge(USER.0, "INBOX", 1));
        assert_eq!(next(&mut idle), MailboxChange::Expunged(uid(1)));
        assert_eq!(server.counters().commands("IDLE"), 0);
    });
}

#[test]
fn a_refused_idle_is_tried_again() {
    bounded(|| {
        let server = server_with(2);
        server.faults().respond("IDLE", "NO not now\r\n");
        let client = client(&server);
        let options = IdleOptions::new().poll_every(SHORT);
        let mut idle = client.mailbox("INBOX").idle_with(options).unwrap();
        next(&mut idle);
        until_idling(&server, 1);
        let new = server.store().append(USER.0, "INBOX", message(7));
        expect_new(&mut idle, new);
    });
}

#[test]
fn idle_is_renewed() {
    bounded(|| {
        let server = server_with(2);
        let client = client(&server);
        let options = IdleOptions::new().renew_after(SHORT);
        let mut idle = client.mailbox("INBOX").idle_with(options).unwrap();
        next(&mut idle);
        until_received(&server, "IDLE", 5);
        let new = server.store().append(USER.0, "INBOX", message(7));
        expect_new(&mut idle, new);
    });
}

/// While nobody else uses the connection, a reader that takes its time only stops the reading.
#[test]
fn a_slow_reader_gets_everything() {
    bounded(|| {
        const COUNT: u32 = 3_000;
        let server = server_with(1);
        let client = builder(&server).connect().unwrap();
        let mut idle = begin(&client);
        until_idling(&server, 1);
        for round in 0..COUNT {
            let flag = if round % 2 == 0 { "\\Seen" } else { "\\Draft" };
            server.store().set_flags(USER.0, "INBOX", 1, &[flag]);
        }
        let new = server.store().append(USER.0, "INBOX", message(7));
        until("the last change", || new_uid(&next(&mut idle)) == Some(new));
    });
}
