//! Servers that say what they may say when nobody expects it, and what they may not.

use mailpool::{
    Append, Certainty, Error, ErrorKind, Flag, ImapClient, Items, Query, ResponseCode, StatusItems,
    Store, UidSet,
};
use mailpool_test_server::{ScriptServer, Server};

use crate::scripted::{LONG, body, broken, logged_in, logout, select, single, uid};
use crate::support::{USER, message, server_with};

/// What is legal at any moment.
const ANYTIME: &str = "* 9 EXISTS\r\n* 1 RECENT\r\n* 8 FETCH (FLAGS (\\Seen))\r\n\
                       * 8 FETCH (UID 8 FLAGS (\\Seen $x) MODSEQ (77))\r\n* 9 EXPUNGE\r\n\
                       * OK [ALERT] the disk is nearly full\r\n* NO still nearly full\r\n\
                       * BAD you\r\n* OK [HIGHESTMODSEQ 99] x\r\n* FLAGS (\\Seen)\r\n\
                       * X-UNKNOWN (\"a)\" {2}\r\n)( b)\r\n* 3 X-COUNTED (1 2)\r\n* VANISHED 9\r\n\
                       * OK [X-CODE [a] \"b\"] x\r\n* STATUS Elsewhere (MESSAGES 4)\r\n";

/// One call of each kind gives its own answer, whatever else the server says meanwhile.
#[test]
fn untagged_data_may_come_at_any_time() {
    let server = server_with(3);
    let client = single(&server);
    let inbox = client.mailbox("INBOX");
    let verbs = [
        "NOOP",
        "LIST",
        "STATUS",
        "SELECT",
        "UID SEARCH",
        "UID FETCH",
        "UID STORE",
        "UID COPY",
        "APPEND",
        "CREATE",
        "CAPABILITY",
        "NAMESPACE",
        "ID",
        "LSUB",
        "UID EXPUNGE",
    ];
    for verb in verbs {
        server.faults().inject(verb, ANYTIME);
    }
    client.noop().unwrap();
    assert_eq!(client.list("", "*").unwrap().len(), 1);
    let status = inbox.status(StatusItems::new().messages()).unwrap();
    assert_eq!(status.messages, Some(3));
    assert_eq!(inbox.search(Query::all()).unwrap().to_string(), "1:3");
    let bodies: Vec<_> = inbox
        .fetch(UidSet::all(), body())
        .unwrap()
        .map(|message| message.unwrap().into_body().unwrap().into_bytes().unwrap())
        .collect();
    assert_eq!(bodies, [message(0), message(1), message(2)]);
    let stored = inbox.store([uid(2)], Store::add(Flag::Seen)).unwrap();
    let told: Vec<_> = stored.updated.iter().filter_map(|one| one.uid).collect();
    assert_eq!(told, [uid(2)]);
    let copies = inbox.copy([uid(1)], "INBOX").unwrap();
    assert!(copies.is_some());
    assert!(inbox.append(Append::new("a: b\r\n\r\n")).unwrap().is_some());
    client.mailbox("New").create().unwrap();
    client.capabilities().unwrap();
    client.namespace().unwrap();
    client.id([("name", "x")]).unwrap();
    assert_eq!(client.lsub("", "*").unwrap().len(), 0);
    inbox.expunge_uids(UidSet::all()).unwrap();
    assert_eq!(server.counters().accepted, 1);
}

/// Also while the server is not asked for anything.
#[test]
fn untagged_data_may_come_in_between() {
    let server = server_with(3);
    let client = single(&server);
    client.mailbox("INBOX").select().unwrap();
    for _ in 0..3 {
        let before = client.stats().bytes_received;
        server.send_all(ANYTIME);
        crate::scripted::eventually("it has come", || {
            client.stats().bytes_received >= before + ANYTIME.len() as u64
        });
        client.noop().unwrap();
    }
    assert_eq!(server.counters().accepted, 1);
}

