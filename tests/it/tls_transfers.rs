//! What travels over TLS: records and segments of every size, writes that block, ends.

use std::io::Read;
use std::time::Duration;

use mailpool::{Append, Certainty, Error, ErrorKind, ImapClient, Limits, Query, Security, UidSet};
use mailpool_test_server::{Action, Layer, Message, Security as Secured, Synthetic};

use crate::scripted::{LONG, body, broken, eventually, uid};
use crate::support::{USER, message, never};
use crate::tls::{BOTH, server, server_of, trusting, works};

/// FIN without close_notify, close_notify, RST: in the middle of a body none of them is a
/// success.
#[test]
fn the_end_of_a_tls_stream_is_never_a_success() {
    const SIZES: [u64; 2] = [100_000, 1_000_000];
    let server = server_of(Secured::Tls, SIZES.map(|size| Message::synthetic(size, 1)));
    let client = trusting(&server, Security::Tls)
        .reconnect(never())
        .connect()
        .unwrap();
    let inbox = client.mailbox("INBOX");
    for (number, size) in (1..).zip(SIZES) {
        for action in [Action::Close, Action::CloseWithoutNotify, Action::Reset] {
            for cut in [1, 40, size / 2, size + 10] {
                inbox.select().unwrap();
                server
                    .faults()
                    .after_sent(cut, Layer::Plaintext, action.clone());
                let result =
                    inbox
                        .fetch([uid(number)], body())
                        .unwrap()
                        .try_fold(0, |sum, message| {
                            let bytes = message?.into_body().unwrap().into_bytes()?;
                            Ok::<_, Error>(sum + bytes.len())
                        });
                broken(result, Certainty::MaybeExecuted);
                server.faults().clear();
                client.noop().unwrap();
            }
        }
    }
    assert_eq!(server.counters().peak_open, 1);
}

/// Every size of record and of segment, the handshake included.
#[test]
fn bytes_are_exact_however_the_records_arrive() {
    let sizes = [0, 1, 4_096, 20_000, 300_001];
    let bodies = sizes.map(|size: usize| (0..size).map(|at| (at * 31) as u8).collect::<Vec<u8>>());
    for (secured, security) in BOTH {
        let server = server_of(secured, bodies.clone().map(Message::new));
        for (layer, split) in [
            (Layer::Plaintext, 7),
            (Layer::Plaintext, 16_385),
            (Layer::Wire, 3),
            (Layer::Wire, 1_448),
        ] {
            server.faults().split(layer, Some(split));
            let client = trusting(&server, security).connect().unwrap();
            let fetched = client
                .mailbox("INBOX")
                .fetch(UidSet::all(), body())
                .unwrap();
            for (message, expected) in fetched.zip(&bodies) {
                let bytes = message.unwrap().into_body().unwrap().into_bytes().unwrap();
                assert!(bytes == *expected, "{} bytes", expected.len());
            }
            server.faults().clear();
        }
    }
}

/// Many records that the system hands over at once: all of them are read before the thread
/// sleeps, for nothing will wake it afterwards.
#[test]
fn records_that_came_together_are_all_read() {
    let server = server(Secured::Tls);
    let client = trusting(&server, Security::Tls).connect().unwrap();
    // Records of one byte in segments of a hundred: the delay brings them together.
    server
        .faults()
        .delay(Duration::ZERO, Duration::from_millis(20));
    server.faults().split(Layer::Plaintext, Some(1));
    for _ in 0..5 {
        works(&client);
    }
    assert_eq!(
        client.mailbox("INBOX").search(Query::all()).unwrap().len(),
        2
    );
}

/// A record for each byte: what is kept for a slow reader counts with what it takes to keep
/// it.
#[test]
fn what_is_kept_of_small_records_is_bounded() {
    let server = server_of(Secured::Tls, [Message::synthetic(30_000, 1)]);
    let limits = Limits::default().stream_threshold(1_000);
    let client = trusting(&server, Security::Tls)
        .limits(limits.max_buffered_body(1 << 20))
        .connect()
        .unwrap();
    let inbox = client.mailbox("INBOX");
    inbox.select().unwrap();
    server.faults().split(Layer::Plaintext, Some(1));
    let mut messages = inbox.fetch([uid(1)], body()).unwrap();
    let slow = messages.next().unwrap().unwrap().into_body().unwrap();
    client.noop().unwrap();
    let error = slow.into_bytes().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::SlowReader { .. }),
        "{error:?}"
    );
    // Read in time, there is nothing to keep.
    let message = inbox.fetch([uid(1)], body()).unwrap().next().unwrap();
    let bytes = message.unwrap().into_body().unwrap().into_bytes().unwrap();
    assert_eq!(bytes.len(), 30_000);
}

