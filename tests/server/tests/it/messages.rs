use imap_codec::ResponseCodec;
use imap_codec::decode::Decoder;
use mailpool_test_server::{Message, Synthetic};

use crate::client::{Client, builder};

const NESTED: &str = "From: \"Doe, J\" <j@example.org>\r\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\n\
    Date: Tue, 2 Jan 2024 10:00:00 +0100\r\nTo: list: a@x, b@y;\r\n\
    Content-Type: multipart/mixed; boundary=outer\r\n\r\n\
    --outer\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nplain \"text\"\r\n\
    --outer\r\nContent-Type: message/rfc822\r\n\r\n\
    Subject: inner\r\nX-Field: x\r\n\r\ninner text\r\n\
    --outer\r\nContent-Type: application/octet-stream; name=\"a b.bin\"\r\n\
    Content-Disposition: attachment; filename=\"a b.bin\"\r\n\
    Content-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--outer--\r\n";

#[test]
fn fetch_tells_what_was_asked_for() {
    let server = builder().start().unwrap();
    let mut client = Client::selected(&server);
    assert_eq!(
        client.ok("FETCH 1:2 (UID FLAGS INTERNALDATE)"),
        [
            "* 1 FETCH (UID 1 FLAGS (\\Seen \\Recent) INTERNALDATE \" 1-Jan-2024 00:00:00 +0000\")",
            "* 2 FETCH (UID 2 FLAGS (\\Recent) INTERNALDATE \" 1-Jan-2024 00:00:00 +0000\")",
        ]
    );
    assert_eq!(
        client.ok("UID FETCH 3:* BODY.PEEK[TEXT]"),
        ["* 3 FETCH (UID 3 BODY[TEXT] {12}\r\nthird body\r\n)"]
    );
    assert_eq!(
        client.ok("FETCH 3 BODY.PEEK[HEADER.FIELDS (SUBJECT)]"),
        ["* 3 FETCH (BODY[HEADER.FIELDS (SUBJECT)] {18}\r\nSubject: three\r\n\r\n)"]
    );
    assert_eq!(
        client.ok("FETCH 3 BODY.PEEK[TEXT]<6.100>"),
        ["* 3 FETCH (BODY[TEXT]<6> {6}\r\nbody\r\n)"]
    );
    assert_eq!(
        client.ok("FETCH 3 BODY.PEEK[TEXT]<100.5>"),
        ["* 3 FETCH (BODY[TEXT]<100> {0}\r\n)"]
    );
    assert!(client.tagged("FETCH 4 UID").starts_with("BAD"));
    assert_eq!(client.ok("UID FETCH 100:200 UID"), [] as [&str; 0]);
    assert_eq!(client.ok("UID FETCH 100:* UID"), ["* 3 FETCH (UID 3)"]);
}

#[test]
fn fetching_a_body_marks_it_as_seen() {
    let server = builder().start().unwrap();
    let mut client = Client::selected(&server);
    assert_eq!(
        client.ok("FETCH 2 BODY[TEXT]"),
        ["* 2 FETCH (BODY[TEXT] {13}\r\nsecond body\r\n FLAGS (\\Seen \\Recent))"]
    );
    assert!(
        server
            .store()
            .message("alice", "INBOX", 2)
            .unwrap()
            .has_flag("\\seen")
    );

    client.ok("EXAMINE INBOX");
    client.ok("FETCH 3 BODY[TEXT]");
    assert!(
        !server
            .store()
            .message("alice", "INBOX", 3)
            .unwrap()
            .has_flag("\\Seen")
    );
}