/// Between APPEND and the `+` that lets it go on.
#[test]
fn untagged_data_may_come_before_a_continuation_request() {
    let server = Server::builder()
        .user(USER.0, USER.1)
        .without("LITERAL+")
        .start()
        .unwrap();
    let client = single(&server);
    let inbox = client.mailbox("INBOX");
    let text = vec![b'x'; 100_000];
    for count in 1..4 {
        server.faults().inject_before_continuation(ANYTIME);
        inbox.append(Append::new(text.clone())).unwrap();
        let stored = server.store().messages(USER.0, "INBOX");
        assert_eq!(stored.len(), count);
        assert!(stored[count - 1].bytes() == text);
    }
    assert_eq!(server.counters().accepted, 1);
}

/// NO where a `+` was waited for: the literal is not sent, and what was to follow it neither.
#[test]
fn a_literal_may_be_refused() {
    let server = Server::builder()
        .user(USER.0, USER.1)
        .without("LITERAL+")
        .record_lines()
        .start()
        .unwrap();
    let client = single(&server);
    let inbox = client.mailbox("INBOX");
    for _ in 0..3 {
        server.faults().refuse_next_literal("[OVERQUOTA] full");
        let error = inbox.append(Append::new("M9 LOGOUT\r\n")).unwrap_err();
        assert_eq!(error.response_code(), Some(&ResponseCode::OverQuota));
        assert_eq!(error.certainty(), Certainty::Rejected);
        let ErrorKind::Rejected {
            verb, status, text, ..
        } = error.kind()
        else {
            panic!("{error:?}");
        };
        assert_eq!((*verb, *status, text.as_str()), ("APPEND", "NO", "full"));
        client.noop().unwrap();
    }
    inbox.append(Append::new("a: b\r\n\r\n")).unwrap();
    assert_eq!(server.store().messages(USER.0, "INBOX").len(), 1);
    assert_eq!(server.counters().commands("LOGOUT"), 0);
    assert_eq!(server.counters().accepted, 1);
}

/// The second of several literals is refused: nothing of the rest is sent.
#[test]
fn the_second_literal_of_a_command_may_be_refused() {
    let script = select(logged_in(""), 0)
        .expect("{tag} UID SEARCH CHARSET UTF-8 SUBJECT {2}")
        .send("+ go on\r\n")
        .expect_bytes("ä")
        .expect(" BODY {2}")
        .send("{tag} NO [BADCHARSET (US-ASCII)] no\r\n")
        .expect("{tag} NOOP")
        .send("{tag} OK done\r\n");
    let server = ScriptServer::start([logout(script)]).unwrap();
    let client = single(&server);
    let query = Query::all().subject("ä").body("ö");
    let error = client.mailbox("INBOX").search(query).unwrap_err();
    assert_eq!(error.certainty(), Certainty::Rejected);
    client.noop().unwrap();
    drop(client);
    server.finish(LONG).unwrap();
}

#[test]
fn a_continuation_request_that_nothing_asked_for_is_passed_over() {
    let server = server_with(3);
    let client = single(&server);
    for bytes in ["+ what\r\n", "+\r\n", "+ \r\n+ \r\n", "+ {5}\r\n"] {
        server.faults().inject("NOOP", bytes);
        client.noop().unwrap();
        server.faults().inject("UID FETCH", bytes);
        let messages = client
            .mailbox("INBOX")
            .fetch(UidSet::all(), body())
            .unwrap();
        assert_eq!(messages.map(Result::unwrap).count(), 3);
    }
    assert_eq!(server.counters().accepted, 1);
}

/// Says something to a NOOP after which the connection cannot be trusted any more.
#[track_caller]
fn breaks(server: &Server, client: &ImapClient, bytes: &str) {
    let before = server.counters().accepted;
    server.faults().inject("NOOP", bytes);
    let error = broken(client.noop(), Certainty::MaybeExecuted);
    assert!(
        matches!(error.kind(), ErrorKind::Protocol { .. }),
        "{error:?}"
    );
    client.noop().unwrap();
    assert_eq!(server.counters().accepted, before + 1);
}

