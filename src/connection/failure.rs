//! Why a connection could not be opened, or ended.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use super::cancel::Stopped;
use crate::protocol::machine::Protocol;
use crate::types::token::TokenError;

/// What a connection was doing when its time was up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Resolving the host name.
    Resolve,
    /// Opening the TCP connection.
    Connect,
    /// The TLS handshake.
    Tls,
    /// Waiting for the greeting, STARTTLS and authentication.
    Login,
    /// Waiting for the user's code to get an access token.
    Token,
    /// Waiting for the next attempt to open a lost connection.
    Reconnect,
    /// In the command queue, before anything was written.
    Queue,
    /// The command was written and its reply has not come.
    Command,
    /// A reply has begun and does not go on.
    Stream,
    /// Waiting for what becomes of a mailbox.
    Idle,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Resolve => "resolving the host name",
            Self::Connect => "connecting",
            Self::Tls => "the TLS handshake",
            Self::Login => "greeting and authentication",
            Self::Token => "getting an access token",
            Self::Reconnect => "waiting to connect again",
            Self::Queue => "waiting in the command queue",
            Self::Command => "waiting for the reply",
            Self::Stream => "reading a reply that has begun",
            Self::Idle => "waiting for changes",
        })
    }
}

/// Why a connection could not be opened, or ended. `F` is the protocol's own kind of failure.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Failure<F> {
    #[error("the system refused {what}")]
    System {
        what: &'static str,
        source: Arc<io::Error>,
    },
    #[error("the host name cannot be resolved")]
    Resolve(#[source] Arc<io::Error>),
    #[error("no connection to {address}")]
    Connect {
        address: SocketAddr,
        source: Arc<io::Error>,
    },
    #[error("TLS failed")]
    Tls(#[source] Arc<native_tls::Error>),
    #[error("no access token")]
    Token(#[source] TokenError),
    #[error("the connection broke")]
    Io(#[source] Arc<io::Error>),
    #[error("the server closed the connection")]
    EndOfStream,
    #[error("time is up: {0}")]
    TimedOut(Phase),
    #[error("cancelled")]
    Cancelled,
    #[error("the server is silent")]
    Stalled,
    #[error("the connection has been closed")]
    Closed,
    #[error("more than {limit} bytes wait for their reader")]
    Overflow { limit: usize },
    #[error("more than {limit} bytes of a reply came that nobody wanted any more")]
    Unwanted { limit: usize },
    #[error("{0}")]
    Protocol(F),
}

impl<F> Failure<F> {
    pub(crate) fn system(what: &'static str, source: io::Error) -> Self {
        Self::System {
            what,
            source: Arc::new(source),
        }
    }

    /// What a wait that was stopped ends with; `phase` says what it waited for.
    pub(crate) fn stopped(stopped: Stopped, phase: Phase) -> Self {
        match stopped {
            Stopped::TimedOut => Self::TimedOut(phase),
            Stopped::Cancelled => Self::Cancelled,
        }
    }

    /// The same for an operation that may have been sent before.
    pub(super) fn of_repeated<P: Protocol<Failure = F>>(self, was_repeated: bool) -> Self {
        match self {
            Self::Protocol(failure) if was_repeated => Self::Protocol(P::of_repeated(failure)),
            other => other,
        }
    }

    pub(crate) fn io(source: io::Error) -> Self {
        Self::Io(Arc::new(source))
    }
}
