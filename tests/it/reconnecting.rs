//! Connections that are lost and opened anew by themselves.

use std::time::Duration;

use mailpool::{
    Append, Certainty, ConnectionEvent, Error, ErrorKind, Flag, ImapClient, Items, Query, Section,
    Store, UidSet,
};
use mailpool_test_server::{LimitMode, Server};

use crate::scripted::body;
use crate::support::{USER, builder, client_of, message, never, quick, server_with};
use crate::threads::{
    LONG, SHORT, bounded, connections_of, elsewhere, in_scope, main_holder, settle, uid, uids,
    until, until_received,
};

/// Cuts the connection off while the server holds a command with this verb. Returns what the
/// caller is told.
fn cut_under<T: Send>(
    server: &Server,
    client: &ImapClient,
    verb: &str,
    call: impl FnOnce(&ImapClient) -> Result<T, Error> + Send,
) -> Result<T, Error> {
    let before = server.counters().commands(verb);
    server.faults().hold(verb);
    std::thread::scope(|threads| {
        let waiting = threads.spawn(move || call(client));
        until_received(server, verb, before + 1);
        server.reset_all();
        server.faults().clear();
        waiting.join().unwrap()
    })
}

#[test]
fn the_main_connection_comes_back_by_itself() {
    bounded(|| {
        let server = server_with(1);
        let client = client_of(&server);
        for round in 1..=3 {
            server.reset_all();
            assert!(server.wait_until(LONG, |counters| counters.accepted == round + 1));
            until("it is ready", || client.stats().reconnected == round);
        }
        client.noop().unwrap();
        assert_eq!(server.counters().peak_open, 1);
        assert_eq!(connections_of(&server, "NOOP"), [4]);
    });
}

#[test]
fn what_may_be_repeated_is_repeated_once() {
    type Call = fn(&ImapClient) -> Result<u64, Error>;
    const CALLS: [(&str, Call, u64); 8] = [
        ("NOOP", |client| client.noop().map(|()| 1), 1),
        ("CAPABILITY", |client| client.capabilities().map(|_| 1), 1),
        ("LIST", |client| Ok(client.list("", "*")?.len() as u64), 1),
        (
            "STATUS",
            |client| {
                let items = mailpool::StatusItems::new().messages();
                let status = client.mailbox("INBOX").status(items)?;
                Ok(u64::from(status.messages.unwrap_or_default()))
            },
            3,
        ),
        (
            "UID SEARCH",
            |client| Ok(client.mailbox("INBOX").search(Query::all())?.len()),
            3,
        ),
        (
            "UID FETCH",
            |client| {
                let messages = client.mailbox("INBOX").fetch(UidSet::all(), body())?;
                let mut count = 0;
                for message in messages {
                    let body = message?.into_body().expect("a body").into_bytes()?;
                    assert_eq!(body, crate::support::message(count));
                    count += 1;
                }
                Ok(count as u64)
            },
            3,
        ),
        (
            "UID STORE",
            |client| {
                let inbox = client.mailbox("INBOX");
                let outcome = inbox.store(UidSet::all(), Store::add(Flag::Seen))?;
                Ok(outcome.updated.len() as u64)
            },
            3,
        ),
        (
            "UID EXPUNGE",
            |client| client.mailbox("INBOX").expunge_uids(uids(1, 3)).map(|()| 1),
            1,
        ),
    ];
    bounded(|| {
        let server = server_with(3);
        let client = client_of(&server);
        for (verb, call, expected) in CALLS {
            let result = cut_under(&server, &client, verb, call);
            assert_eq!(result.unwrap(), expected, "{verb}");
        }
        assert_eq!(server.counters().peak_open, 1);
        // Once: when it breaks again the caller is told.
        server.faults().hold("UID SEARCH");
        let before = server.counters().commands("UID SEARCH");
        std::thread::scope(|threads| {
            let waiting = threads.spawn(|| client.mailbox("INBOX").search(Query::all()));
            for round in 1..=2 {
                until_received(&server, "UID SEARCH", before + round);
                server.reset_all();
            }
            let error = waiting.join().unwrap().unwrap_err();
            assert!(error.is_connection(), "{error:?}");
            assert_eq!(error.certainty(), Certainty::MaybeExecuted);
        });
        server.faults().clear();
        client.noop().unwrap();
    });
}

