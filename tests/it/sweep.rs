//! The fault sweep: a session is cut after every byte that the server sends, and whatever its
//! calls then say is held against what the server did.
//!
//! ```text
//!  server's bytes   greeting … login │ SELECT │ UID SEARCH │ … │ UID COPY │ LOGOUT │
//!  cuts              ^^^^^^^^^^^^^^^^ ^^^^^^^^ ^^^^^^^^^^^^     ^^^^^^^^^^ ^^^^^^^^
//! ```
//! Only the first connection of a client is cut. Each cut is made twice: by a client that never
//! opens a connection anew by itself, and by one that does so at once. A step of the session is
//! one entry of [`STEPS`]; the cuts follow by themselves.
//!
//! Two things are checked: what each call may say where it was cut ([`Case::allowed`]), and that
//! it is true ([`check_certainty`], at once and when the server's threads have ended).

mod cases;
mod steps;

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};

use mailpool::{
    Backoff, Certainty, Credentials, Error, ErrorKind, ImapClient, ImapClientBuilder, Security,
};
use mailpool_test_server::{
    Action, CommandRecord, Layer, Security as Secured, Server, Stage, Store as Mail,
};

use self::cases::{Case, Mode, Sweep, name_of};
use self::steps::{STEPS, Step, add_user};
use crate::shutdown::until_no_threads;
use crate::support::{USER, never};
use crate::threads::{LONG, bounded};

/// How long the call may take that runs into a stall.
const PATIENCE: Duration = Duration::from_millis(250);

/// After how much silence a connection counts as broken, when nobody waits for it any more.
const STALL: Duration = Duration::from_millis(40);

/// By how much a call may miss its deadline on a machine with much else to do.
pub(crate) const SLACK: Duration = Duration::from_secs(15);

/// What came of a session.
struct Played {
    results: Vec<Result<(), Error>>,
    /// Bytes that the client had received after the login and after each step.
    marks: Vec<u64>,
    commands: Vec<CommandRecord>,
}

fn builder(server: &Server, case: &Case<'_>, user: &str) -> ImapClientBuilder {
    let builder = ImapClient::builder(case.sweep.host)
        .port(server.port())
        .credentials(Credentials::password(user, USER.1))
        .timeout(LONG)
        .stall_timeout(STALL)
        .max_connections_per_server(1)
        .reconnect(match case.mode {
            Mode::Never => never(),
            Mode::Quick => Backoff::new()
                .first_delay(Duration::from_millis(1))
                .max_delay(Duration::from_millis(5)),
        });
    match case.sweep.secured {
        Secured::Tls => builder
            .security(Security::Tls)
            .server_name("localhost")
            .only_own_ca()
            .ca_pem(server.ca_pem()),
        _ => builder.security(Security::None).allow_cleartext_password(),
    }
}

/// Plays the session once. What each call says must be true when it says it.
#[expect(clippy::disallowed_methods, reason = "deadlines are looked at")]
fn play(server: &Server, mail: &Mail, case: &Case<'_>, user: &str) -> Played {
    let mut played = Played {
        results: Vec::new(),
        marks: Vec::new(),
        commands: Vec::new(),
    };
    let began = Instant::now();
    let patience = case.patience(0);
    let connected = builder(server, case, user).connect_deadline(began + patience);
    case.check_time(began, patience, "login");
    let (may_fail, may_succeed) = case.allowed_login();
    let client = match connected {
        Ok(client) => client,
        Err(error) => {
            assert!(may_fail, "{case}: {error:?}");
            assert_eq!(error.certainty(), Certainty::NotSent, "{case}: {error:?}");
            case.check_kind(&error, 0);
            return played;
        }
    };
    assert!(may_succeed, "{case}: half a login was believed");
    played.marks.push(client.stats().bytes_received);
    for (call, step) in (1..).zip(&STEPS) {
        let began = Instant::now();
        let patience = case.patience(call);
        let result = (step.run)(&client.with_timeout(patience));
        case.check_time(began, patience, step.name);
        played.marks.push(client.stats().bytes_received);
        let count = commands_of(step, &server.commands());
        let done = step.done.map(|done| done(mail, user));
        check_certainty(case, step, &result, count, done);
        let allowed = case.allowed(call, step);
        let is_allowed = match &result {
            Ok(()) => allowed.ok,
            Err(error) => {
                case.check_kind(error, call);
                match error.certainty() {
                    Certainty::MaybeExecuted => allowed.maybe || case.runs_into_stall(call),
                    Certainty::NotSent => allowed.not_sent || case.runs_into_stall(call),
                    _ => false,
                }
            }
        };
        assert!(is_allowed, "{case}: {} says {result:?}", step.name);
        played.results.push(result);
    }
    let began = Instant::now();
    // The answers that a stalled server owes are waited for.
    let late = case.place.is_none_or(|(place, _)| place + 1 > STEPS.len());
    let patience = if case.stalls() && late {
        PATIENCE
    } else {
        LONG
    };
    let goodbye = client.shutdown(patience);
    case.check_time(began, patience, "logout");
    match goodbye.as_ref().map_err(Error::kind) {
        Ok(()) => {}
        Err(ErrorKind::ShutdownTimeout { .. }) if case.stalls() && late => {}
        Err(kind) => panic!("{case}: logout says {kind:?}"),
    }
    played
}

