//! The public clients.

mod builder;
mod call;
mod exclusive;
mod fetch;
mod idle;
mod imap;
mod mailbox;
mod message;
mod scope;
mod stats;

pub use builder::{ImapClientBuilder, Security};
pub use exclusive::{Exclusive, ExclusiveMailbox};
pub use fetch::Fetch;
pub use idle::{Idle, IdleOptions};
pub use imap::ImapClient;
pub use mailbox::{FlagsUpdate, Mailbox, MoveOutcome, StoreOutcome};
pub use message::{Body, BodyReader, Message};
pub use scope::ConnectionScope;
pub use stats::Stats;