#[test]
fn an_answer_to_what_was_never_asked_ends_the_connection() {
    let server = server_with(1);
    let client = single(&server);
    for bytes in [
        "M999999 OK early\r\n",
        "A1 OK whose\r\n",
        "m1 OK whose\r\n",
        "M01 OK whose\r\n",
        "M18446744073709551616 OK whose\r\n",
        "M1 OK once more\r\n",
        "OK\r\n",
        " \r\n",
        "{tag}\r\n",
        "{tag} MAYBE\r\n",
        "{tag}OK\r\n",
        "\u{feff}* OK\r\n",
    ] {
        breaks(&server, &client, bytes);
    }
    assert_eq!(server.counters().peak_open, 1);
}

/// The first answer counts, the second one ends the connection; nobody is told that the client
/// has been shut down.
#[test]
fn a_second_answer_ends_the_connection() {
    let server = server_with(1);
    let client = single(&server);
    for round in 1..=20 {
        server.faults().inject_after("NOOP", "{tag} OK again\r\n");
        client.noop().unwrap();
        // The next call may still meet the connection that is ending.
        if let Err(error) = client.capabilities() {
            assert!(
                matches!(error.kind(), ErrorKind::Protocol { .. }),
                "{error:?}"
            );
            client.capabilities().unwrap();
        }
        assert_eq!(server.counters().accepted, round + 1);
    }
    assert_eq!(server.counters().peak_open, 1);
}

/// An answer that comes before its command has been written: this server guesses.
#[test]
fn an_answer_that_comes_too_early_is_none() {
    let server = server_with(1);
    let client = single(&server);
    let next = |offset: u64| {
        let last = server.commands().last().expect("a command").tag.clone();
        let number: u64 = last.trim_start_matches('M').parse().unwrap();
        format!("M{} OK done\r\n", number + offset)
    };
    client.noop().unwrap();
    // This one is the answer of the NOOP, the next one that of a command to come.
    let early = next(2);
    server.faults().inject("NOOP", early);
    broken(client.noop(), Certainty::MaybeExecuted);
    client.noop().unwrap();
    assert_eq!(server.counters().accepted, 2);
}

/// OK to a command of which a literal is still to come.
#[test]
fn an_answer_before_the_literal_is_none() {
    let script = logged_in("")
        .expect("{tag} APPEND INBOX {6}")
        .send("{tag} OK thanks\r\n");
    let second = logged_in("").expect("{tag} NOOP").send("{tag} OK done\r\n");
    let server = ScriptServer::start([script.expect_end(), logout(second)]).unwrap();
    let client = single(&server);
    let result = client.mailbox("INBOX").append(Append::new("a: b\r\n"));
    let error = broken(result, Certainty::MaybeExecuted);
    assert!(
        matches!(error.kind(), ErrorKind::Protocol { .. }),
        "{error:?}"
    );
    client.noop().unwrap();
    drop(client);
    server.finish(LONG).unwrap();
}

