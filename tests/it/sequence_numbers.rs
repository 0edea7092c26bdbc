//! Messages addressed by sequence number, which only an exclusive session can do.

use mailpool::{ErrorKind, Flag, Items, MailboxEvent, Query, SeqSet, Store};
use mailpool_test_server::Server;

use crate::support::{USER, client, message, server_with};
use crate::threads::{connections_of, seq, uid};

fn numbers(set: &SeqSet) -> Vec<u32> {
    set.iter().map(|number| number.get()).collect()
}

fn seqs(first: u32, last: u32) -> SeqSet {
    SeqSet::from_range(seq(first)..=seq(last))
}

#[test]
fn messages_are_addressed_by_sequence_number() {
    let server = server_with(6);
    server.store().expunge(USER.0, "INBOX", 2);
    server.store().create_mailbox(USER.0, "Archive");
    let client = client(&server);
    let session = client.exclusive().unwrap();
    let inbox = session.mailbox("INBOX");
    // UIDs 1, 3, 4, 5, 6.
    let all = inbox.search_sequence(Query::all()).unwrap();
    assert_eq!(numbers(&all), [1, 2, 3, 4, 5]);
    let fetched: Vec<_> = inbox
        .fetch_sequence(seqs(2, 3), Items::full())
        .unwrap()
        .map(|fetched| {
            let fetched = fetched.unwrap();
            let (number, fetched_uid) = (fetched.seq(), fetched.uid());
            let body = fetched.into_body().unwrap().into_bytes().unwrap();
            assert_eq!(body, message(fetched_uid.get() as usize - 1));
            (number, fetched_uid)
        })
        .collect();
    assert_eq!(fetched, [(seq(2), uid(3)), (seq(3), uid(4))]);
    let (updates, modified) = inbox
        .store_sequence(seqs(2, 2), Store::add(Flag::Flagged))
        .unwrap();
    assert_eq!(updates.len(), 1);
    assert_eq!(updates[0].seq, seq(2));
    assert!(updates[0].flags.contains(&Flag::Flagged) && modified.is_empty());
    let flagged = server.store().message(USER.0, "INBOX", 3).unwrap();
    assert!(flagged.has_flag("\\Flagged"), "{flagged:?}");
    assert_eq!(
        numbers(&inbox.search_sequence(Query::flagged()).unwrap()),
        [2]
    );
    let copies = inbox.copy_sequence(seqs(2, 2), "Archive").unwrap().unwrap();
    assert_eq!(copies.source().iter().collect::<Vec<_>>(), [uid(3)]);
    let moved = inbox.move_sequence(seqs(1, 1), "Archive").unwrap();
    assert!(!moved.left_behind && moved.copies.is_some());
    assert_eq!(server.store().messages(USER.0, "Archive").len(), 2);
    // UIDs 3, 4, 5, 6.
    inbox
        .store_sequence(seqs(2, 3), Store::add(Flag::Deleted).silent())
        .unwrap();
    assert_eq!(inbox.expunge_sequence().unwrap(), [seq(2), seq(2)]);
    let left: Vec<u32> = server
        .store()
        .messages(USER.0, "INBOX")
        .iter()
        .map(|one| one.uid)
        .collect();
    assert_eq!(left, [3, 6]);
    assert_eq!(connections_of(&server, "STORE"), [1]);
}

#[test]
fn sequence_numbers_mean_nothing_outside_a_session() {
    let server = server_with(3);
    let client = client(&server);
    let query = || Query::all().sequence(seqs(2, 2));
    let error = client.mailbox("INBOX").search(query()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InvalidArgument(_)));
    assert_eq!(server.counters().commands("UID SEARCH"), 0);
    let session = client.exclusive().unwrap();
    let found = session.mailbox("INBOX").search_sequence(query()).unwrap();
    assert_eq!(numbers(&found), [2]);
}

#[test]
fn without_move_messages_moved_by_number_are_copied_and_expunged() {
    let server = Server::builder()
        .user(USER.0, USER.1)
        .mailbox(USER.0, "INBOX", (0..3).map(message))
        .mailbox(USER.0, "Archive", [message(9)])
        .without("MOVE")
        .start()
        .unwrap();
    let client = client(&server);
    let session = client.exclusive().unwrap();
    let moved = session
        .mailbox("INBOX")
        .move_sequence(seqs(2, 2), "Archive")
        .unwrap();
    assert!(!moved.left_behind);
    assert_eq!(server.store().messages(USER.0, "Archive").len(), 2);
    assert!(server.store().message(USER.0, "INBOX", 2).is_none());
    assert_eq!(server.store().messages(USER.0, "INBOX").len(), 2);
}

#[test]
fn what_other_connections_do_shows_up_in_the_events() {
    let server = server_with(4);
    let client = client(&server);
    let session = client.exclusive().unwrap();
    let inbox = session.mailbox("INBOX");
    assert_eq!(inbox.events().unwrap(), []);
    server.store().expunge(USER.0, "INBOX", 2);
    server.store().append(USER.0, "INBOX", message(4));
    server
        .store()
        .set_flags(USER.0, "INBOX", 4, &["\\Answered"]);
    let events = inbox.events().unwrap();
    assert!(
        events.contains(&MailboxEvent::Expunged(seq(2))),
        "{events:?}"
    );
    assert!(events.contains(&MailboxEvent::Exists(4)), "{events:?}");
    let changed = events.iter().find_map(|event| match event {
        MailboxEvent::FlagsChanged { seq, flags, .. } => Some((*seq, flags.clone())),
        _ => None,
    });
    let (number, flags) = changed.expect("the flags have changed");
    assert_eq!(number, seq(3));
    assert!(flags.contains(&Flag::Answered));
    // Numbers mean what the server last said.
    let second: Vec<_> = inbox
        .fetch_sequence(seqs(2, 2), Items::new())
        .unwrap()
        .collect();
    assert_eq!(second[0].as_ref().unwrap().uid(), uid(3));
    assert_eq!(inbox.events().unwrap(), []);
}

#[test]
fn numbers_do_not_move_between_the_commands_that_use_them() {
    let server = server_with(4);
    let client = client(&server);
    let session = client.exclusive().unwrap();
    let inbox = session.mailbox("INBOX");
    assert_eq!(inbox.search_sequence(Query::all()).unwrap().len(), 4);
    server.store().expunge(USER.0, "INBOX", 1);
    // The server does not say so in answers to commands with sequence numbers.
    let last: Vec<_> = inbox
        .fetch_sequence(seqs(4, 4), Items::new())
        .unwrap()
        .collect();
    assert_eq!(last[0].as_ref().unwrap().uid(), uid(4));
    assert_eq!(inbox.events().unwrap()[0], MailboxEvent::Expunged(seq(1)));
    let last: Vec<_> = inbox
        .fetch_sequence(seqs(3, 3), Items::new())
        .unwrap()
        .collect();
    assert_eq!(last[0].as_ref().unwrap().uid(), uid(4));
}
