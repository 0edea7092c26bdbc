//! A command without a network: ours, and a bare socket against the same responder.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use crate::job::{Outcome, Result, Target, median};
use crate::peers;
use crate::peers::ours::builder;
use crate::responder;

const COMMANDS: u32 = 32_000;

/// `threads` callers on one connection of ours, and as many with a bare socket each.
pub(crate) fn overhead(threads: u32) -> Result<Outcome> {
    let target = Target {
        port: responder::start(Vec::new())?,
        user: "alice".to_owned(),
        password: "secret".to_owned(),
        ..Target::default()
    };
    let client = builder(&target)?.max_connections_per_server(1).connect()?;
    let (ours, each) = measure(threads, || || Ok(client.noop()?))?;
    let port = target.port;
    let (bare, bare_each) = measure(threads, || {
        let mut socket = Bare::connect(port);
        move || socket.as_mut().map_err(|error| error.to_string())?.noop()
    })?;
    Ok(Outcome::seconds(ours - bare)
        .with("ours", ours)
        .with("bare", bare)
        .with("ours_each", each)
        .with("bare_each", bare_each))
}

/// The median time of a command, and the time of all divided by their number.
fn measure<F, C>(threads: u32, make: F) -> Result<(f64, f64)>
where
    F: Fn() -> C + Sync,
    C: FnMut() -> Result<()>,
{
    let start_line = Barrier::new(threads as usize);
    let turns = COMMANDS / threads;
    let times = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| -> Result<(Vec<f64>, f64)> {
                    let mut command = make();
                    for _ in 0..200 {
                        command()?;
                    }
                    start_line.wait();
                    let begin = Instant::now();
                    let mut times = Vec::with_capacity(turns as usize);
                    for _ in 0..turns {
                        let start = Instant::now();
                        command()?;
                        times.push(start.elapsed().as_secs_f64());
                    }
                    Ok((times, begin.elapsed().as_secs_f64()))
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| "a thread panicked")?)
            .collect::<Result<Vec<_>>>()
    })?;
    let longest = times.iter().map(|(_, all)| *all).fold(0.0, f64::max);
    let each = longest / f64::from(turns * threads);
    Ok((median(times.into_iter().flat_map(|(times, _)| times)), each))
}

/// What the server alone needs for a command when nobody parses its answers: `batch` of them
/// with each write.
pub(crate) fn floor(target: &Target, batch: u32) -> Result<Outcome> {
    let mut socket = Bare::connect(target.port)?;
    let (user, password) = (&target.user, &target.password);
    socket.send(&format!("a LOGIN {user} {password}\r\n"), "a")?;
    socket.send("b EXAMINE INBOX\r\n", "b")?;
    let turns = COMMANDS / 4 / batch;
    let start = Instant::now();
    for turn in 0..turns {
        let mut commands = String::new();
        for number in 0..batch {
            let uid = peers::uid(target, number, turn);
            commands.push_str(&format!("c{number} UID FETCH {uid} (UID FLAGS)\r\n"));
        }
        socket.send(&commands, &format!("c{}", batch - 1))?;
    }
    let each = start.elapsed().as_secs_f64() / f64::from(turns * batch);
    Ok(Outcome::seconds(each))
}

struct Bare {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Bare {
    fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        let mut bare = Self {
            stream,
            buffer: vec![0; 4096],
        };
        bare.line()?;
        Ok(bare)
    }

    /// Sends these commands at once and reads until the last one has been answered.
    fn send(&mut self, commands: &str, last_tag: &str) -> Result<()> {
        self.stream.write_all(commands.as_bytes())?;
        let end = format!("\r\n{last_tag} OK");
        let mut seen = b"\r\n".to_vec();
        while !(seen.ends_with(b"\r\n") && seen.windows(end.len()).any(|at| at == end.as_bytes())) {
            let count = self.stream.read(&mut self.buffer)?;
            if count == 0 {
                return Err("the server has gone".into());
            }
            seen.extend_from_slice(&self.buffer[..count]);
        }
        Ok(())
    }

    fn noop(&mut self) -> Result<()> {
        self.stream.write_all(b"a NOOP\r\n")?;
        self.line()
    }

    fn line(&mut self) -> Result<()> {
        let mut filled = 0;
        while !self.buffer[..filled].ends_with(b"\r\n") {
            let count = self.stream.read(&mut self.buffer[filled..])?;
            if count == 0 {
                return Err("the responder has gone".into());
            }
            filled += count;
        }
        Ok(())
    }
}
