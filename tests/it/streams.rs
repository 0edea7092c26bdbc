//! Messages as they arrive, large bodies, slow readers.

use std::io::Read;
use std::num::NonZeroU32;

use bytes_of::{pattern, tricky};
use mailpool::{ErrorKind, Flag, ImapClient, Items, Limits, PartPath, Partial, Section, UidSet};
use mailpool_test_server::{Layer, Message, ScriptServer, Server, Synthetic};

use crate::scripted::{LONG, body, builder, logged_in, logout, select, single, uid};
use crate::support::USER;

/// Bodies to compare with.
mod bytes_of {
    /// `size` bytes of every value, CR, LF and NUL among them.
    pub(super) fn pattern(size: usize) -> Vec<u8> {
        (0..size).map(|at| (at * 31 + at / 251) as u8).collect()
    }

    /// `size` bytes that look like what else a server says.
    pub(super) fn tricky(size: usize) -> Vec<u8> {
        let lines = b")\r\nM1 OK done\r\nM3 BAD no\r\n* 1 FETCH (UID 9 BODY[] {3}\r\nabc)\r\n\
                      * BYE\r\n+ go on\r\n\"\\\" {99999}\r\n";
        lines.iter().copied().cycle().take(size).collect()
    }
}

/// Sizes around everything that the library has a threshold for.
const SIZES: [usize; 15] = [
    0, 1, 2, 4_095, 4_096, 4_097, 65_535, 65_536, 65_537, 262_143, 262_144, 262_145, 1_048_575,
    1_048_577, 5_000_011,
];

pub(crate) fn server_of(messages: impl IntoIterator<Item = Message>) -> Server {
    Server::builder()
        .user(USER.0, USER.1)
        .mailbox(USER.0, "INBOX", messages)
        .start()
        .expect("the embedded server starts")
}

/// Fetches every message and compares it, in all the ways in which a body can be read.
fn compare_all(client: &ImapClient, expected: &[Vec<u8>], threshold: usize) {
    let inbox = client.mailbox("INBOX");
    for way in 0..3 {
        let mut count = 0;
        for (message, expected) in inbox.fetch(UidSet::all(), body()).unwrap().zip(expected) {
            let body = message.unwrap().into_body().unwrap();
            assert_eq!(body.len(), expected.len() as u64);
            assert_eq!(body.is_streamed(), expected.len() > threshold);
            let bytes = match way {
                0 => body.into_bytes().unwrap().to_vec(),
                1 => {
                    let mut bytes = Vec::new();
                    body.into_reader().read_to_end(&mut bytes).unwrap();
                    bytes
                }
                _ => {
                    let mut reader = body.into_reader();
                    let mut bytes = Vec::new();
                    while let Some(chunk) = reader.next_chunk().unwrap() {
                        assert!(!chunk.is_empty());
                        bytes.extend_from_slice(&chunk);
                    }
                    bytes
                }
            };
            assert!(bytes == *expected, "{} bytes differ", expected.len());
            count += 1;
        }
        assert_eq!(count, expected.len());
    }
}

#[test]
fn bodies_of_every_size_are_exact() {
    let bodies: Vec<Vec<u8>> = SIZES
        .iter()
        .flat_map(|size| [pattern(*size), tricky(*size)])
        .collect();
    let server = server_of(bodies.iter().cloned().map(Message::new));
    compare_all(&single(&server), &bodies, 256 << 10);
    for threshold in [0, 1, 4_096, 65_536, 2 << 20] {
        let client = builder(&server)
            .limits(Limits::default().stream_threshold(threshold))
            .connect()
            .unwrap();
        compare_all(&client, &bodies, threshold);
    }
}

