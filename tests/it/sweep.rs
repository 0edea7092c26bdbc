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

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};

use mailpool::{
    Append, Backoff, Certainty, Credentials, Error, ErrorKind, Flag, ImapClient, ImapClientBuilder,
    Query, Security, Store,
};
use mailpool_test_server::{
    Action, CommandRecord, Layer, Message, Security as Secured, Server, Stage, Store as Mail,
};

use crate::scripted::body;
use crate::shutdown::until_no_threads;
use crate::support::{USER, message, never};
use crate::threads::{LONG, bounded, uid, uids};

/// How long the call may take that runs into a stall.
const PATIENCE: Duration = Duration::from_millis(250);

/// After how much silence a connection counts as broken, when nobody waits for it any more.
const STALL: Duration = Duration::from_millis(40);

/// By how much a call may miss its deadline on a machine with much else to do.
const SLACK: Duration = Duration::from_secs(15);

/// One call of the session.
struct Step {
    name: &'static str,
    /// The verb of its command, and what else tells it in the server's log.
    command: (&'static str, &'static str),
    /// Whether it is carried out again by itself after a broken connection.
    repeatable: bool,
    /// Makes the call. A wrong result panics.
    run: fn(&ImapClient) -> Result<(), Error>,
    /// How often it was carried out, as far as the mail of the user shows it.
    done: Option<fn(&Mail, &str) -> usize>,
}

const STEPS: [Step; 7] = [
    Step {
        name: "select",
        command: ("SELECT", ""),
        repeatable: true,
        run: |client| {
            let info = client.mailbox("INBOX").select()?;
            assert_eq!(info.exists, 2);
            Ok(())
        },
        done: None,
    },
    Step {
        name: "search",
        command: ("UID SEARCH", ""),
        repeatable: true,
        run: |client| {
            let found = client.mailbox("INBOX").search(Query::all())?;
            assert_eq!(found.len(), 2);
            assert!(found.contains(uid(1)) && found.contains(uid(2)));
            Ok(())
        },
        done: None,
    },
    Step {
        name: "fetch",
        command: ("UID FETCH", ""),
        repeatable: true,
        run: |client| {
            let mut count = 0;
            let items = body().flags().envelope();
            for fetched in client.mailbox("INBOX").fetch(uids(1, 2), items)? {
                let fetched = fetched?;
                assert_eq!(fetched.uid().get() as usize, count + 1);
                let is_draft = fetched.flags().unwrap().contains(&Flag::Draft);
                assert_eq!(is_draft, count == 0);
                let subject = fetched.envelope().unwrap().unwrap().subject.clone();
                assert_eq!(subject.unwrap(), *format!("message {count}"));
                let bytes = fetched.into_body().unwrap().into_bytes()?;
                assert_eq!(bytes, message(count));
                count += 1;
            }
            assert_eq!(count, 2, "messages were lost without a word");
            Ok(())
        },
        done: None,
    },
    Step {
        name: "append",
        command: ("APPEND", ""),
        repeatable: false,
        run: |client| {
            let appended = client.mailbox("INBOX").append(Append::new(message(2)))?;
            assert_eq!(appended.unwrap().uids.ranges(), [(uid(3), uid(3))]);
            Ok(())
        },
        done: Some(|mail, user| {
            let messages = mail.messages(user, "INBOX");
            let appended = messages.iter().filter(|one| one.bytes() == message(2));
            assert_eq!(messages.len(), 2 + appended.clone().count(), "half of it");
            appended.count()
        }),
    },
    Step {
        name: "add a flag",
        command: ("UID STORE", "+FLAGS"),
        repeatable: true,
        run: |client| {
            let store = Store::add(Flag::Flagged);
            let outcome = client.mailbox("INBOX").store([uid(2)], store)?;
            assert_eq!(outcome.updated.len(), 1);
            assert!(outcome.updated[0].flags.contains(&Flag::Flagged));
            Ok(())
        },
        done: Some(|mail, user| usize::from(flags(mail, user, 2) == ["\\Flagged"])),
    },
    Step {
        name: "replace flags",
        command: ("UID STORE", " FLAGS"),
        repeatable: false,
        run: |client| {
            let store = Store::replace(Flag::Answered);
            let outcome = client.mailbox("INBOX").store([uid(1)], store)?;
            assert_eq!(outcome.updated.len(), 1);
            assert!(outcome.updated[0].flags.contains(&Flag::Answered));
            Ok(())
        },
        done: Some(|mail, user| match flags(mail, user, 1) {
            replaced if replaced == ["\\Answered"] => 1,
            left => {
                assert_eq!(left, ["\\Draft"]);
                0
            }
        }),
    },
    Step {
        name: "copy",
        command: ("UID COPY", ""),
        repeatable: false,
        run: |client| {
            let copied = client.mailbox("INBOX").copy([uid(2)], "Archive")?.unwrap();
            assert!(copied.pairs().eq([(uid(2), uid(1))]));
            Ok(())
        },
        done: Some(|mail, user| mail.messages(user, "Archive").len()),
    },
];

