//! Work on many messages over many connections.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use mailpool::{
    Append, CancelToken, Certainty, Error, ErrorKind, Flag, ImapClient, Query, Store, Uid, UidSet,
};
use mailpool_test_server::Server;

use crate::scripted::body;
use crate::support::{USER, builder, message, never, server_with};
use crate::threads::{LONG, bounded, uid, uids, until_open, until_received};

fn client_with(server: &Server, quota: usize) -> ImapClient {
    builder(server)
        .max_connections_per_server(quota)
        .reconnect(never())
        .timeout(LONG)
        .connect()
        .unwrap()
}

fn all(uids: &UidSet) -> Vec<u32> {
    uids.iter().map(Uid::get).collect()
}

#[test]
fn each_message_is_fetched_once_over_as_many_connections_as_there_may_be() {
    bounded(|| {
        let server = server_with(250);
        for quota in [1, 2, 5] {
            let client = client_with(&server, quota);
            let inbox = client.mailbox("INBOX").read_only();
            let seen = Mutex::new(BTreeMap::new());
            let caller = std::thread::current().id();
            let mut reports = Vec::new();
            let outcome = inbox
                .bulk()
                .chunk_size(7)
                .on_progress(|progress| {
                    assert_eq!(std::thread::current().id(), caller);
                    reports.push(progress.clone());
                    // It may use the client.
                    client.noop().unwrap();
                })
                .fetch(UidSet::all(), body(), |message| {
                    let uid = message.uid().get();
                    let bytes = message.into_body().expect("a body").into_bytes()?;
                    assert!(seen.lock().unwrap().insert(uid, bytes).is_none());
                    Ok(())
                })
                .unwrap();
            assert!(outcome.is_complete());
            assert_eq!(all(&outcome.succeeded), (1..=250).collect::<Vec<_>>());
            assert!(outcome.missing.is_empty());
            let seen = seen.into_inner().unwrap();
            for (number, bytes) in &seen {
                assert_eq!(*bytes, message(*number as usize - 1));
            }
            assert_eq!(seen.len(), 250);
            let last = reports.last().unwrap();
            assert_eq!((last.total, last.succeeded, last.failed), (250, 250, 0));
            assert_eq!(reports.len(), 36);
            assert!(client.stats().open <= quota);
            drop((inbox, client));
            until_open(&server, 0);
        }
        assert!(server.counters().peak_open <= 5);
    });
}

#[test]
fn what_fails_is_listed_with_its_error_and_does_not_end_the_rest() {
    bounded(|| {
        let server = server_with(20);
        let client = client_with(&server, 3);
        let inbox = client.mailbox("INBOX");
        let outcome = inbox
            .bulk()
            .chunk_size(4)
            .fetch(uids(1, 30), body(), |message| match message.uid().get() {
                5 => inbox.select().and(Err(Error::from(std::convert::identity(
                    mailpool::MailboxName::new("a\0b").unwrap_err(),
                )))),
                9 => panic!("of a handler"),
                _ => Ok(()),
            })
            .unwrap();
        assert_eq!(all(&outcome.missing), (21..=30).collect::<Vec<_>>());
        let mut failed: BTreeMap<u32, &Error> = BTreeMap::new();
        for (uid, error) in &outcome.failed {
            failed.insert(uid.get(), error);
        }
        assert!(matches!(failed[&5].kind(), ErrorKind::InvalidArgument(_)));
        // The chunk of the panic.
        for number in 9..=12 {
            let kind = failed[&number].kind();
            assert!(matches!(kind, ErrorKind::TaskPanicked { .. }), "{kind:?}");
        }
        assert_eq!(failed.len(), 5);
        assert_eq!(outcome.succeeded.len(), 15);
        assert!(outcome.not_attempted.is_empty() && !outcome.is_complete());
    });
}

