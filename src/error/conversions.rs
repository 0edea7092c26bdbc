//! What the layers below fail with, as public errors.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use super::{Certainty, Error, ErrorKind};
use crate::connection::failure::Failure;
use crate::connection::slot::Progress;
use crate::pool::pool::PoolError;
use crate::protocol::imap::session::operation;
use crate::types::invalid::InvalidArgument;
use crate::types::mailbox_name::InvalidMailboxName;

impl Error {
    pub(crate) fn from_failure(failure: Failure<operation::Failure>, progress: Progress) -> Self {
        let certainty = match (&failure, progress) {
            (Failure::Protocol(operation::Failure::Rejected { partly: false, .. }), _) => {
                Certainty::Rejected
            }
            (_, Progress::NotWritten) => Certainty::NotSent,
            (_, Progress::Written) => Certainty::MaybeExecuted,
        };
        Self::new(kind_of(failure), certainty)
    }

    pub(crate) fn from_pool(
        error: PoolError<operation::Failure>,
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

pub(super) fn kind_of(failure: Failure<operation::Failure>) -> ErrorKind {
    match failure {
        Failure::System { what, source } => ErrorKind::System { what, source },
        Failure::Resolve(source) => ErrorKind::Resolve { source },
        Failure::Connect { address, source } => ErrorKind::Connect { address, source },
        Failure::Tls(source) => ErrorKind::Tls { source },
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
        Failure::Protocol(failure) => kind_of_imap(failure),
    }
}

fn kind_of_imap(failure: operation::Failure) -> ErrorKind {
    use operation::Failure;
    match failure {
        Failure::Rejected {
            verb: "LOGIN" | "AUTHENTICATE",
            code,
            text,
            ..
        } => ErrorKind::Authentication {
            code: code.map(|code| *code),
            text,
        },
        Failure::Rejected {
            verb,
            status,
            code,
            text,
            partly: _,
        } => ErrorKind::Rejected {
            verb,
            status,
            code: code.map(|code| *code),
            text,
        },
        Failure::Bye { code, text } => ErrorKind::Bye {
            code: code.map(|code| *code),
            text,
        },
        Failure::Missing(capability) => ErrorKind::MissingCapability { capability },
        failure @ (Failure::NoStartTls | Failure::Injected(_) | Failure::PreAuthBeforeTls) => {
            ErrorKind::StartTls {
                reason: failure.to_string(),
            }
        }
        Failure::Cleartext => ErrorKind::CleartextPassword,
        Failure::NoMechanism => ErrorKind::NoMechanism,
        Failure::UidValidity { expected, found } => {
            ErrorKind::UidValidityChanged { expected, found }
        }
        Failure::Invalid(invalid) => ErrorKind::InvalidArgument(invalid),
        Failure::Protocol(reason) => ErrorKind::Protocol { reason },
        Failure::Limit { what, limit } => ErrorKind::Limit { what, limit },
        Failure::Silent => ErrorKind::Stalled,
        Failure::Following => ErrorKind::Idling,
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
