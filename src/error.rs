//! The error of every public operation.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::connection::failure::{Failure, Phase};
use crate::connection::slot::Progress;
use crate::pool::ledger::Holder;
use crate::pool::pool::PoolError;
use crate::protocol::imap::session::operation;
use crate::types::ids::{Uid, UidValidity};
use crate::types::invalid::InvalidArgument;
use crate::types::mailbox_name::InvalidMailboxName;
use crate::types::response_code::ResponseCode;
use crate::types::sasl::{SaslFailure, SaslMechanism};
use crate::types::token::TokenError;

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

/// What kind of failure an [`Error`] is.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// `create_connection` was called on the thread that created the client, whose route is
    /// the main connection.
    #[error(
        "create_connection() was called on the thread that created the client: this thread \
         uses the main connection, call it on a worker thread"
    )]
    CreatingThread,
    /// `create_connection` was called with a quota of one connection.
    #[error(
        "create_connection() needs a quota of at least 2: with \
         max_connections_per_server(1) every thread uses the main connection, do without a scope"
    )]
    SingleConnection,
    /// No connection of the quota became free in time.
    #[error(
        "no connection of {limit} became free{}{}{}",
        waited_text(.waited), withheld_text(*.withheld), holders_text(.holders)
    )]
    NoPermit {
        /// The quota.
        limit: usize,
        /// How long it was waited for; `None` where it was only tried.
        waited: Option<Duration>,
        /// How many are not used for a while because the server has refused more.
        withheld: usize,
        /// Who holds the connections.
        holders: Vec<Holder>,
    },
    /// The client has been shut down, or the connection closed by this side.
    #[error("the client has been shut down")]
    ShutDown,
    /// The shutdown took longer than it was given.
    #[error("connections were left open at the end of the shutdown's time{}", holders_text(.holders))]
    ShutdownTimeout {
        /// What is left.
        holders: Vec<Holder>,
    },
    /// The deadline passed.
    #[error("time is up: {phase}")]
    Timeout {
        /// During what.
        phase: Phase,
    },
    /// A token was cancelled: [`CancelToken`](crate::CancelToken).
    #[error("cancelled")]
    Cancelled,
    /// The connection was lost, and could not be opened anew before the deadline.
    #[error("the server could not be reached in time; attempts that failed: {attempts}")]
    Unreachable {
        /// Attempts to connect that failed.
        attempts: u32,
        /// Why the last one failed, or the connection was lost.
        #[source]
        last: Box<ErrorKind>,
    },
    /// A background task panicked.
    #[error("the task panicked: {message}")]
    TaskPanicked {
        /// The panic's message, if it was a text.
        message: String,
    },
    /// The result of a background task has been taken already.
    #[error("the task's result has been taken already")]
    ResultTaken,
    /// The operating system refused a thread or a descriptor.
    #[error("the system refused {what}")]
    System {
        /// What was refused.
        what: &'static str,
        /// Its reason.
        source: Arc<io::Error>,
    },
    /// The host name cannot be resolved.
    #[error("the host name cannot be resolved")]
    Resolve {
        /// The resolver's reason.
        source: Arc<io::Error>,
    },
    /// The server cannot be reached.
    #[error("no connection to {address}")]
    Connect {
        /// The address that was tried last.
        address: SocketAddr,
        /// The reason.
        source: Arc<io::Error>,
    },
    /// The TLS handshake failed, or a certificate of the builder cannot be used.
    #[error("TLS failed")]
    Tls {
        /// The TLS library's reason.
        source: Arc<native_tls::Error>,
    },
    /// STARTTLS is required and cannot be had, or was tampered with.
    #[error("STARTTLS failed: {reason}")]
    StartTls {
        /// What went wrong.
        reason: String,
    },
    /// The connection broke.
    #[error("the connection broke")]
    Io {
        /// The socket's reason.
        source: Arc<io::Error>,
    },
    /// The server closed the connection, without a word or with TLS only.
    #[error("the server closed the connection")]
    Closed,
    /// The server said goodbye.
    #[error("the server said goodbye: {text}")]
    Bye {
        /// Its response code.
        code: Option<ResponseCode>,
        /// Its words.
        text: String,
    },
    /// The server has been silent for longer than it may be.
    #[error("the server is silent")]
    Stalled,
    /// The server refused the credentials.
    #[error("the server refused the credentials: {text}")]
    Authentication {
        /// Its response code.
        code: Option<ResponseCode>,
        /// Its words.
        text: String,
    },
    /// Nothing that the server offers for authentication can be used.
    #[error(
        "the server offers no way to authenticate that can be used: it offers {}, possible would \
         be {}", list_text(.offered), list_text(.possible)
    )]
    NoMechanism {
        /// The SASL mechanisms that the server offers.
        offered: Vec<String>,
        /// Those that the credentials, the transport and the builder's settings allow.
        possible: Vec<SaslMechanism>,
    },
    /// This side gave the login up: the server did not prove itself, or made no sense.
    #[error("the login by {mechanism} was given up: {failure}")]
    Sasl {
        /// The mechanism.
        mechanism: SaslMechanism,
        /// Why.
        failure: SaslFailure,
    },
    /// The token provider gave no access token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The password, or the access token, would have been sent without TLS.
    #[error(
        "the password or token would be sent in clear: use TLS or STARTTLS, or allow it with \
         allow_cleartext_password()"
    )]
    CleartextPassword,
    /// The server answered NO or BAD.
    #[error("the server answered {status} to {verb}: {text}")]
    Rejected {
        /// The command.
        verb: &'static str,
        /// `NO` or `BAD`.
        status: &'static str,
        /// Its response code.
        code: Option<ResponseCode>,
        /// Its words.
        text: String,
    },
    /// The server does not offer an extension that the operation needs.
    #[error("the server does not offer {capability}")]
    MissingCapability {
        /// The capability's name.
        capability: &'static str,
    },
    /// The UIDs belong to an earlier state of the mailbox.
    #[error("the UIDs belong to UIDVALIDITY {expected}, the mailbox has {}", option_text(.found))]
    UidValidityChanged {
        /// What the UIDs belong to.
        expected: UidValidity,
        /// What the mailbox has now.
        found: Option<UidValidity>,
    },
    /// A conditional change left the message alone: it has changed since (RFC 7162 §3.1.3).
    #[error("the message has changed meanwhile")]
    ChangedMeanwhile,
    /// An argument cannot be sent.
    #[error(transparent)]
    InvalidArgument(#[from] InvalidArgument),
    /// The server broke the protocol; the connection is given up.
    #[error("protocol error: {reason}")]
    Protocol {
        /// What was wrong.
        reason: String,
    },
    /// One message of a reply could not be read. The others follow.
    #[error("message {}: {reason}", option_text(.uid))]
    Message {
        /// Its UID, if that could be read.
        uid: Option<Uid>,
        /// What was wrong.
        reason: String,
        /// A limit was exceeded, rather than the grammar violated.
        is_limit: bool,
    },
    /// What the server sent is beyond a limit.
    #[error("{what} beyond the limit of {limit}")]
    Limit {
        /// What is too large or too many.
        what: &'static str,
        /// The limit; [`Limits`](crate::Limits) says how to raise it.
        limit: u64,
    },
    /// A reply was not read while other callers waited behind it, until too much had to be
    /// kept in memory.
    #[error("more than {limit} bytes of a reply waited for their reader while others waited")]
    SlowReader {
        /// The limit.
        limit: usize,
    },
    /// The connection idles for another caller already.
    #[error(
        "the connection idles already, and can follow one mailbox only: take a connection of \
         your own with create_connection()"
    )]
    Idling,
    /// The calling thread has its connection for itself, and would not let go of it while it
    /// waits.
    #[error(
        "idle() was called inside an exclusive session, which nothing can interrupt: end the \
         session first, or idle on another thread"
    )]
    InExclusive,
    /// The body of a streamed message was passed over: the iterator went on.
    #[error("the body has been passed over")]
    PassedOver,
}

