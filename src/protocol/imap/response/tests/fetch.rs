//! FETCH responses.

use super::*;
use crate::types::flag::Flag;
use crate::types::ids::Uid;
use crate::types::section::Section;

fn section(name: &str, origin: Option<u64>, data: Option<&'static [u8]>) -> SectionData {
    SectionData {
        kind: SectionKind::Body,
        section: name.parse().unwrap(),
        origin,
        data: data.map(Bytes::from_static),
    }
}

#[test]
fn single_values() {
    let message = message(
        "* 12 FETCH (FLAGS (\\Seen $X) UID 4827313  RFC822.SIZE 44827 INTERNALDATE \" 7-Jul-1996 02:44:25 -0700\" modseq (624140003) )",
    );
    assert_eq!(message.uid, Uid::new(4_827_313));
    let flags = message.flags.unwrap();
    assert!(flags.contains(&Flag::Seen) && flags.len() == 2);
    assert_eq!(message.size, Some(44_827));
    assert_eq!(message.internal_date.unwrap().date().day(), 7);
    assert_eq!(message.mod_seq, ModSeq::new(624_140_003));
    assert_eq!(message.others, []);
}

#[test]
fn bodies_are_not_copied() {
    let frame = frame(b"* 3 FETCH (UID 7 BODY[] {5}\r\nhello BODY[TEXT] \"quoted\")");
    let Ok(Response::Untagged(Untagged::Fetch(fetch))) = parse(&frame, &Limits::default()) else {
        panic!("FETCH");
    };
    assert_eq!(fetch.seq.get(), 3);
    let data = |index: usize| fetch.attributes.sections[index].data.clone().unwrap();
    assert_eq!(data(0).as_ptr(), frame.rest[0].0.as_ptr());
    assert_eq!(
        data(1).as_ptr(),
        frame.rest[0].1[" BODY[TEXT] \"".len()..].as_ptr()
    );
}

#[test]
fn sections_by_all_their_names() {
    let wire = "* 1 FETCH (BODY[] {1}\r\na BODY[HEADER]<5> \"b\" body[1.2.mime] NIL RFC822 {0}\r\n RFC822.HEADER  \"c\" RFC822.TEXT \"d\")";
    let expected = [
        section("", None, Some(b"a")),
        section("HEADER", Some(5), Some(b"b")),
        section("1.2.MIME", None, None),
        section("", None, Some(b"")),
        section("HEADER", None, Some(b"c")),
        section("TEXT", None, Some(b"d")),
    ];
    assert_eq!(message(wire).sections, expected);
}

#[test]
fn header_fields_in_any_spelling() {
    for fields in [
        "SUBJECT \"x-\\\"y\\\"\"",
        "\"X-\\\"Y\\\"\" {7}\r\nSubject",
        " x-\"Y\"  subject ",
    ] {
        let wire = format!("* 1 FETCH (BODY[HEADER.FIELDS ({fields})] {{2}}\r\nab)");
        if fields.starts_with(' ') {
            assert!(read(wire).is_err());
            continue;
        }
        let section = Section::header_fields(["Subject", "X-\"Y\""]).unwrap();
        let message = message(wire);
        assert_eq!(message.sections[0].section, section, "{fields}");
        assert_eq!(message.sections[0].data.as_deref(), Some(&b"ab"[..]));
    }
    let message = message("* 1 FETCH (BODY[1.HEADER.FIELDS.NOT (DATE)] NIL)");
    assert_eq!(
        message.sections[0].section.to_string(),
        "1.HEADER.FIELDS.NOT (DATE)"
    );
}

#[test]
fn decoded_sections() {
    let message = message(b"* 1 FETCH (BINARY[1]<0> ~{3}\r\na\0b BINARY.SIZE[2] 51)");
    assert_eq!(message.sections[0].kind, SectionKind::Binary);
    assert_eq!(message.sections[0].origin, Some(0));
    assert_eq!(message.sections[0].data.as_deref(), Some(&b"a\0b"[..]));
    let sizes = message.extended.unwrap().binary_sizes;
    assert_eq!((sizes[0].0.to_string().as_str(), sizes[0].1), ("2", 51));
}

