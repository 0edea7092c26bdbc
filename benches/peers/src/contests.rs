//! Ours against the peers: each job by all of them in turn, in several rounds.

use std::path::Path;

use mailpool_test_postfix::SmtpSink;

use crate::fixture::{DELAY, Fixture};
use crate::job::{Client, Job, Order, Outcome, Result, Target, median};
use crate::peers::{self, maildir};
use crate::proxy;

/// One line of the table.
pub(crate) struct Row {
    pub(crate) job: String,
    pub(crate) against: String,
    /// Medians in seconds; the peer's is missing if it could not be had.
    pub(crate) ours: f64,
    pub(crate) theirs: Option<f64>,
    /// The smallest and the largest ratio of one round.
    pub(crate) spread: (f64, f64),
    pub(crate) at_least: f64,
}

impl Row {
    pub(crate) fn ratio(&self) -> Option<f64> {
        self.theirs.map(|theirs| theirs / self.ours)
    }
}

type Measure<'a> = Box<dyn Fn() -> Result<Outcome> + 'a>;

/// A job, who does it, and how much faster the first of them is to be than each other.
struct Contest<'a> {
    job: String,
    ours: Measure<'a>,
    others: Vec<(String, f64, Option<Measure<'a>>)>,
}

impl Contest<'_> {
    fn hold(self, rounds: usize) -> Result<Vec<Row>> {
        let mut ours = Vec::new();
        let mut theirs = vec![Vec::new(); self.others.len()];
        for round in 0..rounds {
            eprintln!("{}: round {} of {rounds}", self.job, round + 1);
            // Who is first changes, so that nobody always comes after the same one.
            let count = self.others.len() + 1;
            for place in 0..count {
                match (place + round) % count {
                    0 => ours.push((self.ours)()?.seconds),
                    other => {
                        if let (_, _, Some(measure)) = &self.others[other - 1] {
                            theirs[other - 1].push(measure()?.seconds);
                        }
                    }
                }
            }
        }
        let row = |((against, at_least, measure), theirs): ((String, f64, Option<_>), Vec<f64>)| {
            let ratios = || theirs.iter().zip(&ours).map(|(theirs, ours)| theirs / ours);
            Row {
                job: self.job.clone(),
                against,
                ours: median(ours.clone()),
                spread: (
                    ratios().fold(f64::INFINITY, f64::min),
                    ratios().fold(0.0, f64::max),
                ),
                theirs: measure.is_some().then(|| median(theirs)),
                at_least,
            }
        };
        Ok(self.others.into_iter().zip(theirs).map(row).collect())
    }
}