#[test]
fn bodies_are_exact_however_the_bytes_arrive() {
    let bodies: Vec<Vec<u8>> = [0, 1, 99, 100, 101, 4_095, 4_096, 4_097, 20_000]
        .iter()
        .flat_map(|size| [pattern(*size), tricky(*size)])
        .collect();
    let server = server_of(bodies.iter().cloned().map(Message::new));
    for split in [1, 2, 3, 7, 100, 4_096] {
        server.faults().split(Layer::Wire, Some(split));
        for threshold in [0, 100, 4_096] {
            let client = builder(&server)
                .limits(Limits::default().stream_threshold(threshold))
                .connect()
                .unwrap();
            compare_all(&client, &bodies, threshold);
        }
    }
}

/// The server sends the third message only after the first two have been yielded.
#[test]
fn messages_are_yielded_as_they_arrive() {
    let script = select(logged_in(""), 3)
        .expect("{tag} UID FETCH 1:3 (UID BODY.PEEK[])")
        .send("* 1 FETCH (UID 1 BODY[] {3}\r\none)\r\n* 2 FETCH (UID 2 BODY[] {3}\r\ntwo)\r\n")
        .expect("{tag2} NOOP")
        .send("* 3 FETCH (UID 3 BODY[] {5}\r\nthree)\r\n{tag} OK done\r\n{tag2} OK done\r\n");
    let server = ScriptServer::start([logout(script)]).unwrap();
    let client = single(&server);
    let mut messages = client
        .mailbox("INBOX")
        .fetch(UidSet::from_range(uid(1)..=uid(3)), body())
        .unwrap();
    for (number, expected) in [(1, "one"), (2, "two")] {
        let message = messages.next().unwrap().unwrap();
        assert_eq!((message.uid(), message.seq().get()), (uid(number), number));
        assert_eq!(message.into_body().unwrap().into_bytes().unwrap(), expected);
    }
    client.noop().unwrap();
    let third = messages.next().unwrap().unwrap();
    assert_eq!(third.body().unwrap().bytes().unwrap(), "three");
    assert!(messages.next().is_none());
    assert!(messages.next().is_none());
    drop((messages, client));
    server.finish(LONG).unwrap();
}

/// So are the bytes of one message.
#[test]
fn a_streamed_body_is_yielded_before_it_has_come() {
    let script = select(logged_in(""), 1)
        .expect("{tag} UID FETCH 1 (UID BODY.PEEK[])")
        .send("* 1 FETCH (UID 1 BODY[] {10}\r\nfirst")
        .expect("{tag2} NOOP")
        .send("later)\r\n{tag} OK done\r\n{tag2} OK done\r\n");
    let server = ScriptServer::start([logout(script)]).unwrap();
    let client = builder(&server)
        .max_connections_per_server(1)
        .limits(Limits::default().stream_threshold(4))
        .connect()
        .unwrap();
    let mut messages = client.mailbox("INBOX").fetch([uid(1)], body()).unwrap();
    let body = messages.next().unwrap().unwrap().into_body().unwrap();
    let mut reader = body.into_reader();
    let mut begin = [0; 5];
    reader.read_exact(&mut begin).unwrap();
    assert_eq!(&begin, b"first");
    client.noop().unwrap();
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "later");
    drop((reader, messages, client));
    server.finish(LONG).unwrap();
}