#[test]
fn a_large_body_is_streamed_over_tls() {
    const SIZE: u64 = 12 << 20;
    let server = server_of(Secured::Tls, [Message::synthetic(SIZE, 9)]);
    let client = trusting(&server, Security::Tls).connect().unwrap();
    let mut messages = client.mailbox("INBOX").fetch([uid(1)], body()).unwrap();
    let body = messages.next().unwrap().unwrap().into_body().unwrap();
    assert!(body.is_streamed());
    // Others are served meanwhile.
    client.noop().unwrap();
    let mut bytes = Vec::new();
    body.into_reader().read_to_end(&mut bytes).unwrap();
    let mut expected = vec![0; SIZE as usize];
    Synthetic::new(SIZE, 9).read_at(0, &mut expected);
    assert!(bytes == expected);
    assert!(messages.next().is_none());
}

/// As large as no socket's buffers together with the server's own.
const LARGE: usize = 24 << 20;

fn large() -> Vec<u8> {
    let mut bytes = vec![0; LARGE];
    Synthetic::new(LARGE as u64, 3).read_at(0, &mut bytes);
    bytes
}

/// The server reads nothing for a while: the write blocks and goes on later with the same
/// bytes.
#[test]
fn a_large_message_is_appended_while_the_server_reads_slowly() {
    for (secured, security) in BOTH {
        let server = server(secured);
        let client = trusting(&server, security).connect().unwrap();
        let text = large();
        std::thread::scope(|threads| {
            server.faults().stop_reading_after(Some(200_000));
            let inbox = client.mailbox("INBOX");
            let message = Append::new(text.clone());
            let append = threads.spawn(move || inbox.append(message));
            assert!(server.wait_until(LONG, |counters| counters.bytes_in >= 200_000));
            for limit in [1_000_000, 5_000_000] {
                server.faults().stop_reading_after(Some(limit));
                assert!(server.wait_until(LONG, |counters| counters.bytes_in >= limit));
            }
            assert!(!append.is_finished());
            // Another caller waits in the queue behind it and can leave it.
            let hasty = client.with_timeout(Duration::from_millis(100));
            assert!(hasty.noop().unwrap_err().is_timeout());
            server.faults().stop_reading_after(None);
            append.join().unwrap().unwrap();
        });
        client.noop().unwrap();
        let stored = server.store().messages(USER.0, "INBOX");
        assert!(stored[2].bytes() == text);
        assert_eq!(server.counters().accepted, 1);
    }
}

/// The caller gives up in the middle of such a write. What has been offered to the socket is
/// sent all the same, so that the connection stays in order.
#[test]
fn giving_up_in_the_middle_of_a_write_leaves_the_connection_in_order() {
    for (secured, security) in [BOTH[0], (Secured::None, Security::None)] {
        let server = server(secured);
        let client = trusting(&server, security)
            .allow_cleartext_password()
            .connect()
            .unwrap();
        let text = large();
        server.faults().stop_reading_after(Some(100_000));
        let hasty = client.with_timeout(Duration::from_millis(1_500));
        let error = hasty
            .mailbox("INBOX")
            .append(Append::new(text.clone()))
            .unwrap_err();
        assert!(error.is_timeout());
        assert_eq!(error.certainty(), Certainty::MaybeExecuted);
        server.faults().stop_reading_after(None);
        client.noop().unwrap();
        eventually("it was carried out", || {
            server.store().messages(USER.0, "INBOX").len() == 3
        });
        assert!(server.store().messages(USER.0, "INBOX")[2].bytes() == text);
        works_again(&client);
        assert_eq!(server.counters().accepted, 1);
    }
}

fn works_again(client: &ImapClient) {
    let mut messages = client.mailbox("INBOX").fetch([uid(2)], body()).unwrap();
    let bytes = messages
        .next()
        .unwrap()
        .unwrap()
        .into_body()
        .unwrap()
        .into_bytes();
    assert_eq!(bytes.unwrap(), message(1));
}

/// Both directions at once, in pieces of all sizes.
#[test]
fn large_transfers_in_both_directions_do_not_block_each_other() {
    const SIZE: u64 = 6 << 20;
    let server = server_of(
        Secured::Tls,
        (0..4).map(|seed| Message::synthetic(SIZE, seed)),
    );
    let client = trusting(&server, Security::Tls).connect().unwrap();
    client.mailbox("Sent").create().unwrap();
    let text = &large()[..6 << 20];
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                client
                    .mailbox("Sent")
                    .append(Append::new(text.to_vec()))
                    .unwrap();
            });
        }
        for seed in 0..4 {
            let client = &client;
            threads.spawn(move || {
                let number = u32::try_from(seed).unwrap() + 1;
                let mut messages = client
                    .mailbox("INBOX")
                    .fetch([uid(number)], body())
                    .unwrap();
                let body = messages.next().unwrap().unwrap().into_body().unwrap();
                let bytes = body.into_bytes().unwrap();
                let mut expected = vec![0; SIZE as usize];
                Synthetic::new(SIZE, seed).read_at(0, &mut expected);
                assert!(bytes == expected);
            });
        }
    });
    let sent = server.store().messages(USER.0, "Sent");
    assert!(sent.len() == 4 && sent.iter().all(|one| one.bytes() == text));
    assert_eq!(server.counters().accepted, 1);
}
