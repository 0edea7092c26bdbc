//! Our own costs and their bounds.

use crate::fixture::{DELAY, Fixture, headers_only};
use crate::job::{Blocked, Client, Cost, Job, Order, Outcome, Result, Security, Target, median};
use mailpool_test_postfix::SmtpSink;
use mailpool_test_server as embedded;

/// One line of the table.
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) found: f64,
    pub(crate) bound: Bound,
    pub(crate) unit: &'static str,
    pub(crate) note: String,
}

#[derive(Clone, Copy)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
    /// To be known, not to be kept.
    None,
}

const MIB: f64 = 1024.0 * 1024.0;

/// What is measured with.
pub(crate) struct Bench<'a> {
    pub(crate) fixture: &'a Fixture,
    pub(crate) rounds: usize,
    pub(crate) quick: bool,
    pub(crate) only: &'a str,
}

type Measurement<'a> = (&'static str, fn(&Bench<'a>) -> Result<Vec<Row>>);

pub(crate) fn all(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let measurements: [Measurement<'_>; 12] = [
        ("create_connection", create_connection),
        ("open and authenticate", opening),
        ("overhead", overhead),
        ("floor", floor),
        ("idle", idle),
        ("allocations", allocations),
        ("memory", memory),
        ("growth", growth),
        ("search", search),
        ("crowd", crowd),
        ("cancel", cancel),
        ("large mail", large_mail),
    ];
    let mut rows = Vec::new();
    for (name, measure) in measurements {
        if name.contains(bench.only) {
            eprintln!("{name}");
            rows.extend(measure(bench)?);
        }
    }
    Ok(rows)
}

fn cost(cost: Cost, target: &Target) -> Result<Outcome> {
    let order = Order {
        client: Client::Ours,
        job: Job::Cost(cost),
        target: target.clone(),
    };
    order.carry_out()
}

/// The medians of several children.
fn costs(rounds: usize, one: Cost, target: &Target) -> Result<Outcome> {
    let outcomes = (0..rounds)
        .map(|_| cost(one, target))
        .collect::<Result<Vec<_>>>()?;
    let mut middle = Outcome::seconds(median(outcomes.iter().map(|one| one.seconds)));
    for name in outcomes.iter().flat_map(|one| one.figures.keys()) {
        let figure = median(outcomes.iter().map(|one| one.figure(name)));
        middle.figures.insert(name.clone(), figure);
    }
    Ok(middle)
}

fn row(what: impl Into<String>, found: f64, unit: &'static str, bound: Bound) -> Row {
    Row {
        what: what.into(),
        found,
        bound,
        unit,
        note: String::new(),
    }
}

impl Row {
    fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }
}

fn create_connection(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let target = |security| match security {
        Security::None => bench.fixture.plain(),
        _ => bench.fixture.tls(),
    };
    let mut rows = Vec::new();
    for (name, security) in [("plain", Security::None), ("TLS", Security::Tls)] {
        let found = costs(bench.rounds, Cost::Warm, &target(security))?;
        let (new, warm) = (found.figure("new") * 1e6, found.figure("warm") * 1e6);
        let what = format!("`create_connection`, {name}: a new connection against a parked one");
        let note = format!("{new:.0} µs against {warm:.1} µs");
        rows.push(row(what, new / warm, "x", Bound::AtLeast(100.0)).note(note));
    }
    Ok(rows)
}

fn opening(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let (plain, tls) = (bench.fixture.plain(), bench.fixture.tls());
    let starttls = Target {
        security: Security::StartTls,
        ..plain.clone()
    };
    let round_trip = 2.0 * DELAY.as_secs_f64();
    let mut rows = Vec::new();
    for (name, target, trips) in [
        ("plain: greeting, AUTHENTICATE", plain, 2.0),
        ("TLS 1.3: handshake, greeting, AUTHENTICATE", tls, 3.0),
        (
            "STARTTLS: greeting, STARTTLS, handshake, CAPABILITY, AUTHENTICATE",
            starttls,
            5.0,
        ),
    ] {
        let far = bench.fixture.far(&target)?;
        let found = costs(bench.rounds, Cost::Opening, &far)?;
        let what = format!("open and authenticate, 10 ms each way, {name}: {trips} round trips");
        let ratio = found.seconds / (trips * round_trip);
        let note = format!(
            "{:.1} ms; the client's first connection {:.1} ms; a NOOP {:.1} ms",
            found.seconds * 1e3,
            found.figure("first") * 1e3,
            found.figure("round_trip") * 1e3
        );
        rows.push(row(what, ratio, "x", Bound::AtMost(1.15)).note(note));
    }
    Ok(rows)
}