#[test]
fn what_follows_a_streamed_body_is_told_by_finish() {
    let server = server_of([Message::text("a", "b")]);
    let client = builder(&server)
        .limits(Limits::default().stream_threshold(4))
        .connect()
        .unwrap();
    let part = |number| Section::full().within(PartPath::new([number]).unwrap());
    let answer = "* 1 FETCH (UID 1 BODY[1] {2}\r\nhi BODY[2] {6}\r\nsecond FLAGS (\\Seen) BODY[3] \
                  {5}\r\nthird BODY[4] {3}\r\nend RFC822.SIZE 7)\r\n{tag} OK done\r\n";
    server.faults().respond_always("UID FETCH", answer);
    let inbox = client.mailbox("INBOX");

    // Everything, in the order of the response.
    let mut messages = inbox.fetch([uid(1)], body()).unwrap();
    let message = messages.next().unwrap().unwrap();
    assert_eq!(message.section(&part(1)).unwrap().bytes().unwrap(), "hi");
    assert_eq!((message.flags(), message.size()), (None, None));
    let reader = message.into_section(&part(2)).unwrap().into_reader();
    let message = reader.finish().unwrap().expect("something follows");
    assert!(message.flags().unwrap().contains(&Flag::Seen));
    assert_eq!(message.uid(), uid(1));
    let mut reader = message.into_section(&part(3)).unwrap().into_reader();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "third");
    let message = reader.finish().unwrap().expect("something follows");
    assert_eq!(message.size(), Some(7));
    assert_eq!(message.section(&part(4)).unwrap().bytes().unwrap(), "end");
    assert!(messages.next().is_none());

    // A body in memory has nothing behind it.
    let message = inbox.fetch([uid(1)], body()).unwrap().next().unwrap();
    let reader = message
        .unwrap()
        .into_section(&part(1))
        .unwrap()
        .into_reader();
    assert!(reader.finish().unwrap().is_none());

    // Passed over with both its streams.
    let mut messages = inbox.fetch([uid(1)], body()).unwrap();
    let first = messages.next().unwrap().unwrap();
    assert!(messages.next().is_none());
    let late = first
        .into_section(&part(2))
        .unwrap()
        .into_bytes()
        .unwrap_err();
    assert!(matches!(late.kind(), ErrorKind::PassedOver), "{late:?}");
    client.noop().unwrap();
    assert_eq!(server.counters().accepted, 1);
}

#[test]
fn a_streamed_body_that_is_passed_over_holds_nobody_up() {
    let sizes = [300_000_u64, 3_000_000, 300_001];
    let server = server_of(sizes.iter().map(|size| Message::synthetic(*size, *size)));
    let client = single(&server);
    let mut messages = client
        .mailbox("INBOX")
        .fetch(UidSet::all(), body())
        .unwrap();
    let mut late = Vec::new();
    for size in sizes {
        let body = messages.next().unwrap().unwrap().into_body().unwrap();
        assert_eq!(body.len(), size);
        let mut reader = body.into_reader();
        let mut begin = [0; 100];
        reader.read_exact(&mut begin).unwrap();
        let mut expected = [0; 100];
        Synthetic::new(size, size).read_at(0, &mut expected);
        assert_eq!(begin, expected);
        late.push(reader);
    }
    assert!(messages.next().is_none());
    for mut reader in late {
        // What had been taken from the connection may still be read.
        let error = std::iter::from_fn(|| reader.next_chunk().transpose())
            .find_map(Result::err)
            .expect("it has been passed over");
        assert!(matches!(error.kind(), ErrorKind::PassedOver), "{error:?}");
    }
    client.noop().unwrap();
    assert_eq!(server.counters().accepted, 1);
}

#[test]
fn an_iterator_that_is_dropped_gives_the_rest_up() {
    let server = server_of((0..20).map(|seed| Message::synthetic(1_000_000, seed)));
    let client = single(&server);
    let inbox = client.mailbox("INBOX");
    // Before anything came, after a message, in the middle of a body.
    drop(inbox.fetch(UidSet::all(), body()).unwrap());
    client.noop().unwrap();
    drop(inbox.fetch(UidSet::all(), body()).unwrap().next());
    client.noop().unwrap();
    let message = inbox.fetch(UidSet::all(), body()).unwrap().next().unwrap();
    let mut reader = message.unwrap().into_body().unwrap().into_reader();
    reader.next_chunk().unwrap();
    drop(reader);
    let message = inbox.fetch([uid(20)], body()).unwrap().next().unwrap();
    let bytes = message.unwrap().into_body().unwrap().into_bytes().unwrap();
    let mut expected = vec![0; 1_000_000];
    Synthetic::new(1_000_000, 19).read_at(0, &mut expected);
    assert!(bytes == expected);
    assert_eq!(server.counters().accepted, 1);
}

