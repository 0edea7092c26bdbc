use super::*;

const MIXED: &[u8] = b"From: \"Doe, Jane\" <jane@example.org>\r\n\
    Subject: two\r\n lines\r\n\
    Content-Type: multipart/mixed; boundary=\"b 1\"\r\n\r\n\
    preamble\r\n--b 1\r\n\r\nplain\r\ntext\r\n--b 1\r\n\
    Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner body\r\n--b 1--\r\nepilogue";

#[test]
fn a_multipart_is_taken_apart() {
    let part = Part::parse(MIXED);
    assert_eq!(part.field("subject"), Some(b"two lines".as_slice()));
    let Kind::Multipart(parts) = &part.kind else {
        panic!("{part:?}")
    };
    assert_eq!(parts.len(), 2);
    let text = |part: &Part| {
        let range = part.body.start as usize..part.body.end as usize;
        String::from_utf8_lossy(&MIXED[range]).into_owned()
    };
    assert_eq!(text(&parts[0]), "plain\r\ntext");
    assert_eq!(parts[0].lines, 1);
    let inner = part.find(&[2, 1]).unwrap();
    assert_eq!(text(inner), "inner body");
    assert!(part.find(&[3]).is_none());
    assert!(part.find(&[1, 1]).is_none());
}

#[test]
fn any_bytes_are_a_message() {
    for bytes in [
        b"".as_slice(),
        b"\r\n",
        b"\n",
        b"no colon",
        b"Content-Type: multipart/mixed\r\n\r\nx",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x",
        b"Content-Type: multipart/mixed; boundary=\"\r\n\r\n--\r\n--\r\n",
        b"Content-Type: message/rfc822",
        b"\xff\xfe: \xff\r\n\r\n\xff",
    ] {
        let part = Part::parse(bytes);
        assert_eq!(part.body.end, bytes.len() as u64);
    }
    let nested = b"Content-Type: message/rfc822\r\n\r\n".repeat(1000);
    let _ = Part::parse(&nested);
}

#[test]
fn addresses_names_and_groups() {
    let addresses = parse_addresses(b"\"Doe, Jane\" <jane@example.org>, bob@example.org (Bob)");
    assert_eq!(addresses.len(), 2);
    assert_eq!(addresses[0].name.as_deref(), Some("Doe, Jane"));
    assert_eq!(addresses[1].mailbox.as_deref(), Some("bob"));
    assert_eq!(addresses[1].host.as_deref(), Some("example.org"));

    let group = parse_addresses(b"friends: a@x, b@y;");
    assert_eq!(group.len(), 4);
    assert_eq!(group[0].mailbox.as_deref(), Some("friends"));
    assert_eq!(group[0].host, None);
    assert_eq!(group[3], Address::default());
}

#[test]
fn encoded_words_are_decoded() {
    assert_eq!(
        decode_words(b"=?utf-8?Q?Gr=C3=BC=C3=9Fe?= =?utf-8?B?IQ==?="),
        "Gr\u{fc}\u{df}e!"
    );
    assert_eq!(decode_words(b"a =?bad b"), "a =?bad b");
    assert_eq!(decode_words(b"=?iso-8859-1?q?=E9_?=x"), "\u{e9} x");
}