#[test]
fn sections_of_a_nested_message() {
    let server = builder().mailbox("alice", "N", [NESTED]).start().unwrap();
    let mut client = Client::logged_in(&server);
    client.ok("SELECT N");
    for (section, expected) in [
        ("1", Some("plain \"text\"")),
        (
            "1.MIME",
            Some("Content-Type: text/plain; charset=utf-8\r\n\r\n"),
        ),
        ("2.HEADER", Some("Subject: inner\r\nX-Field: x\r\n\r\n")),
        ("2.HEADER.FIELDS (x-field)", Some("X-Field: x\r\n\r\n")),
        (
            "2.HEADER.FIELDS.NOT (x-field)",
            Some("Subject: inner\r\n\r\n"),
        ),
        ("2.TEXT", Some("inner text")),
        ("2.1", Some("inner text")),
        ("3", Some("AAAA")),
        ("4", None),
        ("1.HEADER", None),
    ] {
        let value = match expected {
            Some(text) => format!("{{{}}}\r\n{text}", text.len()),
            None => "NIL".to_owned(),
        };
        assert_eq!(
            client.ok(&format!("FETCH 1 BODY.PEEK[{section}]")),
            [format!("* 1 FETCH (BODY[{section}] {value})")]
        );
    }
}

#[test]
fn structures_are_well_formed() {
    let server = builder()
        .mailbox(
            "alice",
            "N",
            [NESTED, "", "\r\n", "Subject: \u{e9}\\\"\r\n\r\nx"],
        )
        .start()
        .unwrap();
    let mut client = Client::logged_in(&server);
    for mailbox in ["INBOX", "N"] {
        client.ok(&format!("SELECT {mailbox}"));
        for response in
            client.ok("FETCH 1:* (ENVELOPE BODYSTRUCTURE BODY FLAGS MODSEQ RFC822.SIZE)")
        {
            let response = format!("{response}\r\n");
            let (rest, _) = ResponseCodec::default()
                .decode(response.as_bytes())
                .unwrap_or_else(|error| panic!("{error:?} in {response}"));
            assert!(rest.is_empty());
        }
    }
    let structure = client.ok("FETCH 1 BODYSTRUCTURE").remove(0);
    assert!(structure.contains("(\"APPLICATION\" \"OCTET-STREAM\" (\"NAME\" \"a b.bin\")"));
    assert!(structure.contains("(\"ATTACHMENT\" (\"FILENAME\" \"a b.bin\"))"));
}

#[test]
fn synthetic_messages_are_streamed() {
    let len = 3_000_000;
    let server = builder()
        .mailbox("alice", "Big", [Message::synthetic(len, 5)])
        .start()
        .unwrap();
    let mut client = Client::logged_in(&server);
    client.ok("SELECT Big");
    let mut expected = vec![0; 3_000_000];
    assert_eq!(Synthetic::new(len, 5).read_at(0, &mut expected), 3_000_000);

    client.send("f FETCH 1 (RFC822.SIZE BODY.PEEK[])\r\n");
    assert_eq!(
        client.line(),
        "* 1 FETCH (RFC822.SIZE 3000000 BODY[] {3000000}"
    );
    assert!(client.read_exact(3_000_000) == expected);
    assert_eq!(client.line(), ")");
    assert!(client.line().starts_with("f OK"));

    let part = client.ok("FETCH 1 BODY.PEEK[]<2000000.10>").remove(0);
    let text = String::from_utf8_lossy(&expected[2_000_000..2_000_010]);
    assert_eq!(
        part,
        format!("* 1 FETCH (BODY[]<2000000> {{10}}\r\n{text})")
    );
}

