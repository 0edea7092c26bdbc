//! Streams that are read slowly, late, in another order or on another thread.

use std::sync::mpsc;
use std::time::Duration;

use mailpool::{ErrorKind, Limits};
use mailpool_test_server::{Counters, Message, Synthetic};

use crate::scripted::{LONG, body, builder, eventually, single, uid};
use crate::streams::server_of;

/// As large as no socket's buffers.
const HUGE: u64 = 192 << 20;

#[test]
fn a_slow_reader_alone_holds_up_its_socket() {
    let server = server_of([Message::synthetic(HUGE, 1)]);
    let client = single(&server);
    let mut messages = client.mailbox("INBOX").fetch([uid(1)], body()).unwrap();
    let body = messages.next().unwrap().unwrap().into_body().unwrap();
    let far = |figures: &Counters| figures.bytes_out > HUGE / 2;
    eventually("as much as it keeps has come", || {
        client.stats().bytes_received >= 1 << 20
    });
    assert!(!server.wait_until(Duration::from_millis(700), far));
    // What the library itself has taken in is bounded far closer.
    assert!(client.stats().bytes_received < 4 << 20);
    // Its thread sleeps, once the system's buffers are full.
    eventually("it sleeps meanwhile", || {
        let wakeups = client.stats().wakeups;
        let still = !server.wait_until(Duration::from_millis(100), far);
        still && client.stats().wakeups == wakeups
    });

    // Reading makes it go on, to the end.
    let mut reader = body.into_reader();
    let mut count = 0;
    while let Some(chunk) = reader.next_chunk().unwrap() {
        count += chunk.len() as u64;
    }
    assert_eq!(count, HUGE);
    assert!(messages.next().is_none());
}

#[test]
fn a_slow_reader_holds_up_nobody_else() {
    const SIZE: u64 = 24 << 20;
    let server = server_of([Message::synthetic(SIZE, 1), Message::text("a", "b")]);
    let client = single(&server);
    let inbox = client.mailbox("INBOX");
    let mut messages = inbox.fetch([uid(1)], body()).unwrap();
    let body_of_first = messages.next().unwrap().unwrap().into_body().unwrap();
    // This thread itself, and others.
    client.noop().unwrap();
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                client.noop().unwrap();
                let mut other = inbox.fetch([uid(2)], body()).unwrap();
                assert_eq!(other.next().unwrap().unwrap().uid(), uid(2));
                client.list("", "*").unwrap();
            });
        }
    });
    // All of it was kept.
    assert!(client.stats().bytes_received > SIZE);
    let mut reader = body_of_first.into_reader();
    let synthetic = Synthetic::new(SIZE, 1);
    let (mut at, mut expected) = (0, vec![0; 1 << 20]);
    while let Some(chunk) = reader.next_chunk().unwrap() {
        let expected = &mut expected[..chunk.len()];
        synthetic.read_at(at, expected);
        assert!(chunk == *expected);
        at += chunk.len() as u64;
    }
    assert_eq!(at, SIZE);
    assert!(messages.next().is_none());
    assert_eq!(server.counters().accepted, 1);
}

