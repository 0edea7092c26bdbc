//! What the server is asked for, as it sees it; and what is not sent because it cannot be.

use std::time::Duration;

use mailpool::{
    BodyType, Credentials, ErrorKind, LineEndings, Notify, Recipient, ReturnContent, Security,
    SmtpClient, SmtpEnvelope,
};
use mailpool_test_server::{Protocol, Server};

use super::setup::{builder, client, server, to};

const MESSAGE: &str = "From: alice@example.org\r\nSubject: x\r\n\r\nbody\r\n";

fn verbs(server: &Server) -> Vec<String> {
    server.commands().into_iter().map(|one| one.verb).collect()
}

#[test]
fn every_parameter_arrives() {
    let server = server().start().unwrap();
    let client = client(&server);
    let bob = Recipient::new("bob@example.net")
        .unwrap()
        .notify(Notify::failure().delay())
        .original("old+bob@example.com".parse().unwrap());
    let envelope = SmtpEnvelope::new("älice@example.org", [bob])
        .unwrap()
        .envelope_id("id+1=2")
        .unwrap()
        .return_content(ReturnContent::Headers)
        .hold_for(Duration::from_secs(60));
    let message = "Subject: x\r\n\r\ngrün\r\n";
    assert!(client.send(&envelope, message).unwrap().is_complete());
    let delivery = &server.deliveries()[0];
    let from = &delivery.reverse_path;
    assert_eq!(from.address, "älice@example.org");
    assert_eq!(
        from.parameter("SIZE"),
        Some(message.len().to_string().as_str())
    );
    assert_eq!(from.parameter("BODY"), Some("8BITMIME"));
    assert_eq!(from.parameter("SMTPUTF8"), Some(""));
    assert_eq!(from.parameter("RET"), Some("HDRS"));
    assert_eq!(from.decoded("ENVID"), Some("id+1=2"));
    assert_eq!(from.parameter("HOLDFOR"), Some("60"));
    let bob = &delivery.recipients[0];
    assert_eq!(bob.parameter("NOTIFY"), Some("FAILURE,DELAY"));
    assert_eq!(bob.decoded("ORCPT"), Some("old+bob@example.com"));
    let nobody = SmtpEnvelope::from_nobody(["bob@example.net"]).unwrap();
    let binary = nobody.body(BodyType::Binary);
    assert!(
        client
            .send(&binary, b"x: y\r\n\r\n\0\r\n.\r\n\n")
            .unwrap()
            .is_complete()
    );
    let delivery = &server.deliveries()[1];
    assert_eq!(delivery.reverse_path.address, "");
    assert_eq!(delivery.reverse_path.parameter("BODY"), Some("BINARYMIME"));
    assert_eq!(delivery.bytes().unwrap(), b"x: y\r\n\r\n\0\r\n.\r\n\n");
    assert!(server.violations().is_empty(), "{:?}", server.violations());
}

#[test]
fn what_the_server_lacks_is_named_and_nothing_is_sent() {
    let plain = || to(&["bob"]);
    let cases: [(&str, SmtpEnvelope, &[u8]); 6] = [
        ("SMTPUTF8", to(&["bö"]), b"x: y\r\n\r\n"),
        (
            "DSN",
            plain().return_content(ReturnContent::Full),
            b"x: y\r\n\r\n",
        ),
        ("8BITMIME", plain(), b"x: y\r\n\r\n\xe4"),
        (
            "BINARYMIME",
            plain().body(BodyType::Binary),
            b"x: y\r\n\r\n",
        ),
        ("CHUNKING", plain(), b"x: y\r\n\r\n\0"),
        ("REQUIRETLS", plain().require_tls(), b"x: y\r\n\r\n"),
    ];
    for (keyword, envelope, message) in cases {
        let server = server().without(keyword).start().unwrap();
        let client = client(&server);
        let error = client.send(&envelope, message).unwrap_err();
        match error.kind() {
            ErrorKind::MissingCapability { capability } => assert_eq!(*capability, keyword),
            other => panic!("{keyword}: {other}"),
        }
        assert!(!verbs(&server).contains(&"MAIL".to_owned()), "{keyword}");
        // The connection is as good as before.
        assert!(client.send(&plain(), MESSAGE).unwrap().is_complete());
    }
    let server = server().with("SIZE 100").start().unwrap();
    let error = client(&server).send(&plain(), "x".repeat(200)).unwrap_err();
    assert!(matches!(
        error.kind(),
        ErrorKind::MessageTooLarge { limit: 100, .. }
    ));
    assert!(!verbs(&server).contains(&"MAIL".to_owned()));
}

