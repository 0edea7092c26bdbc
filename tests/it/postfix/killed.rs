//! Postfix is killed while messages are sent: what was reported is what has happened.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mailpool::{Certainty, Error};
use mailpool_test_postfix::Postfix;

use super::{builder, to};
use crate::outgoing::letter;

/// What the client said of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Sent,
    Unknown,
    Failed,
}

impl Said {
    fn of(error: &Error) -> Self {
        if error.certainty() == Certainty::MaybeExecuted {
            Self::Unknown
        } else {
            Self::Failed
        }
    }

    #[track_caller]
    fn assert_agrees(self, number: usize, copies: usize) {
        let agrees = match self {
            Self::Sent => copies == 1,
            Self::Unknown => copies <= 1,
            Self::Failed => copies == 0,
        };
        assert!(
            agrees,
            "message {number} is {self:?}, and there are {copies} of it"
        );
    }
}

fn mark(number: usize) -> String {
    format!("<ledger-{number:06}@mailpool.test>")
}

/// With a text that takes several writes.
fn marked(number: usize) -> Vec<u8> {
    let mut message = format!("Message-ID: {}\r\n", mark(number)).into_bytes();
    message.extend(letter("ledger", &"0123456789abcdef\r\n".repeat(500)));
    message
}

fn kill(target: &str) {
    let status = Command::new("kill").args(["-KILL", "--", target]).status();
    // Some process may have ended meanwhile.
    status.expect("kill is there");
}

/// Kills the processes that serve this server's connections. Their master starts others.
fn kill_sessions(postfix: &Postfix) {
    for entry in fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let Some((pid, rest)) = stat.split_once(" (smtpd) ") else {
            continue;
        };
        let group = rest.split_whitespace().nth(2);
        if group == Some(&postfix.process_group().to_string()) {
            kill(pid);
        }
    }
}

#[test]
fn sessions_that_are_killed_lose_nothing_and_double_nothing() {
    for chunking in [true, false] {
        // Postfix lets a service rest for a minute whose processes die before their first client.
        let builder_of_postfix = Postfix::builder()
            .in_memory()
            .setting("service_throttle_time", "1s");
        let Some(postfix) = builder_of_postfix.start_or_skip() else {
            return;
        };
        let client = builder(&postfix)
            .chunking(chunking)
            .max_connections_per_server(5)
            .connect()
            .unwrap();
        let recipient = postfix.new_recipient("ledger");
        let messages = (0..300).map(|number| (to(&[&recipient]), marked(number)));
        let mut next_kill = 20;
        let outcome = client
            .bulk()
            .on_progress(|progress| {
                if progress.succeeded + progress.failed >= next_kill {
                    next_kill += 30;
                    kill_sessions(&postfix);
                }
            })
            .send_all(messages)
            .unwrap();
        let stats = client.stats();
        assert!(stats.reconnected > 5, "nothing was killed: {stats:?}");
        drop(client);
        let mut said: BTreeMap<usize, Said> = BTreeMap::new();
        for (number, report) in &outcome.succeeded {
            assert!(report.is_complete());
            said.insert(*number, Said::Sent);
        }
        for (number, error) in &outcome.failed {
            said.insert(*number, Said::of(error));
        }
        assert_eq!(said.len(), 300);
        let sent = outcome.succeeded.len();
        assert!(sent > 150, "only {sent} were sent: {:?}", outcome.failed);

        postfix.settled();
        let arrived = postfix.arrived(&recipient, sent);
        let mut copies: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        for arrived in arrived {
            *copies.entry(arrived.message()).or_default() += 1;
        }
        for (number, said) in said {
            let copies = copies.remove(&marked(number)).unwrap_or_default();
            said.assert_agrees(number, copies);
        }
        assert_eq!(
            copies.len(),
            0,
            "messages that nobody sent, or sent otherwise"
        );
    }
}

/// How many files below a directory have something in them, of those that are complete.
fn count_files(directory: &Path, is_complete: fn(u32) -> bool, count: &mut dyn FnMut(&[u8])) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.filter_map(Result::ok) {
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() {
            count_files(&entry.path(), is_complete, count);
        } else if metadata.is_file() && is_complete(metadata.permissions().mode()) {
            count(&fs::read(entry.path()).unwrap());
        }
    }
}

#[test]
fn a_server_that_is_killed_as_a_whole_has_what_was_reported_sent_and_nothing_else() {
    for chunking in [true, false] {
        let Some(postfix) = Postfix::builder().in_memory().start_or_skip() else {
            return;
        };
        let client = builder(&postfix)
            .chunking(chunking)
            .max_connections_per_server(5)
            .timeout(Duration::from_secs(5))
            .connect()
            .unwrap();
        let recipient = postfix.new_recipient("ledger");
        let said = Mutex::new(BTreeMap::new());
        let (next, sent) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let scope = client.create_connection();
                    let _scope = scope.expect("a connection");
                    // Each sends until the server is gone.
                    loop {
                        let number = next.fetch_add(1, Ordering::SeqCst);
                        let result = client.send(&to(&[&recipient]), marked(number));
                        let outcome = match &result {
                            Ok(_) => Said::Sent,
                            Err(error) => Said::of(error),
                        };
                        said.lock().unwrap().insert(number, outcome);
                        if result.is_err() {
                            return;
                        }
                        if sent.fetch_add(1, Ordering::SeqCst) == 100 {
                            kill(&format!("-{}", postfix.process_group()));
                        }
                    }
                });
            }
        });
        let said = said.into_inner().unwrap();
        assert!(sent.load(Ordering::SeqCst) > 100);

        let mut stored: Vec<Vec<u8>> = Vec::new();
        let directory = postfix.directory();
        for place in ["mail/all/new", "seen"] {
            count_files(&directory.join(place), |_| true, &mut |file| {
                stored.push(file.to_vec());
            });
        }
        let mut queued: Vec<Vec<u8>> = Vec::new();
        for place in ["maildrop", "incoming", "active", "deferred"] {
            // A file of the queue may be executed when it is complete.
            let is_complete = |mode| mode & 0o100 != 0;
            count_files(
                &directory.join("queue").join(place),
                is_complete,
                &mut |file| {
                    queued.push(file.to_vec());
                },
            );
        }
        for (number, said) in said {
            let mark = mark(number).into_bytes();
            let has = |file: &&Vec<u8>| contains(file, &mark);
            let delivered = stored.iter().filter(has).count();
            let waiting = queued.iter().filter(has).count();
            assert!(
                delivered <= 1 && waiting <= 1,
                "message {number} is doubled"
            );
            // Between its delivery and the end of that it is in both places.
            said.assert_agrees(number, delivered.max(waiting));
        }
    }
}

fn contains(file: &[u8], mark: &[u8]) -> bool {
    file.windows(mark.len()).any(|part| part == mark)
}
