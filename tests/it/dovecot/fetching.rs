//! UID FETCH with every item, sections and ranges.

use std::io::Read as _;
use std::num::NonZeroU32;

use mailpool::{
    Append, BodyContent, Certainty, ErrorKind, Flag, ImapClient, Items, Limits, Mailbox, Message,
    PartPath, Partial, Section, TransferEncoding, Uid, UidSet,
};
use mailpool_test_dovecot::Dovecot;

use super::{append_letters, appended, client_of_new_user, letter, plain_builder, uid};

const HEADER: &str = "From: \"Alice \\\"A\\\" Example\" <alice@example.org>\r\n\
                      To: Bob <bob@example.com>, Team: carol@example.net, dave@example.net;\r\n\
                      Cc: root\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= and more\r\n\
                      Date: Mon, 3 Jun 2024 10:20:30 +0200\r\nMessage-ID: <parts@example.org>\r\n\
                      In-Reply-To: <earlier@example.org>\r\nMIME-Version: 1.0\r\n\
                      Content-Type: multipart/mixed; boundary=outer\r\n\r\n";
const TEXT: &str = "Grüße\r\nand more\r\n";
const ATTACHED: &str = "JVBERi0xLjQK\r\n";
const INNER_HEADER: &str = "From: inner@example.org\r\nSubject: inner\r\n\r\n";
const INNER_TEXT: &str = "the inner text\r\n";
const TEXT_MIME: &str = "Content-Type: text/plain; charset=utf-8\r\n\
                         Content-Transfer-Encoding: 8bit\r\n\r\n";
const ATTACHED_MIME: &str = "Content-Type: application/pdf; name=\"a b.pdf\"\r\n\
                             Content-Disposition: attachment; filename=\"a b.pdf\"\r\n\
                             Content-Transfer-Encoding: base64\r\n\r\n";

/// A message whose second part is a message with a text and an attachment.
fn message_with_parts() -> Vec<u8> {
    format!(
        "{HEADER}preamble\r\n--outer\r\n{TEXT_MIME}{TEXT}\r\n--outer\r\n\
         Content-Type: message/rfc822\r\n\r\n{INNER_HEADER}{INNER_TEXT}\r\n--outer\r\n\
         {ATTACHED_MIME}{ATTACHED}\r\n--outer--\r\nepilogue\r\n"
    )
    .into_bytes()
}

fn one(mailbox: &Mailbox, uid: Uid, items: Items) -> Message {
    let mut fetch = mailbox.fetch(uid, items).unwrap();
    let message = fetch.next().unwrap().unwrap();
    assert!(fetch.next().is_none());
    message
}

fn section(mailbox: &Mailbox, uid: Uid, section: &Section) -> Vec<u8> {
    let message = one(mailbox, uid, Items::new().peek(section.clone()));
    let body = message
        .section(section)
        .unwrap_or_else(|| panic!("BODY[{section}] did not come"));
    body.bytes().unwrap().to_vec()
}

fn with_parts(client: &ImapClient) -> (Mailbox, Uid) {
    let inbox = client.mailbox("INBOX");
    let uid = appended(&inbox, Append::new(message_with_parts()));
    (inbox, uid)
}

#[test]
fn every_item_comes_with_its_value_and_no_other() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "fetch-items");
    let (inbox, uid) = with_parts(&client);
    let validity = inbox.select().unwrap().uid_validity;

    let bare = one(&inbox, uid, Items::new());
    assert_eq!(
        (bare.uid(), bare.uid_validity(), bare.seq().get()),
        (uid, validity, 1)
    );
    assert!(bare.flags().is_none() && bare.size().is_none() && bare.sections().is_empty());

    let items = Items::full().envelope().body_structure().mod_seq();
    let all = one(&inbox, uid, items);
    assert_eq!(all.size(), Some(message_with_parts().len() as u64));
    assert!(!all.flags().unwrap().contains(&Flag::Seen));
    assert!(all.mod_seq().is_some() && all.internal_date().is_some());
    assert_eq!(*all.body().unwrap().bytes().unwrap(), message_with_parts());
    assert_eq!(all.other_attributes().count(), 0);

    let envelope = all.envelope().unwrap().unwrap();
    assert_eq!(
        envelope.subject.as_ref().unwrap(),
        &"=?utf-8?q?Gr=C3=BC=C3=9Fe?= and more"
    );
    assert_eq!(
        envelope.date.as_ref().unwrap(),
        &"Mon, 3 Jun 2024 10:20:30 +0200"
    );
    assert_eq!(
        envelope.message_id.as_ref().unwrap(),
        &"<parts@example.org>"
    );
    assert_eq!(
        envelope.in_reply_to.as_ref().unwrap(),
        &"<earlier@example.org>"
    );
    let from = envelope.from.addresses().next().unwrap();
    assert_eq!(from.name.as_ref().unwrap(), &"Alice \"A\" Example");
    assert_eq!(from.to_address_lossy(), "alice@example.org");
    assert_eq!(envelope.sender, envelope.from);
    let to: Vec<String> = envelope
        .to
        .addresses()
        .map(|one| one.to_address_lossy())
        .collect();
    assert_eq!(
        to,
        ["bob@example.com", "carol@example.net", "dave@example.net"]
    );
    assert_eq!(envelope.to.entries().len(), 2);
    assert!(envelope.bcc.is_empty() && !envelope.cc.is_empty());
}

