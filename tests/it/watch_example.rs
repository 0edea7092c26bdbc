//! The example `watch`, run as a process: what it prints, and how it ends.
//!
//! `cargo test` builds it. With `cargo test --test it` it is as old as the last
//! `cargo build --example watch`.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use mailpool_test_server::{Message, Server};

use crate::support::{USER, server_with};
use crate::threads::{LONG, bounded, until, until_open};

fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let name = format!("watch{}", std::env::consts::EXE_SUFFIX);
    let program = profile.join("examples").join(name);
    let hint = "build it with `cargo build --example watch`";
    assert!(program.exists(), "{} is missing: {hint}", program.display());
    program
}

/// The example while it runs. It is killed if the test fails before its end.
struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(program())
            .args(arguments)
            .env("MAILPOOL_PASSWORD", USER.1)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            for line in out.lines() {
                let _ = sender.send(line.unwrap());
            }
        });
        Self { child, lines }
    }

    fn of(server: &Server, extra: &[&str]) -> Self {
        let url = format!("imap://127.0.0.1:{}", server.port());
        let account = ["--plaintext", "--server", &url, "--user", USER.0];
        Self::start(&[&account, extra].concat())
    }

    #[track_caller]
    fn line(&self) -> String {
        self.lines.recv_timeout(LONG).expect("a line")
    }

    /// The next line without `\Recent`: which session gets it is up to the server.
    #[track_caller]
    fn event(&self) -> String {
        let line = self.line();
        line.replace(" \\Recent", "").replace("\\Recent", "")
    }

    /// What is still printed, until there is no more.
    fn rest(&self) -> Vec<String> {
        std::iter::from_fn(|| self.lines.recv_timeout(LONG).ok()).collect()
    }

    #[cfg(unix)]
    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let mut kill = Command::new("kill");
        assert!(kill.args([name, &id]).status().unwrap().success());
    }

    #[track_caller]
    fn status(&mut self) -> ExitStatus {
        let mut status = None;
        until("the example ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    fn stderr(&mut self) -> String {
        let mut text = String::new();
        let mut pipe = self.child.stderr.take().unwrap();
        pipe.read_to_string(&mut text).unwrap();
        text
    }

    #[track_caller]
    fn went_well(mut self) {
        let status = self.status();
        assert_eq!((status.code(), self.stderr().as_str()), (Some(0), ""));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn without_arguments_it_tells_a_dozen_events_of_an_embedded_server() {
    bounded(|| {
        let running = Running::start(&[]);
        let lines = running.rest();
        running.went_well();
        let count = |words: &str| lines.iter().filter(|line| line.contains(words)).count();
        assert!(lines[0].starts_with("an embedded server "), "{lines:?}");
        assert_eq!(count("followed from now on"), 2, "{lines:?}");
        let kinds = [": new message ", " now has ", " is gone"].map(count);
        assert_eq!(kinds.iter().sum::<usize>(), 12, "{lines:?}");
        assert!(kinds.iter().all(|count| *count > 0), "{lines:?}");
        assert!(count("): message 1") > 0, "{lines:?}");
        let [new, flags, gone] = kinds;
        let closing = format!(
            "events: 12; new messages: {new}, changes of flags: {flags}, messages gone: {gone}, \
             others: 0"
        );
        assert_eq!(lines.last(), Some(&closing));
    });
}

#[cfg(unix)]
#[test]
fn events_are_lines_and_an_interrupt_ends_it_with_goodbyes() {
    for signal in ["-INT", "-TERM"] {
        bounded(move || {
            let server = server_with(3);
            server.store().create_mailbox(USER.0, "Archive");
            let arguments = ["--mailbox", "INBOX", "--mailbox", "Archive"];
            let running = Running::of(&server, &arguments);
            let mut began = [running.line(), running.line()];
            began.sort();
            let expected = [("Archive", 0), ("INBOX", 3)]
                .map(|(name, exists)| format!("{name}: followed from now on, messages: {exists}"));
            assert_eq!(began, expected);

            let store = server.store();
            let message = Message::text("Good\x1b morning", "").flag("\\Seen");
            store.append(USER.0, "INBOX", message);
            let line = running.event();
            assert_eq!(line, "INBOX: new message 4 (\\Seen): Good  morning");
            store.set_flags(USER.0, "INBOX", 2, &["\\Flagged"]);
            assert_eq!(running.event(), "INBOX: 2 now has (\\Flagged)");
            assert!(store.expunge(USER.0, "INBOX", 1));
            assert_eq!(running.event(), "INBOX: 1 is gone");
            store.append(USER.0, "Archive", Message::new("\r\nNo subject"));
            assert_eq!(running.event(), "Archive: new message 1 ()");

            running.signal(signal);
            let closing = "events: 4; new messages: 2, changes of flags: 1, messages gone: 1, \
                           others: 0";
            assert_eq!(running.rest(), [closing]);
            running.went_well();
            until_open(&server, 0);
            let counters = server.counters();
            assert_eq!(counters.commands("LOGOUT"), counters.accepted);
        });
    }
}

#[cfg(unix)]
#[test]
fn a_mailbox_that_is_not_there_ends_nothing() {
    bounded(|| {
        let server = server_with(1);
        let arguments = ["--poll", "1", "--mailbox", "Later", "--mailbox", "INBOX"];
        let mut running = Running::of(&server, &arguments);
        assert!(running.line().starts_with("INBOX: followed"));
        assert!(server.wait_until(LONG, |counters| {
            counters.commands("SELECT") + counters.commands("EXAMINE") >= 3
        }));
        server.store().create_mailbox(USER.0, "Later");
        assert!(running.line().starts_with("Later: followed"));
        running.signal("-INT");
        assert_eq!(running.status().code(), Some(0));
        let text = running.stderr();
        assert!(text.starts_with("watch: Later: "), "{text}");
    });
}

#[test]
fn what_cannot_begin_leaves_one_line() {
    bounded(|| {
        let server = server_with(1);
        server.store().add_user(USER.0, "another");
        let mut running = Running::of(&server, &[]);
        assert_eq!(running.status().code(), Some(1));
        let text = running.stderr();
        assert!(text.starts_with("watch: imap://127.0.0.1:"), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("refused the credentials"), "{text}");

        // The demonstration has nothing to choose.
        let mut running = Running::start(&["--forever", "--user", "alice"]);
        assert_eq!(running.status().code(), Some(2));
    });
}
