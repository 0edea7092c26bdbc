//! Many messages at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use mailpool::{Backoff, CancelToken};

use super::setup::{builder, server, to};
use crate::support::never;
use crate::threads::{LONG, SHORT, bounded, until_received};

/// A connection that has nothing to do is given back, and no other one takes its place.
#[test]
fn no_connection_is_opened_for_messages_that_are_under_way_on_another() {
    bounded(|| {
        let server = server().start().unwrap();
        let client = builder(&server)
            .max_connections_per_server(3)
            .idle_timeout(Duration::ZERO)
            .reconnect(never())
            .connect()
            .unwrap();
        server.faults().hold("MAIL");
        std::thread::scope(|threads| {
            let sending = threads.spawn(|| {
                let messages = (0..2).map(|number| (to(&["bob"]), format!("X: {number}\r\n\r\n")));
                client.send_all(messages).unwrap()
            });
            until_received(&server, "MAIL", 1);
            assert!(!server.wait_until(10 * SHORT, |counters| counters.accepted > 3));
            // Nor are attempts made one after the other where nobody answers.
            server.refuse_connections(true).unwrap();
            let before = client.stats().opened;
            assert!(!server.wait_until(10 * SHORT, |_| client.stats().opened > before + 3));
            server.faults().release("MAIL");
            assert!(sending.join().unwrap().is_complete());
        });
        assert_eq!(server.deliveries().len(), 2);
    });
}

/// A server that refuses everything for the time being does not make the whole list wait in memory.
#[test]
fn messages_that_wait_to_be_tried_again_are_bounded() {
    bounded(|| {
        let server = server().start().unwrap();
        server
            .faults()
            .refuse_sender("alice@example.org", "450 4.2.0 later");
        let client = builder(&server)
            .max_connections_per_server(3)
            .connect()
            .unwrap();
        let token = CancelToken::new();
        let view = client.with_cancel(&token);
        let taken = AtomicUsize::new(0);
        let outcome = std::thread::scope(|threads| {
            let sending = threads.spawn(|| {
                let messages = (0..5_000).map(|number| {
                    taken.fetch_add(1, Ordering::SeqCst);
                    (to(&["bob"]), format!("X: {number}\r\n\r\n"))
                });
                let patient = Backoff::new()
                    .first_delay(Duration::from_secs(100_000))
                    .max_delay(Duration::from_secs(100_000));
                view.bulk().retry(patient).send_all(messages).unwrap()
            });
            let taken = || taken.load(Ordering::SeqCst);
            assert!(server.wait_until(LONG, |_| taken() >= 1_000));
            assert!(!server.wait_until(10 * SHORT, |_| taken() > 1_100));
            token.cancel();
            sending.join().unwrap()
        });
        assert!(outcome.succeeded.is_empty());
        assert!(outcome.failed.len() >= 1_000, "{}", outcome.failed.len());
        assert!(outcome.failed[0].1.is_transient_refusal());
    });
}

/// A server that allows one connection only is no reason to fail.
#[test]
fn without_further_connections_the_main_one_has_to_do() {
    bounded(|| {
        let server = server().max_connections(1).start().unwrap();
        let client = builder(&server)
            .max_connections_per_server(4)
            .reconnect(never())
            // So long each of them waits for a connection.
            .timeout(10 * SHORT)
            .connect()
            .unwrap();
        let messages = (0..100).map(|number| (to(&["bob"]), format!("X: {number}\r\n\r\n")));
        let outcome = client.send_all(messages).unwrap();
        assert!(outcome.is_complete(), "{:?}", outcome.failed);
        assert!(server.deliveries().iter().all(|one| one.connection == 1));
    });
}

/// About 2 MB, in lines that are as long as they may be.
fn large() -> Bytes {
    Bytes::from(format!("\r\n{}", "x".repeat(998)).repeat(2100))
}

#[test]
fn messages_of_any_size_are_divided_among_all_connections() {
    bounded(|| {
        let server = server().start().unwrap();
        let client = builder(&server)
            .max_connections_per_server(6)
            .connect()
            .unwrap();
        server.faults().hold("MAIL");
        let large = large();
        std::thread::scope(|threads| {
            let sending = threads.spawn(|| {
                let messages = (0..20).map(|_| (to(&["bob"]), large.clone()));
                client.send_all(messages).unwrap()
            });
            // One waits on each of them.
            until_received(&server, "MAIL", 5);
            server.faults().release("MAIL");
            assert!(sending.join().unwrap().is_complete());
        });
        assert_eq!(server.deliveries().len(), 20);
    });
}

/// An iterator may give a message only when it knows what became of the one before.
#[test]
fn a_message_is_sent_although_the_next_one_has_not_come() {
    for quota in [1, 4] {
        bounded(move || {
            let server = server().start().unwrap();
            let client = builder(&server)
                .max_connections_per_server(quota)
                .connect()
                .unwrap();
            let messages = (0..5).map(|number| {
                let arrived = || server.deliveries().len() >= number;
                assert!(
                    server.wait_until(LONG, |_| arrived()),
                    "{number} is missing"
                );
                (to(&["bob"]), format!("X: {number}\r\n\r\n"))
            });
            assert!(client.send_all(messages).unwrap().is_complete());
        });
    }
}

/// A server that has no time for anybody does not have the whole list read into memory.
#[test]
fn only_so_many_messages_wait_to_be_tried_again() {
    bounded(|| {
        let server = server().start().unwrap();
        let client = builder(&server)
            .max_connections_per_server(2)
            .connect()
            .unwrap();
        server
            .faults()
            .respond_always("MAIL", "451 4.3.0 Later\r\n");
        let day = Duration::from_secs(24 * 3600);
        let within_days = Backoff::new().first_delay(10 * day).max_delay(10 * day);
        let (taken, token) = (AtomicUsize::new(0), CancelToken::new());
        let large = large();
        let outcome = std::thread::scope(|threads| {
            let sending = threads.spawn(|| {
                let messages = (0..200).map(|_| {
                    taken.fetch_add(1, Ordering::SeqCst);
                    (to(&["bob"]), large.clone())
                });
                client
                    .with_cancel(&token)
                    .bulk()
                    .retry(within_days)
                    .send_all(messages)
                    .unwrap()
            });
            until_received(&server, "MAIL", 8);
            let all = || taken.load(Ordering::SeqCst) == 200;
            assert!(!server.wait_until(10 * SHORT, |_| all()));
            token.cancel();
            sending.join().unwrap()
        });
        let taken = taken.into_inner();
        assert_eq!(outcome.failed.len() + outcome.not_attempted.len(), taken);
        assert!(outcome.succeeded.is_empty() && taken < 20, "{taken}");
    });
}
