//! What HAZARDS.md lists under imap-proto, byte for byte, through a whole client.
//!
//! Each case ends with a command on the same client: the process is alive, and so is the pool.
//! Where the bytes are within the protocol's grammar the connection survives too.

use mailpool::{Error, ErrorKind, ImapClient, Items, Message, Query, StatusItems, Uid};
use mailpool_test_server::Server;

use crate::scripted::{body, single, uid};
use crate::support::{message, server_with};

/// Answers the next UID FETCH with these bytes and returns what came of it.
pub(crate) fn fetched(
    server: &Server,
    client: &ImapClient,
    answer: &[u8],
) -> Vec<Result<Message, Error>> {
    let mut bytes = answer.to_vec();
    bytes.extend_from_slice(b"{tag} OK done\r\n");
    server.faults().respond("UID FETCH", bytes);
    let items = Items::full().envelope().body_structure();
    let fetch = client.mailbox("INBOX").fetch([uid(3)], items).unwrap();
    fetch.collect()
}

/// The one message that came.
#[track_caller]
pub(crate) fn one(mut messages: Vec<Result<Message, Error>>) -> Message {
    assert_eq!(messages.len(), 1, "{messages:?}");
    messages.remove(0).expect("the message can be read")
}

/// The client works, on the connection that it had.
#[track_caller]
pub(crate) fn works(server: &Server, client: &ImapClient) {
    let inbox = client.mailbox("INBOX");
    let mut messages = inbox.fetch([uid(3)], body()).unwrap();
    let third = messages.next().expect("the message is there").unwrap();
    assert_eq!(third.into_body().unwrap().into_bytes().unwrap(), message(2));
    assert!(messages.next().is_none());
    assert_eq!(server.counters().accepted, 1);
}

#[test]
fn bytes_beyond_ascii_after_a_code_are_text() {
    let server = server_with(3);
    let client = single(&server);
    for bytes in [
        "* OK [ALERT]é\r\n".as_bytes(),
        b"+ [ALERT]\xff\r\n",
        b"* OK [READ-ONLY]\xff\r\n",
        b"* NO [TRYCREATE]\xff\r\n",
        b"* BAD [PARSE]\x80\r\n",
        b"* OK [UIDNOTSTICKY]\xfe\xff\r\n",
    ] {
        server.faults().inject("NOOP", bytes);
        client.noop().unwrap();
        works(&server, &client);
    }
    for status in ["OK", "NO", "BAD"] {
        for code in ["READ-WRITE", "ALERT", "TRYCREATE", "PARSE", "UNKNOWN"] {
            let answer = format!("{{tag}} {status} [{code}]");
            let answer = [answer.as_bytes(), b"\xff\r\n"].concat();
            server.faults().respond("NOOP", answer);
            let result = client.noop();
            assert_eq!(result.is_ok(), status == "OK", "{result:?}");
            works(&server, &client);
        }
    }
}

#[test]
fn a_greeting_with_bytes_beyond_ascii_is_a_greeting() {
    let server = server_with(3);
    server.faults().greet_with(b"* OK [ALERT]\xff\r\n");
    let client = single(&server);
    works(&server, &client);
}

#[test]
fn an_internal_date_that_is_nil_costs_nothing_but_itself() {
    let server = server_with(3);
    let client = single(&server);
    let answer = b"* 3 FETCH (UID 3 INTERNALDATE NIL RFC822.SIZE 7)\r\n";
    let message = one(fetched(&server, &client, answer));
    assert_eq!((message.internal_date(), message.size()), (None, Some(7)));
    works(&server, &client);
}

#[test]
fn metadata_is_passed_over_whatever_it_holds() {
    let server = server_with(3);
    let client = single(&server);
    for bytes in [
        &b"* METADATA \"\xff\" (/private/comment NIL)\r\n"[..],
        b"* METADATA \"\" (/shared/comment \"\xff\")\r\n",
        b"* METADATA {1}\r\n\xff (/private/comment NIL)\r\n",
        b"* METADATA \"\" (/shared/comment {1}\r\n\xff)\r\n",
        b"* METADATA \"\" (\"/private/comment \xff\" NIL)\r\n",
        // imap-proto finds this one incomplete for ever.
        b"* METADATA \"\" (/private/vendor NIL)\r\n",
    ] {
        server.faults().inject("NOOP", bytes);
        client.noop().unwrap();
        works(&server, &client);
    }
}

