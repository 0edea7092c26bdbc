//! Submission: a login with each mechanism, and a relay behind the server, a Postfix.

use std::net::SocketAddr;

use mailpool::{
    Certainty, Credentials, ErrorKind, RecipientOutcome, SaslMechanism, Security, SmtpClientBuilder,
};
use mailpool_test_dovecot::{Builder, Dovecot, Service, User};
use mailpool_test_postfix::{Postfix, SmtpSink};

use super::credentials;
use crate::outgoing::{FAKE_ENDS, assert_same, large, letter, normalised, samples, send, smuggler};
use crate::postfix::{assert_one_connection, builder_at, to};

/// With a password, all of which are to be had in Dovecot 2.3.
const MECHANISMS: [SaslMechanism; 5] = [
    SaslMechanism::ScramSha256,
    SaslMechanism::ScramSha1,
    SaslMechanism::CramMd5,
    SaslMechanism::Plain,
    SaslMechanism::Login,
];

/// A server that hands mail on, if the package for that is there; `tests/run` says so if not.
fn dovecot_with_relay(address: SocketAddr, more: fn(Builder) -> Builder) -> Option<Dovecot> {
    if !Dovecot::installed(Service::Submission) {
        return None;
    }
    let builder = Dovecot::builder()
        .mechanisms("plain login cram-md5 scram-sha-1 scram-sha-256")
        // Messages of 20 MiB and the server's own default.
        .setting("submission_max_mail_size", "40 M");
    more(builder).relay(address).start_or_skip()
}

fn over_tls(dovecot: &Dovecot, user: &User) -> SmtpClientBuilder {
    builder_at(dovecot.tls_address_of(Service::Submission))
        .security(Security::Tls)
        .ca_pem(dovecot.ca_pem())
        .only_own_ca()
        .credentials(credentials(user))
}

fn start_tls(dovecot: &Dovecot, user: &User) -> SmtpClientBuilder {
    over_tls(dovecot, user)
        .port(dovecot.port_of(Service::Submission))
        .security(Security::StartTls)
}

#[test]
fn each_mechanism_logs_in_and_its_mail_is_handed_on() {
    let Some(postfix) = Postfix::shared() else {
        return;
    };
    let Some(dovecot) = dovecot_with_relay(postfix.address(), |it| it) else {
        return;
    };
    for mechanism in MECHANISMS {
        let user = dovecot.new_user("submitter");
        for builder in [over_tls, start_tls] {
            let client = builder(&dovecot, &user)
                .sasl_mechanisms([mechanism])
                .connect()
                .unwrap_or_else(|error| panic!("{mechanism}: {error:?}"));
            let recipient = postfix.new_recipient("submitted");
            let message = letter(mechanism.name(), ".\r\n");
            let report = client.send(&to(&[&recipient]), &message).unwrap();
            assert!(report.is_complete(), "{mechanism}: {report:?}");
            let arrived = postfix.arrived(&recipient, 1).remove(0);
            assert!(arrived.received().contains("from dovecot.mailpool.test"));
            assert_eq!(arrived.reverse_path(), "alice@example.org");
            assert_same(mechanism.name(), &arrived.relayed().message(), &message);

            let wrong = Credentials::password(&user.name, "wrong");
            let error = builder(&dovecot, &user)
                .sasl_mechanisms([mechanism])
                .credentials(wrong)
                .connect()
                .expect_err("the login is refused");
            assert!(error.is_authentication(), "{mechanism}: {error:?}");
            assert_eq!(error.certainty(), Certainty::NotSent);
        }
    }
    // The strongest one, without being told.
    let user = dovecot.new_user("submitter");
    over_tls(&dovecot, &user).connect().unwrap().noop().unwrap();
    super::until("the login is logged", || {
        dovecot.log().lines().any(|line| {
            line.contains(&format!("<{}>", user.name)) && line.contains("method=SCRAM-SHA-256")
        })
    });
}

#[test]
fn a_password_is_not_sent_in_clear_unless_that_is_allowed() {
    let Some(sink) = SmtpSink::builder().dump().start_or_skip() else {
        return;
    };
    let relay = dovecot_with_relay(sink.address(), |it| it.mechanisms("plain login"));
    let Some(dovecot) = relay else {
        return;
    };
    let user = dovecot.new_user("clear");
    let plain =
        || builder_at(dovecot.address_of(Service::Submission)).credentials(credentials(&user));
    let error = plain().connect().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::CleartextPassword),
        "{error:?}"
    );
    let client = plain().allow_cleartext_password().connect().unwrap();
    let _ = client
        .send(&to(&["bob@example.net"]), letter("x", ""))
        .unwrap();
    assert_eq!(sink.dumps().len(), 1);
    assert_eq!(sink.dumps()[0].recipients, ["<bob@example.net>"]);

    // Without a login nothing is taken.
    let stranger = builder_at(dovecot.address_of(Service::Submission))
        .connect()
        .unwrap();
    let error = stranger
        .send(&to(&["bob@example.net"]), letter("x", ""))
        .unwrap_err();
    let ErrorKind::SmtpRefused { verb, reply } = error.kind() else {
        panic!("{error:?}");
    };
    assert_eq!((*verb, reply.code), ("MAIL", 530));
    assert_eq!(error.certainty(), Certainty::Rejected);
}

