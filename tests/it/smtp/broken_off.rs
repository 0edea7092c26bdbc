//! A message that its sender breaks off costs the connection, and nothing else.

use std::io::{self, Read};
use std::time::Duration;

use mailpool::{Backoff, CancelToken, Certainty, ErrorKind, OutgoingMessage};

use super::setup::{builder, server, to};
use crate::threads::LONG;

/// Gives some of a message and then an error.
struct Failing(usize);

impl Read for Failing {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let count = self.0.min(room.len());
        self.0 -= count;
        room[..count].fill(b'\n');
        if count == 0 {
            return Err(io::Error::other("the disk is gone"));
        }
        Ok(count)
    }
}

/// Has its message cancelled and ends.
struct Cancelling<'t>(&'t CancelToken, usize);

impl Read for Cancelling<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.0.cancel();
        let count = self.1.min(room.len());
        self.1 -= count;
        room[..count].fill(b'\n');
        Ok(count)
    }
}

/// The connection is faster than the reader: there is always room for more.
#[test]
fn a_message_is_cancelled_although_nothing_is_waited_for() {
    for without in ["", "CHUNKING"] {
        let server = server().without(without).start().unwrap();
        let client = builder(&server).connect().unwrap();
        for size in [10, 100_000] {
            let token = CancelToken::new();
            let mut reader = Cancelling(&token, size);
            let error = client
                .with_cancel(&token)
                .send(&to(&["bob"]), OutgoingMessage::reader(&mut reader))
                .unwrap_err();
            assert!(error.is_cancelled(), "{error:?}");
            assert_eq!(error.certainty(), Certainty::NotSent);
            assert!(reader.1 > 0 || size == 10, "it was read to its end");
        }
        let _ = client.send(&to(&["bob"]), "Subject: x\r\n\r\n").unwrap();
        assert_eq!(server.deliveries().len(), 1);
    }
}

#[test]
fn readers_that_fail_do_not_make_the_next_sender_wait() {
    for without in ["", "CHUNKING"] {
        let server = server().without(without).start().unwrap();
        // A connection that was lost would be opened anew within the hour.
        let client = builder(&server)
            .reconnect(Backoff::new().first_delay(Duration::from_secs(3600)))
            .max_connections_per_server(1)
            .connect()
            .unwrap();
        for size in [0, 10, 100_000, 2_000_000, 0, 10] {
            let mut reader = Failing(size);
            let error = client
                .send(&to(&["bob"]), OutgoingMessage::reader(&mut reader))
                .unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Read { .. }), "{error:?}");
            assert_eq!(error.certainty(), Certainty::NotSent);
        }
        let report = client.send(&to(&["bob"]), "Subject: x\r\n\r\n").unwrap();
        assert!(report.is_complete());
        assert_eq!(server.deliveries().len(), 1);
        assert_eq!(client.stats().open, 1);
    }
}

/// On a connection that is only opened anew for somebody who waits for it.
#[test]
fn the_next_sender_in_a_scope_is_not_told_of_the_message_that_was_broken_off() {
    let server = server().without("CHUNKING").start().unwrap();
    let client = builder(&server).connect().unwrap();
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let _connection = client.create_connection().unwrap();
            for round in 0..300 {
                let error = client
                    .send(&to(&["bob"]), OutgoingMessage::reader(&mut Failing(10)))
                    .unwrap_err();
                assert!(matches!(error.kind(), ErrorKind::Read { .. }), "{error:?}");
                // However late it comes.
                for _ in 0..round * 60 {
                    std::hint::spin_loop();
                }
                let next = client.send(&to(&["bob"]), "Subject: x\r\n\r\n");
                assert!(next.is_ok(), "round {round}: {next:?}");
            }
        });
    });
}

/// Given back without a socket, it is no connection for the next taker.
#[test]
fn a_connection_that_is_given_back_after_that_gives_its_permit_back() {
    let server = server().start().unwrap();
    let client = builder(&server)
        .max_connections_per_server(2)
        .connect()
        .unwrap();
    for round in 0..100 {
        let taker = || {
            let _connection = client.create_connection_timeout(LONG).unwrap();
            let _ = client.send(&to(&["bob"]), "Subject: x\r\n\r\n").unwrap();
            let error = client
                .send(&to(&["bob"]), OutgoingMessage::reader(&mut Failing(10)))
                .unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Read { .. }), "{error:?}");
            for _ in 0..round * 100 {
                std::hint::spin_loop();
            }
        };
        std::thread::scope(|threads| threads.spawn(taker).join().unwrap());
    }
    assert_eq!(server.deliveries().len(), 100);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let _connection = client.create_connection().unwrap();
            let _ = client.send(&to(&["bob"]), OutgoingMessage::reader(&mut Failing(10)));
            client.shutdown(LONG).unwrap();
        });
    });
}