/// How many commands of a step the server has seen.
fn commands_of(step: &Step, log: &[CommandRecord]) -> usize {
    let (verb, mark) = step.command;
    let of_step = log.iter().filter(|one| {
        let line = one.line.as_deref().unwrap_or_default();
        one.verb == verb && line.contains(mark)
    });
    of_step.count()
}

/// What a call said, and what the server did.
fn check_certainty(
    case: &Case<'_>,
    step: &Step,
    result: &Result<(), Error>,
    commands: usize,
    done: Option<usize>,
) {
    let step = step.name;
    let certainty = result.as_ref().map_err(Error::certainty);
    match certainty {
        Ok(()) => {
            assert!(commands > 0, "{case}: {step} was never sent");
            assert!(done.is_none_or(|done| done == 1), "{case}: {step} not done");
        }
        Err(Certainty::NotSent) => {
            assert_eq!(commands, 0, "{case}: {step} was sent");
            assert!(done.is_none_or(|done| done == 0), "{case}: {step} done");
        }
        Err(Certainty::MaybeExecuted) => {
            assert!(done.is_none_or(|done| done <= 1), "{case}: {step} twice");
        }
        Err(other) => panic!("{case}: {step} says {other:?}"),
    }
}

/// A server of its own for each worker.
fn server_of(secured: Secured, mail: &Mail) -> Server {
    let capabilities = &["IMAP4rev1", "UIDPLUS"];
    Server::builder()
        .store(mail.clone())
        .security(secured)
        .capabilities(Stage::BeforeLogin, capabilities)
        .capabilities(Stage::Authenticated, capabilities)
        .record_lines()
        .start()
        .unwrap()
}

/// How many connections the server has accepted. None is left that it does not know of: the one
/// made for this was the last, and has been served.
fn accepted_all(server: &Server) -> u64 {
    let mut probe = TcpStream::connect(server.address()).unwrap();
    probe.set_read_timeout(Some(LONG)).unwrap();
    // Without TLS it is an answer, with TLS an error that ends the connection just as well.
    probe.write_all(b"a LOGOUT\r\n").unwrap();
    let end = probe.read_to_end(&mut Vec::new());
    let timed_out = end.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
    assert!(!timed_out, "the server does not answer");
    drop(probe);
    assert!(is_still(server));
    server.counters().accepted
}

/// Waits until every connection has ended, and so has the server's work on what came over it: a
/// session can be at a command, and record it, when its connection is gone.
fn is_still(server: &Server) -> bool {
    server.wait_until(LONG, |counters| {
        counters.open == 0 && counters.sessions == 0
    })
}

