//! What several tests need.

use std::time::Duration;

use mailpool::{Backoff, Credentials, ImapClient, ImapClientBuilder, Security};
use mailpool_test_server::Server;

use crate::threads::LONG;

/// The user of the embedded server, and the password.
pub(crate) const USER: (&str, &str) = ("alice", "secret");

/// A server with one user and an INBOX of `count` small messages, without TLS.
pub(crate) fn server_with(count: usize) -> Server {
    Server::builder()
        .user(USER.0, USER.1)
        .mailbox(USER.0, "INBOX", (0..count).map(message))
        .start()
        .expect("the embedded server starts")
}

/// A small message; different numbers give different ones.
pub(crate) fn message(number: usize) -> Vec<u8> {
    format!("From: a@example.org\r\nSubject: message {number}\r\n\r\nThis is message {number}.\r\n")
        .into_bytes()
}

/// A client's builder for `server`, without TLS.
pub(crate) fn builder(server: &Server) -> ImapClientBuilder {
    ImapClient::builder("127.0.0.1")
        .port(server.port())
        .security(Security::None)
        .allow_cleartext_password()
        .credentials(Credentials::password(USER.0, USER.1))
}

/// Lost connections are not opened anew by themselves: what breaks is told at once, and the
/// next call opens another one.
pub(crate) fn never() -> Backoff {
    Backoff::new().max_attempts(0)
}

/// Lost connections are opened anew almost at once.
pub(crate) fn quick() -> Backoff {
    Backoff::new()
        .first_delay(Duration::from_millis(5))
        .max_delay(Duration::from_millis(20))
}

/// A client of `server` that is patient, and whose lost connections come back almost at once.
pub(crate) fn client_of(server: &Server) -> ImapClient {
    connected(builder(server).reconnect(quick()).timeout(LONG))
}

/// A client of `server` that is patient, with this quota.
pub(crate) fn client_with(server: &Server, quota: usize) -> ImapClient {
    connected(
        builder(server)
            .max_connections_per_server(quota)
            .timeout(LONG),
    )
}

/// A client of `server`, without TLS.
pub(crate) fn client(server: &Server) -> ImapClient {
    connected(builder(server))
}

fn connected(builder: ImapClientBuilder) -> ImapClient {
    builder.connect().expect("the client connects")
}