#[test]
fn a_reader_outlives_its_iterator() {
    let server = server_of([Message::synthetic(2_000_000, 5), Message::text("a", "b")]);
    let client = single(&server);
    let message = client
        .mailbox("INBOX")
        .fetch(UidSet::all(), body())
        .unwrap()
        .next()
        .unwrap();
    let bytes = message.unwrap().into_body().unwrap().into_bytes().unwrap();
    let mut expected = vec![0; 2_000_000];
    Synthetic::new(2_000_000, 5).read_at(0, &mut expected);
    assert!(bytes == expected);
    client.noop().unwrap();
}

#[test]
fn a_part_of_a_body_is_streamed_too() {
    let server = server_of([Message::synthetic(3_000_000, 5)]);
    let client = single(&server);
    let partial = Partial::new(1_000_003, NonZeroU32::new(900_001).unwrap());
    let items = Items::new().flags().peek_partial(Section::full(), partial);
    let mut messages = client.mailbox("INBOX").fetch([uid(1)], items).unwrap();
    let body = messages.next().unwrap().unwrap().into_body().unwrap();
    assert!(body.is_streamed());
    assert_eq!(
        (body.partial_origin(), body.len()),
        (Some(1_000_003), 900_001)
    );
    let mut expected = vec![0; 900_001];
    Synthetic::new(3_000_000, 5).read_at(1_000_003, &mut expected);
    assert!(body.into_bytes().unwrap() == expected);
}

/// Where a server says the UID after a body that is to be streamed, the body is kept until
/// then.
#[test]
fn a_uid_may_follow_its_body() {
    let server = server_of([Message::text("a", "b"), Message::text("c", "d")]);
    let client = builder(&server)
        .limits(Limits::default().stream_threshold(4))
        .connect()
        .unwrap();
    let answer = "* 1 FETCH (FLAGS () BODY[] {8}\r\nstreamed RFC822.SIZE 8 UID 1)\r\n\
                  * 2 FETCH (BODY[] {3}\r\ntwo UID 2)\r\n{tag} OK done\r\n";
    server.faults().respond("UID FETCH", answer);
    let mut messages = client
        .mailbox("INBOX")
        .fetch(UidSet::all(), body())
        .unwrap();
    for (number, text) in [(1, "streamed"), (2, "two")] {
        let message = messages.next().unwrap().unwrap();
        assert_eq!(message.uid(), uid(number));
        let body = message.into_body().unwrap();
        assert_eq!(body.into_bytes().unwrap(), text);
    }
    assert!(messages.next().is_none());
}

/// Without a UID nobody can tell whose message it is. It is not lost without a word.
#[test]
fn a_message_without_its_uid_is_an_error() {
    let server = server_of([Message::text("a", "b"), Message::text("c", "d")]);
    let limits = Limits::default().stream_threshold(4);
    let client = builder(&server)
        .limits(limits.max_buffered_body(1_000))
        .connect()
        .unwrap();
    let large = "x".repeat(5_000);
    for first in [
        "* 1 FETCH (BODY[] {8}\r\nstreamed)\r\n",
        "* 1 FETCH (BODY[] {3}\r\nabc)\r\n",
        "* 1 FETCH (RFC822.SIZE 3)\r\n",
        "* 1 FETCH (BODY[1] {8}\r\nstreamed BODY[2] {8}\r\nstreamed)\r\n",
        // It would have come, but after more than is kept.
        &format!("* 1 FETCH (BODY[] {{5000}}\r\n{large} UID 1)\r\n"),
    ] {
        let answer = format!("{first}* 2 FETCH (UID 2 BODY[] {{3}}\r\ntwo)\r\n{{tag}} OK done\r\n");
        server.faults().respond("UID FETCH", answer);
        let mut messages = client
            .mailbox("INBOX")
            .fetch(UidSet::all(), body())
            .unwrap();
        let error = messages.next().unwrap().expect_err(first);
        assert!(
            matches!(error.kind(), ErrorKind::Message { .. }),
            "{error:?}"
        );
        assert_eq!(messages.next().unwrap().unwrap().uid(), uid(2));
        assert!(messages.next().is_none());
    }
}
