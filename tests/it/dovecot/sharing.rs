//! Many threads on one connection, and the client's quota against the server's limit.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use mailpool::{
    Append, Certainty, ErrorKind, Flag, ImapClient, Items, Query, Section, StatusItems, Store,
    UidSet,
};
use mailpool_test_dovecot::{Dovecot, User};

use super::{
    RaiseOnDrop, all_uids, appended, bodies, builder, contents, contents_of, flags, letter,
    plain_builder, until, until_connections, until_gone,
};

const THREADS: usize = 16;

/// What one of many threads does: everything with its own messages, in a mailbox that it
/// shares with three others, and now and then a look at other mailboxes.
fn mixed_work(client: &ImapClient, worker: usize) {
    let own = client.mailbox(format!("Shared {}", worker % 4));
    let done = client.mailbox("Done");
    for round in 0..6 {
        let number = |step| worker * 1_000 + round * 10 + step;
        let mine: Vec<_> = (0..4)
            .map(|step| appended(&own, Append::new(letter(number(step)))))
            .collect();
        let set: UidSet = mine.iter().collect();
        let fetched = contents_of(&own, &set);
        for (step, uid) in mine.iter().enumerate() {
            assert_eq!(fetched[uid], letter(number(step)));
        }
        let keyword = Flag::keyword(&format!("worker-{worker}")).unwrap();
        own.store(&set, Store::add(keyword.clone())).unwrap();
        let Flag::Keyword(name) = keyword.clone() else {
            panic!("a keyword");
        };
        let found = own.search(Query::all().keyword(name)).unwrap();
        assert_eq!(found.intersection(&set).len(), 4);
        let message = own
            .fetch(mine[1], Items::new().envelope().flags())
            .unwrap()
            .next()
            .unwrap()
            .unwrap();
        let subject = message.envelope().unwrap().unwrap().subject.clone();
        assert_eq!(subject.unwrap(), *format!("letter {}", number(1)));
        assert!(message.flags().unwrap().contains(&keyword));
        let copies = own.copy(mine[0], "Done").unwrap().unwrap();
        let copy = copies.copy_of(mine[0]).unwrap();
        assert_eq!(contents_of(&done, copy)[&copy], letter(number(0)));
        let moved = own.move_to(mine[2], "Done").unwrap().copies.unwrap();
        let moved_to = moved.copy_of(mine[2]).unwrap();
        assert_eq!(contents_of(&done, moved_to)[&moved_to], letter(number(2)));
        own.store(mine[3], Store::add(Flag::Deleted).silent())
            .unwrap();
        own.expunge_uids(mine[3]).unwrap();
        let status = done.status(StatusItems::default()).unwrap();
        assert!(status.messages.unwrap() >= 2);
        assert!(client.list("", "Shared %").unwrap().len() == 4);
        client.noop().unwrap();
    }
}

#[test]
fn sixteen_threads_share_one_connection_for_everything() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let user = dovecot.new_user("sixteen");
    let client = builder(dovecot, &user)
        .max_connections_per_server(1)
        .connect()
        .unwrap();
    client.mailbox("Done").create().unwrap();
    for number in 0..4 {
        client.mailbox(format!("Shared {number}")).create().unwrap();
    }
    std::thread::scope(|threads| {
        for worker in 0..THREADS {
            let client = &client;
            threads.spawn(move || mixed_work(client, worker));
        }
    });
    assert_eq!(client.stats().opened, 1);
    until_connections(dovecot, &user, 1);
    // Of four messages a round, two stay; one is copied and one is moved away.
    let mut expected_done = Vec::new();
    for shared in 0..4 {
        let mut expected = BTreeSet::new();
        for worker in (0..THREADS).filter(|worker| worker % 4 == shared) {
            for round in 0..6 {
                let number = worker * 1_000 + round * 10;
                expected.extend([letter(number), letter(number + 1)]);
                expected_done.extend([letter(number), letter(number + 2)]);
            }
        }
        let left: BTreeSet<Vec<u8>> = bodies(&client.mailbox(format!("Shared {shared}")))
            .iter()
            .map(|body| body.to_vec())
            .collect();
        assert!(left == expected);
    }
    let done: BTreeSet<Vec<u8>> = bodies(&client.mailbox("Done"))
        .iter()
        .map(|body| body.to_vec())
        .collect();
    assert!(done == expected_done.into_iter().collect());
}

