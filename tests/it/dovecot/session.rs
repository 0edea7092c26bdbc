//! From the first byte to a session that is ready, and what belongs to the session as a whole.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread::JoinHandle;

use mailpool::{Certainty, ErrorKind, ImapClient, Query, ResponseCode, Security};
use mailpool_test_dovecot::Dovecot;

use super::{
    LONG, builder, client_of_new_user, connect, credentials, plain_builder, until,
    until_connections, until_gone,
};

#[test]
fn tls_from_the_first_byte_is_trusted_with_the_servers_own_authority() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let user = dovecot.new_user("tls");
    let client = connect(dovecot, &user);
    client.noop().unwrap();
    assert!(
        client
            .mailbox("INBOX")
            .search(Query::all())
            .unwrap()
            .is_empty()
    );
    until_connections(dovecot, &user, 1);
    // By name as well as by address.
    let by_name = ImapClient::builder("localhost")
        .port(dovecot.tls_port())
        .ca_pem(dovecot.ca_pem())
        .credentials(credentials(&user))
        .connect()
        .unwrap();
    by_name.noop().unwrap();
}

#[test]
fn a_certificate_that_does_not_fit_ends_the_connection_before_the_login() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let user = dovecot.new_user("certificate");
    for security in [Security::Tls, Security::StartTls] {
        let port = match security {
            Security::Tls => dovecot.tls_port(),
            _ => dovecot.port(),
        };
        let base = || {
            ImapClient::builder("127.0.0.1")
                .port(port)
                .security(security)
                .credentials(credentials(&user))
        };
        let unknown_authority = base().connect().unwrap_err();
        assert!(matches!(unknown_authority.kind(), ErrorKind::Tls { .. }));
        assert_eq!(unknown_authority.certainty(), Certainty::NotSent);
        let other_name = base()
            .ca_pem(dovecot.ca_pem())
            .server_name("mail.example.org")
            .connect()
            .unwrap_err();
        assert!(matches!(other_name.kind(), ErrorKind::Tls { .. }));
        // The switch for tests takes both.
        let any = base()
            .server_name("mail.example.org")
            .danger_accept_invalid_certificates()
            .connect()
            .unwrap();
        any.noop().unwrap();
    }
}

#[test]
fn starttls_protects_the_login() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let user = dovecot.new_user("starttls");
    let client = builder(dovecot, &user)
        .port(dovecot.port())
        .security(Security::StartTls)
        .connect()
        .unwrap();
    client.noop().unwrap();
    let capabilities = client.capabilities().unwrap();
    assert!(capabilities.contains("UIDPLUS") && !capabilities.contains("STARTTLS"));
    // The log is written by a process of its own.
    until("the login is logged as one over TLS", || {
        let log = dovecot.log();
        let mut logins = log.lines().filter(|line| line.contains("Login:"));
        logins.any(|line| line.contains(&user.name) && line.contains("TLS"))
    });
}

#[test]
fn tls_and_plaintext_mixed_up_are_errors_within_the_deadline() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let user = dovecot.new_user("mixed-up");
    // TLS where the server speaks first in clear.
    let error = builder(dovecot, &user)
        .port(dovecot.port())
        .connect()
        .unwrap_err();
    assert!(error.is_connection(), "{error:?}");
    assert_eq!(error.certainty(), Certainty::NotSent);
    // In clear where the server waits for a handshake: nobody ever speaks.
    let error = plain_builder(dovecot, &user)
        .port(dovecot.tls_port())
        .timeout(std::time::Duration::from_millis(200))
        .connect()
        .unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
}

#[test]
fn a_password_goes_in_clear_only_where_that_is_allowed() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let user = dovecot.new_user("clear");
    let error = ImapClient::builder("127.0.0.1")
        .port(dovecot.port())
        .security(Security::None)
        .credentials(credentials(&user))
        .connect()
        .unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::CleartextPassword));
    let client = plain_builder(dovecot, &user).connect().unwrap();
    client.noop().unwrap();
}

#[test]
fn a_server_that_disables_login_without_tls_gets_no_password() {
    let dovecot = Dovecot::builder()
        .user("alice", "secret")
        .refuse_plaintext()
        .start_or_skip();
    let Some(dovecot) = dovecot else { return };
    let user = mailpool_test_dovecot::User {
        name: "alice".to_owned(),
        password: "secret".to_owned(),
    };
    let error = plain_builder(&dovecot, &user).connect().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::NoMechanism { .. }),
        "{error:?}"
    );
    assert_eq!(error.certainty(), Certainty::NotSent);
    let starttls = builder(&dovecot, &user)
        .port(dovecot.port())
        .security(Security::StartTls)
        .connect()
        .unwrap();
    starttls.noop().unwrap();
    connect(&dovecot, &user).noop().unwrap();
}

