use mailpool_test_server::{Action, Point, Security, Synthetic, ViolationKind};

use crate::client::{SECOND, socket, tls};
use crate::smtp_client::{SmtpClient, kinds, lmtp, smtp};

/// Takes a dot off each line of a text whose lines end in CRLF, the slow way.
fn unstuffed(data: &[u8]) -> Vec<u8> {
    let mut result = Vec::new();
    let mut at_start = true;
    for (index, &byte) in data.iter().enumerate() {
        if !(at_start && byte == b'.') {
            result.push(byte);
        }
        at_start = data[..=index].ends_with(b"\r\n");
    }
    result
}

#[test]
fn a_message_is_delivered_with_its_envelope() {
    let server = smtp().start().unwrap();
    let mut client = SmtpClient::greeted(&server);
    client.ok("MAIL FROM:<A@b.example> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=x+2By");
    client.ok("RCPT TO:<alice@b.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;al+2Bce@c");
    client.ok("RCPT TO:<\"some body\"@[127.0.0.1]>");
    client.check("DATA", "354");
    client.send(b"Subject: x\r\n\r\n..\r\n...b\xe9\r\n.\r\n");
    client.expect("250 2.0.0 Ok");
    let deliveries = server.wait_for_deliveries(1, SECOND);
    let [delivery] = deliveries.as_slice() else {
        panic!("{deliveries:?}")
    };
    let content = b"Subject: x\r\n\r\n.\r\n..b\xe9\r\n";
    assert_eq!(delivery.bytes().unwrap(), content);
    assert_eq!(delivery.size, content.len() as u64);
    assert_eq!((delivery.order, delivery.connection), (1, 1));
    assert_eq!((delivery.tls, delivery.user.as_deref()), (false, None));
    assert_eq!(
        (delivery.hello.as_str(), delivery.chunks),
        ("client.example", 0)
    );
    let from = &delivery.reverse_path;
    assert_eq!(from.address, "A@b.example");
    assert_eq!(
        from.parameters,
        ["SIZE=100", "BODY=8BITMIME", "RET=HDRS", "ENVID=x+2By"]
    );
    assert_eq!(
        (from.parameter("envid"), from.decoded("ENVID")),
        (Some("x+2By"), Some("x+y"))
    );
    let to = &delivery.recipients;
    assert_eq!(to[0].decoded("ORCPT"), Some("al+ce@c"));
    assert_eq!(to[0].parameter("NOTIFY"), Some("SUCCESS,FAILURE"));
    let addresses: Vec<&str> = delivery.addresses().collect();
    assert_eq!(addresses, ["alice@b.example", "\"some body\"@[127.0.0.1]"]);
    // Alice is a user: it is in her INBOX too.
    let inbox = server.store().messages("alice", "INBOX");
    assert_eq!(inbox[0].bytes(), content);
    assert_eq!(kinds(&server), []);
    client.ok("NOOP");
    assert!(server.deliveries()[0].answered);
    server.store().clear_deliveries();
    assert!(server.deliveries().is_empty());
}

#[test]
fn fake_ends_of_data_end_nothing() {
    const SMUGGLED: &[u8] =
        b"MAIL FROM:<evil@b.example>\r\nRCPT TO:<victim@b.example>\r\nDATA\r\nx";
    let server = smtp().start().unwrap();
    let mut client = SmtpClient::greeted(&server);
    let fakes: [&[u8]; 14] = [
        b"\n.\n",
        b"\n.\r\n",
        b"\r.\r\n",
        b"\r\n.\n",
        b"\r\n\0.\r\n",
        b"\r\n.\r",
        b"\n\n.\r\n",
        b"\r.\r",
        b"\r.\n",
        b"\n.\r",
        b"\r\n.\0\r\n",
        b"\r\n.\r\r\n",
        b"\r\r\n.\n",
        b"\r\n..\r\n",
    ];
    for (fake, split) in fakes.iter().flat_map(|fake| [(fake, 1), (fake, 4096)]) {
        let shown = fake.escape_ascii().to_string();
        server.store().clear_deliveries();
        client.begin("a@b.example", &["alice@b.example"]);
        let data = [b"Subject: x\r\n\r\nbody", *fake, SMUGGLED, b"\r\n"].concat();
        for piece in [data.as_slice(), b".\r\n"].concat().chunks(split) {
            client.send(piece);
        }
        client.expect("250 2.0.0");
        client.ok("NOOP");
        let deliveries = server.deliveries();
        assert_eq!(deliveries.len(), 1, "{shown}");
        assert_eq!(deliveries[0].bytes().unwrap(), unstuffed(&data), "{shown}");
    }
    let seen = kinds(&server);
    assert!(seen.contains(&ViolationKind::BareCr) && seen.contains(&ViolationKind::BareLf));
    assert!(seen.contains(&ViolationKind::Nul));
}

