//! The example `send`, run as a process.
//!
//! `cargo test` builds it. With `cargo test --test it` it is as old as the last
//! `cargo build --example send`.

#[cfg(unix)]
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
#[cfg(unix)]
use std::process::ChildStderr;
use std::process::{Command, Output, Stdio};

use mailpool_test_server::{Action, Builder, Point, Protocol, Server};
use tempfile::TempDir;

use crate::smtp::setup::server as smtp_server;
use crate::threads::LONG;

fn program() -> Command {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let name = format!("send{}", std::env::consts::EXE_SUFFIX);
    let program = profile.join("examples").join(name);
    let hint = "build it with `cargo build --example send`";
    assert!(program.exists(), "{} is missing: {hint}", program.display());
    let mut command = Command::new(program);
    command
        .stdin(Stdio::null())
        .env_remove("MAILPOOL_USER")
        .env_remove("MAILPOOL_PASSWORD");
    command
}

/// The program on its way to `server`, which has no TLS.
fn to(server: &Server) -> Command {
    let url = format!("smtp://127.0.0.1:{}", server.port());
    let mut command = program();
    command.args(["--plaintext", "--server", &url]);
    command
}

#[track_caller]
fn said(output: &Output, code: i32) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{stdout}{stderr}");
    (stdout, stderr)
}

/// Runs it, and waits until the server has seen the last of it.
#[track_caller]
fn run(command: &mut Command, server: &Server, code: i32) -> (String, String) {
    let output = command.output().unwrap();
    let closed = server.wait_until(LONG, |counters| counters.open == 0);
    assert!(closed, "connections were left open");
    said(&output, code)
}

/// A directory with messages.
struct Outbox(TempDir);

impl Outbox {
    fn new(messages: &[(&str, &str)]) -> Self {
        let outbox = Self(tempfile::tempdir().unwrap());
        for (name, text) in messages {
            std::fs::write(outbox.file(name), text).unwrap();
        }
        outbox
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }
}

fn start(builder: Builder) -> Server {
    builder.start().unwrap()
}

/// What arrived: reverse-path, recipients, text; in the order of the texts.
fn arrived(server: &Server) -> Vec<(String, Vec<String>, String)> {
    assert!(server.violations().is_empty(), "{:?}", server.violations());
    let mut arrived: Vec<_> = server
        .deliveries()
        .into_iter()
        .map(|one| {
            let addresses = one.addresses().map(str::to_owned).collect();
            let text = String::from_utf8(one.bytes().unwrap()).unwrap();
            (one.reverse_path.address, addresses, text)
        })
        .collect();
    arrived.sort_by(|a, b| a.2.cmp(&b.2));
    arrived
}

const PLAIN: &str = "From: alice@example.org\r\nTo: bob@example.net\r\n\r\nHello\r\n";

#[test]
fn without_arguments_it_sends_to_an_embedded_server() {
    let (stdout, stderr) = said(&program().output().unwrap(), 0);
    assert_eq!(stderr, "");
    assert_eq!(stdout.matches("\nrefused ").count(), 1, "{stdout}");
    assert!(stdout.contains("nobody@example.net: 550 5.1.1"), "{stdout}");
    let counts = "sent: 499, to some recipients: 1, failed: 0 (maybe sent: 0), not attempted: 0;";
    assert!(stdout.contains(counts), "{stdout}");
    assert!(
        stdout.contains("compared with the server: 500 "),
        "{stdout}"
    );
}

#[test]
fn the_envelope_comes_from_the_header_and_hidden_recipients_stay_hidden() {
    let server = start(smtp_server());
    let outbox = Outbox::new(&[
        (
            "1.eml",
            "From: Alice <alice@example.org>, x@example.org\r\nSender: s@example.org\r\n\
             To: \"Bob, B.\" <bob@example.net>, friends: carol@example.net, dave@example.net;\r\n\
             Cc: bob@example.net\r\nBcc: eve@example.net\r\n\r\n1\r\n",
        ),
        (
            "2.EML",
            "X: 2\nFrom: alice@example.org\nTo: bob@example.net\n\n2",
        ),
        ("notes.txt", "not to be sent"),
    ]);
    run(to(&server).arg(outbox.path()), &server, 0);
    let arrived = arrived(&server);
    assert_eq!(arrived.len(), 2);
    assert_eq!(arrived[0].0, "s@example.org");
    let recipients = ["bob", "carol", "dave", "eve"].map(|one| format!("{one}@example.net"));
    assert_eq!(arrived[0].1, recipients);
    assert!(!arrived[0].2.contains("eve") && arrived[0].2.contains("Cc:"));
    assert_eq!(arrived[1].0, "alice@example.org");
    let clean = "X: 2\r\nFrom: alice@example.org\r\nTo: bob@example.net\r\n\r\n2\r\n";
    assert_eq!(arrived[1].2, clean);
}

