//! The fault sweep for a session that follows a mailbox: it is cut after every byte that the
//! server sends, and nothing that happens in the mailbox may be lost or told twice.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mailpool::{Backoff, ErrorKind, Flag, Idle, ImapClient, MailboxChange, Security};
use mailpool_test_server::{Action, Layer, Security as Secured, Server};

use crate::support::{USER, builder, message, never};
use crate::threads::{LONG, bounded, until_open};
use crate::tls;

/// Sessions at the same time, each with a server of its own.
const THREADS: usize = 16;

/// How long a session may take that runs into a stall.
const PATIENCE: Duration = Duration::from_millis(400);

/// Plays a session whose first connection is cut. With `returns`, lost connections are opened anew.
/// Returns how many bytes the server has sent.
fn play(server: &Server, cut: Option<(u64, &Action)>, returns: bool, is_secured: bool) -> u64 {
    let store = server.store();
    store.set_flags(USER.0, "INBOX", 1, &[]);
    let last = store.uid_next(USER.0, "INBOX") - 1;
    let before = server.counters();
    if let Some((bytes, action)) = cut {
        let next = before.accepted as usize + 1;
        let faults = server.faults_for(next);
        faults.after_sent(bytes, Layer::Plaintext, action.clone());
    }
    let stalls = cut.is_some_and(|(_, action)| *action == Action::Stall);
    let deadline = deadline(if stalls { PATIENCE } else { LONG });
    let policy = if returns {
        Backoff::new()
            .first_delay(Duration::from_millis(1))
            .max_delay(Duration::from_millis(5))
    } else {
        never()
    };
    let builder = if is_secured {
        tls::trusting(server, Security::Tls)
    } else {
        builder(server)
    };
    let client = builder
        .reconnect(policy)
        .max_connections_per_server(1)
        .shutdown_timeout(PATIENCE)
        .timeout(LONG)
        .connect_deadline(deadline);
    let what = || format!("{cut:?}, returns: {returns}");
    match client {
        Ok(client) => follow(&client, server, last, deadline, returns && !stalls, &what),
        Err(error) => {
            let explained = error.is_connection() || error.is_timeout();
            assert!(cut.is_some() && explained, "{}: {error:?}", what());
        }
    }
    until_open(server, 0);
    server.counters().bytes_out - before.bytes_out
}

#[expect(clippy::disallowed_methods, reason = "a session has a deadline")]
fn deadline(time: Duration) -> Instant {
    Instant::now() + time
}

fn follow(
    client: &ImapClient,
    server: &Server,
    last: u32,
    deadline: Instant,
    must_succeed: bool,
    what: &dyn Fn() -> String,
) {
    let mut idle = match client.with_deadline(deadline).mailbox("INBOX").idle() {
        Ok(idle) => idle,
        Err(error) => {
            assert!(!must_succeed, "{}: {error:?}", what());
            return;
        }
    };
    let Some(began) = next(&mut idle, must_succeed, what) else {
        return;
    };
    assert!(
        matches!(began, MailboxChange::Began { .. }),
        "{}: {began:?}",
        what()
    );
    // One change after the other: each is told before the next one is made.
    server.store().append(USER.0, "INBOX", message(1));
    let Some(new) = next(&mut idle, must_succeed, what) else {
        return;
    };
    assert!(
        matches!(&new, MailboxChange::New { uid, .. } if uid.get() == last + 1),
        "{}: {new:?}",
        what()
    );
    server.store().set_flags(USER.0, "INBOX", 1, &["\\Flagged"]);
    let Some(flags) = next(&mut idle, must_succeed, what) else {
        return;
    };
    assert!(
        matches!(&flags, MailboxChange::Flags { uid, flags, .. }
            if uid.get() == 1 && flags.contains(&Flag::Flagged)),
        "{}: {flags:?}",
        what()
    );
    assert!(server.store().expunge(USER.0, "INBOX", last + 1));
    if let Some(gone) = next(&mut idle, must_succeed, what) {
        assert!(
            matches!(gone, MailboxChange::Expunged(uid) if uid.get() == last + 1),
            "{}: {gone:?}",
            what()
        );
    }
}

/// The next change; `None` if the session is over, which it says with an error.
fn next(idle: &mut Idle, must_succeed: bool, what: &dyn Fn() -> String) -> Option<MailboxChange> {
    match idle.next().expect("an error is told before the end") {
        Ok(change) => Some(change),
        Err(error) => {
            let explained = matches!(
                error.kind(),
                ErrorKind::Closed
                    | ErrorKind::Io { .. }
                    | ErrorKind::Timeout { .. }
                    | ErrorKind::Unreachable { .. }
                    | ErrorKind::Stalled
            );
            assert!(explained && !must_succeed, "{}: {error:?}", what());
            assert!(idle.next().is_none());
            None
        }
    }
}

fn start(is_secured: bool) -> Server {
    Server::builder()
        .user(USER.0, USER.1)
        .mailbox(USER.0, "INBOX", [message(0)])
        .security(if is_secured {
            Secured::Tls
        } else {
            Secured::None
        })
        .start()
        .unwrap()
}

/// Every byte where that is cheap; making a client with TLS is not, and neither is waiting.
fn sweep(action: &'static Action, is_secured: bool) {
    let every = match action {
        _ if is_secured => 29,
        // Each of them takes its time.
        Action::Stall => 7,
        _ => 1,
    };
    bounded(move || {
        let whole = play(&start(is_secured), None, false, is_secured);
        assert!((500..20_000).contains(&whole), "{whole}");
        let cut = AtomicUsize::new(0);
        std::thread::scope(|threads| {
            for _ in 0..THREADS {
                threads.spawn(|| {
                    let server = start(is_secured);
                    loop {
                        let bytes = cut.fetch_add(every, Ordering::SeqCst) as u64;
                        if bytes > whole {
                            return;
                        }
                        for returns in [false, true] {
                            play(&server, Some((bytes, action)), returns, is_secured);
                        }
                        // A client whose time is up may be gone before the server has looked.
                        if *action != Action::Stall {
                            assert_eq!(server.counters().peak_open, 1);
                        }
                    }
                });
            }
        });
    });
}

#[test]
fn a_followed_mailbox_is_cut_by_fin_after_every_byte() {
    sweep(&Action::Close, false);
}

#[test]
fn a_followed_mailbox_is_cut_without_notify_here_and_there() {
    sweep(&Action::CloseWithoutNotify, true);
}

#[test]
fn a_followed_mailbox_is_cut_by_rst_after_every_byte() {
    sweep(&Action::Reset, false);
}

#[test]
fn a_followed_mailbox_is_stalled_here_and_there() {
    sweep(&Action::Stall, false);
}