#[test]
fn search_keys() {
    let server = builder()
        .mailbox(
            "alice",
            "INBOX",
            [Message::new(NESTED).internal_date(1_710_000_000)],
        )
        .start()
        .unwrap();
    let mut client = Client::selected(&server);
    for (keys, expected) in [
        ("ALL", " 1 2 3 4"),
        ("UNSEEN", " 2 3 4"),
        ("SEEN", " 1"),
        ("KEYWORD urgent", " 3"),
        ("UNKEYWORD urgent", " 1 2 4"),
        ("SUBJECT two", " 2"),
        ("OR SUBJECT one SUBJECT three", " 1 3"),
        ("NOT (SUBJECT one)", " 2 3 4"),
        ("2:3 UNSEEN", " 2 3"),
        ("UID 4:*", " 4"),
        ("SINCE 1-Mar-2024", " 4"),
        ("BEFORE 1-Mar-2024", " 1 2 3"),
        ("SENTON 2-Jan-2024", " 4"),
        ("SENTBEFORE 2-Jan-2024", " 1 2 3"),
        ("BODY second", " 2"),
        ("TEXT alice@example.org", " 1 2 3"),
        ("HEADER Message-ID three", " 3"),
        ("LARGER 300", " 4"),
        ("FROM doe", " 4"),
        ("NEW", " 2 3 4"),
        ("FLAGGED", ""),
    ] {
        assert_eq!(
            client.ok(&format!("SEARCH {keys}")),
            [format!("* SEARCH{expected}")],
            "{keys}"
        );
    }
    let tag = client.begin("SEARCH CHARSET UTF-8 SUBJECT {7}");
    assert!(client.line().starts_with('+'));
    client.send("Gr\u{fc}\u{df}e\r\n");
    assert_eq!(client.until(&tag)[0], "* SEARCH 4");
    assert!(
        client
            .tagged("SEARCH CHARSET KOI8-R ALL")
            .starts_with("NO [BADCHARSET")
    );
}

#[test]
fn esearch_names_the_tag() {
    let server = builder().start().unwrap();
    let mut client = Client::selected(&server);
    client.ok("UID STORE 2 +FLAGS.SILENT (\\Deleted)");
    client.ok("EXPUNGE");
    assert_eq!(
        client.command("UID SEARCH RETURN (MIN MAX COUNT ALL) ALL")[0],
        "* ESEARCH (TAG \"t5\") UID MIN 1 MAX 3 ALL 1,3 COUNT 2"
    );
    assert_eq!(
        client.command("SEARCH RETURN () ALL")[0],
        "* ESEARCH (TAG \"t6\") ALL 1:2"
    );
    assert_eq!(
        client.command("SEARCH RETURN (COUNT) FLAGGED")[0],
        "* ESEARCH (TAG \"t7\") COUNT 0"
    );
    assert!(client.tagged("SEARCH RETURN (SAVE) ALL").starts_with("BAD"));
    let plain = builder().without("ESEARCH").start().unwrap();
    let mut client = Client::selected(&plain);
    assert!(
        client
            .tagged("SEARCH RETURN (COUNT) ALL")
            .starts_with("BAD")
    );
}

#[test]
fn store_and_condstore() {
    let server = builder().start().unwrap();
    let mut client = Client::selected(&server);
    assert_eq!(
        client.ok("STORE 2 +FLAGS (\\Flagged work)"),
        ["* 2 FETCH (FLAGS (\\Flagged work \\Recent))"]
    );
    assert_eq!(
        client.ok("UID STORE 2 -FLAGS work"),
        ["* 2 FETCH (UID 2 FLAGS (\\Flagged \\Recent))"]
    );
    assert_eq!(client.ok("STORE 2 FLAGS.SILENT (\\Seen)"), [] as [&str; 0]);
    assert_eq!(client.ok("NOOP"), [] as [&str; 0]);
    let modseq = server.store().message("alice", "INBOX", 2).unwrap().modseq;
    assert_eq!(modseq, server.store().highest_modseq("alice", "INBOX"));

    let answer = client.command(&format!(
        "UID STORE 1:3 (UNCHANGEDSINCE {}) +FLAGS (x)",
        modseq - 1
    ));
    assert!(
        answer.last().unwrap().starts_with("OK [MODIFIED 2]"),
        "{answer:?}"
    );
    assert_eq!(answer.len(), 3);
    assert_eq!(
        client.ok(&format!("UID FETCH 1:* (FLAGS) (CHANGEDSINCE {modseq})")),
        [
            format!(
                "* 1 FETCH (UID 1 FLAGS (\\Seen x \\Recent) MODSEQ ({}))",
                modseq + 1
            ),
            format!(
                "* 3 FETCH (UID 3 FLAGS (urgent x \\Recent) MODSEQ ({}))",
                modseq + 2
            ),
        ]
    );
    assert_eq!(
        client.ok(&format!("SEARCH MODSEQ {}", modseq + 2)),
        [format!("* SEARCH 3 (MODSEQ {})", modseq + 2)]
    );
    client.ok("EXAMINE INBOX");
    assert!(client.tagged("STORE 1 FLAGS ()").starts_with("NO"));
}

