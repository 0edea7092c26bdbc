use super::super::operation::Failure;
use super::super::{Config, Protection};
use super::rig::{Rig, STEPS, config};
use crate::protocol::machine::Protocol;
use crate::protocol::sasl::Account;
use crate::types::secret::Credentials;
use crate::types::token::{IssuedToken, Token};

fn with_password() -> Config {
    Config {
        account: Some(Account::new(Credentials::password("alice", "secret"))),
        protection: Protection::Implicit,
        ..config()
    }
}

#[test]
fn ehlo_and_auth_lead_to_the_ready_state() {
    for step in STEPS {
        let mut rig = Rig::new(with_password(), step);
        rig.server("220-mail.example.org ESMTP\r\n220 welcome\r\n");
        rig.expect("EHLO [127.0.0.1]\r\n");
        rig.server("250-mail.example.org\r\n250-AUTH LOGIN PLAIN\r\n250 SIZE\r\n");
        rig.expect("AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n");
        assert!(!rig.is_ready);
        rig.server("235 2.7.0 welcome\r\n");
        assert!(!rig.is_ready);
        rig.expect("EHLO [127.0.0.1]\r\n");
        rig.server("250-mail.example.org\r\n250 DSN\r\n");
        assert!(rig.is_ready && rig.session.capabilities.supports("DSN"));
    }
}

#[test]
fn starttls_forgets_what_was_said_in_clear() {
    for step in STEPS {
        let mut rig = Rig::new(
            Config {
                protection: Protection::StartTls,
                ..with_password()
            },
            step,
        );
        rig.server("220 mail.example.org\r\n");
        rig.expect("EHLO [127.0.0.1]\r\n");
        rig.server("250-mail.example.org\r\n250-AUTH PLAIN\r\n250-CHUNKING\r\n250 STARTTLS\r\n");
        rig.expect("STARTTLS\r\n");
        rig.server("220 go ahead\r\n");
        assert!(rig.wants_tls);
        rig.session.secured();
        rig.advance().unwrap();
        rig.expect("EHLO [127.0.0.1]\r\n");
        rig.server(
            "250-mail.example.org\r\n250 AUTH LOGIN\r\n"
                .replace("LOGIN", "PLAIN")
                .as_str(),
        );
        rig.expect("AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n");
        rig.server("235 ok\r\n|250 mail\r\n");
        assert!(rig.is_ready);
        assert!(!rig.session.capabilities.supports("CHUNKING"));
    }
}

#[test]
fn bytes_behind_the_answer_to_starttls_are_an_attack() {
    let mut rig = Rig::new(
        Config {
            protection: Protection::StartTls,
            ..config()
        },
        4096,
    );
    rig.server("220 mail.example.org\r\n250-mail\r\n250 STARTTLS\r\n");
    let result = rig.server_says("220 go ahead\r\n250 OK\r\n");
    assert!(matches!(result, Err(Failure::Injected(8))), "{result:?}");
    assert!(!rig.wants_tls);
}

#[test]
fn a_required_starttls_that_is_not_to_be_had_ends_the_connection() {
    for answer in [
        "250 mail.example.org\r\n",
        "502 what?\r\n",
        "250 STARTTLS\r\n",
        "250-mail\r\n250 STARTTLS\r\n501 no\r\n",
    ] {
        let mut rig = Rig::new(
            Config {
                protection: Protection::StartTls,
                ..config()
            },
            1,
        );
        rig.server("220 mail.example.org\r\n");
        let result = rig.server_says(answer);
        assert!(
            matches!(result, Err(Failure::NoStartTls)),
            "{answer}: {result:?}"
        );
        assert!(!rig.client().contains("MAIL"));
    }
    let mut rig = Rig::new(
        Config {
            protection: Protection::StartTls,
            ..config()
        },
        1,
    );
    rig.server("220 mail.example.org\r\n250-mail\r\n250 STARTTLS\r\n");
    let result = rig.server_says("454 4.3.0 not now\r\n");
    assert!(matches!(result, Err(Failure::Refused { .. })), "{result:?}");
}

