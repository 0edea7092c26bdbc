//! Timeouts at each phase, and what is certain after them.

use std::time::{Duration, Instant};

use mailpool::{Append, Certainty, Error, ErrorKind, Limits, Phase, Query, StatusItems, UidSet};
use mailpool_test_server::{Message, ScriptServer, Server};

use crate::scripted::{LONG, body, builder, eventually, logged_in, logout, select, single, uid};
use crate::support::{USER, message, server_with};

/// For what is not to happen at all.
const SHORT: Duration = Duration::from_millis(300);
/// For what is to go some way first, on a busy machine.
const MIDDLE: Duration = Duration::from_millis(1_500);

/// The phase in which the time was up, and how certain it is that nothing happened.
#[track_caller]
pub(crate) fn timed_out<T: std::fmt::Debug>(result: Result<T, Error>) -> (Phase, Certainty) {
    let error = result.expect_err("there is no answer");
    assert!(error.is_timeout(), "{error:?}");
    let ErrorKind::Timeout { phase } = error.kind() else {
        panic!("{error:?}");
    };
    (*phase, error.certainty())
}

/// Calls `act`, which takes at least `patience` and not much more.
#[track_caller]
pub(crate) fn in_time<T>(patience: Duration, act: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = act();
    let took = started.elapsed();
    assert!(took >= patience, "after {took:?}");
    assert!(took < LONG / 2, "after {took:?}");
    result
}

/// A command that waits in the queue is withdrawn: the server never sees it.
#[test]
fn a_command_that_is_still_queued_is_never_sent() {
    let server = server_with(1);
    let client = single(&server);
    server.faults().hold("DELETE");
    client.mailbox("Old").create().unwrap();
    std::thread::scope(|threads| {
        let delete = threads.spawn(|| client.mailbox("Old").delete());
        assert!(server.wait_until(LONG, |counters| counters.commands("DELETE") == 1));
        let hasty = client.with_timeout(SHORT);
        let queued = (Phase::Queue, Certainty::NotSent);
        let inbox = hasty.mailbox("INBOX");
        assert_eq!(timed_out(in_time(SHORT, || hasty.noop())), queued);
        assert_eq!(timed_out(hasty.mailbox("New").create()), queued);
        assert_eq!(timed_out(inbox.append(Append::new("a: b\r\n\r\n"))), queued);
        assert_eq!(timed_out(inbox.search(Query::all())), queued);
        let mut messages = inbox.fetch(UidSet::all(), body()).unwrap();
        assert_eq!(timed_out(messages.next().unwrap()), queued);
        assert!(messages.next().is_none());
        let result = hasty.exclusive().map(drop);
        assert_eq!(timed_out(result), queued);
        server.faults().release("DELETE");
        delete.join().unwrap().unwrap();
    });
    client.capabilities().unwrap();
    let counters = server.counters();
    for verb in ["NOOP", "APPEND", "UID SEARCH", "UID FETCH", "SELECT"] {
        assert_eq!(counters.commands(verb), 0, "{verb}");
    }
    assert_eq!(counters.commands("CREATE"), 1);
    assert_eq!(counters.accepted, 1);
    assert_eq!(server.store().messages(USER.0, "INBOX").len(), 1);
}

/// So is the command whose SELECT is on its way: the SELECT alone changes nothing.
#[test]
fn a_command_behind_its_select_is_never_sent() {
    let server = server_with(1);
    let client = single(&server);
    server.faults().hold("SELECT");
    let hasty = client.with_timeout(SHORT);
    let result = in_time(SHORT, || hasty.mailbox("INBOX").expunge());
    assert_eq!(timed_out(result), (Phase::Queue, Certainty::NotSent));
    server.faults().release("SELECT");
    client.noop().unwrap();
    assert_eq!(server.counters().commands("SELECT"), 1);
    assert_eq!(server.counters().commands("EXPUNGE"), 0);
    assert_eq!(
        client.mailbox("INBOX").search(Query::all()).unwrap().len(),
        1
    );
    assert_eq!(server.counters().accepted, 1);
}

