//! Messages of 5 KB to smtp-sink, by each sender.

use std::io::Read;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Instant;

use bytes::Bytes;
use lettre::address::Envelope;
use lettre::transport::smtp::PoolConfig;
use lettre::{Address, SmtpTransport, Transport};
use mailpool::{OutgoingMessage, SmtpClient, SmtpClientBuilder, SmtpEnvelope};

use crate::job::{Outcome, Result, Target};
use crate::process;

/// Bytes of a message.
const SIZE: usize = 5 * 1024;

const FROM: &str = "alice@example.org";

fn recipients(count: u32) -> Vec<String> {
    (0..count)
        .map(|one| format!("bob{one}@example.net"))
        .collect()
}

fn message() -> Bytes {
    let mut message = format!("From: {FROM}\r\nTo: bob@example.net\r\nSubject: a message\r\n\r\n");
    while message.len() < SIZE {
        message.push_str("The quick brown fox jumps over the lazy dog, and nobody minds.\r\n");
    }
    message.into()
}

fn builder(target: &Target) -> SmtpClientBuilder {
    SmtpClient::builder("127.0.0.1")
        .port(target.port)
        .security(mailpool::Security::None)
        .max_messages_per_connection(None)
        .max_connection_age(None)
}

/// One after the other by one caller.
pub(crate) fn ours_single(target: &Target, messages: u32, to: u32) -> Result<Outcome> {
    let client = builder(target).connect()?;
    let envelope = SmtpEnvelope::new(FROM, recipients(to))?;
    let message = message();
    let start = Instant::now();
    for _ in 0..messages {
        let report = client.send(&envelope, &message)?;
        if !report.is_complete() {
            return Err("a recipient was refused".into());
        }
    }
    Ok(Outcome::seconds(start.elapsed().as_secs_f64()))
}

/// Together, over so many connections.
pub(crate) fn ours_all(
    target: &Target,
    messages: u32,
    to: u32,
    connections: u32,
) -> Result<Outcome> {
    let client = builder(target)
        .max_connections_per_server(connections as usize + 1)
        .connect()?;
    let envelope = SmtpEnvelope::new(FROM, recipients(to))?;
    let message = message();
    let start = Instant::now();
    let all = (0..messages).map(|_| (envelope.clone(), message.clone()));
    let outcome = client.send_all(all)?;
    let seconds = start.elapsed().as_secs_f64();
    if !outcome.is_complete() || outcome.succeeded.len() != messages as usize {
        return Err("messages were not sent".into());
    }
    Ok(Outcome::seconds(seconds))
}

pub(crate) fn lettre(target: &Target, messages: u32, to: u32) -> Result<Outcome> {
    let client = SmtpTransport::builder_dangerous("127.0.0.1")
        .port(target.port)
        .pool_config(PoolConfig::new().max_size(1))
        .build();
    client.test_connection()?;
    let addresses: std::result::Result<Vec<Address>, _> =
        recipients(to).iter().map(|one| one.parse()).collect();
    let envelope = Envelope::new(Some(FROM.parse()?), addresses?)?;
    let message = message();
    let start = Instant::now();
    for _ in 0..messages {
        client.send_raw(&envelope, &message)?;
    }
    Ok(Outcome::seconds(start.elapsed().as_secs_f64()))
}

/// Postfix's own program, from its start to its end.
pub(crate) fn smtp_source(sink: SocketAddr, messages: u32, sessions: u32) -> Result<Outcome> {
    let program = mailpool_test_postfix::smtp_source().ok_or("no smtp-source")?;
    let mut command = Command::new(program);
    command
        .args(["-d", "-4"])
        .args(["-s", &sessions.to_string()])
        .args(["-m", &messages.to_string()])
        .args(["-l", &SIZE.to_string()])
        .args(["-f", FROM, "-t", "bob0@example.net"])
        .arg(sink.to_string());
    let start = Instant::now();
    let output = command.stdin(Stdio::null()).output()?;
    let seconds = start.elapsed().as_secs_f64();
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?}: {}: {errors}", output.status).into());
    }
    Ok(Outcome::seconds(seconds))
}

/// Lines without an end.
struct Endless;

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        const LINE: &[u8] = b"The quick brown fox jumps over the lazy dog, and nobody minds\r\n";
        let count = buffer.len() / LINE.len() * LINE.len();
        for place in buffer.chunks_exact_mut(LINE.len()) {
            place.copy_from_slice(LINE);
        }
        if count == 0 && !buffer.is_empty() {
            buffer.fill(b'x');
            return Ok(buffer.len());
        }
        Ok(count)
    }
}

/// What a large message from a reader adds to the memory of the process.
pub(crate) fn large(target: &Target, mib: u64) -> Result<Outcome> {
    let client = builder(target).connect()?;
    let envelope = SmtpEnvelope::new(FROM, recipients(1))?;
    let _warm = client.send(&envelope, message())?;
    process::forget_peak();
    let idle = process::memory("VmRSS");
    let mut reader = b"Subject: large\r\n\r\n".chain(Endless.take(mib << 20));
    let start = Instant::now();
    let report = client.send(
        &envelope,
        OutgoingMessage::reader(&mut reader).size(mib << 20),
    )?;
    let seconds = start.elapsed().as_secs_f64();
    if !report.is_complete() {
        return Err("the recipient was refused".into());
    }
    Ok(Outcome::seconds(seconds).with("grown", process::memory("VmHWM") - idle))
}
