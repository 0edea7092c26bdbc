//! A nonblocking socket, plain or TLS, and nothing about what travels over it.

use std::io::{self, Read, Write};

use mio::net::TcpStream;
use native_tls::{HandshakeError, MidHandshakeTlsStream, TlsConnector, TlsStream};

use crate::wire::receive::ReceiveBuffer;
use crate::wire::send::SendBuffer;

/// How to do TLS: built once for a client, used by all its connections.
#[derive(Clone)]
pub(crate) struct Tls {
    pub connector: TlsConnector,
    /// The name that the certificate must bear, also sent as SNI.
    pub server_name: String,
}

/// What became of a handshake step.
pub(crate) enum Handshake {
    Done,
    /// The socket has to become ready first.
    Blocked,
}

/// What became of a read.
pub(crate) enum ReadOutcome {
    /// Bytes were read; `drained` says that the socket has no more for now.
    Some {
        drained: bool,
    },
    Blocked,
    /// FIN, with or without a TLS close_notify: never a success by itself.
    EndOfStream,
}

/// A connected socket.
pub(crate) enum Transport {
    Plain(TcpStream),
    Handshaking(Option<MidHandshakeTlsStream<TcpStream>>),
    Tls(Box<TlsStream<TcpStream>>),
    /// No socket.
    Closed,
}

impl Transport {
    /// Begins a TLS handshake over a plain connection.
    pub(crate) fn start_tls(&mut self, tls: &Tls) -> Result<Handshake, TlsFailure> {
        match std::mem::replace(self, Self::Closed) {
            Self::Plain(stream) => {
                let step = tls.connector.connect(&tls.server_name, stream);
                self.after_handshake_step(step)
            }
            other => {
                *self = other;
                Err(TlsFailure::NotPlain)
            }
        }
    }

    /// Goes on with a handshake after the socket became ready in either direction: native-tls
    /// does not say which one it waits for, and readiness is reported by edges, so trying
    /// again on each of them neither hangs nor spins.
    pub(crate) fn continue_handshake(&mut self) -> Result<Handshake, TlsFailure> {
        match self {
            Self::Handshaking(mid) => match mid.take() {
                Some(mid) => {
                    let step = mid.handshake();
                    self.after_handshake_step(step)
                }
                None => Err(TlsFailure::NotPlain),
            },
            _ => Ok(Handshake::Done),
        }
    }

    fn after_handshake_step(
        &mut self,
        step: Result<TlsStream<TcpStream>, HandshakeError<TcpStream>>,
    ) -> Result<Handshake, TlsFailure> {
        match step {
            Ok(stream) => {
                *self = Self::Tls(Box::new(stream));
                Ok(Handshake::Done)
            }
            Err(HandshakeError::WouldBlock(mid)) => {
                *self = Self::Handshaking(Some(mid));
                Ok(Handshake::Blocked)
            }
            Err(HandshakeError::Failure(error)) => {
                *self = Self::Closed;
                Err(TlsFailure::Tls(error))
            }
        }
    }

    /// What tells this TLS connection from any other one: a hash of the server's certificate
    /// (`tls-server-end-point`, RFC 5929 §4). Not every certificate has one.
    pub(crate) fn end_point(&self) -> Option<Vec<u8>> {
        let Self::Tls(stream) = self else {
            return None;
        };
        match stream.tls_server_end_point() {
            Ok(end_point) => end_point,
            Err(error) => {
                log::debug!("no channel binding: {error}");
                None
            }
        }
    }

    /// Reads once into `buffer`.
    pub(crate) fn read(&mut self, buffer: &mut ReceiveBuffer) -> io::Result<ReadOutcome> {
        let room = buffer.room();
        let size = room.len();
        let result = match self {
            Self::Plain(stream) => stream.read(room),
            Self::Tls(stream) => stream.read(room),
            Self::Handshaking(_) => return Ok(ReadOutcome::Blocked),
            Self::Closed => return Err(io::ErrorKind::NotConnected.into()),
        };
        match result {
            Ok(0) => Ok(ReadOutcome::EndOfStream),
            Ok(count) => {
                buffer.advance(count);
                // Decrypted bytes can wait inside the TLS layer: only WouldBlock says that
                // there are none. A plain socket that fills less than the room is empty.
                let drained = matches!(self, Self::Plain(_)) && count < size;
                Ok(ReadOutcome::Some { drained })
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(ReadOutcome::Blocked),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                Ok(ReadOutcome::Some { drained: false })
            }
            Err(error) => Err(error),
        }
    }

    /// Writes as much of `buffer` as the socket takes. Returns whether it took everything.
    ///
    /// After a write that would block the next one offers the same bytes from the same place:
    /// OpenSSL insists on it.
    pub(crate) fn write(&mut self, buffer: &mut SendBuffer) -> io::Result<bool> {
        while !buffer.is_empty() {
            let result = match self {
                Self::Plain(stream) => stream.write_vectored(&buffer.slices()),
                Self::Tls(stream) => {
                    let front = buffer.front();
                    let offered = front.len();
                    let result = stream.write(front);
                    buffer.offer(result.as_ref().map_or(offered, |_| 0));
                    result
                }
                Self::Handshaking(_) => return Ok(false),
                Self::Closed => return Err(io::ErrorKind::NotConnected.into()),
            };
            match result {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => buffer.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Sends close_notify where there is TLS, as far as it goes at once, and closes the socket.
    pub(crate) fn close(&mut self) {
        if let Self::Tls(stream) = self {
            let _ = stream.shutdown();
        }
        *self = Self::Closed;
    }
}

/// Why TLS could not be had.
pub(crate) enum TlsFailure {
    Tls(native_tls::Error),
    /// The connection is not a plain one.
    NotPlain,
}
