//! Mailboxes with odd names: every operation that names a mailbox, with each of them.

use std::collections::BTreeSet;

use mailpool::{Items, MailboxName, Query, StatusItems, UidSet};
use mailpool_test_corpus::mailbox_names;
use mailpool_test_dovecot::Dovecot;

use super::{append_letters, appended, bodies, client_of_new_user, letter};

#[test]
fn every_name_works_with_every_operation_that_names_a_mailbox() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "names");
    let names = mailbox_names();
    for &name in names {
        client
            .mailbox(name)
            .create()
            .unwrap_or_else(|error| panic!("CREATE {name:?}: {error}"));
    }
    let listed: BTreeSet<String> = client
        .list("", "*")
        .unwrap()
        .into_iter()
        .map(|entry| {
            assert!(!entry.name.is_raw(), "{:?}", entry.name);
            entry.name.to_string()
        })
        .collect();
    for (number, &name) in names.iter().enumerate() {
        assert!(listed.contains(name), "{name:?} is not listed");
        let mailbox = client.mailbox(name);
        let uid = appended(&mailbox, mailpool::Append::new(letter(number)));
        assert_eq!(mailbox.select().unwrap().name, name);
        assert_eq!(mailbox.read_only().select().unwrap().name, name);
        assert_eq!(mailbox.search(Query::all()).unwrap().len(), 1, "{name:?}");
        assert_eq!(bodies(&mailbox), [letter(number)], "{name:?}");
        let status = mailbox.status(StatusItems::default()).unwrap();
        assert_eq!(
            (status.name, status.messages),
            (MailboxName::new(name).unwrap(), Some(1))
        );
        mailbox.subscribe().unwrap();
        let copies = client.mailbox("INBOX");
        mailbox.copy(uid, "INBOX").unwrap().unwrap();
        mailbox.unselect().unwrap();
        assert_eq!(
            copies.status(StatusItems::default()).unwrap().messages,
            Some(1)
        );
        let moved = copies.move_to(UidSet::all(), name).unwrap();
        assert_eq!(moved.copies.unwrap().pairs().count(), 1);
        let count = mailbox.fetch(UidSet::all(), Items::fast()).unwrap().count();
        assert_eq!(count, 2, "{name:?}");
    }
    let subscribed: BTreeSet<String> = client
        .lsub("", "*")
        .unwrap()
        .into_iter()
        .map(|entry| entry.name.to_string())
        .collect();
    let expected: BTreeSet<String> = names.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(subscribed, expected);
}

#[test]
fn every_name_is_renamed_and_deleted_by_name() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (user, client) = client_of_new_user(dovecot, "rename-names");
    let names = mailbox_names();
    for (number, &name) in names.iter().enumerate() {
        // Made by writing files: the name's encoding is not this crate's.
        dovecot.deliver(&user.name, name, [letter(number)]);
    }
    // Children first, so that a rename never takes another name along.
    for (number, &name) in names.iter().enumerate().rev() {
        let mailbox = client.mailbox(name);
        assert_eq!(bodies(&mailbox), [letter(number)], "{name:?}");
        let away = format!("away {number}");
        let renamed = mailbox
            .rename(away.as_str())
            .unwrap_or_else(|error| panic!("RENAME {name:?}: {error}"));
        assert_eq!(bodies(&renamed), [letter(number)], "{name:?}");
        let back = renamed
            .rename(name)
            .unwrap_or_else(|error| panic!("RENAME to {name:?}: {error}"));
        assert_eq!(bodies(&back), [letter(number)], "{name:?}");
        back.unselect().unwrap();
        back.delete()
            .unwrap_or_else(|error| panic!("DELETE {name:?}: {error}"));
        let gone = client
            .list("", "*")
            .unwrap()
            .into_iter()
            .all(|entry| entry.name != name || !entry.is_selectable());
        assert!(gone, "{name:?} is still there");
    }
}

#[test]
fn a_name_that_is_listed_is_a_name_that_can_be_used() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (user, client) = client_of_new_user(dovecot, "listed-names");
    for &name in mailbox_names() {
        dovecot.create_mailbox(&user.name, name);
    }
    for entry in client.list("", "*").unwrap() {
        if entry.is_selectable() {
            // The name is passed on as it came, not through its text.
            let mailbox = client.mailbox(entry.name.clone());
            append_letters(&mailbox, [7]);
            let info = mailbox.select().unwrap();
            assert_eq!((info.name, info.exists), (entry.name, 1));
        }
    }
}
