//! Races and second faults: what goes wrong while something else goes wrong already.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use mailpool::{
    Append, Backoff, CancelToken, Certainty, ConnectionEvent, Error, Flag, ImapClient, Limits,
    Query, SeqSet, Store, UidSet,
};
use mailpool_test_server::Server;

use crate::scripted::body;
use crate::support::{USER, builder, client_of, client_with, message, never, quick, server_with};
use crate::threads::{LONG, bounded, settle, uid, uids, until, until_received};

/// Runs `call` on another thread; panics if it takes longer than 5 s.
fn soon<T: Send + 'static>(what: &str, call: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(call()));
    receiver
        .recv_timeout(Duration::from_secs(5))
        .unwrap_or_else(|_| panic!("hangs: {what}"))
}

#[test]
fn an_open_set_that_was_delivered_is_not_delivered_again() {
    bounded(|| {
        let server = server_with(2);
        let client = client_of(&server);
        client.mailbox("INBOX").select().unwrap();
        let (one, two) = (
            String::from_utf8(message(0)).unwrap(),
            String::from_utf8(message(1)).unwrap(),
        );
        server.faults().respond("UID FETCH", format!(
            "* 1 FETCH (UID 1 BODY[] {{{}}}\r\n{one})\r\n* 2 FETCH (UID 2 BODY[] {{{}}}\r\n{two})\r\n",
            one.len(), two.len()));
        let mut got = Vec::new();
        for fetched in client
            .mailbox("INBOX")
            .fetch(UidSet::all(), body())
            .unwrap()
        {
            got.push(fetched.unwrap().uid().get());
            if got.len() == 2 {
                server.faults().clear();
                server.reset_all();
            }
        }
        assert_eq!(got, [1, 2]);
    });
}

/// What a change says that was under way when its connection broke, where `refuse` has the server
/// refuse it on the next one.
fn refused_when_repeated(refuse: impl FnOnce(&Server)) -> Error {
    let server = server_with(2);
    let client = client_of(&server);
    server.faults().hold("UID STORE");
    let error = std::thread::scope(|threads| {
        let waiting = threads.spawn(|| {
            client
                .mailbox("INBOX")
                .store(uids(1, 2), Store::add(Flag::Deleted))
        });
        until_received(&server, "UID STORE", 1);
        refuse(&server);
        server.reset_all();
        waiting.join().unwrap().unwrap_err()
    });
    server.faults().clear();
    error
}

#[test]
fn a_repeated_command_whose_mailbox_is_refused_may_have_been_executed() {
    bounded(|| {
        let error = refused_when_repeated(|server| {
            server.faults().respond("SELECT", "{tag} NO gone\r\n");
        });
        assert_eq!(error.certainty(), Certainty::MaybeExecuted, "{error:?}");
    });
}

#[test]
fn a_repeated_command_whose_login_is_refused_may_have_been_executed() {
    bounded(|| {
        let error = refused_when_repeated(|server| {
            let refusal = "[AUTHENTICATIONFAILED] Changed";
            server.faults().refuse_next_login(refusal);
        });
        assert_eq!(error.certainty(), Certainty::MaybeExecuted, "{error:?}");
    });
}

#[test]
fn events_of_a_client_that_was_shut_down_are_over() {
    bounded(|| {
        let server = server_with(1);
        let client = client_of(&server);
        client.shutdown(LONG).unwrap();
        assert!(soon("events", move || client.connection_events().next()).is_none());
    });
}

#[test]
fn a_watcher_ends_when_its_token_is_cancelled_by_the_clock() {
    bounded(|| {
        let server = server_with(1);
        server.store().create_mailbox(USER.0, "Old");
        let client = client_of(&server);
        let token = CancelToken::new();
        let mut watcher = client.with_cancel(&token).watch(["INBOX", "Old"]).unwrap();
        for _ in 0..2 {
            watcher.next_timeout(LONG).unwrap().change.unwrap();
        }
        token.cancel_after(Duration::from_millis(50));
        assert!(soon("the watcher", move || watcher.next()).is_none());
    });
}

#[test]
fn withheld_permits_come_back_while_the_main_connection_is_gone() {
    bounded(|| {
        let server = server_with(1);
        let client = builder(&server)
            .reconnect(quick().max_attempts(1))
            .timeout(LONG)
            .connect()
            .unwrap();
        server
            .faults()
            .refuse_next_login("[AUTHENTICATIONFAILED] Changed");
        server.reset_all();
        until("it is given up", || client.stats().open == 0);
        server.set_max_connections(Some(0));
        let task = client.spawn(ImapClient::noop);
        until("it is refused", || client.stats().refused > 0);
        until("it is refused again", || client.stats().refused > 2);
        server.set_max_connections(None);
        let mut task = task;
        let result = task.join_timeout(Duration::from_secs(4));
        assert!(matches!(result, Some(Ok(()))), "{result:?}");
    });
}

