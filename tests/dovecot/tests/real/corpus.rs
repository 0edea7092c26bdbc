//! The corpus as Dovecot takes it and gives it back: what the tests of the client build on.

use crate::raw::Raw;
use mailpool_test_corpus::{mailbox_names, nasty, plain};
use mailpool_test_dovecot::{Dovecot, as_served_after_append};

#[test]
fn every_nasty_message_is_served_as_it_was_delivered() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let user = dovecot.new_user("nasty");
    let messages = nasty();
    let bytes = messages.iter().map(|message| message.bytes.clone());
    let served = dovecot.deliver(&user.name, "INBOX", bytes);
    let mut client = Raw::login(dovecot, &user);
    client.command("SELECT INBOX").ok();
    for (index, message) in messages.iter().enumerate() {
        let uid = index + 1;
        let fetched = client.command(&format!("UID FETCH {uid} (RFC822.SIZE BODY.PEEK[])"));
        assert!(
            fetched.tagged.starts_with("OK"),
            "{}: {}",
            message.name,
            fetched.tagged
        );
        let expected = &served[index];
        assert!(fetched.literals == [expected.clone()], "{}", message.name);
        let size = format!("RFC822.SIZE {} ", expected.len());
        assert!(
            fetched.text().contains(&size),
            "{}: {}",
            message.name,
            fetched.text()
        );
        let described = client.command(&format!("UID FETCH {uid} (ENVELOPE BODYSTRUCTURE BODY)"));
        assert!(
            described.tagged.starts_with("OK"),
            "{}: {}",
            message.name,
            described.tagged
        );
    }
}

#[test]
fn every_nasty_message_survives_append_but_for_some_carriage_returns() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let user = dovecot.new_user("appended");
    let messages = nasty();
    let mut client = Raw::login(dovecot, &user);
    for message in &messages {
        let appended = client.command_with_literal("APPEND INBOX", &message.bytes);
        assert!(
            appended.tagged.starts_with("OK [APPENDUID "),
            "{}: {appended:?}",
            message.name
        );
    }
    client.command("SELECT INBOX").ok();
    for (index, message) in messages.iter().enumerate() {
        let fetched = client.command(&format!("UID FETCH {} BODY.PEEK[]", index + 1));
        assert!(
            fetched.literals == [as_served_after_append(&message.bytes)],
            "{}",
            message.name
        );
    }
}

#[test]
fn every_mailbox_name_can_be_made_listed_and_selected() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let user = dovecot.new_user("names");
    for name in mailbox_names() {
        dovecot.deliver(
            &user.name,
            name,
            [format!("Subject: in {name}\n\nbody\n").into_bytes()],
        );
    }
    let listed = dovecot
        .doveadm(&["mailbox", "list", "-8", "-u", &user.name], b"")
        .unwrap();
    for name in mailbox_names() {
        assert!(
            listed.lines().any(|line| line == *name),
            "{name:?} in {listed}"
        );
    }
    let mut client = Raw::login(dovecot, &user);
    let answer = client
        .command("LIST \"\" * RETURN (STATUS (MESSAGES))")
        .ok();
    let with_one_message = answer.text().matches("(MESSAGES 1)").count();
    assert_eq!(with_one_message, mailbox_names().len(), "{}", answer.text());
}

#[test]
fn ten_thousand_messages_are_delivered_and_served() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let user = dovecot.new_user("mass");
    let served = dovecot.deliver(&user.name, "Mass", plain(10_000, 1));
    let mut client = Raw::login(dovecot, &user);
    let selected = client.command("SELECT Mass").ok();
    assert!(selected.text().contains("* 10000 EXISTS"), "{selected:?}");
    let fetched = client.command("UID FETCH 1:* BODY.PEEK[]").ok();
    assert!(fetched.literals == served);
}
