//! The SMTP client against a real server, a private Postfix, and against its `smtp-sink`.
//!
//! | file | what it shows |
//! |---|---|
//! | `bytes.rs` | what arrives is what was sent, byte for byte, over every kind of transport |
//! | `smuggling.rs` | nothing in a message ends it |
//! | `refusals.rs` | refused recipients, senders and messages, and the connection after them |
//! | `pipelining.rs` | many messages in line, from many threads and over many connections |
//! | `sinks.rs` | servers that lack something, refuse or hang up at each command |
//! | `extensions.rs` | DSN, SMTPUTF8, VRFY and what Postfix offers |
//! | `giving_up.rs` | senders that give up in the middle of a message |
//! | `killed.rs` | servers that are killed while messages are sent |

mod bytes;
mod extensions;
mod giving_up;
mod killed;
mod pipelining;
mod refusals;
mod sinks;
mod smuggling;

use std::net::SocketAddr;

use mailpool::{Security, SmtpClient, SmtpClientBuilder, SmtpEnvelope};
use mailpool_test_postfix::{Postfix, SmtpSink};

use crate::threads::LONG;

/// A client of the server at this address, without TLS.
pub(crate) fn builder_at(address: SocketAddr) -> SmtpClientBuilder {
    SmtpClient::builder(address.ip().to_string())
        .port(address.port())
        .security(Security::None)
        .timeout(LONG)
}

pub(crate) fn builder(postfix: &Postfix) -> SmtpClientBuilder {
    builder_at(postfix.address())
}

pub(crate) fn connect(postfix: &Postfix) -> SmtpClient {
    builder(postfix).connect().expect("the client connects")
}

pub(crate) fn connect_to_sink(sink: &SmtpSink) -> SmtpClient {
    builder_at(sink.address())
        .connect()
        .expect("the client connects")
}

/// Asserts that the client has needed one connection for all it did, and has not lost it.
#[track_caller]
pub(crate) fn assert_one_connection(client: &SmtpClient) {
    let stats = client.stats();
    assert_eq!((stats.opened, stats.reconnected), (1, 0), "{stats:?}");
}

/// From Alice to these addresses.
pub(crate) fn to<R: AsRef<str>>(recipients: &[R]) -> SmtpEnvelope {
    let recipients = recipients.iter().map(AsRef::as_ref);
    SmtpEnvelope::new("alice@example.org", recipients).expect("addresses")
}
