//! Calls that are given up from another thread, wherever they wait.

use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

use mailpool::{
    Append, CancelToken, Certainty, Error, ErrorKind, Flag, ImapClient, Items, Limits, Query,
    Section, Security, Store, UidSet,
};
use mailpool_test_server::{Message, Security as Secured, Server};

use crate::alone::{alone, is_alone};
use crate::scripted::body;
use crate::support::{USER, builder, client_with, message, server_with};
use crate::threads::{
    LONG, bounded, elsewhere, in_scope, large_server, settle, uid, until, until_open,
    until_received,
};
use crate::tls;

/// Runs a call on another thread, and cancels it when `blocked` has come true.
fn cancelled<T: Send>(
    client: &ImapClient,
    call: impl FnOnce(&ImapClient) -> Result<T, Error> + Send,
    blocked: impl FnOnce(),
) -> Error {
    let token = CancelToken::new();
    let view = client.with_cancel(&token);
    std::thread::scope(|threads| {
        let waiting = threads.spawn(|| call(&view).err());
        blocked();
        assert!(!waiting.is_finished(), "it does not wait");
        token.cancel();
        let error = waiting.join().unwrap().expect("it was cancelled");
        assert!(error.is_cancelled(), "{error:?}");
        error
    })
}

fn both() -> [(Server, ImapClient); 2] {
    let plain = server_with(3);
    let secure = tls::server(Secured::Tls);
    let clients = [
        builder(&plain).timeout(LONG).connect().unwrap(),
        tls::trusting(&secure, Security::Tls)
            .timeout(LONG)
            .connect()
            .unwrap(),
    ];
    let [one, other] = clients;
    [(plain, one), (secure, other)]
}

#[test]
fn a_written_command_is_given_up_its_late_reply_swallowed_and_the_connection_goes_on() {
    bounded(|| {
        for (server, client) in both() {
            server.faults().hold("NOOP");
            let error = cancelled(&client, ImapClient::noop, || {
                until_received(&server, "NOOP", 1);
            });
            assert_eq!(error.certainty(), Certainty::MaybeExecuted);
            server.faults().release("NOOP");
            client.noop().unwrap();
            client.mailbox("INBOX").search(Query::all()).unwrap();
            assert_eq!(server.counters().accepted, 1);
        }
    });
}

#[test]
fn a_queued_command_is_withdrawn() {
    bounded(|| {
        for (server, client) in both() {
            server.faults().hold("SELECT");
            std::thread::scope(|threads| {
                let first = threads.spawn(|| client.mailbox("INBOX").search(Query::all()));
                until_received(&server, "SELECT", 1);
                let error = cancelled(
                    &client,
                    |client| client.mailbox("INBOX").append(Append::new("a: b\r\n\r\n")),
                    || settle(&server, &client, 1),
                );
                assert_eq!(error.certainty(), Certainty::NotSent);
                server.faults().release("SELECT");
                first.join().unwrap().unwrap();
            });
            client.noop().unwrap();
            assert_eq!(server.counters().commands("APPEND"), 0);
        }
    });
}

#[test]
fn a_written_change_that_is_given_up_may_have_been_made() {
    bounded(|| {
        for (server, client) in both() {
            let inbox = client.mailbox("INBOX");
            // The highest UID in the mailbox, whatever it is.
            let last: UidSet = "*".parse().unwrap();
            server.faults().hold("UID STORE");
            let error = cancelled(
                &client,
                |client| {
                    let inbox = client.mailbox("INBOX");
                    inbox.store(&last, Store::add(Flag::Flagged))
                },
                || until_received(&server, "UID STORE", 1),
            );
            assert_eq!(error.certainty(), Certainty::MaybeExecuted);
            // And so it is.
            server.faults().release("UID STORE");
            let flagged = inbox.search(Query::flagged()).unwrap();
            let there = server.store().messages(USER.0, "INBOX").len();
            assert_eq!(flagged.iter().collect::<Vec<_>>(), [uid(there as u32)]);
            assert_eq!(server.counters().accepted, 1);

            // One that was not written is not made: it waits for another mailbox.
            server.store().create_mailbox(USER.0, "Other");
            server.store().append(USER.0, "Other", message(0));
            server.faults().hold("UID SEARCH");
            std::thread::scope(|threads| {
                let first = threads.spawn(|| inbox.search(Query::all()));
                until_received(&server, "UID SEARCH", 2);
                let error = cancelled(
                    &client,
                    |client| {
                        let other = client.mailbox("Other");
                        other.store(&last, Store::add(Flag::Deleted))
                    },
                    || settle(&server, &client, 1),
                );
                assert_eq!(error.certainty(), Certainty::NotSent);
                server.faults().release("UID SEARCH");
                first.join().unwrap().unwrap();
            });
            client.noop().unwrap();
            assert_eq!(server.counters().commands("UID STORE"), 1);
        }
    });
}

