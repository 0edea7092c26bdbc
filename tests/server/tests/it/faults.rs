use std::io::ErrorKind;
use std::time::{Duration, Instant};

use mailpool_test_server::{Action, Layer, Message, Security};

use crate::client::{Client, SECOND, builder, socket, tls};

#[allow(clippy::disallowed_methods)] // how long it takes is what is asked
#[test]
fn a_delay_line_does_not_serialise() {
    let server = builder().start().unwrap();
    let mut client = Client::selected(&server);
    server
        .faults()
        .delay(Duration::from_millis(40), Duration::from_millis(40));
    let start = Instant::now();
    let tags: Vec<String> = (0..20).map(|_| client.begin("NOOP")).collect();
    for tag in tags {
        client.until(&tag);
    }
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(80), "{took:?}");
    assert!(took < Duration::from_millis(1000), "{took:?}");
    server.faults().clear();
    client.ok("LOGOUT");
    assert_eq!(client.rest().unwrap(), b"");
}

#[test]
fn splitting_keeps_the_bytes() {
    for (security, layer) in [
        (Security::None, Layer::Plaintext),
        (Security::Tls, Layer::Plaintext),
        (Security::Tls, Layer::Wire),
    ] {
        let server = builder()
            .security(security)
            .faults(move |faults| {
                faults.split(layer, Some(1));
            })
            .start()
            .unwrap();
        let mut client = match security {
            Security::Tls => Client::over(tls(&server, socket(&server))),
            _ => Client::over(Box::new(socket(&server))),
        };
        client.line();
        client.ok("LOGIN alice secret");
        client.ok("SELECT INBOX");
        assert_eq!(client.ok("FETCH 1 UID"), ["* 1 FETCH (UID 1)"]);
    }
}

#[test]
fn stall_and_go_on() {
    let server = builder().start().unwrap();
    let mut client = Client::logged_in(&server);
    server.faults().stall_after(5);
    client.begin("NOOP");
    assert_eq!(client.read_exact(5), b"t2 OK");
    assert_eq!(server.counters().open, 1);
    server.faults().clear();
    assert_eq!(client.line(), " NOOP completed");
}

#[test]
fn the_end_of_a_stalled_connection_is_seen() {
    let server = builder().start().unwrap();
    let mut client = Client::logged_in(&server);
    server.faults().stall_after(0).stop_reading_after(Some(0));
    client.begin("NOOP");
    drop(client);
    assert!(server.wait_until(SECOND, |counters| counters.open == 0));
}

#[test]
fn ends_of_every_kind() {
    for (action, security) in [
        (Action::Close, Security::None),
        (Action::Close, Security::Tls),
        (Action::CloseWithoutNotify, Security::Tls),
        (Action::Reset, Security::None),
        (Action::Reset, Security::Tls),
    ] {
        let server = builder().security(security).start().unwrap();
        server
            .faults_for(1)
            .after_sent(10, Layer::Plaintext, action.clone());
        let mut client = match security {
            Security::Tls => Client::over(tls(&server, socket(&server))),
            _ => Client::over(Box::new(socket(&server))),
        };
        assert_eq!(client.read_exact(10), b"* OK [CAPA");
        match (client.rest(), &action) {
            (Ok(rest), Action::Close | Action::CloseWithoutNotify) => assert_eq!(rest, b""),
            (Err(error), Action::Reset) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
            }
            (Err(error), Action::CloseWithoutNotify) => println!("{error}"),
            (result, _) => panic!("{action:?} {security:?}: {result:?}"),
        }
        drop(client);
        assert!(server.wait_until(SECOND, |counters| counters.open == 0));
        let mut second = match security {
            Security::Tls => Client::over(tls(&server, socket(&server))),
            _ => Client::over(Box::new(socket(&server))),
        };
        second.line();
        second.ok("NOOP");
    }
}

