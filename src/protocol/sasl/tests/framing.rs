//! First messages, with and without a place in the command; base64; `*`.

use super::{account, begin, offer};
use crate::protocol::sasl::account::Account;
use crate::protocol::sasl::exchange::{Exchange, Refused};
use crate::types::sasl::{SaslFailure, SaslMechanism};
use crate::types::secret::Credentials;
use crate::types::token::Token;

#[test]
fn the_first_message_stands_in_the_command_or_answers_an_empty_challenge() {
    let plain = "AGFsaWNlAHNlY3JldA==";
    let mut exchange = begin(SaslMechanism::Plain, &account());
    assert_eq!(exchange.initial(plain.len()).unwrap(), plain);
    assert_eq!(exchange.success(None), Ok(()));

    for empty in [&b""[..], b" ", b"  "] {
        let mut exchange = begin(SaslMechanism::Plain, &account());
        // No room for it.
        assert_eq!(exchange.initial(plain.len() - 1), None);
        assert_eq!(exchange.challenge(empty).unwrap(), plain);
        assert_eq!(exchange.success(None), Ok(()));
    }
    // Where the server begins there is none.
    let mut exchange = begin(SaslMechanism::CramMd5, &account());
    assert_eq!(exchange.initial(usize::MAX), None);
}

#[test]
fn an_empty_first_message_is_an_equals_sign_in_the_command_and_an_empty_line_elsewhere() {
    let external = Account::new(Credentials::external());
    let mut exchange = begin(SaslMechanism::External, &external);
    assert_eq!(exchange.initial(10).unwrap(), "=");
    assert_eq!(exchange.success(None), Ok(()));
    let mut exchange = begin(SaslMechanism::External, &external);
    assert_eq!(exchange.initial(0), None);
    assert_eq!(exchange.challenge(b"").unwrap(), "");
    assert_eq!(exchange.success(None), Ok(()));
}

#[test]
fn a_question_before_the_first_message_is_not_answered_with_it() {
    let mut exchange = begin(SaslMechanism::Plain, &account());
    assert_eq!(exchange.challenge(b"d2hhdD8=").unwrap(), "*");
    assert!(matches!(
        exchange.refused(),
        Refused::Cancelled(SaslFailure::Challenge(_))
    ));
}

#[test]
fn a_refusal_without_words_has_none() {
    let exchange = begin(SaslMechanism::Plain, &account());
    assert_eq!(exchange.refused(), Refused::ByServer(None));
}

#[test]
fn a_token_of_a_provider_is_the_one_that_is_given() {
    let provider = Credentials::token_provider("alice", || Ok::<_, std::io::Error>("no".into()));
    let account = Account::new(provider);
    let token = Token::new("given");
    let offer = offer(&["XOAUTH2"]);
    let mechanism = SaslMechanism::XOAuth2;
    assert!(Exchange::begin(mechanism, &account, &offer, None).is_err());
    let mut exchange = Exchange::begin(mechanism, &account, &offer, Some(&token)).unwrap();
    assert_eq!(
        exchange.initial(usize::MAX).unwrap(),
        "dXNlcj1hbGljZQFhdXRoPUJlYXJlciBnaXZlbgEB"
    );
}

/// The flag tells the server what the client thinks of it (RFC 5802 §6).
#[test]
fn the_gs2_flag_says_what_the_server_seems_to_offer() {
    let all: Vec<&str> = SaslMechanism::ALL.iter().map(|one| one.name()).collect();
    let no_plus: Vec<&str> = all
        .iter()
        .filter(|it| !it.ends_with("PLUS"))
        .copied()
        .collect();
    let only_plain_scram = Account {
        mechanisms: Some(vec![SaslMechanism::ScramSha256]),
        ..account()
    };
    let first = |mechanism, account: &Account, offered: &[&str], bound: bool| {
        let offer = crate::protocol::sasl::choice::Offer {
            end_point: bound.then_some(&b"x"[..]),
            ..offer(offered)
        };
        let mut exchange = Exchange::begin(mechanism, account, &offer, None).unwrap();
        let initial = exchange.initial(usize::MAX).unwrap();
        let decoded = super::hostile::decoded(&initial);
        decoded.split(',').next().unwrap().to_owned()
    };
    use SaslMechanism::{ScramSha256, ScramSha256Plus};
    assert_eq!(
        first(ScramSha256Plus, &account(), &all, true),
        "p=tls-server-end-point"
    );
    assert_eq!(first(ScramSha256, &account(), &no_plus, true), "y");
    assert_eq!(first(ScramSha256, &account(), &no_plus, false), "n");
    assert_eq!(first(ScramSha256, &only_plain_scram, &no_plus, true), "n");
    // It does offer some, only not this one.
    assert_eq!(first(ScramSha256, &account(), &all, true), "n");
}
