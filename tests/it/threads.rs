//! What tests with several threads need: waiting for an event, a bound on hanging, a look at
//! the server's log.

use std::panic::resume_unwind;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{Builder, Scope, ScopedJoinHandle, park_timeout};
use std::time::{Duration, Instant};

use mailpool::{ConnectionScope, Holder, ImapClient, Role, SeqNum, Uid, UidSet};
use mailpool_test_server::Server;

use crate::support::USER;

/// How long anything that must happen may take, on a machine with much else to do.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// How long something may take that is expected not to happen in time.
pub(crate) const SHORT: Duration = Duration::from_millis(30);

/// Runs a test. One that hangs fails instead.
#[track_caller]
pub(crate) fn bounded(test: impl FnOnce() + Send + 'static) {
    let (sender, over) = mpsc::channel::<()>();
    let thread = Builder::new()
        .name("test".to_owned())
        .spawn(move || {
            let _sender = sender;
            test();
        })
        .expect("a thread");
    match over.recv_timeout(2 * LONG) {
        Err(RecvTimeoutError::Timeout) => panic!("the test hangs"),
        Ok(()) | Err(RecvTimeoutError::Disconnected) => {}
    }
    if let Err(panic) = thread.join() {
        resume_unwind(panic);
    }
}

/// Runs `work` on another thread, to its very end: what the thread has leaked is given back.
pub(crate) fn elsewhere<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match std::thread::spawn(work).join() {
        Ok(result) => result,
        Err(panic) => resume_unwind(panic),
    }
}

/// Does something on a thread of its own with a connection of its own.
pub(crate) fn in_scope<T: Send + 'static>(
    client: &ImapClient,
    work: impl FnOnce(&ImapClient, ConnectionScope) -> T + Send + 'static,
) -> T {
    let client = client.clone();
    elsewhere(move || {
        let connection = client.create_connection().unwrap();
        work(&client, connection)
    })
}

/// Starts a thread with a name.
pub(crate) fn named<'scope, 'env, T: Send + 'scope>(
    threads: &'scope Scope<'scope, 'env>,
    name: &str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> ScopedJoinHandle<'scope, T> {
    Builder::new()
        .name(name.to_owned())
        .spawn_scoped(threads, work)
        .expect("a thread")
}

/// Waits until `condition` holds: other threads bring it about.
#[track_caller]
#[expect(
    clippy::disallowed_methods,
    reason = "a bound on what nothing announces"
)]
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        park_timeout(Duration::from_millis(1));
    }
}

/// Waits until the server has `open` connections.
#[track_caller]
pub(crate) fn until_open(server: &Server, open: usize) {
    let happened = server.wait_until(LONG, |counters| counters.open == open);
    assert!(happened, "{open} open, not {}", server.counters().open);
}

/// Waits until the server has received `count` commands with this verb.
#[track_caller]
pub(crate) fn until_received(server: &Server, verb: &str, count: u64) {
    let happened = server.wait_until(LONG, |counters| counters.commands(verb) >= count);
    assert!(
        happened,
        "{verb} came {} times, not {count}",
        server.counters().commands(verb)
    );
}

/// Waits until this many of the main connection's operations are not over, those that are
/// queued included.
#[track_caller]
pub(crate) fn until_pending(client: &ImapClient, count: usize) {
    until(&format!("{count} pending"), || pending(client) == count);
}

fn pending(client: &ImapClient) -> usize {
    let activity = main_holder(client).activity;
    let words: Vec<&str> = activity.split(' ').collect();
    match words[..] {
        ["idle"] => 0,
        [number, "queued"] => number.parse().unwrap(),
        [.., "and", more, "more"] => more.parse::<usize>().unwrap() + 1,
        _ => 1,
    }
}

/// What is known of the main connection.
pub(crate) fn main_holder(client: &ImapClient) -> Holder {
    let mut holders = client.stats().holders.into_iter();
    let main = holders.find(|holder| holder.role == Role::Main);
    main.expect("there is a main connection")
}

/// Returns when the thread of a connection has looked at everything that was queued before
/// the call, and has written what it wanted to write of it.
#[track_caller]
pub(crate) fn settle(server: &Server, client: &ImapClient, connection: usize) {
    // The turn of the loop that reads the second one began after the first one was read.
    for _ in 0..2 {
        let before = client.stats().bytes_received;
        assert!(server.send_to(connection, "* OK Still here\r\n"));
        until("the connection reads", || {
            client.stats().bytes_received > before
        });
    }
}

/// The verbs that the server has received on a connection.
pub(crate) fn verbs(server: &Server, connection: usize) -> Vec<String> {
    let commands = server.commands().into_iter();
    commands
        .filter(|command| command.connection == connection)
        .map(|command| command.verb)
        .collect()
}

/// Checks the last commands that the server has received on a connection.
#[track_caller]
pub(crate) fn assert_last(server: &Server, connection: usize, expected: &[&str]) {
    let log = verbs(server, connection);
    let last = log.len().saturating_sub(expected.len());
    assert_eq!(log[last..], *expected, "of {log:?}");
}

/// The connections on which the server has received commands with this verb.
pub(crate) fn connections_of(server: &Server, verb: &str) -> Vec<usize> {
    let commands = server.commands().into_iter();
    let mut connections: Vec<usize> = commands
        .filter(|command| command.verb == verb)
        .map(|command| command.connection)
        .collect();
    connections.sort_unstable();
    connections.dedup();
    connections
}

pub(crate) fn uid(number: u32) -> Uid {
    Uid::new(number).expect("not zero")
}

pub(crate) fn uids(first: u32, last: u32) -> UidSet {
    UidSet::from_range(uid(first)..=uid(last))
}

pub(crate) fn seq(number: u32) -> SeqNum {
    SeqNum::new(number).expect("not zero")
}

/// A message of 1 MiB; different numbers give different ones.
pub(crate) fn large_message(number: u32) -> Vec<u8> {
    let mut message = format!("Subject: large {number}\r\n\r\n").into_bytes();
    // Its length divides nothing that bytes are cut at.
    let block: String = (0..47)
        .map(|line| format!("Line {line:02} of message {number:03}\r\n"))
        .collect();
    while message.len() < 1 << 20 {
        message.extend_from_slice(block.as_bytes());
    }
    message
}

/// A server whose INBOX has large messages, numbered like their UIDs: more than what is kept
/// for a reader as long as nobody waits behind it.
pub(crate) fn large_server(count: u32) -> Server {
    Server::builder()
        .user(USER.0, USER.1)
        .mailbox(USER.0, "INBOX", (1..=count).map(large_message))
        .start()
        .expect("the embedded server starts")
}
