//! The fault sweep: a session is cut after each byte of either side, and whatever its calls then
//! say is held against what the server has.
//!
//! ```text
//! S: 220 250          250 250 250    354            250     │ of the next message, 221
//! C:     EHLO │ MAIL RCPT RCPT   DATA    message .      │ MAIL ... QUIT
//!    connect  │ taken back and sent again │ unknown     │ done
//! ```
//! Only the first connection of a client is cut; the client opens another one at once.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use mailpool::{Certainty, Error, ErrorKind, Security, SmtpClient, SmtpClientBuilder};
use mailpool_test_server::{Protocol, Security as Secured, Server};

use super::relay::{Cut, How, Relay, Side};
use super::setup::to;
use crate::shutdown::until_no_threads;
use crate::support::quick;
use crate::sweep::{SLACK, without_the_systems_certificates};
use crate::threads::{LONG, bounded};

/// How long a call may take that runs into a stall.
const PATIENCE: Duration = Duration::from_millis(300);

const TEXT: &str = "Subject: cut\r\n\r\n.\r\n..\r\nThe end\r\n";

/// The last reply to a message: always of the same length.
const QUEUED: &str = "250 2.0.0 Ok\r\n";

#[derive(Clone, Copy)]
struct Sweep {
    /// A spelling of the server's address that no other test uses: the threads bear it.
    host: &'static str,
    secured: Secured,
    chunking: bool,
    how: How,
    /// The distance between two cuts.
    every: usize,
}

/// What each side has sent at the end of connecting, before the message is written, and when
/// it has been answered.
#[derive(Clone, Copy, Debug)]
struct Marks {
    connected: usize,
    asked: usize,
    answered: usize,
}

fn builder(sweep: &Sweep, server: &Server, port: u16) -> SmtpClientBuilder {
    let builder = SmtpClient::builder(sweep.host)
        .port(port)
        .timeout(LONG)
        .stall_timeout(Duration::from_millis(40))
        .chunking(sweep.chunking)
        .max_connections_per_server(1)
        .reconnect(quick());
    let security = match sweep.secured {
        Secured::None => return builder.security(Security::None),
        Secured::StartTls => Security::StartTls,
        _ => Security::Tls,
    };
    builder
        .security(security)
        .server_name("localhost")
        .only_own_ca()
        .ca_pem(server.ca_pem())
}

fn start(sweep: &Sweep) -> Server {
    let server = Server::builder().protocol(Protocol::Smtp);
    let server = server.security(sweep.secured).start().unwrap();
    server.faults().always_replace_answer(".", QUEUED);
    server
}

/// The session without a cut: the marks of the client's and of the server's bytes, and how many
/// bytes there are in all.
fn measure(sweep: &Sweep) -> ([Marks; 2], [usize; 2]) {
    let server = start(sweep);
    let client = builder(sweep, &server, server.port()).connect().unwrap();
    let seen = |client: &SmtpClient| {
        let stats = client.stats();
        [stats.bytes_sent as usize, stats.bytes_received as usize]
    };
    let connected = seen(&client);
    let report = client.send(&to(&["a0", "b0"]), TEXT).unwrap();
    assert!(report.is_complete());
    let answered = seen(&client);
    let text = if sweep.chunking {
        TEXT.len() + format!("BDAT {} LAST\r\n", TEXT.len()).len()
    } else {
        // Two dots are doubled, and one ends it.
        TEXT.len() + 2 + 3
    };
    let asked = [answered[0] - text, answered[1] - QUEUED.len()];
    drop(client);
    assert!(server.wait_until(LONG, |counters| counters.open == 0));
    let counters = server.counters();
    let marks = [0, 1].map(|side| Marks {
        connected: connected[side],
        asked: asked[side],
        answered: answered[side],
    });
    let whole = [counters.bytes_in as usize, counters.bytes_out as usize];
    (marks, whole)
}

type Outcome = Option<Result<(), Certainty>>;

