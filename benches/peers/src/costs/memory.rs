//! Memory for messages.

use mailpool::{Items, Uid, UidSet};

use crate::allocations;
use crate::job::{Outcome, Result, Target};
use crate::peers::ours::builder;
use crate::process;

/// Allocations for each message. What is allocated beyond the bytes that have come bounds the
/// bytes that can have been copied: a copy needs a place to go to.
pub(crate) fn allocations(target: &Target) -> Result<Outcome> {
    let client = builder(target)?.connect()?;
    let inbox = client.mailbox("INBOX").read_only();
    inbox.select()?;
    let received = client.stats().bytes_received;
    let (result, count, bytes) = allocations::during(|| -> Result<()> {
        for message in inbox.fetch(UidSet::all(), Items::full())? {
            let mut body = message?.into_body().ok_or("no body")?.into_reader();
            while body.next_chunk()?.is_some() {}
        }
        Ok(())
    });
    result?;
    let received = (client.stats().bytes_received - received) as f64;
    Ok(Outcome::default()
        .with("each", count as f64 / f64::from(target.messages))
        .with("allocated", bytes as f64)
        .with("received", received))
}

/// Messages one by one, each forgotten before the next.
pub(crate) fn one_by_one(target: &Target) -> Result<Outcome> {
    let client = builder(target)?.connect()?;
    let inbox = client.mailbox("INBOX").read_only();
    inbox.select()?;
    process::forget_peak();
    let idle = process::memory("VmRSS");
    let mut bytes = 0;
    for uid in (1..=target.messages).filter_map(Uid::new) {
        for message in inbox.fetch([uid], Items::full())? {
            bytes += message?.into_body().ok_or("no body")?.into_bytes()?.len();
        }
    }
    let grown = process::memory("VmHWM") - idle;
    Ok(Outcome::default()
        .with("grown", grown)
        .with("bytes", bytes as f64))
}

/// One large message as a stream.
pub(crate) fn streamed(target: &Target) -> Result<Outcome> {
    let client = builder(target)?.connect()?;
    let inbox = client.mailbox("INBOX").read_only();
    inbox.select()?;
    process::forget_peak();
    let idle = process::memory("VmRSS");
    let mut bytes = 0_u64;
    for message in inbox.fetch(UidSet::all(), Items::full())? {
        let mut body = message?.into_body().ok_or("no body")?.into_reader();
        while let Some(chunk) = body.next_chunk()? {
            bytes += chunk.len() as u64;
        }
    }
    if bytes < target.bytes {
        return Err(format!("{bytes} bytes have come").into());
    }
    Ok(Outcome::default().with("grown", process::memory("VmHWM") - idle))
}
