//! What the tests of the SMTP client need.

use mailpool::{Security, SmtpClient, SmtpClientBuilder, SmtpEnvelope};
use mailpool_test_server::{Builder, Protocol, Server};

use crate::threads::LONG;

/// An SMTP server without TLS.
pub(crate) fn server() -> Builder {
    Server::builder().protocol(Protocol::Smtp)
}

pub(crate) fn builder(server: &Server) -> SmtpClientBuilder {
    SmtpClient::builder("127.0.0.1")
        .port(server.port())
        .security(Security::None)
        .timeout(LONG)
}

pub(crate) fn client(server: &Server) -> SmtpClient {
    builder(server).connect().expect("the client connects")
}

/// From Alice to these people at example.net.
pub(crate) fn to(recipients: &[&str]) -> SmtpEnvelope {
    let recipients = recipients.iter().map(|one| format!("{one}@example.net"));
    SmtpEnvelope::new("alice@example.org", recipients).expect("addresses")
}