#[test]
fn sixteen_threads_with_scopes_stay_below_the_quota() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let user = dovecot.new_user("scopes");
    let client = builder(dovecot, &user)
        .max_connections_per_server(4)
        .connect()
        .unwrap();
    client.mailbox("Done").create().unwrap();
    for number in 0..4 {
        client.mailbox(format!("Shared {number}")).create().unwrap();
    }
    let over = AtomicBool::new(false);
    let most = AtomicUsize::new(0);
    std::thread::scope(|threads| {
        let _over = RaiseOnDrop(&over);
        threads.spawn(|| {
            while !over.load(Ordering::Acquire) {
                most.fetch_max(dovecot.connections(&user.name), Ordering::AcqRel);
            }
        });
        std::thread::scope(|workers| {
            for worker in 0..THREADS {
                let client = &client;
                workers.spawn(move || {
                    let _connection = client.create_connection().unwrap();
                    mixed_work(client, worker);
                });
            }
        });
    });
    let most = most.into_inner();
    assert!((1..=4).contains(&most), "{most} connections at the server");
    let stats = client.stats();
    assert!(stats.reused >= 10 && stats.opened <= 4, "{stats:?}");
    assert_eq!(all_uids(&client.mailbox("Done")).len(), THREADS * 6 * 2);
    drop(client);
    until_gone(dovecot, &user);
}

#[test]
fn a_limit_of_the_server_below_the_quota_is_a_typed_error_and_the_rest_works() {
    let dovecot = Dovecot::builder()
        .user("alice", "secret")
        .max_connections_per_user(3)
        .start_or_skip();
    let Some(dovecot) = dovecot else { return };
    let user = User {
        name: "alice".to_owned(),
        password: "secret".to_owned(),
    };
    for builder in [builder(&dovecot, &user), plain_builder(&dovecot, &user)] {
        let client = builder.max_connections_per_server(8).connect().unwrap();
        let inbox = client.mailbox("INBOX");
        let number = appended(&inbox, Append::new(letter(1)));
        let (ready, workers_ready) = mpsc::channel();
        std::thread::scope(|threads| {
            let give_back: Vec<mpsc::Sender<()>> = (0..2)
                .map(|_| {
                    let (sender, given_back) = mpsc::channel();
                    let (client, inbox, ready) = (&client, &inbox, ready.clone());
                    threads.spawn(move || {
                        let _connection = client.create_connection().unwrap();
                        assert!(inbox.search(Query::all()).unwrap().contains(number));
                        ready.send(()).unwrap();
                        // Ends when the sender is dropped.
                        assert!(given_back.recv().is_err());
                        assert_eq!(contents_of(inbox, number)[&number], letter(1));
                    });
                    sender
                })
                .collect();
            for _ in 0..2 {
                workers_ready.recv_timeout(super::LONG).unwrap();
            }
            until_connections(&dovecot, &user, 3);
            threads
                .spawn(|| {
                    for _ in 0..3 {
                        let patience = std::time::Duration::from_secs(2);
                        let error = client.create_connection_timeout(patience).unwrap_err();
                        assert!(error.is_too_many_connections(), "{error:?}");
                        assert_eq!(error.certainty(), certainty_of(error.kind()));
                        // Its permit is given back; the thread goes on without a scope.
                        until("three are open", || client.stats().open == 3);
                        assert!(inbox.search(Query::all()).unwrap().contains(number));
                    }
                })
                .join()
                .unwrap();
            let second = super::builder(&dovecot, &user).connect().unwrap_err();
            assert!(second.is_too_many_connections(), "{second:?}");
            drop(give_back);
        });
        until("both are parked", || client.stats().parked == 2);
        // A parked connection is there for the next one.
        let reused = client.stats().reused;
        std::thread::scope(|threads| {
            threads.spawn(|| drop(client.create_connection().unwrap()));
        });
        assert_eq!(client.stats().reused, reused + 1);
        client.shutdown(super::LONG).unwrap();
        until_gone(&dovecot, &user);
    }
}

