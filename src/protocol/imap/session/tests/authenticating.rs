//! AUTHENTICATE: what goes over the wire, with SASL-IR and without, and what counts as success.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::Protection;
use super::super::operation::Failure;
use super::super::rig::{Rig, at_every_split};
use crate::protocol::machine::Protocol;
use crate::protocol::sasl::Account;
use crate::types::sasl::{SaslFailure, SaslMechanism};
use crate::types::secret::Credentials;
use crate::types::token::{IssuedToken, Token};

fn rig(account: Account) -> Rig {
    Rig::of(usize::MAX, Protection::Implicit, account)
}

fn password() -> Account {
    Account::new(Credentials::password("alice", "secret"))
}

fn provider() -> Account {
    let provider = || Err::<Token, _>("never called by a session");
    Account::new(Credentials::token_provider("alice", provider))
}

fn issued(number: u64, token: &str) -> IssuedToken {
    IssuedToken {
        number,
        token: Token::new(token),
    }
}

/// What the line for XOAUTH2 holds.
fn xoauth2(token: &str) -> String {
    STANDARD.encode(format!("user=alice\u{1}auth=Bearer {token}\u{1}\u{1}"))
}

#[test]
fn cram_md5_as_in_rfc_2195() {
    let account = Account::new(Credentials::password("tim", "tanstaaftanstaaf"));
    at_every_split(|step| {
        let mut rig = Rig::of(step, Protection::Implicit, account.clone());
        rig.server("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=CRAM-MD5 SASL-IR] hi\r\n")
            .unwrap();
        assert_eq!(rig.client(), "M1 AUTHENTICATE CRAM-MD5\r\n");
        rig.server("+ PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+\r\n")
            .unwrap();
        assert_eq!(
            rig.client(),
            "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw\r\n"
        );
        rig.server("M1 OK [CAPABILITY IMAP4rev1] in\r\n").unwrap();
        assert_eq!(rig.take_said(), ["ready"]);
    });
}

/// The nonce of the client's first message, in the command or after an empty question.
fn nonce_in(line: &str) -> String {
    let encoded = line.trim_end().rsplit(' ').next().unwrap();
    let message = String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap();
    message.rsplit_once("r=").unwrap().1.to_owned()
}

#[test]
fn ok_before_the_servers_signature_is_no_login() {
    for greeting in ["SASL-IR", ""] {
        let mut rig = rig(password());
        rig.server(&format!(
            "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=SCRAM-SHA-256 {greeting}] hi\r\n"
        ))
        .unwrap();
        let line = rig.client();
        assert!(line.starts_with("M1 AUTHENTICATE SCRAM-SHA-256"), "{line}");
        let line = if greeting.is_empty() {
            assert_eq!(line, "M1 AUTHENTICATE SCRAM-SHA-256\r\n");
            rig.server("+ \r\n").unwrap();
            rig.client()
        } else {
            line
        };
        let first = format!("r={}x,s=QQ==,i=4096", nonce_in(&line));
        rig.server(&format!("+ {}\r\n", STANDARD.encode(first)))
            .unwrap();
        assert!(rig.client().len() > 100);
        let error = rig.server("M1 OK come in\r\n").unwrap_err();
        assert!(
            matches!(
                error,
                Failure::Sasl {
                    mechanism: SaslMechanism::ScramSha256,
                    failure: SaslFailure::ServerNotAuthenticated(_)
                }
            ),
            "{error:?}"
        );
        assert!(rig.take_said().is_empty());
    }
}

#[test]
fn a_cancelled_exchange_fails_with_its_reason_whatever_the_server_says_then() {
    for answer in ["M1 BAD cancelled\r\n", "M1 OK never mind\r\n", "+ more\r\n"] {
        let mut rig = rig(password());
        rig.server("* OK [CAPABILITY IMAP4rev1 AUTH=SCRAM-SHA-1 SASL-IR] hi\r\n")
            .unwrap();
        let nonce = nonce_in(&rig.client());
        let first = format!("r={nonce}x,s=QQ==,i=1");
        rig.server(&format!("+ {}\r\n", STANDARD.encode(first)))
            .unwrap();
        assert_eq!(rig.client(), "*\r\n");
        let error = rig.server(answer).unwrap_err();
        assert!(
            matches!(
                error,
                Failure::Sasl {
                    failure: SaslFailure::Iterations { count: 1, .. },
                    ..
                }
            ),
            "{answer}: {error:?}"
        );
    }
}

