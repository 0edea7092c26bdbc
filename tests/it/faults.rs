//! Broken connections, and servers that misbehave.

use std::thread::ScopedJoinHandle;
use std::time::Duration;

use mailpool::{
    Append, Backoff, Certainty, Error, ErrorKind, Flag, ImapClient, Query, ResponseCode,
    StatusItems, Store, UidSet,
};
use mailpool_test_server::{Action, Layer, LimitMode, Message, Server, Synthetic};

use crate::scripted::{LONG, body, broken, builder, eventually, single, uid};
use crate::support::{USER, message, server_with};
use crate::threads::SHORT;

/// How a connection ends under its commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Fin,
    Rst,
    Bye,
    Garbage,
    Stranger,
}

const ENDS: [End; 5] = [End::Fin, End::Rst, End::Bye, End::Garbage, End::Stranger];

impl End {
    fn happen(self, server: &Server) {
        match self {
            Self::Fin => server.close_all(),
            Self::Rst => server.reset_all(),
            Self::Bye => server.bye_all("[UNAVAILABLE] going down"),
            Self::Garbage => server.send_all(b"\x00\xff{\n\x16garbage"),
            Self::Stranger => server.send_all("M999 OK whose answer is this\r\n"),
        }
    }

    #[track_caller]
    fn explains(self, error: &Error) {
        let explained = match error.kind() {
            ErrorKind::Closed => matches!(self, Self::Fin | Self::Rst),
            ErrorKind::Io { .. } => self == Self::Rst,
            ErrorKind::Bye { code, text } => {
                assert_eq!(code.as_ref(), Some(&ResponseCode::Unavailable));
                assert_eq!(text, "going down");
                self == Self::Bye
            }
            ErrorKind::Protocol { .. } => matches!(self, Self::Garbage | Self::Stranger),
            _ => false,
        };
        assert!(explained, "{self:?} is not {error:?}");
    }
}

/// Each kind of command: the verb that the server holds, and the call.
type Call = fn(&ImapClient) -> Result<(), Error>;

const CALLS: [(&str, Call); 18] = [
    ("NOOP", |client| client.noop()),
    ("CAPABILITY", |client| client.capabilities().map(drop)),
    ("ID", |client| client.id([("name", "x")]).map(drop)),
    ("NAMESPACE", |client| client.namespace().map(drop)),
    ("LIST", |client| client.list("", "*").map(drop)),
    ("STATUS", |client| {
        let items = StatusItems::new().messages();
        client.mailbox("INBOX").status(items).map(drop)
    }),
    ("CREATE", |client| client.mailbox("New").create()),
    ("DELETE", |client| client.mailbox("Old").delete()),
    ("RENAME", |client| {
        client.mailbox("Old").rename("New").map(drop)
    }),
    ("SUBSCRIBE", |client| client.mailbox("INBOX").subscribe()),
    ("APPEND", |client| {
        let message = Append::new("a: b\r\n\r\n");
        client.mailbox("INBOX").append(message).map(drop)
    }),
    ("UID SEARCH", |client| {
        client.mailbox("INBOX").search(Query::all()).map(drop)
    }),
    ("UID FETCH", |client| {
        let mut messages = client.mailbox("INBOX").fetch(UidSet::all(), body())?;
        messages.try_for_each(|message| message.map(drop))
    }),
    ("UID STORE", |client| {
        let inbox = client.mailbox("INBOX");
        inbox.store(UidSet::all(), Store::add(Flag::Seen)).map(drop)
    }),
    ("UID COPY", |client| {
        let inbox = client.mailbox("INBOX");
        inbox.copy(UidSet::all(), "Old").map(drop)
    }),
    ("UID MOVE", |client| {
        let inbox = client.mailbox("INBOX");
        inbox.move_to(UidSet::all(), "Old").map(drop)
    }),
    ("UID EXPUNGE", |client| {
        client.mailbox("INBOX").expunge_uids(UidSet::all())
    }),
    ("EXPUNGE", |client| {
        client.mailbox("INBOX").expunge().map(drop)
    }),
];

