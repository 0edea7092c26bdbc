//! Messages arrive as they were sent, and the report says for whom.

use std::time::Duration;

use mailpool::OutgoingMessage;

use super::setup::{client, server, to};

const MESSAGE: &str = "From: alice@example.org\r\nSubject: x\r\n\r\n.\r\nbody\r\n..\r\n";

#[test]
fn a_message_arrives_byte_for_byte() {
    for without in ["", "CHUNKING", "PIPELINING"] {
        let server = server().without(without).start().unwrap();
        let client = client(&server);
        let report = client.send(&to(&["bob", "carol"]), MESSAGE).unwrap();
        assert!(report.is_complete());
        let deliveries = server.wait_for_deliveries(1, Duration::from_secs(10));
        assert_eq!(deliveries.len(), 1);
        assert_eq!(deliveries[0].bytes().unwrap(), MESSAGE.as_bytes());
        let addresses: Vec<_> = deliveries[0].addresses().collect();
        assert_eq!(addresses, ["bob@example.net", "carol@example.net"]);
        assert!(server.violations().is_empty(), "{:?}", server.violations());
    }
}

#[test]
fn a_message_from_a_reader_arrives_byte_for_byte() {
    for without in ["", "CHUNKING", "PIPELINING"] {
        let server = server().without(without).start().unwrap();
        let client = client(&server);
        let text = format!("{MESSAGE}{}", "0123456789abcdef\r\n".repeat(50_000));
        let mut reader = text.as_bytes();
        let report = client
            .send(&to(&["bob"]), OutgoingMessage::reader(&mut reader))
            .unwrap();
        assert!(report.is_complete());
        let deliveries = server.wait_for_deliveries(1, Duration::from_secs(10));
        assert!(deliveries[0].bytes().unwrap() == text.as_bytes());
        assert!(server.violations().is_empty(), "{:?}", server.violations());
    }
}

#[test]
fn many_messages_go_through_many_connections() {
    let server = server().start().unwrap();
    let client = client(&server);
    let messages = (0..500).map(|number| (to(&["bob"]), format!("X: {number}\r\n\r\n")));
    let mut last = 0;
    let outcome = client
        .bulk()
        .on_progress(|progress| last = progress.succeeded)
        .send_all(messages)
        .unwrap();
    assert!(outcome.is_complete(), "{outcome:?}");
    assert_eq!(outcome.succeeded.len(), 500);
    assert_eq!(last, 500);
    assert_eq!(server.deliveries().len(), 500);
}
