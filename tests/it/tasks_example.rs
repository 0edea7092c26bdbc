//! The example `tasks`, run as a process.
//!
//! `cargo test` builds it. With `cargo test --test it` it is as old as the last
//! `cargo build --example tasks`.

use std::process::{Command, Output, Stdio};

use mailpool_test_server::{Message, Server};

use crate::support::{USER, server_with};
use crate::threads::LONG;

fn program() -> Command {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let name = format!("tasks{}", std::env::consts::EXE_SUFFIX);
    let program = profile.join("examples").join(name);
    let hint = "build it with `cargo build --example tasks`";
    assert!(program.exists(), "{} is missing: {hint}", program.display());
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    command
}

/// Runs it on `server`, which has no TLS.
fn run(server: &Server, password: &str, arguments: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    std::fs::write(&file, format!("{password}\n")).unwrap();
    let output = program()
        .args(["--host", "127.0.0.1", "--plaintext", "--user", USER.0])
        .args(["--port", &server.port().to_string(), "--password-file"])
        .arg(file)
        .args(arguments)
        .output()
        .unwrap();
    let closed = server.wait_until(LONG, |counters| counters.open == 0);
    assert!(closed, "connections were left open");
    output
}

fn server_with_mailboxes(names: &[&str]) -> Server {
    let builder = Server::builder().user(USER.0, USER.1);
    let message = |name| Message::text(&format!("about {name}"), "Hello.");
    names
        .iter()
        .fold(builder, |builder, name| {
            builder.mailbox(USER.0, name, [message(name)])
        })
        .start()
        .unwrap()
}

#[track_caller]
fn said(output: &Output, code: i32) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{stdout}{stderr}");
    (stdout, stderr)
}

#[track_caller]
fn ended_with(stdout: &str, last: &str) {
    let found = stdout.lines().last().unwrap_or_default();
    assert!(found.starts_with(last), "{stdout}");
}

#[test]
fn without_arguments_it_looks_at_an_embedded_server() {
    let output = program().output().unwrap();
    let (stdout, stderr) = said(&output, 0);
    assert_eq!(stderr, "");
    for (mailbox, found) in [
        ("INBOX", "120 messages   message 120 of INBOX"),
        ("Archive", "900 messages   message 900 of Archive"),
        ("Drafts", "0 messages   -"),
        ("Sent", "250 messages   message 250 of Sent"),
    ] {
        let shown = |line: &str| line.starts_with(mailbox) && line.ends_with(found);
        assert_eq!(
            stdout.lines().filter(|line| shown(line)).count(),
            1,
            "{stdout}"
        );
    }
    ended_with(&stdout, "done: 6, failed: 0, cancelled: 0; connections: ");
}

#[test]
fn there_are_never_more_connections_than_it_was_told() {
    let names = ["INBOX", "A", "B", "C", "D", "E", "F", "G"];
    for connections in [1, 2, 3] {
        let server = server_with_mailboxes(&names);
        let output = run(
            &server,
            USER.1,
            &["--connections", &connections.to_string()],
        );
        let (stdout, _) = said(&output, 0);
        assert!(stdout.contains("1 messages   about G"), "{stdout}");
        assert!(stdout.contains("done: 8, failed: 0"), "{stdout}");
        assert!(server.counters().peak_open <= connections);
    }
}

#[test]
fn when_time_is_up_those_that_run_and_those_that_wait_are_cancelled() {
    let server = server_with_mailboxes(&["INBOX", "A", "B", "C", "D"]);
    server.faults().hold("STATUS");
    let output = run(&server, USER.1, &["--connections", "3", "--timeout", "1"]);
    let (stdout, stderr) = said(&output, 3);
    assert_eq!(stdout.matches(" cancelled").count(), 6, "{stdout}");
    ended_with(&stdout, "done: 0, failed: 0, cancelled: 5; connections: ");
    // Where the server holds a command it answers no goodbye.
    let left_open = "tasks: connections were left open";
    assert!(
        stderr.lines().all(|line| line.starts_with(left_open)),
        "{stderr}"
    );
    assert!(server.counters().commands("STATUS") <= 2);
}

#[test]
fn a_mailbox_that_cannot_be_looked_at_does_not_spoil_the_others() {
    let server = server_with_mailboxes(&["INBOX", "A", "B"]);
    server
        .faults()
        .respond("STATUS", "{tag} NO \x07 out of order\r\n");
    let (stdout, stderr) = said(&run(&server, USER.1, &["--connections", "2"]), 1);
    assert_eq!(stderr, "");
    assert_eq!(stdout.matches("out of order").count(), 1, "{stdout}");
    assert!(!stdout.contains('\x07'), "{stdout}");
    ended_with(&stdout, "done: 2, failed: 1, cancelled: 0; connections: 2");
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let server = server_with(1);
    let (stdout, stderr) = said(&run(&server, "wrong", &[]), 1);
    assert_eq!(stdout, "");
    assert!(
        stderr.starts_with("tasks: the server refused the credentials"),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    let (_, stderr) = said(&program().args(["--user", "alice"]).output().unwrap(), 2);
    assert!(stderr.contains("--host"), "{stderr}");
}