#[test]
fn a_string_forges_no_attribute() {
    let server = server_with(3);
    let client = single(&server);
    let subject = |message: &Message| {
        let envelope = message.envelope().unwrap().expect("an envelope");
        envelope
            .subject
            .clone()
            .unwrap()
            .to_string_lossy()
            .into_owned()
    };
    let answer =
        br#"* 3 FETCH (ENVELOPE (NIL "a \x) UID 999 Z (" NIL NIL NIL NIL NIL NIL NIL NIL) UID 3)"#;
    let message = one(fetched(&server, &client, &[answer, &b"\r\n"[..]].concat()));
    assert_eq!(message.uid(), uid(3));
    assert_eq!(subject(&message), r"a \x) UID 999 Z (");

    let answer = b"* 3 FETCH (ENVELOPE (NIL {26}\r\na) UID 999)\r\n* 7 EXPUNGE\r\n \
                   NIL NIL NIL NIL NIL NIL NIL NIL) UID 3)\r\n";
    let message = one(fetched(&server, &client, answer));
    assert_eq!(message.uid(), uid(3));
    assert_eq!(subject(&message), "a) UID 999)\r\n* 7 EXPUNGE\r\n");
    works(&server, &client);

    // One byte of it outside the literal: a line feed by itself, where no line can end.
    let answer = b"* 3 FETCH (ENVELOPE (NIL {25}\r\na) UID 999)\r\n* 7 EXPUNGE\r\n \
                   NIL NIL NIL NIL NIL NIL NIL NIL) UID 3)\r\n";
    let mut messages = fetched(&server, &client, answer);
    assert_eq!(messages.len(), 1);
    let error = messages.remove(0).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Protocol { .. }),
        "{error:?}"
    );
    client.noop().unwrap();
    assert_eq!(server.counters().accepted, 2);
}

/// The session that forges an expunge would tell it.
#[test]
fn a_literal_forges_no_event() {
    let server = server_with(3);
    let client = single(&server);
    let session = client.exclusive().unwrap();
    let inbox = session.mailbox("INBOX");
    inbox.select().unwrap();
    let forged = "a) UID 999)\r\n* 7 EXPUNGE\r\nM1 OK x\r\nM99 OK\r\n";
    let literal = format!("{{{}}}\r\n{forged}", forged.len());
    for answer in [
        format!("* 3 FETCH (ENVELOPE (NIL {literal} NIL) UID 3)\r\n"),
        format!("* 3 FETCH (ENVELOPE ({literal}  X UID 3)\r\n"),
        format!("* 3 FETCH (UID 3 BODY[] {literal})\r\n"),
        format!("* 3 FETCH (BODY[1] {literal} UID 3 BODY[2] {literal})\r\n"),
        format!("* 3 FETCH (UID 3 X {literal})\r\n"),
        format!("* 3 FETCH (UID 3 FLAGS ({literal}))\r\n"),
        format!("* 3 FETCH {literal}\r\n"),
        format!("* X-NEW {literal} x\r\n"),
        format!("* LIST () \"/\" {literal}\r\n"),
    ] {
        let answer = format!("{answer}{{tag}} OK done\r\n");
        server.faults().respond("UID FETCH", &answer);
        for message in inbox.fetch([uid(3)], body()).unwrap().flatten() {
            assert_eq!(message.uid(), uid(3), "{answer}");
        }
        assert_eq!(inbox.events().unwrap(), [], "{answer}");
    }
    drop(session);
    works(&server, &client);
}

#[test]
fn a_message_with_two_uids_is_refused() {
    let server = server_with(3);
    let client = single(&server);
    for attributes in [
        "UID 3 UID 4",
        "UID 3 FLAGS () UID 3",
        "UID 0",
        "UID NIL",
        "UID 4294967296",
        "UID 3x",
    ] {
        let answer = format!("* 3 FETCH ({attributes})\r\n");
        let mut messages = fetched(&server, &client, answer.as_bytes());
        let told = messages.pop().expect("the caller is told");
        let error = told.expect_err(attributes);
        assert!(
            matches!(error.kind(), ErrorKind::Message { .. }),
            "{error:?}"
        );
        assert!(messages.is_empty());
        works(&server, &client);
    }
}

