use mailpool_test_server::{LimitMode, Security, Server, Stage};

use crate::client::{Client, SECOND, builder, socket, tls};

#[test]
fn capabilities_differ_by_stage() {
    let server = builder()
        .security(Security::StartTls)
        .with("X-EVERYWHERE")
        .without("MOVE")
        .start()
        .unwrap();
    let (mut client, greeting) = Client::greeted(&server);
    assert!(
        greeting.starts_with("* OK [CAPABILITY IMAP4rev1 "),
        "{greeting}"
    );
    let before = client.ok("CAPABILITY").remove(0);
    assert!(before.contains(" STARTTLS") && before.contains(" LOGINDISABLED"));
    assert!(!before.contains("AUTH=PLAIN") && before.contains("X-EVERYWHERE"));
    assert!(
        client
            .tagged("LOGIN alice secret")
            .starts_with("NO [PRIVACYREQUIRED]")
    );
    assert!(
        client
            .tagged("AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==")
            .starts_with("NO")
    );
    server.set_capabilities(Stage::BeforeTls, &["IMAP4rev1"]);
    assert_eq!(client.ok("CAPABILITY"), ["* CAPABILITY IMAP4rev1"]);
    assert!(client.tagged("STARTTLS").starts_with("BAD"));
}

#[test]
fn starttls_then_login() {
    let server = builder().security(Security::StartTls).start().unwrap();
    let socket = socket(&server);
    let mut client = Client::over(Box::new(socket.try_clone().unwrap()));
    client.line();
    client.ok("STARTTLS");
    let mut client = Client::over(tls(&server, socket));
    let after = client.ok("CAPABILITY").remove(0);
    assert!(after.contains("AUTH=PLAIN") && !after.contains("STARTTLS"));
    let answer = client.tagged("LOGIN alice secret");
    assert!(answer.starts_with("OK [CAPABILITY ") && answer.contains("UIDPLUS"));
    assert!(client.tagged("STARTTLS").starts_with("BAD"));
    assert!(server.connections()[0].tls);
    client.ok("LOGOUT");
    assert_eq!(client.rest().unwrap(), b"");
}

#[test]
fn commands_behind_starttls_are_refused() {
    let server = builder().security(Security::StartTls).start().unwrap();
    let (mut client, _) = Client::greeted(&server);
    client.send("a STARTTLS\r\nb NOOP\r\n");
    assert!(client.until("a")[0].starts_with("BAD"));
    client.until("b");
}

#[test]
fn implicit_tls_and_both_names() {
    for host in ["localhost", "127.0.0.1"] {
        let server = builder()
            .security(Security::Tls)
            .host(host)
            .start()
            .unwrap();
        let mut client = Client::over(tls(&server, socket(&server)));
        assert!(client.line().starts_with("* OK"));
        client.ok("LOGIN alice secret");
        assert!(server.wait_until(SECOND, |counters| counters.tls_handshakes == 1));
    }
}

#[test]
fn authenticate_plain_with_and_without_initial_response() {
    let server = builder().start().unwrap();
    let (mut client, _) = Client::greeted(&server);
    client.ok("AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==");

    let server = builder().without("SASL-IR").start().unwrap();
    let (mut client, _) = Client::greeted(&server);
    assert!(
        client
            .tagged("AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==")
            .starts_with("BAD")
    );
    let tag = client.begin("AUTHENTICATE PLAIN");
    assert_eq!(client.line(), "+");
    client.send("*\r\n");
    assert!(client.until(&tag)[0].starts_with("BAD"));
    let tag = client.begin("AUTHENTICATE PLAIN");
    client.line();
    client.send("AGFsaWNlAHdyb25n\r\n");
    assert!(client.until(&tag)[0].starts_with("NO [AUTHENTICATIONFAILED]"));
    let tag = client.begin("AUTHENTICATE PLAIN");
    client.line();
    client.send("AGFsaWNlAHNlY3JldA==\r\n");
    assert!(client.until(&tag)[0].starts_with("OK"));
    assert_eq!(server.counters().logins, 1);
    assert_eq!(server.counters().failed_logins, 1);
}

