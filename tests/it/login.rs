//! From the greeting to the first command: what servers say there, and what is not sent.

use mailpool::{Certainty, ErrorKind, ImapClient, ResponseCode, SaslFailure, SaslMechanism};
use mailpool_test_server::{Script, ScriptServer, Server, Stage};

use crate::scripted::{LONG, builder, logout, single};
use crate::support::{USER, server_with};

/// Plays one session up to its login, then logs out.
fn plays(script: Script) {
    let server = ScriptServer::start([logout(script)]).unwrap();
    let client = single(&server);
    drop(client);
    server.finish(LONG).unwrap();
}

/// The base64 of `\0alice\0secret`.
const PLAIN: &str = "AGFsaWNlAHNlY3JldA==";

#[test]
fn authenticate_plain_sends_its_response_at_once_where_it_may() {
    plays(
        Script::new()
            .send("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hi\r\n")
            .expect(&format!("{{tag}} AUTHENTICATE PLAIN {PLAIN}"))
            .send("{tag} OK [CAPABILITY IMAP4rev1] in\r\n"),
    );
}

#[test]
fn authenticate_plain_waits_to_be_asked_elsewhere() {
    for question in ["+ \r\n", "+\r\n"] {
        plays(
            Script::new()
                .send("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\r\n")
                .expect("{tag} AUTHENTICATE PLAIN")
                .send("* OK still here\r\n")
                .send(question)
                .expect(PLAIN)
                .send("{tag} OK [CAPABILITY IMAP4rev1] in\r\n"),
        );
    }
}

#[test]
fn an_exchange_that_makes_no_sense_is_cancelled() {
    for question in ["+ d2hhdD8=\r\n", "+ ???\r\n"] {
        let script = Script::new()
            .send("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\r\n")
            .expect("{tag} AUTHENTICATE PLAIN")
            .send(question)
            .expect("*")
            .send("{tag} BAD cancelled\r\n")
            .expect_end();
        let server = ScriptServer::start([script]).unwrap();
        let error = builder(&server).connect().unwrap_err();
        let ErrorKind::Sasl { mechanism, failure } = error.kind() else {
            panic!("{error:?}");
        };
        assert_eq!(*mechanism, SaslMechanism::Plain);
        assert!(matches!(failure, SaslFailure::Challenge(_)), "{failure:?}");
        server.finish(LONG).unwrap();
    }
}

#[test]
fn capabilities_are_asked_for_where_the_server_does_not_say_them() {
    plays(
        Script::new()
            .send("* OK hi\r\n")
            .expect("{tag} CAPABILITY")
            .send("* CAPABILITY IMAP4rev1\r\n{tag} OK done\r\n")
            .expect("{tag} LOGIN alice secret")
            .send("{tag} OK in\r\n")
            .expect("{tag} CAPABILITY")
            .send("* CAPABILITY IMAP4rev1 IDLE\r\n{tag} OK done\r\n"),
    );
}

#[test]
fn everything_in_one_segment_or_byte_by_byte_is_the_same() {
    for split in [1, 2, 5, usize::MAX] {
        plays(
            Script::new()
                .split(split)
                .send("* OK hi\r\n")
                .expect("{tag} CAPABILITY")
                .send("* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n* OK [ALERT] x\r\n{tag} OK done\r\n")
                .expect("{tag} AUTHENTICATE PLAIN")
                .send("+ \r\n")
                .expect(PLAIN)
                .send("* OK hello\r\n{tag} OK [CAPABILITY IMAP4rev1] in\r\n"),
        );
    }
}

/// What the server could do before the login says nothing about what it can do after it.
#[test]
fn capabilities_from_before_the_login_are_forgotten() {
    // Said with the answer, when asked, or not at all.
    for (after, asked) in [
        ("OK [CAPABILITY IMAP4rev1] in", None),
        ("OK in", Some("* CAPABILITY IMAP4rev1\r\n{tag} OK done\r\n")),
        ("OK in", Some("{tag} OK done\r\n")),
    ] {
        let mut script = Script::new()
            .send("* OK [CAPABILITY IMAP4rev1 UIDPLUS ESEARCH ENABLE NAMESPACE LITERAL+] hi\r\n")
            .expect("{tag} LOGIN alice secret")
            .send(format!("{{tag}} {after}\r\n"));
        if let Some(answer) = asked {
            script = script.expect("{tag} CAPABILITY").send(answer);
        }
        let server = ScriptServer::start([logout(script)]).unwrap();
        let client = single(&server);
        let error = client.namespace().unwrap_err();
        assert!(
            matches!(
                error.kind(),
                ErrorKind::MissingCapability {
                    capability: "NAMESPACE"
                }
            ),
            "{error:?}"
        );
        assert_eq!(error.certainty(), Certainty::NotSent);
        drop(client);
        server.finish(LONG).unwrap();
    }
}

#[test]
fn capabilities_may_change_at_any_time() {
    let server = server_with(0);
    let client = single(&server);
    client.namespace().unwrap();
    server.faults().inject("NOOP", "* CAPABILITY IMAP4rev1\r\n");
    client.noop().unwrap();
    assert!(client.namespace().is_err());
    server
        .faults()
        .inject("NOOP", "* OK [CAPABILITY IMAP4rev1 NAMESPACE] more\r\n");
    client.noop().unwrap();
    client.namespace().unwrap();
}

