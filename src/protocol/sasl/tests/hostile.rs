//! Servers that do not keep to the rules.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{account, begin, offer};
use crate::protocol::sasl::account::Account;
use crate::protocol::sasl::exchange::{Exchange, Refused};
use crate::types::sasl::{SaslFailure, SaslMechanism};
use crate::types::secret::Credentials;

/// An exchange after its first message, and the nonce in that.
fn opened(mechanism: SaslMechanism) -> (Exchange, String) {
    let mut exchange = begin(mechanism, &account());
    let first = exchange.initial(usize::MAX).unwrap();
    let first = decoded(&first);
    let nonce = first.rsplit_once("r=").unwrap().1.to_owned();
    (exchange, nonce)
}

fn say(exchange: &mut Exchange, message: &str) -> Result<String, SaslFailure> {
    exchange.challenge(STANDARD.encode(message).as_bytes())
}

/// What a line holds.
pub(super) fn decoded(line: &str) -> String {
    String::from_utf8(STANDARD.decode(line).unwrap()).unwrap()
}

/// The exchange is cancelled by this challenge, whatever the server says next.
#[track_caller]
fn cancelled(mut exchange: Exchange, challenge: &[u8]) -> SaslFailure {
    assert_eq!(exchange.challenge(challenge).unwrap(), "*");
    let Refused::Cancelled(failure) = exchange.refused() else {
        panic!("not cancelled");
    };
    failure
}

#[test]
fn nonces_differ_and_are_long() {
    let (_, one) = opened(SaslMechanism::ScramSha256);
    let (_, other) = opened(SaslMechanism::ScramSha256);
    assert!(one != other && one.len() == 32);
}

#[test]
fn a_nonce_that_does_not_extend_ours_is_refused() {
    let wrong: [fn(&str) -> String; 4] = [
        |nonce| nonce.to_owned(),
        |nonce| nonce[..nonce.len() - 1].to_owned(),
        |nonce| format!("x{nonce}x"),
        |_| String::new(),
    ];
    for wrong in wrong {
        let (exchange, nonce) = opened(SaslMechanism::ScramSha256);
        let first = format!("r={},s=QQ==,i=4096", wrong(&nonce));
        let failure = cancelled(exchange, STANDARD.encode(first).as_bytes());
        assert!(matches!(failure, SaslFailure::ServerNotAuthenticated(_)));
    }
}

#[test]
fn iterations_are_bounded_on_both_sides() {
    for count in [
        "0",
        "1",
        "4095",
        "1000001",
        "4000000000",
        "4294967297",
        "9".repeat(30).as_str(),
    ] {
        let (exchange, nonce) = opened(SaslMechanism::ScramSha512);
        let first = format!("r={nonce}x,s=QQ==,i={count}");
        let failure = cancelled(exchange, STANDARD.encode(first).as_bytes());
        let SaslFailure::Iterations {
            minimum, maximum, ..
        } = failure
        else {
            panic!("{count}: {failure:?}");
        };
        assert_eq!((minimum, maximum), (4096, 1_000_000));
    }
    let none = Account {
        scram_iterations: (0, 1),
        ..account()
    };
    for (count, is_allowed) in [("0", false), ("1", true), ("2", false)] {
        let mut exchange = begin(SaslMechanism::ScramSha1, &none);
        let first = decoded(&exchange.initial(usize::MAX).unwrap());
        let nonce = first.rsplit_once("r=").unwrap().1;
        let answer = say(&mut exchange, &format!("r={nonce}x,s=QQ==,i={count}")).unwrap();
        assert_eq!(answer != "*", is_allowed, "{count}");
    }
}

#[test]
fn an_extension_that_must_be_understood_is_not() {
    let (exchange, nonce) = opened(SaslMechanism::ScramSha1);
    let first = format!("m=future,r={nonce}x,s=QQ==,i=4096");
    assert_eq!(
        cancelled(exchange, STANDARD.encode(first).as_bytes()),
        SaslFailure::UnknownExtension
    );
}