#[test]
fn states_are_kept_apart() {
    let server = builder().start().unwrap();
    let (mut client, _) = Client::greeted(&server);
    assert!(client.tagged("SELECT INBOX").starts_with("BAD"));
    assert!(client.tagged("FETCH 1 UID").starts_with("BAD"));
    client.ok("LOGIN alice secret");
    assert!(client.tagged("LOGIN alice secret").starts_with("BAD"));
    assert!(client.tagged("FETCH 1 UID").starts_with("BAD"));
    assert!(client.tagged("NONSENSE").starts_with("BAD"));
    assert!(client.tagged("").starts_with("BAD"));
    client.send(b"\r\n\x00\xff\r\n{5}\r\nabcde\r\n");
    client.ok("NOOP");
    assert_eq!(client.ok("ID NIL").len(), 1);
    assert_eq!(client.ok("ENABLE CONDSTORE X-NO"), ["* ENABLED CONDSTORE"]);
    let bye = client.ok("LOGOUT");
    assert!(bye[0].starts_with("* BYE"));
    assert_eq!(client.rest().unwrap(), b"");
}

#[test]
fn short_literals_only() {
    let server = builder()
        .without("LITERAL+")
        .with("LITERAL-")
        .start()
        .unwrap();
    let mut client = Client::logged_in(&server);
    client.ok("APPEND INBOX {3+}\r\nabc");
    client.send(format!(
        "a APPEND INBOX {{4097+}}\r\n{}\r\n",
        "x".repeat(4097)
    ));
    assert!(client.until("a")[0].starts_with("BAD"));
    assert!(client.line().starts_with("* BYE"));
}

#[test]
fn imap4rev2_is_off_until_it_is_enabled() {
    let server = builder().with("IMAP4rev2").start().unwrap();
    let mut client = Client::logged_in(&server);
    assert_eq!(client.ok("ENABLE IMAP4rev2"), ["* ENABLED IMAP4rev2"]);
    let answer = client.ok("SELECT INBOX");
    assert!(answer.contains(&"* LIST () \"/\" INBOX".to_owned()));
    assert!(!answer.iter().any(|line| line.ends_with("RECENT")));
    assert_eq!(
        client.ok("SEARCH UNSEEN"),
        ["* ESEARCH (TAG \"t4\") ALL 2:3"]
    );
    assert_eq!(
        client.ok("SELECT INBOX")[0],
        "* OK [CLOSED] Previous mailbox is closed"
    );
}

#[test]
fn preauth() {
    let server = builder().preauth("alice").start().unwrap();
    let (mut client, greeting) = Client::greeted(&server);
    assert!(greeting.starts_with("* PREAUTH"));
    client.ok("SELECT INBOX");
}

#[test]
fn a_connection_too_many_is_told_so() {
    let server = builder().max_connections(2).start().unwrap();
    let one = Client::logged_in(&server);
    let _two = Client::logged_in(&server);
    let (mut three, greeting) = Client::greeted(&server);
    assert!(greeting.starts_with("* BYE Too many"));
    assert_eq!(three.rest().unwrap(), b"");
    drop(three);
    // No need to wait: the place is free at once.
    drop(one);
    let _again = Client::logged_in(&server);
    let counters = server.counters();
    assert_eq!(
        (counters.refused, counters.peak_open, counters.accepted),
        (1, 3, 4)
    );

    let server = builder()
        .max_connections(1)
        .limit_mode(LimitMode::NoAtLogin)
        .start()
        .unwrap();
    let one = Client::logged_in(&server);
    let (mut two, _) = Client::greeted(&server);
    assert!(two.tagged("LOGIN alice secret").starts_with("NO [LIMIT]"));
    drop(one);
    two.ok("LOGIN alice secret");
}

#[test]
fn open_connections_are_counted_exactly() {
    let server = builder().start().unwrap();
    for _ in 0..200 {
        let (client, _) = Client::greeted(&server);
        drop(client);
    }
    assert_eq!(server.counters().peak_open, 1);
    assert!(server.wait_until(SECOND, |counters| counters.open == 0));
    assert_eq!(server.counters().accepted, 200);
}