/// What the sending of the first message says that is cut after so many bytes; `None`: there is
/// no connection to send it over.
fn expected(how: How, after: usize, marks: &Marks) -> Vec<Outcome> {
    let stalls = how == How::Stall;
    if after < marks.connected {
        vec![None]
    } else if after < marks.asked && stalls {
        vec![Some(Err(Certainty::NotSent))]
    } else if after < marks.asked {
        vec![Some(Ok(()))]
    } else if after < marks.answered {
        let mut outcomes = vec![Some(Err(Certainty::MaybeExecuted))];
        // On a slow machine the time can be over before the message is written.
        outcomes.extend(stalls.then_some(Some(Err(Certainty::NotSent))));
        outcomes
    } else {
        vec![Some(Ok(()))]
    }
}

/// Checks what the sending of the first message said.
fn check(sweep: &Sweep, cut: Cut, marks: &Marks, sent: Option<&Result<(), Error>>) {
    let Cut { side, after, how } = cut;
    let outcome = sent.map(|sent| sent.as_ref().map_err(Error::certainty).copied());
    // Under TLS, bytes are not lines.
    if sweep.secured == Secured::None {
        let mut allowed = expected(how, after, marks);
        // The answer to the client's last bytes can be lost with them, and RST drops what has not
        // been read.
        if how == How::Reset || (how == How::End && side == Side::Client) {
            allowed.extend(expected(how, after.saturating_sub(1), marks));
        }
        assert!(allowed.contains(&outcome), "{sent:?}");
    }
    let Some(Err(error)) = sent else {
        return;
    };
    let explained = match error.kind() {
        ErrorKind::Timeout { .. } | ErrorKind::Unreachable { .. } | ErrorKind::Stalled => {
            how == How::Stall
        }
        ErrorKind::Closed | ErrorKind::Io { .. } | ErrorKind::Tls { .. } => how != How::Stall,
        _ => false,
    };
    assert!(explained, "{error:?}");
}

#[expect(clippy::disallowed_methods, reason = "deadlines are looked at")]
fn within<T>(patience: Duration, call: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let result = call();
    let took = began.elapsed();
    assert!(took < patience.min(SLACK) + SLACK, "it took {took:?}");
    result
}

/// Makes one cut, and waits for the end of everything.
#[expect(clippy::disallowed_methods, reason = "a deadline is given")]
fn examine(sweep: &Sweep, server: &Server, cut: Cut, marks: &Marks) {
    server.store().clear_deliveries();
    let relay = Relay::start(server.address(), cut);
    // Under TLS it is not known which call runs into the stall.
    let patience_of = |call: bool| {
        let known = sweep.secured == Secured::None;
        if cut.how == How::Stall && (call || !known) {
            PATIENCE
        } else {
            LONG
        }
    };
    let patience = patience_of(cut.after < marks.connected);
    let client = within(patience, || {
        let builder = builder(sweep, server, relay.port());
        builder.connect_deadline(Instant::now() + patience)
    });
    let mut sent = None;
    match client {
        Err(error) => assert_eq!(error.certainty(), Certainty::NotSent, "{error:?}"),
        Ok(client) => {
            let patience = patience_of(cut.after < marks.answered);
            let view = client.with_timeout(patience);
            let result = within(patience, || view.send(&to(&["a1", "b1"]), TEXT));
            sent = Some(result.map(|report| assert!(report.is_complete())));
            // Whatever has happened, the client goes on, with another connection if need be.
            let patience = patience_of(cut.after >= marks.answered);
            let view = client.with_timeout(patience);
            let next = within(patience, || view.send(&to(&["a2", "b2"]), TEXT));
            if let Err(error) = &next {
                let may_break = cut.after >= marks.answered || sweep.secured != Secured::None;
                assert!(may_break, "{error:?}");
                let stalled = error.is_timeout() && cut.how == How::Stall;
                let unknown = error.certainty() == Certainty::MaybeExecuted;
                assert!(unknown || stalled, "{error:?}");
            }
            let goodbye = within(PATIENCE, || client.shutdown(PATIENCE));
            if let Err(error) = goodbye {
                let late = matches!(error.kind(), ErrorKind::ShutdownTimeout { .. });
                assert!(late && cut.how == How::Stall, "{error:?}");
            }
        }
    }
    drop(relay);
    let over = server.wait_until(LONG, |now| now.open == 0 && now.sessions == 0);
    assert!(over, "sockets are left open");
    let deliveries = server.deliveries();
    let mut first = deliveries
        .iter()
        .filter(|one| one.recipients[0].address == "a1@example.net");
    let copies = first.by_ref().count();
    assert!(
        deliveries
            .iter()
            .all(|one| { one.recipients.len() == 2 && one.bytes().unwrap() == TEXT.as_bytes() })
    );
    let is_true = match sent
        .as_ref()
        .map(|sent| sent.as_ref().map_err(Error::certainty))
    {
        None | Some(Err(Certainty::NotSent)) => copies == 0,
        Some(Ok(())) => copies == 1,
        Some(Err(Certainty::MaybeExecuted)) => copies <= 1,
        Some(Err(_)) => false,
    };
    assert!(is_true, "{copies} copies, {sent:?}");
    check(sweep, cut, marks, sent.as_ref());
}

