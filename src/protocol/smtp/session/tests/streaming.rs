use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::super::operation::{Failure, Mail, Operation};
use super::super::{Config, Session};
use super::rig::{Rig, STEPS, config, mail, to};
use crate::protocol::machine::{OperationId, Protocol};
use crate::protocol::smtp::content::{Content, ContentSource, Pull};
use crate::wire::outgoing::{Cleaner, Lines};

#[derive(Default)]
struct Tap {
    waiting: VecDeque<Pull>,
    begun: bool,
    dropped: bool,
}

/// A source whose other end the test holds.
struct Source(Arc<Mutex<Tap>>);

impl ContentSource for Source {
    fn next(&mut self) -> Pull {
        let mut tap = self.0.lock().unwrap();
        tap.begun = true;
        tap.waiting.pop_front().unwrap_or(Pull::NotYet)
    }

    fn is_begun(&self) -> bool {
        self.0.lock().unwrap().begun
    }

    fn is_ready(&self) -> bool {
        !self.0.lock().unwrap().waiting.is_empty()
    }

    fn size(&self) -> Option<u64> {
        None
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.0.lock().unwrap().dropped = true;
    }
}

fn stream(rig: &mut Rig) -> (OperationId, Arc<Mutex<Tap>>) {
    let tap = Arc::new(Mutex::new(Tap::default()));
    let content = Content::Stream(Box::new(Source(Arc::clone(&tap))));
    let mail = Mail::new(to(&["bob"]).into(), content);
    let id = rig.submit(Operation::Send(Box::new(mail)));
    (id, tap)
}

fn pour(rig: &mut Rig, tap: &Mutex<Tap>, text: &str) -> Result<(), Failure> {
    let mut pieces = Vec::new();
    let mut cleaner = Cleaner::new(Lines::Normalise);
    let message = Bytes::copy_from_slice(format!("\r\n{text}\r\n").as_bytes());
    cleaner.push(message, &mut pieces).unwrap();
    cleaner.finish(&mut pieces).unwrap();
    let pieces = pieces.into_iter().map(Pull::Piece);
    tap.lock().unwrap().waiting.extend(pieces);
    rig.advance()
}

fn close(rig: &mut Rig, tap: &Mutex<Tap>, pull: Pull) -> Result<(), Failure> {
    tap.lock().unwrap().waiting.push_back(pull);
    rig.advance()
}

fn asked(keywords: &[&str], step: usize) -> (Rig, OperationId, Arc<Mutex<Tap>>) {
    let mut rig = Rig::ready(config(), keywords, step);
    let (id, tap) = stream(&mut rig);
    rig.server("250 ok\r\n");
    rig.client();
    assert!(!tap.lock().unwrap().begun, "read before it is wanted");
    rig.server("250 ok\r\n");
    if !keywords.contains(&"CHUNKING") {
        rig.expect("DATA\r\n");
        rig.server("354 go\r\n");
    }
    assert!(tap.lock().unwrap().begun);
    (rig, id, tap)
}

#[test]
fn a_message_goes_out_as_it_comes() {
    for step in STEPS {
        let (mut rig, id, tap) = asked(&["PIPELINING", "8BITMIME"], step);
        pour(&mut rig, &tap, ".one").unwrap();
        rig.expect("\r\n..one\r\n");
        assert!(!rig.session.accepts(&Operation::Noop));
        pour(&mut rig, &tap, "two").unwrap();
        rig.expect("\r\ntwo\r\n");
        assert!(rig.doors.passed.is_empty());
        close(&mut rig, &tap, Pull::End).unwrap();
        rig.expect(".\r\n");
        assert_eq!(rig.doors.passed, [id]);
        rig.server("250 taken\r\n");
        assert_eq!(rig.report(id).len(), 1);
    }
}

