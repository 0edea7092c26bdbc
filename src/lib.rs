//! Blocking mail clients for Rust programs without an async runtime: many threads, one
//! client, real connections.
//!
//! One [`ImapClient`] or [`SmtpClient`] is shared by all threads. It owns a bounded set of
//! connections, each on an operating system thread of its own. A thread that wants a connection
//! for itself takes one with `create_connection`; all others share the main connection, where
//! their commands are pipelined.
//!
//! # Reading mail
//! ```no_run
//! use mailpool::{Credentials, ImapClient, Items, Query};
//!
//! let client = ImapClient::builder("imap.example.org")
//!     .credentials(Credentials::password("alice", "secret"))
//!     .connect()?;
//! for message in client.mailbox("INBOX").fetch(client.mailbox("INBOX").search(Query::unseen())?, Items::full())? {
//!     let message = message?;
//!     println!("{} {:?}", message.uid(), message.size());
//! }
//! # Ok::<(), mailpool::Error>(())
//! ```
//!
//! # Sending mail
//! ```no_run
//! use mailpool::{Credentials, SmtpClient, SmtpEnvelope};
//!
//! let client = SmtpClient::builder("smtp.example.org")
//!     .credentials(Credentials::password("alice", "secret"))
//!     .connect()?;
//! let envelope = SmtpEnvelope::new("alice@example.org", ["bob@example.net"])?;
//! let report = client.send(&envelope, "Subject: Hello\r\n\r\nHello Bob\r\n")?;
//! assert!(report.is_complete());
//! # Ok::<(), mailpool::Error>(())
//! ```
//! What the outcome of [`SmtpClient::send`] says is in its documentation, and that of an error in
//! its [`Certainty`]. [`SmtpClient::bulk`] sends many messages through many connections.
//!
//! # Features
//! | feature | what it adds |
//! |---|---|
//! | `message` | the module `message`: messages built by mail-builder, envelopes read from headers; needs Rust 1.88 |
//! | `vendored-tls` | OpenSSL is built from source and linked statically |
//!
//! # Layers
//! ```text
//! client/       public API: builders, ImapClient, Mailbox, Fetch, SmtpClient ...
//! pool/         quota, permits, parked connections, thread routes; any protocol
//! connection/   the only sockets, threads and clock: one loop per connection
//! protocol/     state machines without I/O: bytes in, bytes and events out
//! wire/         bytes: buffers, framing of IMAP responses, tokens, lines, outgoing messages
//! types/        values: UIDs, sets, names, flags, queries, envelopes
//! ```
//! The main loop is `connection/event_loop.rs`. Imports go downwards only.

// Layers, top to bottom. `tests/it/layers.rs` checks the direction of imports.
mod client;
mod connection;
mod error;
#[cfg(feature = "message")]
pub mod message;
mod pool;
mod protocol;
mod types;
mod wire;

mod sync;

pub use client::{
    Body, BodyReader, Bulk, BulkAppendOutcome, BulkOutcome, BulkProgress, BulkSend,
    ConnectionEvent, ConnectionEvents, ConnectionScope, Exclusive, ExclusiveMailbox, Fetch,
    FlagsUpdate, Idle, IdleOptions, ImapClient, ImapClientBuilder, LineEndings, Mailbox, Message,
    MoveOutcome, OutgoingMessage, ScopedTask, Security, SendAllOutcome, SendProgress, SmtpClient,
    SmtpClientBuilder, Stats, StoreOutcome, Task, TaskScope, WatchEvent, WatchOptions, Watcher,
};
pub use connection::backoff::Backoff;
pub use connection::cancel::CancelToken;
pub use connection::failure::Phase;
pub use error::{Certainty, Error, ErrorKind, Result};
pub use pool::ledger::{Holder, Role};
pub use types::body_structure::{
    BodyContent, BodyStructure, Disposition, Parameter, Part, PartFields, Parts, TransferEncoding,
};
pub use types::capability::Capabilities;
pub use types::date::{Date, DateTime};
pub use types::envelope::{
    Address, AddressEntry, AddressList, AttributeError, AttributeErrorKind, Envelope,
};
pub use types::flag::{Flag, FlagName, Flags};
pub use types::ids::{ModSeq, SeqNum, Uid, UidValidity};
pub use types::invalid::InvalidArgument;
pub use types::items::Items;
pub use types::limits::Limits;
pub use types::listing::{ListEntry, MailboxAttribute, MailboxStatus, Namespace, Namespaces};
pub use types::mailbox_change::MailboxChange;
pub use types::mailbox_info::{MailboxEvent, MailboxInfo};
pub use types::mailbox_name::{InvalidMailboxName, MailboxName};
pub use types::query::Query;
pub use types::raw_text::RawText;
pub use types::request::{Append, StatusItems, Store};
pub use types::response_code::{AppendUid, CopyUid, ResponseCode, UidRanges};
pub use types::sasl::{SaslFailure, SaslMechanism};
pub use types::secret::{Credentials, Secret};
pub use types::section::{PartPath, Partial, Section};
pub use types::set::{SeqSet, UidSet};
pub use types::smtp::address::MailAddress;
pub use types::smtp::capabilities::SmtpCapabilities;
pub use types::smtp::envelope::{BodyType, Notify, Recipient, ReturnContent, SmtpEnvelope};
pub use types::smtp::reply::{EnhancedCode, SmtpReply};
pub use types::smtp::report::{RecipientOutcome, RecipientReport, SendReport};
pub use types::token::{Token, TokenError};

/// Compiles the examples of the texts beside the code.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[doc = include_str!("../docs/authentication.md")]
#[doc = include_str!("../docs/idle.md")]
#[doc = include_str!("../docs/imap.md")]
#[doc = include_str!("../docs/smtp.md")]
#[doc = include_str!("../docs/threading.md")]
struct TextsOutsideTheCode;