/// Names the cut under which something panics, and lets the others end soon.
struct Told<'a>(Cut, &'a Mutex<VecDeque<Cut>>);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("under {:?}", self.0);
            self.1.lock().unwrap().clear();
        }
    }
}

fn run(sweep: Sweep, workers: usize) {
    let (marks, whole) = measure(&sweep);
    let mut cuts = VecDeque::new();
    for (side, whole) in [Side::Client, Side::Server].into_iter().zip(whole) {
        assert!((150..20_000).contains(&whole), "{whole} bytes");
        let how = sweep.how;
        let places = (0..whole).step_by(sweep.every);
        cuts.extend(places.map(|after| Cut { side, after, how }));
    }
    eprintln!("{} cuts: {marks:?}, {whole:?}", cuts.len());
    let cuts = &Mutex::new(cuts);
    std::thread::scope(|threads| {
        for _ in 0..workers {
            threads.spawn(|| {
                let server = start(&sweep);
                loop {
                    let Some(cut) = cuts.lock().unwrap().pop_front() else {
                        return;
                    };
                    let told = Told(cut, cuts);
                    examine(&sweep, &server, cut, &marks[cut.side as usize]);
                    drop(told);
                }
            });
        }
    });
    until_no_threads("smtp", sweep.host);
}

fn clear(host: &'static str, how: How, workers: usize) {
    bounded(move || {
        for chunking in [false, true] {
            let secured = Secured::None;
            run(
                Sweep {
                    host,
                    secured,
                    chunking,
                    how,
                    every: 1,
                },
                workers,
            );
        }
    });
}

#[test]
fn a_session_ends_after_each_byte_of_either_side() {
    clear("0x7f.0.1", How::End, 8);
}

#[test]
fn a_session_is_reset_after_each_byte_of_either_side() {
    clear("0x7F.0.1", How::Reset, 8);
}

#[test]
fn a_session_stalls_after_each_byte_of_either_side() {
    clear("0X7f.0.1", How::Stall, 48);
}

/// Without close_notify, and within the handshake.
#[test]
fn a_session_under_tls_ends_at_places_of_its_records_and_handshake() {
    let name = "smtp::sweep::a_session_under_tls_ends_at_places_of_its_records_and_handshake";
    without_the_systems_certificates(name, || {
        for (secured, how, every) in [
            (Secured::Tls, How::End, 11),
            (Secured::StartTls, How::End, 13),
            (Secured::StartTls, How::Reset, 17),
            (Secured::Tls, How::Stall, 61),
        ] {
            run(
                Sweep {
                    host: "0X7F.0.1",
                    secured,
                    chunking: every % 2 == 0,
                    how,
                    every,
                },
                if how == How::Stall { 32 } else { 8 },
            );
        }
    });
}