/// Makes one cut, and waits for the end of everything.
fn examine(server: &Server, mail: &Mail, case: &Case<'_>, user: &str) -> Played {
    add_user(mail, user);
    let before = accepted_all(server);
    server.clear_commands();
    let first = before as usize + 1;
    server
        .faults_for(first)
        .after_sent(case.bytes, case.sweep.layer, case.sweep.action.clone());
    let mut played = play(server, mail, case, user);
    assert!(is_still(server), "{case}: sockets are left open");
    let after = server.counters();
    assert!(after.peak_open <= 1, "{case}: two sockets at once");
    let accepted = after.accepted - before;
    let most = if case.mode == Mode::Never { 3 } else { 2 };
    assert!(accepted <= most, "{case}: {accepted} connections");
    server.faults_for(first).clear();
    played.commands = server.commands();
    let mut connections = played.commands.iter().map(|one| one.connection);
    assert!(
        connections.all(|connection| connection >= first),
        "{case}: commands of an earlier cut are counted: {:?}",
        played.commands
    );
    played
}

/// When nothing more can happen: everything happened as often as it should.
fn check_end(case: &Case<'_>, mail: &Mail, user: &str, played: &Played) {
    for (index, step) in STEPS.iter().enumerate() {
        let count = commands_of(step, &played.commands);
        let done = step.done.map(|done| done(mail, user));
        let Some(result) = played.results.get(index) else {
            assert_eq!((count, done.unwrap_or(0)), (0, 0), "{case}: {}", step.name);
            continue;
        };
        if step.command.0 == "SELECT" {
            // Other steps select, too.
            continue;
        }
        check_certainty(case, step, result, count, done);
        let most = if step.repeatable && case.mode == Mode::Quick {
            2
        } else {
            1
        };
        assert!(
            count <= most,
            "{case}: {} sent {count} times: {:?}, {:?}",
            step.name,
            played.results,
            played.commands
        );
    }
    // One cut breaks one call; the next one may meet the broken connection.
    let failed = played.results.iter().filter(|result| result.is_err());
    assert!(failed.count() <= 2, "{case}: {:?}", played.results);
}

/// How many bytes the server sends, and where each answer ends.
struct Measured {
    marks: Vec<u64>,
    whole: u64,
}

fn measure(sweep: &Sweep) -> Measured {
    let mail = Mail::default();
    let server = server_of(sweep.secured, &mail);
    let case = Case {
        sweep: &Sweep {
            action: Action::Close,
            ..sweep.clone()
        },
        mode: Mode::Never,
        bytes: u64::MAX,
        // Behind everything: each call is to succeed.
        place: Some((STEPS.len() + 3, false)),
    };
    add_user(&mail, "u00000");
    let marks = play(&server, &mail, &case, "u00000").marks;
    assert!(server.wait_until(LONG, |counters| counters.open == 0));
    Measured {
        marks,
        whole: server.counters().bytes_out,
    }
}

/// Cuts the session everywhere.
fn run(sweep: &Sweep, workers: usize) {
    let mut measured = measure(sweep);
    if sweep.layer == Layer::Plaintext && sweep.secured == Secured::Tls {
        // The server counts what is on the wire: the answer to LOGOUT is the same in clear.
        let clear = measure(&Sweep {
            secured: Secured::None,
            ..sweep.clone()
        });
        let goodbye = clear.whole - clear.marks.last().unwrap();
        measured.whole = measured.marks.last().unwrap() + goodbye;
    }
    let Measured { marks, whole } = &measured;
    assert_eq!(marks.len(), STEPS.len() + 1);
    let mut cases = VecDeque::new();
    let mut cuts = vec![0; marks.len() + 1];
    for bytes in (0..*whole).step_by(sweep.every) {
        let place = (sweep.layer == Layer::Plaintext).then(|| {
            let call = marks.partition_point(|mark| *mark <= bytes);
            cuts[call] += 1;
            let begin = call.checked_sub(1).map_or(0, |before| marks[before]);
            (call, bytes > begin)
        });
        cases.extend([Mode::Never, Mode::Quick].map(|mode| Case {
            sweep,
            mode,
            bytes,
            place,
        }));
    }
    assert_eq!(cases.len(), 2 * (*whole as usize).div_ceil(sweep.every));
    assert!((600..8_000).contains(whole), "{whole} bytes");
    if sweep.layer == Layer::Plaintext {
        assert_eq!((sweep.every, cuts.iter().sum::<u64>()), (1, *whole));
        for (call, cuts) in cuts.iter().enumerate() {
            assert!(*cuts >= 20, "only {cuts} in {}", name_of(call));
        }
    }
    eprintln!("{} cuts, {whole} bytes: {cuts:?}", cases.len());
    let cases = &Mutex::new(cases);
    let all_ready = &Barrier::new(workers);
    std::thread::scope(|threads| {
        for _ in 0..workers {
            threads.spawn(move || work(sweep, cases, all_ready));
        }
    });
    assert!(cases.lock().unwrap().is_empty());
    until_no_threads("imap", sweep.host);
}

