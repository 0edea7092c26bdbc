//! The example `bulk_fetch`, run as a process against the embedded server.
//!
//! `cargo test` builds it. With `cargo test --test it` it is as old as the last
//! `cargo build --example bulk_fetch`.

mod job;

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::Duration;

use mailpool_test_server::{Action, Counters, Layer, Message, Security, Server, Synthetic};

use self::job::{Job, outcome, program};
use crate::support::{USER, message, server_with};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn on_server(server: &Server) -> BTreeMap<u32, Vec<u8>> {
    let messages = server.store().messages(USER.0, "INBOX");
    messages
        .iter()
        .map(|message| (message.uid, message.bytes()))
        .collect()
}

#[test]
fn without_arguments_it_fetches_from_an_embedded_server_and_compares() {
    let outcome = outcome(&mut Command::new(program()));
    let text = outcome.went_well();
    assert!(text.contains("over 4 connections"), "{text}");
    assert!(
        text.contains("2000 messages, 32977499 bytes, no difference"),
        "{text}"
    );
}

#[test]
fn names_carry_uid_and_flags_and_files_the_date() {
    let server = server_with(0);
    let add = |message: Message| server.store().append(USER.0, "INBOX", message);
    let all = [
        "\\Seen",
        "\\Answered",
        "\\Flagged",
        "\\Deleted",
        "\\Draft",
        "$Forwarded",
    ];
    add(all.iter().fold(Message::text("one", "1"), |message, flag| {
        message.flag(flag)
    }));
    server.store().set_uid_next(USER.0, "INBOX", 4_000_000_000);
    add(Message::text("two", "2").internal_date(1_234_567_890));
    add(Message::synthetic(700_000, 3)
        .flag("\\Seen")
        .flag("\\Flagged"));

    let job = Job::new(&server).with(&["--connections", "1"]);
    job.run().went_well();

    let validity = server.store().uid_validity(USER.0, "INBOX");
    assert_eq!(
        job.names("cur"),
        [
            format!("{validity}.U0000000001.bulk_fetch:2,DFRST"),
            format!("{validity}.U4000000000.bulk_fetch:2,"),
            format!("{validity}.U4000000001.bulk_fetch:2,FS"),
        ]
    );
    let file = job.out().join("cur").join(&job.names("cur")[1]);
    let modified = fs::metadata(file).unwrap().modified().unwrap();
    let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(since.as_secs(), 1_234_567_890);
    let flags = |uid| server.store().message(USER.0, "INBOX", uid).unwrap().flags;
    assert!(flags(4_000_000_000).is_empty(), "fetching has set flags");
}

#[test]
fn flags_that_the_server_sends_behind_a_large_body_count() {
    let server = server_with(1);
    let body = "x".repeat(300_000);
    let reply = format!(
        "* 1 FETCH (UID 1 BODY[] {{300000}}\r\n{body} FLAGS (\\Seen \\Draft))\r\n{{tag}} OK Done\r\n"
    );
    server.faults().respond("UID FETCH", reply);
    let job = Job::new(&server);
    job.run().went_well();
    assert!(
        job.names("cur")[0].ends_with(":2,DS"),
        "{:?}",
        job.names("cur")
    );
    assert!(job.messages()[&1] == body.as_bytes());
}

#[test]
fn an_empty_mailbox_makes_an_empty_maildir() {
    let server = server_with(0);
    let job = Job::new(&server);
    job.run().went_well();
    assert!(job.out().join("cur").is_dir() && job.names("cur").is_empty());
}

