//! TLS, STARTTLS and what may go wrong with them.

use std::time::Duration;

use mailpool::{
    Certainty, Credentials, Error, ErrorKind, ImapClient, ImapClientBuilder, Phase, Security,
    UidSet,
};
use mailpool_test_server::{
    Action, Layer, Message, Script, ScriptServer, Security as Secured, Server, Stage,
};

use crate::deadlines_opening::ends_in;
use crate::scripted::{LONG, body};
use crate::support::{USER, message};

pub(crate) fn server(security: Secured) -> Server {
    server_of(
        security,
        [Message::new(message(0)), Message::new(message(1))],
    )
}

pub(crate) fn server_of(security: Secured, messages: impl IntoIterator<Item = Message>) -> Server {
    Server::builder()
        .user(USER.0, USER.1)
        .mailbox(USER.0, "INBOX", messages)
        .security(security)
        .start()
        .expect("the embedded server starts")
}

/// A builder that trusts the server's own authority and nobody else.
pub(crate) fn trusting(server: &Server, security: Security) -> ImapClientBuilder {
    strange(server, security).ca_pem(server.ca_pem())
}

/// A builder that trusts nobody.
fn strange(server: &Server, security: Security) -> ImapClientBuilder {
    ImapClient::builder("127.0.0.1")
        .port(server.port())
        .security(security)
        .only_own_ca()
        .credentials(Credentials::password(USER.0, USER.1))
        .timeout(LONG)
        .shutdown_timeout(Duration::from_millis(300))
        .max_connections_per_server(1)
}

/// Both ways to TLS.
pub(crate) const BOTH: [(Secured, Security); 2] = [
    (Secured::Tls, Security::Tls),
    (Secured::StartTls, Security::StartTls),
];

pub(crate) fn works(client: &ImapClient) {
    let mut count = 0;
    for fetched in client
        .mailbox("INBOX")
        .fetch(UidSet::all(), body())
        .unwrap()
    {
        let bytes = fetched.unwrap().into_body().unwrap().into_bytes().unwrap();
        assert_eq!(bytes, message(count));
        count += 1;
    }
    assert_eq!(count, 2);
}

/// No login has been tried, in whatever form.
#[track_caller]
fn nothing_was_told(server: &Server) {
    let counters = server.counters();
    let tried = counters.commands("LOGIN") + counters.commands("AUTHENTICATE");
    assert_eq!((tried, counters.logins, counters.failed_logins), (0, 0, 0));
    assert!(server.wait_until(LONG, |counters| counters.open == 0));
}

