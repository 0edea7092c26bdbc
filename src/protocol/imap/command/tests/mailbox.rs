use imap_codec::imap_types::command::{CommandBody, SelectParameter};
use imap_codec::imap_types::extensions::binary::LiteralOrLiteral8;
use imap_codec::imap_types::mailbox::{ListMailbox, Mailbox};
use imap_codec::imap_types::status::StatusDataItemName;

use super::{mailbox_bytes, name, read, text};
use crate::protocol::imap::command::*;
use crate::types::date::{Date, DateTime};
use crate::types::flag::Flag;
use crate::types::mailbox_name::MailboxName;
use crate::types::request::{Append, StatusItems};

/// A name for each way to write one.
fn names() -> Vec<MailboxName> {
    let mut names: Vec<_> = [
        "inbox",
        "a/b",
        "a b",
        "Entwürfe",
        "\"\\\"",
        "NIL",
        "a%b*",
        "(]){1}",
    ]
    .into_iter()
    .map(name)
    .collect();
    names.push(MailboxName::from_wire("räw & bad".as_bytes()));
    names.push(MailboxName::from_wire(b"a\r\nA2 LOGOUT\r\n"));
    names.push(MailboxName::from_wire(b""));
    names
}

#[track_caller]
fn assert_same(read: &Mailbox, given: &MailboxName) {
    let read = MailboxName::from_wire(&mailbox_bytes(read));
    assert_eq!(&read, given);
}

#[test]
fn commands_with_one_mailbox() {
    for name in &names() {
        for line in [
            create(name),
            delete(name),
            subscribe(name),
            unsubscribe(name),
        ] {
            let shown = format!("{:?}", line.as_ref().unwrap());
            let (expected, mailbox) = match read(line) {
                CommandBody::Create { mailbox } => ("CREATE", mailbox),
                CommandBody::Delete { mailbox } => ("DELETE", mailbox),
                CommandBody::Subscribe { mailbox } => ("SUBSCRIBE", mailbox),
                CommandBody::Unsubscribe { mailbox } => ("UNSUBSCRIBE", mailbox),
                other => panic!("{other:?}"),
            };
            assert!(shown.starts_with(expected));
            assert_same(&mailbox, name);
        }
    }
    assert!(create(&MailboxName::from_wire(b"a\0b")).is_err());
}

