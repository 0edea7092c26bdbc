//! Timeouts while a connection is being opened.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use mailpool::{
    Certainty, Credentials, Error, ErrorKind, ImapClient, ImapClientBuilder, Phase, Security,
};

use crate::deadlines::{in_time, timed_out};
use crate::scripted::{LONG, builder, eventually};
use crate::support::{USER, server_with};

fn builder_for(address: SocketAddr, security: Security) -> ImapClientBuilder {
    ImapClient::builder(address.ip().to_string())
        .port(address.port())
        .security(security)
        .danger_accept_invalid_certificates()
        .only_own_ca()
        .allow_cleartext_password()
        .credentials(Credentials::password(USER.0, USER.1))
}

/// Calls `open`, with more patience where a busy machine has not come to `phase` before its
/// end: threads have to be started on the way.
#[track_caller]
pub(crate) fn ends_in<T: std::fmt::Debug>(
    phase: Phase,
    open: impl Fn(Duration) -> Result<T, Error>,
) {
    for patience in [300, 1_500, 8_000].map(Duration::from_millis) {
        let (found, certainty) = timed_out(in_time(patience, || open(patience)));
        assert_eq!(certainty, Certainty::NotSent);
        if found == phase {
            return;
        }
    }
    panic!("{phase} is never reached");
}

/// A listener whose system accepts connections and that never reads them.
fn deaf() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[test]
fn a_name_that_does_not_resolve_is_an_error_of_its_own() {
    let error = ImapClient::builder("no-such-host.invalid")
        .credentials(Credentials::password(USER.0, USER.1))
        .timeout(LONG)
        .connect()
        .unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Resolve { .. }),
        "{error:?}"
    );
    assert!(error.is_connection());
    assert_eq!(error.certainty(), Certainty::NotSent);
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn a_port_that_nobody_listens_on_is_told_with_its_address() {
    let (listener, address) = deaf();
    drop(listener);
    let error = builder_for(address, Security::None).connect().unwrap_err();
    let ErrorKind::Connect { address: told, .. } = error.kind() else {
        panic!("{error:?}");
    };
    assert_eq!(*told, address);
    assert_eq!(error.certainty(), Certainty::NotSent);
}

/// Fills the queue of a listener, so that the system lets further connections wait.
fn full_listener() -> Option<(TcpListener, SocketAddr, Vec<TcpStream>)> {
    let (listener, address) = deaf();
    let mut waiting = Vec::new();
    for _ in 0..5_000 {
        match TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
            Ok(stream) => waiting.push(stream),
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                return Some((listener, address, waiting));
            }
            Err(_) => return None,
        }
    }
    None
}

#[test]
fn connecting_has_a_deadline() {
    let Some((_listener, address, _waiting)) = full_listener() else {
        eprintln!("left out: this system does not let connections wait");
        return;
    };
    for security in [Security::None, Security::Tls] {
        ends_in(Phase::Connect, |patience| {
            builder_for(address, security).timeout(patience).connect()
        });
    }
}

#[test]
fn the_handshake_has_a_deadline() {
    let (_listener, address) = deaf();
    ends_in(Phase::Tls, |patience| {
        builder_for(address, Security::Tls)
            .timeout(patience)
            .connect()
    });
}

#[test]
fn the_greeting_has_a_deadline() {
    let (_listener, address) = deaf();
    for security in [Security::None, Security::StartTls] {
        ends_in(Phase::Login, |patience| {
            builder_for(address, security).timeout(patience).connect()
        });
    }
}

#[test]
fn the_login_has_a_deadline() {
    let server = server_with(1);
    server.faults().never_answer("AUTHENTICATE");
    ends_in(Phase::Login, |patience| {
        builder(&server).timeout(patience).connect()
    });
    // As a moment, too.
    ends_in(Phase::Login, |patience| {
        builder(&server).connect_deadline(Instant::now() + patience)
    });
    assert!(server.wait_until(LONG, |counters| counters.open == 0));
}

/// One deadline covers a scope's permit, connecting and login, and a connection that is not
/// ready in time gives its permit back.
#[test]
fn opening_a_scope_has_a_deadline() {
    let server = server_with(1);
    let client = builder(&server)
        .max_connections_per_server(2)
        .connect()
        .unwrap();
    server.faults().never_answer("AUTHENTICATE");
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for _ in 0..3 {
                ends_in(Phase::Login, |patience| {
                    client.create_connection_timeout(patience)
                });
                // The permit comes back with the end of the socket.
                assert!(server.wait_until(LONG, |counters| counters.open == 1));
                eventually("the permit is back", || client.stats().holders.len() == 1);
            }
            server.faults().clear();
            let _scope = client.create_connection().unwrap();
            client.noop().unwrap();
        });
    });
    assert_eq!(server.counters().peak_open, 2);
}
