//! The ledger: thousands of messages while the server is killed, stalled and reset at random.
//! What the calls said is held against what the server has.
//!
//! | reported | copies |
//! |---|---|
//! | accepted | exactly one |
//! | not sent, refused | none |
//! | unknown | none or one, and the server had been asked for the message on some connection |
//!
//! The seed is told when a test fails; `MAILPOOL_LEDGER_SEED` sets it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, Read};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fastrand::Rng;
use mailpool::{
    CancelToken, Certainty, Error, ErrorKind, OutgoingMessage, RecipientOutcome, RecipientReport,
    SendReport, SmtpClient, SmtpClientBuilder, SmtpEnvelope,
};
use mailpool_test_server::{Action, Layer, Point, Protocol, Server, Store};

use crate::shutdown::until_no_threads;
use crate::support::quick;
use crate::threads::{LONG, bounded};

const THREADS: usize = 8;

/// Messages that a thread sends before it gives its connection back, and that one call of
/// `send_all` gets.
const TURN: usize = 50;

const REFUSED: &str = "@refused.example";

/// What was said about one recipient of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Told {
    Accepted,
    Refused,
    NotSent,
    /// `true`: a deadline or a token ended the wait, not the connection.
    Unknown(bool),
}

/// How a run is set up.
#[derive(Clone, Copy)]
struct Plan {
    protocol: Protocol,
    messages: usize,
    /// A spelling of the server's address that no other test uses: the threads bear it.
    host: &'static str,
    /// What may happen to the server.
    disturb: fn(&Server, &mut Rng, bool),
    /// Whether the whole server may be replaced.
    kills: bool,
}

struct Run {
    plan: Plan,
    seed: u64,
    told: Mutex<HashMap<String, Told>>,
    running: AtomicUsize,
}

/// The recipients of a message: three with LMTP, one of whom is refused; mostly one with SMTP.
fn recipients(plan: Plan, number: usize) -> Vec<String> {
    let mut all = vec![format!("m{number}@example.net")];
    if plan.protocol == Protocol::Lmtp {
        all.push(format!("m{number}b@example.net"));
    }
    if plan.protocol == Protocol::Lmtp || number % 50 == 7 {
        all.push(format!("m{number}{REFUSED}"));
    }
    all
}

/// Some are longer than what a socket takes at once.
fn text(number: usize) -> Vec<u8> {
    let mut text = format!("Message-ID: <m{number}@example.net>\r\n\r\n.\r\n").into_bytes();
    let lines = if number % 400 == 0 {
        20_000
    } else {
        number % 8
    };
    for line in 0..lines {
        text.extend_from_slice(format!("..line {line} of {number}\r\n").as_bytes());
    }
    text
}

/// Gives what it has in small pieces, and fails now and then.
struct Slowly {
    text: Vec<u8>,
    at: usize,
    step: usize,
    fails_at: usize,
}

impl Read for Slowly {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.fails_at {
            return Err(io::Error::other("the disk is gone"));
        }
        let left = &self.text[self.at..];
        let count = left.len().min(into.len()).min(self.step);
        into[..count].copy_from_slice(&left[..count]);
        self.at += count;
        Ok(count)
    }
}

impl Run {
    fn builder(&self, port: u16, chunking: bool) -> SmtpClientBuilder {
        let builder = SmtpClient::builder(self.plan.host)
            .port(port)
            .security(mailpool::Security::None)
            .timeout(LONG)
            .stall_timeout(Duration::from_millis(50))
            .max_connections_per_server(5)
            .max_messages_per_connection(200)
            .reconnect(quick())
            .chunking(chunking);
        match self.plan.protocol {
            Protocol::Lmtp => builder.lmtp(),
            _ => builder,
        }
    }

    fn envelope(&self, number: usize) -> SmtpEnvelope {
        let recipients = recipients(self.plan, number);
        SmtpEnvelope::new("ledger@example.org", recipients).unwrap()
    }

    fn enter(&self, number: usize, result: Result<SendReport, Error>) {
        let all = recipients(self.plan, number);
        let outcomes: Vec<Told> = match result {
            Ok(report) => self.of_report(&all, &report.recipients),
            Err(error) => match error.kind() {
                ErrorKind::NobodyAccepted { recipients } => self.of_report(&all, recipients),
                _ => vec![told_by(&error); all.len()],
            },
        };
        let mut told = self.told.lock().unwrap();
        for (address, outcome) in all.into_iter().zip(outcomes) {
            let before = told.insert(address, outcome);
            assert_eq!(before, None, "message {number} was sent twice");
        }
    }