/// NO and BAD are errors of the command alone.
#[test]
fn a_refused_command_leaves_the_connection_alone() {
    let server = server_with(1);
    let client = single(&server);
    let inbox = client.mailbox("INBOX");
    inbox.select().unwrap();
    type Call<'a> = &'a dyn Fn() -> Result<(), Error>;
    let calls: [(&str, Call<'_>); 6] = [
        ("NOOP", &|| client.noop()),
        ("LIST", &|| client.list("", "*").map(drop)),
        ("UID SEARCH", &|| inbox.search(Query::all()).map(drop)),
        ("UID FETCH", &|| {
            let mut messages = inbox.fetch(UidSet::all(), Items::fast())?;
            messages.try_for_each(|message| message.map(drop))
        }),
        ("UID STORE", &|| {
            inbox.store(UidSet::all(), Store::add(Flag::Seen)).map(drop)
        }),
        ("CREATE", &|| client.mailbox("New").create()),
    ];
    for (verb, call) in calls {
        for status in ["NO", "BAD"] {
            let answer = format!("{{tag}} {status} [SERVERBUG] broken\r\n");
            server.faults().respond(verb, answer);
            let error = call().unwrap_err();
            assert_eq!(error.certainty(), Certainty::Rejected);
            let ErrorKind::Rejected {
                verb: told,
                status: how,
                code,
                text,
            } = error.kind()
            else {
                panic!("{error:?}");
            };
            assert_eq!((*told, *how, text.as_str()), (verb, status, "broken"));
            assert_eq!(*code, Some(ResponseCode::ServerBug));
            call().unwrap();
            if verb == "CREATE" {
                client.mailbox("New").delete().unwrap();
            }
        }
    }
    assert_eq!(server.counters().accepted, 1);
}

/// It is the SELECT that was refused, and nothing was selected.
#[test]
fn a_refused_select_is_told_as_what_it_is() {
    let server = server_with(1);
    let client = single(&server);
    client.mailbox("INBOX").select().unwrap();
    let missing = client.mailbox("Missing");
    let error = missing.search(Query::all()).unwrap_err();
    assert_eq!(error.certainty(), Certainty::Rejected);
    assert_eq!(error.response_code(), Some(&ResponseCode::NonExistent));
    let ErrorKind::Rejected { verb, .. } = error.kind() else {
        panic!("{error:?}");
    };
    assert_eq!(*verb, "SELECT");
    let error = missing.read_only().expunge().unwrap_err();
    let ErrorKind::Rejected { verb, .. } = error.kind() else {
        panic!("{error:?}");
    };
    assert_eq!(*verb, "EXAMINE");
    assert_eq!(server.counters().commands("UID SEARCH"), 0);
    assert_eq!(server.counters().commands("EXPUNGE"), 0);
    // The one that was selected is so no more (RFC 9051 §6.3.2).
    let found = client.mailbox("INBOX").search(Query::all()).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(server.counters().commands("SELECT"), 3);
}

/// A server that ends the session with BYE in the middle of a reply.
#[test]
fn a_goodbye_in_the_middle_of_a_reply_is_an_error() {
    let server = server_with(1);
    let client = single(&server);
    client.mailbox("INBOX").select().unwrap();
    server.faults().respond(
        "UID FETCH",
        "* 1 FETCH (UID 1 BODY[] {3}\r\none)\r\n* BYE [UNAVAILABLE] enough\r\n",
    );
    let mut messages = client
        .mailbox("INBOX")
        .fetch(UidSet::all(), body())
        .unwrap();
    assert!(messages.next().unwrap().is_ok());
    let error = broken(messages.next().unwrap(), Certainty::MaybeExecuted);
    assert!(matches!(error.kind(), ErrorKind::Bye { .. }), "{error:?}");
    assert!(messages.next().is_none());
    client.noop().unwrap();
    assert_eq!(server.counters().accepted, 2);
    assert_eq!(server.counters().peak_open, 1);
}

/// Without end: the number of untagged responses to one command is bounded.
#[test]
fn untagged_responses_without_end_are_bounded() {
    let server = server_with(1);
    let client = crate::scripted::builder(&server)
        .limits(mailpool::Limits::default().max_untagged_responses(1_000))
        .max_connections_per_server(1)
        .connect()
        .unwrap();
    server.faults().inject("NOOP", "* 3 EXISTS\r\n".repeat(900));
    client.noop().unwrap();
    server
        .faults()
        .inject("NOOP", "* 3 EXISTS\r\n".repeat(1_100));
    let error = broken(client.noop(), Certainty::MaybeExecuted);
    assert!(
        matches!(error.kind(), ErrorKind::Limit { limit: 1_000, .. }),
        "{error:?}"
    );
    client.noop().unwrap();
}
