use std::io::{Read, Write};
use std::net::TcpStream;

use mailpool_test_server::{Script, ScriptServer};

use crate::client::{Client, SECOND, tls};

fn connect(server: &ScriptServer) -> TcpStream {
    let socket = TcpStream::connect((server.host(), server.port())).unwrap();
    socket.set_read_timeout(Some(SECOND)).unwrap();
    socket
}

const SESSION: &str = r#"
    S: * OK [ALERT]\xe9
    C: {tag1} NOOP
    C: {tag2} APPEND x {5}
    S: {tag1} OK one
    S- + go
    X: 0d 0a
    C- hello
    C:
    S: * FLAGS (\Seen)
    S: {tag2} OK two
    ! eof
"#;

#[test]
fn a_transcript_is_played_byte_for_byte() {
    for split in [usize::MAX, 1, 3] {
        let script: Script = SESSION.parse().unwrap();
        let server = script.split(split).serve().unwrap();
        let mut socket = connect(&server);
        socket
            .write_all(b"a NOOP\r\nb APPEND x {5}\r\nhello\r\n")
            .unwrap();
        let expected = b"* OK [ALERT]\xe9\r\na OK one\r\n+ go\r\n* FLAGS (\\Seen)\r\nb OK two\r\n";
        let mut received = vec![0; expected.len()];
        socket.read_exact(&mut received).unwrap();
        assert_eq!(received, expected);
        drop(socket);
        server.finish(SECOND).unwrap();
    }
}

#[test]
fn a_difference_is_told() {
    let script: Script = "S: * OK\nC: {tag} NOOP\nS: {tag} OK".parse().unwrap();
    let server = script.serve().unwrap();
    let mut socket = connect(&server);
    socket.write_all(b"a NOPE\r\n").unwrap();
    let mismatch = server.finish(SECOND).unwrap_err();
    assert_eq!((mismatch.connection, mismatch.step), (1, 2));
    assert_eq!(mismatch.received, "\"a NOPE\\r\\n\"");
    assert!(mismatch.to_string().contains("NOOP"));
}

#[test]
fn what_did_not_come_is_told_in_time() {
    let server = Script::new().expect("a").serve().unwrap();
    let none = std::time::Duration::ZERO;
    assert_eq!(server.finish(none).unwrap_err().connection, 0);
    let socket = connect(&server);
    assert!(server.wait_until(SECOND, |counters| counters.open == 1));
    server.finish(none).unwrap_err();
    drop(socket);
    let mismatch = server.finish(SECOND).unwrap_err();
    assert!(mismatch.received.contains("the end"), "{mismatch}");
}

#[test]
fn each_connection_has_its_script_and_the_last_repeats() {
    let server =
        ScriptServer::start([Script::new().send("one"), Script::new().send("two").reset()])
            .unwrap();
    for expected in ["one", "two", "two"] {
        let mut text = String::new();
        let mut socket = connect(&server);
        let mut start = [0; 3];
        socket.read_exact(&mut start).unwrap();
        text.push_str(std::str::from_utf8(&start).unwrap());
        assert_eq!(text, expected);
        assert_eq!(socket.read_to_string(&mut text).is_err(), expected == "two");
    }
    server.finish(SECOND).unwrap();
}

#[test]
fn starttls_and_tls_from_the_start() {
    let script: Script =
        "S: * OK\nC: {tag} STARTTLS\nS: {tag} OK\n! starttls\nC: {tag} NOOP\n! stall"
            .parse()
            .unwrap();
    let server = ScriptServer::start([script, Script::new().tls().send("secret")]).unwrap();
    let socket = connect(&server);
    let mut client = Client::over(Box::new(socket.try_clone().unwrap()));
    client.line();
    client.ok("STARTTLS");
    let mut client = Client::over(tls(&server, socket));
    client.begin("NOOP");
    let mut second = Client::over(tls(&server, connect(&server)));
    assert_eq!(second.rest().unwrap(), b"secret");
    server.finish(SECOND).unwrap();
}