#[test]
fn what_is_kept_for_a_slow_reader_is_bounded() {
    let server = server_of([Message::synthetic(24 << 20, 1), Message::text("a", "b")]);
    let client = builder(&server)
        .max_connections_per_server(1)
        .limits(Limits::default().max_buffered_body(3 << 20))
        .connect()
        .unwrap();
    let inbox = client.mailbox("INBOX");
    let mut messages = inbox.fetch([uid(1)], body()).unwrap();
    let slow = messages.next().unwrap().unwrap().into_body().unwrap();
    client.noop().unwrap();
    assert_eq!(inbox.fetch([uid(2)], body()).unwrap().count(), 1);
    let mut reader = slow.into_reader();
    let mut kept = 0;
    let error = loop {
        match reader.next_chunk() {
            Ok(Some(chunk)) => kept += chunk.len(),
            Ok(None) => panic!("the body is not complete"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error.kind(), ErrorKind::SlowReader { limit } if *limit == 3 << 20));
    assert!((2 << 20..5 << 20).contains(&kept), "{kept} bytes were kept");
    assert!(messages.next().is_none());
    // The same again, read in time.
    let message = inbox.fetch([uid(1)], body()).unwrap().next().unwrap();
    let bytes = message.unwrap().into_body().unwrap().into_bytes().unwrap();
    assert_eq!(bytes.len(), 24 << 20);
    assert_eq!(server.counters().accepted, 1);
}

/// Of two replies on one connection the later one is read first.
#[test]
fn streams_may_be_read_in_another_order() {
    const SIZE: u64 = 4 << 20;
    let server = server_of((0..2).map(|seed| Message::synthetic(SIZE, seed)));
    let client = single(&server);
    let inbox = client.mailbox("INBOX");
    let mut first = inbox.fetch([uid(1)], body()).unwrap();
    let mut second = inbox.fetch([uid(2)], body()).unwrap();
    for (messages, seed) in [(&mut second, 1), (&mut first, 0)] {
        let message = messages.next().unwrap().unwrap();
        let bytes = message.into_body().unwrap().into_bytes().unwrap();
        let mut expected = vec![0; SIZE as usize];
        Synthetic::new(SIZE, seed).read_at(0, &mut expected);
        assert!(bytes == expected);
    }
    assert!(first.next().is_none() && second.next().is_none());
    assert_eq!(server.counters().accepted, 1);
}

/// A stream may be read on another thread than the one that asked for it, while that one goes
/// on.
#[test]
fn a_stream_may_change_threads() {
    let server = server_of([Message::synthetic(8 << 20, 1)]);
    let client = single(&server);
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let mut messages = client.mailbox("INBOX").fetch([uid(1)], body()).unwrap();
            let message = messages.next().unwrap().unwrap();
            sender.send((messages, message)).unwrap();
            for _ in 0..20 {
                client.noop().unwrap();
            }
        });
        let (mut messages, message) = receiver.recv_timeout(LONG).unwrap();
        let bytes = message.into_body().unwrap().into_bytes().unwrap();
        assert_eq!(bytes.len(), 8 << 20);
        assert!(messages.next().is_none());
    });
}

/// A connection scope is given back with a stream that nobody reads: the next taker gets it.
#[test]
fn a_scope_is_given_back_in_the_middle_of_a_stream() {
    let server = server_of([Message::synthetic(8 << 20, 1)]);
    let client = builder(&server)
        .max_connections_per_server(2)
        .connect()
        .unwrap();
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for _ in 0..3 {
                let scope = client.create_connection().unwrap();
                let mut messages = client.mailbox("INBOX").fetch([uid(1)], body()).unwrap();
                let message = messages.next().unwrap().unwrap();
                drop(scope);
                // The reply is buffered while the connection is on its way to the next taker.
                let next = client.create_connection().unwrap();
                client.noop().unwrap();
                drop(next);
                let bytes = message.into_body().unwrap().into_bytes().unwrap();
                assert_eq!(bytes.len(), 8 << 20);
            }
        });
    });
    assert_eq!(server.counters().peak_open, 2);
    assert_eq!(server.counters().accepted, 2);
}

/// A reader was too slow, and now the server has stalled: those who come later are not held up by
/// an answer that nobody gets any more.
#[test]
fn a_stalled_server_is_left_although_its_oldest_answer_was_given_up() {
    const SOON: Duration = Duration::from_millis(300);
    let server = server_of([Message::synthetic(24 << 20, 1)]);
    let client = builder(&server)
        .max_connections_per_server(1)
        .limits(Limits::default().max_buffered_body(3 << 20))
        .stall_timeout(SOON)
        .shutdown_timeout(SOON)
        .connect()
        .unwrap();
    server.faults_for(1).stall_after(12 << 20);
    let mut messages = client.mailbox("INBOX").fetch([uid(1)], body()).unwrap();
    let slow = messages.next().unwrap().unwrap().into_body().unwrap();
    // Somebody waits behind it, so that it has to be buffered.
    client.with_timeout(5 * SOON).noop().unwrap_err();
    let mut reader = slow.into_reader();
    let error = loop {
        match reader.next_chunk() {
            Ok(chunk) => assert!(chunk.is_some(), "the server has stalled"),
            Err(error) => break error,
        }
    };
    assert!(
        matches!(error.kind(), ErrorKind::SlowReader { .. }),
        "{error:?}"
    );
    drop((reader, messages));
    eventually("another connection does it", || {
        client.with_timeout(SOON).noop().is_ok()
    });
}