#[test]
fn the_command_line_may_say_from_whom_and_to_whom() {
    let server = start(smtp_server());
    let outbox = Outbox::new(&[("1.eml", "Subject: x\r\n\r\n1\r\n"), ("2", PLAIN)]);
    let mut command = to(&server);
    command.args([
        "--from",
        "<>",
        "--to",
        "x@example.net",
        "--to",
        "y@example.net",
    ]);
    run(command.arg(outbox.path()).arg(outbox.file("2")), &server, 0);
    for (from, recipients, _) in arrived(&server) {
        assert_eq!(from, "");
        assert_eq!(recipients, ["x@example.net", "y@example.net"]);
    }
    assert_eq!(server.deliveries().len(), 2);
}

#[test]
fn it_says_who_was_refused_and_what_failed() {
    let server = start(smtp_server().refuse_recipient("no@example.net", "550 5.1.1 No\x1b one"));
    let with = |to: &str| format!("From: a@example.org\r\nTo: {to}\r\n\r\nx\r\n");
    let outbox = Outbox::new(&[
        ("1.eml", &with("bob@example.net, no@example.net")),
        ("2.eml", &with("no@example.net")),
        ("3.eml", "From: a@example.org\r\n\r\nx\r\n"),
        ("4.eml", "To: bob@example.net\r\n\r\nx\r\n"),
        ("6.eml", PLAIN),
    ]);
    let mut command = to(&server);
    command.arg(outbox.path()).arg(outbox.file("5.eml"));
    let (stdout, stderr) = run(&mut command, &server, 1);
    assert_eq!(stderr, "");
    let place = format!("{}/", outbox.path().display());
    let lines: Vec<String> = stdout
        .lines()
        .map(|line| line.replace(&place, ""))
        .collect();
    assert_eq!(
        lines[0],
        "refused        1.eml: no@example.net: 550 5.1.1 No  one"
    );
    assert!(lines[1].starts_with("rejected       2.eml: the server accepted no recipient"));
    assert_eq!(
        lines[2],
        "not sent       3.eml: its header names no recipient: use --to"
    );
    assert_eq!(
        lines[3],
        "not sent       4.eml: its header names no sender: use --from"
    );
    assert!(lines[4].starts_with("not sent       5.eml: "), "{stdout}");
    let counts = "sent: 1, to some recipients: 1, failed: 4 (maybe sent: 0), not attempted: 0;";
    assert!(lines[5].starts_with(counts), "{stdout}");
    assert_eq!(server.deliveries().len(), 2);
}

#[test]
fn a_message_that_may_have_arrived_is_named_as_such() {
    let server = start(smtp_server());
    server.faults().at(Point::Stored, Action::Reset);
    let outbox = Outbox::new(&[("1.eml", PLAIN)]);
    let (stdout, _) = run(to(&server).arg(outbox.path()), &server, 1);
    assert!(stdout.starts_with("maybe sent     "), "{stdout}");
    assert!(stdout.contains("failed: 1 (maybe sent: 1)"), "{stdout}");
    assert_eq!(server.deliveries().len(), 1);
}

#[test]
fn what_is_refused_for_the_time_being_is_tried_again_on_wish() {
    let large = format!("{PLAIN}{}", "0123456789abcde\r\n".repeat(600_000));
    let outbox = Outbox::new(&[("1.eml", PLAIN), ("2.eml", &large)]);
    for (retry, code) in [("0", 1), ("2", 0)] {
        let server = start(smtp_server());
        server
            .faults()
            .defer_recipient("bob@example.net", 2, "450 4.2.1 Later");
        let mut command = to(&server);
        command.args(["--retry", retry]).arg(outbox.path());
        let (stdout, _) = run(&mut command, &server, code);
        assert_eq!(stdout.contains("450 4.2.1 Later"), code == 1, "{stdout}");
        assert_eq!(server.deliveries().len(), if code == 0 { 2 } else { 0 });
        let whole = |text: &str| text == large;
        let came = arrived(&server).iter().filter(|one| whole(&one.2)).count();
        assert_eq!(came, usize::from(code == 0));
    }
}