#[test]
fn quoted_strings_are_unescaped_and_sizes_kept() {
    let server = server_with(3);
    let client = single(&server);
    let answer = br#"* 3 FETCH (UID 3 RFC822.SIZE 4294967296 PREVIEW "x)" SAVEDATE NIL ENVELOPE (NIL "a \"b\" \\" NIL NIL NIL () NIL NIL NIL NIL))"#;
    let message = one(fetched(&server, &client, &[answer, &b"\r\n"[..]].concat()));
    assert_eq!(message.size(), Some(1 << 32));
    let envelope = message.envelope().unwrap().unwrap();
    assert_eq!(envelope.subject.as_ref().unwrap().as_bytes(), br#"a "b" \"#);

    server.faults().respond(
        "LIST",
        "* LIST () \"\\\\\" \"a\\\"b\\\\c\"\r\n* LIST (\\AllMail) \"/\" {3}\r\na\"b\r\n\
         * LIST () \"/\" \"x\" (CHILDINFO (\"SUBSCRIBED\"))\r\n{tag} OK done\r\n",
    );
    let entries = client.list("", "*").unwrap();
    let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, [r#"a"b\c"#, "a\"b", "x"]);
    assert_eq!(entries[0].delimiter, Some('\\'));
    works(&server, &client);
}

#[test]
fn codes_that_imap_proto_leaves_in_the_text_are_told() {
    let server = server_with(3);
    let client = single(&server);
    for code in ["OVERQUOTA", "INUSE", "LIMIT", "NOPERM", "X-OWN with words"] {
        let answer = format!("{{tag}} NO [{code}] no\r\n");
        server.faults().respond("NOOP", answer);
        let error = client.noop().unwrap_err();
        assert!(error.response_code().is_some(), "{code}");
        let ErrorKind::Rejected { text, .. } = error.kind() else {
            panic!("{error:?}");
        };
        assert_eq!(text, "no");
    }
    works(&server, &client);
}

/// What imap-proto refuses as a whole.
#[test]
fn responses_that_imap_proto_rejects_are_read_or_passed_over() {
    let server = server_with(3);
    let client = single(&server);
    let inbox = client.mailbox("INBOX");

    server
        .faults()
        .respond("UID SEARCH", "* SEARCH 3 1 (MODSEQ 9)\r\n{tag} OK done\r\n");
    assert_eq!(inbox.search(Query::all()).unwrap().to_string(), "1,3");
    server
        .faults()
        .respond("UID SEARCH", "*  SEARCH  2  3 \r\n{tag} OK done\r\n");
    assert_eq!(inbox.search(Query::all()).unwrap().to_string(), "2:3");
    server.faults().respond(
        "UID SEARCH",
        "* ESEARCH (TAG \"{tag}\") UID ALL 1,3 COUNT 2\r\n{tag} OK done\r\n",
    );
    assert_eq!(inbox.search(Query::all()).unwrap().to_string(), "1,3");

    server.faults().respond(
        "STATUS",
        "* STATUS INBOX (MESSAGES 3 SIZE 5000000000 DELETED 1 MAILBOXID (F1) APPENDLIMIT NIL)\r\n\
         {tag} OK done\r\n",
    );
    let status = inbox.status(StatusItems::new().messages().size()).unwrap();
    assert_eq!(
        (status.messages, status.size),
        (Some(3), Some(5_000_000_000))
    );

    server.faults().respond(
        "NAMESPACE",
        "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n{tag} OK done\r\n",
    );
    assert_eq!(client.namespace().unwrap().personal.len(), 1);

    server.faults().respond(
        "CAPABILITY",
        "* CAPABILITY IMAP4rev2  SASL-IR UIDPLUS\r\n{tag} OK done\r\n",
    );
    assert!(client.capabilities().unwrap().contains("SASL-IR"));

    for unknown in [
        "* THREAD (1 2)(3)",
        "* LANGUAGE (en)",
        "* COMPARATOR \"i;unicode-casemap\"",
        "* GENURLAUTH \"imap://x\"",
        "* XLIST (\\Inbox) \"/\" \"INBOX\"",
        "* VANISHED 310:300",
        "* 1 FETCH ()",
        "*  3 EXISTS",
        "* I",
        "* ID",
        "* ACL",
        "* 12 X-WHATEVER {5}",
        "* X \"unescaped \" quote\" (",
        "*",
        "* ",
        "* 99999999999999999999 EXISTS",
        "* \u{0}",
    ] {
        let line = unknown.strip_suffix(" {5}").map_or_else(
            || format!("{unknown}\r\n"),
            |before| format!("{before} {{5}}\r\n\r\n* B (\r\n"),
        );
        server.faults().inject("NOOP", line);
        client
            .noop()
            .unwrap_or_else(|error| panic!("{unknown}: {error:?}"));
    }
    works(&server, &client);
}

#[test]
fn attributes_that_imap_proto_rejects_cost_nothing_but_themselves() {
    let server = server_with(3);
    let client = single(&server);
    for value in [
        "BINARY[1] {3}\r\na)b",
        "BINARY.SIZE[1] 5",
        "BODY (\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 5 1)",
        "BODYSTRUCTURE (\"ALTERNATIVE\")",
        "BODYSTRUCTURE (\"RELATED\" NIL NIL NIL)",
        "BODYSTRUCTURE ()",
        "ENVELOPE (NIL NIL () () () () () () NIL NIL)",
        "ENVELOPE ()",
        "ENVELOPE NIL",
        "BODYSTRUCTURE NIL",
        "X-OWN ((\"a)\") {3}\r\n))) \"\\\"\")",
        "MODSEQ (0)",
        "FLAGS (\\Seen \\* $a)",
        "INTERNALDATE \"\"",
        "RFC822.SIZE NIL",
    ] {
        let answer = format!("* 3 FETCH ({value} UID 3 BODY[] {{5}}\r\nhello)\r\n");
        let message = one(fetched(&server, &client, answer.as_bytes()));
        assert_eq!(message.uid(), uid(3), "{value}");
        let body = message.into_body().expect(value).into_bytes().unwrap();
        assert_eq!(body, "hello", "{value}");
    }
    works(&server, &client);
}

/// The protocol cannot be followed any further: the connection is given up, the client goes on.
#[test]
fn a_stream_that_cannot_be_framed_ends_the_connection_only() {
    for bytes in [
        &b"* 3 EXISTS\n"[..],
        b"* LIST () \"/\" {99999999999999999999}\r\n",
        b"garbage\r\n",
        b"\x16\x03\x01\x02\x00\n",
        b"* OK\n",
        b"\r\n",
    ] {
        let server = server_with(3);
        let client = single(&server);
        server.faults().inject("NOOP", bytes);
        let error = client.noop().expect_err("it cannot be framed");
        assert!(
            matches!(error.kind(), ErrorKind::Protocol { .. }),
            "{error:?}"
        );
        client.noop().unwrap();
        assert_eq!(server.counters().accepted, 2);
        assert_eq!(server.counters().peak_open, 1);
    }
}

#[test]
fn zero_numbers_nothing() {
    let server = server_with(3);
    let client = single(&server);
    for bytes in [
        "* 0 FETCH (UID 3)\r\n",
        "* 0 EXPUNGE\r\n",
        "* OK [UIDVALIDITY 0] x\r\n",
    ] {
        server.faults().inject("NOOP", bytes);
        client.noop().unwrap();
    }
    works(&server, &client);
    let before = client.mailbox("INBOX").select().unwrap();
    server
        .faults()
        .inject("SELECT", "* OK [UIDVALIDITY 0] x\r\n");
    assert_eq!(client.mailbox("INBOX").select().unwrap(), before);
}

/// 16,000 empty literals, and a search result of a megabyte in one line: imap-proto took half
/// a minute for the one and 16 seconds for ten times the other.
#[test]
fn each_byte_is_read_once() {
    let server = server_with(3);
    let client = single(&server);
    let mut answer = b"* 3 FETCH (UID 3 X-MANY (".to_vec();
    for _ in 0..16_000 {
        answer.extend_from_slice(b"{0}\r\n ");
    }
    answer.extend_from_slice(b"))\r\n");
    one(fetched(&server, &client, &answer));

    let mut answer = "* SEARCH".to_owned();
    for number in (1..300_000).step_by(2) {
        answer.push_str(&format!(" {number}"));
    }
    server
        .faults()
        .respond("UID SEARCH", format!("{answer}\r\n{{tag}} OK done\r\n"));
    let found = client.mailbox("INBOX").search(Query::all()).unwrap();
    assert_eq!((found.len(), found.last()), (150_000, Uid::new(299_999)));
    works(&server, &client);
}

#[test]
fn a_copy_of_all_messages_is_not_expanded() {
    let server = server_with(3);
    let client = single(&server);
    server.faults().respond(
        "UID COPY",
        "{tag} OK [COPYUID 7 1:4294967295 1:4294967295] done\r\n",
    );
    let copies = client
        .mailbox("INBOX")
        .copy([uid(3)], "INBOX")
        .unwrap()
        .unwrap();
    assert!(format!("{copies:?}").len() < 1_000);
    works(&server, &client);
}