fn overhead(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for threads in [1, 16] {
        let found = costs(bench.rounds, Cost::Overhead { threads }, &Target::default())?;
        let what = format!("a command without a network, {threads} callers: added at the median");
        let micro = |name| found.figure(name) * 1e6;
        let note = format!(
            "{:.1} µs against {:.1} µs over a bare socket for each; in all {:.1} and {:.1} µs for each command",
            micro("ours"),
            micro("bare"),
            micro("ours_each"),
            micro("bare_each"),
        );
        rows.push(row(what, found.seconds * 1e6, "µs", Bound::AtMost(40.0)).note(note));
    }
    Ok(rows)
}

fn floor(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for batch in [1, 16] {
        let found = costs(bench.rounds, Cost::Floor { batch }, &bench.fixture.plain())?;
        let what = format!(
            "the server's own `UID FETCH n FLAGS`, bare socket, one thread, {batch} at a time"
        );
        rows.push(row(what, found.seconds * 1e6, "µs", Bound::None));
    }
    for (name, target) in [
        ("plain", bench.fixture.plain()),
        ("TLS", bench.fixture.tls()),
    ] {
        let found = costs(bench.rounds, Cost::BareFetch, &target)?;
        let what = format!("the server's own fetch of all, bare socket, thrown away, {name}");
        rows.push(row(what, found.seconds * 1e3, "ms", Bound::None));
    }
    Ok(rows)
}

fn idle(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let seconds = if bench.quick { 2 } else { 10 };
    let found = cost(Cost::Idle { seconds }, &bench.fixture.plain())?;
    let what = format!("wake-ups of 10 idle connections in {seconds} s");
    let note = format!(
        "{} context switches of their threads, {:.1} ms of processor time of the whole process",
        found.figure("switches"),
        found.figure("cpu") * 1e3
    );
    Ok(vec![
        row(what, found.figure("wakeups"), "", Bound::AtMost(0.0)).note(note),
    ])
}

fn allocations(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (name, target) in [
        ("plain", bench.fixture.plain()),
        ("TLS", bench.fixture.tls()),
    ] {
        let found = cost(Cost::Allocations, &target)?;
        let what = format!("allocations for each fetched message, {name}");
        rows.push(row(what, found.figure("each"), "", Bound::None));
        let (allocated, received) = (found.figure("allocated"), found.figure("received"));
        let what = format!("bytes allocated for each byte received, {name}");
        let note = "a byte copied once in user space: at most 2";
        rows.push(row(what, allocated / received, "", Bound::AtMost(2.0)).note(note));
    }
    Ok(rows)
}

fn memory(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let (plain, tls) = (bench.fixture.plain(), bench.fixture.tls());
    let one_by_one = cost(Cost::OneByOne, &plain)?.figure("grown") / MIB;
    let size = if bench.quick { 1 << 26 } else { 1 << 30 };
    let server = embedded::Server::builder()
        .user("alice", "secret")
        .mailbox("alice", "INBOX", [embedded::Message::synthetic(size, 7)])
        .start()?;
    let target = Target {
        port: server.port(),
        user: "alice".to_owned(),
        password: "secret".to_owned(),
        messages: 1,
        bytes: size,
        ..Target::default()
    };
    let streamed = cost(Cost::Streamed, &target)?.figure("grown") / MIB;
    let what = format!("memory that {} messages, one by one, add", plain.messages);
    let mut rows = vec![
        row(what, one_by_one, "MiB", Bound::AtMost(32.0)),
        row(
            format!(
                "memory that a message of {} MiB, streamed, adds",
                size >> 20
            ),
            streamed,
            "MiB",
            Bound::AtMost(16.0),
        ),
    ];
    for (name, target) in [("plain", &plain), ("TLS", &tls)] {
        let idle = cost(Cost::IdleMemory, target)?;
        let what = format!("memory of 10 idle connections, {name}, touched stacks included");
        let note = format!(
            "the first of them {:.2} MiB; after 100 messages over each {:.2} MiB",
            idle.figure("first") / MIB,
            idle.figure("used") / MIB
        );
        let all = idle.figure("all") / MIB;
        rows.push(row(what, all, "MiB", Bound::AtMost(4.0)).note(note));
    }
    Ok(rows)
}

fn growth(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let small = if bench.quick { 1_000 } else { 10_000 };
    let targets =
        [small, 10 * small].map(|count| bench.fixture.mailbox("headers", headers_only(count)));
    for target in &targets {
        // Dovecot reads the directory and makes its index.
        cost(Cost::Headers, target)?;
    }
    let mut found = [Vec::new(), Vec::new()];
    for _ in 0..bench.rounds {
        for (target, found) in targets.iter().zip(&mut found) {
            found.push(cost(Cost::Headers, target)?);
        }
    }
    let ratio = |figure: &dyn Fn(&Outcome) -> f64| {
        let [small, large] = [0, 1].map(|which: usize| median(found[which].iter().map(figure)));
        (large / small, small, large)
    };
    let (cpu, few, many) = ratio(&|one| one.figure("cpu"));
    let name = format!("{} headers against {small}", 10 * small);
    let note = format!("{:.0} ms against {:.0} ms", many * 1e3, few * 1e3);
    let mut rows = vec![
        row(
            format!("{name}: our processor time"),
            cpu,
            "x",
            Bound::AtMost(10.5),
        )
        .note(note),
    ];
    let (wall, few, many) = ratio(&|one| one.seconds);
    let note = format!(
        "{:.0} ms against {:.0} ms, the server's part included",
        many * 1e3,
        few * 1e3
    );
    rows.push(row(format!("{name}: time"), wall, "x", Bound::AtMost(10.5)).note(note));
    let counted = |target: &Target| instructions(Cost::Headers, target);
    let empty = bench.fixture.mailbox("headers", headers_only(1));
    let none = counted(&empty)?;
    let [few, many] = [counted(&targets[0])? - none, counted(&targets[1])? - none];
    let note = format!("{:.0} million against {:.0} million", many / 1e6, few / 1e6);
    let what = format!("{name}: our instructions (callgrind)");
    rows.push(row(what, many / few, "x", Bound::AtMost(10.5)).note(note));
    Ok(rows)
}

