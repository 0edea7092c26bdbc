//! What the layers below fail with, as public errors.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{Certainty, Error, ErrorKind};
use crate::connection::failure::Failure;
use crate::connection::slot::Progress;
use crate::pool::pool::PoolError;
use crate::types::invalid::InvalidArgument;
use crate::types::mailbox_name::InvalidMailboxName;

/// A protocol's own failures, as users see them.
pub(crate) trait ProtocolFailure: Clone + Send + Sync + 'static {
    /// What kind of error it is.
    fn into_kind(self) -> ErrorKind;

    /// Whether the server has said no, and nothing was done.
    fn is_refusal(&self) -> bool;
}

impl Error {
    pub(crate) fn from_failure<F: ProtocolFailure>(
        failure: Failure<F>,
        progress: Progress,
    ) -> Self {
        let certainty = match (&failure, progress) {
            (Failure::Protocol(failure), _) if failure.is_refusal() => Certainty::Rejected,
            (_, Progress::NotWritten) => Certainty::NotSent,
            (_, Progress::Written) => Certainty::MaybeExecuted,
        };
        Self::new(kind_of(failure), certainty)
    }

    /// The system has no thread to give.
    pub(crate) fn no_thread(source: io::Error) -> Self {
        Self::not_sent(ErrorKind::System {
            what: "a thread",
            source: Arc::new(source),
        })
    }

    pub(crate) fn from_pool<F: ProtocolFailure>(
        error: PoolError<F>,
        limit: usize,
        waited: Option<Duration>,
    ) -> Self {
        let kind = match error {
            PoolError::CreatingThread => ErrorKind::CreatingThread,
            PoolError::SingleConnection => ErrorKind::SingleConnection,
            PoolError::NoPermit { holders, withheld } => ErrorKind::NoPermit {
                limit,
                waited,
                withheld,
                holders,
            },
            PoolError::Cancelled => ErrorKind::Cancelled,
            PoolError::ShutDown => ErrorKind::ShutDown,
            PoolError::Failure(failure) => {
                return Self::from_failure(failure, Progress::NotWritten);
            }
        };
        Self::not_sent(kind)
    }
}

pub(super) fn kind_of<F: ProtocolFailure>(failure: Failure<F>) -> ErrorKind {
    match failure {
        Failure::System { what, source } => ErrorKind::System { what, source },
        Failure::Resolve(source) => ErrorKind::Resolve { source },
        Failure::Connect { address, source } => ErrorKind::Connect { address, source },
        Failure::Tls(source) => ErrorKind::Tls { source },
        Failure::Token(error) => ErrorKind::Token(error),
        Failure::Io(source) => ErrorKind::Io { source },
        Failure::EndOfStream => ErrorKind::Closed,
        Failure::TimedOut(phase) => ErrorKind::Timeout { phase },
        Failure::Cancelled => ErrorKind::Cancelled,
        Failure::Unwanted { limit } => ErrorKind::Limit {
            what: "a reply that nobody wanted any more",
            limit: limit as u64,
        },
        Failure::Stalled => ErrorKind::Stalled,
        Failure::Closed => ErrorKind::ShutDown,
        Failure::Overflow { limit } => ErrorKind::SlowReader { limit },
        Failure::Protocol(failure) => failure.into_kind(),
    }
}

impl From<InvalidArgument> for Error {
    fn from(invalid: InvalidArgument) -> Self {
        Self::not_sent(ErrorKind::InvalidArgument(invalid))
    }
}

impl From<InvalidMailboxName> for Error {
    fn from(invalid: InvalidMailboxName) -> Self {
        InvalidArgument::from(invalid).into()
    }
}

impl From<Infallible> for Error {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::Timeout { .. } | ErrorKind::Stalled => io::ErrorKind::TimedOut,
            ErrorKind::Closed => io::ErrorKind::UnexpectedEof,
            ErrorKind::Io { source } => source.kind(),
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
