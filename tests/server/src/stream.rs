//! The session's side of a connection: bytes in and out, plain or under TLS, with the faults
//! that concern bytes.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

use native_tls::{HandshakeError, TlsAcceptor, TlsStream};

use crate::connection::{Connection, Outgoing, aborted};
use crate::faults::{Action, CutProgress, Hit, Layer};

/// Writes to the socket, and does what the rules for [`Layer::Wire`] say.
struct Wire {
    connection: Arc<Connection>,
    socket: Arc<TcpStream>,
    progress: CutProgress,
}

impl Wire {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let id = self.connection.id;
        let hub = Arc::clone(&self.connection.hub);
        let mut rest = bytes;
        loop {
            let mut count = rest.len();
            if let Some(size) = hub.faults.split(id, Layer::Wire) {
                count = count.min(size);
            }
            if let Some((left, action)) = hub.faults.cut(id, Layer::Wire, &mut self.progress) {
                if left == 0 {
                    self.act(action)?;
                    continue;
                }
                count = count.min(usize::try_from(left).unwrap_or(usize::MAX));
            }
            if rest.is_empty() {
                return Ok(());
            }
            let (now, later) = rest.split_at(count);
            self.write_now(now)?;
            self.progress.sent(now.len());
            rest = later;
        }
    }

    fn write_now(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.connection.is_stopped() {
                return Err(aborted());
            }
            match (&*self.socket).write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    rest = rest.get(count..).unwrap_or_default();
                    self.connection
                        .hub
                        .counters
                        .update(|counters| counters.bytes_out += count as u64);
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock
                            | io::ErrorKind::TimedOut
                            | io::ErrorKind::Interrupted
                    ) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn act(&mut self, action: Action) -> io::Result<()> {
        match action {
            Action::Stall => self.connection.wait_while(|| {
                let hub = &self.connection.hub;
                let cut = hub
                    .faults
                    .cut(self.connection.id, Layer::Wire, &mut self.progress);
                matches!(cut, Some((0, Action::Stall)))
            }),
            Action::Garbage(bytes) => {
                self.progress.done();
                self.write_now(&bytes)
            }
            Action::Farewell(bytes) => {
                self.progress.done();
                self.write_now(&bytes)?;
                self.act(Action::Close)
            }
            Action::Close | Action::CloseWithoutNotify => {
                let _ = self.socket.shutdown(Shutdown::Write);
                Err(aborted())
            }
            Action::Reset => {
                self.connection.reset();
                Err(aborted())
            }
        }
    }
}

/// The body of the thread that empties the delay line.
fn run_delay_line(connection: &Connection, mut wire: Wire) {
    while let Some(item) = connection.next_outgoing() {
        let result = match item {
            Outgoing::Bytes(bytes) => wire.write_all(&bytes),
            Outgoing::Shutdown => wire.act(Action::Close),
            Outgoing::Reset => wire.act(Action::Reset),
            Outgoing::End => break,
        };
        if result.is_err() {
            break;
        }
    }
    connection.outbound_over();
}

enum Outbound {
    Direct(Wire),
    Delayed(Option<JoinHandle<()>>),
}

/// The bytes of the connection as TLS or the session sees them.
struct Pipe {
    connection: Arc<Connection>,
    outbound: Outbound,
    block: bool,
}

impl Pipe {
    fn new(connection: Arc<Connection>) -> io::Result<Self> {
        let wire = Wire {
            socket: connection.socket()?,
            connection: Arc::clone(&connection),
            progress: CutProgress::default(),
        };
        Ok(Self {
            connection,
            outbound: Outbound::Direct(wire),
            block: false,
        })
    }

    fn act(&mut self, action: Action) -> io::Result<()> {
        match (&mut self.outbound, &action) {
            (Outbound::Direct(wire), _) => wire.act(action),
            (Outbound::Delayed(_), Action::Reset) => self.connection.push_outgoing(Outgoing::Reset),
            (Outbound::Delayed(_), _) => self.connection.push_outgoing(Outgoing::Shutdown),
        }
    }

