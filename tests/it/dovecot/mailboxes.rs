//! Mailboxes as wholes: the list, making and removing, selecting, figures.

use mailpool::{
    Append, ErrorKind, Flag, ImapClient, MailboxAttribute, Query, ResponseCode, StatusItems, Store,
    UidSet,
};
use mailpool_test_dovecot::Dovecot;

use super::{append_letters, assert_rejected, bodies, client_of_new_user, letter, uid};

fn listed(client: &ImapClient, reference: &str, pattern: &str) -> Vec<String> {
    names(client.list(reference, pattern).unwrap())
}

fn names(entries: Vec<mailpool::ListEntry>) -> Vec<String> {
    let mut names: Vec<String> = entries
        .into_iter()
        .map(|entry| entry.name.to_string())
        .collect();
    names.sort();
    names
}

#[test]
fn patterns_choose_what_is_listed() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "list");
    for name in ["Lists/Rust/Users", "Lists/Rust/Dev", "Entwürfe", "Sent"] {
        client.mailbox(name).create().unwrap();
    }
    let all = [
        "Entwürfe",
        "INBOX",
        "Lists",
        "Lists/Rust",
        "Lists/Rust/Dev",
        "Lists/Rust/Users",
        "Sent",
    ];
    assert_eq!(listed(&client, "", "*"), all);
    assert_eq!(
        listed(&client, "", "%"),
        ["Entwürfe", "INBOX", "Lists", "Sent"]
    );
    assert_eq!(listed(&client, "", "Lists/%"), ["Lists/Rust"]);
    assert_eq!(
        listed(&client, "Lists/", "*"),
        ["Lists/Rust", "Lists/Rust/Dev", "Lists/Rust/Users"]
    );
    assert_eq!(listed(&client, "", "Entwürf%"), ["Entwürfe"]);
    assert_eq!(listed(&client, "", "*rs"), ["Lists/Rust/Users"]);
    assert_eq!(listed(&client, "", "nothing like that"), [""; 0]);
    assert_eq!(listed(&client, "", "inbox"), ["INBOX"]);

    let entries = client.list("", "*").unwrap();
    let entry = |name: &str| entries.iter().find(|entry| entry.name == name).unwrap();
    assert!(entry("Lists/Rust").has(&MailboxAttribute::HasChildren));
    assert!(entry("Sent").has(&MailboxAttribute::HasNoChildren));
    // A parent that nobody made has a name only.
    assert!(!entry("Lists").is_selectable() && entry("Sent").is_selectable());
    assert_eq!(entry("Sent").delimiter, Some('/'));

    // An empty pattern asks for the delimiter (RFC 9051 §6.3.9).
    let root = client.list("", "").unwrap();
    assert_eq!(root.len(), 1);
    assert_eq!(root[0].delimiter, Some('/'));
    assert!(root[0].has(&MailboxAttribute::NoSelect));
}

#[test]
fn subscriptions_are_a_list_of_their_own() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "lsub");
    for name in ["One", "Two"] {
        client.mailbox(name).create().unwrap();
    }
    assert_eq!(names(client.lsub("", "*").unwrap()), [""; 0]);
    client.mailbox("One").subscribe().unwrap();
    client.mailbox("Two").subscribe().unwrap();
    assert_eq!(names(client.lsub("", "*").unwrap()), ["One", "Two"]);
    client.mailbox("One").unsubscribe().unwrap();
    assert_eq!(names(client.lsub("", "*").unwrap()), ["Two"]);
    // A subscription outlives its mailbox (RFC 9051 §6.3.7).
    client.mailbox("Two").delete().unwrap();
    assert_eq!(names(client.lsub("", "*").unwrap()), ["Two"]);
    assert_eq!(listed(&client, "", "*"), ["INBOX", "One"]);
}

#[test]
fn mailboxes_are_made_renamed_and_deleted_with_their_messages() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "rename");
    let old = client.mailbox("Old/Below");
    old.create().unwrap();
    append_letters(&old, 0..3);
    let new = old.rename("New/Entwürfe").unwrap();
    assert_eq!(*new.name().unwrap(), "New/Entwürfe");
    assert_eq!(bodies(&new), [letter(0), letter(1), letter(2)]);
    let error = old.search(Query::all()).unwrap_err();
    assert_rejected(&error, "SELECT", None);
    // RENAME of INBOX should move its messages (RFC 9051 §6.3.6); with Maildir, Dovecot does not.
    append_letters(&client.mailbox("INBOX"), 5..7);
    let error = client.mailbox("inbox").rename("Former").unwrap_err();
    assert_rejected(&error, "RENAME", Some(&ResponseCode::Cannot));
    assert_eq!(bodies(&client.mailbox("INBOX")), [letter(5), letter(6)]);
    new.delete().unwrap();
    assert_eq!(listed(&client, "", "*"), ["INBOX"]);
}

