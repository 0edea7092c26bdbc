//! What arrives is what was sent, byte for byte.

use mailpool::{Security, SmtpClient, SmtpClientBuilder};
use mailpool_test_postfix::{Arrived, Postfix};

use super::{assert_one_connection, builder, builder_at, to};
use crate::outgoing::{assert_same, large, letter, normalised, samples, send};

/// The client and the name under which Postfix says that it came.
type Transport = (&'static str, fn(&Postfix) -> SmtpClientBuilder);

const TRANSPORTS: [Transport; 3] = [
    ("with ESMTP ", builder),
    ("with ESMTPS ", |postfix| {
        builder(postfix)
            .security(Security::StartTls)
            .ca_pem(postfix.ca_pem())
            .only_own_ca()
    }),
    ("with ESMTPS ", |postfix| {
        builder_at(postfix.tls_address())
            .security(Security::Tls)
            .ca_pem(postfix.ca_pem())
            .only_own_ca()
    }),
];

/// Sends a message and returns what has arrived.
#[track_caller]
fn round_trip(
    postfix: &Postfix,
    client: &SmtpClient,
    what: &str,
    message: &[u8],
    from_reader: bool,
) -> Arrived {
    let recipient = postfix.new_recipient("bytes");
    let report = send(client, &to(&[&recipient]), message, from_reader);
    let report = report.unwrap_or_else(|error| panic!("{what}: {error:?}"));
    assert!(report.is_complete(), "{what}: {report:?}");
    let mut arrived = postfix.arrived(&recipient, 1);
    assert_eq!(arrived.len(), 1, "{what}");
    let arrived = arrived.remove(0);
    assert_eq!(arrived.reverse_path(), "alice@example.org", "{what}");
    arrived
}

#[test]
fn messages_of_every_kind_arrive_byte_for_byte() {
    let Some(postfix) = Postfix::shared() else {
        return;
    };
    for (number, (protocol, builder)) in TRANSPORTS.into_iter().enumerate() {
        for chunking in [true, false] {
            let client = builder(postfix).chunking(chunking).connect().unwrap();
            for from_reader in [false, true] {
                for (name, message) in samples() {
                    let what = format!(
                        "{name}, transport {number}, BDAT {chunking}, reader {from_reader}"
                    );
                    let arrived = round_trip(postfix, &client, &what, &message, from_reader);
                    assert_same(&what, &arrived.message(), &normalised(&message));
                    assert!(arrived.received().contains(protocol), "{what}");
                }
            }
            assert_one_connection(&client);
        }
    }
}

#[test]
fn large_messages_arrive_byte_for_byte() {
    let Some(postfix) = Postfix::shared() else {
        return;
    };
    let small = large(1024 * 1024);
    let big = large(20 * 1024 * 1024);
    for (number, (_, builder)) in TRANSPORTS.into_iter().enumerate() {
        for chunking in [true, false] {
            let client = builder(postfix).chunking(chunking).connect().unwrap();
            for from_reader in [false, true] {
                for message in [&small, &big] {
                    // 20 MiB from a reader over each transport, from memory without TLS.
                    if message.len() == big.len() && number > 0 && !from_reader {
                        continue;
                    }
                    let what = format!(
                        "{} bytes, transport {number}, BDAT {chunking}, reader {from_reader}",
                        message.len()
                    );
                    let arrived = round_trip(postfix, &client, &what, message, from_reader);
                    assert_same(&what, &arrived.message(), message);
                }
            }
        }
    }
}

#[test]
fn an_empty_message_arrives_as_an_empty_message() {
    let Some(postfix) = Postfix::shared() else {
        return;
    };
    for chunking in [true, false] {
        let client = builder(postfix).chunking(chunking).connect().unwrap();
        for from_reader in [false, true] {
            let what = format!("BDAT {chunking}, reader {from_reader}");
            let arrived = round_trip(postfix, &client, &what, b"", from_reader);
            assert_same(&what, &arrived.message(), b"");
            let arrived = round_trip(postfix, &client, &what, &letter("next", ""), from_reader);
            assert_same(&what, &arrived.message(), &letter("next", ""));
        }
    }
}

#[test]
fn bcc_stays_at_home_and_everything_else_in_the_header_travels() {
    let Some(postfix) = Postfix::shared() else {
        return;
    };
    let message = b"From: alice@example.org\r\nBcc: eve@example.org,\r\n\tmallory@example.org\r\n\
        To: bob@example.org\r\nbcc : eve@example.org\r\nResent-Bcc: eve@example.org\r\n\
        X-Bcc: stays\r\nSubject: x\r\n\r\nBcc: text\r\n";
    let expected = b"From: alice@example.org\r\nTo: bob@example.org\r\nX-Bcc: stays\r\n\
        Subject: x\r\n\r\nBcc: text\r\n";
    for chunking in [true, false] {
        let client = builder(postfix).chunking(chunking).connect().unwrap();
        for from_reader in [false, true] {
            let arrived = round_trip(postfix, &client, "bcc", message, from_reader);
            assert_same("bcc", &arrived.message(), expected);
        }
    }
}
