//! Which commands go out beside others that have not been answered (RFC 9051 §5.5).
//!
//! No clock is needed to see it: the server holds the first command, so that its answer cannot
//! come, and the figures of the client say whether the second one has been written.

use mailpool::{Append, Flag, ImapClient, Items, Query, Result, SeqSet, StatusItems, Store};
use mailpool_test_server::{Server, Stage};

use crate::support::{USER, client, message};
use crate::threads::{LONG, bounded, seq, settle, uid, uids, until, until_pending, until_received};

type Act = fn(&ImapClient) -> Result<()>;

fn server() -> Server {
    Server::builder()
        .user(USER.0, USER.1)
        .mailbox(USER.0, "INBOX", (0..9).map(message))
        .mailbox(USER.0, "Archive", (0..2).map(message))
        .start()
        .unwrap()
}

/// Runs `first`, whose command `verb` the server holds, and `second` on another thread.
/// Returns whether the second one was written before the first one was answered.
fn overlap(server: &Server, first: (&str, Act), second: Act) -> bool {
    let client = client(server);
    let inbox = client.mailbox("INBOX");
    inbox.search(Query::all()).unwrap();
    let (verb, first) = first;
    let before = server.counters().commands(verb);
    server.faults().hold(verb);
    let overlapped = std::thread::scope(|threads| {
        let one = threads.spawn(|| first(&client));
        until_received(server, verb, before + 1);
        settle(server, &client, 1);
        let sent = client.stats().bytes_sent;
        let other = threads.spawn(|| second(&client));
        until_pending(&client, 2);
        settle(server, &client, 1);
        let overlapped = client.stats().bytes_sent > sent;
        if overlapped {
            // It is really on its way, although the server has not answered the first one.
            let sent = client.stats().bytes_sent;
            assert!(server.wait_until(LONG, |counters| counters.bytes_in >= sent));
        }
        server.faults().release(verb);
        one.join().unwrap().unwrap();
        other.join().unwrap().unwrap();
        overlapped
    });
    client.shutdown(LONG).unwrap();
    overlapped
}

/// The server numbers its connections: a new one for each case.
#[track_caller]
fn overlaps(first: (&str, Act), second: Act) {
    assert!(
        overlap(&server(), first, second),
        "{} holds the next one up",
        first.0
    );
}

#[track_caller]
fn waits(first: (&str, Act), second: Act) {
    assert!(
        !overlap(&server(), first, second),
        "the next one does not wait for {}",
        first.0
    );
}

fn fetch(client: &ImapClient, first: u32, last: u32) -> Result<()> {
    let fetch = client
        .mailbox("INBOX")
        .fetch(uids(first, last), Items::full())?;
    let count = fetch.map(Result::unwrap).count();
    assert_eq!(count, (last - first + 1) as usize);
    Ok(())
}

fn store(client: &ImapClient, first: u32, last: u32) -> Result<()> {
    let store = Store::add([Flag::Seen]);
    let outcome = client.mailbox("INBOX").store(uids(first, last), store)?;
    let count = (last - first + 1) as usize;
    assert_eq!(outcome.updated.len(), count);
    Ok(())
}

fn search(client: &ImapClient, query: Query, count: u64) -> Result<()> {
    assert_eq!(client.mailbox("INBOX").search(query)?.len(), count);
    Ok(())
}

fn status(client: &ImapClient, mailbox: &str, count: u32) -> Result<()> {
    let status = client
        .mailbox(mailbox)
        .status(StatusItems::new().messages())?;
    assert_eq!(status.messages, Some(count));
    Ok(())
}

fn list(client: &ImapClient, pattern: &str, count: usize) -> Result<()> {
    assert_eq!(client.list("", pattern)?.len(), count);
    Ok(())
}

const FETCH: (&str, Act) = ("UID FETCH", |client| fetch(client, 1, 3));
const SEARCH: (&str, Act) = ("UID SEARCH", |client| search(client, Query::all(), 9));
const STORE: (&str, Act) = ("UID STORE", |client| store(client, 1, 3));
const LIST: (&str, Act) = ("LIST", |client| list(client, "*", 2));

#[test]
fn fetches_overlap_also_of_the_same_messages() {
    bounded(|| {
        overlaps(FETCH, |client| fetch(client, 4, 6));
        overlaps(FETCH, |client| fetch(client, 2, 9));
    });
}

#[test]
fn what_has_nothing_to_do_with_a_fetch_goes_out_beside_it() {
    bounded(|| {
        overlaps(FETCH, |client| client.noop());
        overlaps(FETCH, |client| status(client, "Archive", 2));
        overlaps(FETCH, |client| search(client, Query::all(), 9));
        overlaps(FETCH, |client| list(client, "%", 2));
        overlaps(FETCH, |client| {
            client
                .mailbox("Archive")
                .append(Append::new(message(1)))
                .map(drop)
        });
    });
}

