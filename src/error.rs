//! The error of every public operation.

mod conversions;
mod imap;
mod kind;
mod smtp;

use std::fmt;

pub(crate) use self::conversions::ProtocolFailure;
use self::conversions::kind_of;
pub use self::kind::ErrorKind;
use crate::connection::failure::Failure;
use crate::protocol::imap::session::operation;
use crate::protocol::smtp::session::operation::says_too_many;
use crate::types::response_code::ResponseCode;
use crate::types::sasl::SaslFailure;
use crate::types::smtp::reply::SmtpReply;
use crate::types::smtp::report::RecipientOutcome;

/// A result with mailpool's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Why an operation failed, and how sure it is that it did not happen.
///
/// # Examples
/// ```
/// # fn example(error: mailpool::Error) {
/// use mailpool::{Certainty, ErrorKind};
///
/// match error.kind() {
///     ErrorKind::NoPermit { holders, .. } => {
///         for holder in holders {
///             eprintln!("{holder}");
///         }
///     }
///     _ if error.certainty() == Certainty::NotSent => eprintln!("may be tried again: {error}"),
///     _ => eprintln!("{error}"),
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    certainty: Certainty,
}

/// How sure it is that a failed operation was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Certainty {
    /// The server has not seen the operation.
    NotSent,
    /// The operation was written, or some of it, and no answer came: it may have been carried
    /// out.
    MaybeExecuted,
    /// The server said no, and nothing was done. Where an operation takes several commands (a
    /// long message set, a move on a server without MOVE) and one of them succeeded, it is
    /// [`MaybeExecuted`](Self::MaybeExecuted) instead.
    Rejected,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, certainty: Certainty) -> Self {
        Self(Box::new(Inner { kind, certainty }))
    }

    pub(crate) fn unreachable<F: ProtocolFailure>(
        attempts: u32,
        failure: Failure<F>,
        certainty: Certainty,
    ) -> Self {
        let last = Box::new(kind_of(failure));
        Self::new(ErrorKind::Unreachable { attempts, last }, certainty)
    }

    pub(crate) fn not_sent(kind: ErrorKind) -> Self {
        Self::new(kind, Certainty::NotSent)
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// How sure it is that the operation was not carried out.
    pub fn certainty(&self) -> Certainty {
        self.0.certainty
    }

    /// Whether a deadline passed, that of a wait for a permit included.
    pub fn is_timeout(&self) -> bool {
        matches!(
            self.kind(),
            ErrorKind::Timeout { .. }
                | ErrorKind::Unreachable { .. }
                | ErrorKind::ShutdownTimeout { .. }
                | ErrorKind::NoPermit {
                    waited: Some(_),
                    ..
                }
        )
    }

    /// Whether a token was cancelled.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.kind(), ErrorKind::Cancelled)
    }

    /// Whether the operation may be tried again without the danger of doing it twice: the server
    /// has not seen it, and nobody wanted its end.
    pub fn is_safe_to_retry(&self) -> bool {
        self.certainty() == Certainty::NotSent
            && (self.is_timeout() || self.is_connection() || self.is_too_many_connections())
    }

    /// Whether the connection could not be opened or was lost.
    pub fn is_connection(&self) -> bool {
        matches!(
            self.kind(),
            ErrorKind::Resolve { .. }
                | ErrorKind::Connect { .. }
                | ErrorKind::Tls { .. }
                | ErrorKind::Io { .. }
                | ErrorKind::Closed
                | ErrorKind::Unreachable { .. }
                | ErrorKind::Bye { .. }
                | ErrorKind::SmtpClosing { .. }
                | ErrorKind::Stalled
        )
    }

    /// Whether the server did not prove in a SCRAM login that it knows the password: somebody
    /// else may be answering.
    pub fn is_server_not_authenticated(&self) -> bool {
        matches!(
            self.kind(),
            ErrorKind::Sasl {
                failure: SaslFailure::ServerNotAuthenticated(_),
                ..
            }
        )
    }

    /// Whether the server refused the credentials.
    pub fn is_authentication(&self) -> bool {
        matches!(self.kind(), ErrorKind::Authentication { .. })
    }

    /// Whether an SMTP server has refused a message for the time being (4yz): the same may succeed
    /// later.
    pub fn is_transient_refusal(&self) -> bool {
        match self.kind() {
            ErrorKind::SmtpRefused { reply, .. } => reply.is_transient(),
            ErrorKind::NobodyAccepted { recipients } => {
                recipients.iter().all(|one| match &one.outcome {
                    RecipientOutcome::Refused(reply) => reply.is_transient(),
                    _ => false,
                })
            }
            _ => false,
        }
    }

    /// The reply of an SMTP server, where it gave one.
    pub fn smtp_reply(&self) -> Option<&SmtpReply> {
        match self.kind() {
            ErrorKind::SmtpRefused { reply, .. } | ErrorKind::SmtpClosing { reply } => Some(reply),
            _ => None,
        }
    }

    /// The response code of the server, where it gave one.
    pub fn response_code(&self) -> Option<&ResponseCode> {
        match self.kind() {
            ErrorKind::Bye { code, .. }
            | ErrorKind::Authentication { code, .. }
            | ErrorKind::Rejected { code, .. } => code.as_ref(),
            _ => None,
        }
    }

    /// Whether the server has as many connections of this account as it allows.
    ///
    /// There is no one way to say so: it is told by `[LIMIT]` or `[INUSE]` in a goodbye or in
    /// the answer to the login, or by the words "too many" or "maximum" together with
    /// "connection". To other commands those codes are about messages and mailboxes (RFC 5530
    /// §3).
    pub fn is_too_many_connections(&self) -> bool {
        if let ErrorKind::NoPermit { withheld, .. } = self.kind() {
            return *withheld > 0;
        }
        if let ErrorKind::SmtpClosing { reply } = self.kind() {
            return says_too_many(reply);
        }
        let (ErrorKind::Bye { text, .. }
        | ErrorKind::Authentication { text, .. }
        | ErrorKind::Rejected { text, .. }) = self.kind()
        else {
            return false;
        };
        let of_a_command = matches!(self.kind(), ErrorKind::Rejected { .. });
        operation::says_too_many(self.response_code(), text, of_a_command)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.kind.fmt(f)?;
        let of_one_message = matches!(
            self.0.kind,
            ErrorKind::Message { .. } | ErrorKind::PassedOver
        );
        if self.0.certainty == Certainty::MaybeExecuted && !of_one_message {
            f.write_str(" (the command may have been carried out)")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("certainty", &self.0.certainty)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.0.kind)
    }
}
