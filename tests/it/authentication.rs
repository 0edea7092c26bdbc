//! SASL as callers see it: mechanisms, -PLUS over real TLS, and what no server gets.

use std::time::Duration;

use mailpool::{
    Certainty, Credentials, ErrorKind, ImapClientBuilder, SaslFailure, SaslMechanism, Security,
};
use mailpool_test_server::{Script, ScriptServer, Security as Secured, Server};

use crate::scripted::{LONG, builder};
use crate::support::USER;
use crate::tls::trusting;

/// The mechanisms of the embedded server.
pub(crate) const SERVED: [SaslMechanism; 10] = [
    SaslMechanism::ScramSha512Plus,
    SaslMechanism::ScramSha256Plus,
    SaslMechanism::ScramSha1Plus,
    SaslMechanism::ScramSha512,
    SaslMechanism::ScramSha256,
    SaslMechanism::ScramSha1,
    SaslMechanism::Plain,
    SaslMechanism::Login,
    SaslMechanism::OAuthBearer,
    SaslMechanism::XOAuth2,
];

pub(crate) fn offering(security: Secured, mechanisms: &[SaslMechanism]) -> Server {
    let mut builder = Server::builder()
        .user(USER.0, USER.1)
        .without("AUTH=PLAIN")
        .security(security);
    for mechanism in mechanisms {
        builder = builder.with(&format!("AUTH={mechanism}"));
    }
    builder.start().expect("the embedded server starts")
}

/// The mechanisms that have been tried at the server.
fn tried(server: &Server) -> Vec<String> {
    let commands = server.commands().into_iter();
    commands
        .filter(|one| one.verb == "AUTHENTICATE" || one.verb == "LOGIN")
        .map(|one| one.line.unwrap_or(one.verb))
        .collect()
}

fn is_token(mechanism: SaslMechanism) -> bool {
    matches!(
        mechanism,
        SaslMechanism::OAuthBearer | SaslMechanism::XOAuth2
    )
}

fn credentials(mechanism: SaslMechanism, is_right: bool) -> Credentials {
    let suffix = if is_right { "" } else { "!" };
    if is_token(mechanism) {
        Credentials::token(USER.0, format!("ya29.x{suffix}"))
    } else {
        Credentials::password(USER.0, format!("{}{suffix}", USER.1))
    }
}

/// Also bound to the TLS connection: the server compares what it has signed with what the client
/// has seen.
#[test]
fn each_mechanism_of_the_embedded_server_logs_in_over_tls_and_starttls() {
    for (secured, security) in crate::tls::BOTH {
        let server = offering(secured, &SERVED);
        server.store().set_token(USER.0, "ya29.x");
        for mechanism in SERVED {
            let base = |is_right| {
                trusting(&server, security)
                    .credentials(credentials(mechanism, is_right))
                    .sasl_mechanisms([mechanism])
            };
            let client = base(true)
                .connect()
                .unwrap_or_else(|error| panic!("{mechanism}: {error:?}"));
            client.noop().unwrap();
            let error = base(false).connect().unwrap_err();
            assert!(error.is_authentication(), "{mechanism}: {error:?}");
            assert_eq!(error.certainty(), Certainty::Rejected);
        }
        let failed = server.counters().failed_logins;
        assert_eq!(failed, SERVED.len() as u64, "no second try after a refusal");
    }
}

#[test]
fn without_tls_no_token_and_no_password_leaves() {
    for mechanism in SERVED.into_iter().filter(|one| one.reveals_secret()) {
        let server = offering(Secured::None, &[mechanism]);
        let base = || {
            mailpool::ImapClient::builder("127.0.0.1")
                .port(server.port())
                .security(Security::None)
                .credentials(credentials(mechanism, true))
                .timeout(LONG)
        };
        let error = base().connect().unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::CleartextPassword),
            "{mechanism}: {error:?}"
        );
        assert!(tried(&server).is_empty());
        server.store().set_token(USER.0, "ya29.x");
        base().allow_cleartext_password().connect().unwrap();
    }
}