#[test]
fn what_is_wrong_with_a_text_is_recorded_and_kept() {
    let server = smtp().start().unwrap();
    let mut client = SmtpClient::greeted(&server);
    let long = "x".repeat(999);
    for (text, kind) in [
        ("a\nb\r\n", ViolationKind::BareLf),
        ("a\rb\r\n", ViolationKind::BareCr),
        ("a\0b\r\n", ViolationKind::Nul),
        ("é\r\n", ViolationKind::EightBit),
        (&format!("{long}\r\n"), ViolationKind::LongLine),
    ] {
        let before = server.violations().len();
        assert!(client.deliver(&["x@b.example"], text).starts_with("250"));
        let new = &kinds(&server)[before..];
        assert_eq!(new, [kind]);
        let last = server.deliveries().pop().unwrap();
        assert_eq!(last.bytes().unwrap(), text.as_bytes());
    }
    assert_eq!(server.counters().violations, 5);
}

#[test]
fn chunks_are_taken_byte_for_byte() {
    let server = smtp().start().unwrap();
    let mut client = SmtpClient::greeted(&server);
    // Everything in one flight: BDAT may be pipelined (RFC 3030 section 4.2).
    client.send(
        b"MAIL FROM:<a@b.example> BODY=BINARYMIME\r\nRCPT TO:<alice@b.example>\r\n\
          BDAT 7\r\n.\r\n\0\n\r\xffBDAT 0\r\nBDAT 3 LAST\r\n\r\n.RSET\r\n",
    );
    for start in [
        "250",
        "250",
        "250 2.0.0 7 octets",
        "250 2.0.0 0",
        "250 2.0.0 Ok",
        "250",
    ] {
        client.expect(start);
    }
    let delivery = server.deliveries().pop().unwrap();
    assert_eq!(delivery.bytes().unwrap(), b".\r\n\0\n\r\xff\r\n.");
    assert_eq!((delivery.chunks, delivery.round_trips()), (3, 1));
    assert_eq!(kinds(&server), []);

    // However the bytes come.
    client.ok("MAIL FROM:<a@b.example> BODY=BINARYMIME");
    client.ok("RCPT TO:<alice@b.example>");
    let seen = Action::Garbage(b"four bytes\r\n".to_vec());
    server.faults().at(Point::Content(4), seen);
    client.send(b"BDAT 5\r\n1\r\n.");
    client.expect("four bytes");
    client.send(b"2BDAT 4 LAST\r\n\r\n.\r");
    client.expect("250");
    client.expect("250");
    let delivery = server.deliveries().pop().unwrap();
    assert_eq!(delivery.bytes().unwrap(), b"1\r\n.2\r\n.\r");

    // Without BINARYMIME a chunk is a text.
    client.ok("MAIL FROM:<a@b.example>");
    client.ok("RCPT TO:<alice@b.example>");
    client.send(b"BDAT 3 LAST\r\na\nb");
    client.expect("250");
    assert_eq!(kinds(&server), [ViolationKind::BareLf]);
    client.ok("MAIL FROM:<a@b.example> BODY=BINARYMIME");
    client.ok("RCPT TO:<alice@b.example>");
    client.check("DATA", "503 5.5.1 BINARYMIME");
}

#[test]
fn a_chunk_that_is_refused_is_passed_over() {
    let server = smtp()
        .refuse_recipient("*", "550 5.1.1 Nobody")
        .start()
        .unwrap();
    let mut client = SmtpClient::greeted(&server);
    client.send(
        "MAIL FROM:<a@b.example>\r\nRCPT TO:<x@b.example>\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n",
    );
    for start in ["250", "550", "554", "250"] {
        client.expect(start);
    }
    client.send("BDAT 6\r\nQUIT\r\n");
    client.expect("503");
    server.faults().respond("BDAT", "451 4.3.0 Not now\r\n");
    client.send("BDAT 6\r\nQUIT\r\n");
    client.expect("451");
    client.ok("NOOP");

    let server = smtp().without("CHUNKING").start().unwrap();
    let mut client = SmtpClient::greeted(&server);
    client.send("BDAT 6\r\nQUIT\r\n");
    client.expect("502");
    client.ok("NOOP");
}

#[test]
fn a_message_that_breaks_off_is_not_delivered() {
    let server = smtp().start().unwrap();
    for part in ["x\r\n", "x\r\n.", "x\r\n.\r"] {
        let mut client = SmtpClient::greeted(&server);
        client.begin("a@b.example", &["alice@b.example"]);
        client.send(part);
        drop(client);
        assert!(server.wait_until(SECOND, |counters| counters.sessions == 0));
        assert!(server.deliveries().is_empty());
    }
    let mut client = SmtpClient::greeted(&server);
    client.ok("MAIL FROM:<a@b.example>");
    client.ok("RCPT TO:<alice@b.example>");
    client.send("BDAT 4 LAST\r\nx\r\n");
    drop(client);
    assert!(server.wait_until(SECOND, |counters| counters.sessions == 0));
    assert!(server.deliveries().is_empty());
}