#[test]
fn select_and_examine_ask_for_condstore_where_told() {
    for name in &names() {
        for condstore in [false, true] {
            let expected = if condstore {
                vec![SelectParameter::CondStore]
            } else {
                Vec::new()
            };
            match read(select(name, condstore)) {
                CommandBody::Select {
                    mailbox,
                    parameters,
                } => {
                    assert_same(&mailbox, name);
                    assert_eq!(parameters, expected);
                }
                other => panic!("{other:?}"),
            }
            match read(examine(name, condstore)) {
                CommandBody::Examine {
                    mailbox,
                    parameters,
                } => {
                    assert_same(&mailbox, name);
                    assert_eq!(parameters, expected);
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(
        text(select(&name("INBOX"), true)),
        "SELECT INBOX (CONDSTORE)"
    );
}

#[test]
fn rename_keeps_the_order() {
    for one in &names() {
        for two in &names() {
            match read(rename(one, two)) {
                CommandBody::Rename { from, to } => {
                    assert_same(&from, one);
                    assert_same(&to, two);
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn wildcards_pass_and_everything_else_is_quoted() {
    assert_eq!(text(list("", "*")), "LIST \"\" \"*\"");
    assert_eq!(text(lsub("a/", "%")), "LSUB \"a/\" \"%\"");
    for (reference, pattern) in [
        ("", ""),
        ("", "*"),
        ("~/Mail/", "%"),
        ("a \"b", "c\\%\"*"),
        ("Entwürfe/", "é*%é&"),
    ] {
        let wire = |text| wire_name(text);
        for (line, is_list) in [
            (list(reference, pattern), true),
            (lsub(reference, pattern), false),
        ] {
            let (read_reference, read_pattern) = match (read(line), is_list) {
                (
                    CommandBody::List {
                        reference,
                        mailbox_wildcard,
                    },
                    true,
                )
                | (
                    CommandBody::Lsub {
                        reference,
                        mailbox_wildcard,
                    },
                    false,
                ) => (reference, mailbox_wildcard),
                (other, _) => panic!("{other:?}"),
            };
            assert_eq!(mailbox_bytes(&read_reference), wire(reference));
            match read_pattern {
                ListMailbox::String(string) => assert_eq!(string.as_ref(), wire(pattern)),
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(list("a\r\n", "*").is_err() && list("", "*\0").is_err());
}

fn wire_name(text: &str) -> Vec<u8> {
    crate::types::utf7::encode(text).into_bytes()
}

#[test]
fn status_asks_for_each_item() {
    let all = StatusItems::new()
        .deleted()
        .size()
        .highest_mod_seq()
        .unseen()
        .uid_validity()
        .uid_next()
        .recent()
        .messages();
    for name in &names() {
        match read(status(name, &all)) {
            CommandBody::Status {
                mailbox,
                item_names,
            } => {
                assert_same(&mailbox, name);
                let expected = [
                    StatusDataItemName::Messages,
                    StatusDataItemName::Recent,
                    StatusDataItemName::UidNext,
                    StatusDataItemName::UidValidity,
                    StatusDataItemName::Unseen,
                    StatusDataItemName::HighestModSeq,
                    StatusDataItemName::Size,
                    StatusDataItemName::Deleted,
                ];
                assert_eq!(&*item_names, expected);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        text(status(&name("a"), &StatusItems::default())),
        "STATUS a (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)"
    );
    assert!(status(&name("a"), &StatusItems::new()).is_err());
}

#[test]
fn append_ends_in_the_message() {
    let date = DateTime::new(Date::new(1996, 7, 7).unwrap(), 2, 44, 25, -420).unwrap();
    let flags = [
        Flag::Seen,
        Flag::keyword("$Forwarded").unwrap(),
        Flag::Draft,
    ];
    let message = "Subject: x\r\n\r\n* BYE\r\nA1 OK done\r\n";
    for name in &names() {
        for appended in [
            Append::new(message),
            Append::new(message).flags(flags.clone()),
            Append::new(message).date(date),
            Append::new("").flags(flags.clone()).date(date),
        ] {
            match read(append(name, &appended)) {
                CommandBody::Append {
                    mailbox,
                    flags,
                    date,
                    message,
                } => {
                    assert_same(&mailbox, name);
                    let flags: Vec<_> = flags.iter().map(ToString::to_string).collect();
                    let given: Vec<_> = appended
                        .initial_flags()
                        .iter()
                        .map(ToString::to_string)
                        .collect();
                    assert_eq!(flags, given);
                    let seconds = date.map(|date| date.as_ref().timestamp());
                    assert_eq!(
                        seconds,
                        appended.internal_date().map(DateTime::unix_seconds)
                    );
                    match message {
                        LiteralOrLiteral8::Literal(literal) => {
                            assert_eq!(literal.data(), appended.message());
                        }
                        LiteralOrLiteral8::Literal8(_) => panic!("literal8"),
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }
    let line = append(&name("a"), &Append::new("x").flags([Flag::Seen]).date(date)).unwrap();
    assert_eq!(
        format!("{line:?}"),
        r#"APPEND a (\\Seen) \" 7-Jul-1996 02:44:25 -0700\" {1}"#
    );
}

#[test]
fn a_message_with_nul_needs_binary_and_is_shared() {
    let nul = Append::new(&b"Subject: \0\r\n"[..]);
    assert!(append(&name("a"), &nul).is_err());
    match read(append_binary(&name("a"), &nul)) {
        CommandBody::Append {
            message: LiteralOrLiteral8::Literal8(literal),
            ..
        } => {
            assert_eq!(&*literal.data, &**nul.message());
        }
        other => panic!("{other:?}"),
    }
    let large = Append::new(vec![b'x'; 1 << 20]);
    let pieces = append(&name("a"), &large).unwrap().into_pieces();
    assert_eq!(
        pieces.last().unwrap().bytes().as_ptr(),
        large.message().as_ptr()
    );
    assert!(append(&name("a"), &Append::new("").flags([Flag::Recent])).is_err());
}