/// The connection breaks under each command. What was written may have been carried out; what
/// was queued behind it was not sent; the next command works, and there was never more than
/// one socket.
#[test]
fn a_connection_may_break_under_every_command() {
    let server = server_with(3);
    server.store().create_mailbox(USER.0, "Old");
    let client = single(&server);
    for (verb, call) in CALLS {
        for end in ENDS {
            client.mailbox("INBOX").select().unwrap();
            server.faults().hold(verb);
            let before = server.counters().commands(verb);
            let (written, queued) = std::thread::scope(|threads| {
                let written = threads.spawn(|| call(&client));
                assert!(
                    server.wait_until(LONG, |counters| counters.commands(verb) > before),
                    "{verb}"
                );
                // A change of the mailbox waits until everything else is done.
                let queued = threads.spawn(|| client.mailbox("Old").select());
                eventually("the second call is queued", || {
                    let holders = client.stats().holders;
                    holders.iter().any(|one| one.activity.contains("1 more"))
                });
                end.happen(&server);
                (written.join().unwrap(), queued.join().unwrap())
            });
            let error = broken(written, Certainty::MaybeExecuted);
            end.explains(&error);
            let error = broken(queued, Certainty::NotSent);
            end.explains(&error);
            server.faults().clear();
            client.noop().unwrap();
        }
    }
    let rounds = (CALLS.len() * ENDS.len()) as u64;
    assert_eq!(server.counters().accepted, rounds + 1);
    assert_eq!(server.counters().peak_open, 1);
}

/// Many threads share the connection when it breaks: each is told, nobody waits for ever, and
/// all of them work again afterwards.
#[test]
fn nobody_is_left_waiting_when_a_shared_connection_breaks() {
    const THREADS: usize = 16;
    let server = server_with(3);
    let client = single(&server);
    for end in ENDS {
        server.faults().hold("NOOP");
        let before = client.stats().operations;
        std::thread::scope(|threads| {
            let calls: Vec<ScopedJoinHandle<'_, _>> = (0..THREADS)
                .map(|_| threads.spawn(|| client.noop()))
                .collect();
            eventually("all of them are under way", || {
                client.stats().operations >= before + THREADS as u64
            });
            end.happen(&server);
            for call in calls {
                let error = broken(call.join().unwrap(), Certainty::MaybeExecuted);
                end.explains(&error);
            }
            server.faults().clear();
            for _ in 0..THREADS {
                threads.spawn(|| client.noop().unwrap());
            }
        });
    }
    assert_eq!(server.counters().peak_open, 1);
}

/// Calls race with the end of the connection: whichever moment they hit, they are told the
/// truth.
#[test]
fn a_call_that_races_with_the_end_of_its_connection_is_told_why() {
    const CALLS: usize = 400;
    let server = server_with(1);
    let client = single(&server);
    std::thread::scope(|threads| {
        let callers: Vec<_> = (0..4)
            .map(|_| {
                threads.spawn(|| {
                    for _ in 0..CALLS {
                        if let Err(error) = client.noop() {
                            assert!(error.is_connection(), "{error:?}");
                        }
                    }
                })
            })
            .collect();
        let mut round = 0;
        while callers.iter().any(|caller| !caller.is_finished()) {
            if round % 2 == 0 {
                server.close_all();
            } else {
                server.reset_all();
            }
            round += 1;
            let accepted = server.counters().accepted;
            server.wait_until(std::time::Duration::from_millis(20), |counters| {
                counters.accepted > accepted
            });
        }
    });
    client.noop().ok();
    client.noop().unwrap();
    assert_eq!(server.counters().peak_open, 1);
}

/// An exclusive session is over with its connection: its further calls say how it ended, and
/// the thread goes on without it.
#[test]
fn a_session_whose_connection_broke_says_so() {
    let server = server_with(1);
    let client = single(&server);
    for end in [End::Fin, End::Rst, End::Bye] {
        let session = client.exclusive().unwrap();
        let inbox = session.mailbox("INBOX");
        inbox.select().unwrap();
        end.happen(&server);
        eventually("the client has noticed", || client.stats().open == 0);
        for _ in 0..2 {
            end.explains(&broken(inbox.events(), Certainty::NotSent));
            end.explains(&broken(client.noop(), Certainty::NotSent));
        }
        drop(session);
        client.noop().unwrap();
    }
    assert_eq!(server.counters().accepted, 4);
}