#[test]
fn the_wait_for_a_permit_is_given_up_and_the_line_goes_on() {
    bounded(|| {
        let server = server_with(1);
        let client = client_with(&server, 2);
        let outside = client.clone();
        in_scope(&client, move |client, connection| {
            let error = cancelled(
                &outside,
                |client| client.create_connection().map(drop),
                || until("it stands in line", || client.stats().waiting == 1),
            );
            assert_eq!(error.certainty(), Certainty::NotSent);
            assert_eq!(client.stats().waiting, 0);
            drop(connection);
        });
        in_scope(&client, |client, _connection| client.noop().unwrap());
    });
}

/// Accepts connections and says nothing.
fn deaf() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[test]
fn a_handshake_that_never_ends_and_a_greeting_that_never_comes_are_given_up() {
    bounded(|| {
        for security in [Security::Tls, Security::StartTls] {
            let (listener, port) = deaf();
            let token = CancelToken::new();
            let builder = ImapClient::builder("127.0.0.1")
                .port(port)
                .security(security)
                .credentials(mailpool::Credentials::password("a", "b"))
                .timeout(LONG)
                .cancel(&token);
            std::thread::scope(|threads| {
                let connecting = threads.spawn(|| builder.connect().err());
                let (peer, _) = listener.accept().unwrap();
                token.cancel();
                let error = connecting.join().unwrap().unwrap();
                assert!(error.is_cancelled(), "{error:?}");
                assert_eq!(error.certainty(), Certainty::NotSent);
                // Nothing is left open.
                peer.set_read_timeout(Some(LONG)).unwrap();
                let mut peer = peer;
                let mut rest = Vec::new();
                let end = std::io::Read::read_to_end(&mut peer, &mut rest);
                assert!(
                    end.is_ok() || end.is_err_and(|e| e.kind() != std::io::ErrorKind::WouldBlock)
                );
            });
        }
    });
}

#[test]
fn opening_a_scope_is_given_up_and_its_permit_comes_back() {
    bounded(|| {
        let server = server_with(1);
        let client = client_with(&server, 2);
        server.faults().hold("AUTHENTICATE");
        let error = cancelled(
            &client,
            |client| client.create_connection().map(drop),
            || until_received(&server, "AUTHENTICATE", 2),
        );
        assert_eq!(error.certainty(), Certainty::NotSent);
        server.faults().release("AUTHENTICATE");
        until("the permit is back", || client.stats().holders.len() == 1);
        in_scope(&client, |client, _connection| client.noop().unwrap());
        assert!(server.counters().peak_open <= 2);
    });
}

#[test]
fn a_token_that_was_cancelled_beforehand_begins_nothing() {
    bounded(|| {
        let token = CancelToken::new();
        token.cancel();
        let error = ImapClient::builder("name.invalid")
            .credentials(mailpool::Credentials::password("a", "b"))
            .cancel(&token)
            .connect()
            .unwrap_err();
        assert!(error.is_cancelled(), "{error:?}");
    });
}

#[test]
fn a_stream_is_given_up_in_the_middle_of_a_body() {
    bounded(|| {
        let server = large_server(2);
        let client = builder(&server)
            .limits(Limits::default().stream_threshold(10_000))
            .timeout(LONG)
            .connect()
            .unwrap();
        client.mailbox("INBOX").select().unwrap();
        server.faults_for(1).stall_after(300_000);
        let (reads, is_reading) = mpsc::channel();
        let error = cancelled(
            &client,
            move |client| {
                let items = Items::new().peek(Section::full());
                let mut messages = client.mailbox("INBOX").fetch([uid(1)], items)?;
                let body = messages.next().unwrap()?.into_body().unwrap();
                let mut reader = body.into_reader();
                loop {
                    reads.send(()).unwrap();
                    assert!(reader.next_chunk()?.is_some());
                }
                #[allow(unreachable_code)]
                Ok(())
            },
            || {
                is_reading.recv_timeout(LONG).unwrap();
                until("everything that comes has been read", || {
                    is_reading.try_iter().count();
                    client.stats().bytes_received >= 300_000
                });
            },
        );
        assert_eq!(error.certainty(), Certainty::MaybeExecuted);
        server.faults_for(1).clear();
        let found = client.mailbox("INBOX").search(Query::all()).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(server.counters().accepted, 1);
    });
}

#[test]
fn a_huge_reply_that_nobody_wants_is_passed_over_up_to_a_limit() {
    bounded(|| {
        let server = Server::builder()
            .user(USER.0, USER.1)
            .mailbox(USER.0, "INBOX", [Message::synthetic(1 << 30, 1)])
            .start()
            .unwrap();
        let client = builder(&server)
            .limits(Limits::default().max_skipped(1 << 20))
            .timeout(LONG)
            .connect()
            .unwrap();
        let mut messages = client.mailbox("INBOX").fetch([uid(1)], body()).unwrap();
        let message = messages.next().unwrap().unwrap();
        drop((message, messages));
        // Read to its end it would be a gigabyte.
        client.noop().unwrap();
        assert!(server.counters().bytes_out < 256 << 20);
        assert_eq!(client.stats().reconnected, 1);
        assert_eq!(server.counters().peak_open, 1);
    });
}