/// The reply to a command that was given up comes late, and is nobody else's.
#[test]
fn a_late_reply_is_swallowed() {
    let server = server_with(3);
    server.store().append(USER.0, "Other", message(1));
    let client = single(&server);
    let hasty = client.with_timeout(MIDDLE);
    let written = (Phase::Command, Certainty::MaybeExecuted);
    let items = StatusItems::new().messages();

    server.faults().hold("STATUS");
    let result = in_time(MIDDLE, || hasty.mailbox("INBOX").status(items));
    assert_eq!(timed_out(result), written);
    server.faults().release("STATUS");
    let status = client.mailbox("Other").status(items).unwrap();
    assert_eq!(status.messages, Some(1));

    let inbox = client.mailbox("INBOX");
    inbox.select().unwrap();
    server
        .faults()
        .hold("UID SEARCH")
        .hold("LIST")
        .hold("CREATE");
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let result = hasty.mailbox("INBOX").search(Query::all());
            assert_eq!(timed_out(result), written);
        });
        threads.spawn(|| assert_eq!(timed_out(hasty.list("", "*")), written));
        threads.spawn(|| assert_eq!(timed_out(hasty.mailbox("New").create()), written));
    });
    server.faults().clear();
    let found = inbox.search(Query::all().uid([uid(2)])).unwrap();
    assert_eq!(found.to_string(), "2");
    let names = client.list("", "Other").unwrap();
    assert_eq!(names.len(), 1);
    // It says "maybe": it was.
    assert!(client.mailbox("New").select().is_ok());
    assert_eq!(server.counters().accepted, 1);
}

#[test]
fn a_fetch_has_a_deadline_before_and_after_it_has_begun() {
    let server = server_with(3);
    let client = single(&server);
    let inbox = client.mailbox("INBOX");
    inbox.select().unwrap();
    let hasty = client.with_timeout(MIDDLE).mailbox("INBOX");

    server.faults().hold("UID FETCH");
    let mut messages = hasty.fetch(UidSet::all(), body()).unwrap();
    let result = in_time(MIDDLE, || messages.next().unwrap());
    assert_eq!(
        timed_out(result),
        (Phase::Command, Certainty::MaybeExecuted)
    );
    assert!(messages.next().is_none());
    server.faults().release("UID FETCH");
    assert_eq!(inbox.fetch(UidSet::all(), body()).unwrap().count(), 3);

    // After the first message.
    server
        .faults()
        .respond("UID FETCH", "* 1 FETCH (UID 1 BODY[] {3}\r\none)\r\n");
    let mut messages = hasty.fetch(UidSet::all(), body()).unwrap();
    assert_eq!(messages.next().unwrap().unwrap().uid(), uid(1));
    let result = in_time(MIDDLE, || messages.next().unwrap());
    assert_eq!(timed_out(result), (Phase::Stream, Certainty::MaybeExecuted));
    assert!(messages.next().is_none());
    assert_eq!(server.counters().accepted, 1);
}

#[test]
fn a_body_that_stalls_has_a_deadline_and_the_connection_goes_on() {
    let server = Server::builder()
        .user(USER.0, USER.1)
        .mailbox(USER.0, "INBOX", [Message::synthetic(2_000_000, 1)])
        .start()
        .unwrap();
    let client = single(&server);
    let inbox = client.mailbox("INBOX");
    inbox.select().unwrap();
    let hasty = client.with_timeout(MIDDLE).mailbox("INBOX");
    server.faults().stall_after(1_000_000);
    let mut messages = hasty.fetch([uid(1)], body()).unwrap();
    let mut reader = messages
        .next()
        .unwrap()
        .unwrap()
        .into_body()
        .unwrap()
        .into_reader();
    let mut count = 0;
    let result = loop {
        match reader.next_chunk() {
            Ok(Some(chunk)) => count += chunk.len(),
            Ok(None) => panic!("the body is not complete"),
            Err(error) => break Err::<(), Error>(error),
        }
    };
    assert_eq!(timed_out(result), (Phase::Stream, Certainty::MaybeExecuted));
    assert!((900_000..1_000_000).contains(&count), "{count}");
    assert!(messages.next().is_none());
    assert!(reader.next_chunk().is_err());
    server.faults().clear();
    assert_eq!(inbox.search(Query::all()).unwrap().len(), 1);
    let message = inbox.fetch([uid(1)], body()).unwrap().next().unwrap();
    let body = message.unwrap().into_body().unwrap();
    assert_eq!(body.into_bytes().unwrap().len(), 2_000_000);
    assert_eq!(server.counters().accepted, 1);
}