#[track_caller]
fn tls_error(result: Result<ImapClient, Error>) {
    let error = result.expect_err("the certificate is not good");
    assert!(matches!(error.kind(), ErrorKind::Tls { .. }), "{error:?}");
    assert_eq!(error.certainty(), Certainty::NotSent);
    assert!(error.is_connection());
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn a_server_with_a_known_authority_is_trusted() {
    for (secured, security) in BOTH {
        let server = server(secured);
        works(&trusting(&server, security).connect().unwrap());
        // As a name too, which may have several addresses of which the first refuses.
        let named = ImapClient::builder("localhost")
            .port(server.port())
            .security(security)
            .ca_pem(server.ca_pem())
            .credentials(Credentials::password(USER.0, USER.1));
        works(&named.connect().unwrap());
        assert_eq!(server.counters().tls_handshakes, 2);
    }
}

#[test]
fn a_server_with_an_unknown_authority_is_refused() {
    let other = server(Secured::Tls);
    for (secured, security) in BOTH {
        let server = server(secured);
        tls_error(strange(&server, security).connect());
        tls_error(strange(&server, security).ca_pem(other.ca_pem()).connect());
        let with_the_systems = ImapClient::builder("127.0.0.1")
            .port(server.port())
            .security(security)
            .credentials(Credentials::password(USER.0, USER.1));
        tls_error(with_the_systems.connect());
        nothing_was_told(&server);
        // Several authorities: one of them is enough.
        let both = trusting(&server, security).ca_pem(other.ca_pem());
        works(&both.connect().unwrap());
    }
}

#[test]
fn a_server_with_another_name_is_refused() {
    for (secured, security) in BOTH {
        let server = server(secured);
        for name in ["mail.example.org", "localhost.example.org", "127.0.0.2"] {
            tls_error(trusting(&server, security).server_name(name).connect());
        }
        nothing_was_told(&server);
        for name in ["localhost", "127.0.0.1", "::1"] {
            works(
                &trusting(&server, security)
                    .server_name(name)
                    .connect()
                    .unwrap(),
            );
        }
    }
}

#[test]
fn invalid_certificates_are_accepted_on_explicit_wish_only() {
    for (secured, security) in BOTH {
        let server = server(secured);
        let reckless = strange(&server, security)
            .server_name("mail.example.org")
            .danger_accept_invalid_certificates();
        works(&reckless.connect().unwrap());
    }
}

#[test]
fn a_ca_file_that_is_none_is_an_error() {
    let server = server(Secured::Tls);
    for pem in [
        &b""[..],
        b"no certificate",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let error = strange(&server, Security::Tls)
            .ca_pem(pem)
            .connect()
            .unwrap_err();
        assert!(
            matches!(
                error.kind(),
                ErrorKind::Tls { .. } | ErrorKind::InvalidArgument(_)
            ),
            "{error:?}"
        );
    }
    assert_eq!(server.counters().accepted, 0);
}

#[test]
fn a_server_that_does_not_speak_tls_is_an_error() {
    let plain = server(Secured::None);
    tls_error(trusting(&plain, Security::Tls).connect());
    nothing_was_told(&plain);
    // A handshake that ends, in the middle or at once.
    let server = server(Secured::Tls);
    for cut in [0, 1, 5, 500] {
        for action in [Action::CloseWithoutNotify, Action::Reset] {
            server.faults().after_sent(cut, Layer::Wire, action);
            let error = trusting(&server, Security::Tls).connect().unwrap_err();
            assert!(error.is_connection(), "{error:?}");
            assert_eq!(error.certainty(), Certainty::NotSent);
        }
    }
    // One that stalls.
    server.faults().after_sent(100, Layer::Wire, Action::Stall);
    ends_in(Phase::Tls, |patience| {
        trusting(&server, Security::Tls).timeout(patience).connect()
    });
    server.faults().clear();
    works(&trusting(&server, Security::Tls).connect().unwrap());
}

#[test]
fn starttls_comes_before_everything_else() {
    let server = server(Secured::StartTls);
    let client = trusting(&server, Security::StartTls).connect().unwrap();
    works(&client);
    let verbs: Vec<String> = server.commands().into_iter().map(|one| one.verb).collect();
    assert_eq!(verbs[..3], ["STARTTLS", "CAPABILITY", "AUTHENTICATE"]);
    assert!(server.connections()[0].tls);
}

#[track_caller]
fn starttls_error(result: Result<ImapClient, Error>) {
    let error = result.expect_err("there is no TLS");
    assert!(
        matches!(error.kind(), ErrorKind::StartTls { .. }),
        "{error:?}"
    );
    assert_eq!(error.certainty(), Certainty::NotSent);
}

#[test]
fn without_starttls_nothing_is_sent() {
    // Not offered.
    let plain = server(Secured::None);
    starttls_error(trusting(&plain, Security::StartTls).connect());
    nothing_was_told(&plain);
    assert_eq!(plain.counters().total_commands(), 0);
    // Not said to be offered, and refused.
    for answer in ["{tag} NO not now\r\n", "{tag} BAD what?\r\n"] {
        let server = server(Secured::StartTls);
        server.faults().greet_with("* OK hi\r\n");
        server.faults().respond("STARTTLS", answer);
        starttls_error(trusting(&server, Security::StartTls).connect());
        nothing_was_told(&server);
        assert_eq!(server.counters().total_commands(), 1);
    }
    // Already authenticated: STARTTLS cannot follow.
    for greeting in [
        "* PREAUTH hi\r\n",
        "* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n",
    ] {
        let server = server(Secured::StartTls);
        server.faults().greet_with(greeting);
        starttls_error(trusting(&server, Security::StartTls).connect());
        nothing_was_told(&server);
        assert_eq!(server.counters().total_commands(), 0);
    }
}

#[test]
fn bytes_between_the_answer_and_the_handshake_are_an_attack() {
    for injected in [
        "* CAPABILITY IMAP4rev1 X-EVIL\r\n",
        "M2 OK [CAPABILITY IMAP4rev1] fooled\r\n",
        "* PREAUTH fooled\r\n",
        "x",
    ] {
        let server = server(Secured::StartTls);
        server.faults().inject_after("STARTTLS", injected);
        starttls_error(trusting(&server, Security::StartTls).connect());
        nothing_was_told(&server);
    }
}

/// The same in a segment of its own: it is not TLS.
#[test]
fn bytes_before_the_handshake_are_not_taken_for_tls() {
    let script = Script::new()
        .send("* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n")
        .expect("{tag} STARTTLS")
        .split(1)
        .send("{tag} OK go\r\n* CAPABILITY IMAP4rev1\r\nM2 OK done\r\nM3 OK done\r\n")
        .stall();
    let server = script.serve().unwrap();
    let error = trusting(&server, Security::StartTls).connect().unwrap_err();
    assert!(
        matches!(
            error.kind(),
            ErrorKind::StartTls { .. } | ErrorKind::Tls { .. }
        ),
        "{error:?}"
    );
}

/// What was said in clear counts for nothing: capabilities, mailbox data, answers to commands
/// that have not been sent.
#[test]
fn what_was_said_before_tls_is_forgotten() {
    // Said anew, or not at all.
    for answer in [
        "* CAPABILITY IMAP4rev1\r\n{tag} OK done\r\n",
        "{tag} OK done\r\n",
    ] {
        let script = Script::new()
            .send(
                "* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED AUTH=PLAIN SASL-IR LITERAL+] hi\r\n",
            )
            .expect("{tag} STARTTLS")
            .send(
                "* CAPABILITY IMAP4rev1 UIDPLUS NAMESPACE AUTH=PLAIN\r\n* 3 EXISTS\r\n\
                 * FLAGS (\\Seen)\r\n* OK [ALERT] trust me\r\n* 1 FETCH (FLAGS ())\r\n\
                 * OK [CAPABILITY IMAP4rev1 NAMESPACE AUTH=PLAIN] x\r\n{tag} OK go\r\n",
            )
            .starttls()
            .expect("{tag} CAPABILITY")
                .send(answer)
            .expect("{tag} LOGIN alice secret")
            .send("{tag} OK [CAPABILITY IMAP4rev1] in\r\n")
            .expect("{tag} LOGOUT")
            .send("* BYE bye\r\n{tag} OK out\r\n")
            .expect_end();
        let server = ScriptServer::start([script]).unwrap();
        let client = trusting(&server, Security::StartTls).connect().unwrap();
        let error = client.namespace().unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::MissingCapability { .. }),
            "{error:?}"
        );
        drop(client);
        server.finish(LONG).unwrap();
    }
}

