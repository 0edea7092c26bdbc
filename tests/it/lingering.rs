//! What is still held, or waited for, when nobody has any use for it.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use mailpool::*;

use crate::scripted::body;
use crate::support::{USER, builder, message, server_with};
use crate::threads::{LONG, bounded, elsewhere, uid, uids, until, until_received};

fn slow() -> Backoff {
    Backoff::new()
        .first_delay(Duration::from_secs(6_000))
        .max_delay(Duration::from_secs(6_000))
}

/// Runs `call` on another thread; panics if it takes longer than 10 s.
fn soon<T: Send + 'static>(what: &str, call: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(call()));
    receiver
        .recv_timeout(Duration::from_secs(10))
        .unwrap_or_else(|_| panic!("hangs: {what}"))
}

#[test]
fn a_lost_connection_that_is_given_back_gives_its_permit_back() {
    bounded(|| {
        let server = server_with(1);
        let client = builder(&server)
            .max_connections_per_server(2)
            .reconnect(slow())
            .timeout(LONG)
            .connect()
            .unwrap();
        let outside = client.clone();
        server.faults_for(2).hold("NOOP");
        std::thread::scope(|threads| {
            threads.spawn(|| {
                let _connection = outside.create_connection().unwrap();
                threads.spawn(|| {
                    until_received(&server, "NOOP", 1);
                    server.reset(2);
                });
                outside
                    .with_timeout(Duration::from_millis(300))
                    .noop()
                    .unwrap_err();
            });
        });
        let result = elsewhere(move || {
            let _connection = client.create_connection_timeout(Duration::from_secs(10))?;
            client.noop()
        });
        assert!(result.is_ok(), "{result:?}");
    });
}

#[test]
fn a_scope_does_not_wait_for_a_connection_that_none_of_its_tasks_needs() {
    bounded(|| {
        let server = server_with(1);
        let client = builder(&server)
            .max_connections_per_server(2)
            .timeout(LONG)
            .connect()
            .unwrap();
        let (go_on, wait) = mpsc::channel::<()>();
        let holder = client.spawn(move |_| {
            let _ = wait.recv();
            Ok(())
        });
        until("it runs", || client.stats().tasks == 1);
        let other = client.clone();
        soon("the scope", move || {
            other
                .scope(|scope| {
                    let task = scope.spawn(|client| client.noop());
                    until("it waits", || other.stats().waiting == 1);
                    task.cancel();
                    assert!(task.join().unwrap_err().is_cancelled());
                })
                .unwrap();
        });
        assert_eq!(client.stats().waiting, 0);
        drop(go_on);
        holder.join().unwrap();
    });
}

#[test]
fn a_task_does_not_wait_in_line_beyond_the_deadline_of_its_client() {
    bounded(|| {
        let server = server_with(1);
        let client = builder(&server)
            .max_connections_per_server(2)
            .timeout(LONG)
            .connect()
            .unwrap();
        let (go_on, wait) = mpsc::channel::<()>();
        let holder = client.spawn(move |_| {
            let _ = wait.recv();
            Ok(())
        });
        until("it runs", || client.stats().tasks == 1);
        let late = client.with_deadline(Instant::now() + Duration::from_millis(200));
        let task = late.spawn(ImapClient::noop);
        let error = soon("join", move || task.join()).unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
        assert_eq!(error.certainty(), Certainty::NotSent);
        assert_eq!(client.stats().waiting, 0);
        drop(go_on);
        holder.join().unwrap();
    });
}

#[test]
fn a_watcher_that_rests_ends_with_its_client() {
    bounded(|| {
        let server = server_with(1);
        server.store().create_mailbox(USER.0, "Old");
        let client = builder(&server).timeout(LONG).connect().unwrap();
        let options =
            WatchOptions::new().idle(IdleOptions::new().poll_every(Duration::from_secs(6_000)));
        let mut watcher = client.watch_with(["INBOX", "Old"], options).unwrap();
        for _ in 0..2 {
            watcher.next_timeout(LONG).unwrap().change.unwrap();
        }
        client.shutdown(LONG).unwrap();
        assert!(soon("the watcher", move || watcher.next()).is_none());
    });
}

#[test]
fn a_watcher_with_a_callback_ends_for_those_who_wait_for_its_end() {
    bounded(|| {
        let server = server_with(1);
        let client = builder(&server).timeout(LONG).connect().unwrap();
        let (told, is_told) = mpsc::channel();
        let mut watcher = client
            .watch_each(["INBOX"], WatchOptions::new(), move |event| {
                told.send(event.change.is_ok()).unwrap();
            })
            .unwrap();
        assert!(is_told.recv_timeout(LONG).unwrap());
        assert!(watcher.next_timeout(Duration::from_millis(30)).is_none());
        watcher.stop();
        assert!(soon("the watcher", move || watcher.next()).is_none());
    });
}

