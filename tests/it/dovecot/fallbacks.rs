//! The same server with fewer capabilities: what takes the place of each of them.

use std::collections::BTreeSet;

use mailpool::{
    Append, Certainty, ErrorKind, Flag, Items, ModSeq, Query, StatusItems, Store, UidSet,
};
use mailpool_test_dovecot::Dovecot;

use super::{
    all_uids, append_letters, bodies, builder, client_of_new_user, connect, contents, flags,
    letter, seq, uid, until,
};

/// A server that announces these capabilities only.
fn server_with(capabilities: &str) -> Option<Dovecot> {
    let announced = format!("IMAP4rev1 SASL-IR {capabilities}");
    Dovecot::builder()
        .setting("imap_capability", announced.trim())
        .start_or_skip()
}

#[test]
fn without_move_messages_are_copied_marked_and_expunged() {
    let Some(dovecot) = server_with("UIDPLUS UNSELECT LITERAL+") else {
        return;
    };
    let (_user, client) = client_of_new_user(&dovecot, "no-move");
    let (inbox, archive) = (client.mailbox("INBOX"), client.mailbox("Archive"));
    archive.create().unwrap();
    append_letters(&inbox, 0..6);
    inbox.store(uid(1), Store::add(Flag::Deleted)).unwrap();
    let before = contents(&inbox);
    let moved = inbox
        .move_to("2:3,5".parse::<UidSet>().unwrap(), "Archive")
        .unwrap();
    assert!(!moved.left_behind);
    let archived = contents(&archive);
    for (source, copy) in moved.copies.unwrap().pairs() {
        assert_eq!(before[&source], archived[&copy]);
    }
    assert_eq!(archived.len(), 3);
    // What somebody else had marked is still there.
    assert_eq!(all_uids(&inbox), [1, 4, 6].map(uid));

    let session = client.exclusive().unwrap();
    let inbox = session.mailbox("INBOX");
    // By sequence number as well: what is meant is found first, and then expunged by UID.
    let moved = inbox.move_sequence(seq(3), "Archive").unwrap();
    assert!(!moved.left_behind);
    assert_eq!(moved.copies.unwrap().pairs().count(), 1);
    assert_eq!(all_uids(&archive).len(), 4);
    assert_eq!(all_uids(&inbox), [1, 4].map(uid));
}

#[test]
fn without_move_and_uidplus_messages_stay_behind_marked() {
    let Some(dovecot) = server_with("UNSELECT LITERAL+") else {
        return;
    };
    let (_user, client) = client_of_new_user(&dovecot, "no-uidplus");
    let (inbox, archive) = (client.mailbox("INBOX"), client.mailbox("Archive"));
    archive.create().unwrap();
    for number in 0..4 {
        // Dovecot says APPENDUID all the same; nothing here needs it.
        inbox.append(Append::new(letter(number))).unwrap();
    }
    inbox.store(uid(1), Store::add(Flag::Deleted)).unwrap();
    let moved = inbox.move_to(uid(2)..=uid(3), "Archive").unwrap();
    assert!(moved.left_behind);
    assert_eq!(bodies(&archive), [letter(1), letter(2)]);
    assert_eq!(all_uids(&inbox).len(), 4);
    assert_eq!(inbox.search(Query::deleted()).unwrap().to_string(), "1:3");
    let error = inbox.expunge_uids(uid(2)).unwrap_err();
    assert!(matches!(
        error.kind(),
        ErrorKind::MissingCapability {
            capability: "UIDPLUS"
        }
    ));
    assert_eq!(all_uids(&inbox).len(), 4);
    assert_eq!(inbox.expunge().unwrap(), 3);
    // A move that fails half-way marks nothing.
    let error = inbox.move_to(UidSet::all(), "Missing").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Rejected { .. }));
    assert!(inbox.search(Query::deleted()).unwrap().is_empty());
}

#[test]
fn without_unselect_leaving_a_mailbox_expunges_nothing() {
    let Some(dovecot) = server_with("UIDPLUS MOVE LITERAL+ CONDSTORE") else {
        return;
    };
    let (user, client) = client_of_new_user(&dovecot, "no-unselect");
    let inbox = client.mailbox("INBOX");
    append_letters(&inbox, 0..4);
    inbox
        .store(uid(2)..=uid(3), Store::add(Flag::Deleted))
        .unwrap();
    inbox.unselect().unwrap();
    assert_eq!(all_uids(&inbox).len(), 4);
    inbox.read_only().select().unwrap();
    inbox.unselect().unwrap();
    assert_eq!(
        inbox.status(StatusItems::default()).unwrap().messages,
        Some(4)
    );
    // The same where the connection is reset before it is parked.
    for read_only in [false, true] {
        for _ in 0..3 {
            std::thread::scope(|threads| {
                threads.spawn(|| {
                    let connection = client.create_connection().unwrap();
                    let mailbox = match read_only {
                        true => inbox.read_only(),
                        false => inbox.clone(),
                    };
                    assert_eq!(mailbox.search(Query::deleted()).unwrap().len(), 2);
                    connection.close().unwrap();
                });
            });
            until("the connection is parked", || client.stats().parked == 1);
        }
    }
    let stats = client.stats();
    assert_eq!((stats.opened, stats.reused), (2, 5));
    let other = connect(&dovecot, &user);
    assert_eq!(bodies(&other.mailbox("INBOX")), [0, 1, 2, 3].map(letter));
    assert_eq!(
        flags(&other.mailbox("INBOX"))[&uid(2)],
        Flag::Deleted.into()
    );
}

