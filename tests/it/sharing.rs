//! Many threads on one connection: operations are atomic, each thread's are in its order, and
//! nobody waits for itself.

use std::collections::BTreeSet;
use std::io::Read;

use mailpool::{ErrorKind, Flag, ImapClient, Items, Limits, Query, StatusItems, Store};
use mailpool_test_server::Server;

use crate::support::{USER, builder, client, message, server_with};
use crate::threads::{
    bounded, large_message, large_server, uid, uids, until, until_received, verbs,
};

const MAILBOXES: usize = 4;

/// The first UID of a mailbox: a UID says which mailbox it belongs to.
fn base(mailbox: usize) -> u32 {
    u32::try_from(mailbox).unwrap() * 1000 + 1
}

fn mailbox_name(mailbox: usize) -> String {
    format!("Box {mailbox}")
}

/// A server with mailboxes whose messages tell which one they are in.
fn numbered_mailboxes(messages: u32) -> Server {
    let server = Server::builder()
        .user(USER.0, USER.1)
        .record_lines()
        .start()
        .unwrap();
    for mailbox in 0..MAILBOXES {
        let name = mailbox_name(mailbox);
        server.store().set_uid_next(USER.0, &name, base(mailbox));
        for number in 0..messages {
            let number = base(mailbox) + number;
            let stored = server
                .store()
                .append(USER.0, &name, message(number as usize));
            assert_eq!(stored, number);
        }
    }
    server
}

/// Checks the server's log: between the SELECT of a mailbox and the commands that are about
/// its messages there is no SELECT of another one. Returns how many SELECTs there were.
fn assert_never_separated(server: &Server) -> usize {
    let mut selected = None;
    let mut selects = 0;
    for command in server.commands() {
        assert_eq!(command.connection, 1);
        let line = command.line.unwrap();
        match command.verb.as_str() {
            "SELECT" => {
                let named = (0..MAILBOXES).find(|&mailbox| line.contains(&mailbox_name(mailbox)));
                assert_ne!(selected, named, "selected already: {line}");
                selected = named;
                selects += 1;
            }
            "UID FETCH" | "UID STORE" | "UID SEARCH" => {
                // `tag UID FETCH 2003 (..)`, `tag UID SEARCH .. UID 2003`
                let words = line.split(' ').skip(2);
                let number = words
                    .filter_map(|word| word.parse::<u32>().ok())
                    .next()
                    .unwrap_or_else(|| panic!("no UID in {line}"));
                let mailbox = (number / 1000) as usize;
                assert_eq!(selected, Some(mailbox), "{line}");
            }
            _ => {}
        }
    }
    selects
}

#[test]
fn sixteen_threads_in_several_mailboxes_each_get_their_own_replies() {
    bounded(|| {
        const THREADS: usize = 16;
        const TURNS: u32 = 12;
        let server = numbered_mailboxes(THREADS as u32);
        let client = client(&server);
        server.clear_commands();
        std::thread::scope(|threads| {
            for thread in 0..THREADS {
                let client = &client;
                threads.spawn(move || {
                    for turn in 0..TURNS as usize {
                        one_round(client, (thread + turn / 3) % MAILBOXES, thread as u32);
                    }
                });
            }
        });
        assert_eq!(server.counters().accepted, 1);
        let selects = assert_never_separated(&server);
        assert!(selects >= MAILBOXES);
        // Every message was marked by its thread alone.
        for mailbox in 0..MAILBOXES {
            for message in server.store().messages(USER.0, &mailbox_name(mailbox)) {
                assert!(
                    message.flags.contains(&format!("mark{}", message.uid)),
                    "{message:?}"
                );
            }
        }
    });
}

/// What one thread does in one mailbox, with its own message there.
fn one_round(client: &ImapClient, mailbox: usize, thread: u32) {
    let number = base(mailbox) + thread;
    let handle = client.mailbox(mailbox_name(mailbox).as_str());
    let only = handle.search(Query::all().uid(uid(number))).unwrap();
    assert_eq!(only.iter().collect::<Vec<_>>(), [uid(number)]);
    let mark = Flag::keyword(&format!("mark{number}")).unwrap();
    let stored = handle
        .store(uid(number), Store::add([mark.clone()]))
        .unwrap();
    for update in &stored.updated {
        assert!(update.flags.contains(&mark), "{update:?}");
    }
    let mut fetch = handle.fetch(uid(number), Items::full()).unwrap();
    let fetched = fetch.next().unwrap().unwrap();
    assert_eq!(fetched.uid(), uid(number));
    assert!(fetched.flags().unwrap().contains(&mark));
    let body = fetched.into_body().unwrap().into_bytes().unwrap();
    assert_eq!(body, message(number as usize));
    assert!(fetch.next().is_none());
    let status = handle
        .status(StatusItems::new().messages().uid_next())
        .unwrap();
    assert_eq!(status.messages, Some(16));
    assert_eq!(status.uid_next, Some(uid(base(mailbox) + 16)));
}