#[test]
fn flags_are_changed_and_what_has_changed_meanwhile_is_left_alone() {
    bounded(|| {
        let server = server_with(50);
        let client = client_with(&server, 4);
        let inbox = client.mailbox("INBOX");
        let outcome = inbox
            .bulk()
            .chunk_size(5)
            .store(UidSet::all(), Store::add(Flag::Flagged))
            .unwrap();
        assert_eq!(outcome.succeeded.len(), 50);
        assert_eq!(inbox.search(Query::flagged()).unwrap().len(), 50);
        let before = inbox.select().unwrap().highest_mod_seq.unwrap();
        server.store().set_flags(USER.0, "INBOX", 17, &["\\Seen"]);
        let condition = Store::add(Flag::Answered).unchanged_since(before);
        let outcome = inbox.bulk().store(UidSet::all(), condition).unwrap();
        assert_eq!(outcome.succeeded.len(), 49);
        let [(left_alone, error)] = &outcome.failed[..] else {
            panic!("{outcome:?}");
        };
        assert_eq!(*left_alone, uid(17));
        assert!(matches!(error.kind(), ErrorKind::ChangedMeanwhile));
        assert_eq!(error.certainty(), Certainty::Rejected);
    });
}

#[test]
fn messages_are_copied_and_a_refusal_concerns_its_chunk() {
    bounded(|| {
        let server = server_with(40);
        server.store().create_mailbox(USER.0, "Copies");
        let client = client_with(&server, 3);
        let inbox = client.mailbox("INBOX");
        let outcome = inbox
            .bulk()
            .chunk_size(10)
            .copy(UidSet::all(), "Copies")
            .unwrap();
        assert_eq!(outcome.succeeded.len(), 40);
        assert_eq!(server.store().messages(USER.0, "Copies").len(), 40);
        server
            .faults()
            .respond("UID COPY", "{tag} NO [OVERQUOTA] Full\r\n");
        let outcome = inbox
            .bulk()
            .chunk_size(10)
            .copy(UidSet::all(), "Copies")
            .unwrap();
        assert_eq!((outcome.succeeded.len(), outcome.failed.len()), (30, 10));
        for (_, error) in &outcome.failed {
            assert_eq!(error.certainty(), Certainty::Rejected);
        }
        assert!(inbox.bulk().copy(UidSet::all(), "a\nb").is_err());
    });
}

#[test]
fn messages_are_appended_once_each_and_only_a_few_are_taken_ahead() {
    bounded(|| {
        let server = server_with(0);
        let client = client_with(&server, 3);
        let taken = AtomicUsize::new(0);
        let messages = (0..100).map(|number| {
            let ahead = taken.fetch_add(1, Ordering::SeqCst);
            let there = server.store().messages(USER.0, "INBOX").len();
            assert!(ahead <= there + 4, "{ahead} taken, {there} sent");
            Append::new(message(number))
        });
        let outcome = client.mailbox("INBOX").bulk().append(messages).unwrap();
        let places: Vec<usize> = outcome.succeeded.iter().map(|(place, _)| *place).collect();
        assert_eq!(places, (0..100).collect::<Vec<_>>());
        for (place, uids) in &outcome.succeeded {
            let uid = uids.as_ref().unwrap().uids.at(0).unwrap().get();
            let stored = server.store().message(USER.0, "INBOX", uid).unwrap();
            assert_eq!(stored.bytes(), message(*place));
        }
        assert_eq!(server.store().messages(USER.0, "INBOX").len(), 100);
    });
}

#[test]
fn what_was_not_begun_when_the_work_is_ended_is_not_attempted() {
    bounded(|| {
        let server = server_with(100);
        let client = client_with(&server, 3);
        let token = CancelToken::new();
        let inbox = client.with_cancel(&token).mailbox("INBOX");
        let outcome = inbox
            .bulk()
            .chunk_size(5)
            .on_progress(|progress| {
                if progress.succeeded >= 10 {
                    token.cancel();
                }
            })
            .store(UidSet::all(), Store::add(Flag::Seen))
            .unwrap();
        let begun = outcome.succeeded.len() + outcome.failed.len() as u64;
        assert!((10..=40).contains(&begun), "{begun}");
        assert_eq!(begun + outcome.not_attempted.len(), 100);
        for (_, error) in &outcome.failed {
            assert!(error.is_cancelled(), "{error:?}");
            assert_eq!(error.certainty(), Certainty::MaybeExecuted);
        }
        let appended = inbox.bulk().append([Append::new("a: b\r\n\r\n")]).unwrap();
        assert_eq!(appended.not_attempted, [0]);
        assert!(appended.succeeded.is_empty() && appended.failed.is_empty());
    });
}

