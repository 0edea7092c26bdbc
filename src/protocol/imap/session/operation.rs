//! What callers ask of an IMAP session, and what they get.

use std::time::Duration;

use bytes::Bytes;

pub(crate) use super::follow::Known;
use crate::protocol::imap::response::{Attributes, Status};
use crate::protocol::machine::Weigh;
use crate::types::capability::Capabilities;
use crate::types::flag::Flags;
use crate::types::ids::{ModSeq, SeqNum, Uid, UidValidity};
use crate::types::invalid::InvalidArgument;
use crate::types::items::Items;
use crate::types::listing::{ListEntry, MailboxStatus, Namespaces};
use crate::types::mailbox_change::MailboxChange;
use crate::types::mailbox_info::{MailboxEvent, MailboxInfo};
use crate::types::mailbox_name::MailboxName;
use crate::types::query::Query;
use crate::types::range_set::RangeSet;
use crate::types::request::{Append, StatusItems, Store};
use crate::types::response_code::{AppendUid, CopyUid, ResponseCode};
use crate::types::sasl::{SaslFailure, SaslMechanism};
use crate::types::section::Section;

/// One atomic unit: the mailbox that it needs, and what to do there.
#[derive(Debug)]
pub(crate) struct Operation {
    pub target: Option<Target>,
    pub request: Request,
}

/// The mailbox that an operation needs to be selected.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub name: MailboxName,
    /// EXAMINE instead of SELECT.
    pub read_only: bool,
    /// What the UIDs of the operation belong to.
    pub uid_validity: Option<UidValidity>,
}

/// How messages are addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Uid,
    /// Only inside an exclusive session.
    Sequence,
}

#[derive(Debug)]
pub(crate) enum Request {
    Capability,
    Noop,
    /// NOOP, and what the server has said about the selected mailbox since the last time.
    Events,
    Id(Vec<(String, String)>),
    Enable(Vec<String>),
    List {
        reference: String,
        pattern: String,
    },
    Lsub {
        reference: String,
        pattern: String,
    },
    Namespace,
    Status(MailboxName, StatusItems),
    Create(MailboxName),
    Delete(MailboxName),
    Rename(MailboxName, MailboxName),
    Subscribe(MailboxName),
    Unsubscribe(MailboxName),
    Append(MailboxName, Append),
    /// Selects the target anew, and says what the server tells about it.
    Select,
    Unselect,
    /// CLOSE: expunges what is marked `\Deleted` and leaves the mailbox.
    Close,
    Search(By, Query),
    Fetch(By, RangeSet, Items),
    Store(By, RangeSet, Store),
    Copy(By, RangeSet, MailboxName),
    Move(By, RangeSet, MailboxName),
    ExpungeUids(RangeSet),
    Expunge,
    /// Reports what becomes of the target: a standing operation.
    Follow(Follow),
}

/// How a mailbox is followed.
#[derive(Debug)]
pub(crate) struct Follow {
    /// What the caller has been told. `None`: nothing yet, and what is there now is no news.
    pub known: Option<Box<Known>>,
    /// Ends when the caller knows everything, instead of waiting for more.
    pub once: bool,
    /// How often to ask where the server cannot be listened to.
    pub poll: Duration,
    /// How long one IDLE lasts.
    pub renew: Duration,
}

/// What completes an operation.
#[derive(Debug)]
pub(crate) enum End {
    Done,
    Capabilities(Capabilities),
    Id(Option<Vec<(String, Option<String>)>>),
    Enabled(Vec<String>),
    List(Vec<ListEntry>),
    Namespaces(Namespaces),
    Status(MailboxStatus),
    Mailbox(Box<MailboxInfo>),
    Appended(Option<AppendUid>),
    Found(Found),
    Stored(Stored),
    Copied(Option<CopyUid>),
    Moved(Moved),
    Expunged(Expunged),
    Events(Vec<MailboxEvent>),
    /// What the caller of a Follow that ends has been told.
    Followed(Box<Known>),
}