#[test]
fn where_every_recipient_is_refused_no_data_is_sent() {
    for without in ["", "CHUNKING", "PIPELINING"] {
        let server = server().without(without).start().unwrap();
        server
            .faults()
            .refuse_recipient("bob@example.net", "550 5.1.1 no bob")
            .refuse_recipient("carol@example.net", "450 4.2.1 later");
        let client = client(&server);
        let error = client.send(&to(&["bob", "carol"]), MESSAGE).unwrap_err();
        assert_eq!(error.certainty(), mailpool::Certainty::Rejected);
        let ErrorKind::NobodyAccepted { recipients } = error.kind() else {
            panic!("{error}");
        };
        assert_eq!(recipients.len(), 2);
        for verb in ["DATA", "BDAT"] {
            assert!(!verbs(&server).contains(&verb.to_owned()), "{without}");
        }
        // One refused recipient does not keep the message from the others.
        let report = client.send(&to(&["bob", "dave"]), MESSAGE).unwrap();
        assert_eq!(report.refused().count(), 1);
        assert_eq!(server.deliveries().len(), 1);
        assert!(server.violations().is_empty(), "{:?}", server.violations());
        assert_eq!(server.counters().accepted, 1, "the connection went on");
    }
}

#[test]
fn bcc_and_bare_line_ends_do_not_leave() {
    let server = server().start().unwrap();
    let client = client(&server);
    let text = "To: bob\nBcc: eve@example.net,\n mallory@example.net\nSubject: x\n\nBcc: kept\n.\n";
    assert!(client.send(&to(&["bob"]), text).unwrap().is_complete());
    assert_eq!(
        server.deliveries()[0].bytes().unwrap(),
        b"To: bob\r\nSubject: x\r\n\r\nBcc: kept\r\n.\r\n"
    );
    let strict = client.with_line_endings(LineEndings::Refuse);
    let before = server.commands().len();
    for text in [text, "x: y\r\n\r\n\r.\r\r\n", "x: y\r\n\r\n\0"] {
        let error = strict.send(&to(&["bob"]), text).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::InvalidArgument(_)),
            "{error}"
        );
    }
    assert_eq!(server.commands().len(), before, "something was sent");
}

#[test]
fn nothing_that_a_user_gives_leaves_its_place_in_a_command() {
    let server = server().record_lines().start().unwrap();
    let client = client(&server);
    for bad in ["a\r\nRSET", "a\nb", "a\0b", "", " "] {
        assert!(client.verify(bad).is_err(), "{bad:?}");
        assert!(client.expand(bad).is_err(), "{bad:?}");
        assert!(
            SmtpEnvelope::new(bad, ["bob@example.net"]).is_err(),
            "{bad:?}"
        );
        assert!(
            to(&["bob"]).envelope_id(bad.replace(' ', "")).is_err(),
            "{bad:?}"
        );
        let hello = builder(&server).hello_name(bad).connect();
        assert!(hello.is_err(), "{bad:?}");
    }
    assert!(
        builder(&server)
            .hello_name("exämple.org")
            .connect()
            .is_err()
    );
    let nobody = to(&[]);
    assert!(client.send(&nobody, MESSAGE).is_err());
    let lines = server.commands();
    assert!(lines.iter().all(|one| one.verb == "EHLO"), "{lines:?}");
}

