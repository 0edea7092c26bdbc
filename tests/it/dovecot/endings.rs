//! Connections that are parked, kicked or killed, and mailboxes that are replaced.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use mailpool::{Certainty, ErrorKind, Flag, ImapClient, Items, Query, Store, UidSet};
use mailpool_test_dovecot::{Dovecot, User};

use super::{
    RaiseOnDrop, all_uids, append_letters, assert_lost, bodies, builder, client_of_new_user,
    connect, flags, letter, plain_builder, uid, until, until_connections, until_gone,
};

#[test]
fn a_connection_that_was_given_back_is_used_again() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (user, client) = client_of_new_user(dovecot, "warm");
    let inbox = client.mailbox("INBOX");
    append_letters(&inbox, 0..2);
    let mut connections = Vec::new();
    for _ in 0..5 {
        std::thread::scope(|threads| {
            let work = || {
                let connection = client.create_connection().unwrap();
                assert_eq!(bodies(&inbox), [letter(0), letter(1)]);
                connection.connection_id()
            };
            connections.push(threads.spawn(work).join().unwrap());
        });
        until("the connection is parked", || client.stats().parked == 1);
    }
    connections.dedup();
    assert_eq!(connections.len(), 1);
    let stats = client.stats();
    assert_eq!((stats.opened, stats.reused, stats.parked), (2, 4, 1));
    until_connections(dovecot, &user, 2);
}

#[test]
fn an_idle_timeout_of_zero_closes_at_once() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let user = dovecot.new_user("cold");
    let client = builder(dovecot, &user)
        .idle_timeout(std::time::Duration::ZERO)
        .connect()
        .unwrap();
    std::thread::scope(|threads| {
        threads.spawn(|| drop(client.create_connection().unwrap()));
    });
    until("only the main connection is left", || {
        dovecot.connections(&user.name) == 1 && client.stats().open == 1
    });
}

#[test]
fn parked_connections_that_the_server_ended_are_replaced() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (user, client) = client_that_stays_away(dovecot, "parked");
    let inbox = client.mailbox("INBOX");
    append_letters(&inbox, 0..1);
    let end: [fn(&Dovecot, &str); 2] = [Dovecot::kick, Dovecot::kill_sessions];
    for end in end {
        std::thread::scope(|threads| {
            threads.spawn(|| client.create_connection().unwrap().close().unwrap());
        });
        until("the connection is parked", || client.stats().parked == 1);
        end(dovecot, &user.name);
        until("the client has noticed", || client.stats().parked == 0);
        // The taker gets another one.
        std::thread::scope(|threads| {
            threads.spawn(|| {
                let _connection = client.create_connection().unwrap();
                assert_eq!(bodies(&inbox), [letter(0)]);
            });
        });
        // So does the main connection's next command, or the one after.
        recovers(&client);
    }
}

/// A client whose connections do not come back by themselves: their end can be waited for.
fn client_that_stays_away(dovecot: &Dovecot, hint: &str) -> (User, ImapClient) {
    let user = dovecot.new_user(hint);
    let builder = super::builder(dovecot, &user).reconnect(crate::support::never());
    let client = builder.connect().unwrap();
    (user, client)
}

/// Asserts that the main connection works again. A command that was sent before the client
/// could notice the end may fail with a typed error, but only one.
fn recovers(client: &ImapClient) {
    let inbox = client.mailbox("INBOX");
    if let Err(error) = inbox.search(Query::all()) {
        assert_lost(&error);
        inbox.search(Query::all()).unwrap();
    }
}

/// A user with one message of many megabytes, which no buffer on the way can hold.
fn with_large_message(dovecot: &Dovecot, hint: &str) -> (User, Vec<u8>) {
    let user = dovecot.new_user(hint);
    let text = "0123456789".repeat(7) + "\r\n";
    let message = format!("Subject: large\r\n\r\n{}", text.repeat(700_000)).into_bytes();
    dovecot.deliver(&user.name, "INBOX", [message.clone(), letter(2)]);
    (user, message)
}

