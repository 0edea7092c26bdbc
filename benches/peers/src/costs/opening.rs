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
    let reused = client.stats().reused;
    if reused < 400 {
        return Err(format!("only {reused} connections were parked ones").into());
    }
    Ok(Outcome::default().with("new", new).with("warm", warm))
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

/// New connections of a client that is there already, and the first one, for which the client
/// also reads the system's certificates.
pub(crate) fn opening(target: &Target) -> Result<Outcome> {
    let (mut first, mut opened, mut round_trip) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..5 {
        let start = Instant::now();
        let client = builder(target)?.idle_timeout(Duration::ZERO).connect()?;
        first.push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        client.noop()?;
        round_trip.push(start.elapsed().as_secs_f64());
        opened.push(take(&client, 3)?);
    }
    Ok(Outcome::seconds(median(opened))
        .with("first", median(first))
        .with("round_trip", median(round_trip)))
}