    /// Starts the delay line if a delay is set and there is none yet.
    fn delay_if_asked(&mut self) -> io::Result<()> {
        let connection = &self.connection;
        let asked = !connection.hub.faults.delay_out(connection.id).is_zero();
        if !asked || matches!(self.outbound, Outbound::Delayed(_)) {
            return Ok(());
        }
        let Outbound::Direct(wire) = std::mem::replace(&mut self.outbound, Outbound::Delayed(None))
        else {
            return Ok(());
        };
        let shared = Arc::clone(connection);
        let thread = std::thread::Builder::new()
            .name(format!("delay-{}", connection.id))
            .spawn(move || run_delay_line(&shared, wire))?;
        self.outbound = Outbound::Delayed(Some(thread));
        Ok(())
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.connection.receive(buffer, self.block)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.delay_if_asked()?;
        match &mut self.outbound {
            Outbound::Direct(wire) => wire.write_all(bytes)?,
            Outbound::Delayed(_) => self
                .connection
                .push_outgoing(Outgoing::Bytes(bytes.to_vec()))?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        match &mut self.outbound {
            // After a reset there is to be no FIN.
            Outbound::Direct(wire) if !self.connection.is_stopped() => {
                let _ = wire.socket.shutdown(Shutdown::Write);
            }
            Outbound::Direct(_) => {}
            Outbound::Delayed(thread) => {
                let _ = self.connection.push_outgoing(Outgoing::Shutdown);
                let _ = self.connection.push_outgoing(Outgoing::End);
                if let Some(thread) = thread.take() {
                    let _ = thread.join();
                }
            }
        }
    }
}

enum Inner {
    Plain(Pipe),
    Tls(Box<TlsStream<Pipe>>),
    Gone,
}

/// What a look at the input found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    Some,
    Nothing,
    End,
}

/// A byte stream with a buffer for input, plain or under TLS.
pub(crate) struct Stream {
    pub(crate) connection: Arc<Connection>,
    inner: Inner,
    input: Vec<u8>,
    scratch: Vec<u8>,
    progress: CutProgress,
    flight: u64,
    /// Something was sent when all input had been taken: what comes next is a new flight.
    answered: bool,
    /// Input came while something was sent, and nobody was told.
    unseen: bool,
}

impl Stream {
    pub(crate) fn new(connection: Arc<Connection>) -> io::Result<Self> {
        let pipe = Pipe::new(Arc::clone(&connection))?;
        Ok(Self {
            connection,
            inner: Inner::Plain(pipe),
            input: Vec::new(),
            scratch: vec![0; 16 << 10],
            progress: CutProgress::default(),
            flight: 0,
            answered: true,
            unseen: false,
        })
    }

    /// What was received and not yet taken.
    pub(crate) fn input(&self) -> &[u8] {
        &self.input
    }

    /// The number of the flight that the input last received belongs to, from 1.
    ///
    /// A flight is what the client sends without waiting for an answer: a new one begins when
    /// there was no more input at the moment at which the server sent something.
    pub(crate) fn flight(&self) -> u64 {
        self.flight
    }

