//! Our client against rsasl's server, for every mechanism that it has, and our messages against
//! those of rsasl's client.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::mechanisms::anonymous::AnonymousToken;
use rsasl::mechanisms::oauthbearer::properties::{OAuthBearerError, OAuthBearerValidate};
use rsasl::mechanisms::scram::properties::ScramStoredPassword;
use rsasl::mechanisms::xoauth2::properties::XOAuth2Validate;
use rsasl::mechanisms::{anonymous, external, login, oauthbearer, plain, scram, xoauth2};
use rsasl::prelude::{
    ChannelBindingCallback, Mechanism, Mechname, Registry, SASLClient, SASLConfig, SASLServer,
    SessionError, State, Validation,
};
use rsasl::property::{AuthId, AuthzId, OAuthBearerToken, Password};
use rsasl::validate::{Validate, ValidationError};

use super::offer;
use crate::protocol::sasl::account::Account;
use crate::protocol::sasl::choice::Offer;
use crate::protocol::sasl::exchange::{Exchange, Refused};
use crate::protocol::sasl::scram::{Hash, stored_for_tests};
use crate::types::sasl::{SaslFailure, SaslMechanism};
use crate::types::secret::Credentials;

const USER: &str = "alice";
const PASSWORD: &str = "correct horse";
const TOKEN: &str = "ya29.abc";
const END_POINT: &[u8] = b"a hash of the certificate";

/// What the server learnt and thinks of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Verdict {
    accepted: bool,
    identity: Option<String>,
}

struct Learnt;

impl Validation for Learnt {
    type Value = Verdict;
}

/// The server's knowledge of its users.
struct Users {
    iterations: u32,
    /// What the server thinks that the password is.
    password: &'static str,
    seen: Arc<Mutex<Vec<String>>>,
}