#[test]
fn what_the_server_refuses_is_a_typed_error_and_the_session_goes_on() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "refused");
    let missing = client.mailbox("Missing");
    // Dovecot gives a code for some of them, and for others none.
    let error = missing.select().unwrap_err();
    assert_rejected(&error, "SELECT", None);
    let error = missing.read_only().select().unwrap_err();
    assert_rejected(&error, "EXAMINE", None);
    let error = missing.status(StatusItems::default()).unwrap_err();
    assert_rejected(&error, "STATUS", None);
    let non_existent = Some(&ResponseCode::NonExistent);
    assert_rejected(&missing.delete().unwrap_err(), "DELETE", non_existent);
    assert_rejected(&missing.rename("X").unwrap_err(), "RENAME", non_existent);
    let error = missing.append(Append::new(letter(1))).unwrap_err();
    assert_rejected(&error, "APPEND", Some(&ResponseCode::TryCreate));
    let inbox = client.mailbox("INBOX");
    append_letters(&inbox, 1..2);
    let error = inbox.copy(UidSet::all(), "Missing").unwrap_err();
    assert_rejected(&error, "UID COPY", Some(&ResponseCode::TryCreate));
    let error = inbox.move_to(UidSet::all(), "Missing").unwrap_err();
    assert_rejected(&error, "UID MOVE", Some(&ResponseCode::TryCreate));
    client.mailbox("There").create().unwrap();
    let error = client.mailbox("There").create().unwrap_err();
    assert_rejected(&error, "CREATE", Some(&ResponseCode::AlreadyExists));
    let error = client.mailbox("INBOX").delete().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Rejected { .. }));
    assert_eq!(bodies(&inbox), [letter(1)]);
}

#[test]
fn selecting_tells_about_the_mailbox() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "select");
    let mailbox = client.mailbox("Entwürfe & more");
    mailbox.create().unwrap();
    append_letters(&mailbox, 0..5);
    mailbox
        .store(uid(1)..=uid(2), Store::add(Flag::Seen))
        .unwrap();
    let info = mailbox.select().unwrap();
    assert_eq!(info.name, "Entwürfe & more");
    assert_eq!(info.exists, 5);
    assert!(!info.read_only && info.uids_are_sticky);
    assert_eq!(info.uid_next, Some(uid(6)));
    assert_eq!(info.first_unseen, Some(3));
    assert!(info.uid_validity.is_some() && info.highest_mod_seq.is_some());
    for flag in [Flag::Seen, Flag::Deleted, Flag::Draft] {
        assert!(info.flags.contains(&flag));
    }
    let permanent = info.permanent_flags.as_ref().unwrap();
    assert!(permanent.contains(&Flag::AnyKeyword));

    let examined = mailbox.read_only().select().unwrap();
    assert!(examined.read_only);
    assert_eq!(examined.exists, 5);
    assert_eq!(examined.uid_validity, info.uid_validity);
    assert!(examined.permanent_flags.unwrap().is_empty());
}

#[test]
fn nothing_is_changed_through_a_read_only_handle() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (user, client) = client_of_new_user(dovecot, "examine");
    dovecot.deliver(&user.name, "INBOX", [letter(1)]);
    let inbox = client.mailbox("INBOX");
    let read_only = inbox.read_only();
    let items = mailpool::Items::new()
        .flags()
        .section(mailpool::Section::full());
    let message = read_only
        .fetch(UidSet::all(), items)
        .unwrap()
        .next()
        .unwrap();
    assert!(!message.unwrap().flags().unwrap().contains(&Flag::Seen));
    // Dovecot says OK to a STORE that it ignores; other servers say NO.
    if let Err(error) = read_only.store(UidSet::all(), Store::add(Flag::Seen)) {
        assert!(matches!(error.kind(), ErrorKind::Rejected { .. }));
    }
    // The same handle may write when it is not read-only.
    assert_eq!(inbox.search(Query::seen()).unwrap().len(), 0);
    inbox.store(UidSet::all(), Store::add(Flag::Seen)).unwrap();
    assert_eq!(read_only.search(Query::seen()).unwrap().len(), 1);
}

#[test]
fn unselect_keeps_and_close_removes_what_is_deleted() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "close");
    let mailbox = client.mailbox("INBOX");
    append_letters(&mailbox, 0..4);
    mailbox
        .store(uid(2)..=uid(3), Store::add(Flag::Deleted).silent())
        .unwrap();
    mailbox.unselect().unwrap();
    // Nothing is selected: once more is no error.
    mailbox.unselect().unwrap();
    assert_eq!(
        mailbox.status(StatusItems::default()).unwrap().messages,
        Some(4)
    );
    // Closing a mailbox that was only examined removes nothing (RFC 9051 §6.4.1).
    mailbox.read_only().close().unwrap();
    assert_eq!(bodies(&mailbox).len(), 4);
    mailbox.close().unwrap();
    assert_eq!(bodies(&mailbox), [letter(0), letter(3)]);
}

#[test]
fn status_gives_every_figure_without_selecting() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "status");
    let mailbox = client.mailbox("Figures");
    mailbox.create().unwrap();
    append_letters(&mailbox, 0..6);
    mailbox
        .store(uid(1)..=uid(2), Store::add(Flag::Seen))
        .unwrap();
    let info = mailbox.select().unwrap();
    mailbox.unselect().unwrap();
    let items = StatusItems::default().recent().highest_mod_seq().size();
    let status = mailbox.status(items).unwrap();
    assert_eq!(status.name, "Figures");
    assert_eq!(status.messages, Some(6));
    assert_eq!(status.unseen, Some(4));
    assert_eq!(status.uid_next, Some(uid(7)));
    assert_eq!(status.uid_validity, info.uid_validity);
    assert_eq!(status.highest_mod_seq, info.highest_mod_seq);
    let size: usize = (0..6).map(|number| letter(number).len()).sum();
    assert_eq!(status.size, Some(size as u64));
    assert_eq!(status.recent, Some(0));
    assert_eq!(status.deleted, None);
    let one = mailbox.status(StatusItems::new().messages()).unwrap();
    assert_eq!((one.messages, one.unseen), (Some(6), None));
    let error = mailbox.status(StatusItems::new()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InvalidArgument(_)));
}
