//! Refused recipients, senders and messages, and the connection after them.

use std::io::Read;

use mailpool::{
    Certainty, Error, ErrorKind, OutgoingMessage, RecipientOutcome, RecipientReport, SmtpClient,
    SmtpEnvelope, SmtpReply,
};
use mailpool_test_postfix::Postfix;

use super::{assert_one_connection, builder, to};
use crate::outgoing::{assert_same, large, letter, send};
use crate::threads::{LONG, until};

/// The code of a reply and its enhanced one.
fn codes(reply: &SmtpReply) -> String {
    let enhanced = reply.enhanced.map(|code| format!(" {code}"));
    format!("{}{}", reply.code, enhanced.unwrap_or_default())
}

fn outcome(report: &RecipientReport) -> String {
    match &report.outcome {
        RecipientOutcome::Accepted(reply) | RecipientOutcome::Refused(reply) => codes(reply),
        other => other.to_string(),
    }
}

#[track_caller]
fn assert_refused(error: &Error, verbs: &[&str], reply: &str) {
    match error.kind() {
        ErrorKind::SmtpRefused { verb, reply: given } => {
            assert!(verbs.contains(verb), "{error:?}");
            assert_eq!(codes(given), reply, "{error:?}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(error.certainty(), Certainty::Rejected, "{error:?}");
}

/// Sends a message that arrives, over the connection that there is.
#[track_caller]
fn assert_usable(postfix: &Postfix, client: &SmtpClient) {
    let recipient = postfix.new_recipient("next");
    let message = letter("next", ".\r\n");
    let report = client.send(&to(&[&recipient]), &message);
    assert!(report.expect("the next message is sent").is_complete());
    let arrived = postfix.arrived(&recipient, 1);
    assert_same("the next message", &arrived[0].message(), &message);
    assert_one_connection(client);
}

/// Ends the client and waits until Postfix has logged what it did in its session.
fn session(postfix: &Postfix, client: &SmtpClient, expected: &str) {
    client.shutdown(LONG).unwrap();
    until(expected, || {
        postfix
            .log()
            .lines()
            .any(|line| line.contains("disconnect from") && line.ends_with(expected))
    });
}

#[test]
fn refused_recipients_are_reported_and_the_others_get_the_message() {
    for pipelining in [true, false] {
        for chunking in [true, false] {
            let Some(postfix) = Postfix::builder().start_or_skip() else {
                return;
            };
            let client = builder(&postfix)
                .pipelining(pipelining)
                .chunking(chunking)
                .connect()
                .unwrap();
            for from_reader in [false, true] {
                let one = postfix.new_recipient("one");
                let two = postfix.new_recipient("two");
                let addresses = [
                    "refused-1@mailpool.test",
                    &one,
                    "later@mailpool.test",
                    "refused-2@mailpool.test",
                    &two,
                ];
                let message = letter("partly", ".\r\n");
                let report = send(&client, &to(&addresses), &message, from_reader).unwrap();
                assert!(!report.is_complete());
                let told: Vec<_> = report.recipients.iter().map(outcome).collect();
                assert_eq!(
                    told,
                    [
                        "550 5.1.1",
                        "250 2.0.0",
                        "450 4.2.1",
                        "550 5.1.1",
                        "250 2.0.0"
                    ]
                );
                let named: Vec<_> = report.recipients.iter().map(|it| &it.address).collect();
                for (named, address) in named.iter().zip(addresses) {
                    assert_eq!(named.as_str(), address);
                }
                let RecipientOutcome::Refused(reply) = &report.recipients[0].outcome else {
                    panic!("{report:?}");
                };
                assert_eq!(
                    reply.text,
                    "<refused-1@mailpool.test>: Recipient address rejected: no such mailbox here"
                );
                for recipient in [&one, &two] {
                    let arrived = postfix.arrived(recipient, 1);
                    assert_eq!(arrived.len(), 1);
                    assert_same("partly", &arrived[0].message(), &message);
                }
            }
            assert_usable(&postfix, &client);
            let content = if chunking { "bdat" } else { "data" };
            let log = if content == "data" {
                "ehlo=1 mail=3 rcpt=5/11 data=3 quit=1 commands=13/19".to_owned()
            } else {
                // Of a reader's message the header, the text and the end are chunks.
                "ehlo=1 mail=3 rcpt=5/11 bdat=5 quit=1 commands=15/21".to_owned()
            };
            session(&postfix, &client, &log);
            let settled = postfix.settled();
            assert!(
                !settled
                    .keys()
                    .any(|it| it.starts_with("refused") || it.starts_with("later")),
                "{settled:?}"
            );
        }
    }
}

#[test]
fn where_all_recipients_are_refused_no_message_is_sent() {
    for pipelining in [true, false] {
        let Some(postfix) = Postfix::builder().start_or_skip() else {
            return;
        };
        let client = builder(&postfix)
            .pipelining(pipelining)
            .chunking(pipelining)
            .connect()
            .unwrap();
        for from_reader in [false, true] {
            let envelope = to(&["refused@mailpool.test", "later@mailpool.test"]);
            let error = send(&client, &envelope, b"Subject: x\r\n\r\n", from_reader).unwrap_err();
            let ErrorKind::NobodyAccepted { recipients } = error.kind() else {
                panic!("{error:?}");
            };
            let told: Vec<_> = recipients.iter().map(outcome).collect();
            assert_eq!(told, ["550 5.1.1", "450 4.2.1"]);
            assert_eq!(error.certainty(), Certainty::Rejected);
            assert!(!error.is_transient_refusal());
        }
        let error = send(&client, &to(&["later@mailpool.test"]), b"", false).unwrap_err();
        assert!(error.is_transient_refusal());
        assert_usable(&postfix, &client);
        let content = if pipelining { "bdat=1" } else { "data=1" };
        let log = format!("mail=4 rcpt=1/6 {content} rset=3 quit=1 commands=11/16");
        session(&postfix, &client, &log);
        assert_eq!(postfix.settled().len(), 1);
    }
}

#[test]
fn a_refused_sender_does_not_harm_the_next_one() {
    let builder_of_postfix = Postfix::builder()
        .setting("smtpd_delay_reject", "no")
        .setting(
            "smtpd_sender_restrictions",
            "check_sender_access inline:{eve@example.org=REJECT}",
        );
    let Some(postfix) = builder_of_postfix.start_or_skip() else {
        return;
    };
    for pipelining in [true, false] {
        let client = builder(&postfix).pipelining(pipelining).connect().unwrap();
        let envelope = SmtpEnvelope::new("eve@example.org", ["x@mailpool.test"]).unwrap();
        for from_reader in [false, true] {
            let error = send(&client, &envelope, b"Subject: x\r\n\r\n", from_reader).unwrap_err();
            assert_refused(&error, &["MAIL"], "554 5.7.1");
        }
        assert_usable(&postfix, &client);
    }
    assert!(!postfix.settled().contains_key("x@mailpool.test"));
}

/// A reader that must not be read.
struct Forbidden;

impl Read for Forbidden {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        panic!("the message is not wanted");
    }
}

#[test]
fn a_message_above_the_announced_size_is_not_sent() {
    let Some(postfix) = Postfix::builder().message_size_limit(5_000).start_or_skip() else {
        return;
    };
    let client = builder(&postfix).connect().unwrap();
    let envelope = to(&["big@mailpool.test"]);
    let message = large(5_001);
    let mut reader = Forbidden;
    let declared = OutgoingMessage::reader(&mut reader).size(5_001);
    for sent in [
        client.send(&envelope, &message),
        client.send(&envelope, declared),
    ] {
        let error = sent.unwrap_err();
        let ErrorKind::MessageTooLarge { size, limit } = *error.kind() else {
            panic!("{error:?}");
        };
        assert!(size > limit, "{error:?}");
        assert_eq!(limit, 5_000);
        assert_eq!(error.certainty(), Certainty::NotSent);
    }
    assert_usable(&postfix, &client);
    session(
        &postfix,
        &client,
        "ehlo=1 mail=1 rcpt=1 bdat=1 quit=1 commands=5",
    );
}

/// Postfix 3.7 remembers a refused size until RSET.
#[test]
fn a_size_that_the_server_refuses_does_not_harm_the_next_message() {
    // The client sends no size that is too large by itself: the server hears one.
    let heard = "MAIL FROM:<big@example.org> SIZE=99999999999";
    let filter = format!("regexp:{{{{/^MAIL FROM:<big@/ {heard}}}}}");
    let builder_of_postfix = Postfix::builder().setting("smtpd_command_filter", filter);
    let Some(postfix) = builder_of_postfix.start_or_skip() else {
        return;
    };
    for pipelining in [true, false] {
        let client = builder(&postfix).pipelining(pipelining).connect().unwrap();
        let envelope = SmtpEnvelope::new("big@example.org", ["x@mailpool.test"]).unwrap();
        let mut reader = Forbidden;
        let unread = OutgoingMessage::reader(&mut reader);
        let error = client.send(&envelope, unread).unwrap_err();
        assert_refused(&error, &["MAIL"], "552 5.3.4");
        assert_usable(&postfix, &client);
    }
}

#[test]
fn a_message_that_turns_out_to_be_too_large_is_refused_and_the_next_one_is_sent() {
    // A server that does not say what it takes.
    let builder_of_postfix = Postfix::builder()
        .message_size_limit(300_000)
        .setting("smtpd_discard_ehlo_keywords", "size");
    let Some(postfix) = builder_of_postfix.start_or_skip() else {
        return;
    };
    let message = large(2_000_000);
    for chunking in [true, false] {
        for pipelining in [true, false] {
            let client = builder(&postfix)
                .chunking(chunking)
                .pipelining(pipelining)
                .connect()
                .unwrap();
            for from_reader in [false, true] {
                let envelope = to(&["big@mailpool.test"]);
                let error = send(&client, &envelope, &message, from_reader).unwrap_err();
                assert_refused(&error, &["DATA", "BDAT"], "552 5.3.4");
                assert_usable(&postfix, &client);
            }
        }
    }
    assert!(!postfix.settled().contains_key("big@mailpool.test"));
}

/// The next message is on its way already when the refusal comes.
#[test]
fn messages_in_line_behind_a_refused_one_are_sent() {
    let builder_of_postfix = Postfix::builder()
        .message_size_limit(20_000)
        .setting("smtpd_discard_ehlo_keywords", "size");
    let Some(postfix) = builder_of_postfix.start_or_skip() else {
        return;
    };
    for chunking in [true, false] {
        for from_reader in [false, true] {
            let client = builder(&postfix).chunking(chunking).connect().unwrap();
            let recipient = postfix.new_recipient("line");
            std::thread::scope(|scope| {
                for thread in 0..6 {
                    let (client, recipient) = (&client, &recipient);
                    scope.spawn(move || {
                        for number in 0..10 {
                            let envelope = to(&[recipient]);
                            if (thread + number) % 2 == 0 {
                                let error = send(client, &envelope, &large(40_000), from_reader);
                                let error = error.unwrap_err();
                                assert_refused(&error, &["DATA", "BDAT"], "552 5.3.4");
                            } else {
                                let message = letter(&format!("{thread}.{number}"), "text\r\n");
                                let sent = send(client, &envelope, &message, from_reader);
                                let _ = sent.expect("it is sent");
                            }
                        }
                    });
                }
            });
            assert_eq!(postfix.settled()[&recipient], 30);
            assert_one_connection(&client);
        }
    }
}
