use std::io::ErrorKind;
use std::time::Duration;

use mailpool_test_server::{Action, Layer, Point, Script, Security};

use crate::client::{SECOND, socket, tls};
use crate::smtp_client::{SmtpClient, kinds, lmtp, smtp};

fn farewell() -> Action {
    Action::Farewell(b"421 4.3.2 Going down\r\n".to_vec())
}

#[test]
fn addresses_are_refused_by_rule() {
    let server = smtp().start().unwrap();
    server
        .faults()
        .refuse_sender("spammer@b.example", "550 5.7.1 Go away")
        .refuse_sender("", "550 5.7.1 No bounces")
        .refuse_recipient("no@b.example", "550-5.1.1 No\r\n550 5.1.1 Really not\r\n")
        .refuse_recipient("@closed.example", "556 5.1.10 Closed")
        .defer_recipient("grey@b.example", 2, "450 4.7.1 Greylisted");
    server.faults_for(2).refuse_recipient("*", "452 4.5.3 Full");
    let mut client = SmtpClient::greeted(&server);
    client.check("MAIL FROM:<Spammer@b.example>", "550 5.7.1 Go away");
    client.check("MAIL FROM:<>", "550 5.7.1 No bounces");
    client.ok("MAIL FROM:<a@b.example>");
    let reply = client.command("RCPT TO:<no@b.example>");
    assert_eq!(reply, "550-5.1.1 No\n550 5.1.1 Really not");
    client.check("RCPT TO:<any@closed.example>", "556");
    client.check("RCPT TO:<grey@b.example>", "450");
    client.check("RCPT TO:<grey@b.example>", "450");
    client.ok("RCPT TO:<grey@b.example>");
    client.ok("RCPT TO:<alice@b.example>");
    client.check("DATA", "354");
    client.check("x\r\n.", "250");
    let delivery = server.deliveries().pop().unwrap();
    let addresses: Vec<&str> = delivery.addresses().collect();
    assert_eq!(addresses, ["grey@b.example", "alice@b.example"]);

    let mut second = SmtpClient::greeted(&server);
    second.ok("MAIL FROM:<a@b.example>");
    second.check("RCPT TO:<alice@b.example>", "452");
}

#[test]
fn a_message_is_refused_at_its_end() {
    let server = smtp().start().unwrap();
    let mut client = SmtpClient::greeted(&server);
    server.faults().respond("DATA", "451 4.3.0 Not now\r\n");
    client.ok("MAIL FROM:<a@b.example>");
    client.ok("RCPT TO:<alice@b.example>");
    client.check("DATA", "451");
    client.ok("RSET");
    for reply in ["452 4.2.2 Full", "554 5.6.0 Spam"] {
        server.faults().respond(".", format!("{reply}\r\n"));
        assert_eq!(client.deliver(&["alice@b.example"], "x\r\n"), reply);
    }
    server
        .faults()
        .refuse_delivery("alice@b.example", "552 5.2.2 Full");
    let both = ["bob@b.example", "alice@b.example"];
    assert_eq!(client.deliver(&both, "x\r\n"), "552 5.2.2 Full");
    assert!(server.deliveries().is_empty());
    assert!(
        client
            .deliver(&["bob@b.example"], "x\r\n")
            .starts_with("250")
    );
    assert_eq!(server.deliveries().len(), 1);
}

#[test]
fn greetings_of_every_kind() {
    let server = smtp().start().unwrap();
    server.faults_for(1).greet_with("554-No\r\n554 service\r\n");
    server.faults_for(2).greet_with("421 Later\r\n");
    server.faults_for(3).greet_with("220-one\r\n220 two\r\n");
    server.faults_for(4).greet_after(Duration::from_millis(20));
    let mut client = SmtpClient::connected(&server);
    client.expect("554-No\n554 service");
    client.check("EHLO c.example", "503");
    client.check("QUIT", "221");
    assert_eq!(client.rest().unwrap(), b"");
    let mut client = SmtpClient::connected(&server);
    client.expect("421 Later");
    assert_eq!(client.rest().unwrap(), b"");
    for _ in 0..2 {
        let mut client = SmtpClient::connected(&server);
        client.expect("220");
        client.ok("EHLO c.example");
    }
}

#[test]
fn ehlo_is_refused() {
    let server = smtp().start().unwrap();
    server
        .faults()
        .respond_always("EHLO", "502 5.5.1 What?\r\n");
    let mut client = SmtpClient::connected(&server);
    client.expect("220");
    client.check("EHLO c.example", "502");
    client.ok("HELO c.example");
    assert_eq!(
        client.deliver(&["alice@b.example"], "x\r\n"),
        "250 Ok: queued as 1"
    );
    assert_eq!(kinds(&server), []);
}