/// Makes cuts until there are none left, or one has failed.
fn work(sweep: &Sweep, cases: &Mutex<VecDeque<Case<'_>>>, all_ready: &Barrier) {
    let mail = Mail::default();
    let server = server_of(sweep.secured, &mail);
    let mut played = Vec::new();
    // To start a server takes long.
    all_ready.wait();
    loop {
        let Some(case) = cases.lock().unwrap().pop_front() else {
            break;
        };
        let user = format!("u{:05}", played.len());
        let told = Told(&case, cases);
        let result = examine(&server, &mail, &case, &user);
        drop(told);
        played.push((case, user, result));
    }
    // Joins its threads: whatever was under way is done.
    drop(server);
    for (case, user, result) in played {
        check_end(&case, &mail, &user, &result);
    }
}

/// Names the cut under which something panics, and lets the others end soon.
struct Told<'a, 'b>(&'a Case<'b>, &'a Mutex<VecDeque<Case<'b>>>);

impl Drop for Told<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("under {}", self.0);
            self.1.lock().unwrap().clear();
        }
    }
}

fn sweep(host: &'static str, secured: Secured, layer: Layer, action: Action) -> Sweep {
    let every = match layer {
        Layer::Plaintext => 1,
        Layer::Wire => 7,
    };
    Sweep {
        host,
        secured,
        layer,
        action,
        every,
    }
}

#[test]
fn a_session_ends_after_each_byte() {
    bounded(|| {
        let sweep = sweep("0x7f.1", Secured::None, Layer::Plaintext, Action::Close);
        run(&sweep, 8);
    });
}

#[test]
fn a_session_is_reset_after_each_byte() {
    bounded(|| {
        let sweep = sweep("0x7F.1", Secured::None, Layer::Plaintext, Action::Reset);
        run(&sweep, 8);
    });
}

#[test]
fn a_session_stalls_after_each_byte() {
    bounded(|| {
        let sweep = sweep("0X7f.1", Secured::None, Layer::Plaintext, Action::Stall);
        run(&sweep, 64);
    });
}

/// Runs a test in a process of its own, where the system trusts nobody: to read all of its
/// certificates for each client would take most of the time.
pub(crate) fn without_the_systems_certificates(test: &str, body: impl FnOnce() + Send + 'static) {
    const INSIDE: &str = "MAILPOOL_SWEEP_INSIDE";
    if std::env::var_os(INSIDE).is_some() {
        return bounded(body);
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .env("SSL_CERT_FILE", "/dev/null")
        .env("SSL_CERT_DIR", "/nonexistent")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}");
    assert!(told.contains(" 1 passed"), "{told}");
}

#[test]
fn a_session_under_tls_ends_without_a_word_after_each_byte() {
    let name = "sweep::a_session_under_tls_ends_without_a_word_after_each_byte";
    without_the_systems_certificates(name, || {
        let action = Action::CloseWithoutNotify;
        let sweep = sweep("0X7F.1", Secured::Tls, Layer::Plaintext, action);
        run(&sweep, 8);
    });
}

#[test]
fn a_session_under_tls_ends_at_places_of_its_records_and_handshake() {
    let name = "sweep::a_session_under_tls_ends_at_places_of_its_records_and_handshake";
    without_the_systems_certificates(name, || {
        let action = Action::CloseWithoutNotify;
        let sweep = sweep("2130706433", Secured::Tls, Layer::Wire, action);
        run(&sweep, 8);
    });
}