#[test]
fn the_structure_says_what_the_parts_are() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "fetch-structure");
    let (inbox, uid) = with_parts(&client);
    for items in [Items::new().body_structure(), Items::new().body()] {
        let extended = items == Items::new().body_structure();
        let message = one(&inbox, uid, items);
        let structure = message.body_structure().unwrap().unwrap();
        assert!(structure.is("multipart", "mixed"));
        let parts: Vec<_> = structure.parts().collect();
        let paths: Vec<String> = parts.iter().map(|part| part.path.to_string()).collect();
        assert_eq!(paths, ["1", "2", "2.1", "3"]);
        assert_eq!(parts[0].structure.parameter("charset").unwrap(), &"utf-8");
        let fields = parts[0].structure.fields().unwrap();
        assert_eq!(fields.encoding, TransferEncoding::EightBit);
        assert_eq!(fields.size, TEXT.len() as u64);
        let BodyContent::Message {
            envelope, lines, ..
        } = &parts[1].structure.content
        else {
            panic!("part 2 is a message");
        };
        assert_eq!(envelope.subject.as_ref().unwrap(), &"inner");
        assert_eq!(*lines, 4);
        assert_eq!(
            parts[3].structure.fields().unwrap().encoding,
            TransferEncoding::Base64
        );
        assert_eq!(parts[3].structure.file_name().unwrap(), &"a b.pdf");
        assert_eq!(structure.parameter("boundary").is_some(), extended);
        assert_eq!(parts[3].structure.disposition.is_some(), extended);
    }
}

#[test]
fn every_section_has_its_bytes() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "fetch-sections");
    let (inbox, uid) = with_parts(&client);
    let path = |text: &str| text.parse::<PartPath>().unwrap();
    let fields = |names: &[&str]| Section::header_fields(names).unwrap();
    let inner = format!("{INNER_HEADER}{INNER_TEXT}");
    let whole = message_with_parts();
    let cases: Vec<(Section, Vec<u8>)> = vec![
        (Section::full(), whole.clone()),
        (Section::header(), HEADER.into()),
        (Section::text(), whole[HEADER.len()..].to_vec()),
        (
            fields(&["MESSAGE-ID", "cc", "X-Absent"]),
            b"Cc: root\r\nMessage-ID: <parts@example.org>\r\n\r\n".to_vec(),
        ),
        (fields(&["x-absent"]), b"\r\n".to_vec()),
        (
            Section::header_fields_not([
                "From",
                "To",
                "Date",
                "Subject",
                "In-Reply-To",
                "MIME-Version",
                "Content-Type",
            ])
            .unwrap(),
            b"Cc: root\r\nMessage-ID: <parts@example.org>\r\n\r\n".to_vec(),
        ),
        (Section::part(path("1")), TEXT.into()),
        (Section::mime(path("1")), TEXT_MIME.into()),
        (Section::part(path("2")), inner.into()),
        (Section::header().within(path("2")), INNER_HEADER.into()),
        (Section::text().within(path("2")), INNER_TEXT.into()),
        (
            fields(&["Subject"]).within(path("2")),
            b"Subject: inner\r\n\r\n".to_vec(),
        ),
        (Section::part(path("2.1")), INNER_TEXT.into()),
        (Section::part(path("3")), ATTACHED.into()),
        (Section::mime(path("3")), ATTACHED_MIME.into()),
    ];
    for (name, expected) in &cases {
        let bytes = section(&inbox, uid, name);
        assert_eq!(
            bytes.escape_ascii().to_string(),
            expected.escape_ascii().to_string(),
            "{name}"
        );
    }
    // All of them in one command.
    let mut items = Items::new();
    for (name, _) in &cases {
        items = items.peek(name.clone());
    }
    let message = one(&inbox, uid, items);
    assert_eq!(message.sections().len(), cases.len());
    for (name, expected) in &cases {
        assert_eq!(
            message.section(name).unwrap().bytes().unwrap(),
            expected,
            "{name}"
        );
    }
    // A part that the message does not have is empty (RFC 9051 §6.4.5.1 leaves it open).
    let absent = one(&inbox, uid, Items::new().peek(Section::part(path("9.9"))));
    let body = absent.section(&Section::part(path("9.9")));
    assert!(body.is_none_or(mailpool::Body::is_empty));
}

