//! The nasty messages: bytes, envelopes, structures and parts.

use std::collections::BTreeMap;

use mailpool::{BodyContent, Items, Mailbox, Message, RawText, Section, Uid, UidSet};
use mailpool_test_corpus::{CorpusMessage, nasty};
use mailpool_test_dovecot::{Dovecot, as_served_after_append};

use super::headers::{as_in_envelope, fields, simple_address};
use super::{appended, builder, contents, plain_builder, uid};

/// The messages of the corpus in INBOX, UIDs from 1 on, with the bytes that are served.
fn delivered(dovecot: &Dovecot, hint: &str) -> (Mailbox, Vec<(CorpusMessage, Vec<u8>)>) {
    let user = dovecot.new_user(hint);
    let messages = nasty();
    let bytes = messages.iter().map(|message| message.bytes.clone());
    let served = dovecot.deliver(&user.name, "INBOX", bytes);
    let client = plain_builder(dovecot, &user).connect().unwrap();
    let served = messages.into_iter().zip(served).collect();
    (client.mailbox("INBOX"), served)
}

fn fetched(mailbox: &Mailbox, items: Items) -> BTreeMap<Uid, Message> {
    mailbox
        .fetch(UidSet::all(), items)
        .unwrap()
        .map(|message| message.unwrap())
        .map(|message| (message.uid(), message))
        .collect()
}

#[test]
fn every_byte_of_every_delivered_message_comes_back() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (inbox, served) = delivered(dovecot, "corpus-bytes");
    let contents = contents(&inbox);
    assert_eq!(contents.len(), served.len());
    assert!(served.len() > 200);
    for ((message, expected), fetched) in served.iter().zip(contents.values()) {
        assert!(fetched == expected, "{}", message.name);
    }
}

#[test]
fn every_byte_of_every_appended_message_comes_back() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let user = dovecot.new_user("corpus-append");
    let client = builder(dovecot, &user).connect().unwrap();
    let inbox = client.mailbox("INBOX");
    let messages = nasty();
    let uids: Vec<Uid> = messages
        .iter()
        .map(|message| appended(&inbox, mailpool::Append::new(message.bytes.clone())))
        .collect();
    let contents = contents(&inbox);
    assert_eq!(contents.len(), messages.len());
    for (message, uid) in messages.iter().zip(uids) {
        assert!(
            contents[&uid] == as_served_after_append(&message.bytes),
            "{}",
            message.name
        );
    }
}

/// How often something has been compared, so that a test cannot pass by comparing nothing.
#[derive(Debug, Default, PartialEq, Eq)]
struct Compared {
    subjects: usize,
    ids: usize,
    authors: usize,
}

#[test]
fn envelopes_hold_what_the_headers_say() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (inbox, served) = delivered(dovecot, "corpus-envelopes");
    let messages = fetched(&inbox, Items::new().envelope());
    let mut compared = Compared::default();
    for (number, (corpus, bytes)) in (1..).zip(&served) {
        let name = &corpus.name;
        // Whatever a message holds, Dovecot makes a well-formed envelope of it.
        let envelope = messages[&uid(number)].envelope().unwrap();
        let envelope = envelope.unwrap_or_else(|error| panic!("{name}: {error}"));
        if let [subject] = &fields(bytes, "Subject")[..] {
            assert_eq!(shown(&envelope.subject), as_in_envelope(subject), "{name}");
            compared.subjects += 1;
        }
        if let [id] = &fields(bytes, "Message-ID")[..] {
            assert_eq!(shown(&envelope.message_id), as_in_envelope(id), "{name}");
            compared.ids += 1;
        }
        if let [from] = &fields(bytes, "From")[..] {
            if let Some((author, local, domain)) = simple_address(from) {
                let said = envelope.from.addresses().next().unwrap();
                assert_eq!(said.name.is_some(), author.is_some(), "{name}");
                assert_eq!(shown(&said.name), author.unwrap_or_default(), "{name}");
                assert_eq!(shown(&said.mailbox), local, "{name}");
                assert_eq!(shown(&said.host), domain, "{name}");
                compared.authors += 1;
            }
        }
    }
    let expected = Compared {
        subjects: 190,
        ids: 199,
        authors: 101,
    };
    assert_eq!(compared, expected);
}

/// A text of an envelope, so that it can be printed.
fn shown(text: &Option<RawText>) -> String {
    let bytes = text.as_ref().map(RawText::as_bytes).unwrap_or_default();
    bytes.escape_ascii().to_string()
}

/// How many leaves a message has, text, attachments and the innermost parts of messages inside
/// it, where there is not just one. Python's `email` package finds as many, but for the last
/// three.
const LEAVES: [(&str, usize); 27] = [
    ("multipart-nested-2", 3),
    ("multipart-nested-5", 6),
    ("multipart-nested-10", 11),
    ("multipart-nested-20", 21),
    ("multipart-nested-40", 41),
    ("rfc822-and-multipart-in-turn-10", 11),
    ("alternative-in-related-in-mixed", 4),
    ("boundary-never-closed", 2),
    ("boundary-of-parent-reused", 2),
    ("boundary-prefix-of-inner", 2),
    ("boundary-inner-is-prefix-of-outer", 2),
    ("boundary-inner-cut-off-by-outer", 2),
    ("boundary-with-spaces-behind", 2),
    ("boundary-like-a-signature-separator", 2),
    ("parts-500", 500),
    ("parts-of-a-digest-50", 50),
    ("parts-with-headers-only", 2),
    ("smime-signed", 2),
    ("pgp-mime-encrypted", 2),
    ("disposition-notification", 2),
    ("abuse-report", 3),
    ("calendar-invitation", 2),
    ("apple-double", 2),
    ("looks-like-brackets-in-parameters", 2),
    // Dovecot compares the first 80 bytes of a boundary only, so that the closing line opens a
    // part.
    ("boundary-longer-than-allowed", 2),
    ("parts-empty", 4),
    // A delivery status is one part for Dovecot, one for each recipient for Python.
    ("delivery-report-with-null-reverse-path", 3),
];

