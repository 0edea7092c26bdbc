//! In-memory mail server on loopback, with faults on demand: what the tests and examples of
//! mailpool talk to.
//!
//! It speaks IMAP, SMTP and LMTP ([`Protocol`]). Requests are read by imap-codec and smtp-proto,
//! so that its reading of the protocols does not depend on the client's; answers are written by
//! hand. It is test equipment: strict about what a client sends, exact about what it counts, and
//! obliging about what is to go wrong.
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
//! Mail is taken in by SMTP and LMTP, byte for byte, and listed with its envelope:
//!
//! ```
//! use std::time::Duration;
//!
//! use mailpool_test_server::{Action, Point, Protocol, Server};
//!
//! let server = Server::builder()
//!     .protocol(Protocol::Smtp)
//!     .user("alice", "secret")
//!     .with("SIZE 1000000")
//!     .without("CHUNKING")
//!     .refuse_recipient("bob@example.org", "550 5.1.1 No such user")
//!     .start()?;
//! // The third message is stored, but the connection breaks before anything is said.
//! server.faults().at_nth(3, Point::Stored, Action::Reset);
//! for delivery in server.wait_for_deliveries(1, Duration::ZERO) {
//!     println!("{} {:?}", delivery.reverse_path.address, delivery.bytes());
//! }
//! assert!(server.violations().is_empty());
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Parts
//!
//! | part | what it is |
//! |---|---|
//! | [`Server`], [`Builder`] | the listener, its connections, orders to them |
//! | [`Store`], [`Message`] | the mail; changes to it are announced to the sessions |
//! | [`Delivery`], [`Path`] | what was accepted by SMTP and LMTP, and for whom |
//! | [`Faults`], [`Action`] | what goes wrong, for every connection or for the nth: bytes, answers, addresses |
//! | [`Point`] | where in a session or mail transaction it goes wrong |
//! | [`Counters`], [`CommandRecord`] | what the server has seen, and in how many flights |
//! | [`Violation`] | what a client did that SMTP forbids |
//! | [`Script`], [`ScriptServer`] | a transcript of any protocol played byte for byte instead of a session |
//!
//! # SMTP and LMTP
//!
//! - **Extensions** are lines of the answer to EHLO: [`Builder::with`] adds one,
//!   [`Builder::without`] takes one away, and what is not announced is refused. The numbers of
//!   SIZE, LIMITS and FUTURERELEASE are obeyed. From the start there are PIPELINING, SIZE,
//!   8BITMIME, SMTPUTF8, DSN, ENHANCEDSTATUSCODES, CHUNKING, BINARYMIME, FUTURERELEASE, VRFY,
//!   EXPN, HELP; STARTTLS, REQUIRETLS and AUTH (PLAIN, LOGIN) where they belong.
//! - **Data** ends at CRLF, dot, CRLF and nowhere else. Bare CR and LF, NUL, 8-bit bytes without
//!   8BITMIME and lines too long are recorded as [`Violation`]s, and kept.
//! - **Pipelining** where it is not announced, or behind a command that ends a group, is recorded
//!   and ends the session with 503.
//! - **Acceptance**: a message is in [`Store::deliveries`] before anything is said about it, and
//!   in the INBOX of each recipient who is a user of the server, by local part or whole address.
//! - **Answers** can be anything: [`Faults::respond`] instead of a command,
//!   [`Faults::replace_answer`] after it; the verb `.` is the end of a message.
//!
//! # Inside
//!
//! ```text
//! imap/ smtp/ script/    sessions: one function that takes a connection
//! store/ mime/           mail, deliveries, and what is in a message
//! stream                 plain or TLS, faults on plaintext bytes, flights
//! connection             socket, reading thread, waiting, delay line, faults on wire bytes
//! sasl                   logins, over rsasl
//! faults/ counters       rules, figures
//! hangup clock           what is asked of the system
//! ```
//!
//! A session is a function of a connection; [`Builder`] hands the one of its [`Protocol`] to the
//! listener. POP3 gets a directory of its own beside `imap/` and `smtp/` and uses the same
//! stream, store, faults and counters.

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
mod smtp;
mod store;
mod stream;
mod tls;

pub use builder::Builder;
pub use capabilities::Stage;
pub use connection::ConnectionInfo;
pub use counters::{CommandRecord, Counters, Violation, ViolationKind};
pub use faults::{Action, Faults, Layer, Point};
pub use script::{Mismatch, Script, ScriptServer, ScriptSyntax};
pub use server::{LimitMode, Protocol, Security, Server};
pub use store::{Delivery, Digest, Message, Path, Store, StoredMessage, Synthetic};