#[test]
fn answers_are_replaced_and_the_commands_carried_out() {
    let server = smtp().start().unwrap();
    let mut client = SmtpClient::greeted(&server);
    server
        .faults()
        .replace_answer("RCPT", "999 what\r\n")
        .replace_answer("DATA", "354-go\r\n354 on\r\n")
        .replace_answer(".", b"250-one\r\n251 two \xe9\r\n")
        .inject("NOOP", "250-more\r\n")
        .inject_after("NOOP", "250 and more\r\n");
    client.ok("MAIL FROM:<a@b.example>");
    client.check("RCPT TO:<alice@b.example>", "999 what");
    client.check("DATA", "354-go\n354 on");
    client.send("x\r\n.\r\n");
    client.expect("250-one\n251 two \u{fffd}");
    assert!(client.command("NOOP").starts_with("250-more\n250 "));
    client.expect("250 and more");
    let deliveries = server.deliveries();
    assert!(deliveries.len() == 1 && deliveries[0].answered);

    let server = smtp().start().unwrap();
    let mut client = SmtpClient::greeted(&server);
    let long = format!("250 {}\r\n", "x".repeat(100_000));
    server.faults().always_replace_answer("NOOP", &long);
    for _ in 0..2 {
        assert_eq!(client.command("NOOP").len(), 100_004);
    }
}

#[test]
fn a_421_can_come_at_any_point() {
    for (point, answers, delivered) in [
        (Point::Command(1), 1, 0),
        (Point::Command(3), 3, 0),
        (Point::Verb("rcpt".into()), 3, 0),
        (Point::Answered("RCPT".into()), 4, 0),
        (Point::Verb("DATA".into()), 4, 0),
        (Point::Content(2), 5, 0),
        (Point::Verb(".".into()), 5, 0),
        (Point::Received, 5, 0),
        (Point::Stored, 5, 1),
        (Point::Answered(".".into()), 6, 1),
    ] {
        let server = smtp().start().unwrap();
        server.faults().at(point.clone(), farewell());
        let mut client = SmtpClient::connected(&server);
        let lines = [
            "EHLO c.example",
            "MAIL FROM:<a@b.example>",
            "RCPT TO:<alice@b.example>",
            "DATA",
            "Hello\r\n.",
        ];
        let mut replies = vec![client.reply()];
        for line in lines {
            if replies.last().unwrap().starts_with("421") {
                break;
            }
            replies.push(client.command(line));
        }
        let rest = client.rest().unwrap();
        let all = format!("{}\n{}", replies.join("\n"), String::from_utf8_lossy(&rest));
        assert!(
            all.trim_end().ends_with("421 4.3.2 Going down"),
            "{point:?}: {all}"
        );
        let good = replies
            .iter()
            .filter(|reply| !reply.starts_with("421"))
            .count();
        assert_eq!(good, answers, "{point:?}: {all}");
        drop(client);
        assert!(server.wait_until(SECOND, |counters| counters.sessions == 0));
        assert_eq!(server.deliveries().len(), delivered, "{point:?}");
    }
}

#[test]
fn the_server_knows_what_it_accepted() {
    let server = lmtp().start().unwrap();
    for (point, delivered) in [
        (Point::Received, false),
        (Point::Stored, true),
        (Point::Answered(".".into()), true),
    ] {
        for action in [Action::Reset, Action::Close, Action::Stall] {
            server.store().clear_deliveries();
            server.faults().at(point.clone(), action.clone());
            let mut client = SmtpClient::greeted_lmtp(&server);
            client.begin("a@b.example", &["alice@b.example"]);
            let answered = point == Point::Answered(".".into());
            client.send("x\r\n.\r\n");
            match action {
                // The client gives up.
                Action::Stall => {
                    if delivered {
                        assert_eq!(server.wait_for_deliveries(1, SECOND).len(), 1);
                    }
                }
                Action::Reset => match client.rest() {
                    Ok(rest) => panic!("{}", rest.escape_ascii()),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
                },
                _ => assert_eq!(client.rest().unwrap().starts_with(b"250"), answered),
            }
            drop(client);
            assert!(server.wait_until(SECOND, |counters| counters.sessions == 0));
            let deliveries = server.deliveries();
            assert_eq!(
                deliveries.len(),
                usize::from(delivered),
                "{point:?} {action:?}"
            );
            let known = deliveries
                .iter()
                .all(|delivery| delivery.answered == answered);
            assert!(known, "{point:?} {action:?}");
        }
    }
}

#[test]
fn a_stall_ends_when_its_rule_is_taken_back() {
    let server = smtp().start().unwrap();
    server.faults().at(Point::Stored, Action::Stall);
    let mut client = SmtpClient::greeted(&server);
    client.begin("a@b.example", &["alice@b.example"]);
    client.send("x\r\n.\r\n");
    assert_eq!(server.wait_for_deliveries(1, SECOND).len(), 1);
    assert!(!server.deliveries()[0].answered);
    server.faults().clear();
    client.expect("250");
    client.ok("NOOP");
    assert!(server.deliveries()[0].answered);
}