#[test]
fn what_may_not_be_repeated_is_of_unknown_outcome() {
    type Call = fn(&ImapClient) -> Result<(), Error>;
    const CALLS: [(&str, Call); 8] = [
        ("APPEND", |client| {
            let append = Append::new("a: b\r\n\r\n");
            client.mailbox("INBOX").append(append).map(drop)
        }),
        ("UID COPY", |client| {
            client.mailbox("INBOX").copy(UidSet::all(), "Old").map(drop)
        }),
        ("UID MOVE", |client| {
            let inbox = client.mailbox("INBOX");
            inbox.move_to(UidSet::all(), "Old").map(drop)
        }),
        ("CREATE", |client| client.mailbox("New").create()),
        ("RENAME", |client| {
            client.mailbox("Old").rename("Older").map(drop)
        }),
        ("EXPUNGE", |client| {
            client.mailbox("INBOX").expunge().map(drop)
        }),
        ("UID STORE", |client| {
            let inbox = client.mailbox("INBOX");
            let replace = Store::replace(Flag::Seen);
            inbox.store(UidSet::all(), replace).map(drop)
        }),
        ("SEARCH", |client| {
            let session = client.exclusive()?;
            let inbox = session.mailbox("INBOX");
            inbox.search_sequence(Query::all()).map(drop)
        }),
    ];
    bounded(|| {
        let server = server_with(2);
        server.store().create_mailbox(USER.0, "Old");
        let client = client_of(&server);
        for (verb, call) in CALLS {
            let before = server.counters().commands(verb);
            let error = cut_under(&server, &client, verb, call).unwrap_err();
            assert!(error.is_connection(), "{verb}: {error:?}");
            assert_eq!(error.certainty(), Certainty::MaybeExecuted, "{verb}");
            assert!(!error.is_safe_to_retry());
            client.noop().unwrap();
            assert_eq!(server.counters().commands(verb), before + 1, "{verb}");
        }
    });
}

#[test]
fn nothing_is_repeated_in_a_mailbox_that_is_another_one_now() {
    bounded(|| {
        let server = server_with(3);
        let client = client_of(&server);
        let validity = server.store().uid_validity(USER.0, "INBOX");
        server.faults().hold("UID STORE");
        std::thread::scope(|threads| {
            let waiting = threads.spawn(|| {
                let inbox = client.mailbox("INBOX");
                inbox.store(uids(1, 2), Store::add(Flag::Deleted))
            });
            until_received(&server, "UID STORE", 1);
            server
                .store()
                .set_uid_validity(USER.0, "INBOX", validity + 1);
            server.reset_all();
            server.faults().clear();
            let error = waiting.join().unwrap().unwrap_err();
            assert!(
                matches!(error.kind(), ErrorKind::UidValidityChanged { .. }),
                "{error:?}"
            );
            // The first one may have been carried out.
            assert_eq!(error.certainty(), Certainty::MaybeExecuted);
        });
        assert_eq!(server.counters().commands("UID STORE"), 1);
    });
}

#[test]
fn a_fetch_goes_on_where_it_was_broken_off() {
    bounded(|| {
        let server = server_with(200);
        let client = client_of(&server);
        let inbox = client.mailbox("INBOX");
        inbox.select().unwrap();
        let size = message(0).len() as u64;
        for cut in [1, 2 * size, 20 * size, 100 * size] {
            let present = server.counters().accepted as usize;
            server.faults_for(present).after_sent(
                cut,
                mailpool_test_server::Layer::Plaintext,
                mailpool_test_server::Action::Reset,
            );
            let mut number = 0;
            for fetched in inbox.fetch(UidSet::all(), body()).unwrap() {
                let fetched = fetched.unwrap();
                assert_eq!(fetched.uid(), uid(number as u32 + 1), "each once, in order");
                let bytes = fetched.into_body().unwrap().into_bytes().unwrap();
                assert_eq!(bytes, message(number));
                number += 1;
            }
            assert_eq!(number, 200);
            client.noop().unwrap();
            assert_eq!(server.counters().accepted as usize, present + 1);
        }
        assert_eq!(server.counters().peak_open, 1);
    });
}