#[test]
fn there_are_never_more_connections_than_it_was_told() {
    let names: Vec<String> = (0..60).map(|number| format!("{number:02}.eml")).collect();
    let messages: Vec<(&str, &str)> = names.iter().map(|name| (&**name, PLAIN)).collect();
    let outbox = Outbox::new(&messages);
    for (connections, protocol) in [
        (1, Protocol::Smtp),
        (3, Protocol::Smtp),
        (2, Protocol::Lmtp),
    ] {
        let server = start(Server::builder().protocol(protocol));
        let mut command = to(&server);
        if protocol == Protocol::Lmtp {
            command.arg("--lmtp");
        }
        command.args(["--connections", &connections.to_string()]);
        let (stdout, _) = run(command.arg(outbox.path()), &server, 0);
        assert!(stdout.starts_with("sent: 60,"), "{stdout}");
        assert_eq!(server.deliveries().len(), 60);
        assert!(server.counters().peak_open <= connections);
    }
}

/// The program while it sends `outbox` to `server`, over two connections. It is killed if the test
/// fails before its end.
#[cfg(unix)]
struct Running {
    child: Option<std::process::Child>,
    stderr: BufReader<ChildStderr>,
}

#[cfg(unix)]
impl Running {
    fn start(server: &Server, outbox: &Outbox) -> Self {
        let mut command = to(server);
        command.args(["--connections", "2"]).arg(outbox.path());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self {
            child: Some(child),
            stderr,
        }
    }

    fn signal(&self) {
        let id = self.child.as_ref().unwrap().id().to_string();
        let mut kill = Command::new("kill");
        assert!(kill.args(["-INT", &id]).status().unwrap().success());
    }

    /// Sends the first signal, and waits until the program knows of it.
    fn interrupt(&mut self) {
        self.signal();
        let mut line = String::new();
        self.stderr.read_line(&mut line).unwrap();
        let said = "send: interrupted, what is under way comes to its end\n";
        assert_eq!(line, said);
    }

    fn end(mut self) -> Output {
        self.child.take().unwrap().wait_with_output().unwrap()
    }
}

#[cfg(unix)]
impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_it_and_what_was_not_attempted_is_named() {
    let outbox = Outbox::new(&[("1.eml", PLAIN), ("2.eml", PLAIN), ("3.eml", PLAIN)]);
    let server = start(smtp_server());
    server.faults().hold("MAIL");
    let mut running = Running::start(&server, &outbox);
    assert!(server.wait_until(LONG, |counters| counters.commands("MAIL") > 0));
    running.interrupt();
    running.signal();
    let (stdout, _) = said(&running.end(), 3);
    assert_eq!(stdout.matches("not attempted  ").count(), 3, "{stdout}");
    let counts = "sent: 0, to some recipients: 0, failed: 0 (maybe sent: 0), not attempted: 3;";
    assert!(stdout.contains(counts), "{stdout}");
    assert!(server.deliveries().is_empty());
}

#[cfg(unix)]
#[test]
fn an_interrupt_lets_what_is_under_way_come_to_its_end() {
    let names: Vec<String> = (0..40).map(|number| format!("{number:02}.eml")).collect();
    let messages: Vec<(&str, &str)> = names.iter().map(|name| (&**name, PLAIN)).collect();
    let outbox = Outbox::new(&messages);
    let server = start(smtp_server());
    server.faults().hold("MAIL");
    let mut running = Running::start(&server, &outbox);
    assert!(server.wait_until(LONG, |counters| counters.commands("MAIL") > 0));
    running.interrupt();
    server.faults().release("MAIL");
    let (stdout, _) = said(&running.end(), 3);
    assert!(stdout.contains("failed: 0 (maybe sent: 0)"), "{stdout}");
    let left = stdout.matches("not attempted  ").count();
    // One connection beside the main one has no more than sixteen, under way or to come.
    assert!(left >= 24, "{stdout}");
    assert_eq!(server.deliveries().len() + left, 40, "{stdout}");
    assert!(!server.deliveries().is_empty());
}

#[test]
fn the_login_comes_from_the_environment_and_what_is_wrong_is_said_in_one_line() {
    let server = start(smtp_server().user("alice", "secret").require_login());
    let outbox = Outbox::new(&[("1.eml", PLAIN)]);
    for (password, code) in [("secret", 0), ("wrong", 1)] {
        let mut command = to(&server);
        command
            .env("MAILPOOL_USER", "alice")
            .env("MAILPOOL_PASSWORD", password);
        let (_, stderr) = run(command.arg(outbox.path()), &server, code);
        assert_eq!(stderr.lines().count(), usize::from(code == 1), "{stderr}");
        assert_eq!(stderr.contains("refused the credentials"), code == 1);
    }
    let mut without = to(&server);
    without.args(["--user", "alice"]).arg(outbox.path());
    let (_, stderr) = said(&without.output().unwrap(), 2);
    assert!(stderr.contains("MAILPOOL_PASSWORD"), "{stderr}");
    for arguments in [&["--retry", "1"][..], &["--server", "imap://x", "1.eml"]] {
        said(&program().args(arguments).output().unwrap(), 2);
    }
}