#[test]
fn every_connection_of_the_quota_fetches() {
    for connections in [1, 2, 5] {
        let server = server_with(400);
        let count = connections.to_string();
        let job = Job::new(&server).with(&["--connections", &count]);
        // Nothing is answered before each connection has asked: one could do all of it otherwise.
        server.faults().hold("UID FETCH");
        let outcome = std::thread::scope(|threads| {
            let running = threads.spawn(|| job.run());
            let asked = |counters: &mailpool_test_server::Counters| {
                counters.commands("UID FETCH") >= connections
            };
            assert!(server.wait_until(Duration::from_secs(30), asked));
            server.faults().release("UID FETCH");
            running.join().expect("the job runs")
        });
        let text = outcome.went_well();
        assert!(text.starts_with("fetched 400 of 400 messages, "), "{text}");
        assert!(
            text.contains(&format!("over {count} connections")),
            "{text}"
        );

        let counters = server.counters();
        assert_eq!(
            (counters.accepted, counters.peak_open),
            (connections, connections as usize)
        );
        let selected = counters.commands("SELECT") + counters.commands("EXAMINE");
        assert_eq!(selected, connections, "a connection lost its mailbox");
        for connection in 1..=connections as usize {
            let mut commands = server.commands().into_iter();
            let fetches = |command: &_| is_fetch_of(command, connection);
            assert!(
                commands.any(|command| fetches(&command)),
                "{connection} of {count}"
            );
        }
        assert!(job.messages() == on_server(&server));
    }
}

fn is_fetch_of(command: &mailpool_test_server::CommandRecord, connection: usize) -> bool {
    command.verb == "UID FETCH" && command.connection == connection
}

#[test]
fn a_second_run_fetches_only_what_is_missing() {
    let server = server_with(50);
    let job = Job::new(&server);
    job.run().went_well();
    let fetches = server.counters().commands("UID FETCH");

    let outcome = job.run();
    assert!(
        outcome.went_well().starts_with("fetched 0 of 50 "),
        "{}",
        outcome.stdout
    );
    assert_eq!(server.counters().commands("UID FETCH"), fetches);

    // Flags that a mail program has changed in the names make no difference.
    let cur = job.out().join("cur");
    let name = job.names("cur").remove(0);
    fs::rename(cur.join(&name), cur.join(format!("{name}RS"))).unwrap();
    let new = server.store().append(USER.0, "INBOX", message(50));
    let outcome = job.run();
    assert!(
        outcome.went_well().starts_with("fetched 1 of 51 "),
        "{}",
        outcome.stdout
    );
    assert_eq!(server.counters().commands("UID FETCH"), fetches + 1);
    assert!(job.messages().contains_key(&new));
    assert!(job.messages() == on_server(&server));
}

#[test]
fn a_directory_holds_one_mailbox_with_one_uidvalidity() {
    let server = server_with(3);
    server.store().append(USER.0, "Other", message(0));
    let job = Job::new(&server);
    job.run().went_well();
    let before = job.names("cur");

    let job = job.with(&["--mailbox", "Other"]);
    job.run()
        .failed(&["INBOX of alice", "Other of alice", "choose another --out"]);

    let job = Job {
        extra: vec!["--plaintext".to_owned()],
        ..job
    };
    server.store().set_uid_validity(USER.0, "INBOX", 77);
    job.run()
        .failed(&["UIDVALIDITY 77", "choose another --out"]);
    assert_eq!(job.names("cur"), before);
}

#[test]
fn tls_and_required_starttls_need_a_trusted_certificate() {
    for (security, scheme) in [(Security::Tls, "imaps"), (Security::StartTls, "imap")] {
        let server = Server::builder()
            .user(USER.0, USER.1)
            .mailbox(USER.0, "INBOX", (0..10).map(message))
            .security(security)
            .start()
            .unwrap();
        let job = Job::tls(&server, scheme);
        job.run().went_well();
        assert!(job.messages() == on_server(&server));
        // A worker whose handshake is done when nothing is left to do does not log in.
        assert!(server.counters().tls_handshakes >= server.counters().logins);

        let job = Job {
            extra: Vec::new(),
            ..Job::tls(&server, scheme)
        };
        job.run().failed(&[&job.url, "TLS"]);
        assert!(!job.out().exists());
    }
}

#[test]
fn without_plaintext_no_password_goes_over_a_connection_in_clear() {
    let server = server_with(1);
    let job = Job {
        extra: Vec::new(),
        ..Job::new(&server)
    };
    job.run().failed(&["STARTTLS"]);
    let counters = server.counters();
    assert_eq!(
        counters.commands("LOGIN") + counters.commands("AUTHENTICATE"),
        0
    );
}