#[test]
fn a_wrong_password_is_an_authentication_error_and_leaves_no_session() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let mut user = dovecot.new_user("wrong");
    user.password.push('!');
    for builder in [builder(dovecot, &user), plain_builder(dovecot, &user)] {
        let error = builder.connect().unwrap_err();
        assert!(error.is_authentication(), "{error:?}");
        assert_eq!(error.certainty(), Certainty::Rejected);
        assert_eq!(
            error.response_code(),
            Some(&ResponseCode::AuthenticationFailed)
        );
        assert!(!error.is_too_many_connections());
        assert!(!format!("{error} {error:?}").contains(&user.password));
    }
    assert_eq!(dovecot.connections(&user.name), 0);
    let nobody = mailpool_test_dovecot::User {
        name: "nobody-at-all".to_owned(),
        password: "x".to_owned(),
    };
    let error = builder(dovecot, &nobody).connect().unwrap_err();
    assert!(error.is_authentication());
}

/// Passwords that a quoted string, an atom or a literal would spoil.
const PASSWORDS: [&str; 9] = [
    "two words",
    "quo\"te",
    "back\\slash\\",
    "{5}",
    "{5+}",
    "(*%)",
    "NIL",
    "Grüße-日本語",
    " ",
];

#[test]
fn passwords_arrive_as_they_are_with_authenticate_and_with_login() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    for (number, password) in PASSWORDS.into_iter().enumerate() {
        let user = dovecot.add_user(&format!("password-{number}"), password);
        connect(dovecot, &user).noop().unwrap();
        // Where no mechanism is offered the command LOGIN is used.
        let proxy = Proxy::without_mechanisms(dovecot);
        let client = plain_builder(dovecot, &user)
            .port(proxy.port)
            .connect()
            .unwrap_or_else(|error| panic!("LOGIN with {password:?}: {error}"));
        client.noop().unwrap();
        client.shutdown(LONG).unwrap();
        assert_eq!(proxy.first_command(), "LOGIN");
    }
    let mut user = dovecot.new_user("wrong-login");
    user.password.push('x');
    let proxy = Proxy::without_mechanisms(dovecot);
    let error = plain_builder(dovecot, &user)
        .port(proxy.port)
        .connect()
        .unwrap_err();
    assert!(error.is_authentication(), "{error:?}");
    assert_eq!(proxy.first_command(), "LOGIN");
}

/// Stands between the client and Dovecot for one connection, and hides its mechanisms: Dovecot
/// itself offers no LOGIN without AUTH=PLAIN.
struct Proxy {
    port: u16,
    /// What the client has sent.
    sent: JoinHandle<Vec<u8>>,
}

impl Proxy {
    fn without_mechanisms(dovecot: &Dovecot) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = (dovecot.address(), dovecot.port());
        let sent = std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut server = TcpStream::connect(server).unwrap();
            let mut answers = BufReader::new(server.try_clone().unwrap());
            let mut greeting = String::new();
            answers.read_line(&mut greeting).unwrap();
            let greeting = greeting.replace("AUTH=PLAIN", "AUTH=OTHER");
            let greeting = greeting.replace("AUTH=LOGIN", "AUTH=ANOTHER");
            client.write_all(greeting.as_bytes()).unwrap();
            let mut to_client = client.try_clone().unwrap();
            let back = std::thread::spawn(move || {
                // Either side may close first.
                let _ = std::io::copy(&mut answers, &mut to_client);
                let _ = to_client.shutdown(Shutdown::Both);
            });
            let mut sent = Vec::new();
            let mut buffer = [0; 4_096];
            while let Ok(count @ 1..) = client.read(&mut buffer) {
                sent.extend_from_slice(&buffer[..count]);
                if server.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
            let _ = server.shutdown(Shutdown::Both);
            back.join().unwrap();
            sent
        });
        Self { port, sent }
    }

    /// The verb of the client's first command.
    fn first_command(self) -> String {
        let sent = self.sent.join().unwrap();
        let line = String::from_utf8_lossy(&sent).into_owned();
        line.split(' ').nth(1).unwrap_or_default().to_owned()
    }
}

#[test]
fn authenticate_without_an_initial_response_waits_for_its_turn() {
    let dovecot = Dovecot::builder()
        .user("alice", "secret")
        .setting("imap_capability", "IMAP4rev1 ID ENABLE")
        .start_or_skip();
    let Some(dovecot) = dovecot else { return };
    let mut user = mailpool_test_dovecot::User {
        name: "alice".to_owned(),
        password: "secret".to_owned(),
    };
    let client = connect(&dovecot, &user);
    assert!(!client.capabilities().unwrap().contains("SASL-IR"));
    user.password = "wrong".to_owned();
    let error = builder(&dovecot, &user).connect().unwrap_err();
    assert!(error.is_authentication(), "{error:?}");
}

