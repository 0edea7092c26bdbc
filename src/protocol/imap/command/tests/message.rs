use std::num::NonZeroU32;

use imap_codec::imap_types::command::{CommandBody, FetchModifier, StoreModifier};
use imap_codec::imap_types::core::Vec1;
use imap_codec::imap_types::fetch::{
    MacroOrMessageDataItemNames, MessageDataItemName, Part, Section as CodecSection,
};
use imap_codec::imap_types::flag::{StoreResponse, StoreType};

use super::{bytes, mailbox_bytes, name, ranges, read, set, text};
use crate::protocol::imap::command::*;
use crate::types::flag::{Flag, Flags};
use crate::types::ids::ModSeq;
use crate::types::items::Items;
use crate::types::range_set::RangeSet;
use crate::types::request::Store;
use crate::types::section::{PartPath, Partial, Section};

const SETS: [&str; 4] = ["1", "1:*", "1,3:5,7", "4294967294"];

fn path(text: &str) -> PartPath {
    text.parse().unwrap()
}

fn part(numbers: &[u32]) -> Part {
    let numbers: Vec<_> = numbers
        .iter()
        .map(|n| NonZeroU32::new(*n).unwrap())
        .collect();
    Part(Vec1::try_from(numbers).unwrap())
}

fn partial(offset: u64, len: u32) -> Partial {
    Partial::new(offset, NonZeroU32::new(len).unwrap())
}

/// What FETCH asks for, read back.
fn items(items: &Items) -> Vec<MessageDataItemName<'static>> {
    match read(uid_fetch(&set("1"), items)) {
        CommandBody::Fetch {
            macro_or_item_names: MacroOrMessageDataItemNames::MessageDataItemNames(names),
            modifiers,
            uid: true,
            ..
        } => {
            assert!(modifiers.is_empty());
            names
        }
        other => panic!("{other:?}"),
    }
}

fn body(
    section: Option<CodecSection<'static>>,
    partial: Option<(u32, u32)>,
    peek: bool,
) -> MessageDataItemName<'static> {
    let partial = partial.map(|(offset, len)| (offset, NonZeroU32::new(len).unwrap()));
    MessageDataItemName::BodyExt {
        section,
        partial,
        peek,
    }
}

