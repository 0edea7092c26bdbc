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

#[cfg(feature = "message")]
#[test]
fn a_message_that_is_built_is_sent_without_its_hidden_recipients() {
    let server = server().start().unwrap();
    let client = client(&server);
    let builder = mail_builder::MessageBuilder::new()
        .from("alice@example.org")
        .to("bob@example.net")
        .bcc("eve@example.net")
        .text_body(".\nHello\n");
    let (envelope, bytes) = mailpool::message::built(builder.clone()).unwrap();
    assert!(client.send(&envelope, bytes).unwrap().is_complete());
    assert!(client.send(&envelope, builder).unwrap().is_complete());
    for delivery in server.wait_for_deliveries(2, Duration::from_secs(10)) {
        let addresses: Vec<_> = delivery.addresses().collect();
        assert_eq!(addresses, ["bob@example.net", "eve@example.net"]);
        let text = String::from_utf8(delivery.bytes().unwrap()).unwrap();
        assert!(text.contains("\r\n.\r\nHello"), "{text}");
        assert!(!text.contains("eve@"), "{text}");
    }
    assert_eq!(server.deliveries().len(), 2);
}
