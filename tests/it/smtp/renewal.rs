//! Connections that have served their time, and 421.

use std::time::Duration;

use mailpool::{Certainty, ErrorKind, SmtpClient};
use mailpool_test_server::{Action, Point, Server};

use super::setup::{builder, server, to};
use crate::support::quick;
use crate::threads::{LONG, bounded, elsewhere, until_open};

const TEXT: &str = "Subject: renewed\r\n\r\nText\r\n";

fn send(client: &SmtpClient) {
    let report = client.send(&to(&["bob"]), TEXT).unwrap();
    assert!(report.is_complete());
}

/// The connections by which messages came, in the order of their arrival.
fn connections(server: &Server) -> Vec<usize> {
    let deliveries = server.deliveries();
    deliveries.iter().map(|one| one.connection).collect()
}

fn assert_renewed(server: &Server, client: &SmtpClient, expected: &[usize]) {
    let mut events = client.connection_events();
    for _ in expected {
        send(client);
    }
    assert_eq!(connections(server), expected);
    let counters = server.counters();
    assert_eq!(counters.accepted, *expected.last().unwrap() as u64);
    assert_eq!(counters.commands("QUIT"), counters.accepted - 1);
    assert!(server.violations().is_empty(), "{:?}", server.violations());
    assert!(events.next_timeout(Duration::ZERO).is_none());
}

#[test]
fn a_connection_that_has_had_its_messages_gives_way() {
    bounded(|| {
        let server = server().start().unwrap();
        let client = builder(&server)
            .max_messages_per_connection(2)
            .max_connections_per_server(1)
            .connect()
            .unwrap();
        assert_renewed(&server, &client, &[1, 1, 2, 2, 3]);
        assert_eq!(server.counters().peak_open, 1);
    });
}

#[test]
fn the_servers_own_limit_counts_too() {
    bounded(|| {
        let server = server().with("LIMITS MAILMAX=1").start().unwrap();
        let client = builder(&server).connect().unwrap();
        assert_renewed(&server, &client, &[1, 2, 3]);
    });
}

#[test]
fn a_limit_of_nothing_is_none() {
    bounded(|| {
        let server = server()
            .with("LIMITS MAILMAX=0 RCPTMAX=0 RCPTDOMAINMAX=0")
            .faults(|faults| {
                faults.respond_always("MAIL", "250 2.1.0 Ok\r\n");
            })
            .start()
            .unwrap();
        let client = builder(&server).connect().unwrap();
        // This server means it, and the client has asked.
        let error = client.send(&to(&["bob"]), TEXT).unwrap_err();
        assert_eq!(error.certainty(), Certainty::Rejected, "{error:?}");
        assert_eq!(server.counters().accepted, 1);
    });
}

/// Each message has a connection of its own, and no connection is opened for nothing.
#[test]
fn an_age_of_nothing_means_a_connection_for_each_message() {
    bounded(|| {
        let server = server().start().unwrap();
        for age in [Duration::ZERO, Duration::from_nanos(1)] {
            let client = builder(&server)
                .max_connection_age(age)
                .max_connections_per_server(1)
                .connect()
                .unwrap();
            let first = server.counters().accepted;
            for _ in 0..3 {
                send(&client);
            }
            assert_eq!(server.counters().accepted, first + 2);
            drop(client);
            until_open(&server, 0);
        }
        assert_eq!(connections(&server), [1, 2, 3, 4, 5, 6]);
        assert_eq!(server.counters().peak_open, 1);
    });
}

/// To be given back is no reason to be opened anew; to be taken again is.
#[test]
fn a_worn_connection_is_renewed_when_it_is_used_again() {
    bounded(|| {
        let server = server().start().unwrap();
        let client = builder(&server)
            .max_messages_per_connection(1)
            .max_connections_per_server(2)
            .idle_timeout(LONG)
            .connect()
            .unwrap();
        let on_a_thread = || {
            let client = client.clone();
            elsewhere(move || {
                let scope = client.create_connection().unwrap();
                send(&client);
                scope.close().unwrap();
            });
        };
        on_a_thread();
        assert_eq!(server.counters().accepted, 2);
        on_a_thread();
        assert_eq!(connections(&server), [2, 3]);
        assert_eq!(server.counters().accepted, 3);
        assert_eq!(server.counters().peak_open, 2);
        assert_eq!(client.stats().parked, 1);
    });
}

