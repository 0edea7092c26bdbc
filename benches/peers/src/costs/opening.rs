//! Connections: new ones, parked ones, and the round trips of a login.

use std::thread;
use std::time::{Duration, Instant};

use crate::job::{Outcome, Result, Target, median};
use crate::peers::ours::builder;

/// A new connection against one that was parked. Each is used and given back.
pub(crate) fn warm(target: &Target) -> Result<Outcome> {
    let fresh = builder(target)?.idle_timeout(Duration::ZERO).connect()?;
    let new = take(&fresh, 60)?;
    let client = builder(target)?.connect()?;
    take(&client, 1)?;
    let warm = take(&client, 400)?;
    let reused = client.stats().reused as f64;
    Ok(Outcome::default()
        .with("new", new)
        .with("warm", warm)
        .with("reused", reused))
}

fn take(client: &mailpool::ImapClient, times: usize) -> Result<f64> {
    thread::scope(|scope| {
        let thread = scope.spawn(|| -> Result<f64> {
            let mut times_taken = Vec::new();
            for _ in 0..times {
                let start = Instant::now();
                let connection = client.create_connection()?;
                times_taken.push(start.elapsed().as_secs_f64());
                client.noop()?;
                connection.close()?;
            }
            Ok(median(times_taken))
        });
        thread.join().map_err(|_| "a thread panicked")?
    })
}

/// From nothing to an authenticated connection.
pub(crate) fn opening(target: &Target) -> Result<Outcome> {
    let mut opened = Vec::new();
    let mut round_trip = Vec::new();
    for _ in 0..7 {
        let start = Instant::now();
        let client = builder(target)?.connect()?;
        opened.push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        client.noop()?;
        round_trip.push(start.elapsed().as_secs_f64());
    }
    Ok(Outcome::seconds(median(opened)).with("round_trip", median(round_trip)))
}