/// The answer to a search.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub numbers: RangeSet,
    pub mod_seq: Option<ModSeq>,
    pub uid_validity: Option<UidValidity>,
}

/// The answer to a STORE.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    /// The messages whose flags the server has told.
    pub flags: Vec<(SeqNum, Option<Uid>, Flags, Option<ModSeq>)>,
    /// The messages that a conditional STORE left alone.
    pub modified: RangeSet,
}

/// The answer to an EXPUNGE.
#[derive(Debug, Default)]
pub(crate) struct Expunged {
    /// The messages that are gone, in the server's order.
    pub numbers: Vec<SeqNum>,
    /// How many the server told by UID instead (VANISHED, RFC 7162 §3.2.10).
    pub vanished: u64,
}

/// The answer to a MOVE.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    pub copy_uid: Option<CopyUid>,
    /// The messages are still there, marked `\Deleted`: the server has neither MOVE nor
    /// UIDPLUS.
    pub left_behind: bool,
}

/// A piece of the reply to FETCH or Follow.
#[derive(Debug)]
pub(crate) enum Part {
    Message {
        seq: SeqNum,
        uid_validity: Option<UidValidity>,
        attributes: Box<Attributes>,
        /// A body section that follows in chunks.
        stream: Option<StreamedSection>,
        /// Bytes of the response.
        size: usize,
    },
    /// Bytes of the streamed section.
    Chunk(Bytes),
    /// What follows a streamed section.
    Rest {
        attributes: Box<Attributes>,
        stream: Option<StreamedSection>,
        /// Bytes of the response.
        size: usize,
    },
    /// A message that could not be delivered.
    Refused(Refusal),
    /// Something has become of the mailbox that is followed.
    Change(MailboxChange),
}

/// A body section that is delivered in chunks.
#[derive(Clone, Debug)]
pub(crate) struct StreamedSection {
    pub section: Section,
    pub origin: Option<u64>,
    pub size: u64,
}

/// Why one message of a FETCH reply could not be delivered.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub uid: Option<Uid>,
    pub reason: String,
    pub is_limit: bool,
    /// It hit what follows a streamed section.
    pub continued: bool,
}

impl Weigh for Part {
    fn weight(&self) -> usize {
        const FRAME: usize = 256;
        match self {
            // What was parsed of a response takes a few times its bytes where it is made of
            // many small parts; bodies are slices of it.
            Self::Message { size, .. } | Self::Rest { size, .. } => FRAME + size,
            // Small records make many chunks of a few bytes each.
            Self::Chunk(bytes) => FRAME + bytes.len(),
            Self::Refused(_) => FRAME,
            Self::Change(change) => change.weight(),
        }
    }
}

impl Failure {
    /// The same refusal, with more that the server has told about it.
    pub(super) fn with_words(mut self, more: &str) -> Self {
        if let Self::Rejected { text, .. } = &mut self {
            if !more.is_empty() {
                *text = format!("{text} ({more})");
            }
        }
        self
    }

    /// The same failure of an operation of which an earlier command has succeeded.
    pub(super) fn after_a_success(self) -> Self {
        match self {
            Self::Rejected {
                verb,
                status,
                code,
                text,
                ..
            } => Self::Rejected {
                verb,
                status,
                code,
                text,
                partly: true,
            },
            other => other,
        }
    }
}

/// The word of a tagged status.
pub(super) fn status_name(status: Status) -> &'static str {
    match status {
        Status::Ok => "OK",
        Status::No => "NO",
        Status::Bad => "BAD",
    }
}