#[test]
fn every_part_has_the_size_that_the_structure_says() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (inbox, served) = delivered(dovecot, "corpus-parts");
    let messages = fetched(&inbox, Items::new().body_structure());
    let mut fetched_parts = 0;
    for (number, (corpus, _)) in (1..).zip(&served) {
        let name = &corpus.name;
        let structure = messages[&uid(number)].body_structure().unwrap();
        let structure = structure.unwrap_or_else(|error| panic!("{name}: {error}"));
        let leaves = structure
            .parts()
            .filter(|part| {
                matches!(
                    part.structure.content,
                    BodyContent::Basic(_) | BodyContent::Text { .. }
                )
            })
            .count();
        let expected = LEAVES.iter().find(|(of, _)| of == name);
        assert_eq!(leaves, expected.map_or(1, |(_, leaves)| *leaves), "{name}");

        let mut sizes = BTreeMap::new();
        let mut items = Items::new();
        for part in structure.parts() {
            let section = Section::part(part.path);
            items = items.peek(section.clone());
            let size = part.structure.fields().map(|fields| fields.size);
            sizes.insert(section.to_string(), size);
        }
        for (section, len) in section_sizes(&inbox, uid(number), items) {
            let size = sizes.remove(&section);
            let size = size.unwrap_or_else(|| panic!("{name}: {section} came unasked, or twice"));
            // A multipart has no size of its own.
            assert_eq!(size.unwrap_or(len), len, "{name}: BODY[{section}]");
            fetched_parts += 1;
        }
        assert_eq!(sizes, BTreeMap::new(), "{name}: did not come");
    }
    assert!(fetched_parts > 1_000, "{fetched_parts}");
}

/// The sections of one message, those behind streamed ones included, with their sizes as they
/// were read.
fn section_sizes(mailbox: &Mailbox, uid: Uid, items: Items) -> Vec<(String, u64)> {
    let mut fetch = mailbox.fetch(uid, items).unwrap();
    let mut message = Some(fetch.next().unwrap().unwrap());
    let mut sizes = Vec::new();
    while let Some(part) = message.take() {
        for body in part.into_sections() {
            let section = body.section().to_string();
            let announced = body.len();
            let mut reader = body.into_reader();
            let read = std::io::copy(&mut reader, &mut std::io::sink()).unwrap();
            assert_eq!(read, announced);
            sizes.push((section, read));
            if let Some(rest) = reader.finish().unwrap() {
                message = Some(rest);
            }
        }
    }
    sizes
}

#[test]
fn structures_with_and_without_extension_data_have_the_same_parts() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (inbox, served) = delivered(dovecot, "corpus-body");
    let extended = fetched(&inbox, Items::new().body_structure());
    let plain = fetched(&inbox, Items::new().body());
    for (number, (corpus, _)) in (1..).zip(&served) {
        let parts = |messages: &BTreeMap<Uid, Message>| -> Vec<String> {
            let structure = messages[&uid(number)].body_structure().unwrap().unwrap();
            let describe = |part: mailpool::Part<'_>| {
                let kind = part.structure;
                let size = kind.fields().map(|fields| fields.size);
                format!(
                    "{} {:?}/{:?} {size:?}",
                    part.path, kind.media_type, kind.subtype
                )
            };
            structure.parts().map(describe).collect()
        };
        assert_eq!(parts(&extended), parts(&plain), "{}", corpus.name);
    }
}

#[test]
fn everything_about_every_message_in_one_command() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (inbox, served) = delivered(dovecot, "corpus-all");
    let items = Items::full()
        .envelope()
        .body_structure()
        .mod_seq()
        .peek(Section::header_fields(["Subject", "From"]).unwrap());
    let mut count = 0;
    for message in inbox.fetch(UidSet::all(), items).unwrap() {
        let message = message.unwrap();
        let (corpus, expected) = &served[message.uid().get() as usize - 1];
        let mut waiting = Some(message);
        let mut whole = None;
        let (mut envelopes, mut structures) = (0, 0);
        // Attributes behind a body that is streamed come with the rest.
        while let Some(message) = waiting.take() {
            envelopes += usize::from(message.envelope().is_some_and(|envelope| envelope.is_ok()));
            structures += usize::from(message.body_structure().is_some_and(|body| body.is_ok()));
            for body in message.into_sections() {
                let is_whole = *body.section() == Section::full();
                let mut reader = body.into_reader();
                let mut bytes = Vec::new();
                std::io::copy(&mut reader, &mut bytes).unwrap();
                if is_whole {
                    whole = Some(bytes);
                }
                if let Some(rest) = reader.finish().unwrap() {
                    waiting = Some(rest);
                }
            }
        }
        assert!(whole.as_ref() == Some(expected), "{}", corpus.name);
        assert_eq!((envelopes, structures), (1, 1), "{}", corpus.name);
        count += 1;
    }
    assert_eq!(count, served.len());
}
