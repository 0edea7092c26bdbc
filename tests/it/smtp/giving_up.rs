//! Sending that is given up: by a token, a deadline, a reader that fails, the end of the client.

use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use mailpool::{CancelToken, Certainty, ErrorKind, OutgoingMessage, SmtpClient};
use mailpool_test_server::Server;

use super::setup::{builder, client, server, to};
use crate::support::quick;
use crate::threads::{LONG, SHORT, bounded, until_received};

const TEXT: &str = "Subject: given up\r\n\r\nText\r\n";

/// The client goes on: one more message arrives, and it is the only one.
#[track_caller]
fn goes_on(server: &Server, client: &SmtpClient, before: usize) {
    let report = client.send(&to(&["next"]), TEXT).unwrap();
    assert!(report.is_complete());
    assert_eq!(server.deliveries().len(), before + 1);
    assert!(server.violations().is_empty(), "{:?}", server.violations());
}

/// Cancels a call while the server holds a command, and says how it ended.
fn cancelled_at(server: &Server, client: &SmtpClient, verb: &str) -> (Certainty, bool) {
    server.faults().hold(verb);
    let before = server.counters().commands(verb);
    let token = CancelToken::new();
    let error = std::thread::scope(|threads| {
        let view = client.with_cancel(&token);
        let sending = threads.spawn(move || view.send(&to(&["bob"]), TEXT).unwrap_err());
        until_received(server, verb, before + 1);
        token.cancel();
        sending.join().unwrap()
    });
    server.faults().release(verb);
    (error.certainty(), error.is_cancelled())
}

#[test]
fn before_the_end_of_the_message_nothing_is_delivered() {
    bounded(|| {
        for (without, verbs) in [
            ("", &["MAIL", "RCPT"][..]),
            ("CHUNKING", &["MAIL", "RCPT", "DATA"]),
            ("PIPELINING", &["MAIL", "RCPT"]),
        ] {
            let server = server().without(without).start().unwrap();
            let client = builder(&server).reconnect(quick()).connect().unwrap();
            for (before, verb) in verbs.iter().enumerate() {
                let told = cancelled_at(&server, &client, verb);
                assert_eq!(told, (Certainty::NotSent, true), "{verb}");
                goes_on(&server, &client, before);
            }
        }
    });
}

#[test]
fn behind_the_end_of_the_message_it_is_unknown_and_the_connection_goes_on() {
    bounded(|| {
        for without in ["", "CHUNKING"] {
            let server = server().without(without).start().unwrap();
            let client = client(&server);
            let told = cancelled_at(&server, &client, ".");
            assert_eq!(told, (Certainty::MaybeExecuted, true));
            goes_on(&server, &client, 1);
            assert_eq!(server.counters().accepted, 1);
        }
    });
}

#[test]
fn a_deadline_ends_the_wait_for_each_answer() {
    bounded(|| {
        let server = server().start().unwrap();
        let client = builder(&server).reconnect(quick()).connect().unwrap();
        let view = client.with_timeout(SHORT);
        for (verb, certainty) in [
            ("RCPT", Certainty::NotSent),
            (".", Certainty::MaybeExecuted),
        ] {
            server.faults().hold(verb);
            let error = view.send(&to(&["bob"]), TEXT).unwrap_err();
            // On a slow machine the time can be over before anything is written.
            let right = error.certainty() == certainty || error.certainty() == Certainty::NotSent;
            assert!(error.is_timeout() && right, "{error:?}");
            server.faults().release(verb);
            client.noop().unwrap();
        }
        let before = server.deliveries().len();
        goes_on(&server, &client, before);
    });
}

/// Gives some bytes, then does something else.
struct Then<F>(usize, F);

impl<F: FnMut() -> io::Result<usize>> Read for Then<F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.0 == 0 {
            into[0] = b'x';
            return (self.1)();
        }
        let count = self.0.min(into.len());
        for (place, byte) in into[..count].iter_mut().zip(b"\r\nline".iter().cycle()) {
            *place = *byte;
        }
        self.0 -= count;
        Ok(count)
    }
}

const SIZES: [usize; 3] = [0, 600, 3_000_000];

