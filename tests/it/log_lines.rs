//! The lines that are logged: each step of reconnection, waits that last.

use std::time::Duration;

use log::Level;
use mailpool::{Backoff, ConnectionEvent, Credentials, ImapClient, ImapClientBuilder, Security};
use mailpool_test_server::Server;

use crate::logged::Lines;
use crate::support::{USER, server_with};
use crate::threads::{LONG, bounded, in_scope, until};

/// A client that spells 127.0.0.1 as no other test does.
fn builder(server: &Server, host: &str) -> ImapClientBuilder {
    ImapClient::builder(host)
        .port(server.port())
        .security(Security::None)
        .allow_cleartext_password()
        .credentials(Credentials::password(USER.0, USER.1))
        .timeout(LONG)
}

/// The lines of the connection, without what they begin with and without their reasons, which are
/// the system's.
fn steps(lines: &Lines, connection: u64, host: &str) -> Vec<(Level, String)> {
    let of = format!("imap connection {connection} to {host}");
    let lines = lines.all().into_iter().filter_map(|(level, line)| {
        let step = line.strip_prefix(&of)?;
        let step = step.trim_start_matches([':', ' ']);
        let end = step.find(": ").unwrap_or(step.len());
        Some((level, step[..end].to_owned()))
    });
    lines.collect()
}

#[test]
fn each_step_of_a_reconnection_is_logged() {
    const HOST: &str = "::ffff:127.0.0.1";
    bounded(|| {
        let lines = Lines::with(HOST);
        let server = server_with(1);
        let client = builder(&server, HOST)
            .reconnect(
                Backoff::new()
                    .first_delay(Duration::from_millis(2))
                    .max_delay(Duration::from_millis(4))
                    .max_attempts(3),
            )
            .connect()
            .unwrap();
        assert_eq!(lines.all(), [], "nothing has happened");
        let mut events = client.connection_events();
        let mut next = || events.next_timeout(LONG).expect("an event");

        // Lost, and there again.
        server.reset_all();
        let mut delays = Vec::new();
        let lost = loop {
            match next() {
                ConnectionEvent::Lost { .. } => {}
                ConnectionEvent::Retrying { delay, .. } => delays.push(delay),
                ConnectionEvent::Restored { connection, .. } => break connection,
                other => panic!("{other:?}"),
            }
        };
        let retrying = |attempt: usize, delay: Duration| {
            let step = format!("attempt {attempt} in {delay:.1?}");
            (Level::Info, step)
        };
        let is_lost = || (Level::Warn, "is lost".to_owned());
        let mut expected = vec![is_lost()];
        expected.extend(
            (1..)
                .zip(&delays)
                .map(|(number, delay)| retrying(number, *delay)),
        );
        expected.push((Level::Info, "is there again".to_owned()));
        assert_eq!(steps(&lines, lost, HOST), expected);
        // It is of use: the next loss is another one.
        client.noop().unwrap();

        // Lost, and given up.
        server.refuse_connections(true).unwrap();
        server.reset_all();
        let mut delays = Vec::new();
        loop {
            match next() {
                ConnectionEvent::Lost { .. } => {}
                ConnectionEvent::Retrying { delay, .. } => delays.push(delay),
                ConnectionEvent::GivenUp { .. } => break,
                other => panic!("{other:?}"),
            }
        }
        until("it has ended", || client.stats().open == 0);
        expected.push(is_lost());
        expected.extend(
            (1..)
                .zip(&delays)
                .map(|(number, delay)| retrying(number, *delay)),
        );
        expected.push((Level::Warn, "is given up after 3 attempts".to_owned()));
        let steps: Vec<_> = steps(&lines, lost, HOST)
            .into_iter()
            .filter(|(level, _)| *level <= Level::Info)
            .collect();
        assert_eq!(steps, expected);
        // The reasons are in the lines.
        let all = lines.all();
        let reasons = all.iter().filter(|(_, line)| line.contains("is lost: "));
        assert_eq!(reasons.count(), 2, "{all:?}");
    });
}

#[test]
fn no_password_is_logged() {
    const PASSWORD: &str = "xyzzy-plugh";
    /// The base64 of `\0alice\0xyzzy-plugh`.
    const ENCODED: &str = "AGFsaWNlAHh5enp5LXBsdWdo";
    bounded(|| {
        let (plain, encoded) = (Lines::with(PASSWORD), Lines::with(ENCODED));
        let server = Server::builder().user(USER.0, PASSWORD).start().unwrap();
        let client = builder(&server, "127.0.0.1")
            .credentials(Credentials::password(USER.0, PASSWORD))
            .connect()
            .unwrap();
        server
            .faults()
            .refuse_next_login("[AUTHENTICATIONFAILED] No");
        server.reset_all();
        until("it has been tried", || server.counters().failed_logins == 1);
        // A call that came before that was noticed fails with it.
        until("the next login succeeds", || client.noop().is_ok());
        client.shutdown(LONG).unwrap();
        assert_eq!([plain.all(), encoded.all()], [[], []]);
    });
}

#[test]
fn a_wait_that_lasts_is_logged_once() {
    const HOST: &str = "::ffff:7f00:1";
    bounded(|| {
        let lines = Lines::with(HOST);
        let server = server_with(1);
        let client = builder(&server, HOST)
            .max_connections_per_server(2)
            .log_waits_after(Duration::from_millis(1))
            .connect()
            .unwrap();
        in_scope(&client, {
            let lines = lines.all();
            move |_, _| assert_eq!(lines, [], "nobody has waited")
        });
        let outside = client.clone();
        in_scope(&client, move |client, connection| {
            client.noop().unwrap();
            std::thread::scope(|threads| {
                let wait = || {
                    let _connection = outside.create_connection().unwrap();
                };
                let one = threads.spawn(wait);
                until("the first one is logged", || lines.count("has waited") == 1);
                let other = threads.spawn(wait);
                // Meanwhile the first one has waited that long once more.
                until("the other one is logged", || lines.count("has waited") == 2);
                assert_eq!(client.stats().waiting, 2);
                drop(connection);
                one.join().unwrap();
                other.join().unwrap();
            });
            let all = lines.all();
            assert_eq!(lines.count("has waited"), 2, "{all:?}");
            let (level, line) = &all[0];
            assert_eq!(*level, Level::Warn);
            assert!(
                line.contains("has waited 1ms for one of 2 connections"),
                "{line}"
            );
            // Who holds them.
            assert!(line.contains("the main connection for "), "{line}");
            assert!(line.contains("; thread "), "{line}");
        });
    });
}
