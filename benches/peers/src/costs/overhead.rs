//! A command without a network: ours, and a bare socket against the same responder.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use crate::job::{Outcome, Result, Target, median};
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