#[test]
fn queued_commands_survive_until_their_deadline() {
    bounded(|| {
        let server = server_with(2);
        let client = client_of(&server);
        server.refuse_connections(true).unwrap();
        server.reset_all();
        until("it is noticed", || {
            main_holder(&client).activity.contains("again")
        });
        std::thread::scope(|threads| {
            let patient: Vec<_> = (0..8)
                .map(|_| threads.spawn(|| client.mailbox("INBOX").search(Query::all())))
                .collect();
            let append = threads.spawn(|| {
                let append = Append::new("a: b\r\n\r\n");
                client.mailbox("INBOX").append(append)
            });
            let error = client.with_timeout(SHORT).noop().unwrap_err();
            let ErrorKind::Unreachable { attempts, last } = error.kind() else {
                panic!("{error:?}");
            };
            assert!(*attempts < 1_000);
            assert!(
                matches!(
                    **last,
                    ErrorKind::Connect { .. } | ErrorKind::Io { .. } | ErrorKind::Closed
                ),
                "{last:?}"
            );
            assert!(error.is_timeout() && error.is_connection() && error.is_safe_to_retry());
            until("all of them wait", || {
                main_holder(&client).activity.contains("9 queued")
            });
            server.refuse_connections(false).unwrap();
            for waiting in patient {
                waiting.join().unwrap().unwrap();
            }
            append.join().unwrap().unwrap();
        });
        assert_eq!(server.store().messages(USER.0, "INBOX").len(), 3);
        assert_eq!(server.counters().commands("NOOP"), 0);
        assert_eq!(server.counters().peak_open, 1);
    });
}

#[test]
fn subscribers_are_told_each_step() {
    bounded(|| {
        let server = server_with(1);
        let client = client_of(&server);
        let mut events = client.connection_events();
        assert!(events.next_timeout(Duration::ZERO).is_none());
        server.refuse_connections(true).unwrap();
        server.reset_all();
        let mut next = || events.next_timeout(LONG).expect("an event");
        assert!(matches!(next(), ConnectionEvent::Lost { error, .. } if error.is_connection()));
        for expected in 1..=3 {
            let ConnectionEvent::Retrying { attempt, delay, .. } = next() else {
                panic!("not retrying");
            };
            assert_eq!(attempt, expected);
            assert!(delay <= Duration::from_millis(20));
        }
        server.refuse_connections(false).unwrap();
        let restored = loop {
            match next() {
                ConnectionEvent::Retrying { .. } => {}
                ConnectionEvent::Restored { attempts, .. } => break attempts,
                other => panic!("{other:?}"),
            }
        };
        assert!(restored >= 3);
        client.shutdown(LONG).unwrap();
        assert!(events.next().is_none(), "the end of the client ends them");
    });
}

#[test]
fn a_refused_login_is_not_tried_again_by_itself() {
    bounded(|| {
        let server = server_with(1);
        let client = client_of(&server);
        let mut events = client.connection_events();
        server
            .faults()
            .refuse_next_login("[AUTHENTICATIONFAILED] Changed");
        server.reset_all();
        let given_up = loop {
            match events.next_timeout(LONG).expect("an event") {
                ConnectionEvent::GivenUp { error, .. } => break error,
                ConnectionEvent::Lost { .. } | ConnectionEvent::Retrying { .. } => {}
                other => panic!("{other:?}"),
            }
        };
        assert!(given_up.is_authentication(), "{given_up:?}");
        until("it has ended", || client.stats().open == 0);
        assert_eq!(server.counters().accepted, 2);
        // The next call tries once more.
        client.noop().unwrap();
        assert_eq!(server.counters().accepted, 3);
    });
}

