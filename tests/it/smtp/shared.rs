//! What all clients have, by way of SMTP: scopes, tasks, the quota, parked connections, the end.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mailpool::ErrorKind;

use super::setup::{builder, client, server, to};
use crate::threads::{LONG, bounded};

const MESSAGE: &str = "Subject: x\r\n\r\nbody\r\n";

#[test]
fn a_scope_has_a_connection_of_its_own_and_gives_it_back() {
    bounded(|| {
        let server = server().start().unwrap();
        let client = client(&server);
        assert!(client.send(&to(&["main"]), MESSAGE).unwrap().is_complete());
        for _ in 0..2 {
            std::thread::scope(|threads| {
                threads.spawn(|| {
                    let connection = client.create_connection().unwrap();
                    assert!(client.send(&to(&["scope"]), MESSAGE).unwrap().is_complete());
                    connection.close().unwrap();
                });
            });
        }
        let deliveries = server.deliveries();
        let connections: Vec<_> = deliveries.iter().map(|one| one.connection).collect();
        assert_eq!(
            connections,
            [1, 2, 2],
            "the second scope takes the parked one"
        );
        assert_eq!(client.stats().reused, 1);
        let error = client.create_connection().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::CreatingThread));
    });
}

#[test]
fn tasks_send_through_no_more_connections_than_the_quota_allows() {
    bounded(|| {
        let server = server().start().unwrap();
        let client = builder(&server)
            .max_connections_per_server(4)
            .connect()
            .unwrap();
        let tasks: Vec<_> = (0..100)
            .map(|_| client.spawn(|client| client.send(&to(&["bob"]), MESSAGE)))
            .collect();
        for task in tasks {
            assert!(task.join().unwrap().is_complete());
        }
        assert_eq!(server.deliveries().len(), 100);
        assert!(server.counters().peak_open <= 4);
    });
}

#[test]
fn threads_that_share_a_connection_send_in_line() {
    bounded(|| {
        let server = server().start().unwrap();
        let client = builder(&server)
            .max_connections_per_server(1)
            .connect()
            .unwrap();
        std::thread::scope(|threads| {
            for thread in 0..8 {
                let client = &client;
                threads.spawn(move || {
                    for number in 0..50 {
                        let envelope = to(&[&format!("t{thread}n{number}")]);
                        assert!(client.send(&envelope, MESSAGE).unwrap().is_complete());
                    }
                });
            }
        });
        assert_eq!(server.deliveries().len(), 400);
        assert_eq!(server.counters().accepted, 1);
        assert!(server.violations().is_empty(), "{:?}", server.violations());
    });
}

#[test]
fn the_end_says_quit_and_leaves_nothing_behind() {
    bounded(|| {
        let server = server().start().unwrap();
        let client = client(&server);
        assert!(client.send(&to(&["bob"]), MESSAGE).unwrap().is_complete());
        client.shutdown(LONG).unwrap();
        assert!(server.wait_until(LONG, |counters| counters.open == 0));
        assert!(server.commands().iter().any(|one| one.verb == "QUIT"));
        let error = client.send(&to(&["bob"]), MESSAGE).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ShutDown), "{error}");
    });
}

#[test]
fn bulk_sending_works_with_one_connection_inside_a_scope_and_inside_a_task() {
    bounded(|| {
        let server = server().start().unwrap();
        let one = builder(&server)
            .max_connections_per_server(1)
            .connect()
            .unwrap();
        let many = || (0..50).map(|number| (to(&["bob"]), format!("X: {number}\r\n\r\n")));
        assert!(one.send_all(many()).unwrap().is_complete());
        let client = builder(&server)
            .max_connections_per_server(2)
            .connect()
            .unwrap();
        std::thread::scope(|threads| {
            threads.spawn(|| {
                let _connection = client.create_connection().unwrap();
                assert!(client.send_all(many()).unwrap().is_complete());
            });
        });
        let task = client.spawn(move |client| client.send_all(many()));
        assert!(task.join().unwrap().is_complete());
        assert_eq!(server.deliveries().len(), 150);
    });
}

#[test]
fn what_is_refused_for_the_time_being_is_tried_again_on_wish() {
    bounded(|| {
        let server = server().start().unwrap();
        server
            .faults()
            .defer_delivery("bob@example.net", 2, "451 4.7.1 later")
            .refuse_delivery("eve@example.net", "554 5.7.1 never");
        let client = client(&server);
        let outcome = client
            .bulk()
            .retry(crate::support::quick())
            .send_all([(to(&["bob"]), MESSAGE), (to(&["eve"]), MESSAGE)])
            .unwrap();
        let succeeded: Vec<_> = outcome
            .succeeded
            .iter()
            .map(|(number, _)| *number)
            .collect();
        assert_eq!(succeeded, [0]);
        assert_eq!(outcome.failed[0].0, 1);
        server
            .faults()
            .defer_delivery("bob@example.net", 1, "451 4.7.1 later");
        let outcome = client.send_all([(to(&["bob"]), MESSAGE)]).unwrap();
        assert!(outcome.failed[0].1.is_transient_refusal());
    });
}

#[test]
fn a_panic_of_the_iterator_or_of_a_report_reaches_the_caller() {
    bounded(|| {
        let server = server().start().unwrap();
        let client = client(&server);
        let begun = AtomicUsize::new(0);
        for panics_in_report in [false, true] {
            let (client, begun) = (&client, &begun);
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
                let messages = (0..1_000).map(|number| {
                    assert!(panics_in_report || number < 100, "no more");
                    begun.fetch_add(1, Ordering::SeqCst);
                    (to(&["bob"]), MESSAGE)
                });
                let report = |_: &mailpool::SendProgress| assert!(!panics_in_report, "no report");
                client.bulk().on_progress(report).send_all(messages)
            }));
            assert!(result.is_err());
            // The client is as good as before.
            client.noop().unwrap();
        }
        assert!(begun.load(Ordering::SeqCst) < 1_000);
        client.shutdown(Duration::from_secs(30)).unwrap();
    });
}
