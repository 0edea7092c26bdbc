//! Whatever goes wrong, the server's list of deliveries agrees with what its clients were told.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mailpool_test_server::{Action, Point, Server};

use crate::client::{SECOND, socket};
use crate::smtp_client::smtp;

const WORKERS: usize = 4;
const MESSAGES: usize = 60;

/// What a client was told about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Accepted,
    Refused,
    /// The connection broke before the final dot.
    NotSent,
    /// The connection broke behind it, with or without a 421.
    Nothing,
}

struct Line(BufReader<TcpStream>);

impl Line {
    fn open(server: &Server) -> io::Result<Self> {
        let mut line = Self(BufReader::new(socket(server)));
        let greeting = line.reply()?;
        let hello = line.command("HELO c.example")?;
        if greeting == 220 && hello == 250 {
            Ok(line)
        } else {
            Err(io::ErrorKind::ConnectionRefused.into())
        }
    }

    fn reply(&mut self) -> io::Result<u16> {
        let mut reply = String::new();
        self.0.read_line(&mut reply)?;
        let code = reply.get(..3).and_then(|code| code.parse().ok());
        code.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn command(&mut self, line: &str) -> io::Result<u16> {
        self.0
            .get_mut()
            .write_all(format!("{line}\r\n").as_bytes())?;
        self.reply()
    }

    fn deliver(&mut self, id: &str) -> Told {
        let mut steps = || -> io::Result<bool> {
            Ok(self.command("MAIL FROM:<a@b.example>")? == 250
                && self.command(&format!("RCPT TO:<{id}@b.example>"))? == 250
                && self.command("DATA")? == 354)
        };
        match steps() {
            Ok(true) => {}
            Ok(false) => return Told::Refused,
            Err(_) => return Told::NotSent,
        }
        // Once the write was begun the dot may have left, whatever it says.
        match self.command(&format!("Message-ID: <{id}@b.example>\r\n.")) {
            Ok(250) => Told::Accepted,
            // It can come instead of the answer to a message that has been stored.
            Ok(421) => Told::Nothing,
            Ok(_) => Told::Refused,
            Err(_) => Told::Nothing,
        }
    }
}

fn deliver_all(server: &Server, worker: usize) -> BTreeMap<String, Told> {
    let mut line = None;
    (0..MESSAGES)
        .map(|number| {
            let id = format!("m{worker}-{number}");
            let told = match line.take().map_or_else(|| Line::open(server), Ok) {
                Ok(mut open) => {
                    let told = open.deliver(&id);
                    if told == Told::Accepted {
                        line = Some(open);
                    }
                    told
                }
                Err(_) => Told::NotSent,
            };
            (id, told)
        })
        .collect()
}

/// Numbers that look random.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn disturb(server: &Server, numbers: &mut Numbers) {
    let point = match numbers.below(9) {
        0 => Point::Received,
        1 | 7 | 8 => Point::Stored,
        2 => Point::Answered(".".to_owned()),
        3 => Point::Content(1 + numbers.below(20)),
        4 => Point::Verb("RCPT".to_owned()),
        5 => Point::Command(1 + numbers.below(20)),
        _ => Point::Answered("DATA".to_owned()),
    };
    let action = match numbers.below(4) {
        0 => Action::Reset,
        1 => Action::Close,
        2 => Action::Stall,
        _ => Action::Farewell(b"421 4.3.2 Going down\r\n".to_vec()),
    };
    match numbers.below(8) {
        0 => server.reset_all(),
        1 => server.bye_all("Going down"),
        2 => {
            server.faults().respond(".", "451 4.3.0 Later\r\n");
        }
        // What stalls goes on.
        3 => {
            server.faults().clear();
        }
        _ => {
            server.faults().at(point, action);
        }
    }
}

#[test]
fn the_list_of_deliveries_agrees_with_what_clients_were_told() {
    let server = smtp().start().unwrap();
    let running = AtomicUsize::new(WORKERS);
    let told: BTreeMap<String, Told> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                let (server, running) = (&server, &running);
                scope.spawn(move || {
                    let told = deliver_all(server, worker);
                    running.fetch_sub(1, Ordering::SeqCst);
                    told
                })
            })
            .collect();
        let mut numbers = Numbers(7);
        while running.load(Ordering::SeqCst) > 0 {
            disturb(&server, &mut numbers);
            // A disturbance for every few commands, or for a moment in which nothing goes on.
            let next = server.counters().total_commands() + numbers.below(20);
            let moment = Duration::from_millis(20);
            server.wait_until(moment, |counters| counters.total_commands() > next);
        }
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    });
    server.faults().clear();
    assert!(server.wait_until(SECOND, |counters| counters.sessions == 0));

    let mut copies: BTreeMap<String, (usize, bool)> = BTreeMap::new();
    for delivery in server.deliveries() {
        let address = &delivery.recipients[0].address;
        let id = address.trim_end_matches("@b.example").to_owned();
        let expected = format!("Message-ID: <{address}>\r\n");
        assert_eq!(delivery.bytes().unwrap(), expected.as_bytes());
        let entry = copies.entry(id).or_default();
        *entry = (entry.0 + 1, delivery.answered);
    }
    let mut seen = BTreeMap::new();
    for (id, told) in &told {
        let (count, answered) = copies.get(id).copied().unwrap_or_default();
        match told {
            Told::Accepted => assert_eq!((count, answered), (1, true), "{id}"),
            Told::NotSent | Told::Refused => assert_eq!(count, 0, "{id} {told:?}"),
            Told::Nothing => assert!(count <= 1, "{id}"),
        }
        *seen.entry((format!("{told:?}"), count)).or_insert(0) += 1;
    }
    assert_eq!(told.len(), WORKERS * MESSAGES);
    let outcomes: BTreeSet<&str> = seen.keys().map(|(told, _)| told.as_str()).collect();
    assert!(
        outcomes.contains("Accepted") && outcomes.contains("Nothing"),
        "{seen:?}"
    );
}