#[test]
fn a_cut_on_the_wire_breaks_the_handshake() {
    let server = builder()
        .security(Security::Tls)
        .faults(|faults| {
            faults.after_sent(100, Layer::Wire, Action::Close);
        })
        .start()
        .unwrap();
    let connector = native_tls::TlsConnector::new().unwrap();
    assert!(connector.connect("localhost", socket(&server)).is_err());
    assert!(server.wait_until(SECOND, |counters| counters.open == 0));
    assert_eq!(server.counters().bytes_out, 100);
}

#[test]
fn garbage_is_inserted_once() {
    let server = builder().start().unwrap();
    let mut client = Client::logged_in(&server);
    let garbage = Action::Garbage(b"?!".to_vec());
    server.faults().after_sent(3, Layer::Plaintext, garbage);
    client.begin("NOOP");
    assert_eq!(client.line(), "t2 ?!OK NOOP completed");
    client.ok("NOOP");
}

#[test]
fn bye_close_and_reset_at_any_time() {
    let server = builder().start().unwrap();
    let mut idle = Client::selected(&server);
    idle.begin("IDLE");
    idle.line();
    let mut held = Client::selected(&server);
    server.faults().hold("NOOP");
    held.begin("NOOP");
    assert!(server.wait_until(SECOND, |counters| counters.commands("NOOP") == 1));
    server.send_all("* OK hello\r\n");
    assert_eq!(idle.line(), "* OK hello");
    assert_eq!(held.line(), "* OK hello");
    server.bye_all("Going down");
    for client in [&mut idle, &mut held] {
        assert_eq!(client.line(), "* BYE Going down");
        assert_eq!(client.rest().unwrap(), b"");
    }
    drop((idle, held));
    assert!(server.wait_until(SECOND, |counters| counters.open == 0));

    server.faults().clear();
    let mut three = Client::logged_in(&server);
    let mut four = Client::logged_in(&server);
    assert!(server.bye(3, "You") && server.close(4) && !server.close(99));
    assert_eq!(three.line(), "* BYE You");
    assert_eq!(four.rest().unwrap(), b"");
    drop((three, four));
    let mut one = Client::logged_in(&server);
    server.close_all();
    assert_eq!(one.rest().unwrap(), b"");
    let mut two = Client::logged_in(&server);
    server.reset_all();
    assert_eq!(two.rest().unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn logins_and_literals_are_refused_on_demand() {
    let server = builder().start().unwrap();
    server.faults().refuse_next_login("[UNAVAILABLE] Later");
    let (mut client, _) = Client::greeted(&server);
    assert_eq!(
        client.tagged("LOGIN alice secret"),
        "NO [UNAVAILABLE] Later"
    );
    client.ok("LOGIN alice secret");
    server.faults().refuse_next_literal("[OVERQUOTA] Full");
    assert_eq!(client.tagged("APPEND INBOX {5}"), "NO [OVERQUOTA] Full");
    server.faults().inject_before_continuation("* 9 EXISTS\r\n");
    let tag = client.begin("APPEND INBOX {2}");
    assert_eq!(client.line(), "* 9 EXISTS");
    assert!(client.line().starts_with('+'));
    client.send("ab\r\n");
    client.until(&tag);
}

#[test]
fn answers_are_withheld_held_back_and_replaced() {
    let server = builder().start().unwrap();
    let mut client = Client::selected(&server);
    let faults = server.faults();
    faults.never_answer("check");
    client.begin("CHECK");
    client.ok("NOOP");
    faults.answer_again("CHECK");
    client.ok("CHECK");

    faults.respond("NOOP", "* OK strange\r\n{tag} NO not today\r\n");
    assert_eq!(client.command("NOOP"), ["* OK strange", "NO not today"]);
    client.ok("NOOP");

    faults.inject("NOOP", "* 99 EXISTS\r\n");
    faults.inject_after("NOOP", "* 98 EXISTS\r\n");
    assert_eq!(client.command("NOOP"), ["* 99 EXISTS", "OK NOOP completed"]);
    assert_eq!(client.line(), "* 98 EXISTS");

    faults.hold("UID FETCH");
    let tag = client.begin("UID FETCH 1 UID");
    assert!(server.wait_until(SECOND, |counters| counters.commands("UID FETCH") == 1));
    faults.release("UID FETCH");
    assert_eq!(client.until(&tag).len(), 2);

    // A rule for one connection says nothing about the others.
    server.faults_for(2).respond_always("NOOP", "{tag} BAD\r\n");
    client.ok("NOOP");
    let mut second = Client::logged_in(&server);
    assert_eq!(second.tagged("NOOP"), "BAD");
    assert_eq!(second.tagged("NOOP"), "BAD");
}

#[test]
fn injected_bytes_behind_starttls_come_in_clear() {
    let server = builder().security(Security::StartTls).start().unwrap();
    server
        .faults()
        .inject_after("STARTTLS", "* CAPABILITY EVIL\r\n");
    let (mut client, _) = Client::greeted(&server);
    client.send("a STARTTLS\r\n");
    assert!(client.line().starts_with("a OK"));
    assert_eq!(client.line(), "* CAPABILITY EVIL");
}

#[test]
fn the_listener_closes_and_opens_again() {
    let server = builder().start().unwrap();
    let mut old = Client::logged_in(&server);
    server.refuse_connections(true).unwrap();
    let error = std::net::TcpStream::connect(server.address()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    old.ok("NOOP");
    server.refuse_connections(false).unwrap();
    Client::logged_in(&server);
    assert_eq!(server.counters().accepted, 2);
}

#[test]
fn commands_are_logged_in_order() {
    let server = builder().record_lines().start().unwrap();
    let mut client = Client::selected(&server);
    client.ok("UID FETCH 1 (FLAGS)");
    let log = server.commands();
    let verbs: Vec<&str> = log.iter().map(|record| record.verb.as_str()).collect();
    assert_eq!(verbs, ["LOGIN", "SELECT", "UID FETCH"]);
    assert_eq!(log[0].line.as_deref(), Some("t1 LOGIN"));
    assert_eq!(log[2].line.as_deref(), Some("t3 UID FETCH 1 (FLAGS)"));
    assert_eq!(
        (log[2].connection, log[2].order, log[2].tag.as_str()),
        (1, 3, "t3")
    );
    server.clear_commands();
    assert!(server.commands().is_empty());
    assert_eq!(server.counters().commands("uid fetch"), 1);
}

#[test]
fn a_client_that_does_not_read_does_not_hold_the_server_up() {
    let server = builder()
        .mailbox("alice", "Big", [Message::synthetic(1 << 30, 1)])
        .start()
        .unwrap();
    let mut client = Client::logged_in(&server);
    client.ok("SELECT Big");
    client.begin("FETCH 1 BODY.PEEK[]");
    client.read_exact(100_000);
    let mut other = Client::logged_in(&server);
    other.ok("NOOP");
    drop(server);
}

#[test]
fn a_delayed_line_ends_after_its_last_byte() {
    for (action, security) in [
        (Action::Close, Security::Tls),
        (Action::Close, Security::None),
        (Action::Reset, Security::None),
    ] {
        let server = builder()
            .security(security)
            .faults(|faults| {
                faults.delay(Duration::from_millis(5), Duration::from_millis(5));
            })
            .start()
            .unwrap();
        server.faults().after_sent(30, Layer::Plaintext, action);
        let mut client = match security {
            Security::Tls => Client::over(tls(&server, socket(&server))),
            _ => Client::over(Box::new(socket(&server))),
        };
        assert_eq!(client.read_exact(30), b"* OK [CAPABILITY IMAP4rev1 LIT");
        let _ = client.rest();
        drop(client);
        assert!(server.wait_until(SECOND, |counters| counters.open == 0));
    }
}
