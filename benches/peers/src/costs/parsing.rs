//! What grows with the mailbox.

use std::fmt::Write as _;
use std::time::Instant;

use mailpool::{Items, Query, Section, UidSet};

use crate::allocations;
use crate::job::{Outcome, Result, Target};
use crate::peers::ours::builder;
use crate::process;
use crate::responder;

/// The headers of all messages.
pub(crate) fn headers(target: &Target) -> Result<Outcome> {
    let client = builder(target)?.connect()?;
    let inbox = client.mailbox("INBOX").read_only();
    inbox.select()?;
    process::forget_peak();
    let idle = process::memory("VmRSS");
    let cpu = process::cpu_time();
    let start = Instant::now();
    let mut messages = 0;
    for message in inbox.fetch(UidSet::all(), Items::headers())? {
        let header = message?.into_section(&Section::header());
        messages += u32::from(header.is_some_and(|header| !header.is_empty()));
    }
    let seconds = start.elapsed().as_secs_f64();
    let cpu = (process::cpu_time() - cpu).as_secs_f64();
    if messages != target.messages {
        return Err(format!("{messages} headers have come").into());
    }
    Ok(Outcome::seconds(seconds)
        .with("cpu", cpu)
        .with("grown", process::memory("VmHWM") - idle))
}

/// A SEARCH answer with so many UIDs, each `step` above the one before it.
pub(crate) fn search_answer(uids: u32, step: u32) -> Result<Outcome> {
    let mut answer = "* SEARCH".to_owned();
    for number in 0..uids {
        let _ = write!(answer, " {}", 1_000_000 + number * step);
    }
    answer.push_str("\r\n");
    let target = Target {
        port: responder::start(answer.into_bytes())?,
        user: "alice".to_owned(),
        password: "secret".to_owned(),
        ..Target::default()
    };
    let client = builder(&target)?.connect()?;
    let inbox = client.mailbox("INBOX");
    inbox.select()?;
    inbox.search(Query::all())?;
    let cpu = process::cpu_time();
    let start = Instant::now();
    let (found, count, bytes) = allocations::during(|| inbox.search(Query::all()));
    let seconds = start.elapsed().as_secs_f64();
    let cpu = (process::cpu_time() - cpu).as_secs_f64();
    let found = found?;
    if found.len() != u64::from(uids) {
        return Err(format!("{} UIDs have come", found.len()).into());
    }
    Ok(Outcome::seconds(seconds)
        .with("cpu", cpu)
        .with("ranges", found.ranges().count() as f64)
        .with("allocations", count as f64)
        .with("allocated", bytes as f64))
}