    fn of_report(&self, all: &[String], reports: &[RecipientReport]) -> Vec<Told> {
        let named: Vec<&str> = reports.iter().map(|one| one.address.as_str()).collect();
        assert_eq!(named, all, "each recipient once and in order");
        let outcome = |one: &RecipientReport| match &one.outcome {
            RecipientOutcome::Accepted(_) => Told::Accepted,
            RecipientOutcome::Refused(_) => Told::Refused,
            _ => Told::Unknown(false),
        };
        reports.iter().map(outcome).collect()
    }

    fn send(&self, client: &SmtpClient, number: usize, rng: &mut Rng, reads: bool) {
        let envelope = self.envelope(number);
        let token = CancelToken::new();
        let client = match rng.u32(..) % 40 {
            0 => &client.with_timeout(Duration::from_millis(rng.u64(..20))),
            1 => {
                token.cancel();
                &client.with_cancel(&token)
            }
            _ => client,
        };
        let text = text(number);
        let result = if reads {
            let mut reader = Slowly {
                at: 0,
                step: rng.usize(1..100_000),
                fails_at: match rng.u32(..) % 20 {
                    0 => rng.usize(..text.len()),
                    _ => usize::MAX,
                },
                text,
            };
            client.send(&envelope, OutgoingMessage::reader(&mut reader))
        } else {
            client.send(&envelope, text)
        };
        self.enter(number, result);
    }

    /// The messages of one thread.
    fn work(&self, client: &SmtpClient, thread: usize) {
        let mut rng = Rng::with_seed(self.seed ^ (thread as u64 + 1));
        let mut numbers = (thread..self.plan.messages).step_by(THREADS).peekable();
        while numbers.peek().is_some() {
            let turn: Vec<usize> = numbers.by_ref().take(TURN).collect();
            match thread / 2 {
                // Over the main connection.
                0 => {
                    for number in turn {
                        self.send(client, number, &mut rng, thread == 0 && number % 3 == 0);
                    }
                }
                // In bulk, as long as something is left that was not attempted.
                1 => self.send_all(client, &turn),
                // With a connection of its own; from readers.
                kind => {
                    let scope = client.create_connection();
                    if let Err(error) = &scope {
                        assert!(error.is_connection() || error.is_timeout(), "{error:?}");
                    }
                    for number in turn {
                        self.send(client, number, &mut rng, kind == 3);
                    }
                }
            }
        }
        self.running.fetch_sub(1, Ordering::SeqCst);
    }

    fn send_all(&self, client: &SmtpClient, numbers: &[usize]) {
        let messages = numbers
            .iter()
            .map(|number| (self.envelope(*number), text(*number)));
        let outcome = client.send_all(messages).unwrap();
        assert!(outcome.not_attempted.is_empty(), "{outcome:?}");
        for (place, report) in outcome.succeeded {
            self.enter(numbers[place], Ok(report));
        }
        for (place, error) in outcome.failed {
            self.enter(numbers[place], Err(error));
        }
    }

    fn start_server(&self, store: &Store, port: u16) -> Server {
        let server = Server::builder()
            .protocol(self.plan.protocol)
            .store(store.clone())
            .port(port)
            .record_lines()
            .start()
            .expect("the embedded server starts");
        self.refuse(&server);
        server
    }

    fn refuse(&self, server: &Server) {
        let faults = server.faults();
        match self.plan.protocol {
            Protocol::Lmtp => faults.refuse_delivery(REFUSED, "550 5.7.1 Not for him"),
            _ => faults.refuse_recipient(REFUSED, "550 5.7.1 Not for him"),
        };
    }