#[test]
fn an_empty_initial_response_is_an_equals_sign() {
    for (capabilities, lines) in [
        ("SASL-IR", &["M1 AUTHENTICATE EXTERNAL =\r\n"][..]),
        ("", &["M1 AUTHENTICATE EXTERNAL\r\n", "\r\n"]),
    ] {
        let mut rig = rig(Account::new(Credentials::external()));
        rig.server(&format!(
            "* OK [CAPABILITY IMAP4rev1 AUTH=EXTERNAL AUTH=PLAIN {capabilities}] hi\r\n"
        ))
        .unwrap();
        for (index, line) in lines.iter().enumerate() {
            if index > 0 {
                rig.server("+ \r\n").unwrap();
            }
            assert_eq!(rig.client(), *line);
        }
        rig.server("M1 OK [CAPABILITY IMAP4rev1] in\r\n").unwrap();
        assert_eq!(rig.take_said(), ["ready"]);
    }
}

/// Servers bound the lines that they take from strangers.
#[test]
fn a_long_initial_response_waits_for_its_question() {
    let token = "t".repeat(4_000);
    let mut rig = rig(Account::new(Credentials::token("alice", token.as_str())));
    rig.server("* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR] hi\r\n")
        .unwrap();
    assert_eq!(rig.client(), "M1 AUTHENTICATE XOAUTH2\r\n");
    rig.server("+ \r\n").unwrap();
    assert_eq!(rig.client(), format!("{}\r\n", xoauth2(&token)));
}

#[test]
fn the_plus_form_is_used_where_the_connection_can_be_bound() {
    for (end_point, expected) in [
        (Some(b"hash".to_vec()), "SCRAM-SHA-256-PLUS"),
        (None, "SCRAM-SHA-256"),
    ] {
        let mut rig = rig(password());
        if let Some(end_point) = end_point {
            rig.session.channel_is_bound_by(end_point);
        }
        rig.server("* OK [CAPABILITY IMAP4rev1 AUTH=SCRAM-SHA-256-PLUS AUTH=SCRAM-SHA-256] hi\r\n")
            .unwrap();
        assert_eq!(rig.client(), format!("M1 AUTHENTICATE {expected}\r\n"));
    }
}

#[test]
fn a_session_asks_for_a_token_and_waits_for_it() {
    let mut rig = rig(provider());
    rig.server("* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR] hi\r\n")
        .unwrap();
    assert_eq!(rig.take_said(), ["needs a token"]);
    rig.server("* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR] still here\r\n")
        .unwrap();
    assert_eq!(rig.client(), "");
    rig.session.take_token(issued(1, "fresh"));
    rig.turn().unwrap();
    assert_eq!(
        rig.client(),
        format!("M1 AUTHENTICATE XOAUTH2 {}\r\n", xoauth2("fresh"))
    );
    rig.server("M1 OK [CAPABILITY IMAP4rev1] in\r\n").unwrap();
    assert_eq!(rig.take_said(), ["ready"]);
}

/// Where nothing can be used, the user's code is not troubled.
#[test]
fn no_token_is_asked_for_in_vain() {
    let mut rig = rig(provider());
    let error = rig.server("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\r\n");
    let Err(Failure::NoMechanism { offered, possible }) = error else {
        panic!("{error:?}");
    };
    assert_eq!(offered, ["PLAIN"]);
    assert_eq!(
        possible,
        [SaslMechanism::OAuthBearer, SaslMechanism::XOAuth2]
    );
    assert!(rig.take_said().is_empty());
}

