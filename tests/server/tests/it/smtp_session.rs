use std::io::Read;

use mailpool_test_server::{LimitMode, Protocol, Security, Server, Stage, ViolationKind};

use crate::client::{SECOND, socket, tls};
use crate::smtp_client::{SmtpClient, kinds, lmtp, smtp};

#[test]
fn ehlo_announces_what_is_there() {
    let server = smtp()
        .without("DSN")
        .with("SIZE 1000")
        .with("X-STRANGE one two")
        .start()
        .unwrap();
    let mut client = SmtpClient::connected(&server);
    assert_eq!(client.reply(), "220 localhost ESMTP Test server ready");
    let reply = client.ok("EHLO client.example");
    let lines: Vec<&str> = reply.lines().collect();
    assert_eq!(lines[0], "250-localhost");
    assert!(lines.contains(&"250-PIPELINING") && lines.contains(&"250-SIZE 1000"));
    assert!(lines.contains(&"250-AUTH PLAIN LOGIN"), "{reply}");
    assert_eq!(*lines.last().unwrap(), "250 X-STRANGE one two");
    assert!(!reply.contains("DSN") && !reply.contains("STARTTLS"));
    assert!(!reply.contains("REQUIRETLS"), "in clear");
    // After HELO there are neither extensions nor enhanced status codes.
    assert_eq!(client.command("HELO client.example"), "250 localhost");
    client.check("MAIL FROM:<a@b.example> SIZE=10", "555 SIZE=10");
    assert_eq!(client.ok("MAIL FROM:<a@b.example>"), "250 Sender ok");
    client.check("LHLO client.example", "502 ");
    client.check("QUIT", "221 Bye");
    assert_eq!(client.rest().unwrap(), b"");
}

#[test]
fn commands_out_of_order_are_refused() {
    let server = smtp().start().unwrap();
    let mut client = SmtpClient::connected(&server);
    client.expect("220");
    client.check("MAIL FROM:<a@b.example>", "503 Introduce");
    client.check("AUTH PLAIN", "503");
    client.ok("EHLO c.example");
    client.check("RCPT TO:<a@b.example>", "503 5.5.1");
    client.check("DATA", "503 5.5.1");
    client.check("BDAT 0 LAST", "503 5.5.1");
    client.check("STARTTLS", "502 5.5.1");
    client.ok("MAIL FROM:<a@b.example>");
    client.check("MAIL FROM:<a@b.example>", "503 5.5.1");
    client.check("DATA", "554 5.5.1 No valid");
    client.ok("RSET");
    client.check("RCPT TO:<a@b.example>", "503 5.5.1");
    client.check("FOO", "500 5.5.1");
    client.check("ETRN x", "502 5.5.1");
    client.check("HELP", "214 2.0.0");
    client.ok("NOOP");
    // EHLO forgets the transaction.
    client.ok("MAIL FROM:<a@b.example>");
    client.ok("EHLO c.example");
    client.ok("MAIL FROM:<a@b.example>");
    let sequence = kinds(&server)
        .iter()
        .filter(|kind| **kind == ViolationKind::Sequence)
        .count();
    assert_eq!(sequence, 8);
    assert_eq!(server.counters().commands("MAIL"), 5);
}

#[test]
fn what_follows_from_a_refusal_is_no_violation() {
    let server = smtp()
        .refuse_recipient("no@b.example", "550 5.1.1 No")
        .start()
        .unwrap();
    let mut client = SmtpClient::greeted(&server);
    client.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<no@b.example>\r\nDATA\r\n");
    client.expect("250");
    client.expect("550 5.1.1 No");
    client.expect("554 5.5.1");
    client.ok("RSET");
    assert_eq!(kinds(&server), []);
    client.check("DATA", "503");
    assert_eq!(kinds(&server), [ViolationKind::Sequence]);
}