#[test]
fn what_was_sent_before_the_end_is_carried_out() {
    let server = builder().start().unwrap();
    for count in 1..50 {
        let mut client = Client::logged_in(&server);
        client.send("a APPEND INBOX {3+}\r\nabc\r\n");
        drop(client);
        // The next connection makes the server look for ends.
        let _other = Client::greeted(&server);
        assert!(server.wait_until(SECOND, |counters| counters.commands("APPEND") == count));
    }
}

#[test]
fn dropping_the_server_ends_everything() {
    let server = builder().start().unwrap();
    let address = server.address();
    let mut clients: Vec<Client> = (0..5).map(|_| Client::selected(&server)).collect();
    server.faults_for(1).hold("NOOP");
    clients[0].begin("NOOP");
    clients[1].begin("IDLE");
    server.wait_until(SECOND, |counters| {
        counters.commands("NOOP") == 1 && counters.idling == 1
    });
    drop(server);
    for mut client in clients {
        let _ = client.rest();
    }
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn ipv6_if_the_system_has_it() {
    let Ok(server) = Server::builder().user("a", "b").ipv6().start() else {
        return;
    };
    assert_eq!(server.host(), "::1");
    let (_, greeting) = Client::greeted(&server);
    assert!(greeting.starts_with("* OK"));
}

/// Commands that are nearly right, and bytes that are nothing: always an answer or an end, and
/// dropping the server shows whether a thread panicked.
#[test]
fn no_input_brings_a_session_down() {
    const SEEDS: [&str; 12] = [
        "a UID FETCH 1:*,4,*:2 (BODY.PEEK[1.2.HEADER.FIELDS (a \"b\")]<0.5> ENVELOPE MODSEQ)",
        "a SEARCH RETURN (MIN) CHARSET UTF-8 OR (NOT SUBJECT \"x\") UID 1:* MODSEQ 5",
        "a STORE 1:3 (UNCHANGEDSINCE 3) +FLAGS.SILENT (\\Seen key)",
        "a APPEND INBOX (\\Seen) \" 1-Jan-2024 00:00:00 +0000\" {3+}\r\nabc",
        "a LIST \"\" \"*%\"",
        "a STATUS INBOX (MESSAGES UNSEEN)",
        "a RENAME \"&AOk-\" b/c",
        "a UID COPY 1:4294967295 Other",
        "a SELECT INBOX (CONDSTORE)",
        "a ENABLE CONDSTORE",
        "a ID (\"name\" NIL)",
        "a UID EXPUNGE 1:*",
    ];
    let server = builder()
        .mailbox("alice", "Other", [""; 0])
        .start()
        .unwrap();
    let mut state = 42_u64;
    let mut random = move |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for _ in 0..20 {
        let mut client = Client::selected(&server);
        for _ in 0..100 {
            let mut bytes = SEEDS[random(SEEDS.len())].as_bytes().to_vec();
            for _ in 0..random(4) {
                let at = random(bytes.len());
                match random(4) {
                    0 => bytes[at] = b"\"\\(){}[]<>*%:,0 \x00\xff"[random(18)],
                    1 => bytes.truncate(at + 1),
                    2 => bytes.insert(at, b"() \"9"[random(5)]),
                    _ => drop(bytes.remove(at)),
                }
                if bytes.is_empty() {
                    break;
                }
            }
            // What would make the server wait for more is of no use here.
            let whole = b"{3+}\r\nabc";
            let is_whole = bytes.windows(whole.len()).any(|window| window == whole);
            if bytes.contains(&b'{') && !is_whole {
                continue;
            }
            bytes.extend_from_slice(b"\r\nsync NOOP\r\n");
            client.send(&bytes);
            loop {
                let line = client.line();
                if line.starts_with("* BYE") || line.is_empty() {
                    client = Client::selected(&server);
                    break;
                }
                if line.starts_with('+') {
                    client.send("*\r\nDONE\r\nsync NOOP\r\n");
                }
                if line.starts_with("sync ") {
                    break;
                }
            }
        }
    }
}
