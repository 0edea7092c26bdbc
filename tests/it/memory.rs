//! What streams cost in memory, measured in a process of its own.

use std::process::Command;
use std::time::Duration;

use mailpool::{ErrorKind, Items, Limits, UidSet};
use mailpool_test_server::{Message, Server, Synthetic};

use crate::scripted::{LONG, body, uid};
use crate::support::USER;
use mailpool::{Credentials, ImapClient, Security};

/// Tells the test binary that it is the child, and where the server is.
const PORT: &str = "MAILPOOL_TEST_PORT";
const GIBIBYTE: u64 = 1 << 30;

/// Runs one test of this binary as a process of its own against `server`.
fn in_a_process(test: &str, server: &Server) {
    let binary = std::env::current_exe().expect("the test binary");
    let output = Command::new(binary)
        .args(["--exact", &format!("memory::{test}"), "--nocapture"])
        .env(PORT, server.port().to_string())
        .output()
        .expect("the child starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    assert!(text.contains("1 passed"), "{text}{errors}");
}

/// Where the server is, in the child.
fn port() -> Option<u16> {
    std::env::var(PORT).ok()?.parse().ok()
}

/// A figure of this process in bytes, from /proc.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status
        .lines()
        .find(|line| line.starts_with(name))
        .expect("the figure");
    let kilobytes = line.split_ascii_whitespace().nth(1).unwrap();
    kilobytes.parse::<u64>().unwrap() * 1024
}

fn client(port: u16, limits: Limits) -> ImapClient {
    ImapClient::builder("127.0.0.1")
        .port(port)
        .security(Security::None)
        .allow_cleartext_password()
        .credentials(Credentials::password(USER.0, USER.1))
        .timeout(LONG)
        .shutdown_timeout(Duration::from_millis(100))
        .limits(limits)
        .connect()
        .unwrap()
}

#[test]
fn a_gibibyte_is_read_in_a_few_mebibytes() {
    let Some(port) = port() else {
        let server = Server::builder()
            .user(USER.0, USER.1)
            .mailbox(USER.0, "INBOX", [Message::text("a", "b")])
            .mailbox(USER.0, "INBOX", [Message::synthetic(GIBIBYTE, 1)])
            .start()
            .unwrap();
        return in_a_process("a_gibibyte_is_read_in_a_few_mebibytes", &server);
    };
    let client = client(port, Limits::default());
    let inbox = client.mailbox("INBOX");
    let small = inbox.fetch([uid(1)], body()).unwrap();
    assert_eq!(small.count(), 1);
    let synthetic = Synthetic::new(GIBIBYTE, 1);
    let mut expected = vec![0xff; 1 << 20];
    let idle = memory("VmRSS");
    let mut messages = inbox.fetch([uid(2)], body()).unwrap();
    let body = messages.next().unwrap().unwrap().into_body().unwrap();
    let mut reader = body.into_reader();
    let mut at = 0;
    while let Some(chunk) = reader.next_chunk().unwrap() {
        let expected = &mut expected[..chunk.len()];
        synthetic.read_at(at, expected);
        assert!(chunk == *expected, "differs after {at} bytes");
        at += chunk.len() as u64;
    }
    assert_eq!(at, GIBIBYTE);
    let grown = memory("VmHWM").saturating_sub(idle);
    assert!(grown < 16 << 20, "{grown} bytes for a stream");
}

/// Announced sizes, long lines, deep nestings and endless lists cost no more than their limits.
#[test]
fn what_a_server_announces_is_not_allocated() {
    let Some(port) = port() else {
        let server = Server::builder()
            .user(USER.0, USER.1)
            .mailbox(USER.0, "INBOX", [Message::text("a", "b")])
            .start()
            .unwrap();
        let mut line = b"* SEARCH".to_vec();
        line.extend_from_slice(" 1234567".repeat(2_000_000).as_bytes());
        line.extend_from_slice(b"\r\n{tag} OK done\r\n");
        server.faults().respond("UID SEARCH", line);
        let mut deep = b"* 1 FETCH (UID 1 BODYSTRUCTURE ".to_vec();
        deep.extend(std::iter::repeat_n(b'(', 16_000_000));
        deep.extend_from_slice(b"\r\n{tag} OK done\r\n");
        server.faults().respond("UID FETCH", deep);
        let mut literal = b"* LIST () \"/\" {16000000}\r\n".to_vec();
        literal.extend(std::iter::repeat_n(b'x', 16_000_000));
        literal.extend_from_slice(b"\r\n{tag} OK done\r\n");
        server.faults().respond("LIST", literal);
        let endless = "* 1 FETCH (UID 1 BODY[] {4611686018427387904}\r\nabc";
        server.faults().respond("UID FETCH", endless);
        let endless = "* LSUB () \"/\" {4611686018427387904}\r\nabc";
        server.faults().respond("LSUB", endless);
        return in_a_process("what_a_server_announces_is_not_allocated", &server);
    };
    let limits = Limits::default().max_line(1 << 20).max_literal(64 << 10);
    let client = self::client(port, limits.clone());
    let inbox = client.mailbox("INBOX");
    client.noop().unwrap();
    let idle = memory("VmRSS");
    let error = inbox.search(mailpool::Query::all()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Limit { .. }), "{error:?}");
    let mut messages = inbox
        .fetch(UidSet::all(), Items::new().body_structure())
        .unwrap();
    let error = messages.next().unwrap().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Message { is_limit: true, .. }),
        "{error:?}"
    );
    let error = client.list("", "*").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Limit { .. }), "{error:?}");
    client.noop().unwrap();
    // 4 EiB that never come, as a body and as a name: only time ends them.
    let soon = client.with_timeout(Duration::from_millis(200));
    let mut messages = soon.mailbox("INBOX").fetch([uid(1)], body()).unwrap();
    let body = messages.next().unwrap().unwrap().into_body().unwrap();
    assert_eq!(body.len(), 1 << 62);
    let error = body.into_bytes().unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    let other = self::client(port, limits).with_timeout(Duration::from_millis(200));
    let error = other.lsub("", "*").unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    let grown = memory("VmHWM").saturating_sub(idle);
    assert!(grown < 12 << 20, "{grown} bytes for what was refused");
    assert_eq!(client.stats().opened, 1);
}