#[test]
fn what_a_job_holds_is_not_dropped_on_a_connection_thread() {
    struct Tell(mpsc::Sender<String>);
    impl Drop for Tell {
        fn drop(&mut self) {
            let _ = self
                .0
                .send(std::thread::current().name().unwrap_or_default().to_owned());
        }
    }
    bounded(|| {
        let server = server_with(1);
        let client = builder(&server)
            .max_connections_per_server(2)
            .idle_timeout(Duration::ZERO)
            .reconnect(quick())
            .timeout(LONG)
            .connect()
            .unwrap();
        let (go_on, wait) = mpsc::channel::<()>();
        let first = client.spawn(move |_| {
            let _ = wait.recv();
            Ok(())
        });
        until("it runs", || client.stats().tasks == 1);
        let token = CancelToken::new();
        let (sender, dropped) = mpsc::channel();
        let tell = Tell(sender);
        let second = client.with_cancel(&token).spawn(move |_| {
            drop(tell);
            Ok(())
        });
        token.cancel_after(Duration::from_millis(1));
        until("its time is up", || token.is_cancelled());
        drop(go_on);
        first.join().unwrap();
        let thread = dropped.recv_timeout(LONG).unwrap();
        assert!(second.join().unwrap_err().is_cancelled());
        assert!(
            !thread.starts_with("imap-") || thread.starts_with("imap-task"),
            "{thread}"
        );
    });
}

#[test]
fn a_join_that_is_given_up_says_nothing_of_the_job() {
    bounded(|| {
        let server = server_with(1);
        let client = client_of(&server);
        server.faults().hold("APPEND");
        let inner =
            client.spawn(|client| client.mailbox("INBOX").append(Append::new("a: b\r\n\r\n")));
        until_received(&server, "APPEND", 1);
        let (begun, has_begun) = mpsc::channel();
        let outer = client.spawn(move |_| {
            begun.send(()).unwrap();
            inner.join()
        });
        has_begun.recv_timeout(LONG).unwrap();
        outer.cancel();
        let error = outer.join().unwrap_err();
        server.faults().release("APPEND");
        assert_eq!(error.certainty(), Certainty::MaybeExecuted, "{error:?}");
    });
}

#[test]
fn messages_that_came_with_an_unwanted_reply_are_not_lost() {
    bounded(|| {
        let server = server_with(3);
        let client = builder(&server)
            .reconnect(quick())
            .limits(Limits::default().max_skipped(1000))
            .timeout(LONG)
            .connect()
            .unwrap();
        let inbox = client.mailbox("INBOX");
        inbox.select().unwrap();
        server
            .faults()
            .never_answer("UID FETCH")
            .never_answer("UID FETCH");
        let first = inbox.fetch([uid(1)], body()).unwrap();
        until_received(&server, "UID FETCH", 1);
        let second = inbox.fetch(uids(2, 3), body()).unwrap();
        until_received(&server, "UID FETCH", 2);
        drop(first);
        server.faults().clear();
        let two = String::from_utf8(message(1)).unwrap();
        let mut bytes = format!(
            "* 1 FETCH (UID 1 BODY[] {{2000}}\r\n{})\r\n",
            "x".repeat(2000)
        );
        bytes.push_str(&format!(
            "* 2 FETCH (UID 2 BODY[] {{{}}}\r\n{two})\r\n",
            two.len()
        ));
        assert!(server.send_to(1, bytes));
        let got: Vec<u32> = second.map(|one| one.unwrap().uid().get()).collect();
        assert_eq!(got, [2, 3]);
    });
}

#[test]
fn a_reply_that_nobody_wants_does_not_end_an_exclusive_session() {
    bounded(|| {
        let server = Server::builder()
            .user(USER.0, USER.1)
            .mailbox(
                USER.0,
                "INBOX",
                (0..8).map(|number| mailpool_test_server::Message::synthetic(1 << 20, number)),
            )
            .start()
            .unwrap();
        let client = builder(&server)
            .reconnect(quick())
            .limits(Limits::default().max_skipped(1 << 20))
            .timeout(LONG)
            .connect()
            .unwrap();
        let session = client.exclusive().unwrap();
        let inbox = session.mailbox("INBOX");
        let mut messages = client
            .mailbox("INBOX")
            .fetch(UidSet::all(), body())
            .unwrap();
        let first = messages.next().unwrap().unwrap();
        drop((first, messages));
        inbox.search_sequence(Query::all()).unwrap();
    });
}

#[test]
fn each_loss_is_told() {
    bounded(|| {
        let server = server_with(1);
        let client = client_of(&server);
        let mut events = client.connection_events();
        for round in 1..=2 {
            server.reset_all();
            until("it is ready", || client.stats().reconnected == round);
        }
        let mut lost = 0;
        while let Some(event) = events.next_timeout(Duration::from_millis(100)) {
            lost += u32::from(matches!(event, ConnectionEvent::Lost { .. }));
        }
        assert_eq!(lost, 2);
    });
}

#[test]
fn a_job_whose_drop_panics_is_joined_all_the_same() {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            panic!("bad")
        }
    }
    bounded(|| {
        let server = server_with(1);
        let client = client_with(&server, 2);
        let (go_on, wait) = mpsc::channel::<()>();
        let first = client.spawn(move |_| {
            let _ = wait.recv();
            Ok(())
        });
        until("it runs", || client.stats().tasks == 1);
        let bad = Bad;
        let second = client.spawn(move |_| {
            let _bad = bad;
            Ok(())
        });
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| second.cancel()));
        drop(go_on);
        first.join().unwrap();
        let result = soon("join", move || {
            second.join().map_err(|error| error.to_string())
        });
        assert!(result.is_err());
    });
}