#[test]
fn ranges_of_a_section_begin_where_they_say() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "fetch-ranges");
    let (inbox, uid) = with_parts(&client);
    let whole = message_with_parts();
    let len = |number| NonZeroU32::new(number).unwrap();
    let end = whole.len() as u64;
    for (offset, count) in [
        (0, 1),
        (0, 10_000),
        (5, 20),
        (end - 3, 100),
        (end, 5),
        (end + 99, 5),
    ] {
        let items = Items::new().peek_partial(Section::full(), Partial::new(offset, len(count)));
        let message = one(&inbox, uid, items);
        let body = message.section(&Section::full()).unwrap();
        assert_eq!(body.partial_origin(), Some(offset));
        let from = whole.len().min(offset as usize);
        let to = whole.len().min(from + count as usize);
        assert_eq!(
            body.bytes().unwrap()[..],
            whole[from..to],
            "{offset}.{count}"
        );
    }
    // Put together from pieces, fetched in one command.
    let mut items = Items::new();
    for offset in (0..end).step_by(100) {
        items = items.peek_partial(Section::full(), Partial::new(offset, len(100)));
    }
    let mut pieces = one(&inbox, uid, items).into_sections();
    pieces.sort_by_key(mailpool::Body::partial_origin);
    let together: Vec<u8> = pieces
        .into_iter()
        .flat_map(|piece| piece.into_bytes().unwrap())
        .collect();
    assert_eq!(together, whole);
}

#[test]
fn only_fetching_without_peek_marks_a_message_as_seen() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "fetch-seen");
    let inbox = client.mailbox("INBOX");
    let uids = append_letters(&inbox, 0..3);
    let seen = |uid| {
        let message = one(&inbox, uid, Items::new().flags());
        message.flags().unwrap().contains(&Flag::Seen)
    };
    one(&inbox, uids[0], Items::full());
    assert!(!seen(uids[0]));
    let message = one(&inbox, uids[0], Items::new().section(Section::full()));
    assert_eq!(*message.body().unwrap().bytes().unwrap(), letter(0));
    assert!(seen(uids[0]));
    let range = Partial::new(0, NonZeroU32::MIN);
    let message = one(
        &inbox,
        uids[1],
        Items::new().section_partial(Section::text(), range),
    );
    assert_eq!(
        message.section(&Section::text()).unwrap().bytes().unwrap()[..],
        *b"T"
    );
    assert!(seen(uids[1]) && !seen(uids[2]));
}

#[test]
fn messages_come_once_each_and_absent_uids_are_passed_over() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "fetch-sets");
    let inbox = client.mailbox("INBOX");
    append_letters(&inbox, 0..50);
    let odd: UidSet = (1..=200).step_by(2).map(uid).collect();
    let fetched: Vec<Uid> = inbox
        .fetch(&odd, Items::fast())
        .unwrap()
        .map(|message| message.unwrap().uid())
        .collect();
    assert_eq!(fetched, (1..=50).step_by(2).map(uid).collect::<Vec<_>>());
    assert_eq!(
        inbox.fetch(UidSet::new(), Items::fast()).unwrap().count(),
        0
    );
    assert_eq!(inbox.fetch(uid(1_000), Items::fast()).unwrap().count(), 0);
    assert_eq!(
        inbox.fetch(UidSet::all(), Items::fast()).unwrap().count(),
        50
    );
    // 500:* is answered with the last message, as RFC 9051 §6.4.9 has it.
    let beyond = uid(500)..=Uid::MAX;
    let last: Vec<Uid> = inbox
        .fetch(beyond, Items::new())
        .unwrap()
        .map(|message| message.unwrap().uid())
        .collect();
    assert_eq!(last, [uid(50)]);
}