#[test]
fn a_watcher_whose_time_is_up_does_not_wait_for_its_receiver() {
    bounded(|| {
        let server = server_with(1);
        let client = builder(&server).timeout(LONG).connect().unwrap();
        let token = CancelToken::new();
        let watcher = client
            .with_cancel(&token)
            .watch_with(["INBOX"], WatchOptions::new().events_waiting(1))
            .unwrap();
        let has_scope = |client: &ImapClient| {
            let holders = client.stats().holders;
            holders.iter().any(|holder| holder.role == Role::Scope)
                || holders.iter().any(|holder| holder.role == Role::Task)
        };
        until("it follows", || {
            format!("{watcher:?}").contains("waiting: 1")
        });
        for _ in 0..2 {
            let append = Append::new(message(0));
            client.mailbox("INBOX").append(append).unwrap();
        }
        // Nothing tells that it waits for its receiver with the next one.
        std::thread::sleep(Duration::from_millis(300));
        token.cancel_after(Duration::from_millis(50));
        let other = client.clone();
        soon("the watcher's connection", move || {
            until("it is given back", || !has_scope(&other));
        });
        drop(watcher);
    });
}

#[test]
fn what_is_left_of_a_session_does_not_fail_for_a_reply_that_nobody_wants() {
    bounded(|| {
        let server = server_with(3);
        let client = builder(&server)
            .limits(Limits::default().max_skipped(1000))
            .timeout(Duration::from_secs(20))
            .connect()
            .unwrap();
        let session = client.exclusive().unwrap();
        let inbox = session.mailbox("INBOX");
        inbox.select().unwrap();
        server
            .faults()
            .never_answer("UID FETCH")
            .never_answer("UID FETCH");
        let first = inbox.fetch([uid(1)], body()).unwrap();
        until_received(&server, "UID FETCH", 1);
        let mut second = inbox.fetch(uids(2, 3), body()).unwrap();
        until_received(&server, "UID FETCH", 2);
        drop((first, session));
        server.faults().clear();
        let before = client.stats().bytes_received;
        let nobodys = format!(
            "* 1 FETCH (UID 1 BODY[] {{2000}}\r\n{})\r\n",
            "x".repeat(2000)
        );
        assert!(server.send_to(1, nobodys));
        until("it has come", || {
            client.stats().bytes_received > before + 2000
        });
        let two = String::from_utf8(message(1)).unwrap();
        let wanted = format!("* 2 FETCH (UID 2 BODY[] {{{}}}\r\n{two})\r\n", two.len());
        server.send_to(1, wanted);
        let got = second.next().unwrap().map(|one| one.uid().get());
        assert!(matches!(got, Ok(2)), "{got:?}");
        server.reset_all();
    });
}

#[test]
fn a_no_to_what_has_been_done_in_part_is_no_rejection() {
    bounded(|| {
        let server = server_with(2);
        let client = builder(&server).timeout(LONG).connect().unwrap();
        server.store().create_mailbox(USER.0, "Old");
        let inbox = client.mailbox("INBOX");
        inbox.select().unwrap();
        server.faults().respond(
            "UID MOVE",
            "* OK [COPYUID 1 1 1] one of them\r\n* 1 EXPUNGE\r\n{tag} NO not the other\r\n",
        );
        let error = inbox.move_to(uids(1, 2), "Old").unwrap_err();
        assert_eq!(error.certainty(), Certainty::MaybeExecuted, "{error:?}");
    });
}

/// A client that opens its connection anew after each message, and the server that it sends to.
fn renewing(
    change: impl FnOnce(SmtpClientBuilder) -> SmtpClientBuilder,
) -> (mailpool_test_server::Server, SmtpClient, SmtpEnvelope) {
    let server = mailpool_test_server::Server::builder()
        .protocol(mailpool_test_server::Protocol::Smtp)
        .start()
        .unwrap();
    let client = SmtpClient::builder("127.0.0.1")
        .port(server.port())
        .security(Security::None)
        .timeout(LONG);
    let client = change(client).connect().unwrap();
    let envelope = SmtpEnvelope::new("alice@example.org", ["bob@example.net"]).unwrap();
    (server, client, envelope)
}

#[test]
fn a_connection_that_may_not_grow_old_is_used_once_all_the_same() {
    bounded(|| {
        let (server, client, envelope) = renewing(|it| it.max_connection_age(Duration::ZERO));
        for _ in 0..3 {
            let (client, envelope) = (client.clone(), envelope.clone());
            let report = soon("send", move || client.send(&envelope, "x: y\r\n\r\n"));
            assert!(report.unwrap().is_complete());
        }
        assert_eq!(server.deliveries().len(), 3);
        assert_eq!(server.counters().accepted, 3);
    });
}

#[test]
fn a_server_that_does_not_answer_a_goodbye_does_not_hold_up_the_shutdown() {
    bounded(|| {
        let (server, client, envelope) = renewing(|it| it.max_messages_per_connection(1));
        assert!(
            client
                .send(&envelope, "x: y\r\n\r\n")
                .unwrap()
                .is_complete()
        );
        server.faults_for(1).hold("QUIT");
        let other = client.clone();
        let second = std::thread::spawn(move || other.send(&envelope, "x: y\r\n\r\n"));
        until_received(&server, "QUIT", 1);
        soon("shutdown", move || client.shutdown(Duration::MAX)).unwrap();
        let error = second.join().unwrap().unwrap_err();
        assert_eq!(error.certainty(), Certainty::NotSent);
    });
}