#[test]
fn extensions() {
    let message = message(
        "* 1 FETCH (PREVIEW \"Hi\" EMAILID (M6d) THREADID NIL X-GM-MSGID 1278455344230334865 X-GM-THRID 2 X-GM-LABELS (\"\\\\Inbox\" \\Sent Important \"Muy Importante\" {1}\r\n)))",
    );
    let extended = message.extended.unwrap();
    assert_eq!(extended.preview.unwrap(), "Hi");
    assert_eq!(extended.email_id.as_deref(), Some("M6d"));
    assert_eq!(extended.thread_id, None);
    assert_eq!(extended.gmail_message_id, Some(1_278_455_344_230_334_865));
    assert_eq!(extended.gmail_thread_id, Some(2));
    let labels = extended.gmail_labels.unwrap();
    assert_eq!(
        labels,
        ["\\Inbox", "\\Sent", "Important", "Muy Importante", ")"]
    );
    assert_eq!(message.others, []);
}

#[test]
fn what_is_not_understood_is_set_aside() {
    let wire = "* 1 FETCH (X-A (a (b \"c)\" {2}\r\n)( ) d) FLAGS NIL BODY[X.1]<2> \"z\" RFC822.SIZE -1 Y 3 MODSEQ 7 EMAILID NIL FLAGS (\"a\") BODY[1] (x) BINARY.SIZE[2] NIL UID 12)";
    let message = message(wire);
    let others: Vec<String> = message
        .others
        .iter()
        .map(|(name, raw)| format!("{name} {}", raw.escape_ascii()))
        .collect();
    let expected = [
        r#"X-A (a (b \"c)\" {2}\r\n)( ) d)"#,
        "FLAGS NIL",
        r#"BODY[X.1]<2> \"z\""#,
        "RFC822.SIZE -1",
        "Y 3",
        "MODSEQ 7",
        "EMAILID NIL",
        r#"FLAGS (\"a\")"#,
        "BODY[1] (x)",
        "BINARY.SIZE[2] NIL",
    ];
    assert_eq!(others, expected);
    let rest = Attributes {
        uid: Uid::new(12),
        others: message.others.clone(),
        ..Attributes::default()
    };
    assert_eq!(message, rest);
}

#[test]
fn malformed_responses() {
    for rest in [
        "",
        "(",
        "(UID",
        "(UID 3",
        "(UID 3))",
        "(UID 3) x",
        "UID 3",
        "(UID 3FLAGS ())",
        "(BODY[ NIL)",
        "(BODY[]<0 NIL)",
        "(BODY[])",
        "(BODY[] x y)",
        "(FLAGS2(x) 3)",
        "(BODY[1]x NIL)",
        "(() 3)",
        "(X \"a)",
        "(X ()",
    ] {
        assert!(read(format!("* 1 FETCH {rest}")).is_err(), "{rest}");
    }
}

#[test]
fn a_streamed_literal_divides_the_response() {
    let first = Frame {
        head: Bytes::from_static(b"* 3 FETCH (UID 7 BODY[TEXT]<9> {70000}"),
        rest: vec![],
        open_literal: Some(70_000),
    };
    let Ok(Response::Untagged(Untagged::Fetch(fetch))) = parse(&first, &Limits::default()) else {
        panic!("FETCH");
    };
    let open = OpenSection {
        kind: SectionKind::Body,
        section: Section::text(),
        origin: Some(9),
        length: 70_000,
    };
    assert_eq!(fetch.open, Some(open));
    assert_eq!(fetch.attributes.uid, Uid::new(7));

    let second = Frame {
        head: Bytes::from_static(b" FLAGS (\\Seen) BODY[HEADER] {2}"),
        rest: vec![(
            Bytes::from_static(b"h:"),
            Bytes::from_static(b" BODY[] {80000}"),
        )],
        open_literal: Some(80_000),
    };
    let rest = parse_fetch_rest(&second, &Limits::default(), fetch.seq).unwrap();
    assert_eq!(rest.seq, fetch.seq);
    assert_eq!(
        rest.attributes.sections,
        [section("HEADER", None, Some(b"h:"))]
    );
    assert_eq!(rest.open.unwrap().length, 80_000);

    let last = parse_fetch_rest(&Frame::line(")"), &Limits::default(), fetch.seq).unwrap();
    assert_eq!((last.open, last.attributes), (None, Attributes::default()));
    for rest in ["", "x)", "UID 3)", ") x"] {
        assert!(parse_fetch_rest(&Frame::line(rest), &Limits::default(), fetch.seq).is_err());
    }
}

#[test]
fn only_a_section_may_be_streamed() {
    for head in [
        "* 3 FETCH (X {70000}",
        "* 3 FETCH (ENVELOPE (NIL {70000}",
        "* LIST () NIL {70000}",
    ] {
        let frame = Frame {
            head: Bytes::from_static(head.as_bytes()),
            rest: vec![],
            open_literal: Some(70_000),
        };
        assert!(parse(&frame, &Limits::default()).is_err(), "{head}");
    }
}