/// A timeout is for each wait of a stream, a deadline for all of it.
#[test]
fn a_deadline_ends_a_stream_that_goes_on() {
    let server = server_with(3);
    let client = single(&server);
    client.mailbox("INBOX").select().unwrap();
    server
        .faults()
        .respond("UID FETCH", "* 1 FETCH (UID 1 BODY[] {3}\r\none)\r\n");
    let deadline = Instant::now() + MIDDLE;
    let limited = client.with_timeout(LONG).with_deadline(deadline);
    let mut messages = limited
        .mailbox("INBOX")
        .fetch(UidSet::all(), body())
        .unwrap();
    assert!(messages.next().unwrap().is_ok());
    let (phase, _) = timed_out(messages.next().unwrap());
    assert_eq!(phase, Phase::Stream);
    assert!(Instant::now() >= deadline);
    // It has passed for every later call through the same view: nothing is sent.
    let never = (Phase::Queue, Certainty::NotSent);
    assert_eq!(timed_out(limited.noop()), never);
    let inbox = limited.mailbox("INBOX");
    assert_eq!(timed_out(inbox.expunge()), never);
    assert_eq!(timed_out(inbox.fetch(UidSet::all(), body())), never);
    assert_eq!(timed_out(limited.exclusive().map(drop)), never);
    assert_eq!(timed_out(client.with_timeout(Duration::ZERO).noop()), never);
    client.list("", "*").unwrap();
    assert_eq!(server.counters().commands("NOOP"), 0);
    assert_eq!(server.counters().commands("EXPUNGE"), 0);
    assert_eq!(server.counters().commands("UID FETCH"), 1);
}

/// A view changes its own calls only.
#[test]
fn views_leave_the_client_alone() {
    let server = server_with(1);
    let client = single(&server);
    server.faults().hold("NOOP");
    std::thread::scope(|threads| {
        let patient = threads.spawn(|| client.noop());
        assert!(server.wait_until(LONG, |counters| counters.commands("NOOP") == 1));
        let hasty = client.with_timeout(MIDDLE);
        assert_eq!(timed_out(hasty.noop()).0, Phase::Command);
        let past = client.with_deadline(Instant::now());
        assert!(past.noop().unwrap_err().is_timeout());
        server.faults().release("NOOP");
        patient.join().unwrap().unwrap();
    });
    client.noop().unwrap();
    assert_eq!(server.counters().accepted, 1);
}

/// The server owes an answer that nobody waits for any more, and stays silent: the connection
/// is of no use to those who come later.
#[test]
fn a_silent_server_is_left_when_everybody_gave_up() {
    let server = server_with(1);
    let client = builder(&server)
        .stall_timeout(MIDDLE)
        .max_connections_per_server(1)
        .connect()
        .unwrap();
    server.faults_for(1).never_answer("NOOP");
    let result = client.with_timeout(MIDDLE).noop();
    assert_eq!(
        timed_out(result),
        (Phase::Command, Certainty::MaybeExecuted)
    );
    eventually("the connection is left", || client.stats().open == 0);
    client.noop().unwrap();
    assert_eq!(server.counters().accepted, 2);
    assert_eq!(server.counters().peak_open, 1);
}

/// Whoever still waits keeps the connection, however long the server takes.
#[test]
fn a_silent_server_is_not_left_while_somebody_waits() {
    let server = server_with(1);
    let client = builder(&server)
        .stall_timeout(SHORT / 3)
        .max_connections_per_server(1)
        .connect()
        .unwrap();
    server.faults().hold("NOOP");
    std::thread::scope(|threads| {
        let patient = threads.spawn(|| client.noop());
        assert!(server.wait_until(LONG, |counters| counters.commands("NOOP") == 1));
        assert_eq!(
            timed_out(client.with_timeout(MIDDLE).noop()).0,
            Phase::Command
        );
        assert!(!server.wait_until(SHORT, |counters| counters.open == 0));
        server.faults().release("NOOP");
        patient.join().unwrap().unwrap();
    });
    assert_eq!(server.counters().accepted, 1);
}