/// The bytes end inside a literal, in memory or streamed: it is an error, never a message.
#[test]
fn the_end_inside_a_literal_is_never_a_success() {
    const SIZES: [u64; 2] = [100_000, 2_000_000];
    let server = Server::builder()
        .user(USER.0, USER.1)
        .mailbox(
            USER.0,
            "INBOX",
            SIZES.map(|size| Message::synthetic(size, 1)),
        )
        .start()
        .unwrap();
    let client = single(&server);
    let inbox = client.mailbox("INBOX");
    for (number, size) in (1..).zip(SIZES) {
        for action in [Action::Close, Action::CloseWithoutNotify, Action::Reset] {
            // What precedes the body takes some 30 bytes, what follows it 27.
            for cut in [1, 20, 40, size / 2, size - 1, size, size + 10, size + 40] {
                inbox.select().unwrap();
                server
                    .faults()
                    .after_sent(cut, Layer::Plaintext, action.clone());
                let mut messages = inbox.fetch([uid(number)], body()).unwrap();
                let mut result = Ok(());
                for message in &mut messages {
                    result = result.and(message.and_then(|message| {
                        let bytes = message.into_body().unwrap().into_bytes()?;
                        let mut expected = vec![0; bytes.len()];
                        Synthetic::new(size, 1).read_at(0, &mut expected);
                        assert!(bytes.len() as u64 == size && bytes == expected);
                        // All of it had come: only the end of the command was missing.
                        assert!(cut > size, "{cut} bytes of {size}");
                        Ok(())
                    }));
                }
                broken(result, Certainty::MaybeExecuted);
                assert!(messages.next().is_none());
                server.faults().clear();
            }
        }
    }
    assert_eq!(server.counters().peak_open, 1);
}

/// The client's side of a short session, until something goes wrong.
fn session(server: &Server) -> Result<(), Error> {
    let client = builder(server).max_connections_per_server(1).connect()?;
    let work = || -> Result<usize, Error> {
        let inbox = client.mailbox("INBOX");
        let found = inbox.search(Query::all())?;
        assert_eq!(found.len(), 2, "half an answer was believed");
        let mut count = 0;
        for fetched in inbox.fetch(&found, body())? {
            let bytes = fetched?.into_body().unwrap().into_bytes()?;
            assert_eq!(bytes, message(count));
            count += 1;
        }
        Ok(count)
    };
    let result = work();
    server.faults().clear();
    match result {
        Ok(count) => assert_eq!(count, 2, "messages were lost without a word"),
        Err(error) => {
            assert!(
                matches!(error.kind(), ErrorKind::Closed | ErrorKind::Io { .. }),
                "{error:?}"
            );
            assert_eq!(work()?, 2);
        }
    }
    Ok(())
}

/// Cuts a short session after each of its bytes.
fn cut_everywhere(action: &Action) {
    let server = Server::builder()
        .user(USER.0, USER.1)
        .mailbox(USER.0, "INBOX", [message(0), message(1)])
        .capabilities(mailpool_test_server::Stage::BeforeLogin, &["IMAP4rev1"])
        .capabilities(mailpool_test_server::Stage::Authenticated, &["IMAP4rev1"])
        .start()
        .unwrap();
    session(&server).unwrap();
    assert!(server.wait_until(LONG, |counters| counters.open == 0));
    let whole = server.counters().bytes_out;
    let mut refused = 0;
    for cut in 0..whole {
        server
            .faults()
            .after_sent(cut, Layer::Plaintext, action.clone());
        if let Err(error) = session(&server) {
            server.faults().clear();
            refused += 1;
            assert!(
                matches!(
                    error.kind(),
                    ErrorKind::Closed | ErrorKind::Io { .. } | ErrorKind::Connect { .. }
                ),
                "after {cut}: {error:?}"
            );
            assert_eq!(error.certainty(), Certainty::NotSent);
        }
    }
    // Only what comes before the end of the login can keep a client from being made.
    assert!((20..whole / 2).contains(&refused), "{refused} of {whole}");
    assert_eq!(server.counters().peak_open, 1);
}

#[test]
fn a_session_may_end_after_each_byte() {
    cut_everywhere(&Action::Close);
}