#[test]
fn size_is_checked_before_and_after() {
    let server = smtp().with("SIZE 10").start().unwrap();
    let mut client = SmtpClient::greeted(&server);
    client.check("MAIL FROM:<a@b.example> SIZE=11", "552 5.3.4");
    client.ok("MAIL FROM:<a@b.example> SIZE=10");
    client.ok("RSET");
    assert!(
        client
            .deliver(&["alice@b.example"], "12345678\r\n")
            .starts_with("250")
    );
    assert!(
        client
            .deliver(&["alice@b.example"], "123456789\r\n")
            .starts_with("552 5.3.4")
    );
    client.ok("MAIL FROM:<a@b.example>");
    client.ok("RCPT TO:<alice@b.example>");
    client.send("BDAT 6\r\n123456BDAT 5\r\n12345BDAT 0 LAST\r\n");
    for start in ["250", "552 5.3.4", "503"] {
        client.expect(start);
    }
    assert_eq!(server.deliveries().len(), 1);
    assert_eq!(server.store().messages("alice", "INBOX").len(), 1);
}

#[test]
fn parameters_need_their_extension() {
    for (extension, mail, rcpt) in [
        ("SIZE", "SIZE=1", ""),
        ("8BITMIME", "BODY=8BITMIME", ""),
        ("BINARYMIME", "BODY=BINARYMIME", ""),
        ("SMTPUTF8", "SMTPUTF8", ""),
        ("DSN", "RET=FULL", ""),
        ("DSN", "ENVID=x", ""),
        ("DSN", "", "NOTIFY=NEVER"),
        ("DSN", "", "ORCPT=rfc822;x@y"),
        ("AUTH", "AUTH=<>", ""),
        ("FUTURERELEASE", "HOLDFOR=10", ""),
    ] {
        for announced in [true, false] {
            let builder = if announced {
                smtp()
            } else {
                smtp().without(extension)
            };
            let server = builder.start().unwrap();
            let mut client = SmtpClient::greeted(&server);
            let expected = |wanted: bool| {
                if announced || !wanted {
                    "250"
                } else {
                    "555 5.5.4"
                }
            };
            let line = format!("MAIL FROM:<a@b.example> {mail}");
            client.check(line.trim_end(), expected(!mail.is_empty()));
            if !rcpt.is_empty() {
                let line = format!("RCPT TO:<alice@b.example> {rcpt}");
                client.check(&line, expected(true));
            }
            let violations = if announced {
                vec![]
            } else {
                vec![ViolationKind::NotAnnounced]
            };
            assert_eq!(kinds(&server), violations, "{extension}");
        }
    }
}

#[test]
fn addresses_beyond_ascii_need_smtputf8() {
    let server = smtp().start().unwrap();
    let mut client = SmtpClient::greeted(&server);
    client.check("MAIL FROM:<ä@b.example>", "553 5.6.7");
    client.ok("MAIL FROM:<a@b.example>");
    client.check("RCPT TO:<ä@b.example>", "553 5.6.7");
    client.ok("RSET");
    client.ok("MAIL FROM:<ä@b.example> SMTPUTF8");
    client.ok("RCPT TO:<ö@b.example> ORCPT=utf-8;\\x{F6}@b.example");
    client.check("DATA", "354");
    client.check("Subject: ü\r\n.", "250");
    let delivery = server.deliveries().pop().unwrap();
    assert_eq!(delivery.reverse_path.address, "ä@b.example");
    assert_eq!(delivery.recipients[0].address, "ö@b.example");
    assert_eq!(kinds(&server), [ViolationKind::NotAnnounced; 2]);
}

#[test]
fn requiretls_exists_under_tls_only() {
    let server = smtp().security(Security::Tls).start().unwrap();
    let mut client = SmtpClient::over(tls(&server, socket(&server)));
    client.expect("220");
    assert!(client.ok("EHLO c.example").contains("REQUIRETLS"));
    client.ok("MAIL FROM:<a@b.example> REQUIRETLS");
    let server = smtp().start().unwrap();
    let mut client = SmtpClient::greeted(&server);
    client.check("MAIL FROM:<a@b.example> REQUIRETLS", "555 5.5.4");
}