#[test]
fn with_chunking_each_piece_is_a_chunk() {
    for step in STEPS {
        let (mut rig, id, tap) = asked(&["PIPELINING", "CHUNKING", "8BITMIME"], step);
        rig.expect("");
        pour(&mut rig, &tap, ".one").unwrap();
        rig.expect("BDAT 2\r\n\r\nBDAT 6\r\n.one\r\n");
        close(&mut rig, &tap, Pull::End).unwrap();
        rig.expect("BDAT 0 LAST\r\n");
        rig.server("250 ok\r\n250 ok\r\n250 taken\r\n");
        assert_eq!(rig.report(id).len(), 1);
    }
    // Without pipelining each waits for the answer to the one before.
    let (mut rig, id, tap) = {
        let mut rig = Rig::ready(
            Config {
                pipelining: false,
                ..config()
            },
            &["CHUNKING", "8BITMIME"],
            1,
        );
        let (id, tap) = stream(&mut rig);
        rig.server("250 ok\r\n250 ok\r\n");
        rig.client();
        (rig, id, tap)
    };
    pour(&mut rig, &tap, "one").unwrap();
    close(&mut rig, &tap, Pull::End).unwrap();
    rig.expect("BDAT 2\r\n\r\n");
    rig.server("250 ok\r\n");
    rig.expect("BDAT 5\r\none\r\n");
    rig.server("250 ok\r\n");
    rig.expect("BDAT 0 LAST\r\n");
    rig.server("250 taken\r\n");
    rig.report(id);
}

#[test]
fn a_refused_chunk_ends_the_message_and_its_reader() {
    let (mut rig, id, tap) = asked(&["PIPELINING", "CHUNKING", "8BITMIME"], 1);
    pour(&mut rig, &tap, "one").unwrap();
    rig.client();
    rig.server("552 5.3.4 too big\r\n503 5.5.1 no\r\n");
    rig.expect("RSET\r\n");
    assert!(matches!(
        rig.failure(id),
        Failure::Refused { verb: "BDAT", .. }
    ));
    assert!(tap.lock().unwrap().dropped);
    rig.server("250 ok\r\n");
    assert!(rig.session.is_quiet());
}

#[test]
fn a_chunk_that_is_refused_late_does_not_reset_the_next_message() {
    for step in STEPS {
        let (mut rig, id, tap) = asked(&["PIPELINING", "CHUNKING", "8BITMIME"], step);
        pour(&mut rig, &tap, "one").unwrap();
        close(&mut rig, &tap, Pull::End).unwrap();
        rig.expect("BDAT 2\r\n\r\nBDAT 5\r\none\r\nBDAT 0 LAST\r\n");
        let next = || mail(to(&["carol"]), "next\r\n");
        // A refusal has RSET for an answer, and that would be behind the next MAIL.
        assert!(!rig.session.accepts(&next()));
        rig.server("250 ok\r\n");
        assert!(!rig.session.accepts(&next()));
        rig.server("552 5.3.4 too big\r\n");
        rig.expect("RSET\r\n");
        let carol = rig.submit(next());
        rig.expect("MAIL FROM:<alice@example.org>\r\nRCPT TO:<carol@example.net>\r\n");
        rig.server("503 5.5.1 no\r\n250 reset\r\n250 ok\r\n250 ok\r\n");
        rig.expect("BDAT 6 LAST\r\nnext\r\n");
        rig.server("250 taken\r\n");
        assert_eq!(rig.report(carol).len(), 1);
        assert!(matches!(
            rig.failure(id),
            Failure::Refused { verb: "BDAT", .. }
        ));
    }
    // When they are answered, the next one goes out beside the end of this one.
    let (mut rig, id, tap) = asked(&["PIPELINING", "CHUNKING", "8BITMIME"], 1);
    pour(&mut rig, &tap, "one").unwrap();
    close(&mut rig, &tap, Pull::End).unwrap();
    rig.client();
    rig.server("250 ok\r\n250 ok\r\n");
    rig.send(to(&["carol"]), "next\r\n");
    rig.expect("MAIL FROM:<alice@example.org>\r\nRCPT TO:<carol@example.net>\r\n");
    rig.server("250 taken\r\n");
    assert_eq!(rig.report(id).len(), 1);
}

/// A chunk that was refused takes the message back before anybody can answer for a recipient.
#[test]
fn lmtp_has_its_last_chunk_when_the_others_are_answered() {
    let lmtp = || Config {
        lmtp: true,
        ..config()
    };
    for step in STEPS {
        for refused in [false, true] {
            let keywords = ["PIPELINING", "CHUNKING", "8BITMIME"];
            let mut rig = Rig::ready(lmtp(), &keywords, step);
            let tap = Arc::new(Mutex::new(Tap::default()));
            let content = Content::Stream(Box::new(Source(Arc::clone(&tap))));
            let mail = Mail::new(to(&["bob", "carol"]).into(), content);
            let id = rig.submit(Operation::Send(Box::new(mail)));
            rig.server("250 ok\r\n250 ok\r\n250 ok\r\n");
            rig.client();
            pour(&mut rig, &tap, "one").unwrap();
            close(&mut rig, &tap, Pull::End).unwrap();
            rig.expect("BDAT 2\r\n\r\nBDAT 5\r\none\r\n");
            rig.server("250 ok\r\n");
            rig.expect("");
            assert!(!rig.session.is_held_back());
            if refused {
                rig.server("452 4.3.1 full\r\n");
                rig.expect("RSET\r\n");
                rig.server("250 ok\r\n");
                assert!(rig.failure(id).to_string().contains("BDAT"));
            } else {
                rig.server("250 ok\r\n");
                rig.expect("BDAT 0 LAST\r\n");
                rig.server("250 ok\r\n452 full\r\n");
                assert_eq!(rig.report(id).len(), 2);
            }
            assert!(rig.session.is_quiet());
        }
    }
}