fn flags(mail: &Mail, user: &str, uid: u32) -> Vec<String> {
    mail.message(user, "INBOX", uid).unwrap().flags
}

/// Adds a user with fresh mail. Nothing that the server says depends on the number.
fn add_user(mail: &Mail, user: &str) {
    mail.add_user(user, USER.1);
    mail.append(user, "INBOX", Message::new(message(0)).flag("\\Draft"));
    mail.append(user, "INBOX", Message::new(message(1)));
    mail.create_mailbox(user, "Archive");
    for (mailbox, validity) in [("INBOX", 7), ("Archive", 8)] {
        mail.set_uid_validity(user, mailbox, validity);
    }
}

/// Whether the client opens a lost connection anew by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Never,
    Quick,
}

/// How a session is cut.
#[derive(Clone, Debug)]
struct Sweep {
    /// A spelling of the server's address that no other test uses: the threads bear it.
    host: &'static str,
    secured: Secured,
    layer: Layer,
    action: Action,
    /// The distance between two cuts.
    every: usize,
}

/// One cut.
struct Case<'a> {
    sweep: &'a Sweep,
    mode: Mode,
    bytes: u64,
    /// The call whose answer is cut off, with the login as number 0, and whether some of the
    /// answer had come. Not known in the wire layer.
    place: Option<(usize, bool)>,
}

impl fmt::Display for Case<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sweep = self.sweep;
        write!(f, "{:?} after {} bytes ", sweep.action, self.bytes)?;
        write!(
            f,
            "({:?}, {:?}, {:?})",
            sweep.secured, sweep.layer, self.mode
        )?;
        match self.place {
            Some((call, begun)) => write!(f, " in {}, begun: {begun}", name_of(call)),
            None => Ok(()),
        }
    }
}

/// The name of a call, with the login as number 0.
fn name_of(call: usize) -> &'static str {
    match call.checked_sub(1) {
        None => "login",
        Some(step) => STEPS.get(step).map_or("logout", |step| step.name),
    }
}

/// What a call may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Allowed {
    ok: bool,
    maybe: bool,
    not_sent: bool,
}

impl Allowed {
    const OK: Self = Self {
        ok: true,
        maybe: false,
        not_sent: false,
    };
    const MAYBE: Self = Self {
        ok: false,
        maybe: true,
        not_sent: false,
    };
}

