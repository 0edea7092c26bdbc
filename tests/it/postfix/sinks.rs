//! Servers that lack something, refuse, or hang up at each command: `smtp-sink`.

use mailpool::{Certainty, Error, ErrorKind, Notify, Recipient, SmtpClient, SmtpEnvelope};
use mailpool_test_postfix::{SinkBuilder, SmtpSink};

use super::{assert_one_connection, builder_at, connect_to_sink, to};
use crate::outgoing::{assert_same, large, letter, send};

const BOB: [&str; 1] = ["bob@example.net"];

fn sink(builder: SinkBuilder) -> Option<(SmtpSink, SmtpClient)> {
    let sink = builder.dump().start_or_skip()?;
    let client = connect_to_sink(&sink);
    Some((sink, client))
}

#[track_caller]
fn assert_refused(error: &Error, verb: &str, code: u16) {
    match error.kind() {
        ErrorKind::SmtpRefused { verb: of, reply } => assert_eq!((*of, reply.code), (verb, code)),
        ErrorKind::NobodyAccepted { recipients } => {
            assert_eq!((verb, recipients.len()), ("RCPT", 1), "{error:?}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(error.certainty(), Certainty::Rejected, "{error:?}");
    assert_eq!(error.is_transient_refusal(), code / 100 == 4, "{error:?}");
}

#[test]
fn a_refusal_of_each_command_is_a_refusal() {
    for (command, verb) in [
        ("MAIL", "MAIL"),
        ("RCPT", "RCPT"),
        ("DATA", "DATA"),
        (".", "DATA"),
    ] {
        for transient in [false, true] {
            let (builder, code) = if transient {
                (SmtpSink::builder().defer(command), 450)
            } else {
                (SmtpSink::builder().refuse(command), 500)
            };
            let Some((sink, client)) = sink(builder) else {
                return;
            };
            for from_reader in [false, true] {
                let error = send(&client, &to(&BOB), &letter("no", ""), from_reader).unwrap_err();
                assert_refused(&error, verb, code);
            }
            client.noop().unwrap();
            assert_one_connection(&client);
            if command != "." {
                assert_eq!(sink.dumps(), [], "{command}");
            }
        }
    }
}

/// Until the end of the message has been written nobody has it, and the message is sent again by
/// itself; behind that nobody knows.
#[test]
fn a_connection_that_ends_at_each_command_says_what_is_certain() {
    for command in ["MAIL", "RCPT", "DATA", "."] {
        for from_reader in [false, true] {
            let builder = SmtpSink::builder().hang_up(command).verbose();
            let Some((sink, client)) = sink(builder) else {
                return;
            };
            let what = format!("{command}, {from_reader}");
            let error = send(&client, &to(&BOB), &letter("cut", ""), from_reader).unwrap_err();
            assert!(error.is_connection(), "{what}: {error:?}");
            let (certainty, tries) = match command {
                "." => (Certainty::MaybeExecuted, 1),
                _ => (Certainty::NotSent, 2),
            };
            assert_eq!(error.certainty(), certainty, "{what}: {error:?}");
            let log = sink.log();
            assert_eq!(
                log.matches("MAIL FROM:<alice").count(),
                tries,
                "{what}: {log}"
            );
        }
    }
}

#[test]
fn a_goodbye_at_each_command_is_no_message_sent() {
    for command in ["MAIL", "RCPT", "DATA", "."] {
        for from_reader in [false, true] {
            let builder = SmtpSink::builder().say_goodbye(command).verbose();
            let Some((sink, client)) = sink(builder) else {
                return;
            };
            let what = format!("{command}, {from_reader}");
            let error = send(&client, &to(&BOB), &letter("bye", ""), from_reader).unwrap_err();
            let ErrorKind::SmtpClosing { reply } = error.kind() else {
                panic!("{what}: {error:?}");
            };
            assert_eq!(reply.code, 421);
            assert_ne!(
                error.certainty(),
                Certainty::MaybeExecuted,
                "{what}: {error:?}"
            );
            // A reader's message cannot be read again.
            let tries = if from_reader && command == "." { 1 } else { 2 };
            let log = sink.log();
            assert_eq!(
                log.matches("MAIL FROM:<alice").count(),
                tries,
                "{what}: {log}"
            );
        }
    }
}

#[test]
fn a_server_that_does_not_want_to_talk_is_an_error_of_connect() {
    let Some(sink) = SmtpSink::builder().refuse("CONNECT").start_or_skip() else {
        return;
    };
    let error = builder_at(sink.address()).connect().unwrap_err();
    let ErrorKind::SmtpClosing { reply } = error.kind() else {
        panic!("{error:?}");
    };
    assert_eq!(reply.code, 500);
    assert_eq!(error.certainty(), Certainty::NotSent);

    let sink = SmtpSink::builder().refuse("EHLO,HELO").start().unwrap();
    let error = builder_at(sink.address()).connect().unwrap_err();
    let ErrorKind::SmtpRefused { verb, reply } = error.kind() else {
        panic!("{error:?}");
    };
    assert_eq!((*verb, reply.code), ("HELO", 500));

    let sink = SmtpSink::builder().hang_up("CONNECT").start().unwrap();
    let error = builder_at(sink.address()).connect().unwrap_err();
    assert!(error.is_connection(), "{error:?}");
}

#[test]
fn servers_that_offer_little_get_what_they_can_take() {
    let Some(sink) = SmtpSink::builder().without_esmtp().dump().start_or_skip() else {
        return;
    };
    let client = connect_to_sink(&sink);
    assert!(!client.capabilities().unwrap().supports("PIPELINING"));
    let message = letter("old", ".\r\n..\r\n");
    for from_reader in [false, true] {
        let _ = send(
            &client,
            &to(&["a@example.net", "b@example.net"]),
            &message,
            from_reader,
        )
        .unwrap();
    }
    let dumps = sink.dumps();
    assert_eq!(dumps.len(), 2);
    for dump in dumps {
        assert_eq!(dump.protocol, "SMTP");
        assert_eq!(dump.mail, "<alice@example.org>");
        assert_eq!(dump.recipients, ["<a@example.net>", "<b@example.net>"]);
        assert_same("the dump", &dump.message, &message);
    }
    let error = send(&client, &to(&BOB), "gr\u{fc}n".as_bytes(), false).unwrap_err();
    assert_missing(&error, "8BITMIME");
}

#[track_caller]
fn assert_missing(error: &Error, name: &str) {
    match error.kind() {
        ErrorKind::MissingCapability { capability } => assert_eq!(*capability, name),
        other => panic!("{other:?}"),
    }
    assert_eq!(error.certainty(), Certainty::NotSent);
}

#[test]
fn what_the_server_lacks_is_named_and_nothing_is_sent() {
    let Some((sink, client)) = sink(SmtpSink::builder().without_8bitmime().without_dsn()) else {
        return;
    };
    let told = Recipient::new("bob@example.net")
        .unwrap()
        .notify(Notify::never());
    let told = SmtpEnvelope::new("alice@example.org", [told]).unwrap();
    let utf8 = to(&["b\u{f6}b@example.net"]);
    for (envelope, message, missing) in [
        (&told, "Subject: x\r\n\r\n", "DSN"),
        (&utf8, "Subject: x\r\n\r\n", "SMTPUTF8"),
        (&to(&BOB).require_tls(), "Subject: x\r\n\r\n", "REQUIRETLS"),
        (&to(&BOB), "Subject: x\r\n\r\n\u{e9}\r\n", "8BITMIME"),
        (&to(&BOB), "Subject: x\r\n\r\n\0\r\n", "CHUNKING"),
    ] {
        let error = send(&client, envelope, message.as_bytes(), false).unwrap_err();
        assert_missing(&error, missing);
    }
    assert_one_connection(&client);
    // Of a reader it is known when the bytes come. The connection is given up for it.
    let error = send(&client, &to(&BOB), "x: \u{e9}\r\n".as_bytes(), true).unwrap_err();
    assert_missing(&error, "8BITMIME");
    client.noop().unwrap();
    assert_eq!(sink.dumps(), []);
}

#[test]
fn messages_reach_a_server_without_pipelining() {
    let Some((sink, client)) = sink(SmtpSink::builder().without_pipelining()) else {
        return;
    };
    assert!(!client.capabilities().unwrap().supports("PIPELINING"));
    let message = large(300_000);
    std::thread::scope(|scope| {
        for from_reader in [false, true, false, true] {
            let (client, message) = (&client, &message);
            scope.spawn(move || {
                for _ in 0..5 {
                    let _ = send(client, &to(&BOB), message, from_reader).unwrap();
                }
            });
        }
    });
    let dumps = sink.dumps();
    assert_eq!(dumps.len(), 20);
    for dump in dumps {
        assert_same("the dump", &dump.message, &message);
    }
    assert_one_connection(&client);
}

#[test]
fn lmtp_reports_for_each_recipient_and_knows_what_it_does_not_know() {
    let builder = SmtpSink::builder().lmtp().dump();
    let Some(sink) = builder.start_or_skip() else {
        return;
    };
    let client = builder_at(sink.address()).lmtp().connect().unwrap();
    let people = ["a@example.net", "b@example.net", "c@example.net"];
    for from_reader in [false, true] {
        let report = send(&client, &to(&people), &letter("lmtp", ""), from_reader).unwrap();
        assert_eq!(report.accepted().count(), 3);
    }
    assert_eq!(sink.dumps().len(), 2);

    let sink = SmtpSink::builder().lmtp().hang_up(".").start().unwrap();
    let client = builder_at(sink.address()).lmtp().connect().unwrap();
    let error = send(&client, &to(&people), &letter("lmtp", ""), false).unwrap_err();
    assert_eq!(error.certainty(), Certainty::MaybeExecuted, "{error:?}");
}