#[test]
fn rules_wait_for_the_nth_time() {
    let server = smtp().start().unwrap();
    server.faults().at_nth(3, Point::Stored, farewell());
    let mut client = SmtpClient::greeted(&server);
    for start in ["250", "250", "421"] {
        let reply = client.deliver(&["alice@b.example"], "x\r\n");
        assert!(reply.starts_with(start), "{reply}");
    }
    server.faults().always_at(Point::Command(2), farewell());
    for _ in 0..2 {
        let mut client = SmtpClient::greeted(&server);
        client.check("NOOP", "421");
    }
    assert_eq!(server.deliveries().len(), 3);
}

#[test]
fn garbage_at_a_point_goes_before_the_answer() {
    let server = smtp().start().unwrap();
    let mut client = SmtpClient::greeted(&server);
    let garbage = Action::Garbage(b"what\r\n".to_vec());
    server.faults().at(Point::Verb("NOOP".into()), garbage);
    assert_eq!(client.command("NOOP"), "what");
    client.expect("250");
    client.ok("NOOP");
}

#[test]
fn faults_of_the_byte_stream_work_for_smtp() {
    for security in [Security::None, Security::Tls] {
        let server = smtp().security(security).start().unwrap();
        server.faults().split(Layer::Plaintext, Some(1));
        server
            .faults()
            .delay(Duration::from_millis(1), Duration::from_millis(1));
        let mut client = match security {
            Security::Tls => SmtpClient::over(tls(&server, socket(&server))),
            _ => SmtpClient::connected(&server),
        };
        client.expect("220");
        client.ok("EHLO c.example");
        client.deliver(&["alice@b.example"], "x\r\n");
        server
            .faults()
            .after_sent(3, Layer::Plaintext, Action::Reset);
        client.send("MAIL FROM:<a@b.example>\r\n");
        assert!(client.rest().is_err(), "{security:?}");
        assert_eq!(server.deliveries().len(), 1);
    }
}

#[test]
fn commands_are_held_and_not_answered() {
    let server = smtp().start().unwrap();
    let mut client = SmtpClient::greeted(&server);
    server.faults().never_answer("RSET");
    client.send("RSET\r\n");
    client.ok("NOOP");
    server.faults().hold(".");
    client.begin("a@b.example", &["alice@b.example"]);
    client.send("x\r\n.\r\n");
    assert!(server.wait_until(SECOND, |counters| counters.commands(".") == 1));
    assert!(server.deliveries().is_empty());
    server.faults().release(".");
    client.expect("250");
    server.faults().never_answer(".");
    client.begin("a@b.example", &["alice@b.example"]);
    client.send("x\r\n.\r\n");
    client.ok("NOOP");
    assert_eq!(server.deliveries().len(), 1);
}

#[test]
fn points_exist_in_imap_too() {
    use crate::client::{Client, builder};
    let server = builder().start().unwrap();
    let bye = Action::Farewell(b"* BYE so long\r\n".to_vec());
    server.faults().at(Point::Command(3), bye);
    let mut client = Client::selected(&server);
    client.begin("NOOP");
    assert_eq!(client.line(), "* BYE so long");
    assert_eq!(client.rest().unwrap(), b"");
    let flights: Vec<u64> = server.commands().iter().map(|one| one.flight).collect();
    assert_eq!(flights, [1, 2, 3]);
}

#[test]
fn scripts_play_smtp() {
    let script: Script = r"
        S: 220 mx.example ESMTP
        C: EHLO {any}
        S: 250-mx.example
        S: 250 PIPELINING
        C: MAIL FROM:<a@b.example>
        C: RCPT TO:<no@b.example>
        C: DATA
        S: 250 2.1.0 Ok
        S: 550 5.1.1 No \xe9
        S: 554 5.5.1 No valid recipients
        C: QUIT
        S: 221 Bye
        ! close
    "
    .parse()
    .unwrap();
    let server = script.split(1).serve().unwrap();
    let mut client = SmtpClient::connected(&server);
    client.expect("220");
    client.ok("EHLO c.example");
    client.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<no@b.example>\r\nDATA\r\n");
    for start in ["250", "550 5.1.1 No \u{fffd}", "554"] {
        client.expect(start);
    }
    client.check("QUIT", "221");
    assert_eq!(client.rest().unwrap(), b"");
    server.finish(SECOND).unwrap();
}

#[test]
fn the_store_outlives_its_server() {
    let first = smtp().start().unwrap();
    let store = first.store().clone();
    let mut client = SmtpClient::greeted(&first);
    client.deliver(&["alice@b.example"], "one\r\n");
    drop(first);
    let second = smtp().store(store.clone()).start().unwrap();
    let mut client = SmtpClient::greeted(&second);
    client.deliver(&["alice@b.example"], "two\r\n");
    let orders: Vec<u64> = store.deliveries().iter().map(|one| one.order).collect();
    assert_eq!(orders, [1, 2]);
    assert_eq!(second.counters().deliveries, 1);
}
