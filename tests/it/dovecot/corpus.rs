//! The nasty messages: bytes, envelopes, structures and parts.

use std::collections::BTreeMap;

use mailpool::{BodyContent, Items, Mailbox, Message, Section, Uid, UidSet};
use mailpool_test_corpus::{CorpusMessage, nasty};
use mailpool_test_dovecot::{Dovecot, as_served_after_append};

use super::headers::{fields, simple_address, trimmed};
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

#[test]
fn envelopes_hold_what_the_headers_say() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (inbox, served) = delivered(dovecot, "corpus-envelopes");
    let messages = fetched(&inbox, Items::new().envelope());
    let (mut subjects, mut ids, mut authors) = (0, 0, 0);
    for (number, (corpus, bytes)) in (1..).zip(&served) {
        let name = &corpus.name;
        let envelope = match messages[&uid(number)].envelope().unwrap() {
            Ok(envelope) => envelope,
            Err(error) => {
                println!("{name}: {error}");
                continue;
            }
        };
        let raw = |text: &Option<mailpool::RawText>| {
            text.as_ref().map(|text| text.as_bytes().escape_ascii().to_string())
        };
        let expected = |field: &str| match &fields(bytes, field)[..] {
            [value] => Some(trimmed(value).escape_ascii().to_string()),
            _ => None,
        };
        if let Some(subject) = expected("Subject") {
            if raw(&envelope.subject).as_ref() != Some(&subject) {
                println!("{name}: subject {:.100?} expected {subject:.100}", raw(&envelope.subject));
            }
            subjects += 1;
        }
        if let Some(id) = expected("Message-ID") {
            if raw(&envelope.message_id).as_ref() != Some(&id) {
                println!("{name}: id {:.100?} expected {id:.100}", raw(&envelope.message_id));
            }
            ids += 1;
        }
        let from = fields(bytes, "From");
        if let [value] = &from[..] {
            if let Some((author, local, domain)) = simple_address(value) {
                let first = envelope.from.addresses().next().unwrap();
                let text = |text: &Option<mailpool::RawText>| {
                    text.as_ref().map(|text| text.to_string_lossy().into_owned())
                };
                let said = (text(&first.name), text(&first.mailbox), text(&first.host));
                let want = (author.map(str::to_owned), Some(local.to_owned()), Some(domain.to_owned()));
                if said != want {
                    println!("{name}: from {said:?} expected {want:?}");
                }
                authors += 1;
            }
        }
    }
    println!("{subjects} {ids} {authors}");
    panic!();
}

#[test]
fn every_part_has_the_size_that_the_structure_says() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (inbox, served) = delivered(dovecot, "corpus-parts");
    let messages = fetched(&inbox, Items::new().body_structure());
    let mut parts_fetched = 0;
    for (number, (corpus, _)) in (1..).zip(&served) {
        let name = &corpus.name;
        let structure = match messages[&uid(number)].body_structure().unwrap() {
            Ok(structure) => structure,
            Err(error) => {
                println!("{name}: {error}");
                continue;
            }
        };
        let mut sizes = BTreeMap::new();
        let mut items = Items::new();
        let mut leaves = 0;
        for part in structure.parts() {
            let leaf = !matches!(part.structure.content, BodyContent::Message { .. } | BodyContent::Multipart(_));
            leaves += usize::from(leaf);
            let section = Section::part(part.path);
            items = items.peek(section.clone());
            let size = part.structure.fields().map(|fields| fields.size);
            sizes.insert(section.to_string(), size);
        }
        println!("LEAVES {name} {leaves}");
        let message = inbox.fetch(uid(number), items).unwrap().next().unwrap().unwrap();
        let mut waiting = Some(message);
        while let Some(message) = waiting.take() {
            for body in message.into_sections() {
                let section = body.section().to_string();
                let len = body.len();
                let size = sizes.remove(&section);
                match size {
                    Some(Some(size)) if size != len => println!("{name}: {section} has {len} expected {size}"),
                    None => println!("{name}: {section} not asked for"),
                    _ => {}
                }
                parts_fetched += 1;
                let rest = body.into_reader().finish().unwrap();
                if rest.is_some() {
                    waiting = rest;
                }
            }
        }
        if !sizes.is_empty() {
            println!("{name}: missing {sizes:?}");
        }
    }
    println!("{parts_fetched}");
    panic!();
}