#[test]
fn a_password_is_not_sent_in_clear_unless_that_is_allowed() {
    let clear = Config {
        protection: Protection::Clear,
        ..with_password()
    };
    let mut rig = Rig::new(clear.clone(), 1);
    rig.server("220 mail\r\n");
    let result = rig.server_says("250-mail\r\n250 AUTH PLAIN\r\n");
    assert!(matches!(result, Err(Failure::Cleartext)), "{result:?}");
    let mut rig = Rig::new(
        Config {
            account: clear.account.clone().map(|account| Account {
                allow_cleartext: true,
                ..account
            }),
            ..clear
        },
        1,
    );
    rig.server("220 mail\r\n250-mail\r\n250 AUTH PLAIN\r\n235 ok\r\n|250 mail\r\n");
    assert!(rig.is_ready);
}

#[test]
fn a_server_without_ehlo_is_greeted_in_the_old_way() {
    for step in STEPS {
        let mut rig = Rig::new(config(), step);
        rig.server("220 old.example.org\r\n");
        rig.client();
        rig.server("500 what?\r\n");
        rig.expect("HELO [127.0.0.1]\r\n");
        rig.server("250 old.example.org\r\n");
        assert!(rig.is_ready);
    }
    let mut rig = Rig::new(with_password(), 1);
    rig.server("220 old.example.org\r\n");
    let result = rig.server_says("502 what?\r\n");
    assert!(
        matches!(result, Err(Failure::Refused { verb: "EHLO", .. })),
        "{result:?}"
    );
}

#[test]
fn a_refusal_ends_the_login() {
    let mut rig = Rig::new(config(), 1);
    let result = rig.server_says("421 too many connections\r\n");
    assert!(matches!(result, Err(Failure::Greeting(_))), "{result:?}");
    let mut rig = Rig::new(with_password(), 1);
    rig.server("220 mail\r\n250-mail\r\n250 AUTH PLAIN\r\n");
    let result = rig.server_says("535 5.7.8 no\r\n");
    assert!(
        matches!(result, Err(Failure::Authentication { .. })),
        "{result:?}"
    );
    let mut rig = Rig::new(with_password(), 1);
    rig.server("220 mail\r\n");
    let result = rig.server_says("250-mail\r\n250 AUTH GSSAPI\r\n");
    assert!(
        matches!(result, Err(Failure::NoMechanism { .. })),
        "{result:?}"
    );
    let mut rig = Rig::new(with_password(), 1);
    rig.server("220 mail\r\n250-mail\r\n250 AUTH PLAIN\r\n");
    let result = rig.server_says("421 4.3.2 shutting down\r\n");
    assert!(matches!(result, Err(Failure::Leaving(_))), "{result:?}");
}

#[test]
fn challenges_have_an_end() {
    let mut rig = Rig::new(with_password(), 1);
    rig.server("220 mail\r\n250-mail\r\n250 AUTH PLAIN\r\n");
    rig.client();
    rig.server("334 bm90aGluZw==\r\n");
    rig.expect("*\r\n");
    let result = rig.server_says("334 \r\n");
    assert!(matches!(result, Err(Failure::Sasl { .. })), "{result:?}");
    let mut rig = Rig::new(with_password(), 1);
    rig.server("220 mail\r\n250-mail\r\n250 AUTH PLAIN\r\n|334 bm90aGluZw==\r\n");
    let result = rig.server_says("501 5.0.0 cancelled\r\n");
    assert!(matches!(result, Err(Failure::Sasl { .. })), "{result:?}");
}