#[test]
fn a_refused_token_is_replaced_once() {
    let refuse = |rig: &mut Rig, tag: &str, code: &str| {
        rig.server("+ eyJzdGF0dXMiOiI0MDEifQ==\r\n").unwrap();
        assert_eq!(rig.client(), "\r\n");
        rig.server(&format!("{tag} NO {code}bad token\r\n"))
    };
    let begun = || {
        let mut rig = rig(provider());
        rig.server("* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR] hi\r\n")
            .unwrap();
        rig.session.take_token(issued(7, "old"));
        rig.turn().unwrap();
        rig.client();
        rig.take_said();
        rig
    };
    // Refused, replaced, taken.
    let mut rig = begun();
    refuse(&mut rig, "M1", "").unwrap();
    assert_eq!(rig.take_said(), ["token 7 refused", "needs a token"]);
    rig.session.take_token(issued(8, "new"));
    rig.turn().unwrap();
    let line = format!("M2 AUTHENTICATE XOAUTH2 {}\r\n", xoauth2("new"));
    assert_eq!(rig.client(), line);
    rig.server("M2 OK [CAPABILITY IMAP4rev1] in\r\n").unwrap();
    assert_eq!(rig.take_said(), ["ready"]);
    // Refused twice: that is all.
    let mut rig = begun();
    refuse(&mut rig, "M1", "[AUTHENTICATIONFAILED] ").unwrap();
    rig.session.take_token(issued(8, "new"));
    rig.turn().unwrap();
    rig.client();
    let error = refuse(&mut rig, "M2", "").unwrap_err();
    assert!(
        error
            .to_string()
            .contains(r#"bad token ({"status":"401"})"#),
        "{error}"
    );
    rig.session.poll();
    // What is not about the token does not cost one.
    for code in ["[UNAVAILABLE] ", "[LIMIT] "] {
        let mut rig = begun();
        let error = refuse(&mut rig, "M1", code).unwrap_err();
        assert!(matches!(error, Failure::Rejected { .. }));
        assert!(rig.session.poll().is_none());
    }
}

#[test]
fn a_token_of_its_own_is_not_replaced() {
    let mut rig = rig(Account::new(Credentials::token("alice", "t")));
    rig.server("* OK [CAPABILITY IMAP4rev1 AUTH=OAUTHBEARER SASL-IR] hi\r\n")
        .unwrap();
    assert!(rig.client().starts_with("M1 AUTHENTICATE OAUTHBEARER "));
    rig.server("+ e30=\r\n").unwrap();
    assert_eq!(rig.client(), "AQ==\r\n");
    let error = rig.server("M1 NO no\r\n").unwrap_err();
    assert!(matches!(
        error,
        Failure::Rejected {
            verb: "AUTHENTICATE",
            ..
        }
    ));
}

/// A weaker mechanism is never tried after a refusal.
#[test]
fn a_refusal_is_final() {
    let mut rig = rig(password());
    rig.server("* OK [CAPABILITY IMAP4rev1 AUTH=CRAM-MD5 AUTH=PLAIN AUTH=LOGIN SASL-IR] hi\r\n")
        .unwrap();
    assert_eq!(rig.client(), "M1 AUTHENTICATE CRAM-MD5\r\n");
    assert!(rig.server("M1 NO no\r\n").is_err());
    assert_eq!(rig.client(), "");
}

#[test]
fn without_tls_only_mechanisms_that_hide_the_password_are_used() {
    let clear = |capabilities: &str| {
        let mut rig = Rig::of(usize::MAX, Protection::Clear, password());
        let greeting = format!("* OK [CAPABILITY IMAP4rev1 {capabilities} SASL-IR] hi\r\n");
        let result = rig.server(&greeting);
        (result, rig.client())
    };
    for capabilities in ["AUTH=PLAIN", "AUTH=LOGIN LOGINDISABLED", "", "AUTH=XOAUTH2"] {
        let (result, sent) = clear(capabilities);
        assert!(matches!(result, Err(Failure::Cleartext)), "{capabilities}");
        assert_eq!(sent, "");
    }
    let (_, sent) = clear("AUTH=PLAIN AUTH=CRAM-MD5");
    assert_eq!(sent, "M1 AUTHENTICATE CRAM-MD5\r\n");
    let (_, sent) = clear("AUTH=PLAIN AUTH=SCRAM-SHA-1");
    assert!(sent.starts_with("M1 AUTHENTICATE SCRAM-SHA-1 "));
}

#[test]
fn the_login_mechanism_asks_twice() {
    let account = Account {
        mechanisms: Some(vec![SaslMechanism::Login]),
        ..password()
    };
    let mut rig = rig(account);
    rig.server("* OK [CAPABILITY IMAP4rev1 AUTH=LOGIN AUTH=PLAIN SASL-IR] hi\r\n")
        .unwrap();
    assert_eq!(rig.client(), "M1 AUTHENTICATE LOGIN\r\n");
    rig.server("+ VXNlcm5hbWU6\r\n").unwrap();
    assert_eq!(rig.client(), "YWxpY2U=\r\n");
    rig.server("+ UGFzc3dvcmQ6\r\n").unwrap();
    assert_eq!(rig.client(), "c2VjcmV0\r\n");
    rig.server("M1 OK [CAPABILITY IMAP4rev1] in\r\n").unwrap();
    assert_eq!(rig.take_said(), ["ready"]);
}