#[test]
fn a_reader_that_fails_takes_its_message_back() {
    bounded(|| {
        for without in ["", "CHUNKING"] {
            let server = server().without(without).start().unwrap();
            let client = builder(&server).reconnect(quick()).connect().unwrap();
            for (before, size) in SIZES.into_iter().enumerate() {
                let mut reader = Then(size, || Err(io::Error::other("the disk is gone")));
                let result = client.send(&to(&["bob"]), OutgoingMessage::reader(&mut reader));
                let error = result.unwrap_err();
                assert_eq!(error.certainty(), Certainty::NotSent);
                let ErrorKind::Read { source } = error.kind() else {
                    panic!("{error:?}");
                };
                assert_eq!(source.to_string(), "the disk is gone");
                goes_on(&server, &client, before);
            }
            // Between two chunks a message can be taken back without the connection.
            assert!(!without.is_empty() || server.counters().accepted == 1);
        }
    });
}

#[test]
fn a_panic_of_a_reader_is_the_callers_and_takes_the_message_back() {
    bounded(|| {
        for without in ["", "CHUNKING"] {
            let server = server().without(without).start().unwrap();
            let client = builder(&server).reconnect(quick()).connect().unwrap();
            for (before, size) in SIZES.into_iter().enumerate() {
                let mut reader = Then(size, || panic!("by the reader"));
                let result = catch_unwind(AssertUnwindSafe(|| {
                    client.send(&to(&["bob"]), OutgoingMessage::reader(&mut reader))
                }));
                let panic = result.unwrap_err();
                assert_eq!(*panic.downcast::<&str>().unwrap(), "by the reader");
                goes_on(&server, &client, before);
            }
        }
    });
}

/// The token is looked at between two reads.
#[test]
fn a_reader_is_not_asked_again_when_the_call_is_cancelled() {
    bounded(|| {
        for without in ["", "CHUNKING"] {
            let server = server().without(without).start().unwrap();
            let client = builder(&server).reconnect(quick()).connect().unwrap();
            let token = CancelToken::new();
            // It never comes to its end, and there is always room for more.
            let mut asked = 0;
            let mut reader = Then(100_000, || {
                asked += 1;
                token.cancel();
                Ok(1)
            });
            let view = client.with_cancel(&token);
            let result = view.send(&to(&["bob"]), OutgoingMessage::reader(&mut reader));
            let error = result.unwrap_err();
            assert!(error.is_cancelled(), "{error:?}");
            assert_eq!(error.certainty(), Certainty::NotSent);
            assert_eq!(asked, 1);
            goes_on(&server, &client, 0);
        }
    });
}

/// Of what was cancelled or shut down before its turn, bulk sending says that it was not tried.
#[test]
fn what_bulk_sending_has_not_begun_is_not_attempted() {
    bounded(|| {
        for shuts_down in [false, true] {
            let server = server().start().unwrap();
            let client = builder(&server)
                .max_connections_per_server(3)
                .shutdown_timeout(Duration::ZERO)
                .connect()
                .unwrap();
            let token = CancelToken::new();
            server.faults().hold("RCPT");
            let mut taken = 0;
            let outcome = std::thread::scope(|threads| {
                let view = client.with_cancel(&token);
                let taken = &mut taken;
                let sending = threads.spawn(move || {
                    let messages = (0..1_000).inspect(|_| *taken += 1);
                    let messages = messages.map(|_| (to(&["bob"]), TEXT.as_bytes().to_vec()));
                    view.send_all(messages).unwrap()
                });
                until_received(&server, "RCPT", 1);
                match shuts_down {
                    true => drop(client.shutdown(SHORT)),
                    false => token.cancel(),
                }
                sending.join().unwrap()
            });
            assert!(outcome.succeeded.is_empty(), "{outcome:?}");
            let told = outcome.failed.len() + outcome.not_attempted.len();
            assert_eq!(told, taken);
            assert!(taken < 50, "{taken} taken ahead");
            assert!(!outcome.not_attempted.is_empty());
            for (_, error) in &outcome.failed {
                assert_eq!(error.certainty(), Certainty::NotSent, "{error:?}");
            }
            server.faults().release("RCPT");
            drop(client);
            assert!(server.wait_until(LONG, |now| now.open == 0 && now.sessions == 0));
            assert!(server.deliveries().is_empty());
        }
    });
}
