//! Strings that try to end an argument, a line or a command.

use imap_codec::imap_types::command::CommandBody;
use proptest::prelude::*;

use super::{bytes, mailbox_bytes, read, wire};
use crate::protocol::imap::command::{self, *};
use crate::types::flag::Flag;
use crate::types::invalid::InvalidArgument;
use crate::types::mailbox_name::MailboxName;
use crate::types::query::Query;
use crate::types::request::{Append, Store};
use crate::types::section::Section;

/// Bytes that mean something to IMAP come up more often than others.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        proptest::collection::vec(
            proptest::sample::select(b"\r\n\0 \"\\(){}[]%*+~&=AN1\x7f\xff".as_slice()),
            0..40
        ),
        "[ -~]{0,12}\r\nA2 LOGOUT\r\n".prop_map(String::into_bytes),
        "[a-z]{1020,1030}".prop_map(String::into_bytes),
    ]
}

/// Nothing outside a literal ends the line.
fn check_pieces(line: &CommandLine) {
    for piece in line.clone().into_pieces() {
        if let Piece::Text(text) = piece {
            assert!(!text.is_empty());
            assert!(
                text.iter()
                    .all(|byte| byte.is_ascii() && !b"\r\n\0".contains(byte))
            );
        }
    }
}

/// A command that is refused for NUL and for nothing else.
fn accepted(
    line: Result<CommandLine, InvalidArgument>,
    strings: &[&[u8]],
) -> Option<CommandBody<'static>> {
    match line {
        Ok(line) => {
            check_pieces(&line);
            Some(read(line))
        }
        Err(error) => {
            assert!(strings.iter().any(|string| string.contains(&0)), "{error}");
            None
        }
    }
}

proptest! {
    #[test]
    fn login(user in hostile(), password in hostile()) {
        match accepted(command::login(&user, &password), &[&user, &password]) {
            Some(CommandBody::Login { username, password: read }) => {
                prop_assert_eq!(bytes(&username), user);
                prop_assert_eq!(bytes(read.declassify()), password);
            }
            Some(other) => panic!("{other:?}"),
            None => {}
        }
    }

    #[test]
    fn names(one in hostile(), two in hostile()) {
        let (from, to) = (MailboxName::from_wire(&one), MailboxName::from_wire(&two));
        match accepted(rename(&from, &to), &[&one, &two]) {
            Some(CommandBody::Rename { from: read_from, to: read_to }) => {
                prop_assert_eq!(MailboxName::from_wire(&mailbox_bytes(&read_from)), from);
                prop_assert_eq!(MailboxName::from_wire(&mailbox_bytes(&read_to)), to);
            }
            Some(other) => panic!("{other:?}"),
            None => {}
        }
    }

    #[test]
    fn patterns(reference in hostile(), pattern in hostile()) {
        let reference = String::from_utf8_lossy(&reference);
        let pattern = String::from_utf8_lossy(&pattern);
        match list(&reference, &pattern) {
            Ok(line) => {
                check_pieces(&line);
                prop_assert!(matches!(read(line), CommandBody::List { .. }), "another command");
            }
            Err(_) => {
                prop_assert!(reference.contains(['\0', '\r', '\n']) || pattern.contains(['\0', '\r', '\n']));
            }
        }
    }

    #[test]
    fn messages(message in hostile(), mailbox in "[ -~]{1,20}") {
        let name = MailboxName::new(mailbox).unwrap();
        let given = Append::new(message.clone());
        match accepted(append(&name, &given), &[&message]) {
            Some(CommandBody::Append { mailbox, .. }) => {
                prop_assert_eq!(MailboxName::from_wire(&mailbox_bytes(&mailbox)), name.clone());
            }
            Some(other) => panic!("{other:?}"),
            None => {}
        }
        prop_assert!(matches!(read(append_binary(&name, &given)), CommandBody::Append { .. }), "another command");
    }

    #[test]
    fn search_texts(one in hostile(), two in hostile()) {
        let texts = [String::from_utf8_lossy(&one), String::from_utf8_lossy(&two)];
        let query = Query::all().header(&*texts[0], &*texts[1]).subject(&*texts[0]);
        match accepted(uid_search(&query, false), &[&one, &two]) {
            Some(CommandBody::Search { criteria, .. }) => prop_assert_eq!(criteria.as_ref().len(), 2),
            Some(other) => panic!("{other:?}"),
            None => {}
        }
    }

    #[test]
    fn flags_of_servers(flag in hostile()) {
        let Some(flag) = Flag::from_wire(&flag) else { return Ok(()) };
        if let Ok(line) = uid_store(&super::set("1"), &Store::add(flag)) {
            check_pieces(&line);
            let wire = wire(line);
            prop_assert_eq!(wire.iter().filter(|byte| **byte == b')').count(), 1);
            prop_assert_eq!(wire.iter().filter(|byte| **byte == b' ').count(), 5);
        }
    }

    #[test]
    fn header_field_names(name in hostile()) {
        let name = String::from_utf8_lossy(&name);
        let Ok(section) = Section::header_fields([&*name]) else { return Ok(()) };
        let line = uid_fetch(&super::set("1"), &crate::types::items::Items::new().peek(section));
        let line = line.unwrap();
        check_pieces(&line);
        prop_assert!(matches!(read(line), CommandBody::Fetch { .. }), "another command");
    }

    #[test]
    fn words_that_must_be_atoms(word in hostile()) {
        let word = String::from_utf8_lossy(&word);
        if let Ok(line) = authenticate(&word, None) {
            check_pieces(&line);
            prop_assert!(matches!(read(line), CommandBody::Authenticate { .. }), "another command");
        }
        if let Ok(line) = enable(&[&word]) {
            check_pieces(&line);
            prop_assert!(matches!(read(line), CommandBody::Enable { .. }), "another command");
        }
    }
}