/// A connection that nobody uses is asked now and then, and left when there is no answer.
#[test]
fn an_idle_connection_is_kept_alive_and_tested() {
    let server = server_with(1);
    let client = builder(&server)
        .keep_alive(Duration::from_millis(50))
        .stall_timeout(MIDDLE)
        .max_connections_per_server(1)
        .connect()
        .unwrap();
    assert!(server.wait_until(LONG, |counters| counters.commands("NOOP") >= 3));
    assert_eq!(server.counters().accepted, 1);
    server.faults_for(1).never_answer("NOOP");
    eventually("the connection is left", || client.stats().open == 0);
    server.faults_for(1).clear();
    client.list("", "*").unwrap();
    assert_eq!(server.counters().accepted, 2);
}

/// While the main connection is being opened anew, callers have their own deadlines.
#[test]
fn a_caller_does_not_wait_for_a_reconnect_longer_than_it_wants() {
    let server = server_with(1);
    let client = builder(&server)
        .max_connections_per_server(1)
        .connect()
        .unwrap();
    server.faults().never_answer("AUTHENTICATE");
    server.close_all();
    eventually("the client has noticed", || client.stats().open == 0);
    let result = in_time(SHORT, || client.with_timeout(SHORT).noop());
    assert_eq!(timed_out(result).1, Certainty::NotSent);
    // The connection that hangs is given up with everybody's patience, not before.
    assert_eq!(server.counters().accepted, 2);
    server.faults().clear();
    server.reset_all();
    eventually("the client works again", || client.noop().is_ok());
    assert_eq!(server.counters().peak_open, 1);
}

/// A literal that the server never asks for.
#[test]
fn a_continuation_that_never_comes_has_a_deadline() {
    let script = logged_in("")
        .expect("{tag} APPEND INBOX {6}")
        .expect_bytes("");
    let second = select(logged_in(""), 0);
    let server = ScriptServer::start([script.stall(), logout(second)]).unwrap();
    let client = builder(&server)
        .stall_timeout(MIDDLE)
        .max_connections_per_server(1)
        .connect()
        .unwrap();
    let hasty = client.with_timeout(MIDDLE);
    let result = in_time(MIDDLE, || {
        hasty.mailbox("INBOX").append(Append::new("a: b\r\n"))
    });
    assert_eq!(
        timed_out(result),
        (Phase::Command, Certainty::MaybeExecuted)
    );
    eventually("the connection is left", || client.stats().open == 0);
    client.mailbox("INBOX").select().unwrap();
    drop((hasty, client));
    server.finish(LONG).unwrap();
}

/// The end of a body is waited for as long as each part of it takes to come.
#[test]
fn a_timeout_is_for_each_wait_of_a_stream() {
    let server = Server::builder()
        .user(USER.0, USER.1)
        .mailbox(USER.0, "INBOX", [Message::synthetic(400_000, 1)])
        .start()
        .unwrap();
    let client = builder(&server)
        .limits(Limits::default().stream_threshold(1_000))
        .connect()
        .unwrap();
    client.mailbox("INBOX").select().unwrap();
    let each = Duration::from_secs(1);
    let slow = client.with_timeout(each).mailbox("INBOX");
    let started = Instant::now();
    server.faults().stall_after(50_000);
    std::thread::scope(|threads| {
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        // The server goes on whenever the reader has waited for a quarter of its patience.
        let server = &server;
        threads.spawn(move || {
            for step in 0..4_u64 {
                let _ = receiver.recv_timeout(each / 4);
                server.faults().stall_after(60_000 + step);
            }
            let _ = receiver.recv_timeout(each / 4);
            server.faults().clear();
        });
        let message = slow.fetch([uid(1)], body()).unwrap().next().unwrap();
        let bytes = message.unwrap().into_body().unwrap().into_bytes().unwrap();
        assert_eq!(bytes.len(), 400_000);
        drop(sender);
    });
    assert!(started.elapsed() > each);
}