#[test]
fn a_refusal_in_the_middle_of_a_message_is_told_as_it_was_said() {
    let (mut rig, id, tap) = asked(&["PIPELINING", "8BITMIME"], 1);
    pour(&mut rig, &tap, "one").unwrap();
    rig.client();
    let result = rig.server_says("552 5.3.4 too big\r\n");
    assert!(matches!(result, Err(Failure::BrokenOff)), "{result:?}");
    match rig.failure(id) {
        Failure::Refused {
            verb: "DATA",
            reply,
        } => assert_eq!(reply.code, 552),
        other => panic!("{other:?}"),
    }
    assert!(tap.lock().unwrap().dropped);
    assert!(rig.session.salvage(rig.output.written()).is_empty());
    rig.expect("");
}

#[test]
fn a_source_that_fails_takes_its_message_back() {
    let (mut rig, id, tap) = asked(&["PIPELINING", "CHUNKING", "8BITMIME"], 1);
    pour(&mut rig, &tap, "one").unwrap();
    rig.client();
    close(&mut rig, &tap, Pull::Broken).unwrap();
    rig.expect("RSET\r\n");
    assert_eq!(rig.withdrawn, [id]);
    rig.server("250 ok\r\n250 ok\r\n250 ok\r\n");
    assert!(rig.session.is_quiet());

    let (mut rig, id, tap) = asked(&["PIPELINING", "8BITMIME"], 1);
    pour(&mut rig, &tap, "one").unwrap();
    rig.client();
    let result = close(&mut rig, &tap, Pull::Broken);
    assert!(matches!(result, Err(Failure::BrokenOff)), "{result:?}");
    rig.expect("");
    assert_eq!(rig.withdrawn, [id]);
}

#[test]
fn bytes_that_the_server_does_not_take_break_it_off() {
    for (keywords, text, missing) in [
        (&["PIPELINING"][..], "grün", "8BITMIME"),
        (&["PIPELINING", "8BITMIME"][..], "\0", "CHUNKING"),
    ] {
        let (mut rig, id, tap) = asked(keywords, 1);
        let result = pour(&mut rig, &tap, text);
        assert!(matches!(result, Err(Failure::BrokenOff)), "{result:?}");
        match rig.failure(id) {
            Failure::Missing(keyword) => assert_eq!(keyword, missing),
            other => panic!("{other:?}"),
        }
        assert!(!rig.client().contains(".\r\n"));
    }
}

#[test]
fn only_a_stream_that_was_not_begun_can_be_sent_elsewhere() {
    let mut rig = Rig::ready(config(), &["PIPELINING"], 1);
    stream(&mut rig);
    rig.server("250 ok\r\n");
    let one = rig.session.salvage(0).remove(0);
    assert!(one.undone && one.again.is_some());

    let (mut rig, _, tap) = asked(&["PIPELINING", "8BITMIME"], 1);
    pour(&mut rig, &tap, "one").unwrap();
    let one = rig.session.salvage(0).remove(0);
    assert!(one.undone && one.again.is_none());
}

#[test]
fn a_fast_source_waits_for_the_socket() {
    let (mut rig, _, tap) = asked(&["PIPELINING", "8BITMIME"], 1);
    for _ in 0..20 {
        pour(&mut rig, &tap, &"x".repeat(64 * 1024)).unwrap();
    }
    assert!(rig.output.len() < 400 * 1024, "{}", rig.output.len());
    assert!(rig.session.is_held_back());
    let _: &Session = &rig.session;
    let mut total = 0;
    while rig.session.is_held_back() || !rig.output.is_empty() {
        total += rig.client().len();
        rig.advance().unwrap();
    }
    assert_eq!(total, 20 * (64 * 1024 + 4));
}
