//! LMTP: what the client delivers is in the mailboxes, and IMAP serves it.

use mailpool::{
    ErrorKind, ImapClient, RecipientOutcome, Security, SendReport, SmtpClient, SmtpClientBuilder,
};
use mailpool_test_dovecot::{Dovecot, Service, User, as_served};

use super::{LONG, bodies, connect};
use crate::outgoing::{FAKE_ENDS, assert_same, large, letter, normalised, samples, send, smuggler};
use crate::postfix::{assert_one_connection, builder_at, to};

/// The shared server, if it offers LMTP; `tests/run` says if the package for it is missing.
fn dovecot_with_lmtp() -> Option<&'static Dovecot> {
    Dovecot::shared().filter(|dovecot| dovecot.offers(Service::Lmtp))
}

fn plain(dovecot: &Dovecot) -> SmtpClientBuilder {
    builder_at(dovecot.address_of(Service::Lmtp)).lmtp()
}

fn over_tls(dovecot: &Dovecot) -> SmtpClientBuilder {
    builder_at(dovecot.tls_address_of(Service::Lmtp))
        .lmtp()
        .security(Security::Tls)
        .ca_pem(dovecot.ca_pem())
        .only_own_ca()
}

fn start_tls(dovecot: &Dovecot) -> SmtpClientBuilder {
    plain(dovecot)
        .security(Security::StartTls)
        .ca_pem(dovecot.ca_pem())
        .only_own_ca()
}

const TRANSPORTS: [fn(&Dovecot) -> SmtpClientBuilder; 3] = [plain, start_tls, over_tls];

fn address(user: &User) -> String {
    format!("{}@mailpool.test", user.name)
}

/// Delivers messages and compares what is in the mailbox then.
fn deliver(
    dovecot: &Dovecot,
    client: &SmtpClient,
    what: &str,
    messages: &[(String, Vec<u8>)],
    from_reader: bool,
) -> User {
    let user = dovecot.new_user("delivered");
    let envelope = to(&[address(&user)]);
    for (name, message) in messages {
        let report = send(client, &envelope, message, from_reader);
        let report = report.unwrap_or_else(|error| panic!("{name}, {what}: {error:?}"));
        assert!(report.is_complete(), "{name}, {what}: {report:?}");
    }
    let arrived = dovecot.arrived(&user.name);
    assert_eq!(arrived.len(), messages.len(), "{what}");
    for (arrived, (name, message)) in arrived.iter().zip(messages) {
        let what = format!("{name}, {what}");
        assert_same(&what, &arrived.message(), &normalised(message));
        assert_eq!(arrived.reverse_path(), "alice@example.org", "{what}");
    }
    user
}

#[test]
fn messages_of_every_kind_are_delivered_byte_for_byte() {
    let Some(dovecot) = dovecot_with_lmtp() else {
        return;
    };
    let mut messages = samples();
    messages.push(("empty".to_owned(), Vec::new()));
    messages.push(("after the empty one".to_owned(), letter("after", "")));
    for (number, builder) in TRANSPORTS.into_iter().enumerate() {
        for chunking in [true, false] {
            for pipelining in [true, false] {
                let client = builder(dovecot)
                    .chunking(chunking)
                    .pipelining(pipelining)
                    .connect()
                    .unwrap();
                for from_reader in [false, true] {
                    let what = format!(
                        "transport {number}, BDAT {chunking}, PIPELINING {pipelining}, \
                         reader {from_reader}"
                    );
                    deliver(dovecot, &client, &what, &messages, from_reader);
                }
                assert_one_connection(&client);
            }
        }
    }
}

#[test]
fn large_messages_are_delivered_byte_for_byte() {
    let Some(dovecot) = dovecot_with_lmtp() else {
        return;
    };
    let small = ("1 MiB".to_owned(), large(1024 * 1024));
    let big = ("20 MiB".to_owned(), large(20 * 1024 * 1024));
    let messages = [small, big];
    for (number, builder) in TRANSPORTS.into_iter().enumerate() {
        for chunking in [true, false] {
            let client = builder(dovecot).chunking(chunking).connect().unwrap();
            let from_reader = (number == 1) != chunking;
            let what = format!("transport {number}, BDAT {chunking}, reader {from_reader}");
            deliver(dovecot, &client, &what, &messages, from_reader);
        }
    }
}

fn outcomes(report: &SendReport) -> Vec<String> {
    let outcome = |outcome: &RecipientOutcome| match outcome {
        RecipientOutcome::Accepted(reply) | RecipientOutcome::Refused(reply) => {
            let enhanced = reply.enhanced.expect("an enhanced code");
            format!("{} {enhanced}", reply.code)
        }
        other => other.to_string(),
    };
    report
        .recipients
        .iter()
        .map(|it| outcome(&it.outcome))
        .collect()
}