#[test]
fn append_with_literals_of_both_kinds() {
    let server = builder().start().unwrap();
    let mut client = Client::selected(&server);
    let validity = server.store().uid_validity("alice", "INBOX");
    let tag = client.begin("APPEND INBOX (\\Draft new) \" 5-Feb-2024 10:00:00 +0100\" {4}");
    assert!(client.line().starts_with("+ "));
    client.send("body\r\n");
    assert_eq!(
        client.until(&tag),
        [
            "* 4 EXISTS".to_owned(),
            "* 4 RECENT".to_owned(),
            format!("OK [APPENDUID {validity} 4] APPEND completed"),
        ]
    );
    assert_eq!(
        client.ok("FETCH 4 (FLAGS INTERNALDATE)"),
        ["* 4 FETCH (FLAGS (\\Draft new \\Recent) INTERNALDATE \" 5-Feb-2024 10:00:00 +0100\")"]
    );
    let tag = client.begin("APPEND INBOX {3+}\r\nabc");
    assert!(client.until(&tag).pop().unwrap().contains("APPENDUID"));
    assert_eq!(
        server.store().message("alice", "INBOX", 5).unwrap().bytes(),
        b"abc"
    );
    let answer = client.tagged("APPEND Missing {3+}\r\nabc");
    assert!(answer.starts_with("NO [TRYCREATE]"));
}

#[test]
fn copy_move_and_expunge() {
    let server = builder()
        .mailbox("alice", "Archive", [] as [Message; 0])
        .start()
        .unwrap();
    let mut client = Client::selected(&server);
    let validity = server.store().uid_validity("alice", "Archive");
    assert_eq!(
        client.tagged("COPY 1,3 Archive"),
        format!("OK [COPYUID {validity} 1,3 1:2] COPY completed")
    );
    assert_eq!(
        client.ok("UID MOVE 2 Archive"),
        [
            format!("* OK [COPYUID {validity} 2 3] Moved"),
            "* 2 EXPUNGE".to_owned(),
        ]
    );
    client.ok("STORE 1:2 +FLAGS.SILENT (\\Deleted)");
    assert_eq!(client.ok("UID EXPUNGE 3"), ["* 2 EXPUNGE"]);
    assert_eq!(client.ok("EXPUNGE"), ["* 1 EXPUNGE"]);
    assert_eq!(server.store().messages("alice", "Archive").len(), 3);
    assert!(client.tagged("COPY 1 Archive").starts_with("BAD"));
    assert_eq!(client.tagged("UID COPY 9 Archive"), "OK COPY completed");
}

#[test]
fn removed_capabilities_make_their_commands_bad() {
    let server = builder()
        .without("UIDPLUS")
        .without("MOVE")
        .without("CONDSTORE")
        .without("LITERAL+")
        .start()
        .unwrap();
    let mut client = Client::selected(&server);
    for command in [
        "UID EXPUNGE 1",
        "MOVE 1 INBOX",
        "FETCH 1 MODSEQ",
        "SEARCH MODSEQ 1",
        "STORE 1 (UNCHANGEDSINCE 1) FLAGS ()",
        "SELECT INBOX (CONDSTORE)",
    ] {
        assert!(client.tagged(command).starts_with("BAD"), "{command}");
    }
    assert_eq!(client.tagged("COPY 1 INBOX"), "OK COPY completed");
    assert!(client.tagged("APPEND INBOX {3+}\r\nabc").starts_with("BAD"));
    assert!(client.line().starts_with("* BYE"));
    assert_eq!(client.rest().unwrap(), b"");
}