/// More rounds than the server takes messages on one connection.
#[test]
fn the_rounds_of_one_message_go_over_to_another_connection() {
    bounded(|| {
        let server = server().with("LIMITS MAILMAX=2 RCPTMAX=1").start().unwrap();
        let client = builder(&server).reconnect(quick()).connect().unwrap();
        let report = client.send(&to(&["a", "b", "c", "d", "e"]), TEXT).unwrap();
        assert!(report.is_complete(), "{report:?}");
        assert_eq!(connections(&server), [1, 1, 2, 2, 3]);
        assert!(server.violations().is_empty(), "{:?}", server.violations());
    });
}

/// 421 instead of the answer to any command: another connection, and another try where nothing
/// was accepted.
#[test]
fn a_farewell_at_any_command_means_another_connection() {
    bounded(|| {
        let farewell = || Action::Farewell(b"421 4.3.2 Going down\r\n".to_vec());
        for without in ["", "CHUNKING", "PIPELINING"] {
            for own in [false, true] {
                let server = server().without(without).start().unwrap();
                let client = builder(&server).reconnect(quick()).connect().unwrap();
                let work = {
                    let faults = server.faults();
                    let verbs = ["MAIL", "RCPT", "DATA", "BDAT"];
                    let points = verbs.map(|verb| Point::Verb(verb.to_owned()));
                    let points: Vec<_> = points.into_iter().chain([Point::Received]).collect();
                    move || {
                        let _scope = own.then(|| client.create_connection().unwrap());
                        for point in points {
                            faults.at(point.clone(), farewell());
                            let report = client.send(&to(&["bob", "carol"]), TEXT).unwrap();
                            assert!(report.is_complete(), "{point:?}");
                            faults.clear();
                        }
                    }
                };
                elsewhere(work);
                assert_eq!(server.deliveries().len(), 5);
                assert!(server.counters().accepted >= 5);
                assert!(server.counters().peak_open <= 3);
            }
        }
    });
}

/// A server that always says so is not asked for ever.
#[test]
fn a_second_farewell_is_told() {
    bounded(|| {
        let server = server().start().unwrap();
        let client = builder(&server).reconnect(quick()).connect().unwrap();
        let farewell = Action::Farewell(b"421 4.3.2 Going down\r\n".to_vec());
        server.faults().always_at(Point::Received, farewell);
        let error = client.send(&to(&["bob"]), TEXT).unwrap_err();
        assert_eq!(error.certainty(), Certainty::NotSent);
        let ErrorKind::SmtpClosing { reply } = error.kind() else {
            panic!("{error:?}");
        };
        assert_eq!((reply.code, reply.text.as_str()), (421, "Going down"));
        assert_eq!(server.counters().commands("."), 2);
        server.faults().clear();
        send(&client);
        assert_eq!(server.deliveries().len(), 1);
    });
}

/// Some have the message when the connection breaks for the second time: that is told.
#[test]
fn who_has_the_message_is_told_although_the_rounds_do_not_come_to_an_end() {
    bounded(|| {
        let server = server().with("LIMITS RCPTMAX=1").start().unwrap();
        let client = builder(&server).reconnect(quick()).connect().unwrap();
        for connection in [1, 2] {
            server
                .faults_for(connection)
                .at_nth(2, Point::Verb("MAIL".to_owned()), Action::Close);
        }
        let report = client.send(&to(&["a", "b", "c"]), TEXT).unwrap();
        let accepted: Vec<bool> = report
            .recipients
            .iter()
            .map(|one| one.is_accepted())
            .collect();
        assert_eq!(accepted, [true, true, false]);
        assert_eq!(
            report.recipients[2].outcome,
            mailpool::RecipientOutcome::Unknown
        );
        assert_eq!(connections(&server), [1, 2]);
    });
}