#[test]
fn a_parked_connection_forgets_its_mailbox() {
    let Some(dovecot) = server_with("UIDPLUS LITERAL+") else {
        return;
    };
    let (user, client) = client_of_new_user(&dovecot, "reset");
    let inbox = client.mailbox("INBOX");
    append_letters(&inbox, 0..2);
    std::thread::scope(|threads| {
        let work = || {
            let connection = client.create_connection().unwrap();
            inbox.select().unwrap();
            // Given back without waiting.
            drop(connection);
        };
        threads.spawn(work);
    });
    until("the connection is parked", || client.stats().parked == 1);
    // A message that comes now is seen by the next taker, who selects anew.
    dovecot.deliver(&user.name, "INBOX", [letter(9)]);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let _connection = client.create_connection().unwrap();
            assert_eq!(inbox.search(Query::all()).unwrap().len(), 3);
        });
    });
    assert_eq!(client.stats().reused, 1);
}

#[test]
fn without_esearch_searches_of_many_threads_get_their_own_answers() {
    let Some(dovecot) = server_with("UIDPLUS MOVE UNSELECT LITERAL+") else {
        return;
    };
    let (_user, client) = client_of_new_user(&dovecot, "no-esearch");
    let inbox = client.mailbox("INBOX");
    append_letters(&inbox, 0..40);
    std::thread::scope(|threads| {
        for worker in 0..8_u32 {
            let inbox = &inbox;
            threads.spawn(move || {
                for round in 0..20 {
                    let number = (worker * 5 + round) % 40;
                    let query = Query::all().subject(format!("letter {number}"));
                    let expected: BTreeSet<u32> = (0..40)
                        .filter(|other| other.to_string().starts_with(&number.to_string()))
                        .map(|other| other + 1)
                        .collect();
                    let found = inbox.search(query).unwrap();
                    let found: BTreeSet<u32> = found.iter().map(mailpool::Uid::get).collect();
                    assert_eq!(found, expected);
                }
            });
        }
    });
    assert!(inbox.search(Query::none()).unwrap().is_empty());
}

#[test]
fn without_literal_plus_the_server_is_asked_before_each_literal() {
    let large = || {
        let mut message = letter(1);
        message.extend("x".repeat(60).repeat(10_000).as_bytes());
        message.extend(b"\r\n");
        message
    };
    for capabilities in ["UIDPLUS ENABLE", "UIDPLUS LITERAL-"] {
        let Some(dovecot) = server_with(capabilities) else {
            return;
        };
        let (_user, client) = client_of_new_user(&dovecot, "literals");
        let inbox = client.mailbox("INBOX");
        std::thread::scope(|threads| {
            for number in 0..4 {
                let (client, inbox) = (&client, &inbox);
                threads.spawn(move || {
                    inbox.append(Append::new(letter(number))).unwrap();
                    inbox.append(Append::new(large())).unwrap();
                    // Refused before its bytes are sent, or after: the next command works.
                    let missing = client.mailbox("Missing");
                    assert!(missing.append(Append::new(large())).is_err());
                    let query = Query::all().body("is letter").subject("Grüße");
                    assert!(inbox.search(query).unwrap().is_empty());
                });
            }
        });
        let all = bodies(&inbox);
        assert_eq!(all.len(), 8);
        assert_eq!(all.iter().filter(|body| **body == large()).count(), 4);
        for number in 0..4 {
            assert!(all.iter().any(|body| *body == letter(number)));
        }
        assert_eq!(client.stats().opened, 1);
    }
}

#[test]
fn a_server_with_nothing_but_the_base_protocol_does_the_main_job() {
    let Some(dovecot) = server_with("") else {
        return;
    };
    let user = dovecot.new_user("base");
    let client = builder(&dovecot, &user).connect().unwrap();
    let inbox = client.mailbox("INBOX");
    for number in 0..5 {
        inbox.append(Append::new(letter(number))).unwrap();
    }
    let found = inbox.search(Query::all()).unwrap();
    assert_eq!(found.to_string(), "1:5");
    assert!(found.uid_validity().is_some());
    assert_eq!(bodies(&inbox), [0, 1, 2, 3, 4].map(letter));
    inbox
        .store(uid(2), Store::replace([Flag::Seen, Flag::Draft]))
        .unwrap();
    assert_eq!(flags(&inbox)[&uid(2)], [Flag::Seen, Flag::Draft].into());
    let mailbox = client.mailbox("Entwürfe");
    mailbox.create().unwrap();
    inbox.copy(uid(1), "Entwürfe").unwrap();
    assert_eq!(bodies(&mailbox), [letter(0)]);
    let missing = [
        inbox
            .store(
                uid(1),
                Store::add(Flag::Seen).unchanged_since(ModSeq::new(1).unwrap()),
            )
            .err(),
        inbox
            .append(Append::new(b"\r\nnul: \0\r\n".as_slice()))
            .err(),
        client.namespace().err(),
        client.id([("name", "x")]).err(),
        client.enable(["CONDSTORE"]).err(),
    ];
    for error in missing {
        let error = error.expect("the server does not offer it");
        assert!(
            matches!(error.kind(), ErrorKind::MissingCapability { .. }),
            "{error:?}"
        );
        assert_eq!(error.certainty(), Certainty::NotSent);
    }
    let session = client.exclusive().unwrap();
    let inbox = session.mailbox("INBOX");
    assert_eq!(
        inbox.search_sequence(Query::seen()).unwrap().to_string(),
        "2"
    );
    assert_eq!(
        inbox
            .fetch_sequence(seq(2)..=seq(3), Items::fast())
            .unwrap()
            .count(),
        2
    );
    inbox.unselect().unwrap();
}