#[test]
fn each_recipient_has_a_reply_and_one_that_is_unknown_harms_nobody() {
    let Some(dovecot) = dovecot_with_lmtp() else {
        return;
    };
    for chunking in [true, false] {
        let client = plain(dovecot).chunking(chunking).connect().unwrap();
        for from_reader in [false, true] {
            let (one, two) = (dovecot.new_user("one"), dovecot.new_user("two"));
            let envelope = to(&[
                address(&one),
                "nobody@mailpool.test".to_owned(),
                address(&two),
            ]);
            let message = letter("three", ".\r\n");
            let report = send(&client, &envelope, &message, from_reader).unwrap();
            assert_eq!(outcomes(&report), ["250 2.0.0", "550 5.1.1", "250 2.0.0"]);
            let RecipientOutcome::Accepted(reply) = &report.recipients[2].outcome else {
                panic!("{report:?}");
            };
            assert!(reply.text.contains(&two.name), "{reply}");
            for user in [&one, &two] {
                let arrived = dovecot.arrived(&user.name);
                assert_eq!(arrived.len(), 1);
                assert_same("one of two", &arrived[0].message(), &message);
            }
            let unknown = to(&["nobody@mailpool.test", "nobody-else@mailpool.test"]);
            let error = send(&client, &unknown, &message, from_reader).unwrap_err();
            let ErrorKind::NobodyAccepted { recipients } = error.kind() else {
                panic!("{error:?}");
            };
            assert_eq!(recipients.len(), 2);
        }
        assert_one_connection(&client);
    }
}

/// Their mailboxes are full or not: that is known at the end of the message.
#[test]
fn a_message_is_delivered_to_one_and_refused_for_another_at_its_end() {
    if !Dovecot::installed(Service::Lmtp) {
        return;
    }
    let dovecot = Dovecot::builder()
        .service(Service::Lmtp)
        .setting("mail_plugins", "quota")
        .block(
            "plugin {\n quota = count:User\n quota_vsizes = yes\n quota_rule = *:storage=100K\n}",
        )
        .start_or_skip();
    let Some(dovecot) = dovecot else {
        return;
    };
    for chunking in [true, false] {
        let client = plain(&dovecot).chunking(chunking).connect().unwrap();
        for from_reader in [false, true] {
            let (full, empty) = (dovecot.new_user("full"), dovecot.new_user("empty"));
            let envelope = to(&[address(&full)]);
            let _ = client.send(&envelope, large(60_000)).unwrap();
            let message = large(70_000);
            let both = to(&[address(&full), address(&empty)]);
            let report = send(&client, &both, &message, from_reader).unwrap();
            assert_eq!(outcomes(&report), ["552 5.2.2", "250 2.0.0"]);
            assert_eq!(dovecot.arrived(&full.name).len(), 1);
            assert_same(
                "the other one",
                &dovecot.arrived(&empty.name)[0].message(),
                &message,
            );
            // And for nobody.
            let error = send(&client, &both, &message, from_reader).unwrap_err();
            let ErrorKind::NobodyAccepted { recipients } = error.kind() else {
                panic!("{error:?}");
            };
            assert_eq!(recipients.len(), 2);
            assert_eq!(dovecot.arrived(&empty.name).len(), 1);
        }
        assert_one_connection(&client);
    }
}

#[test]
fn nothing_ends_a_message_early() {
    let Some(dovecot) = dovecot_with_lmtp() else {
        return;
    };
    for chunking in [true, false] {
        let client = plain(dovecot).chunking(chunking).connect().unwrap();
        for from_reader in [false, true] {
            let victim = dovecot.new_user("victim");
            let mut messages = Vec::new();
            for fake_end in FAKE_ENDS {
                // NUL needs CHUNKING.
                if fake_end.contains('\0') && !chunking {
                    continue;
                }
                for line_end in ["\r\n", "\n", "\r"] {
                    let name = format!("{fake_end:?} with {line_end:?}");
                    messages.push((name, smuggler(fake_end, line_end, &address(&victim))));
                }
            }
            let what = format!("BDAT {chunking}, reader {from_reader}");
            deliver(dovecot, &client, &what, &messages, from_reader);
            assert_eq!(dovecot.arrived(&victim.name).len(), 0);
            assert_one_connection(&client);
        }
    }
}

#[test]
fn what_is_delivered_by_many_threads_is_fetched_by_imap() {
    let Some(dovecot) = dovecot_with_lmtp() else {
        return;
    };
    let user = dovecot.new_user("fetched");
    let sender = over_tls(dovecot)
        .max_connections_per_server(3)
        .connect()
        .unwrap();
    let reader: ImapClient = connect(dovecot, &user);
    let inbox = reader.mailbox("INBOX");
    assert_eq!(bodies(&inbox).len(), 0);

    let messages = samples();
    let envelope = to(&[address(&user)]);
    let outgoing = messages
        .iter()
        .map(|(_, message)| (envelope.clone(), message.clone()));
    let outcome = sender.send_all(outgoing).unwrap();
    assert!(outcome.is_complete(), "{:?}", outcome.failed);
    sender.shutdown(LONG).unwrap();

    // The mailbox is selected: the server tells of what is new with the next command.
    reader.noop().unwrap();
    let mut fetched = bodies(&inbox);
    let mut stored: Vec<Vec<u8>> = dovecot
        .arrived(&user.name)
        .iter()
        .map(|arrived| as_served(arrived.stored()))
        .collect();
    fetched.sort();
    stored.sort();
    assert_eq!(fetched.len(), messages.len());
    for (fetched, stored) in fetched.iter().zip(&stored) {
        assert_same("as it is stored", fetched, stored);
    }
    for (name, message) in &messages {
        let expected = normalised(message);
        let matching = fetched.iter().filter(|it| it.ends_with(&expected)).count();
        assert_eq!(matching, 1, "{name}");
    }
}