impl Case<'_> {
    fn stalls(&self) -> bool {
        self.sweep.action == Action::Stall
    }

    /// Whether a call runs into the stall.
    fn runs_into_stall(&self, call: usize) -> bool {
        self.stalls() && self.place.is_none_or(|(place, _)| place == call)
    }

    fn patience(&self, call: usize) -> Duration {
        if self.runs_into_stall(call) {
            PATIENCE
        } else {
            LONG
        }
    }

    /// What a call may say that cannot know whether its connection has broken already.
    fn unsure(&self, step: &Step) -> Allowed {
        Allowed {
            ok: true,
            maybe: self.mode == Mode::Never || !step.repeatable,
            // What is queued survives where there is another connection.
            not_sent: self.mode == Mode::Never,
        }
    }

    fn allowed(&self, call: usize, step: &Step) -> Allowed {
        let Some((place, begun)) = self.place else {
            return self.unsure(step);
        };
        let is_reset = self.sweep.action == Action::Reset;
        if call == place && self.stalls() {
            Allowed {
                not_sent: !begun,
                ..Allowed::MAYBE
            }
        } else if call == place && begun {
            if self.mode == Mode::Quick && step.repeatable {
                Allowed::OK
            } else {
                Allowed::MAYBE
            }
        } else if call == place || (call == place + 1 && self.stalls()) {
            self.unsure(step)
        } else if call + 1 == place && !begun && is_reset {
            // RST drops what the client has not read yet.
            Allowed {
                not_sent: false,
                ..self.unsure(step)
            }
        } else {
            Allowed::OK
        }
    }

    /// Whether the login may fail, and whether it may succeed.
    fn allowed_login(&self) -> (bool, bool) {
        match self.place {
            None => (true, true),
            Some((0, _)) => (true, false),
            Some((1, false)) if self.sweep.action == Action::Reset => (true, true),
            Some(_) => (false, true),
        }
    }

    /// The error says what happened.
    fn check_kind(&self, error: &Error, call: usize) {
        let is_login = call == 0;
        let stalled = matches!(
            error.kind(),
            ErrorKind::Timeout { .. } | ErrorKind::Unreachable { .. } | ErrorKind::Stalled
        );
        let broken = match error.kind() {
            ErrorKind::Closed | ErrorKind::Io { .. } => true,
            // RST came before the client had looked.
            ErrorKind::Connect { .. } => self.sweep.action == Action::Reset && is_login,
            ErrorKind::Tls { .. } => self.sweep.layer == Layer::Wire,
            _ => false,
        };
        let explained = if self.stalls() { stalled } else { broken };
        assert!(explained, "{self}: {error:?}");
    }

    /// A call ended within its deadline.
    fn check_time(&self, began: Instant, patience: Duration, what: &str) {
        let took = began.elapsed();
        let most = patience.min(SLACK) + SLACK;
        assert!(took < most, "{self}: {what} took {took:?}");
    }
}

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
    assert!(server.wait_until(LONG, |counters| counters.open == 0));
    server.counters().accepted
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
    assert!(
        server.wait_until(LONG, |counters| counters.open == 0),
        "{case}: sockets are left open"
    );
    let after = server.counters();
    assert!(after.peak_open <= 1, "{case}: two sockets at once");
    let accepted = after.accepted - before;
    let most = if case.mode == Mode::Never { 3 } else { 2 };
    assert!(accepted <= most, "{case}: {accepted} connections");
    server.faults_for(first).clear();
    played.commands = server.commands();
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
        assert!(count <= most, "{case}: {} sent {count} times", step.name);
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
    until_no_threads(sweep.host);
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
fn without_the_systems_certificates(test: &str, body: impl FnOnce() + Send + 'static) {
    const INSIDE: &str = "MAILPOOL_SWEEP_INSIDE";
    if std::env::var_os(INSIDE).is_some() {
        return bounded(body);
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args([&format!("sweep::{test}"), "--exact", "--nocapture"])
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
    let name = "a_session_under_tls_ends_without_a_word_after_each_byte";
    without_the_systems_certificates(name, || {
        let action = Action::CloseWithoutNotify;
        let sweep = sweep("0X7F.1", Secured::Tls, Layer::Plaintext, action);
        run(&sweep, 8);
    });
}

#[test]
fn a_session_under_tls_ends_at_places_of_its_records_and_handshake() {
    let name = "a_session_under_tls_ends_at_places_of_its_records_and_handshake";
    without_the_systems_certificates(name, || {
        let action = Action::CloseWithoutNotify;
        let sweep = sweep("2130706433", Secured::Tls, Layer::Wire, action);
        run(&sweep, 8);
    });
}