    /// Takes the first `count` bytes of the input.
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.input.split_off(count.min(self.input.len()));
        std::mem::replace(&mut self.input, rest)
    }

    /// Drops the first `count` bytes of the input.
    pub(crate) fn discard(&mut self, count: usize) {
        self.input.drain(..count.min(self.input.len()));
    }

    /// Reads what is there into the input, without waiting.
    pub(crate) fn fill(&mut self) -> io::Result<Filled> {
        if std::mem::take(&mut self.unseen) {
            return Ok(Filled::Some);
        }
        self.read_into_input()
    }

    fn read_into_input(&mut self) -> io::Result<Filled> {
        let result = match &mut self.inner {
            Inner::Plain(pipe) => pipe.read(&mut self.scratch),
            Inner::Tls(tls) => tls.read(&mut self.scratch),
            Inner::Gone => return Err(aborted()),
        };
        match result {
            Ok(0) => Ok(Filled::End),
            Ok(count) => {
                self.input
                    .extend_from_slice(self.scratch.get(..count).unwrap_or_default());
                if std::mem::take(&mut self.answered) {
                    self.flight += 1;
                }
                Ok(Filled::Some)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Filled::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Sends bytes, with the faults for [`Layer::Plaintext`].
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let id = self.connection.id;
        let hub = Arc::clone(&self.connection.hub);
        if !bytes.is_empty() && self.input.is_empty() {
            // An error shows again when the input is wanted.
            match self.read_into_input() {
                Ok(Filled::Nothing) => self.answered = true,
                Ok(Filled::Some) => self.unseen = true,
                Ok(Filled::End) | Err(_) => {}
            }
        }
        let mut rest = bytes;
        loop {
            let mut count = rest.len();
            if let Some(size) = hub.faults.split(id, Layer::Plaintext) {
                count = count.min(size);
            }
            if let Some((left, action)) = hub.faults.cut(id, Layer::Plaintext, &mut self.progress) {
                if left == 0 {
                    self.act(action)?;
                    continue;
                }
                count = count.min(usize::try_from(left).unwrap_or(usize::MAX));
            }
            if rest.is_empty() {
                return Ok(());
            }
            let (now, later) = rest.split_at(count);
            self.write_through(now)?;
            self.progress.sent(now.len());
            rest = later;
        }
    }

    fn write_through(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.inner {
            Inner::Plain(pipe) => pipe.write_all(bytes),
            Inner::Tls(tls) => tls.write_all(bytes),
            Inner::Gone => Err(aborted()),
        }
    }

    /// Does what a fault says.
    pub(crate) fn act(&mut self, action: Action) -> io::Result<()> {
        match action {
            Action::Stall => {
                let progress = &mut self.progress;
                let connection = &self.connection;
                connection.wait_while(|| {
                    let cut = connection
                        .hub
                        .faults
                        .cut(connection.id, Layer::Plaintext, progress);
                    matches!(cut, Some((0, Action::Stall)))
                })
            }
            Action::Garbage(bytes) => {
                self.progress.done();
                self.write_through(&bytes)
            }
            Action::Farewell(bytes) => {
                self.progress.done();
                self.write_through(&bytes)?;
                self.act(Action::Close)
            }
            Action::Close => {
                self.close();
                Err(aborted())
            }
            Action::CloseWithoutNotify | Action::Reset => {
                match &mut self.inner {
                    Inner::Plain(pipe) => pipe.act(action)?,
                    Inner::Tls(tls) => tls.get_mut().act(action)?,
                    Inner::Gone => {}
                }
                self.inner = Inner::Gone;
                Err(aborted())
            }
        }
    }

    /// Does what a rule about a point of the session says. Here a stall holds everything up, not
    /// only what is sent.
    pub(crate) fn obey(&mut self, hit: Hit) -> io::Result<()> {
        let connection = &self.connection;
        match hit.action {
            Action::Stall => {
                connection.wait_while(|| connection.hub.faults.has_point(connection.id, hit.id))
            }
            Action::Garbage(bytes) => self.write_through(&bytes),
            action => self.act(action),
        }
    }

    /// Makes the TLS handshake.
    pub(crate) fn start_tls(&mut self, acceptor: &TlsAcceptor) -> io::Result<()> {
        let Inner::Plain(mut pipe) = std::mem::replace(&mut self.inner, Inner::Gone) else {
            return Err(io::Error::other("TLS is on already"));
        };
        pipe.block = true;
        // A cut after no byte at all comes before the handshake.
        let _ = pipe.write(b"")?;
        let mut tls = acceptor.accept(pipe).map_err(|error| match error {
            HandshakeError::Failure(error) => io::Error::other(error),
            HandshakeError::WouldBlock(_) => io::ErrorKind::WouldBlock.into(),
        })?;
        tls.get_mut().block = false;
        self.inner = Inner::Tls(Box::new(tls));
        self.connection.update_info(|info| info.tls = true);
        self.connection
            .hub
            .counters
            .update(|counters| counters.tls_handshakes += 1);
        Ok(())
    }

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self.inner, Inner::Tls(_))
    }

    /// `tls-server-end-point` (RFC 5929 §4), as the server sees it.
    pub(crate) fn end_point(&self) -> Option<Vec<u8>> {
        match &self.inner {
            Inner::Tls(tls) => tls.tls_server_end_point().ok().flatten(),
            Inner::Plain(_) | Inner::Gone => None,
        }
    }

    /// Ends the stream in an orderly way: close_notify under TLS, then FIN.
    pub(crate) fn close(&mut self) {
        if let Inner::Tls(mut tls) = std::mem::replace(&mut self.inner, Inner::Gone) {
            let _ = tls.shutdown();
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.inner = Inner::Gone;
        self.connection.session_over();
    }
}
