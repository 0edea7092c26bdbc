//! Sequence numbers in an exclusive session, and what other clients do meanwhile.

use mailpool::{
    ErrorKind, Flag, Flags, ImapClient, Items, MailboxEvent, ModSeq, Query, SeqNum, SeqSet, Store,
    UidSet,
};
use mailpool_test_dovecot::{Dovecot, User};

use super::{
    all_uids, append_letters, bodies, builder, client_of_new_user, connect, contents, flags,
    letter, seq, uid,
};

/// A user with letters 0 to `count` in INBOX, of which number 0 is gone again: sequence numbers
/// and UIDs differ by one.
fn shifted(dovecot: &Dovecot, hint: &str, count: usize) -> (User, ImapClient) {
    let (user, client) = client_of_new_user(dovecot, hint);
    let inbox = client.mailbox("INBOX");
    append_letters(&inbox, 0..=count);
    inbox.store(uid(1), Store::add(Flag::Deleted)).unwrap();
    assert_eq!(inbox.expunge().unwrap(), 1);
    (user, client)
}

fn set(text: &str) -> SeqSet {
    text.parse().unwrap()
}

#[test]
fn every_operation_has_a_form_with_sequence_numbers() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = shifted(dovecot, "sequence", 10);
    let archive = client.mailbox("Archive");
    archive.create().unwrap();
    let session = client.exclusive().unwrap();
    let inbox = session.mailbox("INBOX");

    assert_eq!(
        inbox.search_sequence(Query::all()).unwrap().to_string(),
        "1:10"
    );
    let by_both = Query::all().sequence(set("3:5")).uid(uid(5));
    assert_eq!(inbox.search_sequence(by_both).unwrap().to_string(), "4");

    let fetched: Vec<(SeqNum, u32)> = inbox
        .fetch_sequence(set("1,3:4,*"), Items::full())
        .unwrap()
        .map(|message| {
            let message = message.unwrap();
            let number = message.uid().get();
            let (seq, body) = (message.seq(), message.into_body().unwrap());
            assert_eq!(body.into_bytes().unwrap(), letter(number as usize - 1));
            (seq, number)
        })
        .collect();
    assert_eq!(
        fetched,
        [(seq(1), 2), (seq(3), 4), (seq(4), 5), (seq(10), 11)]
    );

    let (updated, modified) = inbox
        .store_sequence(set("2,10"), Store::add(Flag::Flagged))
        .unwrap();
    assert_eq!(
        updated.iter().map(|one| one.seq).collect::<Vec<_>>(),
        [seq(2), seq(10)]
    );
    assert!(updated.iter().all(|one| one.flags.contains(&Flag::Flagged)));
    assert!(modified.is_empty());
    assert_eq!(inbox.search(Query::flagged()).unwrap().to_string(), "3,11");

    let (_, modified) = inbox
        .store_sequence(
            set("1:3"),
            Store::add(Flag::Draft).unchanged_since(ModSeq::new(1).unwrap()),
        )
        .unwrap();
    assert_eq!(modified, set("1:3"));

    let before = contents(&inbox);
    let copies = inbox.copy_sequence(set("2:3"), "Archive").unwrap().unwrap();
    assert_eq!(copies.source().iter().collect::<Vec<_>>(), [uid(3), uid(4)]);
    let archived = contents(&archive);
    for (source, copy) in copies.pairs() {
        assert_eq!(before[&source], archived[&copy]);
    }
    let moved = inbox.move_sequence(set("9:10"), "Archive").unwrap();
    assert!(!moved.left_behind);
    assert_eq!(
        moved.copies.unwrap().source().iter().collect::<Vec<_>>(),
        [uid(10), uid(11)]
    );
    assert_eq!(all_uids(&inbox).len(), 8);

    inbox
        .store_sequence(set("2:3,5"), Store::add(Flag::Deleted).silent())
        .unwrap();
    let gone = inbox.expunge_sequence().unwrap();
    assert_eq!(gone.len(), 3);
    // Applied one after the other they are 2, 3 and 5.
    let mut left: Vec<u32> = (1..=8).collect();
    for number in gone {
        left.remove(number.get() as usize - 1);
    }
    assert_eq!(left, [1, 4, 6, 7, 8]);
    assert_eq!(all_uids(&inbox), [2, 5, 7, 8, 9].map(uid));
    assert!(
        inbox
            .fetch_sequence(SeqSet::new(), Items::new())
            .unwrap()
            .next()
            .is_none()
    );
}