#[test]
fn a_set_too_long_for_one_command_is_fetched_whole() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let user = dovecot.new_user("fetch-long");
    dovecot.deliver(&user.name, "INBOX", (0..6_000).map(|_| letter(1)));
    let client = plain_builder(dovecot, &user).connect().unwrap();
    let inbox = client.mailbox("INBOX");
    // Every other one, so that nothing joins up: some 15,000 bytes of set.
    let odd: UidSet = (1..=6_000).step_by(2).map(uid).collect();
    assert!(odd.to_string().len() > 14_000);
    let fetched: Vec<Uid> = inbox
        .fetch(&odd, Items::new().size())
        .unwrap()
        .map(|message| message.unwrap().uid())
        .collect();
    assert_eq!(fetched, odd.iter().collect::<Vec<_>>());
}

#[test]
fn a_large_body_is_streamed_and_may_be_passed_over() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let user = dovecot.new_user("fetch-streams");
    let large: Vec<u8> = (0..60_000)
        .flat_map(|line| format!("{line:>70}\r\n").into_bytes())
        .collect();
    let messages = [large.clone(), letter(2), large.clone(), letter(4)];
    dovecot.deliver(&user.name, "INBOX", messages.clone());
    for builder in [
        super::builder(dovecot, &user),
        plain_builder(dovecot, &user).limits(Limits::default().stream_threshold(1_000)),
    ] {
        let client = builder.connect().unwrap();
        let inbox = client.mailbox("INBOX");
        let mut fetch = inbox.fetch(UidSet::all(), Items::full()).unwrap();
        // Read through.
        let body = fetch.next().unwrap().unwrap().into_body().unwrap();
        assert!(body.is_streamed() && body.len() == large.len() as u64);
        let mut bytes = Vec::new();
        body.into_reader().read_to_end(&mut bytes).unwrap();
        assert!(bytes == large);
        let second = fetch.next().unwrap().unwrap().into_body().unwrap();
        assert_eq!(second.into_bytes().unwrap(), letter(2));
        // Begun, then left alone; the iterator goes on.
        let third = fetch.next().unwrap().unwrap().into_body().unwrap();
        let mut reader = third.into_reader();
        assert!(reader.next_chunk().unwrap().is_some());
        let fourth = fetch.next().unwrap().unwrap().into_body().unwrap();
        assert_eq!(fourth.into_bytes().unwrap(), letter(4));
        let error = reader.next_chunk().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::PassedOver), "{error:?}");
        assert_eq!(error.certainty(), Certainty::MaybeExecuted);
        assert!(fetch.next().is_none());
        // Dropped in the middle; the connection stays in use.
        let mut fetch = inbox.fetch(UidSet::all(), Items::full()).unwrap();
        drop(fetch.next().unwrap().unwrap());
        drop(fetch);
        assert_eq!(inbox.fetch(UidSet::all(), Items::new()).unwrap().count(), 4);
        assert_eq!(client.stats().opened, 1);
    }
}

#[test]
fn several_large_sections_of_one_message_follow_one_another() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "fetch-rest");
    let inbox = client.mailbox("INBOX");
    let text = "x".repeat(70).repeat(8_000);
    let message = format!("Subject: large\r\n\r\n{text}\r\n").into_bytes();
    let uid = appended(&inbox, Append::new(message.clone()));
    let items = Items::new()
        .peek(Section::full())
        .peek(Section::header())
        .peek(Section::text())
        .flags();
    let first = one_streamed(&inbox, uid, items);
    let mut parts = first;
    parts.sort_by_key(|(section, _)| section.to_string());
    let by_name: Vec<(String, usize)> = parts
        .iter()
        .map(|(section, bytes)| (section.to_string(), bytes.len()))
        .collect();
    let header = b"Subject: large\r\n\r\n".len();
    assert_eq!(
        by_name,
        [
            (String::new(), message.len()),
            ("HEADER".to_owned(), header),
            ("TEXT".to_owned(), message.len() - header),
        ]
    );
    assert!(parts[0].1 == message && parts[2].1 == message[header..]);
}

/// All sections of one message, those behind a streamed one included.
fn one_streamed(mailbox: &Mailbox, uid: Uid, items: Items) -> Vec<(Section, Vec<u8>)> {
    let mut fetch = mailbox.fetch(uid, items).unwrap();
    let mut message = Some(fetch.next().unwrap().unwrap());
    let mut sections = Vec::new();
    while let Some(part) = message.take() {
        for body in part.into_sections() {
            let section = body.section().clone();
            let mut reader = body.into_reader();
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).unwrap();
            sections.push((section, bytes));
            if let Some(rest) = reader.finish().unwrap() {
                message = Some(rest);
            }
        }
    }
    assert!(fetch.next().is_none());
    sections
}