    /// Disturbs the server until all is sent. Returns the addresses of the recipients who were
    /// named in a transaction whose message was asked for or announced.
    fn disturb(&self, store: &Store, mut server: Server) -> BTreeSet<String> {
        let mut rng = Rng::with_seed(self.seed);
        let mut asked = BTreeSet::new();
        let port = server.port();
        let lmtp = self.plan.protocol == Protocol::Lmtp;
        while self.running.load(Ordering::SeqCst) > 0 {
            match rng.u32(..) % 100 {
                0 if self.plan.kills => {
                    server.refuse_connections(true).unwrap();
                    server.reset_all();
                    assert!(server.wait_until(LONG, |counters| counters.sessions == 0));
                    note_asked(&server, &mut asked);
                    drop(server);
                    server = self.start_server(store, port);
                }
                1..6 if self.plan.kills => {
                    server.refuse_connections(true).unwrap();
                    match rng.bool() {
                        true => server.reset_all(),
                        false => server.close_all(),
                    }
                    server.refuse_connections(false).unwrap();
                }
                6..30 => {
                    server.faults().clear();
                    self.refuse(&server);
                }
                _ => (self.plan.disturb)(&server, &mut rng, lmtp),
            }
            // A disturbance for some commands, or for a moment in which nothing goes on.
            let next = server.counters().total_commands() + rng.u64(..300);
            let moment = Duration::from_millis(10);
            server.wait_until(moment, |counters| counters.total_commands() > next);
        }
        server.faults().clear();
        let over = server.wait_until(LONG, |now| now.sessions == 0 && now.open == 0);
        assert!(over, "connections are left open");
        note_asked(&server, &mut asked);
        asked
    }

    fn check(&self, store: &Store, asked: &BTreeSet<String>) -> BTreeMap<(Told, usize), usize> {
        let mut copies: HashMap<String, usize> = HashMap::new();
        for delivery in store.deliveries() {
            let number = number_of(&delivery.recipients[0].address);
            let (bytes, whole) = (delivery.bytes().unwrap(), text(number));
            assert!(
                bytes == whole,
                "message {number}: {} bytes of {}, {} chunks",
                bytes.len(),
                whole.len(),
                delivery.chunks
            );
            for recipient in &delivery.recipients {
                *copies.entry(recipient.address.clone()).or_default() += 1;
            }
        }
        let told = self.told.lock().unwrap();
        let mut seen = BTreeMap::new();
        for (address, told) in told.iter() {
            let count = copies.get(address).copied().unwrap_or(0);
            let is_right = match told {
                Told::Accepted => count == 1,
                Told::Refused | Told::NotSent => count == 0,
                // An error is one of the whole message, also for whom an earlier try had refused.
                Told::Unknown(_) => {
                    let first = format!("m{}@example.net", number_of(address));
                    count <= 1 && (asked.contains(address) || asked.contains(&first))
                }
            };
            assert!(is_right, "{address}: {told:?}, {count} copies");
            *seen.entry((*told, count)).or_default() += 1;
        }
        let expected: usize = (0..self.plan.messages)
            .map(|number| recipients(self.plan, number).len())
            .sum();
        assert_eq!(told.len(), expected);
        seen
    }
}

/// Which message a recipient is for.
fn number_of(address: &str) -> usize {
    let digits = address.trim_start_matches('m');
    let end = digits.find(|one: char| !one.is_ascii_digit()).unwrap();
    digits[..end].parse().unwrap()
}

fn told_by(error: &Error) -> Told {
    match error.certainty() {
        Certainty::NotSent => Told::NotSent,
        Certainty::Rejected => Told::Refused,
        _ => Told::Unknown(error.is_timeout() || error.is_cancelled()),
    }
}

/// Whose message the server has asked for: with BDAT by accepting him, else by its answer to DATA.
fn note_asked(server: &Server, asked: &mut BTreeSet<String>) {
    let mut named: HashMap<usize, Vec<String>> = HashMap::new();
    for command in server.commands() {
        let named = named.entry(command.connection).or_default();
        match command.verb.as_str() {
            "MAIL" => named.clear(),
            "RCPT" => {
                let line = command.line.unwrap_or_default();
                let address = line.split(['<', '>']).nth(1).unwrap_or_default();
                named.push(address.to_owned());
                if number_of(address) % 2 == 0 {
                    asked.extend(named.drain(..));
                }
            }
            "DATA" => asked.extend(named.drain(..)),
            _ => {}
        }
    }
}

