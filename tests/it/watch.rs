//! Mailboxes that are watched in the background.

use std::sync::mpsc;
use std::time::Duration;

use mailpool::{
    Backoff, ErrorKind, Flag, IdleOptions, ImapClient, MailboxChange, Query, WatchEvent,
    WatchOptions, Watcher,
};
use mailpool_test_server::Server;

use crate::support::{USER, builder, message, server_with};
use crate::threads::{LONG, SHORT, bounded, elsewhere, until, until_open};

fn client_with(server: &Server, quota: usize) -> ImapClient {
    let quick = Backoff::new()
        .first_delay(Duration::from_millis(2))
        .max_delay(Duration::from_millis(10));
    builder(server)
        .max_connections_per_server(quota)
        .reconnect(quick)
        .timeout(LONG)
        .connect()
        .unwrap()
}

/// Asks often what cannot be heard.
fn eager() -> WatchOptions {
    WatchOptions::new().idle(IdleOptions::new().poll_every(Duration::from_millis(10)))
}

#[track_caller]
fn next(watcher: &mut Watcher) -> (String, MailboxChange) {
    let event = watcher.next_timeout(LONG).expect("an event");
    (event.mailbox.to_string(), event.change.unwrap())
}

#[track_caller]
fn begins(watcher: &mut Watcher, mailboxes: usize) {
    for _ in 0..mailboxes {
        let (mailbox, change) = next(watcher);
        assert!(
            matches!(change, MailboxChange::Began { .. }),
            "{mailbox}: {change:?}"
        );
    }
}

