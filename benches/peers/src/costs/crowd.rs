//! Many callers on few connections.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use mailpool::{Items, Mailbox, Uid};

use crate::job::{Outcome, Result, Target};
use crate::peers;
use crate::peers::ours::builder;

const WARM_UP: Duration = Duration::from_millis(500);
const TIME: Duration = Duration::from_secs(3);

/// Commands that a caller sends before it gives its connection back.
const TURNS: u32 = 5;

/// With several connections each caller takes one, uses it and gives it back; with one they
/// share the main connection.
pub(crate) fn crowd(target: &Target, connections: usize, callers: usize) -> Result<Outcome> {
    let own = connections > 1;
    // The main connection is one more, which is not used.
    let quota = connections + usize::from(own);
    let client = builder(target)?
        .max_connections_per_server(quota)
        .connect()?;
    let inbox = client.mailbox("INBOX").read_only();
    inbox.select()?;
    let counts: Vec<AtomicU64> = (0..callers).map(|_| AtomicU64::new(0)).collect();
    let begin = Instant::now() + WARM_UP;
    let end = begin + TIME;
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for (number, count) in counts.iter().enumerate() {
            let (client, inbox) = (&client, &inbox);
            threads.push(scope.spawn(move || -> Result<()> {
                let mut turn = 0;
                while Instant::now() < end {
                    let connection = own.then(|| client.create_connection()).transpose()?;
                    for _ in 0..TURNS {
                        ask(inbox, target, number as u32, turn)?;
                        turn += 1;
                        if (begin..end).contains(&Instant::now()) {
                            count.fetch_add(1, Relaxed);
                        }
                    }
                    drop(connection);
                }
                Ok(())
            }));
        }
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| "a thread panicked")?)
    })?;
    let counts: Vec<f64> = counts
        .iter()
        .map(|count| count.load(Relaxed) as f64)
        .collect();
    let sum: f64 = counts.iter().sum();
    let slowest = counts.iter().copied().fold(f64::INFINITY, f64::min);
    Ok(Outcome::default()
        .with("throughput", sum / TIME.as_secs_f64())
        .with("fairness", slowest / (sum / counts.len() as f64)))
}

fn ask(inbox: &Mailbox, target: &Target, caller: u32, turn: u32) -> Result<()> {
    let uid = Uid::new(peers::uid(target, caller, turn)).ok_or("no UID")?;
    for message in inbox.fetch([uid], Items::new().flags())? {
        message?;
    }
    Ok(())
}
