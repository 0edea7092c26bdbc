//! Messages and mailbox names for the tests of mailpool: the nasty ones and the plain ones.
//!
//! Everything here is made up for the purpose, and the same in every run.
//!
//! - [`nasty`]: over a hundred messages, each with one shape that has broken mail programs:
//!   structure, headers, encodings, line ends, look-alikes of protocol lines. A server can store
//!   each of them as a message of its own; what it serves are the same bytes, but for line feeds
//!   that had no carriage return.
//! - [`plain`]: any number of ordinary messages, for mailboxes where the mass counts.
//! - [`mailbox_names`]: names that want quoting, escaping or encoding.
//!
//! ```
//! let nasty = mailpool_test_corpus::nasty();
//! let plain: Vec<Vec<u8>> = mailpool_test_corpus::plain(100, 7).collect();
//! assert!(nasty.len() > 100 && plain.len() == 100);
//! ```

mod addresses;
mod collector;
mod encodings;
mod headers;
mod kinds;
mod lines;
mod lookalikes;
mod names;
mod plain;
mod structure;

pub use names::mailbox_names;
pub use plain::{Plain, plain};

use collector::Collector;

/// A message of the corpus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorpusMessage {
    /// What is special about it, in lower case with hyphens; the same name never comes twice.
    pub name: String,
    /// The message as it is to be stored. Contains no NUL.
    pub bytes: Vec<u8>,
}

/// The messages with the nasty shapes, always in the same order.
pub fn nasty() -> Vec<CorpusMessage> {
    let mut collector = Collector::default();
    structure::collect(&mut collector);
    kinds::collect(&mut collector);
    headers::collect(&mut collector);
    addresses::collect(&mut collector);
    encodings::collect(&mut collector);
    lines::collect(&mut collector);
    lookalikes::collect(&mut collector);
    collector.messages
}
