//! UID STORE, UID COPY, UID MOVE, UID EXPUNGE and EXPUNGE.

use std::collections::BTreeMap;

use mailpool::{
    CopyUid, ErrorKind, Flag, Flags, Items, Mailbox, ModSeq, Store, Uid, UidSet, UidValidity,
};
use mailpool_test_dovecot::Dovecot;

use super::{
    all_uids, append_letters, bodies, builder, client_of_new_user, contents, contents_of, flags,
    letter, uid,
};

fn keyword(name: &str) -> Flag {
    Flag::keyword(name).unwrap()
}

#[test]
fn flags_are_added_removed_and_replaced() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "store");
    let inbox = client.mailbox("INBOX");
    append_letters(&inbox, 0..3);
    let some: UidSet = [uid(1), uid(3)].into();
    let of = |number| flags(&inbox)[&uid(number)].clone();

    let outcome = inbox
        .store(&some, Store::add([Flag::Seen, keyword("$Junk")]))
        .unwrap();
    let updated: BTreeMap<Option<Uid>, Flags> = outcome
        .updated
        .into_iter()
        .map(|mut update| {
            update.flags.remove(&Flag::Recent);
            (update.uid, update.flags)
        })
        .collect();
    let expected = Flags::from([Flag::Seen, keyword("$Junk")]);
    assert_eq!(
        updated,
        BTreeMap::from([
            (Some(uid(1)), expected.clone()),
            (Some(uid(3)), expected.clone())
        ])
    );
    assert!(outcome.modified.is_empty());
    assert_eq!(
        (of(1), of(2), of(3)),
        (expected.clone(), Flags::new(), expected)
    );

    inbox.store(&some, Store::remove(Flag::Seen)).unwrap();
    assert_eq!(of(1), keyword("$Junk").into());
    inbox
        .store(uid(1), Store::replace([Flag::Draft, Flag::Flagged]))
        .unwrap();
    assert_eq!(of(1), [Flag::Draft, Flag::Flagged].into());
    inbox.store(uid(1), Store::replace(Flags::new())).unwrap();
    assert_eq!((of(1), of(3)), (Flags::new(), keyword("$Junk").into()));
}

#[test]
fn a_silent_store_says_nothing_and_does_it_all_the_same() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "store-silent");
    let inbox = client.mailbox("INBOX");
    append_letters(&inbox, 0..3);
    for store in [
        Store::add(Flag::Seen),
        Store::replace(Flag::Draft),
        Store::remove(Flag::Draft),
    ] {
        let outcome = inbox.store(UidSet::all(), store.silent()).unwrap();
        // With CONDSTORE the server tells the new mod-sequences, without flags.
        assert!(outcome.updated.is_empty(), "{:?}", outcome.updated);
    }
    assert!(flags(&inbox).values().all(Flags::is_empty));
    assert_eq!(
        inbox.store(UidSet::new(), Store::add(Flag::Seen)).unwrap(),
        Default::default()
    );
    assert!(flags(&inbox).values().all(Flags::is_empty));
}

#[test]
fn a_conditional_store_leaves_alone_what_has_changed() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (user, client) = client_of_new_user(dovecot, "store-if");
    let inbox = client.mailbox("INBOX");
    append_letters(&inbox, 0..4);
    let mod_seqs = |mailbox: &Mailbox| -> BTreeMap<Uid, ModSeq> {
        let fetch = mailbox
            .fetch(UidSet::all(), Items::new().mod_seq())
            .unwrap();
        fetch
            .map(|message| message.unwrap())
            .map(|message| (message.uid(), message.mod_seq().unwrap()))
            .collect()
    };
    let seen = mod_seqs(&inbox).into_values().max().unwrap();
    // Somebody else changes two of them.
    let other = builder(dovecot, &user).connect().unwrap();
    other
        .mailbox("INBOX")
        .store(uid(2)..=uid(3), Store::add(Flag::Answered))
        .unwrap();
    let outcome = inbox
        .store(
            UidSet::all(),
            Store::add(Flag::Flagged).unchanged_since(seen),
        )
        .unwrap();
    assert_eq!(outcome.modified.to_string(), "2:3");
    let now = flags(&inbox);
    assert_eq!(now[&uid(1)], Flag::Flagged.into());
    assert_eq!(now[&uid(2)], Flag::Answered.into());
    assert_eq!(now[&uid(4)], Flag::Flagged.into());
    assert!(mod_seqs(&inbox)[&uid(4)] > seen);
    for update in &outcome.updated {
        assert!(update.uid != Some(uid(2)) || !update.flags.contains(&Flag::Flagged));
    }
    // Nothing was refused: nothing is modified.
    let latest = mod_seqs(&inbox).into_values().max().unwrap();
    let outcome = inbox
        .store(uid(2), Store::add(Flag::Draft).unchanged_since(latest))
        .unwrap();
    assert!(outcome.modified.is_empty());
}

/// Asserts that each pair is a message and its copy, by content.
fn assert_pairs(pairs: &CopyUid, before: &BTreeMap<Uid, bytes::Bytes>, to: &Mailbox) {
    let validity = to.select().unwrap().uid_validity;
    assert_eq!(Some(pairs.uid_validity()), validity);
    let copies = contents(to);
    for (source, copy) in pairs.pairs() {
        assert_eq!(before[&source], copies[&copy], "{source} -> {copy}");
        assert_eq!(pairs.copy_of(source), Some(copy));
    }
}