#[test]
fn the_password_may_stand_in_a_file() {
    let server = server_with(1);
    let job = Job {
        password: "wrong",
        ..Job::new(&server)
    };
    let file = job.directory.path().join("password");
    let job = job.with(&["--password-file", file.to_str().unwrap()]);
    job.run().failed(&["password: No such file"]);
    fs::write(&file, format!("{}\r\n", USER.1)).unwrap();
    job.run().went_well();
}

#[test]
fn what_cannot_begin_leaves_one_line_and_no_directory() {
    let server = server_with(1);
    let url = format!("imap://127.0.0.1:{}", server.port());

    let job = Job {
        password: "wrong-horse",
        ..Job::new(&server)
    };
    let outcome = job.run();
    outcome.failed(&[&url, "the server refused the credentials"]);
    assert!(!outcome.stderr.contains("horse"), "{}", outcome.stderr);
    assert!(!job.out().exists());

    let job = Job::new(&server).with(&["--mailbox", "No such"]);
    job.run().failed(&["mailbox No such", "No such mailbox"]);
    assert!(!job.out().exists());

    let job = Job {
        url: "imap://no-such-host.invalid".to_owned(),
        ..Job::new(&server)
    };
    job.run()
        .failed(&["no-such-host.invalid", "the host name cannot be resolved"]);
    assert!(!job.out().exists());

    server.refuse_connections(true).unwrap();
    let job = Job::new(&server);
    job.run().failed(&[&url, "Connection refused"]);
    assert!(!job.out().exists());
}

#[test]
fn a_server_that_allows_fewer_connections_costs_time_and_no_messages() {
    let server = server_with(100);
    server.set_max_connections(Some(1));
    let delay = Duration::from_millis(2);
    server.faults().delay(delay, delay).hold("UID FETCH");
    let job = Job::new(&server).with(&["--connections", "4"]);
    std::thread::scope(|threads| {
        let run = threads.spawn(|| job.run());
        // The main connection must not have fetched everything before others were refused.
        let refused = |counters: &Counters| counters.refused > 0 && counters.open == 1;
        assert!(server.wait_until(PATIENCE, refused));
        server.faults().release("UID FETCH");
        let outcome = run.join().unwrap();
        assert!(outcome.went_well().starts_with("fetched 100 of 100 "));
    });
    assert_eq!(job.messages(), on_server(&server));
    assert!(job.names("tmp").is_empty());
}

#[test]
fn a_reset_leaves_only_whole_messages_and_the_next_run_completes_them() {
    let server = server_with(0);
    for number in 0..60 {
        let body = vec![b'a' + (number % 26) as u8; 20_000 + 7_001 * number];
        let message = [message(number), body].concat();
        server.store().append(USER.0, "INBOX", message);
    }
    let whole = on_server(&server);
    for bytes in [50_000, 300_001, 600_000] {
        server
            .faults()
            .after_sent(bytes, Layer::Plaintext, Action::Reset);
        let job = Job::new(&server).with(&["--connections", "3"]);
        job.run().failed(&["connection"]);
        let some = job.messages();
        assert!(some.len() < whole.len());
        for (uid, content) in &some {
            assert!(whole[uid] == *content, "message {uid} after {bytes} bytes");
        }
        assert!(job.names("tmp").is_empty());

        server.faults().clear();
        let outcome = job.run();
        let text = outcome.went_well();
        assert!(
            text.starts_with(&format!("fetched {} of 60 ", whole.len() - some.len())),
            "{text}"
        );
        assert!(job.messages() == whole);
    }
}

#[test]
fn a_message_that_cannot_be_read_does_not_cost_the_others() {
    let server = server_with(30);
    // One that breaks the grammar, and one that the server passes over.
    let twice = "* 1 FETCH (UID 1 UID 1 FLAGS () BODY[] {2}\r\nab)\r\n{tag} OK Done\r\n";
    server.faults().respond("UID FETCH", twice);
    server.faults().respond("UID FETCH", "{tag} OK Done\r\n");
    let job = Job::new(&server).with(&["--connections", "1"]);
    let outcome = job.run();
    let lines: Vec<&str> = outcome.stderr.lines().collect();
    assert!(!outcome.success);
    assert_eq!(lines.len(), 2, "{}", outcome.stderr);
    assert!(
        lines[0].starts_with("bulk_fetch: message 1: "),
        "{}",
        lines[0]
    );
    assert!(
        lines[1].contains("messages that could not be fetched: "),
        "{}",
        lines[1]
    );
    assert!(outcome.stdout.contains("fetched "), "{}", outcome.stdout);

    job.run().went_well();
    assert!(job.messages() == on_server(&server));
}