#[test]
fn a_mailbox_is_selected_once_for_all_that_is_done_in_it() {
    bounded(|| {
        let server = numbered_mailboxes(10);
        let client = client(&server);
        server.clear_commands();
        std::thread::scope(|threads| {
            for thread in 0..10 {
                let client = &client;
                threads.spawn(move || {
                    let handle = client.mailbox(mailbox_name(2).as_str());
                    for _ in 0..5 {
                        let fetch = handle.fetch(uid(base(2) + thread), Items::new().flags());
                        assert_eq!(fetch.unwrap().map(Result::unwrap).count(), 1);
                    }
                });
            }
        });
        assert_eq!(assert_never_separated(&server), 1);
        assert_eq!(server.counters().commands("UID FETCH"), 50);
    });
}

#[test]
fn a_mailbox_that_is_only_read_is_another_selection() {
    let server = server_with(2);
    let client = client(&server);
    let inbox = client.mailbox("INBOX");
    let read_only = inbox.read_only();
    for handle in [&inbox, &read_only, &read_only, &inbox] {
        assert_eq!(handle.search(Query::all()).unwrap().len(), 2);
    }
    let log = verbs(&server, 1);
    let selections: Vec<&str> = log
        .iter()
        .map(String::as_str)
        .filter(|verb| ["SELECT", "EXAMINE"].contains(verb))
        .collect();
    assert_eq!(selections, ["SELECT", "EXAMINE", "SELECT"]);
}

#[test]
fn commands_of_one_thread_arrive_in_its_order_also_beside_unfinished_streams() {
    bounded(|| {
        let server = server_with(5);
        let client = client(&server);
        let inbox = client.mailbox("INBOX");
        server.clear_commands();
        let before = inbox.fetch(uids(1, 5), Items::new().flags()).unwrap();
        inbox.store(uids(2, 3), Store::add(Flag::Flagged)).unwrap();
        let between = inbox.fetch(uids(1, 5), Items::new().flags()).unwrap();
        inbox.copy(uids(2, 3), "Archive").unwrap_err();
        inbox
            .store(uids(2, 2), Store::remove(Flag::Flagged))
            .unwrap();
        assert_eq!(inbox.search(Query::flagged()).unwrap().len(), 1);
        inbox.store(uids(5, 5), Store::add(Flag::Deleted)).unwrap();
        let after = inbox.fetch(uids(1, 5), Items::new().flags()).unwrap();
        assert_eq!(inbox.expunge().unwrap(), 1);
        let flagged = |fetch: mailpool::Fetch| -> Vec<u32> {
            fetch
                .map(Result::unwrap)
                .filter(|message| message.flags().unwrap().contains(&Flag::Flagged))
                .map(|message| message.uid().get())
                .collect()
        };
        // Read last of all, and yet what they were when they were asked for.
        let after: Vec<_> = after.map(Result::unwrap).collect();
        assert_eq!(after.len(), 5);
        assert_eq!(flagged(between), [2, 3]);
        assert_eq!(flagged(before), [0; 0]);
        let expected = [
            "SELECT",
            "UID FETCH",
            "UID STORE",
            "UID FETCH",
            "UID COPY",
            "UID STORE",
            "UID SEARCH",
            "UID STORE",
            "UID FETCH",
            "EXPUNGE",
        ];
        assert_eq!(verbs(&server, 1), expected);
    });
}

#[test]
fn a_set_of_uids_does_not_reach_the_messages_of_another_mailbox_of_that_name() {
    let server = server_with(3);
    let client = client(&server);
    let inbox = client.mailbox("INBOX");
    let found = inbox.search(Query::all()).unwrap();
    assert_eq!(inbox.fetch(&found, Items::new()).unwrap().count(), 3);
    server.store().set_uid_validity(USER.0, "INBOX", 4711);
    inbox.select().unwrap();
    server.clear_commands();
    let error = inbox.store(&found, Store::add(Flag::Deleted)).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::UidValidityChanged { .. }),
        "{error:?}"
    );
    let mut fetch = inbox.fetch(&found, Items::full()).unwrap();
    let error = fetch.next().unwrap().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::UidValidityChanged { .. }),
        "{error:?}"
    );
    assert_eq!(verbs(&server, 1), [""; 0]);
}

/// Reads a stream to its end and compares it with the server.
fn assert_complete(stream: impl Iterator<Item = mailpool::Result<mailpool::Message>>, first: u32) {
    let mut read = BTreeSet::new();
    for message in stream {
        let message = message.unwrap();
        let number = message.uid().get();
        let mut bytes = Vec::new();
        message
            .into_body()
            .unwrap()
            .into_reader()
            .read_to_end(&mut bytes)
            .unwrap();
        assert!(bytes == large_message(number), "message {number}");
        read.insert(number);
    }
    assert_eq!(read, (first..=8).collect());
}

