//! In-memory mail server on loopback, with faults on demand: what the tests and examples of
//! mailpool talk to.
//!
//! It speaks IMAP. Commands are read by imap-codec, so that its reading of the protocol does not
//! depend on the client's; responses are written by hand. It is test equipment: strict about what
//! a client sends, exact about what it counts, and obliging about what is to go wrong.
//!
//! ```
//! use std::time::Duration;
//!
//! use mailpool_test_server::{Message, Security, Server};
//!
//! let server = Server::builder()
//!     .user("alice", "secret")
//!     .mailbox("alice", "INBOX", [Message::text("Hello", "Hi Alice")])
//!     .security(Security::StartTls)
//!     .without("UIDPLUS")
//!     .max_connections(3)
//!     .start()?;
//! // Connect to server.host() and server.port(); trust server.ca_pem().
//! server.faults().delay(Duration::from_millis(20), Duration::from_millis(20));
//! server.store().append("alice", "INBOX", Message::synthetic(1 << 30, 7));
//! assert!(server.wait_until(Duration::from_secs(1), |counters| counters.open == 0));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Parts
//!
//! | part | what it is |
//! |---|---|
//! | [`Server`], [`Builder`] | the listener, its connections, orders to them |
//! | [`Store`], [`Message`] | the mail; changes to it are announced to the sessions |
//! | [`Faults`] | what goes wrong, for every connection or for the nth |
//! | [`Counters`], [`CommandRecord`] | what the server has seen |
//! | [`Script`], [`ScriptServer`] | a transcript played byte for byte instead of a session |
//!
//! # Inside
//!
//! ```text
//! imap/ script/          sessions: one function that takes a connection
//! store/ mime/           mail, and what is in it
//! stream                 plain or TLS, faults on plaintext bytes
//! connection             socket, reading thread, waiting, delay line, faults on wire bytes
//! sasl                   logins, over rsasl
//! faults counters        rules, figures
//! hangup clock           what is asked of the system
//! ```
//!
//! A session is a function of a connection; [`Builder`] hands the IMAP one to the listener. POP3
//! and SMTP sessions get directories of their own beside `imap/` and use the same stream, store,
//! faults and counters.

mod builder;
mod capabilities;
mod clock;
mod connection;
mod counters;
mod faults;
mod hangup;
mod hub;
mod imap;
mod mime;
mod sasl;
mod script;
mod server;
mod store;
mod stream;
mod tls;

pub use builder::Builder;
pub use capabilities::Stage;
pub use connection::ConnectionInfo;
pub use counters::{CommandRecord, Counters};
pub use faults::{Action, Faults, Layer};
pub use script::{Mismatch, Script, ScriptServer, ScriptSyntax};
pub use server::{LimitMode, Security, Server};
pub use store::{Message, Store, StoredMessage, Synthetic};