/// Holds all contests whose names contain `only`.
pub(crate) fn all(
    fixture: &Fixture,
    bulk_fetch: &Path,
    rounds: usize,
    quick: bool,
    only: &str,
) -> Result<Vec<Row>> {
    let (plain, tls) = (fixture.plain(), fixture.tls());
    let far = fixture.far(&plain)?;
    let (commands, far_commands) = if quick { (200, 5) } else { (2_000, 20) };
    let version = maildir::mbsync_version();
    let mbsync = |at_least| {
        let name = match &version {
            Some(version) => format!("mbsync {version}"),
            None => "mbsync: not to be had here".to_owned(),
        };
        let measure = version
            .is_some()
            .then(|| Box::new(|| maildir::mbsync(&plain)) as Measure<'_>);
        (name, at_least, measure)
    };
    let contests = [
        Contest {
            job: "fetch all into memory, one connection".to_owned(),
            ours: by(Client::Ours, Job::FetchAll, &plain),
            others: vec![
                async_imap(1.0, Job::FetchAll, &plain),
                rust_imap("rust-imap", 4.0, Job::FetchAll, &plain),
            ],
        },
        Contest {
            job: "fetch all into memory, one connection, TLS".to_owned(),
            ours: by(Client::Ours, Job::FetchAll, &tls),
            others: vec![
                async_imap(1.0, Job::FetchAll, &tls),
                rust_imap("rust-imap", 3.0, Job::FetchAll, &tls),
            ],
        },
        Contest {
            job: "`bulk_fetch` to Maildir, 4 connections".to_owned(),
            ours: Box::new(|| maildir::bulk_fetch(bulk_fetch, &plain, 4)),
            others: vec![mbsync(1.3)],
        },
        Contest {
            job: "`bulk_fetch` to Maildir, 1 connection".to_owned(),
            ours: Box::new(|| maildir::bulk_fetch(bulk_fetch, &plain, 1)),
            others: vec![mbsync(1.0)],
        },
        Contest {
            job: "all in pieces of 100, one connection, 10 ms each way".to_owned(),
            ours: by(Client::Ours, Job::Chunks { chunk: 100 }, &far),
            others: vec![async_imap(2.5, Job::Chunks { chunk: 100 }, &far)],
        },
        flags(
            "`UID FETCH n FLAGS`, 16 threads, one connection",
            commands,
            3.5,
            &plain,
        ),
        flags(
            "`UID FETCH n FLAGS`, 16 threads, 10 ms each way",
            far_commands,
            12.0,
            &far,
        ),
    ];
    let sink = Sink::new()?;
    let mut rows = Vec::new();
    for contest in contests.into_iter().chain(mail(sink.as_ref(), quick)) {
        if contest.job.contains(only) {
            rows.extend(contest.hold(rounds)?);
        }
    }
    Ok(rows)
}

/// smtp-sink, near and further away.
struct Sink {
    sink: SmtpSink,
    near: Target,
    far: Target,
}

impl Sink {
    fn new() -> Result<Option<Self>> {
        let sink = match SmtpSink::builder().start() {
            Ok(sink) => sink,
            Err(reason) => {
                eprintln!("no smtp-sink: {reason}");
                return Ok(None);
            }
        };
        let near = Target {
            port: sink.address().port(),
            ..Target::default()
        };
        let far = Target {
            port: proxy::start(sink.address(), DELAY)?,
            ..Target::default()
        };
        Ok(Some(Self { sink, near, far }))
    }
}

/// Messages of 5 KB to smtp-sink.
fn mail(sink: Option<&Sink>, quick: bool) -> Vec<Contest<'_>> {
    let Some(sink) = sink else {
        return Vec::new();
    };
    let (many, few, far) = if quick {
        (500, 20, 5)
    } else {
        (20_000, 200, 50)
    };
    let job = |messages, recipients, connections| Job::Mail {
        messages,
        recipients,
        connections,
    };
    let ours = |messages, recipients, connections, target: &Target| {
        by(Client::Ours, job(messages, recipients, connections), target)
    };
    // Of messages that take so long that few of them have to do.
    let lettre = |at_least, messages, recipients, target: &Target, scale: f64| {
        let measure = by(Client::Lettre, job(messages, recipients, 0), target);
        let scaled = move || {
            let outcome = measure()?;
            Ok(Outcome::seconds(outcome.seconds * scale))
        };
        let name = "lettre".to_owned();
        (name, at_least, Some(Box::new(scaled) as Measure<'_>))
    };
    let source = |at_least, sessions: u32| {
        let address = sink.sink.address();
        let measure = move || peers::mail::smtp_source(address, many, sessions);
        let plural = if sessions == 1 { "" } else { "s" };
        let name = format!("smtp-source, {sessions} session{plural}");
        (name, at_least, Some(Box::new(measure) as Measure<'_>))
    };
    let scale = f64::from(many) / f64::from(few);
    vec![
        Contest {
            job: "send 5 KB, one connection".to_owned(),
            ours: ours(many, 1, 1, &sink.near),
            others: vec![source(1.0, 1), lettre(20.0, few, 1, &sink.near, scale)],
        },
        Contest {
            job: "send 5 KB, one connection, one after the other".to_owned(),
            ours: ours(many, 1, 0, &sink.near),
            others: vec![source(1.0, 1), lettre(20.0, few, 1, &sink.near, scale)],
        },
        Contest {
            job: "send 5 KB, eight connections".to_owned(),
            ours: ours(many, 1, 8, &sink.near),
            others: vec![source(0.8, 8)],
        },
        Contest {
            job: "send 5 KB, 10 ms each way, one after the other".to_owned(),
            ours: ours(far, 1, 0, &sink.far),
            others: vec![lettre(2.2, far, 1, &sink.far, 1.0)],
        },
        Contest {
            job: "send 5 KB, 10 ms each way, ten recipients".to_owned(),
            ours: ours(far, 10, 0, &sink.far),
            others: vec![lettre(5.0, far, 10, &sink.far, 1.0)],
        },
        Contest {
            job: "send 5 KB, 10 ms each way, in line on one connection".to_owned(),
            ours: ours(far, 1, 1, &sink.far),
            others: vec![lettre(3.0, far, 1, &sink.far, 1.0)],
        },
    ]
}

fn flags<'a>(job: &str, each: u32, at_least: f64, target: &Target) -> Contest<'a> {
    let measured = Job::Flags { threads: 16, each };
    Contest {
        job: job.to_owned(),
        ours: by(Client::Ours, measured, target),
        others: vec![rust_imap(
            "rust-imap behind a Mutex",
            at_least,
            measured,
            target,
        )],
    }
}

fn by<'a>(client: Client, job: Job, target: &Target) -> Measure<'a> {
    let target = target.clone();
    let order = Order {
        client,
        job,
        target,
    };
    Box::new(move || order.carry_out())
}

fn async_imap<'a>(at_least: f64, job: Job, target: &Target) -> (String, f64, Option<Measure<'a>>) {
    let measure = by(Client::AsyncImap, job, target);
    ("async-imap".to_owned(), at_least, Some(measure))
}

fn rust_imap<'a>(
    name: &str,
    at_least: f64,
    job: Job,
    target: &Target,
) -> (String, f64, Option<Measure<'a>>) {
    let measure = by(Client::RustImap, job, target);
    (name.to_owned(), at_least, Some(measure))
}