#[test]
fn a_change_that_was_written_when_the_work_is_ended_may_have_been_made() {
    bounded(|| {
        let server = server_with(30);
        // One connection for the work: one change at a time.
        let client = client_with(&server, 2);
        let token = CancelToken::new();
        let inbox = client.with_cancel(&token).mailbox("INBOX");
        server.faults().hold("UID STORE");
        let outcome = std::thread::scope(|threads| {
            let work = threads.spawn(|| {
                let bulk = inbox.bulk().chunk_size(5);
                bulk.store(uids(1, 20), Store::add(Flag::Seen)).unwrap()
            });
            until_received(&server, "UID STORE", 1);
            token.cancel();
            work.join().unwrap()
        });
        let failed: Vec<u32> = outcome.failed.iter().map(|(uid, _)| uid.get()).collect();
        assert_eq!(failed, [1, 2, 3, 4, 5]);
        for (_, error) in &outcome.failed {
            assert!(error.is_cancelled(), "{error:?}");
            assert_eq!(error.certainty(), Certainty::MaybeExecuted);
        }
        assert_eq!(all(&outcome.not_attempted), (6..=20).collect::<Vec<_>>());
        assert!(outcome.succeeded.is_empty());
        assert_eq!(server.counters().commands("UID STORE"), 1);
        server.faults().release("UID STORE");
    });
}

#[test]
fn a_set_with_an_open_end_is_what_the_mailbox_has_of_it() {
    bounded(|| {
        let server = server_with(20);
        let client = client_with(&server, 3);
        let inbox = client.mailbox("INBOX");
        assert!(server.store().expunge(USER.0, "INBOX", 18));
        // `*` is the last message, also where it has a lower UID than the beginning of the range
        // (RFC 9051 §6.4.9).
        for (set, expected) in [
            ("15:*", vec![15, 16, 17, 19, 20]),
            ("*", vec![20]),
            ("3,*", vec![3, 20]),
            ("500:*", vec![20]),
        ] {
            let asked: UidSet = set.parse().unwrap();
            let bulk = inbox.bulk().chunk_size(2);
            let outcome = bulk.store(&asked, Store::add(Flag::Flagged)).unwrap();
            assert_eq!(all(&outcome.succeeded), expected, "{set}");
            assert!(outcome.is_complete() && outcome.missing.is_empty());
            let flagged = inbox.search(Query::flagged()).unwrap();
            assert_eq!(all(&flagged), expected, "{set}");
            inbox
                .store(UidSet::all(), Store::remove(Flag::Flagged))
                .unwrap();
        }
        // In a set without one, what is not there is named.
        let outcome = inbox
            .bulk()
            .store(uids(17, 22), Store::add(Flag::Flagged))
            .unwrap();
        assert_eq!(all(&outcome.missing), [18, 21, 22]);
    });
}

#[test]
fn a_connection_that_breaks_costs_its_chunk_and_the_rest_goes_on() {
    bounded(|| {
        let server = server_with(60);
        let client = client_with(&server, 3);
        let inbox = client.mailbox("INBOX");
        server.faults().respond("UID STORE", "* BYE Gone\r\n");
        let outcome = inbox
            .bulk()
            .chunk_size(10)
            .store(UidSet::all(), Store::add(Flag::Seen))
            .unwrap();
        assert_eq!((outcome.succeeded.len(), outcome.failed.len()), (50, 10));
        for (_, error) in &outcome.failed {
            assert!(error.is_connection(), "{error:?}");
            assert_eq!(error.certainty(), Certainty::MaybeExecuted);
        }
    });
}
