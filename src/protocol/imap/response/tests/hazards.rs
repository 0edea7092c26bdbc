//! The bytes that bring down, mislead or stop other parsers, imap-proto 0.17 among them.

use super::*;
use crate::types::envelope::AttributeErrorKind;
use crate::types::ids::Uid;

fn uid(number: u32) -> Option<Uid> {
    Uid::new(number)
}

#[test]
fn bytes_beyond_ascii_after_a_code_are_text() {
    let Untagged::Status { code, text, .. } = data("* OK [ALERT]é") else {
        panic!("a status");
    };
    assert_eq!((code, text.as_str()), (Some(ResponseCode::Alert), "é"));
    let tagged = read(b"A1 OK [READ-WRITE]\xff\r\n").unwrap();
    let expected = Response::Tagged {
        tag: Bytes::from_static(b"A1"),
        status: Status::Ok,
        code: Some(ResponseCode::ReadWrite),
        text: "\u{fffd}".into(),
    };
    assert_eq!(tagged, expected);
    let text = Bytes::from_static(b"[ALERT]\xff");
    assert_eq!(
        read(b"+ [ALERT]\xff\r\n"),
        Ok(Response::Continuation { text })
    );
}

#[test]
fn an_internal_date_that_is_nil_is_set_aside() {
    let message = message("* 1 FETCH (INTERNALDATE NIL UID 3)\r\n");
    assert_eq!((message.internal_date, message.uid), (None, uid(3)));
    assert_eq!(
        message.others,
        [("INTERNALDATE".into(), Bytes::from_static(b"NIL"))]
    );
}

#[test]
fn metadata_is_unknown_whatever_it_holds() {
    for wire in [
        &b"* METADATA \"\xff\" (/private/comment NIL)\r\n"[..],
        b"* METADATA \"\" (/shared/comment \"\xff\")\r\n",
        b"* METADATA {1}\r\n\xff (/private/comment NIL)\r\n",
        b"* METADATA \"\" (/shared/comment {1}\r\n\xff)\r\n",
        b"* METADATA \"\" (\"/private/comment \xff\" NIL)\r\n",
        b"* METADATA \"\" (/private/vendor NIL)\r\n",
    ] {
        let name = "METADATA".into();
        assert_eq!(data(wire), Untagged::Unknown { name });
    }
}

#[test]
fn an_attribute_that_is_not_understood_ends_where_it_ends() {
    // imap-proto takes the first parenthesis, inside the subject, for the end.
    let wire =
        br#"* 1 FETCH (ENVELOPE (NIL "a \x) UID 999 Z (" NIL NIL NIL NIL NIL NIL NIL NIL) UID 3)"#;
    let message = message(wire);
    assert_eq!(message.uid, uid(3));
    let subject = message.envelope.unwrap().unwrap().subject.unwrap();
    assert_eq!(subject, r"a \x) UID 999 Z (");
}

#[test]
fn a_literal_forges_nothing() {
    let wire = b"* 1 FETCH (ENVELOPE (NIL {26}\r\na) UID 999)\r\n* 7 EXPUNGE\r\n NIL NIL NIL NIL NIL NIL NIL NIL) UID 3)\r\n";
    let understood = message(wire);
    assert_eq!(understood.uid, uid(3));
    let subject = understood.envelope.unwrap().unwrap().subject.unwrap();
    assert_eq!(subject, "a) UID 999)\r\n* 7 EXPUNGE\r\n");

    // One byte of it outside the literal.
    let wire = b"* 1 FETCH (ENVELOPE (NIL {25}\r\na) UID 999)\r\n* 7 EXPUNGE\r\n  NIL NIL NIL NIL NIL NIL NIL NIL) UID 3)\r\n";
    let not_understood = message(wire);
    assert_eq!(not_understood.uid, uid(3));
    assert!(not_understood.envelope.unwrap().is_err());
}