/// LOGINDISABLED without a mechanism that can be used: nothing is tried.
#[test]
fn a_disabled_login_is_not_tried() {
    for offered in [
        &["IMAP4rev1", "LOGINDISABLED"][..],
        &["IMAP4rev1", "logindisabled", "AUTH=GSSAPI"],
    ] {
        let server = Server::builder()
            .user(USER.0, USER.1)
            .capabilities(Stage::BeforeLogin, offered)
            .start()
            .unwrap();
        let error = builder(&server).connect().unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::NoMechanism { .. }),
            "{error:?}"
        );
        let counters = server.counters();
        assert_eq!(
            counters.commands("LOGIN") + counters.commands("AUTHENTICATE"),
            0
        );
        assert!(server.wait_until(LONG, |counters| counters.open == 0));
    }
}

#[test]
fn a_disabled_login_leaves_authenticate() {
    let server = Server::builder()
        .user(USER.0, USER.1)
        .capabilities(
            Stage::BeforeLogin,
            &["IMAP4rev1", "LOGINDISABLED", "AUTH=PLAIN"],
        )
        .start()
        .unwrap();
    single(&server).noop().unwrap();
    assert_eq!(server.counters().commands("AUTHENTICATE"), 1);
}

#[test]
fn preauth_needs_no_login() {
    let server = Server::builder()
        .user(USER.0, USER.1)
        .preauth(USER.0)
        .start()
        .unwrap();
    // Not even the permission to send the password in clear.
    let client = ImapClient::builder("127.0.0.1")
        .port(server.port())
        .security(mailpool::Security::None)
        .credentials(mailpool::Credentials::password(USER.0, "wrong"))
        .connect()
        .unwrap();
    client.mailbox("INBOX").select().unwrap();
    plays(
        Script::new()
            .send("* PREAUTH hi\r\n")
            .expect("{tag} CAPABILITY")
            .send("* CAPABILITY IMAP4rev1\r\n{tag} OK done\r\n"),
    );
}

#[test]
fn a_refused_login_says_what_the_server_said() {
    let server = server_with(0);
    for code in ["AUTHENTICATIONFAILED", "EXPIRED", "X-OWN"] {
        server
            .faults()
            .refuse_next_login(&format!("[{code}] not today"));
        let error = builder(&server).connect().unwrap_err();
        let ErrorKind::Authentication { code: told, text } = error.kind() else {
            panic!("{error:?}");
        };
        assert_eq!(text, "not today");
        let told = told.as_ref().expect(code);
        assert_eq!(
            *told == ResponseCode::AuthenticationFailed,
            code == "AUTHENTICATIONFAILED"
        );
        assert_eq!(error.certainty(), Certainty::Rejected);
        assert!(!format!("{error:?} {error}").contains(USER.1));
    }
    assert!(server.wait_until(LONG, |counters| counters.open == 0));
}

/// Every other login is refused: the connection that was wanted is an error, the permit free.
#[test]
fn a_refused_login_gives_its_permit_back() {
    let server = server_with(0);
    let client = builder(&server)
        .max_connections_per_server(2)
        .connect()
        .unwrap();
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for _ in 0..5 {
                server.faults().refuse_next_login("[UNAVAILABLE] later");
                let error = client.create_connection().unwrap_err();
                assert!(error.is_authentication(), "{error:?}");
                assert!(server.wait_until(LONG, |counters| counters.open == 1));
            }
            let _scope = client.create_connection().unwrap();
        });
    });
    assert_eq!(server.counters().peak_open, 2);
}

#[test]
fn a_greeting_that_is_none_is_an_error() {
    for (greeting, is_protocol) in [
        ("* BYE not today\r\n", false),
        ("* NO what\r\n", true),
        ("* BAD what\r\n", true),
        ("A1 OK what\r\n", true),
        ("+ what\r\n", true),
        ("* 3 EXISTS\r\n", true),
        ("220 mail.example.org ESMTP\r\n", true),
        ("+OK POP3 ready\r\n", true),
        ("SSH-2.0-OpenSSH_9.2\r\n", true),
        ("HTTP/1.1 400 Bad Request\r\n\r\n", true),
        ("* OK no carriage return\n", true),
        ("* CAPABILITY IMAP4rev1\r\n", true),
    ] {
        let server = server_with(0);
        server.faults().greet_with(greeting);
        let error = builder(&server).connect().unwrap_err();
        let expected = if is_protocol {
            matches!(error.kind(), ErrorKind::Protocol { .. })
        } else {
            matches!(error.kind(), ErrorKind::Bye { .. })
        };
        assert!(expected, "{greeting}: {error:?}");
        assert_eq!(error.certainty(), Certainty::NotSent);
        assert_eq!(server.counters().total_commands(), 0);
        assert!(server.wait_until(LONG, |counters| counters.open == 0));
    }
}

/// A greeting without an end is bounded by the limit on lines.
#[test]
fn an_endless_greeting_is_bounded() {
    let server = server_with(0);
    server
        .faults()
        .greet_with([b"* OK ".to_vec(), vec![b'x'; 3 << 20]].concat());
    let error = builder(&server)
        .limits(mailpool::Limits::default().max_line(1 << 16))
        .timeout(std::time::Duration::from_secs(2))
        .connect()
        .unwrap_err();
    assert!(
        matches!(
            error.kind(),
            ErrorKind::Limit { .. } | ErrorKind::Timeout { .. }
        ),
        "{error:?}"
    );
}
