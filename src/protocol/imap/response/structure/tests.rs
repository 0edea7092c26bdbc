use super::*;
use crate::types::body_structure::{BodyContent, TransferEncoding};
use crate::types::envelope::AddressEntry;
use crate::wire::frame::Frame;
use bytes::Bytes;

const BOUNDS: Bounds = Bounds {
    nesting: 100,
    items: 1_000,
};

fn body(text: &str) -> Result<Box<BodyStructure>, AttributeError> {
    read(text, body_structure, BOUNDS)
}

type Read<T> = fn(&mut Lexer<'_>, Bounds) -> Result<Result<T, AttributeError>, ParseError>;

fn read<T>(text: &str, read: Read<T>, bounds: Bounds) -> Result<T, AttributeError> {
    let frame = Frame::line(Bytes::copy_from_slice(text.as_bytes()));
    let mut lexer = Lexer::new(&frame);
    let result = read(&mut lexer, bounds).expect("a value that ends");
    assert!(lexer.at_end(), "{text}");
    result
}

#[test]
fn the_parser_sees_nothing_that_the_sender_chose() {
    let frame = Frame::line(r#"(  "TEXT"  "x\")" ("N" "é")NIL NIL "base64" 99999999999 7 )"#);
    let text = normalise(&mut Lexer::new(&frame), Root::Body, "BODYSTRUCTURE", 9, 9).unwrap();
    assert_eq!(
        text.text,
        "* 1 FETCH (BODYSTRUCTURE (\"TEXT\" \"#0\" (\"#1\" \"#2\") NIL NIL \"#3\" 0 1))\r\n"
    );
    assert_eq!(text.numbers, [99_999_999_999, 7]);
}

#[test]
fn a_whole_envelope() {
    let text = r#"("Wed, 17 Jul 1996" "=?utf-8?Q?=C3=A9?=" (("T \"G\"" NIL "g" "x.org")) () ((NIL "@r" "h" "x.org")) ((NIL NIL "team" NIL)(NIL NIL "a" "x.org") (NIL NIL NIL NIL)) NIL NIL "<1@x>" "<2@x>")"#;
    let envelope = read(text, envelope, BOUNDS).unwrap();
    assert_eq!(envelope.date.unwrap(), "Wed, 17 Jul 1996");
    assert_eq!(envelope.subject.unwrap(), "=?utf-8?Q?=C3=A9?=");
    let from = envelope.from.addresses().next().unwrap();
    assert_eq!(from.name.as_ref().unwrap(), "T \"G\"");
    assert_eq!(from.to_address_lossy(), "g@x.org");
    assert!(envelope.sender.is_empty());
    assert_eq!(
        envelope
            .reply_to
            .addresses()
            .next()
            .unwrap()
            .route
            .as_ref()
            .unwrap(),
        "@r"
    );
    assert!(matches!(
        &envelope.to.entries()[0],
        AddressEntry::Group { name, members } if *name == "team" && members.len() == 1
    ));
    assert_eq!(envelope.in_reply_to.unwrap(), "<1@x>");
    assert_eq!(envelope.message_id.unwrap(), "<2@x>");
}

#[test]
fn strings_of_a_structure_are_slices_of_the_response() {
    let frame = Frame::line(r#"("A" "b" NIL NIL NIL "x-uue" 1)"#);
    let structure = body_structure(&mut Lexer::new(&frame), BOUNDS)
        .unwrap()
        .unwrap();
    let subtype = structure.subtype.as_bytes().as_ptr();
    assert_eq!(subtype, frame.head[6..].as_ptr());
    let fields = structure.fields().unwrap();
    assert_eq!(fields.encoding, TransferEncoding::Other("x-uue".into()));
}

#[test]
fn every_field_of_a_part() {
    let part = body(
        r#"("text" "Html" ("charset" "utf-8" "name" "a\"b") "<id>" "a text" "Quoted-Printable" 1234 56 "md5" ("attachment" ("FileName" "x.html")) ("en" "fr") "loc" "ext" (1 ("two"))))"#
            .strip_suffix(')')
            .unwrap(),
    )
    .unwrap();
    assert!(part.is("TEXT", "HTML"));
    assert_eq!(part.parameter("CHARSET").unwrap(), "utf-8");
    assert_eq!(part.file_name().unwrap(), "x.html");
    assert_eq!(part.disposition.as_ref().unwrap().kind, "attachment");
    assert_eq!(part.language, ["en", "fr"]);
    assert_eq!(part.location.as_ref().unwrap(), "loc");
    let BodyContent::Text { fields, lines } = &part.content else {
        panic!("{part:?}");
    };
    assert_eq!(*lines, Some(56));
    assert_eq!(fields.size, 1234);
    assert_eq!(fields.encoding, TransferEncoding::QuotedPrintable);
    assert_eq!(fields.id.as_ref().unwrap(), "<id>");
    assert_eq!(fields.description.as_ref().unwrap(), "a text");
    assert_eq!(fields.md5.as_ref().unwrap(), "md5");
}

#[test]
fn multiparts_and_messages() {
    let text = r#"((("TEXT" "PLAIN" NIL NIL NIL "7BIT" 1 1) ("TEXT" "HTML" NIL NIL NIL "7BIT" 2 1) "ALTERNATIVE" ("BOUNDARY" "b") NIL NIL NIL "ext" 5)("MESSAGE" "RFC822" NIL NIL NIL "8BIT" 300 (NIL "inner" NIL NIL NIL NIL NIL NIL NIL NIL) ("IMAGE" "PNG" NIL NIL NIL "BASE64" 20) 9 NIL ("inline" NIL) NIL NIL) "MIXED" NIL ("inline" NIL) "en" "loc" (ext (1)))"#
        .replace("(ext (1))", "(\"ext\" (1))");
    let structure = body(&text).unwrap();
    let parts: Vec<(String, String)> = structure
        .parts()
        .map(|part| (part.path.to_string(), part.structure.subtype.to_string()))
        .collect();
    let expected = [
        ("1", "ALTERNATIVE"),
        ("1.1", "PLAIN"),
        ("1.2", "HTML"),
        ("2", "RFC822"),
        ("2.1", "PNG"),
    ];
    assert_eq!(
        parts,
        expected.map(|(path, subtype)| (path.into(), subtype.into()))
    );
    assert_eq!(structure.location.as_ref().unwrap(), "loc");
    assert_eq!(structure.language, ["en"]);
    let BodyContent::Multipart(parts) = &structure.content else {
        panic!("{structure:?}");
    };
    let BodyContent::Message {
        envelope, lines, ..
    } = &parts[1].content
    else {
        panic!("{structure:?}");
    };
    assert_eq!(envelope.subject.as_ref().unwrap(), "inner");
    assert_eq!(*lines, 9);
}

#[test]
fn a_global_message_is_a_message() {
    let text = |subtype: &str| {
        format!(
            r#"(("MESSAGE" "{subtype}" NIL NIL NIL "8BIT" 300 (NIL "é" NIL NIL NIL NIL NIL NIL NIL NIL) ("A" "B" NIL NIL NIL "7BIT" 20) 9)("MESSAGE" "RFC822" NIL NIL NIL "8BIT" 3 NIL) "MIXED")"#
        )
    };
    let structure = body(&text("global")).unwrap();
    let subtypes: Vec<_> = structure
        .parts()
        .map(|part| part.structure.subtype.to_string())
        .collect();
    assert_eq!(subtypes, ["GLOBAL", "B", "RFC822"]);
    let (global, plain) = (structure, body(&text("rfc822")).unwrap());
    assert!(global != plain);
    // Nobody opens a delivery report.
    let report =
        body(r#"("MESSAGE" "DELIVERY-STATUS" NIL NIL NIL "7BIT" 3 NIL NIL NIL NIL)"#).unwrap();
    assert!(matches!(report.content, BodyContent::Basic(_)));
}

#[test]
fn what_servers_get_wrong_is_repaired() {
    for (wrong, right) in [
        // Gmail, for multiparts without parts.
        (r#"("ALTERNATIVE")"#, None),
        (r#"("RELATED" NIL NIL NIL)"#, None),
        (r#"("MIXED" ("BOUNDARY" "b") NIL NIL)"#, None),
        (
            r#"(("RELATED" NIL)("A" "B" NIL NIL NIL "7BIT" 1)"MIXED" NIL ("x" NIL))"#,
            None,
        ),
        (
            r#"("A" "B" () NIL NIL NIL 1 NIL () () NIL)"#,
            Some(r#"("A" "B" NIL NIL NIL "7BIT" 1)"#),
        ),
        (
            r#"("A" "B" ("n" NIL) NIL NIL "7BIT" -1)"#,
            Some(r#"("A" "B" ("n" "") NIL NIL "7BIT" 0)"#),
        ),
        (
            r#"("A" "B" NIL NIL NIL "7BIT" NIL)"#,
            Some(r#"("A" "B" NIL NIL NIL "7BIT" 0)"#),
        ),
        (
            r#"("A" "B" NIL NIL NIL "7BIT" 1 NIL "inline" NIL)"#,
            Some(r#"("A" "B" NIL NIL NIL "7BIT" 1 NIL ("inline" NIL) NIL)"#),
        ),
        (
            r#"("A" "B" NIL NIL NIL "7BIT" 1 NIL ("inline") NIL)"#,
            Some(r#"("A" "B" NIL NIL NIL "7BIT" 1 NIL ("inline" NIL) NIL)"#),
        ),
    ] {
        let structure = body(wrong).unwrap_or_else(|error| panic!("{wrong}: {error}"));
        match right {
            Some(right) => assert_eq!(structure, body(right).unwrap(), "{wrong}"),
            None => assert!(matches!(structure.content, BodyContent::Multipart(_))),
        }
    }
    let empty = body(r#"("MIXED" ("BOUNDARY" "b") ("inline" NIL) NIL)"#).unwrap();
    assert_eq!(empty.content, BodyContent::Multipart(vec![]));
    assert_eq!(empty.media_type, "MULTIPART");
    assert_eq!(empty.subtype, "MIXED");
    assert_eq!(empty.parameter("boundary").unwrap(), "b");
    assert_eq!(empty.disposition.unwrap().kind, "inline");
    let no_lines = body(r#"("TEXT" "PLAIN" NIL NIL NIL "7BIT" 1)"#).unwrap();
    assert!(matches!(
        no_lines.content,
        BodyContent::Text { lines: None, .. }
    ));
}

#[test]
fn what_cannot_be_repaired_is_kept_as_it_came() {
    for text in [
        "NIL",
        "()",
        "(1)",
        "(())",
        r#"("A" "B")"#,
        r#"("A" "B" NIL NIL NIL "7BIT" 1 2 3 4)"#,
        r#"("A""B" NIL)"#,
        "(A B)",
    ] {
        let error = body(text).unwrap_err();
        assert_eq!(error.attribute, "BODYSTRUCTURE");
        assert_eq!(error.raw, text);
    }
    for text in [
        "NIL",
        "()",
        "(NIL)",
        "(NIL NIL (1) NIL NIL NIL NIL NIL NIL NIL)",
    ] {
        assert_eq!(read(text, envelope, BOUNDS).unwrap_err().raw, text);
    }
}

/// A body that is nested to a depth, in one of the ways that make parsers recurse.
fn nested(way: usize, depth: usize) -> String {
    let leaf = r#"("A" "B" NIL NIL NIL "7BIT" 1)"#;
    let around = |before: &str, inside: &str, after: &str, times: usize| {
        [&before.repeat(times), inside, &after.repeat(times)].concat()
    };
    match way {
        0 => around("(", leaf, r#" "MIXED")"#, depth - 1),
        // The envelope of the innermost message is as deep as its body.
        1 => around(
            r#"("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 1 (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) "#,
            leaf,
            " 1)",
            depth - 1,
        ),
        // Where the language should be.
        2 => format!(
            r#"("A" "B" NIL NIL NIL "7BIT" 1 NIL NIL {})"#,
            around("(", "1", ")", depth - 1)
        ),
        // Extension data.
        _ => format!(
            r#"("A" "B" NIL NIL NIL "7BIT" 1 NIL NIL NIL NIL {})"#,
            around("(", "1", ")", depth - 1)
        ),
    }
}

#[test]
fn the_deepest_nesting_fits_the_connections_stack() {
    for nesting in [100, 400] {
        // What connection threads get.
        let stack = (1 << 20) + (64 << 10) * nesting;
        let bounds = Bounds { nesting, ..BOUNDS };
        let thread = std::thread::Builder::new()
            .stack_size(stack)
            .spawn(move || {
                for way in 0..4 {
                    let text = nested(way, nesting);
                    let result = read(&text, body_structure, bounds);
                    assert!(result.is_ok() || way == 2, "{way}: {result:?}");
                    drop(result.clone());
                    drop(format!("{result:?}"));

                    let result = read(&nested(way, nesting + 1), body_structure, bounds);
                    let too_deep = AttributeErrorKind::TooDeep { limit: nesting };
                    assert_eq!(result.unwrap_err().kind, too_deep);

                    // Broken in the innermost part, so that every level tries all it can.
                    let text = text.replacen(r#"("A" "B""#, r#"("A" 7"#, 1);
                    assert!(read(&text, body_structure, bounds).is_err());
                }
            });
        thread.unwrap().join().unwrap();
    }
}
