//! Many messages in line: over one connection and over many.

use std::collections::BTreeSet;

use mailpool::Backoff;
use mailpool_test_postfix::{Arrived, Postfix};

use super::{assert_one_connection, builder, to};
use crate::outgoing::{letter, send};
use crate::threads::{LONG, until};

fn numbered(number: usize) -> Vec<u8> {
    letter(&format!("{number}"), ".\r\ntext\r\n")
}

/// Asserts that the messages with these numbers have arrived, once each.
#[track_caller]
fn assert_numbers(arrived: &[Arrived], count: usize) {
    assert_eq!(arrived.len(), count);
    let messages: BTreeSet<Vec<u8>> = arrived.iter().map(Arrived::message).collect();
    let expected: BTreeSet<Vec<u8>> = (0..count).map(numbered).collect();
    assert_eq!(messages, expected);
}

#[test]
fn messages_of_many_threads_go_over_one_connection() {
    for (pipelining, chunking) in [(true, true), (true, false), (false, true), (false, false)] {
        let Some(postfix) = Postfix::builder().in_memory().start_or_skip() else {
            return;
        };
        let client = builder(&postfix)
            .pipelining(pipelining)
            .chunking(chunking)
            .max_connections_per_server(1)
            .connect()
            .unwrap();
        let recipient = postfix.new_recipient("threads");
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (client, recipient) = (&client, &recipient);
                scope.spawn(move || {
                    for number in (thread..200).step_by(8) {
                        let from_reader = number % 5 == 0;
                        let sent = send(client, &to(&[recipient]), &numbered(number), from_reader);
                        assert!(sent.expect("it is sent").is_complete());
                    }
                });
            }
        });
        assert_numbers(&postfix.arrived(&recipient, 200), 200);
        assert_one_connection(&client);
        client.shutdown(LONG).unwrap();
        until("the session's end", || {
            postfix.log().contains(" mail=200 rcpt=200 ")
        });
    }
}

#[test]
fn a_thousand_messages_go_through_four_connections() {
    for chunking in [true, false] {
        let Some(postfix) = Postfix::builder().in_memory().start_or_skip() else {
            return;
        };
        // The main connection, and four for the messages.
        let client = builder(&postfix)
            .chunking(chunking)
            .max_connections_per_server(5)
            .connect()
            .unwrap();
        let recipient = postfix.new_recipient("bulk");
        let messages = (0..1000).map(|number| (to(&[&recipient]), numbered(number)));
        let outcome = client.send_all(messages).unwrap();
        assert!(outcome.is_complete(), "{:?}", outcome.failed);
        assert_eq!(outcome.succeeded.len(), 1000);
        assert_numbers(&postfix.arrived(&recipient, 1000), 1000);
        let stats = client.stats();
        assert!(stats.open <= 5, "{stats:?}");
        assert_eq!(stats.reconnected, 0, "{stats:?}");
    }
}

#[test]
fn the_outcome_of_many_messages_names_those_that_failed() {
    let Some(postfix) = Postfix::shared() else {
        return;
    };
    let client = builder(postfix)
        .max_connections_per_server(4)
        .connect()
        .unwrap();
    let recipient = postfix.new_recipient("mixed");
    let messages = (0..300).map(|number| {
        let envelope = match number % 10 {
            3 => to(&["refused@mailpool.test"]),
            5 => to(&["later@mailpool.test"]),
            7 => to(&["refused@mailpool.test", &recipient]),
            _ => to(&[&recipient]),
        };
        (envelope, numbered(number))
    });
    let outcome = client
        .bulk()
        .retry(Backoff::new().max_attempts(2))
        .send_all(messages)
        .unwrap();
    let failed: Vec<usize> = outcome.failed.iter().map(|(number, _)| *number).collect();
    let expected: Vec<usize> = (0..300).filter(|it| matches!(it % 10, 3 | 5)).collect();
    assert_eq!(failed, expected);
    let mut partly = outcome.succeeded.iter().filter(|(_, it)| !it.is_complete());
    assert!(partly.all(|(number, _)| number % 10 == 7));
    assert_eq!(outcome.succeeded.len(), 240);
    assert_eq!(postfix.arrived(&recipient, 240).len(), 240);
    assert!(outcome.not_attempted.is_empty());
}

#[test]
fn a_new_connection_takes_over_after_so_many_messages() {
    let Some(postfix) = Postfix::builder().start_or_skip() else {
        return;
    };
    let client = builder(&postfix)
        .max_messages_per_connection(7)
        .connect()
        .unwrap();
    let recipient = postfix.new_recipient("worn");
    for number in 0..30 {
        let _ = client.send(&to(&[&recipient]), numbered(number)).unwrap();
    }
    assert_numbers(&postfix.arrived(&recipient, 30), 30);
    client.shutdown(LONG).unwrap();
    let end = format!(" mail={} rcpt=", 30 % 7);
    until("the last session's end", || postfix.log().contains(&end));
    assert_eq!(postfix.log().matches(" mail=7 rcpt=7 ").count(), 4);
}