/// Why an IMAP operation or session failed.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the server answered {status} to {verb}: {text}")]
    Rejected {
        verb: &'static str,
        /// BAD rather than NO.
        status: &'static str,
        code: Option<Box<ResponseCode>>,
        text: String,
        /// Other commands of the operation have been carried out.
        partly: bool,
    },
    #[error("the server said goodbye: {text}")]
    Bye {
        code: Option<Box<ResponseCode>>,
        text: String,
    },
    #[error("the server does not offer {0}")]
    Missing(&'static str),
    #[error("the server does not offer STARTTLS")]
    NoStartTls,
    #[error("{0} bytes came between the answer to STARTTLS and the TLS handshake")]
    Injected(usize),
    #[error("PREAUTH before STARTTLS")]
    PreAuthBeforeTls,
    #[error("the password would go over the wire in clear")]
    Cleartext,
    #[error("the server offers no way to authenticate that can be used")]
    NoMechanism {
        offered: Vec<String>,
        possible: Vec<SaslMechanism>,
    },
    #[error("{mechanism}: {failure}")]
    Sasl {
        mechanism: SaslMechanism,
        failure: SaslFailure,
    },
    #[error("UIDVALIDITY was {expected} and is now {found:?}")]
    UidValidity {
        expected: UidValidity,
        found: Option<UidValidity>,
    },
    #[error("{0}")]
    Invalid(#[from] InvalidArgument),
    #[error("protocol error: {0}")]
    Protocol(String),
    #[error("{what} beyond the limit of {limit}")]
    Limit { what: &'static str, limit: u64 },
    #[error("the server does not answer")]
    Silent,
    #[error("the connection follows a mailbox already")]
    Following,
}

/// Whether the server says that it has as many connections of this account as it allows. There
/// is no one way to say so. To commands other than the login the codes are about messages and
/// mailboxes (RFC 5530 §3).
pub(crate) fn says_too_many(code: Option<&ResponseCode>, text: &str, of_a_command: bool) -> bool {
    if !of_a_command && matches!(code, Some(ResponseCode::Limit | ResponseCode::InUse)) {
        return true;
    }
    let text = text.to_ascii_lowercase();
    text.contains("connection") && (text.contains("too many") || text.contains("maximum"))
}

impl Failure {
    /// Whether the server has as many connections of this account as it allows.
    pub(super) fn is_too_many_connections(&self) -> bool {
        match self {
            Self::Bye { code, text } => says_too_many(code.as_deref(), text, false),
            Self::Rejected {
                verb: "LOGIN" | "AUTHENTICATE",
                code,
                text,
                ..
            } => says_too_many(code.as_deref(), text, false),
            _ => false,
        }
    }

    pub(crate) fn protocol(what: impl Into<String>) -> Self {
        Self::Protocol(what.into())
    }
}

impl Request {
    /// The command's name.
    pub(crate) fn verb(&self) -> &'static str {
        match self {
            Self::Capability => "CAPABILITY",
            Self::Noop | Self::Events => "NOOP",
            Self::Id(_) => "ID",
            Self::Enable(_) => "ENABLE",
            Self::List { .. } => "LIST",
            Self::Lsub { .. } => "LSUB",
            Self::Namespace => "NAMESPACE",
            Self::Status(..) => "STATUS",
            Self::Create(_) => "CREATE",
            Self::Delete(_) => "DELETE",
            Self::Rename(..) => "RENAME",
            Self::Subscribe(_) => "SUBSCRIBE",
            Self::Unsubscribe(_) => "UNSUBSCRIBE",
            Self::Append(..) => "APPEND",
            Self::Select => "SELECT",
            Self::Unselect => "UNSELECT",
            Self::Close => "CLOSE",
            Self::Search(By::Uid, _) => "UID SEARCH",
            Self::Search(By::Sequence, _) => "SEARCH",
            Self::Fetch(By::Uid, ..) => "UID FETCH",
            Self::Fetch(By::Sequence, ..) => "FETCH",
            Self::Store(By::Uid, ..) => "UID STORE",
            Self::Store(By::Sequence, ..) => "STORE",
            Self::Copy(By::Uid, ..) => "UID COPY",
            Self::Copy(By::Sequence, ..) => "COPY",
            Self::Move(By::Uid, ..) => "UID MOVE",
            Self::Move(By::Sequence, ..) => "MOVE",
            Self::ExpungeUids(_) => "UID EXPUNGE",
            Self::Expunge => "EXPUNGE",
            Self::Follow(_) => "IDLE",
        }
    }
}