#[test]
fn messages_that_are_expunged_meanwhile_are_no_failure() {
    let server = server_with(5);
    server.faults().hold("UID FETCH");
    let job = Job::new(&server).with(&["--connections", "1"]);
    std::thread::scope(|threads| {
        let run = threads.spawn(|| job.run());
        assert!(server.wait_until(PATIENCE, |counters| counters.commands("UID FETCH") > 0));
        assert!(server.store().expunge(USER.0, "INBOX", 4));
        server.faults().release("UID FETCH");
        let outcome = run.join().unwrap();
        assert!(
            outcome.went_well().starts_with("fetched 4 of 5 "),
            "{}",
            outcome.stdout
        );
    });
    assert!(job.messages() == on_server(&server));
}

#[test]
fn a_path_that_cannot_be_a_directory_is_named() {
    let server = server_with(3);
    let job = Job::new(&server);
    fs::write(job.out(), "a file").unwrap();
    job.run()
        .failed(&[job.out().to_str().unwrap(), "Not a directory"]);
    assert_eq!(fs::read(job.out()).unwrap(), b"a file");
}

/// A limit on the size of files stands for the full disk: it works for root too, and like a
/// full disk it lets a part of the file be written.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_only_whole_messages() {
    let server = server_with(10);
    server
        .store()
        .append(USER.0, "INBOX", Message::synthetic(2 << 20, 1));
    let job = Job::new(&server);
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$@\"", "sh"])
        .arg(program());
    job.arguments(&mut command);
    outcome(&mut command).failed(&[job.out().join("tmp").to_str().unwrap(), "File too large"]);

    assert!(job.names("tmp").is_empty());
    let whole = on_server(&server);
    assert!(
        job.messages()
            .iter()
            .all(|(uid, content)| whole[uid] == *content)
    );
    job.run().went_well();
    assert_eq!(job.messages().len(), 11);
}

/// The server stops in the middle of a large message: time to look at the process.
#[cfg(target_os = "linux")]
#[test]
fn a_large_message_is_not_held_in_memory_and_an_interrupt_leaves_no_half_of_it() {
    const SIZE: u64 = 64 << 20;
    let server = server_with(0);
    server
        .store()
        .append(USER.0, "INBOX", Message::synthetic(SIZE, 1));
    server.faults().stall_after(SIZE - (1 << 20));
    let job = Job::new(&server);
    let mut command = Command::new(program());
    job.arguments(&mut command);
    let mut child = command.spawn().unwrap();
    assert!(server.wait_until(PATIENCE, |counters| counters.bytes_out >= SIZE - (1 << 20)));

    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let kilobytes: u64 = peak.trim().strip_suffix(" kB").unwrap().parse().unwrap();
    assert!(kilobytes < 40 << 10, "{kilobytes} KiB");

    let interrupt = format!("kill -INT {}", child.id());
    assert!(
        Command::new("sh")
            .args(["-c", &interrupt])
            .status()
            .unwrap()
            .success()
    );
    assert!(!child.wait().unwrap().success());
    assert!(job.names("cur").is_empty());
    assert_eq!(job.names("tmp").len(), 1);

    server.faults().clear();
    job.run().went_well();
    assert!(job.names("tmp").is_empty());
    let file = job.out().join("cur").join(&job.names("cur")[0]);
    assert!(fs::read(file).unwrap() == synthetic(SIZE));
}

#[cfg(target_os = "linux")]
fn synthetic(size: u64) -> Vec<u8> {
    let mut bytes = vec![0; size as usize];
    Synthetic::new(size, 1).read_at(0, &mut bytes);
    bytes
}