#[test]
fn copies_are_paired_with_their_messages() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "copy");
    let inbox = client.mailbox("INBOX");
    let archive = client.mailbox("Archive & Co");
    archive.create().unwrap();
    append_letters(&archive, 100..103);
    append_letters(&inbox, 0..10);
    let keep = inbox.store(uid(3), Store::add([Flag::Seen, keyword("kept")]));
    keep.unwrap();
    let before = contents(&inbox);
    let some: UidSet = "2:4,7,9:10,300".parse().unwrap();
    let copied = inbox.copy(&some, "Archive & Co").unwrap().unwrap();
    assert_eq!(copied.source().len(), 6);
    assert_pairs(&copied, &before, &archive);
    assert_eq!(contents(&inbox), before);
    let copy = copied.copy_of(uid(3)).unwrap();
    assert_eq!(flags(&archive)[&copy], [Flag::Seen, keyword("kept")].into());
    // Into the mailbox itself.
    let twice = inbox.copy(uid(1), "INBOX").unwrap().unwrap();
    assert_eq!(twice.copy_of(uid(1)), Some(uid(11)));
    // Nothing to copy: nothing is copied.
    assert_eq!(inbox.copy(UidSet::new(), "Archive & Co").unwrap(), None);
    assert_eq!(inbox.copy(uid(4_000), "Archive & Co").unwrap(), None);
    assert_eq!(all_uids(&archive).len(), 9);
}

#[test]
fn a_move_leaves_nothing_behind() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "move");
    let inbox = client.mailbox("INBOX");
    let archive = client.mailbox("Archive");
    archive.create().unwrap();
    append_letters(&inbox, 0..10);
    inbox.store(uid(1), Store::add(Flag::Deleted)).unwrap();
    let before = contents(&inbox);
    let some: UidSet = "2:4,7,9:10".parse().unwrap();
    let moved = inbox.move_to(&some, "Archive").unwrap();
    assert!(!moved.left_behind);
    let copies = moved.copies.unwrap();
    assert_eq!(copies.source().iter().collect::<UidSet>(), some);
    assert_pairs(&copies, &before, &archive);
    // The one that somebody marked is still there.
    assert_eq!(all_uids(&inbox), [1, 5, 6, 8].map(uid));
    assert_eq!(all_uids(&archive).len(), 6);
    let nothing = inbox.move_to(UidSet::new(), "Archive").unwrap();
    assert!(nothing.copies.is_none() && !nothing.left_behind);
}

#[test]
fn expunging_by_uid_removes_only_what_is_named_and_marked() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "expunge-uids");
    let inbox = client.mailbox("INBOX");
    append_letters(&inbox, 0..8);
    inbox
        .store(uid(3)..=uid(6), Store::add(Flag::Deleted).silent())
        .unwrap();
    inbox.expunge_uids(uid(1)..=uid(4)).unwrap();
    assert_eq!(all_uids(&inbox), [1, 2, 5, 6, 7, 8].map(uid));
    inbox.expunge_uids(UidSet::new()).unwrap();
    assert_eq!(all_uids(&inbox).len(), 6);
    assert_eq!(inbox.expunge().unwrap(), 2);
    assert_eq!(inbox.expunge().unwrap(), 0);
    assert_eq!(bodies(&inbox), [0, 1, 6, 7].map(letter));
}

#[test]
fn with_qresync_the_number_of_expunged_messages_is_right_too() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let user = dovecot.new_user("expunge-vanished");
    // Now the server says VANISHED where it said EXPUNGE (RFC 7162 §3.2.10).
    let client = builder(dovecot, &user)
        .enable(["QRESYNC"])
        .connect()
        .unwrap();
    let inbox = client.mailbox("INBOX");
    append_letters(&inbox, 0..8);
    inbox
        .store(
            "2:4,6".parse::<UidSet>().unwrap(),
            Store::add(Flag::Deleted),
        )
        .unwrap();
    assert_eq!(inbox.expunge().unwrap(), 4);
    assert_eq!(all_uids(&inbox), [1, 5, 7, 8].map(uid));
    let moved = {
        client.mailbox("Archive").create().unwrap();
        inbox.move_to(uid(5)..=uid(7), "Archive").unwrap()
    };
    assert_eq!(moved.copies.unwrap().pairs().count(), 2);
    assert_eq!(all_uids(&inbox), [1, 8].map(uid));
}

#[test]
fn uids_of_another_state_change_nothing() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "stale");
    let inbox = client.mailbox("INBOX");
    client.mailbox("Archive").create().unwrap();
    append_letters(&inbox, 0..3);
    inbox.store(uid(1), Store::add(Flag::Deleted)).unwrap();
    let found = inbox.search(mailpool::Query::all()).unwrap();
    let now = found.uid_validity().unwrap();
    let stale = found.with_uid_validity(UidValidity::new(now.get() - 1));
    let failures = [
        inbox.store(&stale, Store::add(Flag::Seen)).err(),
        inbox.copy(&stale, "Archive").err(),
        inbox.move_to(&stale, "Archive").err(),
        inbox.expunge_uids(&stale).err(),
        inbox
            .fetch(&stale, Items::full())
            .unwrap()
            .next()
            .and_then(Result::err),
    ];
    for failure in failures {
        let kind = failure.as_ref().map(mailpool::Error::kind);
        assert!(
            matches!(kind, Some(ErrorKind::UidValidityChanged { found: Some(found), .. }) if *found == now),
            "{kind:?}"
        );
    }
    assert_eq!(contents_of(&inbox, UidSet::all()).len(), 3);
    assert_eq!(flags(&inbox)[&uid(2)], Flags::new());
    assert_eq!(all_uids(&client.mailbox("Archive")), []);
}
