//! The public clients.

mod builder;
mod bulk;
mod call;
mod connection_events;
mod endpoint;
mod exclusive;
mod fetch;
mod handle;
mod idle;
mod imap;
mod mailbox;
mod message;
mod scope;
mod smtp;
mod stats;
mod task;
mod task_scope;
mod watch;

pub use builder::{ImapClientBuilder, Security};
pub use bulk::{Bulk, BulkAppendOutcome, BulkOutcome, BulkProgress};
pub use connection_events::{ConnectionEvent, ConnectionEvents};
pub use exclusive::{Exclusive, ExclusiveMailbox};
pub use fetch::Fetch;
pub use idle::{Idle, IdleOptions};
pub use imap::ImapClient;
pub use mailbox::{FlagsUpdate, Mailbox, MoveOutcome, StoreOutcome};
pub use message::{Body, BodyReader, Message};
pub use scope::ConnectionScope;
pub use smtp::{
    BulkSend, LineEndings, OutgoingMessage, SendAllOutcome, SendProgress, SmtpClient,
    SmtpClientBuilder,
};
pub use stats::Stats;
pub use task::Task;
pub use task_scope::{ScopedTask, TaskScope};
pub use watch::{WatchEvent, WatchOptions, Watcher};