#[test]
fn fetch_names_its_messages() {
    for text in SETS {
        for uid in [false, true] {
            let line = if uid { uid_fetch } else { fetch }(&set(text), &Items::new());
            match read(line) {
                CommandBody::Fetch {
                    sequence_set,
                    uid: read,
                    ..
                } => {
                    assert_eq!(ranges(&sequence_set), set(text));
                    assert_eq!(read, uid);
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(uid_fetch(&RangeSet::new(), &Items::new()).is_err());
    assert_eq!(
        text(uid_fetch(&set("1:*"), &Items::full())),
        "UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])"
    );
}

#[test]
fn fetch_asks_for_each_item_and_the_uid_first() {
    use MessageDataItemName::*;
    assert_eq!(items(&Items::new()), [Uid]);
    assert_eq!(
        items(&Items::fast()),
        [Uid, Flags, InternalDate, Rfc822Size]
    );
    let all = Items::new()
        .mod_seq()
        .body()
        .body_structure()
        .envelope()
        .size()
        .internal_date()
        .flags();
    assert_eq!(
        items(&all),
        [
            Uid,
            Flags,
            InternalDate,
            Rfc822Size,
            Envelope,
            BodyStructure,
            Body,
            ModSeq
        ]
    );
    assert_eq!(
        items(&Items::headers()),
        [
            Uid,
            Flags,
            InternalDate,
            Rfc822Size,
            body(Some(CodecSection::Header(None)), None, true)
        ]
    );
}

#[test]
fn fetch_asks_for_each_kind_of_section() {
    let cases = [
        (Section::full(), None),
        (Section::header(), Some(CodecSection::Header(None))),
        (Section::text(), Some(CodecSection::Text(None))),
        (
            Section::part(path("1.23")),
            Some(CodecSection::Part(part(&[1, 23]))),
        ),
        (
            Section::mime(path("4294967295")),
            Some(CodecSection::Mime(part(&[u32::MAX]))),
        ),
        (
            Section::header().within(path("2")),
            Some(CodecSection::Header(Some(part(&[2])))),
        ),
        (
            Section::text().within(path("2.1")),
            Some(CodecSection::Text(Some(part(&[2, 1])))),
        ),
    ];
    for (section, expected) in cases {
        let asked = Items::new()
            .peek(section.clone())
            .peek_partial(section.clone(), partial(0, 1))
            .section_partial(section.clone(), partial(u32::MAX.into(), u32::MAX))
            .section(section.clone())
            .peek(section);
        let read = items(&asked);
        assert_eq!(
            read,
            [
                MessageDataItemName::Uid,
                body(expected.clone(), None, true),
                body(expected.clone(), Some((0, 1)), true),
                body(expected.clone(), Some((u32::MAX, u32::MAX)), false),
                body(expected, None, false),
            ]
        );
    }
    // imap-codec has offsets of 32 bits, as IMAP4rev1; IMAP4rev2 has 63.
    let far = Items::new().peek_partial(Section::full(), partial(1 << 40, 5));
    assert_eq!(
        text(fetch(&set("1"), &far)),
        "FETCH 1 (UID BODY.PEEK[]<1099511627776.5>)"
    );
}

#[test]
fn fetch_names_header_fields_whatever_they_are_called() {
    let odd = "X-(a)\"\\{5}%*]";
    let fields = Section::header_fields(["subject", odd]).unwrap();
    let not = Section::header_fields_not([odd]).unwrap().within(path("3"));
    let names = |names: &Vec1<_>| names.as_ref().iter().map(bytes).collect::<Vec<_>>();
    let odd = odd.to_ascii_uppercase().into_bytes();
    match items(&Items::new().peek(fields).section(not)).as_slice() {
        [
            MessageDataItemName::Uid,
            MessageDataItemName::BodyExt {
                section: Some(CodecSection::HeaderFields(None, fields)),
                partial: None,
                peek: true,
            },
            MessageDataItemName::BodyExt {
                section: Some(CodecSection::HeaderFieldsNot(Some(read), not)),
                partial: None,
                peek: false,
            },
        ] => {
            assert_eq!(names(fields), [b"SUBJECT".to_vec(), odd.clone()]);
            assert_eq!(names(not), [odd]);
            assert_eq!(*read, part(&[3]));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn store_changes_flags() {
    let given = [Flag::Seen, Flag::Deleted, Flag::keyword("$Junk").unwrap()];
    for (base, kind) in [
        (Store::add(given.clone()), StoreType::Add),
        (Store::remove(given.clone()), StoreType::Remove),
        (Store::replace(given), StoreType::Replace),
        (Store::replace(Flags::new()), StoreType::Replace),
    ] {
        let condition = ModSeq::new(ModSeq::MAX).unwrap();
        for (change, answer, conditions) in [
            (base.clone(), StoreResponse::Answer, vec![]),
            (base.clone().silent(), StoreResponse::Silent, vec![]),
            (
                base.clone().silent().unchanged_since(condition),
                StoreResponse::Silent,
                vec![StoreModifier::UnchangedSince(ModSeq::MAX)],
            ),
        ] {
            for is_uid in [false, true] {
                let line = if is_uid { uid_store } else { store }(&set("2:4"), &change);
                match read(line) {
                    CommandBody::Store {
                        sequence_set,
                        kind: read_kind,
                        response,
                        flags,
                        uid,
                        modifiers,
                    } => {
                        assert_eq!(ranges(&sequence_set), set("2:4"));
                        assert_eq!((read_kind, response, uid), (kind, answer, is_uid));
                        assert_eq!(modifiers, conditions);
                        let read: Vec<_> = flags.iter().map(ToString::to_string).collect();
                        let given: Vec<_> =
                            change.flags().iter().map(ToString::to_string).collect();
                        assert_eq!(read, given);
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    assert!(uid_store(&set("1"), &Store::add(Flag::Recent)).is_err());
    assert!(uid_store(&RangeSet::new(), &Store::add(Flag::Seen)).is_err());
}

#[test]
fn copy_and_move_go_to_a_mailbox() {
    let target = name("Entwürfe/a \"b\"");
    for text in SETS {
        for uid in [false, true] {
            let set = set(text);
            let copied = if uid {
                uid_copy(&set, &target)
            } else {
                copy(&set, &target)
            };
            let moved = if uid {
                uid_move(&set, &target)
            } else {
                move_messages(&set, &target)
            };
            match read(copied) {
                CommandBody::Copy {
                    sequence_set,
                    mailbox,
                    uid: read,
                } => {
                    assert_eq!((&ranges(&sequence_set), read), (&set, uid));
                    assert_eq!(mailbox_bytes(&mailbox), target.wire());
                }
                other => panic!("{other:?}"),
            }
            match read(moved) {
                CommandBody::Move {
                    sequence_set,
                    mailbox,
                    uid: read,
                } => {
                    assert_eq!((&ranges(&sequence_set), read), (&set, uid));
                    assert_eq!(mailbox_bytes(&mailbox), target.wire());
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(uid_move(&RangeSet::new(), &target).is_err());
}

#[test]
fn uid_expunge_names_its_messages() {
    for text in SETS {
        match read(uid_expunge(&set(text))) {
            CommandBody::ExpungeUid { sequence_set } => {
                assert_eq!(ranges(&sequence_set), set(text));
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(uid_expunge(&RangeSet::new()).is_err());
}

#[test]
fn changes_are_asked_for_since_a_mod_sequence() {
    for (number, wanted) in [("1:*", 1), ("3,7:9", 715_194_045_007), ("5", ModSeq::MAX)] {
        let since = ModSeq::new(wanted).unwrap();
        let items = Items::new().flags().mod_seq();
        match read(uid_fetch_changes(&set(number), &items, since)) {
            CommandBody::Fetch {
                sequence_set,
                modifiers,
                uid: true,
                ..
            } => {
                assert_eq!(ranges(&sequence_set), set(number));
                let [FetchModifier::ChangedSince(read)] = modifiers[..] else {
                    panic!("{modifiers:?}");
                };
                assert_eq!(read.get(), wanted);
            }
            other => panic!("{other:?}"),
        }
    }
}