#[test]
fn the_end_of_the_session_in_the_middle_of_a_body_is_an_error_and_the_next_command_works() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (user, message) = with_large_message(dovecot, "middle");
    let end: [fn(&Dovecot, &str); 2] = [Dovecot::kick, Dovecot::kill_sessions];
    for builder in [plain_builder(dovecot, &user), builder(dovecot, &user)] {
        let client = builder
            .reconnect(crate::support::never())
            .connect()
            .unwrap();
        let inbox = client.mailbox("INBOX");
        for end in end {
            let mut fetch = inbox.fetch(UidSet::all(), Items::full()).unwrap();
            let body = fetch.next().unwrap().unwrap().into_body().unwrap();
            let mut reader = body.into_reader();
            let mut read = reader.next_chunk().unwrap().unwrap().len();
            end(dovecot, &user.name);
            let error = loop {
                match reader.next_chunk() {
                    Ok(Some(chunk)) => read += chunk.len(),
                    Ok(None) => panic!("a body of {read} bytes came to its end"),
                    Err(error) => break error,
                }
            };
            assert!(read < message.len());
            assert_lost(&error);
            assert_eq!(error.certainty(), Certainty::MaybeExecuted);
            assert!(fetch.next().is_none());
            assert_eq!(inbox.search(Query::all()).unwrap().len(), 2);
            let second = inbox.fetch(uid(2), Items::full()).unwrap().next().unwrap();
            let second = second.unwrap().into_body().unwrap().into_bytes();
            assert_eq!(second.unwrap(), letter(2));
        }
        assert_eq!(client.stats().open, 1);
    }
}

#[test]
fn the_end_of_the_session_fails_a_scope_and_its_permit_comes_back() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (user, _) = with_large_message(dovecot, "scope-lost");
    let client = plain_builder(dovecot, &user)
        .reconnect(crate::support::never())
        .max_connections_per_server(2)
        .connect()
        .unwrap();
    let inbox = client.mailbox("INBOX");
    for _ in 0..3 {
        std::thread::scope(|threads| {
            threads.spawn(|| {
                let connection = client.create_connection().unwrap();
                let mut fetch = inbox.fetch(UidSet::all(), Items::full()).unwrap();
                let body = fetch.next().unwrap().unwrap().into_body().unwrap();
                dovecot.kill_sessions(&user.name);
                let error = body.into_bytes().unwrap_err();
                assert_lost(&error);
                let error = connection.close().unwrap_err();
                assert!(error.is_connection(), "{error:?}");
            });
        });
        recovers(&client);
    }
    until("the broken connections are gone", || {
        client.stats().open <= 1
    });
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let _connection = client.try_create_connection().unwrap();
            assert_eq!(inbox.search(Query::all()).unwrap().len(), 2);
        });
    });
}

#[test]
fn an_exclusive_session_that_was_ended_is_over_and_the_client_is_not() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (user, client) = client_of_new_user(dovecot, "exclusive-lost");
    append_letters(&client.mailbox("INBOX"), 0..3);
    let session = client.exclusive().unwrap();
    let inbox = session.mailbox("INBOX");
    assert_eq!(inbox.search_sequence(Query::all()).unwrap().len(), 3);
    end_without_waiting(dovecot, &user, false);
    // Sequence numbers of a session that is gone mean nothing: it never comes back by itself.
    let error = inbox.search_sequence(Query::all()).unwrap_err();
    assert!(error.is_connection(), "{error:?}");
    let again = inbox.search_sequence(Query::all()).unwrap_err();
    assert!(again.is_connection(), "{again:?}");
    drop(session);
    recovers(&client);
    assert_eq!(all_uids(&client.mailbox("INBOX")).len(), 3);
}

/// Ends the user's sessions without waiting: those that share one open another at once. With a
/// goodbye, or by killing the processes.
fn end_without_waiting(dovecot: &Dovecot, user: &User, kill: bool) {
    if !kill {
        dovecot.doveadm(&["kick", &user.name], b"").unwrap();
        return;
    }
    let listed = dovecot
        .doveadm(&["-f", "tab", "who", "-1", &user.name], b"")
        .unwrap();
    // The columns are: username, service, pid, ip; the first line names them.
    for pid in listed
        .lines()
        .skip(1)
        .filter_map(|line| line.split('\t').nth(2))
    {
        // It may have ended meanwhile.
        let _ = Command::new("/bin/kill").args(["-s", "KILL", pid]).status();
    }
}