#[test]
fn starttls_begins_anew() {
    let server = smtp().security(Security::StartTls).start().unwrap();
    let stream = socket(&server);
    let mut client = SmtpClient::over(Box::new(stream.try_clone().unwrap()));
    client.expect("220");
    let before = client.ok("EHLO c.example");
    assert!(before.contains("STARTTLS") && !before.contains("AUTH"));
    client.check("MAIL FROM:<a@b.example>", "530 5.7.0");
    client.check("AUTH PLAIN", "530 5.7.0");
    client.check("STARTTLS", "220 2.0.0");
    let mut client = SmtpClient::over(tls(&server, stream));
    client.check("MAIL FROM:<a@b.example>", "503");
    let after = client.ok("EHLO c.example");
    assert!(!after.contains("STARTTLS") && after.contains("AUTH PLAIN LOGIN"));
    assert!(after.contains("REQUIRETLS"));
    client.check("STARTTLS", "503 5.5.1");
    client.ok("MAIL FROM:<a@b.example> REQUIRETLS");
    client.ok("RCPT TO:<alice@b.example>");
    client.check("DATA", "354");
    client.check("x\r\n.", "250");
    assert!(server.deliveries()[0].tls);
    assert_eq!(server.counters().tls_handshakes, 1);
}

#[test]
fn what_is_sent_behind_starttls_is_not_taken() {
    let server = smtp().security(Security::StartTls).start().unwrap();
    let mut client = SmtpClient::greeted(&server);
    client.send("STARTTLS\r\nMAIL FROM:<evil@b.example>\r\n");
    client.expect("503 5.5.0");
    assert_eq!(client.rest().unwrap(), b"");
    assert_eq!(kinds(&server), [ViolationKind::BehindLastOfGroup]);
}

#[test]
fn tls_from_the_start() {
    let server = smtp().security(Security::Tls).start().unwrap();
    let mut client = SmtpClient::over(tls(&server, socket(&server)));
    client.expect("220");
    client.ok("EHLO c.example");
    client.deliver(&["alice@b.example"], "Hello\r\n");
    assert!(server.deliveries()[0].tls);
}

#[test]
fn login_by_plain_and_login() {
    // base64 of NUL alice NUL secret, alice, secret, wrong
    const PLAIN: &str = "AGFsaWNlAHNlY3JldA==";
    let server = smtp().require_login().record_lines().start().unwrap();
    let mut client = SmtpClient::greeted(&server);
    client.check("MAIL FROM:<a@b.example>", "530 5.7.0");
    client.check("AUTH GSSAPI", "504 5.5.4");
    client.check("AUTH PLAIN !", "501 5.5.2");
    client.check("AUTH PLAIN =", "501 5.5.2");
    client.check("AUTH PLAIN AGFsaWNlAHdyb25n", "535 5.7.8");
    client.check("AUTH PLAIN", "334 ");
    client.check("*", "501 5.0.0");
    client.check("AUTH PLAIN", "334 ");
    client.check(PLAIN, "235 2.7.0");
    client.check(&format!("AUTH PLAIN {PLAIN}"), "503 5.5.1");
    client.deliver(&["x@b.example"], "Hello\r\n");
    assert_eq!(server.deliveries()[0].user.as_deref(), Some("alice"));
    assert_eq!(server.connections()[0].user.as_deref(), Some("alice"));

    for initial in [false, true] {
        let mut client = SmtpClient::greeted(&server);
        if initial {
            // An empty name.
            client.check("AUTH LOGIN =", "334 UGFzc3dvcmQ6");
            client.check("c2VjcmV0", "535 5.7.8");
            client.check("AUTH LOGIN YWxpY2U=", "334 UGFzc3dvcmQ6");
        } else {
            client.check("AUTH LOGIN", "334 VXNlcm5hbWU6");
            client.check("YWxpY2U=", "334 UGFzc3dvcmQ6");
        }
        client.check("c2VjcmV0", "235 2.7.0");
    }
    let counters = server.counters();
    assert_eq!((counters.logins, counters.failed_logins), (3, 2));
    let log = server.commands();
    let auth = log.iter().filter(|record| record.verb == "AUTH");
    assert!(
        auth.map(|record| &record.line)
            .all(|line| line.as_deref() == Some("AUTH"))
    );

    server.faults().refuse_next_login("454 4.7.0 Later");
    let mut client = SmtpClient::greeted(&server);
    client.check(&format!("AUTH PLAIN {PLAIN}"), "454 4.7.0 Later");
    server.set_capabilities(Stage::BeforeLogin, &["PIPELINING"]);
    client.check(&format!("AUTH PLAIN {PLAIN}"), "502 AUTH");
}