#[test]
fn in_a_cancelled_task_a_watcher_of_another_handle_ends() {
    bounded(|| {
        let server = server_with(1);
        let client = client_with(&server, 4);
        let other = client.clone();
        let (begun, has_begun) = mpsc::channel();
        let task = client.spawn(move |_| {
            let mut watcher = other.watch(["INBOX"])?;
            let _ = watcher.next();
            begun.send(()).unwrap();
            let _ = watcher.next();
            Ok(())
        });
        has_begun.recv_timeout(LONG).unwrap();
        task.cancel();
        let _ = soon("the task", move || task.join().is_ok());
    });
}

#[test]
fn a_diamond_of_tokens_is_cancelled_in_time() {
    bounded(|| {
        let top = CancelToken::new();
        let mut last = top.clone();
        let mut keep = Vec::new();
        for _ in 0..22 {
            let (one, other) = (last.child(), last.child());
            last = CancelToken::linked([&one, &other]);
            keep.push((one, other));
        }
        let begun = Instant::now();
        top.cancel();
        let took = begun.elapsed();
        assert!(last.is_cancelled());
        assert!(took < Duration::from_millis(200), "{took:?}");
        let _ = never();
    });
}

#[test]
fn bulk_work_inside_a_task_that_has_the_only_connection_does_not_wait_for_itself() {
    bounded(|| {
        let server = server_with(3);
        let client = builder(&server)
            .max_connections_per_server(2)
            .timeout(Duration::from_secs(2))
            .connect()
            .unwrap();
        let mut task = client.spawn(|client| {
            let outcome =
                client
                    .mailbox("INBOX")
                    .bulk()
                    .fetch(UidSet::all(), body(), |_| Ok(()))?;
            Ok(outcome.succeeded.len())
        });
        let result = task.join_timeout(Duration::from_secs(6));
        task.cancel();
        assert!(matches!(result, Some(Ok(3))), "{result:?}");
    });
}

#[test]
fn a_cancelled_task_does_not_go_on_waiting_with_a_time() {
    bounded(|| {
        let server = server_with(1);
        let client = client_of(&server);
        let (go_on, wait) = mpsc::channel::<()>();
        let mut inner = client.spawn(move |_| {
            let _ = wait.recv();
            Ok(())
        });
        let (begun, has_begun) = mpsc::channel();
        let outer = client.spawn(move |_| {
            begun.send(()).unwrap();
            let _ = inner.join_timeout(LONG);
            Ok(())
        });
        has_begun.recv_timeout(LONG).unwrap();
        outer.cancel();
        let _ = soon("the outer task", move || outer.join().is_ok());
        drop(go_on);
    });
}

#[test]
fn a_connection_that_came_back_and_breaks_again_is_tried_for_its_whole_time() {
    bounded(|| {
        let server = server_with(1);
        let client = builder(&server)
            .reconnect(quick().max_time(Duration::from_secs(1)))
            .timeout(LONG)
            .connect()
            .unwrap();
        server.reset_all();
        until("it is ready", || client.stats().reconnected == 1);
        let ready = Instant::now();
        until("more time has passed than attempts may take", || {
            ready.elapsed() > Duration::from_millis(1_200)
        });
        server.reset_all();
        until("it is ready again", || client.stats().reconnected == 2);
    });
}

#[test]
fn nothing_of_a_session_is_carried_out_on_another_connection() {
    bounded(|| {
        let server = server_with(3);
        let client = client_of(&server);
        let session = client.exclusive().unwrap();
        let inbox = session.mailbox("INBOX");
        inbox.select().unwrap();
        server.faults().hold("FETCH");
        let mut first = inbox.fetch_sequence(SeqSet::all(), body()).unwrap();
        until_received(&server, "FETCH", 1);
        let second = inbox.fetch_sequence(SeqSet::all(), body()).unwrap();
        drop(session);
        settle(&server, &client, 1);
        server.reset_all();
        server.faults().clear();
        assert!(first.any(|one| one.is_err()));
        let got: Vec<bool> = second.map(|one| one.is_err()).collect();
        assert_eq!(got, [true], "{:?}", server.commands());
    });
}

#[test]
fn a_lost_connection_is_not_handed_on() {
    bounded(|| {
        let server = server_with(1);
        let slow = Backoff::new()
            .first_delay(Duration::from_secs(600))
            .max_delay(Duration::from_secs(600));
        let client = builder(&server)
            .reconnect(slow)
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
        let stats = client.stats();
        let outside = client.clone();
        let result = crate::threads::elsewhere(move || {
            let _connection = outside.create_connection_timeout(Duration::from_secs(3))?;
            outside.with_timeout(Duration::from_secs(3)).noop()
        });
        assert!(result.is_ok(), "{result:?} {stats:?}");
    });
}