#[test]
fn users_and_lists_are_asked_about() {
    let server = server().user("alice", "secret").start().unwrap();
    let client = client(&server);
    let reply = client.verify("alice").unwrap();
    assert!(reply.is_positive(), "{reply}");
    server
        .faults()
        .replace_answer("EXPN", "250-alice@example.org\r\n250 bob@example.net\r\n");
    let members = client.expand("staff").unwrap();
    assert_eq!(members.text, "alice@example.org\nbob@example.net");
    server
        .faults()
        .replace_answer("VRFY", "550 5.1.1 nobody\r\n");
    let error = client.verify("eve").unwrap_err();
    assert_eq!(error.smtp_reply().map(|reply| reply.code), Some(550));
    client.noop().unwrap();
    assert!(client.capabilities().unwrap().supports("PIPELINING"));
}

#[test]
fn a_server_from_before_extensions_takes_messages_too() {
    let server = server().start().unwrap();
    server
        .faults()
        .always_replace_answer("EHLO", "502 5.5.1 what?\r\n");
    let client = client(&server);
    assert!(client.send(&to(&["bob"]), MESSAGE).unwrap().is_complete());
    assert_eq!(server.deliveries()[0].bytes().unwrap(), MESSAGE.as_bytes());
    assert!(verbs(&server).contains(&"HELO".to_owned()));
    assert!(server.violations().is_empty(), "{:?}", server.violations());
}

#[test]
fn lmtp_reports_each_recipient() {
    for without in ["", "CHUNKING"] {
        let server = Server::builder()
            .protocol(Protocol::Lmtp)
            .without(without)
            .start()
            .unwrap();
        server
            .faults()
            .refuse_recipient("bob@example.net", "550 5.1.1 no bob")
            .refuse_delivery("dave@example.net", "452 4.2.2 full");
        let client = builder(&server).lmtp().connect().unwrap();
        let report = client
            .send(&to(&["bob", "carol", "dave"]), MESSAGE)
            .unwrap();
        let accepted: Vec<_> = report.accepted().map(|one| one.address.as_str()).collect();
        assert_eq!(accepted, ["carol@example.net"]);
        assert_eq!(report.refused().count(), 2);
        assert_eq!(server.deliveries()[0].addresses().count(), 1);
    }
}

#[test]
fn the_login_comes_before_the_mail_and_after_tls() {
    for security in [
        mailpool_test_server::Security::Tls,
        mailpool_test_server::Security::StartTls,
    ] {
        let server = server()
            .user("alice", "secret")
            .security(security)
            .require_login()
            .start()
            .unwrap();
        let builder = |password: &str| {
            SmtpClient::builder("localhost")
                .port(server.port())
                .security(match security {
                    mailpool_test_server::Security::Tls => Security::Tls,
                    _ => Security::StartTls,
                })
                .ca_pem(server.ca_pem())
                .only_own_ca()
                .credentials(Credentials::password("alice", password))
                .timeout(crate::threads::LONG)
        };
        let client = builder("secret").connect().unwrap();
        let tls_only = to(&["bob"]).require_tls();
        assert!(client.send(&tls_only, MESSAGE).unwrap().is_complete());
        let delivery = &server.deliveries()[0];
        assert!(delivery.tls);
        assert_eq!(delivery.user.as_deref(), Some("alice"));
        assert_eq!(delivery.reverse_path.parameter("REQUIRETLS"), Some(""));
        let error = builder("wrong").connect().unwrap_err();
        assert!(error.is_authentication(), "{error}");
    }
    // Without TLS no password leaves.
    let server = server().user("alice", "secret").start().unwrap();
    let error = builder(&server)
        .credentials(Credentials::password("alice", "secret"))
        .connect()
        .unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::CleartextPassword),
        "{error}"
    );
    assert!(!verbs(&server).contains(&"AUTH".to_owned()));
}