fn run(plan: Plan) {
    let seed = std::env::var("MAILPOOL_LEDGER_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| fastrand::u64(..));
    eprintln!("MAILPOOL_LEDGER_SEED={seed}");
    let run = Run {
        plan,
        seed,
        told: Mutex::default(),
        running: AtomicUsize::new(THREADS),
    };
    let store = Store::default();
    let server = run.start_server(&store, 0);
    let clients = [true, false].map(|chunking| {
        let client = run.builder(server.port(), chunking).connect();
        client.expect("the client connects")
    });
    let asked = std::thread::scope(|threads| {
        for thread in 0..THREADS {
            let (run, client) = (&run, clients[thread % 2].clone());
            threads.spawn(move || run.work(&client, thread));
        }
        // Their main connections end with them, the server's sessions with those.
        drop(clients);
        run.disturb(&store, server)
    });
    until_no_threads(
        match plan.protocol {
            Protocol::Lmtp => "lmtp",
            _ => "smtp",
        },
        plan.host,
    );
    let seen = run.check(&store, &asked);
    eprintln!("{seen:?}");
    let count = |wanted: fn(&Told) -> bool| -> usize {
        let seen = seen.iter().filter(|((told, _), _)| wanted(told));
        seen.map(|(_, count)| count).sum()
    };
    assert!(count(|told| *told == Told::Accepted) > plan.messages / 2);
    assert!(count(|told| *told == Told::NotSent) > 0);
    let unknown = count(|told| *told == Told::Unknown(false));
    assert_eq!(unknown > 0, plan.kills, "{unknown} unknown");
}

/// Everything that a server can do to a session but to lie.
fn anything(server: &Server, rng: &mut Rng, lmtp: bool) {
    let action = match rng.u32(..) % 5 {
        0 => Action::Reset,
        1 => Action::Close,
        2 => Action::CloseWithoutNotify,
        3 => Action::Stall,
        _ => Action::Farewell(b"421 4.3.2 Going down\r\n".to_vec()),
    };
    let is_farewell = matches!(action, Action::Farewell(_));
    let point = match rng.u32(..) % 10 {
        0 => Point::Received,
        // A 421 for what has been stored would be a lie.
        1..3 if !is_farewell => Point::Stored,
        3 => Point::Answered(".".to_owned()),
        4 => Point::Content(rng.u64(1..200_000)),
        5 => Point::Verb("RCPT".to_owned()),
        6 => Point::Command(rng.u64(1..60)),
        7 => Point::Answered("DATA".to_owned()),
        8 => Point::Verb("BDAT".to_owned()),
        _ => Point::Verb("MAIL".to_owned()),
    };
    let faults = server.faults();
    let verbs = if lmtp { 3 } else { 5 };
    match rng.u32(..) % 12 {
        0 => server.reset_all(),
        1 => server.bye_all("Going down"),
        2 => server.close_all(),
        3 => {
            // With LMTP there is no one answer to a last chunk.
            let verb = ["MAIL", "RCPT", "DATA", "BDAT", "RSET"][rng.usize(..verbs)];
            faults.respond(verb, "451 4.3.0 Later\r\n");
        }
        // Also between the replies of LMTP.
        4 if !is_farewell => {
            faults.after_sent(rng.u64(..3_000), Layer::Plaintext, action);
        }
        _ => {
            faults.at_nth(rng.u64(1..20), point, action);
        }
    }
}

/// What happens before the end of any message.
fn before_the_end(server: &Server, rng: &mut Rng, _: bool) {
    let action = match rng.u32(..) % 3 {
        0 => Action::Close,
        1 => Action::Stall,
        _ => Action::Farewell(b"421 4.3.2 Going down\r\n".to_vec()),
    };
    let verb = ["MAIL", "RCPT", "DATA"][rng.usize(..3)].to_owned();
    let faults = server.faults();
    match rng.u32(..) % 8 {
        0 => {
            faults.respond(&verb, "451 4.3.0 Later\r\n");
        }
        1 => {
            faults.at_nth(rng.u64(1..20), Point::Answered("MAIL".to_owned()), action);
        }
        _ => {
            faults.at_nth(rng.u64(1..20), Point::Verb(verb), action);
        }
    }
}

#[test]
fn twenty_thousand_messages_are_accounted_for() {
    bounded(|| {
        run(Plan {
            protocol: Protocol::Smtp,
            messages: 20_000,
            host: "2130706433",
            disturb: anything,
            kills: true,
        });
    });
}

#[test]
fn each_recipient_is_accounted_for_with_lmtp() {
    bounded(|| {
        run(Plan {
            protocol: Protocol::Lmtp,
            messages: 4_000,
            host: "0x7F.1",
            disturb: anything,
            kills: true,
        });
    });
}

#[test]
fn nothing_is_unknown_where_no_message_came_to_its_end() {
    bounded(|| {
        run(Plan {
            protocol: Protocol::Smtp,
            messages: 4_000,
            host: "0177.0.1",
            disturb: before_the_end,
            kills: false,
        });
    });
}
