//! Logins by SASL, over rsasl: any mechanism that it has, for any protocol.
//!
//! A protocol takes the mechanisms from its capabilities, and does the base64.

use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::mechanisms::oauthbearer::properties::{OAuthBearerError, OAuthBearerValidate};
use rsasl::mechanisms::scram::properties::ScramStoredPassword;
use rsasl::mechanisms::scram::tools::{derive_keys, hash_password};
use rsasl::mechanisms::xoauth2::properties::XOAuth2Validate;
use rsasl::mechanisms::{login, oauthbearer, plain, scram, xoauth2};
use rsasl::prelude::{
    ChannelBindingCallback, Mechanism, Mechname, Registry, SASLConfig, SASLServer, Session,
    SessionError, State, Validation,
};
use rsasl::property::{AuthId, AuthzId, OAuthBearerToken, Password};
use rsasl::validate::{Validate, ValidationError};
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};

use crate::store::Store;

/// What RFC 7677 recommends at least.
const ITERATIONS: u32 = 4096;

/// Without -PLUS: a server that has those takes a client that does not see them for one that was
/// lied to.
static MECHANISMS: [Mechanism; 7] = [
    scram::SCRAM_SHA512,
    scram::SCRAM_SHA256,
    scram::SCRAM_SHA1,
    plain::PLAIN,
    login::LOGIN,
    oauthbearer::OAUTHBEARER,
    xoauth2::XOAUTH2,
];

static WITH_PLUS: [Mechanism; 10] = [
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
];

/// Who has logged in, if his password or token was right.
struct Login;

impl Validation for Login {
    type Value = Option<String>;
}

struct Users(Store);

impl SessionCallback for Users {
    fn callback(
        &self,
        session: &SessionData,
        context: &Context,
        request: &mut Request,
    ) -> Result<(), SessionError> {
        if let Some(token) = context.get_ref::<OAuthBearerToken>() {
            if self.knows_token(context, token) {
                request.satisfy::<XOAuth2Validate>(&Ok(()))?;
                request.satisfy::<OAuthBearerValidate>(&Ok(()))?;
            } else {
                request.satisfy::<XOAuth2Validate>(&Err(r#"{"status":"401"}"#))?;
                let error = OAuthBearerError::new("invalid_token", None, None);
                request.satisfy::<OAuthBearerValidate>(&Err(error))?;
            }
            return Ok(());
        }
        let user = context.get_ref::<AuthId>();
        if let Some(password) = user.and_then(|user| self.0.password(user)) {
            let mechanism = session.mechanism().mechanism.as_str();
            let salt = format!("salt of {}", user.unwrap_or_default());
            let (stored_key, server_key) = keys(mechanism, password.as_bytes(), salt.as_bytes());
            request.satisfy::<ScramStoredPassword>(&ScramStoredPassword::new(
                ITERATIONS,
                salt.as_bytes(),
                &stored_key,
                &server_key,
            ))?;
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
        let is_right = match session.mechanism().mechanism.as_str() {
            "PLAIN" | "LOGIN" => {
                let password = context.get_ref::<Password>().unwrap_or_default();
                let known = user.and_then(|user| self.0.password(user));
                known.is_some_and(|known| known.as_bytes() == password)
            }
            "OAUTHBEARER" | "XOAUTH2" => context
                .get_ref::<OAuthBearerToken>()
                .is_some_and(|token| self.knows_token(context, token)),
            // The mechanism itself has looked.
            _ => true,
        };
        validate.with::<Login, _>(|| {
            let name = identity.or(user).filter(|_| is_right);
            Ok(name.map(str::to_owned))
        })?;
        Ok(())
    }
}

impl Users {
    fn knows_token(&self, context: &Context, token: &str) -> bool {
        let user = context.get_ref::<AuthId>();
        let user = user.or_else(|| context.get_ref::<AuthzId>());
        let token = token.strip_prefix("Bearer ").unwrap_or(token);
        let known = user.and_then(|user| self.0.token(user));
        known.is_some_and(|known| known == token)
    }
}

/// What a server keeps of a password, by rsasl's own arithmetic.
fn keys(mechanism: &str, password: &[u8], salt: &[u8]) -> (Vec<u8>, Vec<u8>) {
    macro_rules! with {
        ($hash:ty) => {{
            let mut salted = Default::default();
            hash_password::<$hash>(password, ITERATIONS, salt, &mut salted);
            let (client, server) = derive_keys::<$hash>(salted.as_slice());
            (<$hash>::digest(client).to_vec(), server.to_vec())
        }};
    }
    match mechanism.trim_end_matches("-PLUS") {
        "SCRAM-SHA-512" => with!(Sha512),
        "SCRAM-SHA-256" => with!(Sha256),
        _ => with!(Sha1),
    }
}

struct Channel(Option<Vec<u8>>);

impl ChannelBindingCallback for Channel {
    fn get_cb_data(&self, name: &str) -> Option<&[u8]> {
        self.0.as_deref().filter(|_| name == "tls-server-end-point")
    }
}

/// One login.
pub(crate) struct Exchange {
    session: Session<Login, Channel>,
}

/// What the server does next.
pub(crate) enum Step {
    /// It asks this, and waits for an answer.
    Ask(Vec<u8>),
    /// It has made up its mind, after the client has answered this, if there is anything.
    Over(Option<Vec<u8>>, Option<String>),
    /// The client does not keep to the rules.
    Nonsense,
}

impl Exchange {
    /// Begins a login; `None` if there is no such mechanism. `has_plus`: the server offers -PLUS
    /// mechanisms.
    pub(crate) fn begin(
        mechanism: &str,
        has_plus: bool,
        store: &Store,
        end_point: Option<Vec<u8>>,
    ) -> Option<Self> {
        let registry: &'static [Mechanism] = if has_plus { &WITH_PLUS } else { &MECHANISMS };
        let config = SASLConfig::builder()
            .with_registry(Registry::with_mechanisms(registry))
            .with_callback(Users(store.clone()))
            .ok()?;
        let server = SASLServer::<Login, Channel>::with_cb(config, Channel(end_point));
        let name = Mechname::parse(mechanism.as_bytes()).ok()?;
        let session = server.start_suggested(name).ok()?;
        Some(Self { session })
    }

    pub(crate) fn client_begins(&self) -> bool {
        !self.session.are_we_first()
    }

    pub(crate) fn step(&mut self, input: Option<&[u8]>) -> Step {
        let mut out = Vec::new();
        match self.session.step(input, &mut out) {
            Ok(State::Running) => Step::Ask(out),
            Ok(state) => {
                let last = state.has_sent_message().then_some(out);
                Step::Over(last, self.session.validation().flatten())
            }
            Err(_) => Step::Nonsense,
        }
    }
}