fn search(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (name, step) in [("one after the other", 1), ("every other number", 2)] {
        let job = |uids| Cost::SearchAnswer { uids, step };
        let found = costs(bench.rounds, job(1_000_000), &Target::default())?;
        let counted = |uids| instructions(job(uids), &Target::default());
        // What it takes to start and to log in is no part of the answer.
        let [none, few, many] = [counted(1)?, counted(100_000)?, counted(1_000_000)?];
        let note = format!(
            "{:.0} million against {:.0} million; {:.1} ms of processor time; kept as {} ranges; \
             {} allocations of {:.1} MiB on the way",
            (many - none) / 1e6,
            (few - none) / 1e6,
            found.figure("cpu") * 1e3,
            found.figure("ranges"),
            found.figure("allocations"),
            found.figure("allocated") / MIB,
        );
        let what = format!(
            "SEARCH with 1,000,000 UIDs, {name}, against 100,000: instructions (callgrind)"
        );
        let ratio = (many - none) / (few - none);
        rows.push(row(what, ratio, "x", Bound::AtMost(10.5)).note(note));
    }
    Ok(rows)
}

fn instructions(cost: Cost, target: &Target) -> Result<f64> {
    let order = Order {
        client: Client::Ours,
        job: Job::Cost(cost),
        target: target.clone(),
    };
    order.count_instructions()
}

fn crowd(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let target = bench.fixture.plain();
    for connections in [8, 1] {
        let [few, many] = [8, 64].map(|callers| {
            let crowd = Cost::Crowd {
                connections,
                callers,
            };
            costs(bench.rounds, crowd, &target)
        });
        let (few, many) = (few?, many?);
        let note = format!(
            "{:.0} commands/s against {:.0}",
            many.figure("throughput"),
            few.figure("throughput")
        );
        let what = format!("64 callers against 8, {connections} connections: throughput");
        let ratio = many.figure("throughput") / few.figure("throughput");
        rows.push(row(what, ratio, "x", Bound::AtLeast(1.0)).note(note));
        let what = format!("64 callers, {connections} connections: the slowest against the mean");
        let fairness = many.figure("fairness");
        rows.push(row(what, fairness, "x", Bound::AtLeast(0.5)));
    }
    Ok(rows)
}

fn cancel(_: &Bench<'_>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (name, what) in [
        ("a command that the server works on", Blocked::Command),
        ("a body that has stalled", Blocked::Stalled),
        (
            "a handshake or greeting that never comes",
            Blocked::Handshake,
        ),
        ("the wait for a permit", Blocked::Permit),
        ("IDLE", Blocked::Idle),
    ] {
        for tls in [false, true] {
            let found = cost(Cost::Cancel { what, tls }, &Target::default())?;
            let transport = if tls { "TLS" } else { "plain" };
            let name = format!("from `cancel()` to the return, {name}, {transport}: p99");
            let note = format!(
                "median {:.0} µs, at most {:.0} µs, of 200",
                found.seconds * 1e6,
                found.figure("most") * 1e6
            );
            let p99 = found.figure("p99") * 1e3;
            rows.push(row(name, p99, "ms", Bound::AtMost(5.0)).note(note));
        }
    }
    Ok(rows)
}

fn large_mail(_: &Bench<'_>) -> Result<Vec<Row>> {
    let sink = match SmtpSink::builder().start() {
        Ok(sink) => sink,
        Err(reason) => {
            eprintln!("no smtp-sink: {reason}");
            return Ok(Vec::new());
        }
    };
    let target = Target {
        port: sink.address().port(),
        ..Target::default()
    };
    let found = cost(Cost::LargeMail { mib: 100 }, &target)?;
    let note = format!("{:.2} s", found.seconds);
    let grown = found.figure("grown") / MIB;
    let what = "memory that a message of 100 MiB, sent from a reader, adds";
    Ok(vec![
        row(what, grown, "MiB", Bound::AtMost(16.0)).note(note),
    ])
}