fn new_uid(change: &MailboxChange) -> u32 {
    match change {
        MailboxChange::New { uid, .. } => uid.get(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_mailbox_is_followed_on_a_connection_of_its_own() {
    bounded(|| {
        let server = server_with(2);
        let client = client_with(&server, 3);
        let mut watcher = client.watch(["INBOX"]).unwrap();
        begins(&mut watcher, 1);
        assert!(server.wait_until(LONG, |counters| counters.idling == 1));
        server.store().append(USER.0, "INBOX", message(3));
        assert_eq!(new_uid(&next(&mut watcher).1), 3);
        server.store().set_flags(USER.0, "INBOX", 1, &["\\Seen"]);
        let (_, change) = next(&mut watcher);
        let MailboxChange::Flags { uid, flags, .. } = change else {
            panic!("{change:?}");
        };
        assert!(uid.get() == 1 && flags.contains(&Flag::Seen));
        assert!(server.store().expunge(USER.0, "INBOX", 2));
        assert!(matches!(next(&mut watcher).1, MailboxChange::Expunged(uid) if uid.get() == 2));
        // The main connection has nothing to do with it.
        client.noop().unwrap();
        assert_eq!(server.counters().idling, 1);
        drop(watcher);
        assert!(server.wait_until(LONG, |counters| counters.idling == 0));
        until("the connection is given back", || {
            client.stats().parked == 1
        });
    });
}

#[test]
fn with_a_quota_of_one_the_main_connection_idles_and_stands_back() {
    bounded(|| {
        let server = server_with(1);
        let client = client_with(&server, 1);
        let mut watcher = client.watch(["INBOX"]).unwrap();
        begins(&mut watcher, 1);
        for number in 2..=10 {
            client.noop().unwrap();
            server.store().append(USER.0, "INBOX", message(number));
            client.mailbox("INBOX").search(Query::all()).unwrap();
            assert_eq!(new_uid(&next(&mut watcher).1), number as u32);
        }
        assert_eq!(server.counters().peak_open, 1);
    });
}

#[test]
fn mailboxes_beyond_the_connections_are_asked_about_by_turns() {
    bounded(|| {
        let server = server_with(1);
        for name in ["A", "B", "C"] {
            server.store().create_mailbox(USER.0, name);
        }
        for quota in [1, 4] {
            let client = client_with(&server, quota);
            let mut watcher = client
                .watch_with(["INBOX", "A", "B", "C"], eager())
                .unwrap();
            begins(&mut watcher, 4);
            for round in 0..3 {
                for name in ["INBOX", "A", "B", "C"] {
                    let uid = server.store().append(USER.0, name, message(round));
                    let (mailbox, change) = next(&mut watcher);
                    assert_eq!((mailbox.as_str(), new_uid(&change)), (name, uid));
                }
                let uid = server.store().uid_next(USER.0, "B") - 1;
                server.store().set_flags(USER.0, "B", uid, &["\\Flagged"]);
                let (mailbox, change) = next(&mut watcher);
                assert_eq!(mailbox, "B");
                assert!(matches!(change, MailboxChange::Flags { .. }), "{change:?}");
            }
            assert!(client.stats().open <= 3);
            drop((watcher, client));
            until_open(&server, 0);
        }
    });
}

#[test]
fn without_idle_the_server_is_asked() {
    bounded(|| {
        let server = Server::builder()
            .user(USER.0, USER.1)
            .mailbox(USER.0, "INBOX", [message(0)])
            .without("IDLE")
            .start()
            .unwrap();
        let client = client_with(&server, 2);
        let mut watcher = client.watch_with(["INBOX"], eager()).unwrap();
        begins(&mut watcher, 1);
        server.store().append(USER.0, "INBOX", message(1));
        assert_eq!(new_uid(&next(&mut watcher).1), 2);
        assert_eq!(server.counters().commands("IDLE"), 0);
    });
}

#[test]
fn nothing_is_lost_or_told_twice_when_connections_break() {
    bounded(|| {
        let server = server_with(0);
        server.store().create_mailbox(USER.0, "Other");
        let client = client_with(&server, 4);
        let mut watcher = client.watch_with(["INBOX", "Other"], eager()).unwrap();
        begins(&mut watcher, 2);
        for round in 1..=20_u32 {
            for name in ["INBOX", "Other"] {
                server.store().append(USER.0, name, message(round as usize));
                if round % 2 == 0 {
                    server.reset_all();
                } else {
                    server.bye_all("Back soon");
                }
            }
            let mut told = [next(&mut watcher), next(&mut watcher)].map(|(mailbox, change)| {
                assert_eq!(new_uid(&change), round, "{mailbox}");
                mailbox
            });
            told.sort();
            assert_eq!(told, ["INBOX", "Other"]);
        }
        assert!(client.stats().reconnected >= 10);
    });
}

#[test]
fn what_was_expunged_or_flagged_while_connections_were_away_is_told_once() {
    bounded(|| {
        const NAMES: [&str; 2] = ["INBOX", "Other"];
        let server = server_with(2);
        let store = server.store();
        store.create_mailbox(USER.0, NAMES[1]);
        for number in 0..2 {
            store.append(USER.0, NAMES[1], message(number));
        }
        let client = client_with(&server, 4);
        let mut watcher = client.watch_with(NAMES, eager()).unwrap();
        begins(&mut watcher, 2);
        for round in 3..=12_u32 {
            let keyword = format!("$round{round}");
            for name in NAMES {
                server.reset_all();
                assert_eq!(store.append(USER.0, name, message(0)), round);
                assert!(store.expunge(USER.0, name, round - 1));
                assert!(store.set_flags(USER.0, name, 1, &[&keyword]));
            }
            let mut told: Vec<String> = (0..6)
                .map(|_| match next(&mut watcher) {
                    (name, MailboxChange::New { uid, .. }) => format!("{name} has {uid}"),
                    (name, MailboxChange::Expunged(uid)) => format!("{name} lost {uid}"),
                    (name, MailboxChange::Flags { uid, flags, .. }) => {
                        assert!(
                            flags.contains(&Flag::keyword(&keyword).unwrap()),
                            "{flags:?}"
                        );
                        format!("{name} changed {uid}")
                    }
                    other => panic!("{other:?}"),
                })
                .collect();
            told.sort();
            let mut expected: Vec<String> = NAMES
                .iter()
                .flat_map(|name| {
                    [
                        format!("{name} has {round}"),
                        format!("{name} lost {}", round - 1),
                        format!("{name} changed 1"),
                    ]
                })
                .collect();
            expected.sort();
            assert_eq!(told, expected);
        }
        assert!(watcher.next_timeout(SHORT).is_none());
    });
}

#[test]
fn a_new_uid_validity_is_told() {
    bounded(|| {
        let server = server_with(3);
        let client = client_with(&server, 3);
        let mut watcher = client.watch_with(["INBOX"], eager()).unwrap();
        begins(&mut watcher, 1);
        let validity = server.store().uid_validity(USER.0, "INBOX") + 1;
        server.store().set_uid_validity(USER.0, "INBOX", validity);
        server.reset_all();
        let (_, change) = next(&mut watcher);
        let MailboxChange::UidValidityChanged { found } = change else {
            panic!("{change:?}");
        };
        assert_eq!(found.map(|found| found.get()), Some(validity));
    });
}

#[test]
fn a_mailbox_that_is_not_there_is_an_event_until_it_is() {
    bounded(|| {
        let server = server_with(1);
        let client = client_with(&server, 4);
        let mut watcher = client.watch_with(["Later", "INBOX"], eager()).unwrap();
        let mut errors = 0;
        while errors < 3 {
            let event = watcher.next_timeout(LONG).expect("an event");
            match event.change {
                Ok(change) => assert!(matches!(change, MailboxChange::Began { .. })),
                Err(error) => {
                    assert_eq!(event.mailbox.to_string(), "Later");
                    assert!(
                        matches!(error.kind(), ErrorKind::Rejected { .. }),
                        "{error:?}"
                    );
                    errors += 1;
                }
            }
        }
        server.store().create_mailbox(USER.0, "Later");
        loop {
            let event = watcher.next_timeout(LONG).expect("an event");
            if event.mailbox.as_str() == "Later" && event.change.is_ok() {
                break;
            }
        }
        server.store().append(USER.0, "Later", message(1));
        assert_eq!(new_uid(&next(&mut watcher).1), 1);
        assert!(client.watch::<&str>([]).is_err());
        assert!(client.watch(["a\nb"]).is_err());
    });
}

#[test]
fn a_callback_may_use_the_client_and_a_slow_one_loses_nothing() {
    bounded(|| {
        let server = server_with(0);
        let client = client_with(&server, 3);
        let (told, uids) = mpsc::channel();
        let (go_on, wait) = mpsc::channel::<()>();
        let outside = client.clone();
        let mut first = true;
        let watcher = client
            .watch_each(
                ["INBOX"],
                eager().events_waiting(2),
                move |event: WatchEvent| {
                    if std::mem::take(&mut first) {
                        told.send(0).unwrap();
                        let _ = wait.recv();
                        return;
                    }
                    let found = outside.mailbox("INBOX").search(Query::all()).unwrap();
                    let uid = new_uid(&event.change.unwrap());
                    assert!(found.iter().any(|one| one.get() == uid));
                    told.send(uid).unwrap();
                },
            )
            .unwrap();
        assert_eq!(uids.recv_timeout(LONG).unwrap(), 0);
        for number in 0..200 {
            server.store().append(USER.0, "INBOX", message(number));
        }
        drop(go_on);
        for expected in 1..=200 {
            assert_eq!(uids.recv_timeout(LONG).unwrap(), expected);
        }
        drop(watcher);
        drop(client);
        until_open(&server, 0);
    });
}

#[test]
fn the_watching_ends_with_its_token_its_view_and_its_client() {
    bounded(|| {
        let server = server_with(1);
        let client = client_with(&server, 4);
        let token = mailpool::CancelToken::new();
        let mut by_stop = client.watch(["INBOX"]).unwrap();
        let mut by_view = client.with_cancel(&token).watch(["INBOX"]).unwrap();
        let mut by_shutdown = client.watch(["INBOX"]).unwrap();
        for watcher in [&mut by_stop, &mut by_view, &mut by_shutdown] {
            begins(watcher, 1);
        }
        assert!(by_stop.next_timeout(SHORT).is_none());
        let stop = by_stop.token().clone();
        elsewhere(move || stop.cancel());
        assert!(by_stop.next().is_none());
        token.cancel();
        assert!(by_view.next().is_none());
        client.shutdown(LONG).unwrap();
        assert!(by_shutdown.next().is_none());
        until_open(&server, 0);
    });
}

#[test]
fn a_watcher_that_waits_for_its_receiver_ends_at_once() {
    bounded(|| {
        let server = server_with(0);
        let client = client_with(&server, 3);
        let mut watcher = client
            .watch_with(["INBOX"], eager().events_waiting(1))
            .unwrap();
        begins(&mut watcher, 1);
        for number in 0..50 {
            server.store().append(USER.0, "INBOX", message(number));
        }
        until("events wait", || {
            format!("{watcher:?}").contains("waiting: 1")
        });
        drop(watcher);
        client.noop().unwrap();
    });
}