#[test]
fn a_change_of_the_mailbox_waits_for_what_is_under_way() {
    bounded(|| {
        waits(FETCH, |client| {
            let found = client.mailbox("Archive").search(Query::all())?;
            assert_eq!(found.len(), 2);
            Ok(())
        });
        waits(FETCH, |client| client.mailbox("INBOX").select().map(drop));
        waits(FETCH, |client| {
            client
                .mailbox("INBOX")
                .read_only()
                .search(Query::all())
                .map(drop)
        });
        waits(FETCH, |client| client.mailbox("INBOX").unselect());
        waits(FETCH, |client| client.mailbox("INBOX").close());
    });
}

#[test]
fn nothing_goes_out_before_a_mailbox_is_selected() {
    bounded(|| {
        let select: (&str, Act) = ("SELECT", |client| {
            client.mailbox("Archive").search(Query::all()).map(drop)
        });
        waits(select, |client| client.noop());
        waits(select, |client| {
            let fetch = client.mailbox("Archive").fetch(uids(1, 2), Items::full())?;
            assert_eq!(fetch.map(Result::unwrap).count(), 2);
            Ok(())
        });
    });
}

#[test]
fn searches_overlap_where_their_answers_bear_a_tag() {
    bounded(|| overlaps(SEARCH, |client| search(client, Query::seen(), 0)));
}

#[test]
fn searches_do_not_overlap_where_their_answers_bear_none() {
    bounded(|| {
        let server = Server::builder()
            .user(USER.0, USER.1)
            .mailbox(USER.0, "INBOX", (0..9).map(message))
            .without("ESEARCH")
            .start()
            .unwrap();
        assert!(!overlap(&server, SEARCH, |client| search(
            client,
            Query::seen(),
            0
        )));
    });
}

#[test]
fn answers_that_look_alike_do_not_overlap() {
    bounded(|| {
        waits(LIST, |client| list(client, "INBOX", 1));
        waits(
            ("LSUB", |client| client.lsub("", "*").map(drop)),
            |client| client.lsub("", "%").map(drop),
        );
        waits(
            ("NAMESPACE", |client| client.namespace().map(drop)),
            |client| client.namespace().map(drop),
        );
        waits(
            ("CAPABILITY", |client| client.capabilities().map(drop)),
            |client| client.capabilities().map(drop),
        );
        let id: Act = |client| client.id([("name", "test")]).map(drop);
        waits(("ID", id), id);
        waits(
            ("STATUS", |client| status(client, "Archive", 2)),
            |client| status(client, "Archive", 2),
        );
    });
}

#[test]
fn answers_that_name_what_they_are_about_overlap() {
    bounded(|| {
        overlaps(
            ("STATUS", |client| status(client, "Archive", 2)),
            |client| status(client, "INBOX", 9),
        );
        overlaps(LIST, |client| client.lsub("", "*").map(drop));
        overlaps(LIST, |client| client.namespace().map(drop));
        overlaps(("NOOP", |client| client.noop()), |client| client.noop());
    });
}

#[test]
fn a_change_of_messages_waits_for_what_reads_them_and_for_nothing_else() {
    bounded(|| {
        waits(FETCH, |client| store(client, 3, 5));
        overlaps(FETCH, |client| store(client, 4, 6));
        waits(STORE, |client| fetch(client, 1, 1));
        overlaps(STORE, |client| fetch(client, 4, 4));
        waits(STORE, |client| store(client, 2, 2));
        overlaps(STORE, |client| store(client, 4, 6));
        // It looks at all messages.
        waits(STORE, |client| search(client, Query::seen(), 3));
        waits(SEARCH, |client| store(client, 9, 9));
        waits(FETCH, |client| {
            client
                .mailbox("INBOX")
                .move_to(uids(2, 2), "Archive")
                .map(drop)
        });
        waits(STORE, |client| {
            client
                .mailbox("INBOX")
                .copy(uids(1, 1), "Archive")
                .map(drop)
        });
        overlaps(FETCH, |client| {
            client
                .mailbox("INBOX")
                .copy(uids(1, 1), "Archive")
                .map(drop)
        });
    });
}

#[test]
fn moves_and_expunges_do_not_overlap() {
    bounded(|| {
        let one: (&str, Act) = ("UID MOVE", |client| {
            client
                .mailbox("INBOX")
                .move_to(uids(1, 2), "Archive")
                .map(drop)
        });
        waits(one, |client| {
            client
                .mailbox("INBOX")
                .move_to(uids(8, 9), "Archive")
                .map(drop)
        });
        let expunge: (&str, Act) = ("EXPUNGE", |client| {
            assert_eq!(client.mailbox("INBOX").expunge()?, 0);
            Ok(())
        });
        waits(expunge, |client| client.noop());
        waits(FETCH, |client| client.mailbox("INBOX").expunge().map(drop));
    });
}