#[test]
fn a_session_may_be_reset_after_each_byte() {
    cut_everywhere(&Action::Reset);
}

/// The server is away for a while. Every call says so, and works when it is back.
#[test]
fn a_server_that_is_away_is_an_error_until_it_is_back() {
    let server = server_with(1);
    let client = single(&server);
    server.refuse_connections(true).unwrap();
    server.close_all();
    eventually("the client has noticed", || client.stats().open == 0);
    for _ in 0..3 {
        let error = client.noop().unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Connect { .. }),
            "{error:?}"
        );
        assert_eq!(error.certainty(), Certainty::NotSent);
    }
    server.refuse_connections(false).unwrap();
    client.noop().unwrap();
    assert_eq!(server.counters().peak_open, 1);
}

/// A connection of the scope of a thread breaks: its next command opens another one for the
/// same permit.
#[test]
fn a_scope_goes_on_with_another_connection() {
    let server = server_with(1);
    let client = builder(&server)
        .max_connections_per_server(2)
        .connect()
        .unwrap();
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let scope = client.create_connection().unwrap();
            client.noop().unwrap();
            for _ in 0..3 {
                let second = server.counters().accepted as usize;
                server.faults_for(second).hold("NOOP");
                let before = server.counters().commands("NOOP");
                std::thread::scope(|threads| {
                    threads.spawn(|| {
                        assert!(server.wait_until(LONG, |now| now.commands("NOOP") > before));
                        server.reset(second);
                    });
                    broken(client.noop(), Certainty::MaybeExecuted);
                });
                client.noop().unwrap();
            }
            drop(scope);
        });
    });
    client.noop().unwrap();
    assert_eq!(server.counters().accepted, 5);
    assert_eq!(server.counters().peak_open, 2);
}

/// There is no one way to say that there are too many connections.
#[test]
fn too_many_connections_are_recognised() {
    for mode in [LimitMode::ByeAtGreeting, LimitMode::NoAtLogin] {
        let server = Server::builder()
            .user(USER.0, USER.1)
            .max_connections(1)
            .limit_mode(mode)
            .start()
            .unwrap();
        // The server takes its time to be sure that it is full.
        const PATIENT: Duration = Duration::from_secs(2);
        let quick = Backoff::new().max_delay(SHORT);
        let client = builder(&server)
            .max_connections_per_server(3)
            .reconnect(quick)
            .connect()
            .unwrap();
        std::thread::scope(|threads| {
            threads.spawn(|| {
                // More often than there are permits: they are given back.
                for _ in 0..5 {
                    let error = client.create_connection_timeout(PATIENT).unwrap_err();
                    assert!(error.is_too_many_connections(), "{error:?}");
                    eventually("the permit is there again", || {
                        client.stats().effective_quota == 3
                    });
                }
                server.set_max_connections(None);
                let _scope = client.create_connection().unwrap();
                client.noop().unwrap();
            });
        });
    }
    let server = server_with(0);
    for (greeting, is_too_many) in [
        (
            "BYE [UNAVAILABLE] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)",
            true,
        ),
        ("BYE Too many simultaneous connections. (Failure)", true),
        ("BYE [LIMIT] busy", true),
        ("BYE [INUSE] busy", true),
        ("BYE [UNAVAILABLE] the disk is full", false),
        ("BYE too many bad passwords", false),
    ] {
        server.faults().greet_with(format!("* {greeting}\r\n"));
        let error = builder(&server).connect().unwrap_err();
        assert_eq!(error.is_too_many_connections(), is_too_many, "{error:?}");
        assert_eq!(error.certainty(), Certainty::NotSent);
    }
}

/// `[LIMIT]` and `[INUSE]` to a command are about messages and mailboxes (RFC 5530 §3).
#[test]
fn a_limit_of_something_else_is_not_about_connections() {
    let server = server_with(1);
    let client = single(&server);
    for code in ["LIMIT", "INUSE"] {
        server
            .faults()
            .respond("NOOP", format!("{{tag}} NO [{code}] too much of it\r\n"));
        let error = client.noop().unwrap_err();
        assert_eq!(error.certainty(), Certainty::Rejected);
        assert!(error.response_code().is_some());
        assert!(!error.is_too_many_connections(), "{error:?}");
    }
}
