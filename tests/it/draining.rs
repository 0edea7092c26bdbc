//! Connections that were given back with replies still to come.

use std::io::Read;
use std::time::Duration;

use mailpool::{ErrorKind, Items, Limits, Query, Role, UidSet};

use crate::support::{USER, builder, message, server_with};
use crate::threads::{
    assert_last, bounded, elsewhere, in_scope, large_message, large_server, uids, until,
    until_open, until_received,
};

#[test]
fn a_stream_outlives_its_scope_and_the_connection_is_used_again() {
    bounded(|| {
        let server = large_server(6);
        let client = builder(&server)
            .max_connections_per_server(2)
            .connect()
            .unwrap();
        let mut stream = in_scope(&client, |client, _connection| {
            let inbox = client.mailbox("INBOX");
            inbox.fetch(uids(1, 6), Items::full()).unwrap()
        });
        // All that is to come is kept, although nobody reads.
        in_scope(&client, |client, _connection| {
            client.namespace().map(drop).unwrap()
        });
        assert_eq!(server.counters().accepted, 2);
        assert_eq!(client.stats().reused, 1);
        for number in 1..=6 {
            let message = stream.next().unwrap().unwrap();
            let mut bytes = Vec::new();
            let mut body = message.into_body().unwrap().into_reader();
            body.read_to_end(&mut bytes).unwrap();
            assert!(bytes == large_message(number));
        }
        assert!(stream.next().is_none());
    });
}

#[test]
fn a_stream_that_was_given_up_is_drained_and_the_connection_is_used_again() {
    bounded(|| {
        let server = large_server(6);
        let client = builder(&server)
            .max_connections_per_server(2)
            .connect()
            .unwrap();
        for _ in 0..3 {
            in_scope(&client, |client, _connection| {
                let inbox = client.mailbox("INBOX");
                let mut stream = inbox.fetch(uids(1, 6), Items::full()).unwrap();
                assert_eq!(stream.next().unwrap().unwrap().uid().get(), 1);
            });
        }
        in_scope(&client, |client, _connection| {
            assert_eq!(
                client.mailbox("INBOX").search(Query::all()).unwrap().len(),
                6
            )
        });
        assert_eq!(server.counters().accepted, 2);
        assert_eq!(client.stats().reused, 3);
    });
}

#[test]
fn a_stream_beyond_the_limit_fails_its_reader_and_not_the_connection() {
    bounded(|| {
        let server = large_server(6);
        let client = builder(&server)
            .max_connections_per_server(2)
            .limits(Limits::default().max_buffered_body(2 << 20))
            .connect()
            .unwrap();
        let stream = in_scope(&client, |client, _connection| {
            let inbox = client.mailbox("INBOX");
            inbox.fetch(uids(1, 6), Items::full()).unwrap()
        });
        in_scope(&client, |client, _connection| {
            client.namespace().map(drop).unwrap()
        });
        assert_eq!(server.counters().accepted, 2);
        let mut failure = None;
        for message in stream {
            let read = message.and_then(|message| message.into_body().unwrap().into_bytes());
            if let Err(error) = read {
                failure = Some(error);
            }
        }
        let failure = failure.expect("six times 1 MiB do not go into 2 MiB");
        assert!(
            matches!(failure.kind(), ErrorKind::SlowReader { .. }),
            "{failure:?}"
        );
    });
}

#[test]
fn what_was_sent_before_the_guard_was_dropped_is_done_also_where_nothing_is_parked() {
    bounded(|| {
        let server = server_with(2);
        server.store().append(USER.0, "Archive", message(2));
        let client = builder(&server)
            .max_connections_per_server(2)
            .idle_timeout(Duration::ZERO)
            .connect()
            .unwrap();
        server.faults().hold("SELECT");
        let streams = in_scope(&client, |client, _connection| {
            // The second one stays in the queue until the first one is over.
            ["INBOX", "Archive"].map(|mailbox| {
                let mailbox = client.mailbox(mailbox);
                mailbox.fetch(UidSet::all(), Items::fast()).unwrap()
            })
        });
        server.faults().release("SELECT");
        let counts = streams.map(|stream| stream.map(Result::unwrap).count());
        assert_eq!(counts, [2, 1]);
        until_open(&server, 1);
        until("its permit is free", || client.stats().holders.len() == 1);
        assert_eq!(server.counters().commands("LOGOUT"), 1);
    });
}

#[test]
fn a_connection_with_replies_to_come_is_handed_on_when_they_have_come() {
    bounded(|| {
        let server = server_with(2);
        let client = builder(&server)
            .max_connections_per_server(2)
            .connect()
            .unwrap();
        server.faults().hold("UID FETCH");
        let stream = in_scope(&client, |client, _connection| {
            let inbox = client.mailbox("INBOX");
            inbox.fetch(uids(1, 2), Items::fast()).unwrap()
        });
        until_received(&server, "UID FETCH", 1);
        let copy = client.clone();
        elsewhere(move || {
            let error = copy.try_create_connection().unwrap_err();
            let ErrorKind::NoPermit { holders, .. } = error.kind() else {
                panic!("{error:?}");
            };
            assert_eq!(holders[1].role, Role::Draining);
            assert!(holders[1].activity.starts_with("UID FETCH"), "{holders:?}");
            assert_eq!(copy.stats().parked, 0);
        });
        std::thread::scope(|threads| {
            let taker = threads.spawn(|| {
                let _connection = client.create_connection().unwrap();
                client.namespace().unwrap();
            });
            until("somebody waits for it", || client.stats().waiting == 1);
            server.faults().release("UID FETCH");
            taker.join().unwrap();
        });
        assert_eq!(stream.map(Result::unwrap).count(), 2);
        assert_last(
            &server,
            2,
            &["SELECT", "UID FETCH", "UNSELECT", "NAMESPACE"],
        );
    });
}
