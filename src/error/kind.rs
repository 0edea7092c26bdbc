//! The kinds of failures, and their words.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::connection::failure::Phase;
use crate::pool::ledger::Holder;
use crate::types::ids::{Uid, UidValidity};
use crate::types::invalid::InvalidArgument;
use crate::types::response_code::ResponseCode;
use crate::types::sasl::{SaslFailure, SaslMechanism};
use crate::types::smtp::reply::SmtpReply;
use crate::types::smtp::report::RecipientReport;
use crate::types::token::TokenError;

/// What kind of failure an [`Error`](crate::Error) is.
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
    /// The server refused a command.
    #[error("the server refused {verb}: {reply}")]
    SmtpRefused {
        /// The command; `DATA` for the message itself.
        verb: &'static str,
        /// What it answered.
        reply: SmtpReply,
    },
    /// The server accepted no recipient of a message.
    #[error("the server accepted no recipient{}", recipients_text(.recipients))]
    NobodyAccepted {
        /// What it answered for each of them.
        recipients: Vec<RecipientReport>,
    },
    /// The server refused or ended the connection: 421, or another greeting than 220.
    #[error("the server ended the connection: {reply}")]
    SmtpClosing {
        /// What it said.
        reply: SmtpReply,
    },
    /// The message is larger than the server takes (RFC 1870).
    #[error("the message has {size} bytes, the server takes {limit}")]
    MessageTooLarge {
        /// The size of the message in bytes.
        size: u64,
        /// The largest that the server takes.
        limit: u64,
    },
    /// The reader of a message that was to be sent failed.
    #[error("the message could not be read")]
    Read {
        /// The reader's reason.
        source: Arc<io::Error>,
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

fn recipients_text(recipients: &[RecipientReport]) -> String {
    let told = recipients
        .iter()
        .map(|one| format!("{} {}", one.address, one.outcome));
    let list: Vec<String> = told.take(3).collect();
    let more = if recipients.len() > 3 { "; ..." } else { "" };
    if list.is_empty() {
        String::new()
    } else {
        format!(" ({}{more})", list.join("; "))
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
