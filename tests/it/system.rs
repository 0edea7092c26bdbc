//! Threads and descriptors that are not to be had: typed errors, and nothing is lost.

use std::fs::File;

use mailpool::{Certainty, Error, ErrorKind, ImapClient, Limits, Phase, Query};

use crate::alone::{alone, is_alone};
use crate::support::{builder, never, server_with};
use crate::threads::{SHORT, bounded, until, until_open};

/// Runs a test of this binary in a process of its own, with a limit of the shell's `ulimit`:
/// limits concern a whole process.
#[track_caller]
fn limited(test: &str, limit: &str) {
    // Without the second one address space is set aside for each thread.
    alone(
        test,
        &format!("ulimit {limit} && export MALLOC_ARENA_MAX=1"),
    );
}

#[track_caller]
fn assert_system(error: &Error, what: &str) {
    assert!(
        matches!(error.kind(), ErrorKind::System { what: refused, .. } if *refused == what),
        "{error:?}"
    );
    assert_eq!(error.certainty(), Certainty::NotSent);
    assert!(error.to_string().contains(what), "{error}");
    assert!(std::error::Error::source(error).is_some());
}

/// Takes descriptors until there are none left.
fn take_all() -> Vec<File> {
    std::iter::repeat_with(|| File::open("/dev/null"))
        .map_while(Result::ok)
        .collect()
}

/// What a connection needs, in this order, a descriptor each.
const PIECES: [&str; 3] = ["a poll instance", "a waker", "a socket"];

/// How many of the pieces there were; `None` if time was up before that was clear.
fn pieces_had(result: Result<(), Error>) -> Option<usize> {
    let Err(error) = result else {
        return Some(PIECES.len());
    };
    match error.kind() {
        ErrorKind::System { what, .. } => {
            assert_system(&error, what);
            PIECES.iter().position(|piece| piece == what)
        }
        // The client had its socket, and the server has none for it.
        ErrorKind::Timeout {
            phase: Phase::Login,
        } => Some(PIECES.len()),
        _ => {
            assert!(error.is_timeout(), "{error:?}");
            None
        }
    }
}

#[test]
fn without_descriptors_there_are_errors_and_no_permit_is_lost() {
    if !is_alone() {
        let name = "system::without_descriptors_there_are_errors_and_no_permit_is_lost";
        return limited(name, "-n 64");
    }
    bounded(|| {
        let server = server_with(3);
        let client = builder(&server)
            .max_connections_per_server(3)
            .connect()
            .unwrap();
        let mut files = take_all();
        assert!(!files.is_empty());
        std::thread::scope(|threads| {
            threads.spawn(|| {
                // What a connection needs is missing from the first piece on.
                for (expected, what) in PIECES.into_iter().enumerate() {
                    for _ in 0..4 {
                        let mut tries = 0;
                        until(&format!("only {what} is missing"), || {
                            let result = client.create_connection_timeout(10 * SHORT);
                            let had = pieces_had(result.map(drop));
                            tries += 1;
                            if had > Some(expected) {
                                // Something else has given one up.
                                files.extend(File::open("/dev/null"));
                            } else if tries % 100 == 0 {
                                // The thread of the attempt before may hold some for a moment;
                                // the server, waiting for a connection, sets one aside for it.
                                files.pop();
                            }
                            had == Some(expected)
                        });
                    }
                    files.pop();
                }
                client.noop().unwrap();
                drop(files);
                let _connection = client.create_connection().unwrap();
                let other = threads.spawn(|| {
                    let _connection = client.create_connection().unwrap();
                    client.mailbox("INBOX").search(Query::all()).unwrap().len()
                });
                assert_eq!(other.join().unwrap(), 3);
            });
        });
        assert_eq!(server.counters().peak_open, 3);
    });
}

#[test]
fn without_descriptors_the_main_connection_is_opened_anew_later() {
    if !is_alone() {
        let name = "system::without_descriptors_the_main_connection_is_opened_anew_later";
        return limited(name, "-n 64");
    }
    bounded(|| {
        let server = server_with(3);
        let client = builder(&server).reconnect(never()).connect().unwrap();
        client.noop().unwrap();
        assert!(server.reset(1));
        until_open(&server, 0);
        until("the client notices", || client.stats().open == 0);
        let files = take_all();
        // What the old connection had is given back while this goes on.
        let mut more = Vec::new();
        until("there are none left", || {
            more.extend(take_all());
            client.noop().is_err()
        });
        assert_system(&client.noop().unwrap_err(), "a poll instance");
        drop((files, more));
        client.noop().unwrap();
    });
}

/// A client whose connection threads need much address space for their stacks.
fn client_with_large_stacks(server: &mailpool_test_server::Server) -> ImapClient {
    // 64 KiB for each level: half a GiB.
    builder(server)
        .max_connections_per_server(2)
        .limits(Limits::default().max_nesting(8 * 1024))
        .connect()
        .unwrap()
}

#[test]
fn without_a_thread_there_is_an_error_and_no_permit_is_lost() {
    if !is_alone() {
        let name = "system::without_a_thread_there_is_an_error_and_no_permit_is_lost";
        return limited(name, "-v 900000");
    }
    bounded(|| {
        let server = server_with(3);
        let client = client_with_large_stacks(&server);
        std::thread::scope(|threads| {
            threads.spawn(|| {
                for _ in 0..4 {
                    let error = client.try_create_connection().unwrap_err();
                    assert_system(&error, "a thread");
                    assert_eq!(client.stats().holders.len(), 1);
                }
                client.noop().unwrap();
            });
        });
        assert_eq!(server.counters().accepted, 1);
    });
}

#[test]
fn a_client_whose_thread_cannot_be_started_is_an_error() {
    let server = server_with(1);
    for nesting in [1 << 31, usize::MAX] {
        let error = builder(&server)
            .limits(Limits::default().max_nesting(nesting))
            .connect()
            .unwrap_err();
        assert_system(&error, "a thread");
    }
    assert_eq!(server.counters().accepted, 0);
}