#[test]
fn sequence_numbers_that_are_not_there_are_an_error_and_the_session_goes_on() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = shifted(dovecot, "sequence-beyond", 3);
    let session = client.exclusive().unwrap();
    let inbox = session.mailbox("INBOX");
    let error = inbox
        .fetch_sequence(set("7:9"), Items::new())
        .unwrap()
        .next()
        .unwrap()
        .unwrap_err();
    assert!(
        matches!(
            error.kind(),
            ErrorKind::Rejected {
                verb: "FETCH",
                status: "BAD",
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(inbox.search_sequence(Query::all()).unwrap().len(), 3);
}

/// The events without those that only repeat how many messages there are.
fn told(events: Vec<MailboxEvent>) -> Vec<MailboxEvent> {
    let mut told: Vec<MailboxEvent> = Vec::new();
    for mut event in events {
        if let MailboxEvent::FlagsChanged { flags, .. } = &mut event {
            flags.remove(&Flag::Recent);
        }
        told.push(event);
    }
    told
}

#[test]
fn what_another_client_does_is_told_in_order() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (user, client) = shifted(dovecot, "events", 5);
    let other = connect(dovecot, &user);
    let theirs = other.mailbox("INBOX");
    let session = client.exclusive().unwrap();
    let inbox = session.mailbox("INBOX");
    inbox.select().unwrap();
    assert_eq!(inbox.events().unwrap(), []);

    append_letters(&theirs, [6]);
    assert_eq!(told(inbox.events().unwrap()), [MailboxEvent::Exists(6)]);
    assert_eq!(inbox.events().unwrap(), []);

    theirs.store(uid(4), Store::add(Flag::Answered)).unwrap();
    let events = told(inbox.events().unwrap());
    let [
        MailboxEvent::FlagsChanged {
            seq: at,
            uid: of,
            flags,
        },
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!((*at, flags), (seq(3), &Flags::from(Flag::Answered)));
    assert!(of.is_none_or(|of| of == uid(4)));

    theirs
        .store(uid(2)..=uid(3), Store::add(Flag::Deleted))
        .unwrap();
    theirs.expunge().unwrap();
    let mut left: Vec<u32> = (2..=7).collect();
    for event in inbox.events().unwrap() {
        if let MailboxEvent::Expunged(number) = event {
            left.remove(number.get() as usize - 1);
        }
    }
    assert_eq!(left, [4, 5, 6, 7]);
    // The numbers are those after the events.
    let first = inbox
        .fetch_sequence(SeqSet::single(seq(1)), Items::full())
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(first.uid(), uid(4));

    // Mail that arrives by itself.
    dovecot.deliver(&user.name, "INBOX", [letter(99)]);
    assert_eq!(told(inbox.events().unwrap()), [MailboxEvent::Exists(5)]);
    assert_eq!(bodies(&inbox)[4], letter(99));
}

#[test]
fn numbers_stay_what_they_are_until_the_events_are_asked_for() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (user, client) = shifted(dovecot, "events-late", 5);
    let session = client.exclusive().unwrap();
    let inbox = session.mailbox("INBOX");
    inbox.select().unwrap();
    let other = connect(dovecot, &user);
    let theirs = other.mailbox("INBOX");
    theirs.store(uid(2), Store::add(Flag::Deleted)).unwrap();
    theirs.expunge().unwrap();
    // No EXPUNGE may come with FETCH, STORE or SEARCH by number (RFC 9051 §5.5).
    let second = inbox
        .fetch_sequence(SeqSet::single(seq(2)), Items::new())
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(second.uid(), uid(3));
    inbox
        .store_sequence(SeqSet::single(seq(3)), Store::add(Flag::Flagged))
        .unwrap();
    assert_eq!(flags(&theirs)[&uid(4)], Flag::Flagged.into());
    let events = inbox.events().unwrap();
    assert!(
        events.contains(&MailboxEvent::Expunged(seq(1))),
        "{events:?}"
    );
    let second = inbox
        .fetch_sequence(SeqSet::single(seq(2)), Items::new())
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(second.uid(), uid(4));
}

#[test]
fn with_qresync_events_name_uids() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let user = dovecot.new_user("events-qresync");
    let client = builder(dovecot, &user)
        .enable(["QRESYNC"])
        .connect()
        .unwrap();
    append_letters(&client.mailbox("INBOX"), 0..5);
    let session = client.exclusive().unwrap();
    let inbox = session.mailbox("INBOX");
    inbox.select().unwrap();
    let other = connect(dovecot, &user);
    let theirs = other.mailbox("INBOX");
    theirs
        .store(uid(2)..=uid(3), Store::add(Flag::Deleted))
        .unwrap();
    theirs.expunge().unwrap();
    let events = inbox.events().unwrap();
    assert!(
        events.contains(&MailboxEvent::Vanished(vec![(2, 3)])),
        "{events:?}"
    );
}

#[test]
fn other_threads_wait_for_the_end_of_an_exclusive_session() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = shifted(dovecot, "exclusive-threads", 20);
    client.mailbox("Other").create().unwrap();
    std::thread::scope(|threads| {
        let session = client.exclusive().unwrap();
        let inbox = session.mailbox("INBOX");
        inbox.select().unwrap();
        for _ in 0..4 {
            threads.spawn(|| {
                // Each selects another mailbox and removes a message from INBOX.
                let theirs = client.mailbox("INBOX");
                assert_eq!(all_uids(&client.mailbox("Other")), []);
                let first = uid(theirs.search(Query::all()).unwrap().last().unwrap().get());
                theirs.store(first, Store::add(Flag::Deleted)).unwrap();
                theirs.expunge_uids(first).unwrap();
            });
        }
        for number in 1..=20 {
            let message = inbox
                .fetch_sequence(SeqSet::single(seq(number)), Items::full())
                .unwrap()
                .next()
                .unwrap()
                .unwrap();
            assert_eq!(message.uid(), uid(number + 1));
        }
        assert_eq!(inbox.events().unwrap(), []);
        drop(session);
    });
    assert!(client.mailbox("INBOX").search(Query::all()).unwrap().len() < 20);
    assert_eq!(client.stats().opened, 1);
    let all = client.mailbox("INBOX").fetch(UidSet::all(), Items::new());
    assert!(all.unwrap().all(|message| message.is_ok()));
}