#[test]
fn messages_are_held_as_long_as_announced() {
    let server = smtp()
        .with("FUTURERELEASE 100 2090-01-01T00:00:00Z")
        .start()
        .unwrap();
    let mut client = SmtpClient::greeted(&server);
    for (parameters, start) in [
        ("HOLDFOR=100", "250"),
        ("HOLDFOR=101", "501 5.5.4"),
        ("HOLDUNTIL=2089-12-31T23:59:59Z", "250"),
        ("HOLDUNTIL=2090-01-01T00:00:01Z", "501 5.5.4"),
        ("HOLDUNTIL=2001-01-01T00:00:00Z", "501 5.5.4"),
        ("HOLDFOR=1 HOLDUNTIL=2089-01-01T00:00:00Z", "501 5.5.4"),
    ] {
        client.check(&format!("MAIL FROM:<a@b.example> {parameters}"), start);
        client.ok("RSET");
    }
}

#[test]
fn announced_limits_are_kept() {
    let server = smtp()
        .with("LIMITS MAILMAX=2 RCPTMAX=2 RCPTDOMAINMAX=1")
        .start()
        .unwrap();
    let mut client = SmtpClient::greeted(&server);
    client.ok("MAIL FROM:<a@b.example>");
    client.ok("RCPT TO:<one@b.example>");
    client.check("RCPT TO:<two@c.example>", "452 4.5.3");
    client.ok("RCPT TO:<two@B.example>");
    client.check("RCPT TO:<three@b.example>", "452 4.5.3");
    client.ok("RSET");
    client.ok("MAIL FROM:<a@b.example>");
    client.ok("RSET");
    client.check("MAIL FROM:<a@b.example>", "421 4.5.3");
    assert_eq!(client.rest().unwrap(), b"");
    assert_eq!(kinds(&server), [ViolationKind::OverLimit; 3]);
}

#[test]
fn lmtp_answers_for_each_recipient() {
    let server = lmtp().start().unwrap();
    server
        .faults()
        .refuse_recipient("no@b.example", "550 5.1.1 No such user")
        .refuse_delivery("full@b.example", "552 5.2.2 Mailbox full")
        .defer_delivery("later@b.example", 1, "451-4.2.0 Later\r\n451 4.2.0 Really");
    let mut client = SmtpClient::greeted_lmtp(&server);
    client.ok("MAIL FROM:<>");
    for (address, start) in [
        ("alice@b.example", "250"),
        ("no@b.example", "550"),
        ("full@b.example", "250"),
        ("later@b.example", "250"),
    ] {
        client.check(&format!("RCPT TO:<{address}>"), start);
    }
    client.check("DATA", "354");
    client.send("x\r\n.\r\n");
    client.expect("250 2.1.5 <alice@b.example>");
    client.expect("552 5.2.2");
    client.expect("451-4.2.0 Later\n451 4.2.0");
    client.ok("MAIL FROM:<>");
    client.check("DATA", "503 5.5.1 No valid");
    client.ok("RCPT TO:<later@b.example>");
    client.ok("RCPT TO:<alice@b.example>");
    client.send("BDAT 3 LAST\r\nx\r\n");
    client.expect("250 2.1.5 <later@b.example>");
    client.expect("250 2.1.5 <alice@b.example>");
    let deliveries = server.deliveries();
    let accepted: Vec<Vec<&str>> = deliveries
        .iter()
        .map(|delivery| delivery.addresses().collect())
        .collect();
    assert_eq!(
        accepted,
        [
            vec!["alice@b.example"],
            vec!["later@b.example", "alice@b.example"]
        ]
    );
    assert_eq!(server.store().messages("alice", "INBOX").len(), 2);
    assert_eq!(
        server.store().messages("alice", "INBOX")[0].bytes(),
        b"x\r\n"
    );
}

#[test]
fn of_large_messages_the_digest_can_do() {
    const LEN: u64 = 100_000_000;
    let server = smtp().digests_only().start().unwrap();
    let mut client = SmtpClient::greeted(&server);
    client.begin("a@b.example", &["alice@b.example"]);
    let message = Synthetic::new(LEN, 7);
    let mut piece = vec![0; 1 << 20];
    let mut at = 0;
    while at < LEN {
        let count = message.read_at(at, &mut piece);
        client.send(&piece[..count]);
        at += count as u64;
    }
    // The synthetic message ends somewhere in a line.
    client.check("\r\n.", "250");
    let delivery = server.deliveries().pop().unwrap();
    assert_eq!((delivery.size, delivery.bytes()), (LEN + 2, None));
    assert!(server.store().messages("alice", "INBOX").is_empty());

    // The same digest as that of a message that is kept.
    let mut digests = Vec::new();
    for builder in [smtp(), smtp().digests_only()] {
        let server = builder.start().unwrap();
        let mut client = SmtpClient::greeted(&server);
        client.deliver(&["alice@b.example"], "Hello\r\n");
        digests.push(server.deliveries()[0].sha256());
    }
    assert_eq!(digests[0], digests[1]);
    assert_ne!(digests[0], delivery.sha256());
}