#[test]
fn a_server_with_no_usable_mechanism_is_a_typed_error() {
    let dovecot = Dovecot::builder().mechanisms("digest-md5").start_or_skip();
    let Some(dovecot) = dovecot else { return };
    let user = dovecot.new_user("digest");
    let error = builder(&dovecot, &user).connect().unwrap_err();
    assert!(
        matches!(
            error.kind(),
            ErrorKind::NoMechanism { .. } | ErrorKind::Authentication { .. }
        ),
        "{error:?}"
    );
}

#[test]
fn capabilities_are_those_after_the_login() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "capabilities");
    let capabilities = client.capabilities().unwrap();
    for expected in [
        "IMAP4rev1",
        "UIDPLUS",
        "MOVE",
        "UNSELECT",
        "ESEARCH",
        "CONDSTORE",
        "NAMESPACE",
        "LITERAL+",
    ] {
        assert!(
            capabilities.contains(expected),
            "{expected}: {capabilities:?}"
        );
    }
    assert_eq!(capabilities.auth_mechanisms().count(), 0);
    assert!(!capabilities.contains("LOGINDISABLED"));
}

#[test]
fn identities_are_exchanged() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(dovecot, "id");
    let server = client
        .id([("name", "mailpool tests"), ("version", "\"1\\0\"")])
        .unwrap();
    let name = server
        .iter()
        .find(|(field, _)| field == "name")
        .and_then(|(_, value)| value.as_deref());
    assert_eq!(name, Some("Dovecot"));
    assert_eq!(client.id([("", ""); 0]).unwrap(), server);
    let long = "x".repeat(2_000);
    let error = client.id([("name", long.as_str())]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InvalidArgument(_)));
    client.noop().unwrap();
}

#[test]
fn extensions_are_enabled_by_a_call_and_by_the_builder() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (user, client) = client_of_new_user(dovecot, "enable");
    assert_eq!(client.enable(["CONDSTORE"]).unwrap(), ["CONDSTORE"]);
    let mut enabled = client.enable(["QRESYNC", "X-UNKNOWN"]).unwrap();
    enabled.sort();
    assert_eq!(enabled, ["QRESYNC"]);
    let other = builder(dovecot, &user)
        .enable(["CONDSTORE", "X-UNKNOWN"])
        .connect()
        .unwrap();
    let named = other.enable(["CONDSTORE"]).unwrap();
    // What is on already should not be named again (RFC 5161 §3.1); Dovecot does.
    assert!(named.is_empty() || named == ["CONDSTORE"], "{named:?}");
}

#[test]
fn namespaces_say_prefix_and_delimiter() {
    let Some(shared) = Dovecot::shared() else {
        return;
    };
    let (_user, client) = client_of_new_user(shared, "namespace");
    let namespaces = client.namespace().unwrap();
    assert_eq!(namespaces.personal.len(), 1);
    assert_eq!(namespaces.personal[0].prefix, "");
    assert_eq!(namespaces.personal[0].delimiter, Some('/'));
    assert!(namespaces.other_users.is_empty() && namespaces.shared.is_empty());

    let courier = Dovecot::builder()
        .separator('.')
        .prefix("INBOX.")
        .start()
        .unwrap();
    let (_user, client) = client_of_new_user(&courier, "namespace");
    let namespaces = client.namespace().unwrap();
    assert_eq!(namespaces.personal[0].prefix, "INBOX.");
    assert_eq!(namespaces.personal[0].delimiter, Some('.'));
    // Below the prefix mailboxes can be made, beside it not.
    client.mailbox("INBOX.Entwürfe").create().unwrap();
    let names: Vec<String> = client
        .list("", "*")
        .unwrap()
        .into_iter()
        .map(|entry| entry.name.to_string())
        .collect();
    assert!(names.contains(&"INBOX.Entwürfe".to_owned()), "{names:?}");
    assert!(client.mailbox("Beside").create().is_err());
}

#[test]
fn shutdown_and_the_last_drop_leave_no_session() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let (user, client) = client_of_new_user(dovecot, "shutdown");
    let mailbox = client.mailbox("INBOX");
    mailbox.select().unwrap();
    std::thread::scope(|threads| {
        threads.spawn(|| drop(client.create_connection().unwrap()));
    });
    client.shutdown(LONG).unwrap();
    until_gone(dovecot, &user);
    let error = mailbox.search(Query::all()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ShutDown), "{error:?}");

    let client = connect(dovecot, &user);
    let mailbox = client.mailbox("INBOX");
    drop(client);
    // The mailbox is a handle too.
    assert_eq!(mailbox.search(Query::all()).unwrap().len(), 0);
    drop(mailbox);
    until_gone(dovecot, &user);
    let session = format!("imap({})", user.name);
    until("each of three connections has said LOGOUT", || {
        let log = dovecot.log();
        let lines = log.lines().filter(|line| line.contains(&session));
        lines.filter(|line| line.contains("Logged out")).count() == 3
    });
}