fn waited_text(waited: &Option<Duration>) -> String {
    waited.map_or_else(String::new, |waited| format!(" within {waited:.1?}"))
}

fn withheld_text(withheld: usize) -> String {
    match withheld {
        0 => String::new(),
        _ => format!("; the server allows {withheld} fewer at present"),
    }
}

fn holders_text(holders: &[Holder]) -> String {
    let list: Vec<String> = holders.iter().map(ToString::to_string).collect();
    if list.is_empty() {
        String::new()
    } else {
        format!(" ({})", list.join("; "))
    }
}

fn list_text<T: fmt::Display>(list: &[T]) -> String {
    if list.is_empty() {
        return "nothing".to_owned();
    }
    let list: Vec<String> = list.iter().map(ToString::to_string).collect();
    list.join(", ")
}

fn option_text<T: fmt::Display>(value: &Option<T>) -> String {
    value
        .as_ref()
        .map_or_else(|| "(unknown)".to_owned(), ToString::to_string)
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, certainty: Certainty) -> Self {
        Self(Box::new(Inner { kind, certainty }))
    }

    pub(crate) fn unreachable(
        attempts: u32,
        failure: Failure<operation::Failure>,
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
        let (ErrorKind::Bye { text, .. }
        | ErrorKind::Authentication { text, .. }
        | ErrorKind::Rejected { text, .. }) = self.kind()
        else {
            return false;
        };
        let of_a_command = matches!(self.kind(), ErrorKind::Rejected { .. });
        operation::says_too_many(self.response_code(), text, of_a_command)
    }

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

pub(crate) fn kind_of(failure: Failure<operation::Failure>) -> ErrorKind {
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
        Failure::NoMechanism { offered, possible } => ErrorKind::NoMechanism { offered, possible },
        Failure::Sasl { mechanism, failure } => ErrorKind::Sasl { mechanism, failure },
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
