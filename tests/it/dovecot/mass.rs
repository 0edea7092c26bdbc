//! Ten thousand messages.

use std::sync::OnceLock;

use mailpool::{ImapClient, Items, Mailbox, Query, UidSet};
use mailpool_test_dovecot::{Dovecot, User};

use super::{connect, plain_builder, uid};

const COUNT: usize = 10_000;

/// A user with the messages in INBOX, delivered once for all tests, and what the server serves.
fn filled(dovecot: &Dovecot) -> &'static (User, Vec<Vec<u8>>) {
    static FILLED: OnceLock<(User, Vec<Vec<u8>>)> = OnceLock::new();
    FILLED.get_or_init(|| {
        let user = dovecot.new_user("mass");
        let messages = mailpool_test_corpus::plain(COUNT, 7);
        let served = dovecot.deliver(&user.name, "INBOX", messages);
        (user, served)
    })
}

/// Fetches messages and compares every byte; returns how many there were.
fn compare(mailbox: &Mailbox, uids: &UidSet, served: &[Vec<u8>]) -> usize {
    let mut count = 0;
    for message in mailbox.fetch(uids, Items::full()).unwrap() {
        let message = message.unwrap();
        let uid = message.uid();
        let expected = &served[uid.get() as usize - 1];
        assert_eq!(message.size(), Some(expected.len() as u64));
        let body = message.into_body().unwrap().into_bytes().unwrap();
        assert!(body == *expected, "UID {uid}");
        count += 1;
    }
    count
}

/// Divides all messages among threads; with or without a connection for each.
fn fetch_with(client: &ImapClient, threads: usize, scopes: bool, served: &[Vec<u8>]) {
    let inbox = client.mailbox("INBOX");
    let all = inbox.search(Query::all()).unwrap();
    assert_eq!(all.len(), COUNT as u64);
    let counts: Vec<usize> = std::thread::scope(|scope| {
        let workers: Vec<_> = all
            .chunks(COUNT.div_ceil(threads))
            .into_iter()
            .map(|chunk| {
                let inbox = &inbox;
                scope.spawn(move || {
                    let _connection = scopes.then(|| client.create_connection().unwrap());
                    let pieces = chunk.chunks(500);
                    pieces.iter().map(|uids| compare(inbox, uids, served)).sum()
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .collect()
    });
    assert_eq!(counts.len(), threads);
    assert_eq!(counts.iter().sum::<usize>(), COUNT);
}

#[test]
fn four_and_eight_threads_fetch_ten_thousand_messages_over_their_own_connections() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (user, served) = filled(dovecot);
    let client = plain_builder(dovecot, user)
        .max_connections_per_server(9)
        .connect()
        .unwrap();
    for threads in [4, 8] {
        fetch_with(&client, threads, true, served);
    }
    let stats = client.stats();
    // A thread that is done early hands its connection on to one that begins late.
    assert!((2..=9).contains(&stats.opened), "{stats:?}");
    assert!(stats.reused >= 4, "{stats:?}");
}

#[test]
fn four_threads_fetch_ten_thousand_messages_over_one_connection() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (user, served) = filled(dovecot);
    let client = plain_builder(dovecot, user)
        .max_connections_per_server(1)
        .connect()
        .unwrap();
    fetch_with(&client, 4, false, served);
    assert_eq!(client.stats().opened, 1);
}

#[test]
fn ten_thousand_messages_are_found_listed_and_fetched_in_one_command() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (user, served) = filled(dovecot);
    let client = connect(dovecot, user);
    let inbox = client.mailbox("INBOX");
    let info = inbox.select().unwrap();
    assert_eq!(info.exists as usize, COUNT);
    let all = inbox.search(Query::all()).unwrap();
    // Ranges stay ranges.
    assert_eq!(
        (all.to_string().as_str(), all.ranges().count()),
        ("1:10000", 1)
    );
    assert_eq!(all.uid_validity(), info.uid_validity);
    let sizes: u64 = inbox
        .fetch(&all, Items::fast())
        .unwrap()
        .map(|message| message.unwrap().size().unwrap())
        .sum();
    assert_eq!(
        sizes,
        served.iter().map(|one| one.len() as u64).sum::<u64>()
    );
    let larger = inbox.search(Query::all().larger(20_000)).unwrap();
    let expected: UidSet = (1..)
        .zip(served)
        .filter(|(_, message)| message.len() > 20_000)
        .map(|(number, _)| uid(number))
        .collect();
    assert_eq!(larger.to_string(), expected.to_string());
    let envelopes = inbox
        .fetch(
            uid(1)..=uid(2_000),
            Items::new().envelope().body_structure(),
        )
        .unwrap()
        .map(|message| message.unwrap())
        .filter(|message| {
            message.envelope().unwrap().is_ok() && message.body_structure().unwrap().is_ok()
        })
        .count();
    assert_eq!(envelopes, 2_000);
}
