//! Nestings that overflow the stack of a parser that recurses, in debug and in release.

use mailpool::{BodyContent, ErrorKind, Limits};

use crate::hazards::{fetched, one, works};
use crate::scripted::{builder, single, uid};
use crate::support::server_with;

/// The body structures that overflow a stack of 2 MiB in one of the two builds, and far deeper
/// ones. Each has a message around it that could be read, and a second message behind it.
fn deep_structures() -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for levels in [50, 60, 99, 101, 348, 374, 541, 5_008, 100_000] {
        let open = "(".repeat(levels);
        let close = ")".repeat(levels);
        let part = "\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 5 1";
        // Multiparts in multiparts.
        let closed = format!("{open}({part}){}", " \"MIXED\")".repeat(levels));
        all.push((format!("{levels} multiparts"), closed.into_bytes()));
        // Parentheses and nothing else.
        all.push((
            format!("{levels} lists"),
            format!("{open}{close}").into_bytes(),
        ));
        // Messages in messages.
        let head = "(\"MESSAGE\" \"RFC822\" NIL NIL NIL \"7BIT\" 9 \
                    (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) ";
        let messages = format!("{}({part}){}", head.repeat(levels), " 1)".repeat(levels));
        all.push((format!("{levels} messages"), messages.into_bytes()));
        // Extension data of one part.
        let extended = format!("({part} NIL NIL NIL NIL {open}1{close})");
        all.push((format!("{levels} extensions"), extended.into_bytes()));
    }
    all
}

#[test]
fn nesting_beyond_the_limit_is_an_error_of_the_attribute() {
    let server = server_with(3);
    let client = single(&server);
    for (name, structure) in deep_structures() {
        let mut answer = b"* 3 FETCH (UID 3 BODYSTRUCTURE ".to_vec();
        answer.extend_from_slice(&structure);
        answer.extend_from_slice(b" RFC822.SIZE 7)\r\n");
        let message = one(fetched(&server, &client, &answer));
        assert_eq!((message.uid(), message.size()), (uid(3), Some(7)), "{name}");
        let structure = message.body_structure().expect("it was sent");
        let levels: usize = name.split(' ').next().unwrap().parse().unwrap();
        if levels > 100 {
            let error = structure.expect_err(&name).to_string();
            assert!(error.contains("100 levels"), "{name}: {error}");
        }
    }
    works(&server, &client);
}

#[test]
fn nesting_that_is_never_closed_is_a_message_that_cannot_be_read() {
    let server = server_with(3);
    let client = single(&server);
    for levels in [60, 374, 541, 5_008, 100_000] {
        for what in [
            "BODYSTRUCTURE ",
            "BODY ",
            "ENVELOPE ",
            "FLAGS ",
            "X-NEW ",
            "UID 3 X ",
        ] {
            let mut answer = format!("* 3 FETCH ({what}").into_bytes();
            answer.extend(std::iter::repeat_n(b'(', levels));
            answer.extend_from_slice(b"\r\n");
            let mut messages = fetched(&server, &client, &answer);
            assert_eq!(messages.len(), 1, "{what}{levels}");
            let error = messages.remove(0).expect_err("nothing ends it");
            assert!(
                matches!(error.kind(), ErrorKind::Message { .. }),
                "{error:?}"
            );
        }
        let open = "(".repeat(levels);
        for bytes in [
            format!("* LIST {open}\r\n"),
            format!("* STATUS INBOX {open}\r\n"),
            format!("* NAMESPACE {open}\r\n"),
            format!("* ID {open}\r\n"),
            format!("* ESEARCH {open}\r\n"),
            format!("* OK [BADCHARSET {open}] x\r\n"),
            format!("* FLAGS {open}\r\n"),
            format!("* THREAD {open}\r\n"),
            format!("* {open}\r\n"),
        ] {
            server.faults().inject("NOOP", bytes);
            client.noop().unwrap();
        }
    }
    works(&server, &client);
}

#[test]
fn a_raised_limit_brings_the_stack_that_it_takes() {
    let server = server_with(3);
    let client = builder(&server)
        .limits(Limits::default().max_nesting(1_200))
        .max_connections_per_server(1)
        .connect()
        .unwrap();
    for levels in [374, 541, 1_000] {
        let head = "(\"MESSAGE\" \"RFC822\" NIL NIL NIL \"7BIT\" 9 \
                    (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) ";
        let answer = format!(
            "* 3 FETCH (UID 3 BODYSTRUCTURE {}(\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 5 1){})\r\n",
            head.repeat(levels),
            " 1)".repeat(levels)
        );
        let message = one(fetched(&server, &client, answer.as_bytes()));
        let mut structure = message.body_structure().unwrap().expect("within the limit");
        let mut depth = 0;
        while let BodyContent::Message { body, .. } = &structure.content {
            structure = body.as_ref();
            depth += 1;
        }
        assert_eq!(depth, levels);
    }
    works(&server, &client);
}