/// `y` is what a client says that sees no -PLUS mechanism: the server has some, so somebody has
/// taken them off the list.
#[test]
fn a_server_whose_plus_mechanisms_are_hidden_notices_it() {
    let server = offering(
        Secured::Tls,
        &[SaslMechanism::ScramSha256, SaslMechanism::ScramSha256Plus],
    );
    // What stands in the greeting is not what the server has.
    server
        .faults()
        .greet_with("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=SCRAM-SHA-256] hi\r\n");
    let error = trusting(&server, Security::Tls).connect().unwrap_err();
    assert!(error.is_authentication(), "{error:?}");
    // Who has no use for the binding does not claim anything.
    server
        .faults()
        .greet_with("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=SCRAM-SHA-256] hi\r\n");
    trusting(&server, Security::Tls)
        .sasl_mechanisms([SaslMechanism::ScramSha256])
        .connect()
        .unwrap();
}

fn scripted(
    script: Script,
    change: impl FnOnce(ImapClientBuilder) -> ImapClientBuilder,
) -> mailpool::Error {
    let server = ScriptServer::start([script.expect_end()]).unwrap();
    let error = change(builder(&server)).connect().unwrap_err();
    server.finish(LONG).unwrap();
    error
}

#[test]
fn a_server_that_says_ok_without_its_signature_is_left() {
    for said in [
        "{tag} OK [CAPABILITY IMAP4rev1] welcome\r\n",
        "+ dj1BQUFB\r\n",
    ] {
        let script = Script::new()
            .send("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=SCRAM-SHA-256] hi\r\n")
            .expect("{tag} AUTHENTICATE SCRAM-SHA-256 {any}")
            .send(said);
        let script = if said.starts_with('+') {
            // It does not even know the nonce.
            script.expect("*").send("{tag} BAD cancelled\r\n")
        } else {
            script
        };
        let error = scripted(script, |builder| builder);
        let ErrorKind::Sasl { mechanism, failure } = error.kind() else {
            panic!("{error:?}");
        };
        assert_eq!(*mechanism, SaslMechanism::ScramSha256);
        let not_authenticated = matches!(failure, SaslFailure::ServerNotAuthenticated(_));
        assert_eq!(not_authenticated, said.starts_with('{'), "{failure:?}");
        assert_eq!(error.is_server_not_authenticated(), not_authenticated);
        assert!(!error.is_safe_to_retry() && !error.is_authentication());
    }
}

#[test]
fn endless_challenges_end() {
    let mut script = Script::new()
        .send("* OK [CAPABILITY IMAP4rev1 AUTH=LOGIN] hi\r\n")
        .expect("{tag} AUTHENTICATE LOGIN")
        .send("+ VXNlcm5hbWU6\r\n")
        .expect("YWxpY2U=")
        .send("+ UGFzc3dvcmQ6\r\n")
        .expect("c2VjcmV0");
    script = script
        .send("+ T25jZSBtb3Jl\r\n")
        .expect("*")
        .send("+ \r\n+ \r\n");
    let error = scripted(script, |builder| builder);
    assert!(matches!(error.kind(), ErrorKind::Sasl { .. }), "{error:?}");
}

/// A challenge larger than any that makes sense is cancelled, not kept.
#[test]
fn a_huge_challenge_is_cancelled() {
    let challenge = "QUFB".repeat(100_000);
    let script = Script::new()
        .send("* OK [CAPABILITY IMAP4rev1 AUTH=CRAM-MD5] hi\r\n")
        .expect("{tag} AUTHENTICATE CRAM-MD5")
        .send(format!("+ {challenge}\r\n"))
        .expect("*")
        .send("{tag} BAD cancelled\r\n");
    let error = scripted(script, |builder| builder);
    match error.kind() {
        ErrorKind::Sasl { failure, .. } => {
            assert!(
                matches!(failure, SaslFailure::TooLong { .. }),
                "{failure:?}"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn credentials_that_no_mechanism_carries_are_found_before_anything_is_opened() {
    for bad in [
        Credentials::anonymous(""),
        Credentials::token("a\u{1}b", "t"),
        Credentials::external().acting_as("a\r\n"),
    ] {
        let error = mailpool::ImapClient::builder("host.invalid")
            .credentials(bad)
            .timeout(Duration::from_secs(1))
            .connect()
            .unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::InvalidArgument(_)),
            "{error:?}"
        );
    }
}