#[test]
fn nothing_goes_out_beside_a_command_with_sequence_numbers() {
    bounded(|| {
        let server = server();
        let client = client(&server);
        let session = client.exclusive().unwrap();
        let inbox = session.mailbox("INBOX");
        inbox.search(Query::all()).unwrap();
        let numbers = SeqSet::from_range(seq(1)..=seq(3));
        for verb in ["FETCH", "UID FETCH"] {
            server.faults().hold(verb);
            let by_number = || {
                inbox
                    .fetch_sequence(numbers.clone(), Items::fast())
                    .unwrap()
            };
            let by_uid = || inbox.fetch(uids(1, 3), Items::fast()).unwrap();
            let before = server.counters().commands(verb);
            let first = if verb == "FETCH" {
                by_number()
            } else {
                by_uid()
            };
            until_received(&server, verb, before + 1);
            settle(&server, &client, 1);
            let sent = client.stats().bytes_sent;
            let second = if verb == "FETCH" {
                by_uid()
            } else {
                by_number()
            };
            settle(&server, &client, 1);
            assert_eq!(client.stats().bytes_sent, sent, "beside {verb}");
            server.faults().release(verb);
            assert_eq!(first.map(Result::unwrap).count(), 3);
            assert_eq!(second.map(Result::unwrap).count(), 3);
        }
    });
}

#[test]
fn nothing_goes_out_between_the_pieces_of_a_literal() {
    bounded(|| {
        let server = Server::builder()
            .user(USER.0, USER.1)
            .mailbox(USER.0, "INBOX", (0..9).map(message))
            .without("LITERAL+")
            .record_lines()
            .start()
            .unwrap();
        let client = client(&server);
        let inbox = client.mailbox("INBOX");
        std::thread::scope(|threads| {
            for thread in 0..8 {
                let (client, inbox) = (&client, &inbox);
                threads.spawn(move || {
                    for number in 0..5 {
                        let text = message(thread * 100 + number);
                        inbox.append(Append::new(text)).unwrap().unwrap();
                        client.noop().unwrap();
                    }
                });
            }
        });
        let stored = server.store().messages(USER.0, "INBOX");
        assert_eq!(stored.len(), 9 + 40);
        for thread in 0..8 {
            for number in 0..5 {
                let text = message(thread * 100 + number);
                let count = stored.iter().filter(|one| one.bytes() == text).count();
                assert!(count >= 1, "{thread} {number}");
            }
        }
        assert_eq!(server.counters().commands("BAD"), 0);
    });
}

/// Answers may come in any order, as a server that works on several commands at once gives
/// them: each caller gets its own.
#[test]
fn answers_in_another_order_reach_their_callers() {
    bounded(|| {
        let server = server();
        let client = client(&server);
        let inbox = client.mailbox("INBOX");
        inbox.search(Query::all()).unwrap();
        server
            .faults()
            .never_answer("UID FETCH")
            .never_answer("NOOP");
        server.clear_commands();
        let fetches: Vec<_> = (1..=3)
            .map(|number| {
                inbox
                    .fetch(uids(number, number), Items::new().flags())
                    .unwrap()
            })
            .collect();
        std::thread::scope(|threads| {
            let noop = threads.spawn(|| client.noop());
            until_received(&server, "UID FETCH", 3);
            until_received(&server, "NOOP", 1);
            // Something else is answered meanwhile.
            status(&client, "Archive", 2).unwrap();
            let tags: Vec<String> = server
                .commands()
                .into_iter()
                .filter(|command| command.verb != "STATUS")
                .map(|command| command.tag)
                .collect();
            let flags = ["\\Flagged", "\\Seen", "\\Draft"];
            assert!(server.send_to(1, format!("{} OK Done\r\n", tags[3])));
            for index in [2, 0, 1] {
                let (number, flag, tag) = (index + 1, flags[index], &tags[index]);
                let answer = format!("* {number} FETCH (UID {number} FLAGS ({flag}))\r\n");
                assert!(server.send_to(1, format!("{answer}{tag} OK Done\r\n")));
            }
            noop.join().unwrap().unwrap();
        });
        let flags = [Flag::Flagged, Flag::Seen, Flag::Draft];
        for (number, (mut fetch, flag)) in (1..).zip(fetches.into_iter().zip(flags)) {
            let message = fetch.next().unwrap().unwrap();
            assert_eq!(message.uid(), uid(number));
            assert!(message.flags().unwrap().contains(&flag));
            assert!(fetch.next().is_none());
        }
    });
}

#[test]
fn capabilities_of_the_moment_decide() {
    bounded(|| {
        // A server that takes ESEARCH back: its searches wait from then on.
        let server = server();
        let client = client(&server);
        let names = ["IMAP4rev1", "LITERAL+", "UIDPLUS", "MOVE", "UNSELECT"];
        server.set_capabilities(Stage::Authenticated, &names);
        client.capabilities().unwrap();
        search(&client, Query::all(), 9).unwrap();
        server.faults().hold("UID SEARCH");
        std::thread::scope(|threads| {
            let one = threads.spawn(|| search(&client, Query::all(), 9));
            until_received(&server, "UID SEARCH", 2);
            settle(&server, &client, 1);
            let sent = client.stats().bytes_sent;
            let other = threads.spawn(|| search(&client, Query::seen(), 0));
            until_pending(&client, 2);
            settle(&server, &client, 1);
            assert_eq!(client.stats().bytes_sent, sent);
            server.faults().release("UID SEARCH");
            one.join().unwrap().unwrap();
            other.join().unwrap().unwrap();
        });
        until("all are answered", || client.stats().operations == 4);
    });
}