#[test]
fn lmtp_has_a_greeting_of_its_own() {
    let server = lmtp().start().unwrap();
    let mut client = SmtpClient::connected(&server);
    client.expect("220 localhost LMTP");
    client.check("EHLO c.example", "502");
    client.check("HELO c.example", "502");
    client.ok("LHLO c.example");
    client.ok("MAIL FROM:<a@b.example>");
}

#[test]
fn connections_too_many_are_told() {
    let server = smtp().max_connections(1).start().unwrap();
    let _first = SmtpClient::greeted(&server);
    let mut second = SmtpClient::connected(&server);
    second.expect("421 Too many");
    assert_eq!(second.rest().unwrap(), b"");
    assert_eq!(server.counters().refused, 1);

    let server = smtp()
        .max_connections(1)
        .limit_mode(LimitMode::NoAtLogin)
        .start()
        .unwrap();
    let mut first = SmtpClient::greeted(&server);
    first.check("AUTH PLAIN AGFsaWNlAHNlY3JldA==", "235");
    let mut second = SmtpClient::greeted(&server);
    second.check("AUTH PLAIN AGFsaWNlAHNlY3JldA==", "454 4.7.0");
}

#[test]
fn users_are_looked_up() {
    let server = smtp().start().unwrap();
    let mut client = SmtpClient::greeted(&server);
    client.check("VRFY alice", "250 2.1.5 <alice@localhost>");
    client.check("VRFY <alice@b.example>", "250 2.1.5");
    client.check("VRFY bob", "550 5.1.1");
    client.check("EXPN alice", "250 2.1.5");
    let server = smtp().without("VRFY").without("EXPN").start().unwrap();
    let mut client = SmtpClient::greeted(&server);
    client.check("VRFY alice", "502 5.5.1");
    client.check("EXPN alice", "502 5.5.1");
}

#[test]
fn a_client_that_speaks_first_is_turned_away() {
    let server = smtp()
        .faults(|faults| {
            faults.hold("GREETING");
        })
        .start()
        .unwrap();
    let mut client = SmtpClient::connected(&server);
    client.send("EHLO c.example\r\n");
    assert!(server.wait_until(SECOND, |counters| counters.bytes_in == 16));
    server.faults().release("GREETING");
    client.expect("554 ");
    assert_eq!(client.rest().unwrap(), b"");
    assert_eq!(kinds(&server), [ViolationKind::BeforeGreeting]);
}

#[test]
fn pipelining_that_is_not_announced_ends_the_session() {
    let server = smtp().without("PIPELINING").start().unwrap();
    let mut client = SmtpClient::greeted(&server);
    // One command at a time is in order, be it in how many pieces.
    client.send("MAIL FROM:<a@b");
    client.send(".example>\r\n");
    client.expect("250");
    client.ok("RSET");
    assert_eq!(kinds(&server), []);
    client.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<alice@b.example>\r\n");
    client.expect("503 5.5.0");
    assert_eq!(client.rest().unwrap(), b"");
    assert_eq!(kinds(&server), [ViolationKind::Pipelining]);
    assert_eq!(server.violations()[0].text, "MAIL FROM:<a@b.example>");

    // Behind the final dot too.
    let mut client = SmtpClient::greeted(&server);
    client.begin("a@b.example", &["alice@b.example"]);
    client.send("x\r\n.\r\nMAIL FROM:<a@b.example>\r\n");
    client.expect("503 5.5.0");
    assert!(server.deliveries().is_empty());

    // A chunk comes with its command; what follows it does not.
    let mut client = SmtpClient::greeted(&server);
    client.ok("MAIL FROM:<a@b.example>");
    client.ok("RCPT TO:<alice@b.example>");
    client.send("BDAT 3\r\nabc");
    client.expect("250");
    client.send("BDAT 3\r\nabcBDAT 0 LAST\r\n");
    client.expect("503 5.5.0");
}