impl SessionCallback for Users {
    fn callback(
        &self,
        session: &SessionData,
        context: &Context,
        request: &mut Request,
    ) -> Result<(), SessionError> {
        let mechanism = session.mechanism().mechanism.as_str();
        let hash = if mechanism.starts_with("SCRAM-SHA-1") {
            Hash::Sha1
        } else if mechanism.starts_with("SCRAM-SHA-256") {
            Hash::Sha256
        } else {
            Hash::Sha512
        };
        if context.get_ref::<AuthId>() == Some(USER) {
            let salt = b"salt of alice";
            let (stored, server) =
                stored_for_tests(hash, self.password.as_bytes(), salt, self.iterations);
            request.satisfy::<ScramStoredPassword>(&ScramStoredPassword::new(
                self.iterations,
                salt,
                &stored,
                &server,
            ))?;
        }
        let token = context.get_ref::<OAuthBearerToken>().unwrap_or_default();
        if token.trim_start_matches("Bearer ") == TOKEN {
            request.satisfy::<XOAuth2Validate>(&Ok(()))?;
            request.satisfy::<OAuthBearerValidate>(&Ok(()))?;
        } else {
            request.satisfy::<XOAuth2Validate>(&Err(r#"{"status":"401"}"#))?;
            let error = OAuthBearerError::new("invalid_token", None, None);
            request.satisfy::<OAuthBearerValidate>(&Err(error))?;
        }
        Ok(())
    }

    fn validate(
        &self,
        session: &SessionData,
        context: &Context,
        validate: &mut Validate<'_>,
    ) -> Result<(), ValidationError> {
        let user = context.get_ref::<AuthId>();
        let identity = context.get_ref::<AuthzId>().filter(|it| !it.is_empty());
        let token = context.get_ref::<OAuthBearerToken>();
        if let Some(trace) = context.get_ref::<AnonymousToken>() {
            self.seen.lock().unwrap().push(trace.to_owned());
        }
        let accepted = match session.mechanism().mechanism.as_str() {
            "PLAIN" | "LOGIN" => {
                let password = context.get_ref::<Password>();
                user == Some(USER) && password == Some(self.password.as_bytes())
            }
            "OAUTHBEARER" | "XOAUTH2" => {
                token.is_some_and(|it| it.trim_start_matches("Bearer ") == TOKEN)
            }
            _ => true,
        };
        validate.with::<Learnt, _>(|| {
            Ok(Verdict {
                accepted,
                identity: identity.or(user).map(str::to_owned),
            })
        })?;
        Ok(())
    }
}

/// All that it has; its own list lacks some.
static MECHANISMS: [Mechanism; 12] = [
    scram::SCRAM_SHA512_PLUS,
    scram::SCRAM_SHA256_PLUS,
    scram::SCRAM_SHA1_PLUS,
    scram::SCRAM_SHA512,
    scram::SCRAM_SHA256,
    scram::SCRAM_SHA1,
    plain::PLAIN,
    login::LOGIN,
    oauthbearer::OAUTHBEARER,
    xoauth2::XOAUTH2,
    external::EXTERNAL,
    anonymous::ANONYMOUS,
];

struct Bound;

impl ChannelBindingCallback for Bound {
    fn get_cb_data(&self, name: &str) -> Option<&[u8]> {
        (name == "tls-server-end-point").then_some(END_POINT)
    }
}

/// How a login ended on both sides.
#[derive(Debug)]
struct Outcome {
    /// What the client says after the server's answer, yes or no.
    client: Result<(), String>,
    server: Option<Verdict>,
    seen: Vec<String>,
}

/// Plays a whole login, with or without an initial response.
fn play(
    mechanism: SaslMechanism,
    account: &Account,
    password: &'static str,
    at_once: bool,
    offered: &[&str],
) -> Outcome {
    play_over(END_POINT, mechanism, account, password, at_once, offered)
}

/// The same over a connection that ends there, as the client sees it.
fn play_over(
    end_point: &[u8],
    mechanism: SaslMechanism,
    account: &Account,
    password: &'static str,
    at_once: bool,
    offered: &[&str],
) -> Outcome {
    let seen = Arc::default();
    let users = Users {
        iterations: 4096,
        password,
        seen: Arc::clone(&seen),
    };
    let config = SASLConfig::builder()
        .with_registry(Registry::with_mechanisms(&MECHANISMS))
        .with_callback(users)
        .unwrap();
    let server = SASLServer::<Learnt, Bound>::with_cb(config, Bound);
    let name = Mechname::parse(mechanism.name().as_bytes()).unwrap();
    let mut session = server.start_suggested(name).unwrap();
    let offer = Offer {
        end_point: Some(end_point),
        ..offer(offered)
    };
    let mut exchange = Exchange::begin(mechanism, account, &offer, None).unwrap();
    let initial = if at_once {
        exchange.initial(usize::MAX)
    } else {
        None
    };
    let mut line = match initial {
        Some(initial) if initial == "=" => Some(String::new()),
        Some(initial) => Some(initial),
        None if session.are_we_first() => None,
        None => Some(exchange.challenge(b"").unwrap()),
    };
    let finished = loop {
        if line.as_deref() == Some("*") {
            break None;
        }
        let input = line.take().map(|line| STANDARD.decode(line).unwrap());
        let mut out = Vec::new();
        let state = match session.step(input.as_deref(), &mut out) {
            Ok(state) => state,
            Err(_) => break None,
        };
        let is_running = matches!(state, State::Running);
        if is_running || state.has_sent_message() {
            line = Some(
                exchange
                    .challenge(STANDARD.encode(&out).as_bytes())
                    .unwrap(),
            );
        }
        if !is_running {
            break Some(());
        }
    };
    let server = finished.and_then(|()| session.validation());
    let seen = seen.lock().unwrap().clone();
    let client = if server.as_ref().is_some_and(|verdict| verdict.accepted) {
        exchange
            .success(None)
            .map_err(|failure| failure.to_string())
    } else {
        match exchange.refused() {
            Refused::ByServer(told) => Err(told.unwrap_or_else(|| "no".to_owned())),
            Refused::Cancelled(failure) => Err(failure.to_string()),
        }
    };
    Outcome {
        client,
        server,
        seen,
    }
}

fn with_password() -> impl Iterator<Item = SaslMechanism> {
    SaslMechanism::ALL.into_iter().filter(|one| {
        one.authenticates_server() || matches!(one, SaslMechanism::Plain | SaslMechanism::Login)
    })
}

#[test]
fn its_server_takes_our_logins() {
    let password = Account::new(Credentials::password(USER, PASSWORD));
    for mechanism in with_password() {
        for at_once in [true, false] {
            let outcome = play(
                mechanism,
                &password,
                PASSWORD,
                at_once,
                &["SCRAM-SHA-1-PLUS", mechanism.name()],
            );
            assert_eq!(outcome.client, Ok(()), "{mechanism}");
            let verdict = outcome.server.unwrap();
            assert!(verdict.accepted, "{mechanism}");
            assert_eq!(verdict.identity.as_deref(), Some(USER), "{mechanism}");
        }
    }
    let token = Account::new(Credentials::token(USER, TOKEN));
    for mechanism in [SaslMechanism::OAuthBearer, SaslMechanism::XOAuth2] {
        for at_once in [true, false] {
            let outcome = play(mechanism, &token, PASSWORD, at_once, &[mechanism.name()]);
            assert_eq!(outcome.client, Ok(()), "{mechanism}: {outcome:?}");
            let verdict = outcome.server.unwrap();
            assert_eq!(verdict.identity.as_deref(), Some(USER));
        }
    }
    for at_once in [true, false] {
        let anonymous = Account::new(Credentials::anonymous("a trace"));
        let outcome = play(SaslMechanism::Anonymous, &anonymous, "", at_once, &[]);
        assert_eq!(
            (outcome.client, outcome.seen),
            (Ok(()), vec!["a trace".to_owned()])
        );
        let external = Account::new(Credentials::external());
        let outcome = play(SaslMechanism::External, &external, "", at_once, &[]);
        assert_eq!(outcome.client, Ok(()));
    }
}

#[test]
fn its_server_refuses_what_is_wrong() {
    let password = Account::new(Credentials::password(USER, PASSWORD));
    let stranger = Account::new(Credentials::password("mallory", PASSWORD));
    for mechanism in with_password() {
        let offered = ["SCRAM-SHA-1-PLUS", mechanism.name()];
        let wrong = play(mechanism, &password, "another", true, &offered);
        let unknown = play(mechanism, &stranger, PASSWORD, true, &offered);
        for outcome in [wrong, unknown] {
            assert!(outcome.client.is_err(), "{mechanism}: {outcome:?}");
            assert!(outcome.server.is_none_or(|verdict| !verdict.accepted));
        }
    }
    let token = Account::new(Credentials::token(USER, "old"));
    for (mechanism, told) in [
        (SaslMechanism::OAuthBearer, "invalid_token"),
        (SaslMechanism::XOAuth2, "401"),
    ] {
        let outcome = play(mechanism, &token, PASSWORD, true, &[]);
        let said = outcome.client.unwrap_err();
        assert!(said.contains(told), "{mechanism}: {said}");
    }
}

#[test]
fn its_server_sees_the_identity_to_act_as() {
    for mechanism in [
        SaslMechanism::ScramSha256,
        SaslMechanism::ScramSha1Plus,
        SaslMechanism::Plain,
    ] {
        let account = Account::new(Credentials::password(USER, PASSWORD).acting_as("bob"));
        let offered = ["SCRAM-SHA-1-PLUS", mechanism.name()];
        let outcome = play(mechanism, &account, PASSWORD, true, &offered);
        assert_eq!(outcome.client, Ok(()), "{mechanism}");
        assert_eq!(outcome.server.unwrap().identity.as_deref(), Some("bob"));
    }
    let external = Account::new(Credentials::external().acting_as("bob"));
    let outcome = play(SaslMechanism::External, &external, "", true, &[]);
    assert_eq!(outcome.server.unwrap().identity.as_deref(), Some("bob"));
}

/// A server that offers -PLUS and hears that it does not offer any knows that somebody has
/// changed its list.
#[test]
fn its_server_notices_that_plus_was_taken_from_its_list() {
    let account = Account::new(Credentials::password(USER, PASSWORD));
    let mechanism = SaslMechanism::ScramSha256;
    let outcome = play(mechanism, &account, PASSWORD, true, &["SCRAM-SHA-256"]);
    assert!(
        outcome.client.is_err() && outcome.server.is_none(),
        "{outcome:?}"
    );
}

/// Somebody in the middle has a certificate that the client trusts, and passes everything on.
#[test]
fn its_server_refuses_a_login_that_is_bound_to_another_connection() {
    let account = Account::new(Credentials::password(USER, PASSWORD));
    for mechanism in with_password().filter(|one| one.binds_channel()) {
        let offered = [mechanism.name()];
        let elsewhere = b"another certificate";
        let outcome = play_over(elsewhere, mechanism, &account, PASSWORD, true, &offered);
        let said = outcome.client.unwrap_err();
        assert_eq!(said, "channel-bindings-dont-match", "{mechanism}");
        assert_eq!(outcome.server, None);
    }
}

/// Two connections of one client derive the keys once; the second login works with them.
#[test]
fn remembered_keys_log_in_as_well() {
    let account = Account::new(Credentials::password(USER, PASSWORD));
    let mechanism = SaslMechanism::ScramSha512;
    let offered = ["SCRAM-SHA-1-PLUS", mechanism.name()];
    for _ in 0..2 {
        let outcome = play(mechanism, &account, PASSWORD, true, &offered);
        assert_eq!(outcome.client, Ok(()));
    }
    // A server with another password does not know them, and cannot sign.
    let outcome = play(mechanism, &account, "another", true, &offered);
    assert!(outcome.client.is_err());
}

/// What rsasl's client says first is what ours says, but for the nonce.
#[test]
fn its_client_begins_with_the_same_words() {
    let credentials = Account::new(Credentials::password(USER, PASSWORD));
    for mechanism in [
        SaslMechanism::Plain,
        SaslMechanism::ScramSha1,
        SaslMechanism::ScramSha256,
    ] {
        let config =
            SASLConfig::with_credentials(None, USER.to_owned(), PASSWORD.to_owned()).unwrap();
        let name = Mechname::parse(mechanism.name().as_bytes()).unwrap();
        let mut session = SASLClient::new(config).start_suggested(&[name]).unwrap();
        let mut theirs = Vec::new();
        session.step(None, &mut theirs).unwrap();
        let offer = Offer {
            end_point: None,
            ..offer(&["PLAIN"])
        };
        let mut exchange = Exchange::begin(mechanism, &credentials, &offer, None).unwrap();
        let ours = STANDARD
            .decode(exchange.initial(usize::MAX).unwrap())
            .unwrap();
        let without_nonce = |message: &[u8]| {
            let text = String::from_utf8(message.to_vec()).unwrap();
            text.rsplit_once("r=")
                .map(|it| it.0.to_owned())
                .unwrap_or(text)
        };
        assert_eq!(without_nonce(&ours), without_nonce(&theirs), "{mechanism}");
    }
}

/// A server whose rounds are beyond the limits gets no proof.
#[test]
fn the_limits_hold_against_it_too() {
    let account = Account {
        scram_iterations: (4097, 5000),
        ..Account::new(Credentials::password(USER, PASSWORD))
    };
    let outcome = play(
        SaslMechanism::ScramSha256Plus,
        &account,
        PASSWORD,
        true,
        &[],
    );
    let expected = SaslFailure::Iterations {
        count: 4096,
        minimum: 4097,
        maximum: 5000,
    };
    assert_eq!(outcome.client, Err(expected.to_string()));
}