/// Not even that it has no capabilities is believed before TLS.
#[test]
fn a_login_that_is_disabled_in_clear_is_possible_under_tls() {
    let server = server(Secured::StartTls);
    server.set_capabilities(Stage::BeforeLogin, &["IMAP4rev1"]);
    works(&trusting(&server, Security::StartTls).connect().unwrap());
    assert_eq!(server.counters().commands("LOGIN"), 1);
}

#[test]
fn a_password_is_never_sent_in_clear_by_itself() {
    let server = server(Secured::None);
    let in_clear = ImapClient::builder("127.0.0.1")
        .port(server.port())
        .security(Security::None)
        .credentials(Credentials::password(USER.0, USER.1))
        .timeout(LONG);
    for greeting in [
        None,
        Some("* OK hi\r\n"),
        Some("* OK [CAPABILITY IMAP4rev1] hi\r\n"),
    ] {
        if let Some(greeting) = greeting {
            server.faults().greet_with(greeting);
        }
        let error = in_clear.clone().connect().unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::CleartextPassword),
            "{error:?}"
        );
        assert_eq!(error.certainty(), Certainty::NotSent);
        nothing_was_told(&server);
    }
    server.faults().clear();
    works(&in_clear.allow_cleartext_password().connect().unwrap());
}

/// Nothing that a user may print shows the password.
#[test]
fn debug_output_does_not_show_the_password() {
    let server = server(Secured::Tls);
    let builder = trusting(&server, Security::Tls);
    assert!(!format!("{builder:?}").contains(USER.1));
    let client = builder.connect().unwrap();
    assert!(!format!("{client:?} {:?}", client.stats()).contains(USER.1));
    server.faults().refuse_next_login("no");
    let error = trusting(&server, Security::Tls).connect().unwrap_err();
    assert!(!format!("{error:?} {error}").contains(USER.1));
}