#[test]
fn a_client_certificate_logs_in() {
    let Some(postfix) = Postfix::shared() else {
        return;
    };
    let Some(dovecot) = dovecot_with_relay(postfix.address(), Builder::client_certificates) else {
        return;
    };
    let user = dovecot.new_user("certified");
    let (chain, key) = dovecot.client_certificate(&user.name);
    let client = over_tls(&dovecot, &user)
        .credentials(Credentials::external())
        .client_certificate_pem(chain, key)
        .connect()
        .unwrap();
    let recipient = postfix.new_recipient("certified");
    let _ = client.send(&to(&[&recipient]), letter("x", "")).unwrap();
    assert_eq!(postfix.arrived(&recipient, 1).len(), 1);
}

#[test]
fn messages_of_every_kind_are_handed_on_byte_for_byte() {
    let Some(postfix) = Postfix::shared() else {
        return;
    };
    let Some(dovecot) = dovecot_with_relay(postfix.address(), |it| it) else {
        return;
    };
    let user = dovecot.new_user("bytes");
    let mut messages = samples();
    messages.push(("1 MiB".to_owned(), large(1024 * 1024)));
    messages.push(("20 MiB".to_owned(), large(20 * 1024 * 1024)));
    for (chunking, builder) in [(true, over_tls as fn(&_, &_) -> _), (false, start_tls)] {
        let client = builder(&dovecot, &user)
            .chunking(chunking)
            .connect()
            .unwrap();
        for from_reader in [false, true] {
            for (name, message) in &messages {
                let what = format!("{name}, BDAT {chunking}, reader {from_reader}");
                let recipient = postfix.new_recipient("handed-on");
                let report = send(&client, &to(&[&recipient]), message, from_reader);
                let report = report.unwrap_or_else(|error| panic!("{what}: {error:?}"));
                assert!(report.is_complete(), "{what}: {report:?}");
                let arrived = postfix.arrived(&recipient, 1);
                assert_eq!(arrived.len(), 1, "{what}");
                let arrived = arrived[0].clone().relayed().message();
                assert_same(&what, &arrived, &normalised(message));
            }
        }
        assert_one_connection(&client);
    }
}

#[test]
fn nothing_ends_a_message_early() {
    let Some(postfix) = Postfix::builder().start_or_skip() else {
        return;
    };
    let Some(dovecot) = dovecot_with_relay(postfix.address(), |it| it) else {
        return;
    };
    let user = dovecot.new_user("smuggler");
    let mut victims = Vec::new();
    for chunking in [true, false] {
        let client = over_tls(&dovecot, &user)
            .chunking(chunking)
            .connect()
            .unwrap();
        for from_reader in [false, true] {
            for fake_end in FAKE_ENDS {
                // NUL needs CHUNKING.
                if fake_end.contains('\0') && !chunking {
                    continue;
                }
                for line_end in ["\r\n", "\n"] {
                    let what = format!("{fake_end:?}, {line_end:?}, {chunking}, {from_reader}");
                    let recipient = postfix.new_recipient("smuggler");
                    let victim = postfix.new_recipient("victim");
                    let message = smuggler(fake_end, line_end, &victim);
                    victims.push(victim);
                    let report = send(&client, &to(&[&recipient]), &message, from_reader);
                    let report = report.unwrap_or_else(|error| panic!("{what}: {error:?}"));
                    assert!(report.is_complete(), "{what}: {report:?}");
                    let arrived = postfix.arrived(&recipient, 1);
                    assert_eq!(arrived.len(), 1, "{what}");
                    let arrived = arrived[0].clone().relayed().message();
                    assert_same(&what, &arrived, &normalised(&message));
                }
            }
        }
        assert_one_connection(&client);
    }
    let settled = postfix.settled();
    for victim in victims {
        assert!(!settled.contains_key(&victim), "{victim} has mail");
    }
}

#[test]
fn what_the_relay_refuses_is_reported_and_the_connection_goes_on() {
    let Some(postfix) = Postfix::shared() else {
        return;
    };
    let Some(dovecot) = dovecot_with_relay(postfix.address(), |it| it) else {
        return;
    };
    let user = dovecot.new_user("refused");
    let client = start_tls(&dovecot, &user).connect().unwrap();
    for from_reader in [false, true] {
        let recipient = postfix.new_recipient("accepted");
        let addresses = ["refused@mailpool.test", "later@mailpool.test", &recipient];
        let message = letter("partly", "");
        let report = send(&client, &to(&addresses), &message, from_reader).unwrap();
        let codes: Vec<u16> = report
            .recipients
            .iter()
            .map(|it| match &it.outcome {
                RecipientOutcome::Accepted(reply) | RecipientOutcome::Refused(reply) => reply.code,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(codes, [550, 450, 250]);
        let arrived = postfix.arrived(&recipient, 1).remove(0);
        assert_same("partly", &arrived.relayed().message(), &message);
        let nobody = to(&["refused@mailpool.test"]);
        let error = send(&client, &nobody, &message, from_reader).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::NobodyAccepted { .. }),
            "{error:?}"
        );
    }
    let recipient = postfix.new_recipient("accepted");
    let _ = client.send(&to(&[&recipient]), letter("next", "")).unwrap();
    assert_eq!(postfix.arrived(&recipient, 1).len(), 1);
    assert_one_connection(&client);
}