/// A refused login was rejected; a goodbye came before anything was asked for.
fn certainty_of(kind: &ErrorKind) -> Certainty {
    match kind {
        ErrorKind::Authentication { .. } | ErrorKind::Rejected { .. } => Certainty::Rejected,
        _ => Certainty::NotSent,
    }
}

#[test]
fn a_slow_reader_holds_up_nobody_else() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let user = dovecot.new_user("slow");
    let line = "0123456789".repeat(7);
    let messages = (0..40).map(|number| {
        let text = format!("{line}\r\n").repeat(7_000);
        format!("Subject: {number}\r\n\r\n{text}").into_bytes()
    });
    let served = dovecot.deliver(&user.name, "INBOX", messages);
    dovecot.deliver(&user.name, "Other", [letter(1)]);
    let client = plain_builder(dovecot, &user)
        .max_connections_per_server(1)
        .connect()
        .unwrap();
    let (inbox, other) = (client.mailbox("INBOX"), client.mailbox("Other"));
    let mut slow = inbox.fetch(UidSet::all(), Items::full()).unwrap();
    let first = slow.next().unwrap().unwrap();
    let (sender, answers) = mpsc::channel();
    std::thread::scope(|threads| {
        threads.spawn(|| {
            sender.send(bodies(&other)).unwrap();
        });
        // The reader does nothing until the other thread has its answer.
        assert_eq!(answers.recv_timeout(super::LONG).unwrap(), [letter(1)]);
    });
    // Neither does it wait for itself.
    assert_eq!(inbox.search(Query::all()).unwrap().len(), 40);
    let mut all = vec![first.into_body().unwrap().into_bytes().unwrap()];
    for message in slow {
        all.push(message.unwrap().into_body().unwrap().into_bytes().unwrap());
    }
    assert!(all == served);
}

#[test]
fn what_one_thread_sends_takes_effect_in_its_order() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let user = dovecot.new_user("order");
    let client = builder(dovecot, &user)
        .max_connections_per_server(1)
        .connect()
        .unwrap();
    let names = ["One", "Two"];
    for name in names {
        client.mailbox(name).create().unwrap();
    }
    std::thread::scope(|threads| {
        for worker in 0..8_usize {
            let client = &client;
            threads.spawn(move || {
                let mailbox = client.mailbox(names[worker % 2]);
                let uid = appended(&mailbox, Append::new(letter(worker)));
                for round in 0..15 {
                    let flag = Flag::keyword(&format!("round-{round}")).unwrap();
                    // Not waited for before the next is sent.
                    let before = mailbox.fetch(uid, Items::new().flags()).unwrap();
                    let stored = mailbox.store(uid, Store::replace(flag.clone())).unwrap();
                    let after = mailbox.fetch(uid, Items::new().flags()).unwrap();
                    let text = mailbox
                        .fetch(uid, Items::new().peek(Section::text()))
                        .unwrap();
                    let flags_of = |fetch: mailpool::Fetch| {
                        let messages: Vec<_> = fetch.map(|message| message.unwrap()).collect();
                        assert_eq!(messages.len(), 1);
                        messages[0].flags().unwrap().clone()
                    };
                    assert!(!flags_of(before).contains(&flag));
                    assert!(stored.updated[0].flags.contains(&flag));
                    assert!(flags_of(after).contains(&flag));
                    assert_eq!(text.count(), 1);
                }
            });
        }
    });
    for name in names {
        let mailbox = client.mailbox(name);
        assert_eq!(contents(&mailbox).len(), 4);
        let last = Flag::keyword("round-14").unwrap();
        assert!(flags(&mailbox).values().all(|flags| flags.contains(&last)));
    }
}