#[test]
fn attempts_have_their_limit() {
    bounded(|| {
        let server = server_with(1);
        let client = builder(&server)
            .reconnect(quick().max_attempts(3))
            .timeout(LONG)
            .connect()
            .unwrap();
        let mut events = client.connection_events();
        server.refuse_connections(true).unwrap();
        server.reset_all();
        let mut retries = 0;
        loop {
            match events.next_timeout(LONG).expect("an event") {
                ConnectionEvent::Retrying { .. } => retries += 1,
                ConnectionEvent::GivenUp { error, .. } => {
                    assert!(error.is_connection(), "{error:?}");
                    break;
                }
                ConnectionEvent::Lost { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(retries, 3);
        let error = client.noop().unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Connect { .. }),
            "{error:?}"
        );
        server.refuse_connections(false).unwrap();
        client.noop().unwrap();
    });
}

#[test]
fn a_scope_comes_back_while_somebody_waits_for_it_and_not_otherwise() {
    bounded(|| {
        let server = server_with(3);
        let client = client_of(&server);
        let outside = client.clone();
        let server = &server;
        std::thread::scope(|threads| {
            threads.spawn(move || {
                let _connection = outside.create_connection().unwrap();
                server.faults_for(2).hold("UID SEARCH");
                std::thread::scope(|threads| {
                    threads.spawn(|| {
                        until_received(server, "UID SEARCH", 1);
                        assert!(server.reset(2));
                    });
                    let found = outside.mailbox("INBOX").search(Query::all());
                    assert_eq!(found.unwrap().len(), 3);
                });
                assert_eq!(outside.stats().reconnected, 1);
                // Nobody needs it now.
                assert!(server.reset(3));
                until("it has ended", || outside.stats().open == 1);
                outside.noop().unwrap();
            });
        });
        assert_eq!(connections_of(server, "NOOP"), [4]);
        assert_eq!(server.counters().peak_open, 2);
        drop(client);
    });
}

#[test]
fn an_exclusive_session_ends_with_its_connection_and_the_others_go_on() {
    bounded(|| {
        let server = server_with(3);
        let client = client_of(&server);
        let session = client.exclusive().unwrap();
        let inbox = session.mailbox("INBOX");
        inbox.search_sequence(Query::all()).unwrap();
        std::thread::scope(|threads| {
            let other = threads.spawn(|| client.mailbox("INBOX").search(Query::all()));
            settle(&server, &client, 1);
            server.reset_all();
            // What waited behind the session goes on with the new connection.
            assert_eq!(other.join().unwrap().unwrap().len(), 3);
        });
        let error = inbox.search_sequence(Query::all()).unwrap_err();
        assert!(error.is_connection(), "{error:?}");
        assert_eq!(error.certainty(), Certainty::NotSent);
        drop(session);
        client.noop().unwrap();
    });
}

#[test]
fn too_many_connections_shrink_the_quota_for_a_while_and_the_wait_goes_on() {
    bounded(|| {
        for mode in [LimitMode::ByeAtGreeting, LimitMode::NoAtLogin] {
            let server = Server::builder()
                .user(USER.0, USER.1)
                .mailbox(USER.0, "INBOX", [message(0)])
                .max_connections(2)
                .limit_mode(mode)
                .start()
                .unwrap();
            let client = client_of(&server);
            let turns = 12;
            std::thread::scope(|threads| {
                for _ in 0..4 {
                    threads.spawn(|| {
                        for _ in 0..turns {
                            let _connection = client.create_connection().unwrap();
                            client.mailbox("INBOX").search(Query::all()).unwrap();
                        }
                    });
                }
            });
            let tasks: Vec<_> = (0..6).map(|_| client.spawn(ImapClient::noop)).collect();
            for task in tasks {
                task.join().unwrap();
            }
            let stats = client.stats();
            assert!(stats.refused > 0, "{stats:?}");
            server.set_max_connections(None);
            until("the quota is whole again", || {
                client.stats().effective_quota == 10
            });
            in_scope(&client, |client, _connection| client.noop().unwrap());
        }
    });
}

#[test]
fn with_nobody_waiting_the_quota_recovers_all_the_same() {
    bounded(|| {
        let server = server_with(1);
        let client = client_of(&server);
        server.set_max_connections(Some(1));
        let outside = client.clone();
        let error = elsewhere(move || {
            let error = outside.try_create_connection().unwrap_err();
            assert_eq!(outside.stats().refused, 1);
            error
        });
        assert!(error.is_too_many_connections(), "{error:?}");
        until("the quota is whole again", || {
            client.stats().effective_quota == 10
        });
    });
}

#[test]
fn without_repeating_a_break_is_told_at_once() {
    bounded(|| {
        let server = server_with(1);
        let client = builder(&server)
            .reconnect(never())
            .timeout(LONG)
            .connect()
            .unwrap();
        let error = cut_under(&server, &client, "NOOP", ImapClient::noop).unwrap_err();
        assert_eq!(error.certainty(), Certainty::MaybeExecuted);
        client.noop().unwrap();
        let items = Items::new().peek(Section::full());
        let error = cut_under(&server, &client, "UID FETCH", move |client| {
            let mut messages = client.mailbox("INBOX").fetch([uid(1)], items)?;
            messages.try_for_each(|message| message.map(drop))
        });
        let error: Error = Result::<(), Error>::unwrap_err(error);
        assert!(error.is_connection(), "{error:?}");
    });
}
