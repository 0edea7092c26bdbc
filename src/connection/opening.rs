//! The beginning of a connection: resolver, TCP, TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::TryRecvError;
use mio::Interest;
use mio::net::TcpStream;

use super::clock::earlier;
use super::connect;
use super::event_loop::{EventLoop, Fail};
use super::failure::{Failure, Phase};
use super::transport::{Handshake, TlsFailure, Transport};
use crate::protocol::machine::Protocol;
use crate::types::token::IssuedToken;

impl<P: Protocol> EventLoop<P> {
    /// Resolves, connects and, with implicit TLS, shakes hands.
    pub(super) fn open(&mut self) -> Result<(), Fail<P>> {
        let addresses = self.resolve()?;
        self.connect(&addresses)?;
        if self.settings.implicit_tls {
            self.handshake()?;
        }
        self.enter(Phase::Login);
        self.protocol.connected();
        Ok(())
    }

    pub(super) fn enter(&mut self, phase: Phase) {
        self.shared.counters.set_phase(Some(phase));
    }

    fn resolve(&mut self) -> Result<Vec<SocketAddr>, Fail<P>> {
        self.enter(Phase::Resolve);
        let bell = Arc::clone(&self.shared);
        let answer = connect::resolve(&self.settings.host, self.settings.port, move || {
            // Not the doorbell: the thread may have looked for the answer already and not be
            // asleep yet.
            bell.doorbell.wake();
        })
        .map_err(|error| Failure::system("a thread", error))?;
        loop {
            if let Ok(answer) = answer.try_recv() {
                let addresses = answer.map_err(|error| Failure::Resolve(Arc::new(error)))?;
                if addresses.is_empty() {
                    let none = io::Error::new(io::ErrorKind::NotFound, "no address");
                    return Err(Failure::Resolve(Arc::new(none)));
                }
                return Ok(addresses);
            }
            self.wait_while_opening(self.open_by)?;
        }
    }

    /// Tries the addresses one after the other, each with its share of the time that is left:
    /// one socket at a time, so that the quota also holds while connecting.
    fn connect(&mut self, addresses: &[SocketAddr]) -> Result<(), Fail<P>> {
        self.enter(Phase::Connect);
        let mut last = Failure::TimedOut(Phase::Connect);
        for (index, address) in addresses.iter().enumerate() {
            let left = addresses.len() - index;
            let until = self.open_by.map(|open_by| {
                let now = Instant::now();
                let share = open_by.saturating_duration_since(now)
                    / u32::try_from(left).unwrap_or(u32::MAX);
                now + share
            });
            match self.connect_to(*address, until) {
                Ok(()) => return Ok(()),
                Err(Failure::Closed) => return Err(Failure::Closed),
                Err(failure) => {
                    log::debug!("{} {address}: {failure}", self.settings.protocol);
                    last = failure;
                }
            }
        }
        Err(last)
    }

    fn connect_to(&mut self, address: SocketAddr, until: Option<Instant>) -> Result<(), Fail<P>> {
        let refused = |source: Arc<io::Error>| Failure::Connect { address, source };
        let mut stream = TcpStream::connect(address).map_err(|error| {
            // EMFILE and its like are the system's refusal, not the peer's.
            if matches!(error.raw_os_error(), Some(23 | 24)) {
                Failure::system("a socket", error)
            } else {
                refused(Arc::new(error))
            }
        })?;
        self.readable = false;
        self.writable = false;
        self.read_closed = false;
        self.poll
            .registry()
            .register(
                &mut stream,
                Self::SOCKET,
                Interest::READABLE | Interest::WRITABLE,
            )
            .map_err(|error| Failure::system("readiness events", error))?;
        loop {
            if self.writable || self.readable {
                match connect::connected(&stream) {
                    Some(Ok(())) => break,
                    Some(Err(error)) => return Err(refused(error)),
                    None => self.writable = false,
                }
            }
            self.wait_while_opening(until)?;
        }
        // Without it a peer's delayed ACK holds up every second small write.
        if let Err(error) = stream.set_nodelay(true) {
            return Err(refused(Arc::new(error)));
        }
        if let Some(time) = self.settings.tcp_keep_alive {
            connect::keep_alive(&stream, time);
        }
        self.transport = Transport::Plain(stream);
        Ok(())
    }

    pub(super) fn handshake(&mut self) -> Result<(), Fail<P>> {
        self.enter(Phase::Tls);
        let settings = Arc::clone(&self.settings);
        let Some(tls) = &settings.tls else {
            return Err(Failure::io(io::ErrorKind::Unsupported.into()));
        };
        let mut step = self.transport.start_tls(tls);
        loop {
            match step {
                Ok(Handshake::Done) => break,
                Ok(Handshake::Blocked) => {}
                Err(TlsFailure::Tls(error)) => return Err(Failure::Tls(Arc::new(error))),
                Err(TlsFailure::NotPlain) => {
                    return Err(Failure::io(io::ErrorKind::NotConnected.into()));
                }
            }
            self.wait_while_opening(self.open_by)?;
            step = self.transport.continue_handshake();
        }
        if let Some(end_point) = self.transport.end_point() {
            self.protocol.channel_is_bound_by(end_point);
        }
        // Records that came with the last handshake message wait inside the TLS layer.
        self.readable = true;
        self.writable = true;
        Ok(())
    }

    /// Gets an access token, in the time that is left for opening.
    pub(super) fn fetch_token(&mut self) -> Result<IssuedToken, Fail<P>> {
        let settings = Arc::clone(&self.settings);
        let Some(tokens) = &settings.tokens else {
            return Err(Failure::io(io::ErrorKind::Unsupported.into()));
        };
        let bell = Arc::clone(&self.shared);
        // As with the resolver, not the doorbell.
        let answer = tokens.request(move || bell.doorbell.wake());
        self.enter(Phase::Token);
        loop {
            match answer.try_recv() {
                Ok(answer) => {
                    self.enter(Phase::Login);
                    return answer.map_err(Failure::Token);
                }
                Err(TryRecvError::Empty) => self.wait_while_opening(self.open_by)?,
                Err(TryRecvError::Disconnected) => {
                    return Err(Failure::io(io::ErrorKind::BrokenPipe.into()));
                }
            }
        }
    }

    /// Sleeps until something happens, while there is no session yet.
    pub(super) fn wait_while_opening(&mut self, until: Option<Instant>) -> Result<(), Fail<P>> {
        self.take_requests();
        if self.closing.is_some() {
            return Err(Failure::Closed);
        }
        if self.is_given_up() {
            return Err(Failure::EndOfStream);
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            let phase = self.shared.counters.phase().unwrap_or(Phase::Login);
            return Err(Failure::TimedOut(phase));
        }
        let due = self.hooks.housekeeping(self.shared.id, Instant::now());
        self.sleep(earlier(until, due))
    }
}
