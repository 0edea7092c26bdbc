//! Ten connections that nobody uses.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use mailpool::{ImapClient, Items, Uid, UidSet};

use crate::job::{Outcome, Result, Target};
use crate::peers::ours::builder;
use crate::process;

const CONNECTIONS: usize = 10;

/// What they wake up for.
pub(crate) fn wake_ups(target: &Target, seconds: u64) -> Result<Outcome> {
    let client = builder(target)?
        .max_connections_per_server(CONNECTIONS)
        .connect()?;
    with_all(&client, true, || {
        thread::sleep(Duration::from_millis(500));
        let (wakeups, switches) = (client.stats().wakeups, process::switches_of_connections());
        let cpu = process::cpu_time();
        thread::sleep(Duration::from_secs(seconds));
        let cpu = process::cpu_time() - cpu;
        Ok(Outcome::default()
            .with("wakeups", (client.stats().wakeups - wakeups) as f64)
            .with(
                "switches",
                (process::switches_of_connections() - switches) as f64,
            )
            .with("cpu", cpu.as_secs_f64()))
    })
}

/// What they hold: the growth of the process, with what has been touched of their stacks.
pub(crate) fn memory(target: &Target) -> Result<Outcome> {
    let grown = |used: bool| -> Result<(f64, f64)> {
        let builder = builder(target)?.max_connections_per_server(CONNECTIONS);
        let before = process::memory("RssAnon");
        let client = builder.connect()?;
        let one = process::memory("RssAnon");
        let outcome = with_all(&client, used, || {
            thread::sleep(Duration::from_millis(500));
            Ok(Outcome::seconds(process::memory("RssAnon")))
        })?;
        Ok((one - before, outcome.seconds - before))
    };
    let (first, all) = grown(false)?;
    // The second client finds what malloc has kept of the first one's memory.
    let (_, used) = grown(true)?;
    Ok(Outcome::default()
        .with("first", first)
        .with("all", all)
        .with("used", used))
}

/// Runs `job` while all connections are open and, if so wanted, have been used.
fn with_all(
    client: &ImapClient,
    used: bool,
    job: impl FnOnce() -> Result<Outcome>,
) -> Result<Outcome> {
    let use_it = |client| if used { use_it(client) } else { Ok(()) };
    use_it(client)?;
    let barrier = Barrier::new(CONNECTIONS);
    thread::scope(|scope| {
        let others: Vec<_> = (1..CONNECTIONS)
            .map(|_| {
                scope.spawn(|| -> Result<()> {
                    let connection = client.create_connection();
                    let used = use_it(client);
                    barrier.wait();
                    barrier.wait();
                    drop(connection?);
                    used
                })
            })
            .collect();
        barrier.wait();
        let outcome = job();
        barrier.wait();
        for other in others {
            other.join().map_err(|_| "a thread panicked")??;
        }
        outcome
    })
}

fn use_it(client: &ImapClient) -> Result<()> {
    let uids: UidSet = (1..=100).filter_map(Uid::new).collect();
    for message in client
        .mailbox("INBOX")
        .read_only()
        .fetch(uids, Items::full())?
    {
        message?;
    }
    Ok(())
}