#[test]
fn a_mechanism_of_several_steps_is_carried_through() {
    for step in STEPS {
        let mut rig = Rig::new(with_password(), step);
        rig.server("220 mail\r\n|250-mail\r\n250 AUTH CRAM-MD5 LOGIN\r\n");
        assert!(rig.client().ends_with("AUTH CRAM-MD5\r\n"));
        rig.server("334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+\r\n");
        let answer = rig.client();
        assert!(answer.starts_with("YWxpY2Ug"), "{answer}");
        rig.server("235 2.7.0 welcome\r\n");
        assert!(!rig.is_ready);
        rig.expect("EHLO [127.0.0.1]\r\n");
        rig.server("250-mail.example.org\r\n250 DSN\r\n");
        assert!(rig.is_ready && rig.session.capabilities.supports("DSN"));
    }
    // Success before the mechanism was through is none.
    let mut rig = Rig::new(with_password(), 1);
    rig.server("220 mail\r\n|250-mail\r\n250 AUTH SCRAM-SHA-256\r\n");
    let result = rig.server_says("235 2.7.0 welcome\r\n");
    assert!(matches!(result, Err(Failure::Sasl { .. })), "{result:?}");
    assert!(!rig.is_ready);
}

#[test]
fn a_first_message_that_is_too_long_for_a_command_waits_to_be_asked_for() {
    let password = "x".repeat(400);
    let mut rig = Rig::new(
        Config {
            account: Some(Account::new(Credentials::password("alice", password))),
            ..with_password()
        },
        1,
    );
    rig.server("220 mail\r\n|250-mail\r\n250 AUTH PLAIN\r\n");
    assert!(rig.client().ends_with("AUTH PLAIN\r\n"));
    rig.server("334 \r\n");
    assert!(rig.client().len() > 500);
    rig.server("235 ok\r\n|250 mail\r\n");
    assert!(rig.is_ready);
}

#[test]
fn a_refused_token_is_replaced_once() {
    let provider = || Err::<Token, _>("never called by a session");
    let config = Config {
        account: Some(Account::new(Credentials::token_provider("alice", provider))),
        ..with_password()
    };
    let mut rig = Rig::new(config, 1);
    rig.server("220 mail\r\n|250-mail\r\n250 AUTH XOAUTH2\r\n");
    for number in 1..=2 {
        assert_eq!(rig.tokens_wanted, number);
        rig.session.take_token(IssuedToken {
            token: Token::new("stale"),
            number: number as u64,
        });
        rig.advance().unwrap();
        assert!(rig.client().contains("AUTH XOAUTH2 "));
        let result = rig.server_says("535 5.7.8 no\r\n");
        assert_eq!(result.is_err(), number == 2, "{result:?}");
    }
    assert_eq!(rig.tokens_refused, [1, 2]);
}

#[test]
fn lmtp_says_lhlo() {
    let mut rig = Rig::new(
        Config {
            lmtp: true,
            ..config()
        },
        1,
    );
    rig.server("220 mail LMTP\r\n");
    rig.expect("LHLO [127.0.0.1]\r\n");
    let result = rig.server_says("500 what?\r\n");
    assert!(
        matches!(result, Err(Failure::Refused { verb: "LHLO", .. })),
        "{result:?}"
    );
}

#[test]
fn what_nobody_asked_for_ends_the_connection() {
    let mut rig = Rig::ready(config(), &[], 3);
    let result = rig.server_says("250 OK\r\n");
    assert!(matches!(result, Err(Failure::Protocol(_))), "{result:?}");
    let mut rig = Rig::ready(config(), &[], 3);
    let result = rig.server_says("421 4.4.2 idle for too long\r\n");
    assert!(matches!(result, Err(Failure::Leaving(_))), "{result:?}");
}

#[test]
fn quit_and_keep_alive_are_answered() {
    for step in STEPS {
        let mut rig = Rig::ready(config(), &[], step);
        rig.session.keep_alive();
        rig.advance().unwrap();
        rig.expect("NOOP\r\n");
        assert!(!rig.session.is_quiet());
        rig.server("502 not implemented\r\n");
        assert!(rig.session.is_quiet());
        rig.session.quit();
        rig.advance().unwrap();
        rig.expect("QUIT\r\n");
        rig.server("221 bye\r\n");
        assert!(rig.is_finished);
    }
}