/// What a thread may do while it has not read its stream to the end.
fn with_an_unfinished_stream(act: fn(&ImapClient)) {
    bounded(move || {
        let server = large_server(8);
        let client = client(&server);
        let inbox = client.mailbox("INBOX");
        let mut stream = inbox.fetch(uids(1, 8), Items::full()).unwrap();
        let first = stream.next().unwrap().unwrap();
        assert_eq!(first.uid(), uid(1));
        drop(first);
        act(&client);
        act(&client);
        assert_complete(stream, 2);
        assert_eq!(server.counters().accepted, 1);
    });
}

#[test]
fn a_thread_may_ask_for_something_else_beside_its_unfinished_stream() {
    with_an_unfinished_stream(|client| client.noop().unwrap());
}

#[test]
fn a_thread_may_search_beside_its_unfinished_stream() {
    with_an_unfinished_stream(|client| {
        assert_eq!(
            client.mailbox("INBOX").search(Query::all()).unwrap().len(),
            8
        );
    });
}

#[test]
fn a_thread_may_change_the_messages_of_its_unfinished_stream() {
    with_an_unfinished_stream(|client| {
        let inbox = client.mailbox("INBOX");
        inbox.store(uids(8, 8), Store::add(Flag::Seen)).unwrap();
    });
}

#[test]
fn a_thread_may_go_to_another_mailbox_beside_its_unfinished_stream() {
    with_an_unfinished_stream(|client| {
        client.mailbox("Elsewhere").select().unwrap_err();
    });
}

#[test]
fn a_thread_may_take_its_route_for_itself_beside_its_unfinished_stream() {
    with_an_unfinished_stream(|client| {
        let session = client.exclusive().unwrap();
        assert_eq!(
            session.mailbox("INBOX").search(Query::all()).unwrap().len(),
            8
        );
    });
}

#[test]
fn a_body_that_is_being_read_goes_on_after_another_command() {
    bounded(|| {
        let server = large_server(8);
        let client = client(&server);
        let inbox = client.mailbox("INBOX");
        let mut stream = inbox.fetch(uids(1, 8), Items::full()).unwrap();
        let first = stream.next().unwrap().unwrap();
        let mut reader = first.into_body().unwrap().into_reader();
        let mut bytes = vec![0; 1000];
        reader.read_exact(&mut bytes).unwrap();
        inbox
            .store(uids(1, 8), Store::add(Flag::Flagged).silent())
            .unwrap();
        reader.read_to_end(&mut bytes).unwrap();
        assert!(bytes == large_message(1));
        assert_complete(stream, 2);
    });
}

#[test]
fn another_thread_does_not_wait_for_a_reader_that_does_not_read() {
    bounded(|| {
        let server = large_server(8);
        let client = client(&server);
        let inbox = client.mailbox("INBOX");
        let stream = inbox.fetch(uids(1, 8), Items::full()).unwrap();
        std::thread::scope(|threads| {
            let other = threads.spawn(|| inbox.store(uids(3, 3), Store::add(Flag::Seen)).map(drop));
            other.join().unwrap().unwrap();
        });
        assert_complete(stream, 1);
    });
}

#[test]
fn a_reader_that_does_not_read_holds_up_its_connection_while_nobody_waits() {
    bounded(|| {
        let server = large_server(8);
        let client = client(&server);
        let stream = client
            .mailbox("INBOX")
            .fetch(uids(1, 8), Items::full())
            .unwrap();
        until_received(&server, "UID FETCH", 1);
        // It stops, long before everything has come.
        until("nothing more is read", || {
            let before = client.stats().bytes_received;
            std::thread::park_timeout(std::time::Duration::from_millis(50));
            before > 0 && client.stats().bytes_received == before && before > 1 << 19
        });
        assert!(client.stats().bytes_received < 4 << 20);
        assert_complete(stream, 1);
    });
}

#[test]
fn a_stream_beyond_the_limit_fails_and_those_behind_it_do_not() {
    bounded(|| {
        let server = large_server(8);
        let client = builder(&server)
            .limits(Limits::default().max_buffered_body(3 << 20))
            .connect()
            .unwrap();
        let inbox = client.mailbox("INBOX");
        let stream = inbox.fetch(uids(1, 8), Items::full()).unwrap();
        inbox.store(uids(8, 8), Store::add(Flag::Seen)).unwrap();
        let failure = stream
            .map(|message| message?.into_body().unwrap().into_bytes())
            .find_map(Result::err)
            .unwrap();
        assert!(matches!(failure.kind(), ErrorKind::SlowReader { limit } if *limit == 3 << 20));
        assert_eq!(inbox.search(Query::seen()).unwrap().len(), 1);
        assert_eq!(server.counters().accepted, 1);
    });
}
