//! Runs mailpool and its peers side by side, and prints one table.
//!
//! | module | what it has |
//! |---|---|
//! | `contests` | ours against the peers, in turn, in several rounds |
//! | `bounds` | our own costs |
//! | `peers` | the same jobs by each client |
//! | `costs` | what is measured for `bounds` |
//! | `job` | one measurement in a process of its own |
//! | `fixture`, `proxy`, `responder` | the servers, and the network between |
//! | `process`, `allocations` | what the system and the allocator say |
//! | `report` | the tables |

mod allocations;
mod bounds;
mod contests;
mod costs;
mod fixture;
mod job;
mod peers;
mod process;
mod proxy;
mod report;
mod responder;

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::bounds::Bench;
use crate::fixture::Fixture;
use crate::job::{Client, Job, Order, Outcome, Result};

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

#[derive(Debug, Parser)]
enum Arguments {
    /// Runs everything and prints the tables
    Run(Run),
    /// Runs one job; what `run` starts
    #[command(hide = true)]
    Child { order: String },
}

#[derive(Debug, clap::Args)]
struct Run {
    /// Fewer messages and rounds: shows that all works, not how fast
    #[arg(long)]
    quick: bool,
    /// How often each job is done by each client
    #[arg(long)]
    rounds: Option<usize>,
    /// Messages in the mailbox
    #[arg(long)]
    messages: Option<u32>,
    /// Only the jobs and costs whose names contain this
    #[arg(long, default_value = "")]
    only: String,
    /// Only one of the two tables
    #[arg(long, value_enum)]
    table: Option<Table>,
    /// The example bulk_fetch
    #[arg(long)]
    bulk_fetch: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Table {
    Peers,
    Costs,
}

fn main() -> Result<()> {
    match Arguments::parse() {
        Arguments::Run(run) => measure(&run),
        Arguments::Child { order } => {
            let outcome = child(&serde_json::from_str(&order)?)?;
            println!("{}", serde_json::to_string(&outcome)?);
            Ok(())
        }
    }
}

fn measure(run: &Run) -> Result<()> {
    let rounds = run.rounds.unwrap_or(if run.quick { 1 } else { 5 });
    let messages = run.messages.unwrap_or(if run.quick { 500 } else { 10_000 });
    let fixture = Fixture::new(messages)?;
    let plain = fixture.plain();
    // Dovecot reads the directory and makes its index.
    let first = Order {
        client: Client::Ours,
        job: Job::FetchAll,
        target: plain.clone(),
    };
    first.carry_out()?;
    let mut contested = Vec::new();
    if run.table != Some(Table::Costs) {
        contested = contests::all(&fixture, &run.bulk_fetch, rounds, run.quick, &run.only)?;
    }
    let mut bounded = Vec::new();
    if run.table != Some(Table::Peers) {
        bounded = bounds::all(&Bench {
            fixture: &fixture,
            rounds,
            quick: run.quick,
            only: &run.only,
        })?;
    }
    println!(
        "{messages} messages, {:.1} MB, {rounds} rounds, {} cores\n",
        plain.bytes as f64 / 1e6,
        std::thread::available_parallelism()?,
    );
    report::contests(&contested);
    println!();
    report::bounds(&bounded);
    Ok(())
}

fn child(order: &Order) -> Result<Outcome> {
    let target = &order.target;
    match (order.client, order.job) {
        (Client::Ours, Job::FetchAll) => peers::ours::fetch_all(target),
        (Client::Ours, Job::Chunks { chunk }) => peers::ours::chunks(target, chunk),
        (Client::Ours, Job::Flags { threads, each }) => peers::ours::flags(target, threads, each),
        (
            Client::Ours,
            Job::Mail {
                messages,
                recipients,
                connections: 0,
            },
        ) => peers::mail::ours_single(target, messages, recipients),
        (
            Client::Ours,
            Job::Mail {
                messages,
                recipients,
                connections,
            },
        ) => peers::mail::ours_all(target, messages, recipients, connections),
        (
            Client::Lettre,
            Job::Mail {
                messages,
                recipients,
                ..
            },
        ) => peers::mail::lettre(target, messages, recipients),
        (Client::Lettre, _) => Err("not measured".into()),
        (Client::Ours, Job::Cost(cost)) => costs::run(target, cost),
        (Client::AsyncImap, job) => peers::async_imap::run(target, job),
        (Client::RustImap, job) => peers::rust_imap::run(target, job),
    }
}