#[test]
fn a_group_ends_where_the_rfc_says() {
    for last in ["DATA", "NOOP", "EHLO c.example", "VRFY alice", "QUIT"] {
        let server = smtp().start().unwrap();
        let mut client = SmtpClient::greeted(&server);
        client.send(format!(
            "RSET\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<alice@b.example>\r\n{last}\r\n.\r\n"
        ));
        for _ in 0..3 {
            client.expect("250");
        }
        client.expect("503 5.5.0");
        assert_eq!(client.rest().unwrap(), b"");
        assert_eq!(kinds(&server), [ViolationKind::BehindLastOfGroup], "{last}");
        assert!(server.deliveries().is_empty());
    }
}

#[test]
fn flights_are_counted() {
    let server = smtp().start().unwrap();
    let mut client = SmtpClient::greeted(&server);
    client.deliver(&["alice@b.example", "bob@b.example"], "lockstep\r\n");
    client.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<alice@b.example>\r\nDATA\r\n");
    for start in ["250", "250", "354"] {
        client.expect(start);
    }
    // The end of one message and the beginning of the next share a flight.
    client
        .send("pipelined\r\n.\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<alice@b.example>\r\nDATA\r\n");
    for start in ["250", "250", "250", "354"] {
        client.expect(start);
    }
    // Also where they come apart inside the server.
    let long = "x".repeat((16 << 10) - 5);
    client.send(format!(
        "{long}\r\n.\r\nMAIL FROM:<a@b.example>\r\nRSET\r\n"
    ));
    for start in ["250", "250", "250"] {
        client.expect(start);
    }
    let deliveries = server.deliveries();
    let trips: Vec<u64> = deliveries.iter().map(|one| one.round_trips()).collect();
    assert_eq!(trips, [5, 2, 2]);
    assert_eq!(deliveries[1].flights.end(), deliveries[2].flights.start());
    let log = server.commands();
    let flights: Vec<u64> = log.iter().map(|record| record.flight).collect();
    assert_eq!(flights, [1, 2, 3, 4, 5, 6, 7, 7, 7, 8, 8, 8, 8, 9, 9, 9]);
    assert_eq!(log[5].verb, ".");
}

#[test]
fn answers_to_a_group_come_in_one_write() {
    let server = smtp().start().unwrap();
    let mut stream = socket(&server);
    let mut client = SmtpClient::over(Box::new(stream.try_clone().unwrap()));
    client.expect("220");
    client.ok("EHLO c.example");
    client.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<alice@b.example>\r\nDATA\r\n");
    let mut answers = [0; 4096];
    let count = stream.read(&mut answers).unwrap();
    let lines = answers[..count].split(|&byte| byte == b'\n').count();
    assert_eq!(lines, 4, "{}", answers[..count].escape_ascii());
}

#[test]
fn servers_speak_imap_unless_told_otherwise() {
    let server = Server::builder().start().unwrap();
    let mut client = SmtpClient::connected(&server);
    client.expect("* OK");
    let server = Server::builder().protocol(Protocol::Imap).start().unwrap();
    let mut client = SmtpClient::connected(&server);
    client.expect("* OK");
}

#[test]
fn orders_reach_a_session_that_waits() {
    let server = smtp().start().unwrap();
    let mut client = SmtpClient::greeted(&server);
    server.bye_all("Going down");
    client.expect("421 4.3.2 Going down");
    assert_eq!(client.rest().unwrap(), b"");
}
