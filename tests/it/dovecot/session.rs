//! From the first byte to a session that is ready, and what belongs to the session as a whole.

use mailpool::{Certainty, ErrorKind, ImapClient, Query, ResponseCode, Security};
use mailpool_test_dovecot::Dovecot;

use super::{builder, client_of_new_user, connect, credentials, plain_builder, until_gone};

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
    assert_eq!(dovecot.connections(&user.name), 1);
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
    let log = dovecot.log();
    let login = log
        .lines()
        .find(|line| line.contains("Login:") && line.contains(&user.name));
    assert!(login.is_some_and(|line| line.contains("TLS")), "{login:?}");
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
    assert!(matches!(error.kind(), ErrorKind::NoMechanism), "{error:?}");
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
    let authenticate = Dovecot::builder().start_or_skip();
    let Some(authenticate) = authenticate else {
        return;
    };
    // Without AUTH=PLAIN among the capabilities LOGIN is used.
    let login = Dovecot::builder().mechanisms("login").start().unwrap();
    for (number, password) in PASSWORDS.into_iter().enumerate() {
        for dovecot in [&authenticate, &login] {
            let user = dovecot.add_user(&format!("user-{number}"), password);
            let client = connect(dovecot, &user);
            client.noop().unwrap();
        }
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
    let dovecot = Dovecot::builder().mechanisms("cram-md5").start_or_skip();
    let Some(dovecot) = dovecot else { return };
    let user = dovecot.new_user("cram");
    let error = builder(&dovecot, &user).connect().unwrap_err();
    assert!(
        matches!(
            error.kind(),
            ErrorKind::NoMechanism | ErrorKind::Authentication { .. }
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
    // What is on already is not named again (RFC 5161 §3.1).
    assert_eq!(other.enable(["CONDSTORE"]).unwrap(), [""; 0]);
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
    client.shutdown(super::LONG).unwrap();
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
    let log = dovecot.log();
    let farewells = log
        .lines()
        .filter(|line| line.contains(&format!("imap({})", user.name)))
        .filter(|line| line.contains("Logged out"))
        .count();
    assert_eq!(farewells, 3, "each connection says LOGOUT");
}
