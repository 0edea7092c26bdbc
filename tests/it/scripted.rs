//! Sessions that are played byte for byte, and what the tests about faults share.

use std::time::{Duration, Instant};

use mailpool::{Certainty, Error, ErrorKind, ImapClient, ImapClientBuilder, Items, Section, Uid};
use mailpool_test_server::{Script, Server};

use crate::support;

/// Nothing that works takes so long, on the slowest machine.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// A builder for `server` whose lost connections are not opened anew by themselves, whose calls end
/// some time, and whose end does not wait for a server
/// that is silent on purpose.
pub(crate) fn builder(server: &Server) -> ImapClientBuilder {
    support::builder(server)
        .reconnect(support::never())
        .timeout(LONG)
        .shutdown_timeout(Duration::from_millis(300))
}

/// As [`builder`], connected, with the main connection only: the server never sees a second
/// socket beside it.
pub(crate) fn single(server: &Server) -> ImapClient {
    builder(server)
        .max_connections_per_server(1)
        .connect()
        .expect("the client connects")
}

/// The beginning of a session in clear whose server has these capabilities beside IMAP4rev1,
/// before and after the login.
pub(crate) fn logged_in(capabilities: &str) -> Script {
    Script::new()
        .send(format!(
            "* OK [CAPABILITY IMAP4rev1 {capabilities}] ready\r\n"
        ))
        .expect("{tag} LOGIN alice secret")
        .send(format!(
            "{{tag}} OK [CAPABILITY IMAP4rev1 {capabilities}] in\r\n"
        ))
}

/// Goes on with the selection of an INBOX of `exists` messages.
pub(crate) fn select(script: Script, exists: u32) -> Script {
    script.expect("{tag} SELECT INBOX").send(format!(
        "* {exists} EXISTS\r\n* OK [UIDVALIDITY 7] valid\r\n{{tag}} OK [READ-WRITE] selected\r\n"
    ))
}

/// Ends a session in an orderly way.
pub(crate) fn logout(script: Script) -> Script {
    script
        .expect("{tag} LOGOUT")
        .send("* BYE see you\r\n{tag} OK out\r\n")
        .expect_end()
}

/// The whole message and nothing else.
pub(crate) fn body() -> Items {
    Items::new().peek(Section::full())
}

pub(crate) fn uid(number: u32) -> Uid {
    Uid::new(number).expect("not zero")
}

/// Waits until `condition` holds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < until, "in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// The error of a connection that broke under an operation: what broke it is told by its kind.
#[track_caller]
pub(crate) fn broken<T: std::fmt::Debug>(result: Result<T, Error>, certainty: Certainty) -> Error {
    let error = result.expect_err("the connection broke");
    assert_eq!(error.certainty(), certainty, "{error:?}");
    assert!(
        !matches!(
            error.kind(),
            ErrorKind::ShutDown | ErrorKind::Timeout { .. }
        ),
        "{error:?}"
    );
    error
}