#[test]
fn whoever_waits_for_his_own_answer_is_not_cut_off_for_a_reply_that_nobody_wants() {
    bounded(|| {
        let server = large_server(40);
        let client = builder(&server)
            .limits(
                Limits::default()
                    .stream_threshold(10_000)
                    .max_skipped(1 << 20),
            )
            .timeout(LONG)
            .connect()
            .unwrap();
        let inbox = client.mailbox("INBOX");
        let mut messages = inbox.fetch(UidSet::all(), body()).unwrap();
        let first = messages.next().unwrap().unwrap();
        let append = std::thread::scope(|threads| {
            let append = threads.spawn(|| inbox.append(Append::new("a: b\r\n\r\n")));
            settle_or_read(&client);
            drop((first, messages));
            append.join().unwrap()
        });
        append.unwrap();
        assert_eq!(server.counters().accepted, 1);
    });
}

/// Waits until the append has been written: bytes go out.
fn settle_or_read(client: &ImapClient) {
    let before = client.stats().bytes_sent;
    until("something is written", || {
        client.stats().operations >= 2 || client.stats().bytes_sent > before
    });
}

#[test]
fn views_of_views_end_with_either_token_and_the_client_with_none() {
    bounded(|| {
        let server = server_with(1);
        let client = builder(&server).timeout(LONG).connect().unwrap();
        let (one, other) = (CancelToken::new(), CancelToken::new());
        let both = client.with_cancel(&one).with_cancel(&other);
        let other_only = client.with_cancel(&other);
        both.noop().unwrap();
        one.cancel();
        let error = both.noop().unwrap_err();
        assert!(error.is_cancelled());
        assert_eq!(error.certainty(), Certainty::NotSent);
        other_only.noop().unwrap();
        client.noop().unwrap();
        other.cancel_after(Duration::ZERO);
        assert!(other_only.noop().unwrap_err().is_cancelled());
        client.noop().unwrap();
        assert_eq!(server.counters().commands("NOOP"), 4);
    });
}

#[test]
fn ten_thousand_cancellations_leave_nothing_behind() {
    if !is_alone() {
        return alone(
            "cancelling::ten_thousand_cancellations_leave_nothing_behind",
            ":",
        );
    }
    bounded(|| {
        let before = (entries("task"), entries("fd"));
        let server = server_with(1);
        let client = client_with(&server, 3);
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let client = &client;
                scope.spawn(move || {
                    for turn in 0..2_500 {
                        assert!(client.stats().open <= 3);
                        let token = CancelToken::new();
                        let view = client.with_cancel(&token);
                        let result = match (turn + worker) % 5 {
                            0 => {
                                token.cancel();
                                view.noop()
                            }
                            1 => {
                                token.cancel_after(Duration::from_micros(50));
                                view.noop()
                            }
                            2 => {
                                token.cancel_after(Duration::from_micros(50));
                                view.create_connection().and_then(|_| view.noop())
                            }
                            3 => {
                                let task = view.spawn(ImapClient::noop);
                                token.cancel();
                                task.join()
                            }
                            _ => {
                                token.cancel_after(Duration::from_micros(100));
                                let inbox = view.mailbox("INBOX");
                                inbox.search(Query::all()).map(drop)
                            }
                        };
                        if let Err(error) = result {
                            assert!(error.is_cancelled(), "{error:?}");
                        }
                    }
                });
            }
        });
        until("everything is given back", || {
            let stats = client.stats();
            stats.tasks == 0 && stats.waiting == 0 && stats.parked + 1 == stats.holders.len()
        });
        client.noop().unwrap();
        assert_eq!(client.stats().open, client.stats().holders.len());
        assert!(server.counters().peak_open <= 3);
        // Each permit is there to be had, and there is none too many.
        in_scope(&client, |client, _one| {
            in_scope(client, |client, _other| {
                let client = client.clone();
                let third = elsewhere(move || client.try_create_connection().map(drop));
                let error = third.unwrap_err();
                assert!(
                    matches!(error.kind(), ErrorKind::NoPermit { .. }),
                    "{error:?}"
                );
            });
        });
        client.shutdown(LONG).unwrap();
        until_open(&server, 0);
        drop(client);
        drop(server);
        until("threads and descriptors are as many as before", || {
            (entries("task"), entries("fd")) == before
        });
    });
}

/// How many threads (`task`) or descriptors (`fd`) this process has.
fn entries(of: &str) -> usize {
    let entries = std::fs::read_dir(format!("/proc/self/{of}"));
    entries.expect("a process can look at itself").count()
}