#[test]
fn threads_that_share_a_connection_all_learn_of_its_end() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (user, client) = client_of_new_user(dovecot, "all-lost");
    let inbox = client.mailbox("INBOX");
    append_letters(&inbox, 0..20);
    let fetched = AtomicUsize::new(0);
    let over = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let _over = RaiseOnDrop(&over);
        for _ in 0..8 {
            threads.spawn(|| {
                while !over.load(Ordering::Acquire) {
                    for message in inbox.fetch(UidSet::all(), Items::full()).unwrap() {
                        match message {
                            Ok(message) => {
                                let number = message.uid().get() as usize - 1;
                                let body = message.into_body().unwrap();
                                assert_eq!(body.into_bytes().unwrap(), letter(number));
                                fetched.fetch_add(1, Ordering::AcqRel);
                            }
                            Err(error) => assert_lost(&error),
                        }
                    }
                }
            });
        }
        for round in 0..6 {
            let before = fetched.load(Ordering::Acquire);
            until("some messages are fetched", || {
                fetched.load(Ordering::Acquire) > before + 500
            });
            end_without_waiting(dovecot, &user, round % 2 == 1);
        }
    });
    recovers(&client);
    assert_eq!(bodies(&inbox).len(), 20);
    let stats = client.stats();
    assert!(
        stats.open <= 1 && stats.opened + stats.reconnected >= 4,
        "{stats:?}"
    );
    client.shutdown(super::LONG).unwrap();
    until_gone(dovecot, &user);
}

#[test]
fn a_mailbox_that_was_replaced_is_not_touched_with_the_old_uids() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (user, client) = client_of_new_user(dovecot, "replaced");
    let mailbox = client.mailbox("Replaced");
    mailbox.create().unwrap();
    client.mailbox("Archive").create().unwrap();
    append_letters(&mailbox, 0..3);
    let old = mailbox.search(Query::all()).unwrap();
    mailbox.unselect().unwrap();

    let other = connect(dovecot, &user);
    let theirs = other.mailbox("Replaced");
    theirs.delete().unwrap();
    theirs.create().unwrap();
    append_letters(&theirs, 10..13);
    theirs.store(uid(1), Store::add(Flag::Deleted)).unwrap();
    theirs.unselect().unwrap();

    let failures = [
        mailbox.store(&old, Store::add(Flag::Deleted)).err(),
        mailbox.expunge_uids(&old).err(),
        mailbox.move_to(&old, "Archive").err(),
        mailbox.copy(&old, "Archive").err(),
        mailbox.search(Query::all().uid(&old)).err(),
        mailbox
            .fetch(&old, Items::full())
            .unwrap()
            .next()
            .and_then(Result::err),
    ];
    for failure in failures {
        let failure = failure.expect("the UIDs are of the old mailbox");
        assert_eq!(failure.certainty(), Certainty::NotSent);
        let ErrorKind::UidValidityChanged { expected, found } = failure.kind() else {
            panic!("{failure:?}");
        };
        assert_eq!(Some(*expected), old.uid_validity());
        assert_ne!(Some(*expected), *found);
    }
    assert_eq!(bodies(&mailbox), [10, 11, 12].map(letter));
    assert!(flags(&mailbox)[&uid(2)].is_empty());
    assert_eq!(all_uids(&client.mailbox("Archive")), []);
    let new = mailbox.search(Query::all()).unwrap();
    mailbox.store(&new, Store::add(Flag::Seen)).unwrap();
}

#[test]
fn a_mailbox_that_is_replaced_while_it_is_selected_is_not_touched_either() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (user, client) = client_of_new_user(dovecot, "replaced-selected");
    let mailbox = client.mailbox("Replaced");
    mailbox.create().unwrap();
    append_letters(&mailbox, 0..3);
    let old = mailbox.search(Query::all()).unwrap();

    let other = connect(dovecot, &user);
    let theirs = other.mailbox("Replaced");
    theirs.delete().unwrap();
    theirs.create().unwrap();
    append_letters(&theirs, 10..13);

    // Dovecot refuses everything in the mailbox that was, until another SELECT.
    let failure = mailbox.store(&old, Store::add(Flag::Deleted)).unwrap_err();
    assert!(
        matches!(
            failure.kind(),
            ErrorKind::Rejected { .. } | ErrorKind::Bye { .. }
        ),
        "{failure:?}"
    );
    let now = mailbox.select().unwrap().uid_validity;
    let failure = mailbox.store(&old, Store::add(Flag::Deleted)).unwrap_err();
    assert!(
        matches!(failure.kind(), ErrorKind::UidValidityChanged { found, .. } if *found == now),
        "{failure:?}"
    );
    assert_eq!(failure.certainty(), Certainty::NotSent);
    assert_eq!(bodies(&mailbox), [10, 11, 12].map(letter));
    assert!(flags(&mailbox).values().all(mailpool::Flags::is_empty));
}