/// Somebody who does not know the password can say yes, but cannot sign.
#[test]
fn success_before_the_signature_is_none() {
    let not_authenticated = |result: Result<(), SaslFailure>| {
        assert!(
            matches!(result, Err(SaslFailure::ServerNotAuthenticated(_))),
            "{result:?}"
        );
    };
    let (exchange, _) = opened(SaslMechanism::ScramSha256);
    not_authenticated(exchange.success(None));
    let (mut exchange, nonce) = opened(SaslMechanism::ScramSha256);
    say(&mut exchange, &format!("r={nonce}x,s=QQ==,i=4096")).unwrap();
    not_authenticated(exchange.success(None));
    let (mut exchange, nonce) = opened(SaslMechanism::ScramSha256);
    say(&mut exchange, &format!("r={nonce}x,s=QQ==,i=4096")).unwrap();
    not_authenticated(exchange.success(Some(b"dj1BQUFB")));
    // After a wrong signature yes is no better.
    let (mut exchange, nonce) = opened(SaslMechanism::ScramSha256);
    say(&mut exchange, &format!("r={nonce}x,s=QQ==,i=4096")).unwrap();
    assert_eq!(say(&mut exchange, "v=AAAA").unwrap(), "*");
    not_authenticated(exchange.success(None));
    // And the other mechanisms want to be asked as well.
    for mechanism in [
        SaslMechanism::CramMd5,
        SaslMechanism::Login,
        SaslMechanism::Plain,
    ] {
        assert!(begin(mechanism, &account()).success(None).is_err());
    }
}

#[test]
fn an_error_of_the_server_is_told_and_is_no_success() {
    let opened = || {
        let (mut exchange, nonce) = opened(SaslMechanism::ScramSha1);
        say(&mut exchange, &format!("r={nonce}x,s=QQ==,i=4096")).unwrap();
        assert_eq!(say(&mut exchange, "e=invalid-proof").unwrap(), "");
        exchange
    };
    let told = Some("invalid-proof".to_owned());
    assert_eq!(opened().refused(), Refused::ByServer(told));
    assert!(opened().success(None).is_err());
}

#[test]
fn challenges_have_an_end() {
    for mechanism in SaslMechanism::ALL {
        let account = account_for(mechanism);
        let mut exchange = begin(mechanism, &account);
        let mut answers = 0;
        loop {
            match exchange.challenge(b"") {
                Ok(answer) if answer == "*" => break,
                Ok(_) => answers += 1,
                Err(failure) => panic!("{mechanism}: {failure}"),
            }
            assert!(answers <= 8, "{mechanism}");
        }
        // Who goes on after that is not listened to.
        assert!(exchange.challenge(b"").is_err());
        assert!(exchange.success(None).is_err());
    }
}

fn account_for(mechanism: SaslMechanism) -> Account {
    Account::new(match mechanism {
        SaslMechanism::OAuthBearer | SaslMechanism::XOAuth2 => Credentials::token("alice", "t"),
        SaslMechanism::External => Credentials::external(),
        SaslMechanism::Anonymous => Credentials::anonymous("x"),
        _ => Credentials::password("alice", "secret"),
    })
}

#[test]
fn what_is_not_base64_or_too_long_is_not_answered() {
    let long = STANDARD.encode([b'x'; 10_000]);
    for challenge in [
        &b"???"[..],
        b"QQ",
        b"QQ=",
        b"QR==",
        b"Q Q=",
        b"\xff",
        long.as_bytes(),
    ] {
        for mechanism in SaslMechanism::ALL {
            let mut exchange = begin(mechanism, &account_for(mechanism));
            exchange.initial(usize::MAX);
            assert_eq!(exchange.challenge(challenge).unwrap(), "*", "{mechanism}");
        }
    }
}

#[test]
fn credentials_that_fit_no_line_are_not_sent() {
    let password = "x".repeat(10_000);
    let long = Account::new(Credentials::password("alice", password.as_str()));
    let mechanism = SaslMechanism::Plain;
    let exchange = Exchange::begin(mechanism, &long, &offer(&["PLAIN"]), None);
    assert!(matches!(exchange, Err(SaslFailure::TooLong { .. })));
    let mut exchange = begin(SaslMechanism::Login, &long);
    assert_eq!(exchange.challenge(b"").unwrap(), "YWxpY2U=");
    assert_eq!(exchange.challenge(b"").unwrap(), "*");
}

/// Nothing that a server says makes a mechanism panic.
#[test]
fn anything_may_come() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..2_000 {
        for mechanism in SaslMechanism::ALL {
            let mut exchange = begin(mechanism, &account_for(mechanism));
            exchange.initial(usize::MAX);
            for _ in 0..3 {
                let length = random.usize(..60);
                let alphabet = b"rsivme=,QA==\x00\xff 1";
                let bytes: Vec<u8> = (0..length)
                    .map(|_| alphabet[random.usize(..alphabet.len())])
                    .collect();
                let challenge = STANDARD.encode(bytes);
                if exchange.challenge(challenge.as_bytes()).is_err() {
                    break;
                }
            }
        }
    }
}