#[test]
fn an_attribute_that_no_parser_understands_forges_nothing() {
    let wire = br#"* 1 FETCH (ENVELOPE ("a) UID 999 Z (" X) X-NEW ("b) UID 998" (UID 997)) UID 3)"#;
    let message = message(wire);
    assert_eq!(message.uid, uid(3));
    let error = message.envelope.unwrap().unwrap_err();
    assert_eq!(error.raw, r#"("a) UID 999 Z (" X)"#);
    assert_eq!(message.others[0].1, r#"("b) UID 998" (UID 997))"#);
}

#[test]
fn a_message_has_one_uid() {
    for wire in [
        "* 1 FETCH (UID 3 UID 4)",
        "* 1 FETCH (UID 3 FLAGS () UID 3)",
        "* 1 FETCH (UID 0)",
        "* 1 FETCH (UID NIL)",
        "* 1 FETCH (UID (3))",
        "* 1 FETCH (UID 4294967296)",
        "* 1 FETCH (UID 3x)",
    ] {
        assert!(read(wire).is_err(), "{wire}");
    }
}

#[test]
fn zero_numbers_nothing() {
    for wire in [
        "* 0 FETCH (UID 3)",
        "* 0 EXPUNGE",
        "* OK [UIDVALIDITY 0] x",
        "* OK [UIDVALIDITY x] x",
        "* STATUS a (UIDVALIDITY 0)",
        "* SEARCH 1 0",
        "* VANISHED 0:3",
        "* VANISHED *",
        "* VANISHED ",
    ] {
        assert!(read(wire).is_err(), "{wire}");
    }
}

#[test]
fn quoted_strings_are_unescaped() {
    let wire = r#"* 1 FETCH (ENVELOPE (NIL "a \"b\" \\" NIL NIL NIL NIL NIL NIL NIL NIL))"#;
    let envelope = message(wire).envelope.unwrap().unwrap();
    assert_eq!(envelope.subject.unwrap(), r#"a "b" \"#);
    let Untagged::List(entry) = data(r#"* LIST () "\\" "a\"b\\""#) else {
        panic!("a list entry");
    };
    assert_eq!(entry.delimiter, Some('\\'));
    assert_eq!(entry.name.as_str(), r#"a"b\"#);
}

#[test]
fn values_that_imap_proto_loses_are_kept() {
    let message = message(
        "* 1 FETCH (RFC822.SIZE 4294967296 PREVIEW \"x\" SAVEDATE \"17-Jul-1996 02:44:25 -0700\")",
    );
    assert_eq!(message.size, Some(1 << 32));
    let extended = message.extended.unwrap();
    assert_eq!(extended.preview.unwrap(), "x");
    assert_eq!(extended.save_date.unwrap().unix_seconds(), 837_596_665);
}

#[test]
fn a_range_may_run_backwards() {
    let Untagged::Vanished { earlier, uids } = data("* VANISHED 310:300") else {
        panic!("vanished");
    };
    assert!(!earlier);
    assert_eq!(uids.ranges(), [(300, 310)]);
}

#[test]
fn what_imap_proto_refuses_is_read() {
    for wire in [
        "* ESEARCH",
        "* ESEARCH (TAG \"A1\") UID ALL 1:3",
        "* NAMESPACE ((\"\" \"/\")) NIL NIL",
        "* THREAD (1)(2)",
        "* LANGUAGE (EN)",
        "* COMPARATOR i;unicode-casemap",
        "* GENURLAUTH \"imap://x\"",
        "* XLIST (\\Inbox) \"/\" \"INBOX\"",
        "* I",
        "* ID NIL",
        "* ACL",
        "* SEARCH 1 2 (MODSEQ 917162500)",
        "* SORT 2 1 (MODSEQ 917162500)",
        "* STATUS a (SIZE 3 DELETED 2 MAILBOXID (x) APPENDLIMIT 3)",
        "* CAPABILITY IMAP4rev2",
        "* CAPABILITY IMAP4rev1  SASL-IR",
        "*  1688 EXISTS",
        "* LIST () \"/\" a (CHILDINFO (\"SUBSCRIBED\"))",
        "* 1 FETCH ()",
    ] {
        if let Err(error) = read(wire) {
            panic!("{wire}: {error}");
        }
    }
}

#[test]
fn odd_bytes_are_survived() {
    assert!(
        message(b"* 1 FETCH (BODY[] \"a\nb\0c\")").sections[0]
            .data
            .is_some()
    );
    let structure =
        message(b"* 1 FETCH (BODY (\"a\nb\0\" \"c\" NIL NIL NIL \"7BIT\" 1))").body_structure;
    assert_eq!(structure.unwrap().unwrap().media_type, "a\nb\0");
    // An unescaped quote leaves it open where the string ends.
    let message =
        message("* 1 FETCH (ENVELOPE (NIL \"a \"b\" c\" NIL NIL NIL NIL NIL NIL NIL NIL) UID 3)");
    assert_eq!(message.uid, uid(3));
    assert!(message.envelope.unwrap().is_err());
}

#[test]
fn a_tagged_line_inside_a_literal_is_data() {
    let message = message(b"* 1 FETCH (BODY[] {10}\r\nA1 OK x\r\n) UID 3)");
    assert_eq!(
        message.sections[0].data.as_deref(),
        Some(&b"A1 OK x\r\n)"[..])
    );
    assert_eq!(message.uid, uid(3));
}

#[test]
fn copyuid_of_four_billion_messages_is_not_expanded() {
    let wire = "A1 OK [COPYUID 7 1:4294967295 4294967295:1] x";
    let Ok(Response::Tagged {
        code: Some(ResponseCode::CopyUid(copies)),
        ..
    }) = read(wire)
    else {
        panic!("COPYUID");
    };
    assert_eq!(copies.source().len(), u64::from(u32::MAX));
    assert_eq!(copies.destination().ranges().len(), 1);
}

#[test]
fn nesting_beyond_the_limit_is_an_error_of_the_attribute() {
    for (open, close) in [("(", ""), ("(", ")")] {
        let levels = 1_000_000;
        let wire = format!(
            "* 1 FETCH (BODYSTRUCTURE {}{} UID 3)",
            open.repeat(levels),
            close.repeat(levels)
        );
        match read(&wire) {
            Ok(Response::Untagged(Untagged::Fetch(fetch))) => {
                let error = fetch.attributes.body_structure.unwrap().unwrap_err();
                assert_eq!(error.kind, AttributeErrorKind::TooDeep { limit: 100 });
                assert_eq!(fetch.attributes.uid, uid(3));
            }
            Ok(other) => panic!("{other:?}"),
            Err(_) => assert!(close.is_empty()),
        }
    }
}

#[test]
fn lists_have_a_limit() {
    let limits = Limits::default().max_list_items(3);
    for (wire, fits) in [
        ("* FLAGS (a b c)", true),
        ("* FLAGS (a b c d)", false),
        ("* 1 FETCH (FLAGS (a b c d))", false),
        ("* 1 FETCH (A 1 B 2 C 3)", true),
        ("* 1 FETCH (A 1 B 2 C 3 D 4)", false),
        ("* LIST (a b c d) NIL x", false),
        ("* SEARCH 1 3 5 7 9", true),
    ] {
        let result = parse(&frame(wire.as_bytes()), &limits);
        assert_eq!(result.is_ok(), fits, "{wire}: {result:?}");
        if let Err(error) = result {
            assert_eq!(error.reason, Reason::Items(3));
        }
    }
}
