//! mailpool.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use mailpool::{Credentials, Fetch, ImapClient, ImapClientBuilder, Items, Uid, UidSet};

use super::check;
use crate::job::{Outcome, Result, Security, Target};

/// FETCHes that are under way at the same time, on one connection.
const AHEAD: usize = 4;

pub(crate) fn builder(target: &Target) -> Result<ImapClientBuilder> {
    let mut builder = ImapClient::builder("127.0.0.1")
        .port(target.port)
        .credentials(Credentials::password(
            &target.user,
            target.password.as_str(),
        ));
    builder = match target.security {
        Security::None => builder
            .security(mailpool::Security::None)
            .allow_cleartext_password(),
        Security::Tls => builder.security(mailpool::Security::Tls),
        Security::StartTls => builder.security(mailpool::Security::StartTls),
    };
    if target.security != Security::None {
        builder = builder.ca_pem(std::fs::read(&target.ca)?).only_own_ca();
    }
    Ok(builder)
}

pub(crate) fn fetch_all(target: &Target) -> Result<Outcome> {
    let client = builder(target)?.connect()?;
    let inbox = client.mailbox("INBOX").read_only();
    inbox.select()?;
    let start = Instant::now();
    let mut bodies = Vec::new();
    keep(inbox.fetch(UidSet::all(), Items::full())?, &mut bodies)?;
    let seconds = start.elapsed().as_secs_f64();
    check(target, bodies.len(), bodies.iter().map(Bytes::len).sum())?;
    Ok(Outcome::seconds(seconds))
}

fn keep(messages: Fetch, bodies: &mut Vec<Bytes>) -> Result<()> {
    for message in messages {
        bodies.push(message?.into_body().ok_or("no body")?.into_bytes()?);
    }
    Ok(())
}

pub(crate) fn chunks(target: &Target, chunk: u32) -> Result<Outcome> {
    let client = builder(target)?.connect()?;
    let inbox = client.mailbox("INBOX").read_only();
    inbox.select()?;
    let start = Instant::now();
    let uids: UidSet = (1..=target.messages).filter_map(Uid::new).collect();
    let mut bodies = Vec::new();
    let mut under_way = VecDeque::new();
    for chunk in uids.iter_chunks(chunk as usize) {
        under_way.push_back(inbox.fetch(chunk, Items::full())?);
        if under_way.len() == AHEAD
            && let Some(messages) = under_way.pop_front()
        {
            keep(messages, &mut bodies)?;
        }
    }
    for messages in under_way {
        keep(messages, &mut bodies)?;
    }
    let seconds = start.elapsed().as_secs_f64();
    check(target, bodies.len(), bodies.iter().map(Bytes::len).sum())?;
    Ok(Outcome::seconds(seconds))
}

pub(crate) fn flags(target: &Target, threads: u32, each: u32) -> Result<Outcome> {
    let client = builder(target)?.max_connections_per_server(1).connect()?;
    let inbox = client.mailbox("INBOX").read_only();
    inbox.select()?;
    let start = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|thread| {
                let inbox = &inbox;
                scope.spawn(move || -> Result<()> {
                    for turn in 0..each {
                        let uid = Uid::new(super::uid(target, thread, turn)).ok_or("no UID")?;
                        let messages = inbox.fetch([uid], Items::new().flags())?;
                        let messages = messages.collect::<mailpool::Result<Vec<_>>>()?;
                        assert_eq!(messages.len(), 1, "one message");
                    }
                    Ok(())
                })
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| "a thread panicked")?)
    })?;
    Ok(Outcome::seconds(start.elapsed().as_secs_f64()))
}
