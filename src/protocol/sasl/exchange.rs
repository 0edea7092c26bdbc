//! One login, from the name of the mechanism to a verdict.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Mechanism;
use super::account::Account;
use super::anonymous::Anonymous;
use super::bearer::OAuthBearer;
use super::choice::Offer;
use super::cram_md5::CramMd5;
use super::external::External;
use super::login::Login;
use super::plain::Plain;
use super::scram::{Binding, Hash, Scram, Settings};
use super::xoauth2::XOAuth2;
use crate::types::sasl::{SaslFailure, SaslMechanism};
use crate::types::secret::Proof;
use crate::types::token::Token;

/// Challenges that one exchange may take. No mechanism in here needs more than three.
const MAX_CHALLENGES: u32 = 8;

/// The longest line of an exchange, in bytes of base64 (RFC 4954 §4).
const MAX_LINE: usize = 12_288 - 2;

/// What cancels an exchange.
const CANCEL: &str = "*";

/// The client's side of one login.
pub(crate) struct Exchange {
    name: SaslMechanism,
    mechanism: Box<dyn Mechanism>,
    /// The first message, where the client begins and has not been asked yet.
    initial: Option<Vec<u8>>,
    challenges: u32,
    /// Why this side has given up.
    cancelled: Option<SaslFailure>,
}

/// What a refusal by the server means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The server refuses, and has perhaps said why within the exchange.
    ByServer(Option<String>),
    /// This side has cancelled the exchange.
    Cancelled(SaslFailure),
}

impl Exchange {
    /// Makes the mechanism that was chosen. `token` is needed where the credentials have a
    /// provider.
    ///
    /// # Errors
    /// The mechanism cannot carry the credentials.
    pub(crate) fn begin(
        name: SaslMechanism,
        account: &Account,
        offer: &Offer<'_>,
        token: Option<&Token>,
    ) -> Result<Self, SaslFailure> {
        let mut mechanism = make(name, account, offer, token)?;
        let initial = mechanism.initial();
        if initial
            .as_ref()
            .is_some_and(|it| encoded_len(it) > MAX_LINE)
        {
            return Err(TOO_LONG_TO_SEND);
        }
        Ok(Self {
            name,
            mechanism,
            initial,
            challenges: 0,
            cancelled: None,
        })
    }

    pub(crate) fn mechanism(&self) -> SaslMechanism {
        self.name
    }

    /// What stands behind the mechanism's name in the command that begins the exchange, where the
    /// protocol has that: base64, or `=` for an empty message. `None` where the server begins, or
    /// it is longer than `room`: then the server asks for it.
    pub(crate) fn initial(&mut self, room: usize) -> Option<String> {
        let initial = self.initial.take_if(|it| encoded_len(it).max(1) <= room)?;
        if initial.is_empty() {
            return Some("=".to_owned());
        }
        Some(STANDARD.encode(initial))
    }

    /// The line that answers a challenge. Both are base64; a challenge that is not to be answered
    /// cancels the exchange, and [`refused`](Self::refused) says why when the server has taken
    /// note of it.
    ///
    /// # Errors
    /// The server goes on after the exchange was cancelled: the connection is of no use.
    pub(crate) fn challenge(&mut self, challenge: &[u8]) -> Result<String, SaslFailure> {
        if let Some(failure) = &self.cancelled {
            return Err(failure.clone());
        }
        match self.answer(challenge) {
            Ok(answer) => Ok(STANDARD.encode(answer)),
            Err(failure) => {
                self.cancelled = Some(failure);
                Ok(CANCEL.to_owned())
            }
        }
    }

    fn answer(&mut self, challenge: &[u8]) -> Result<Vec<u8>, SaslFailure> {
        self.challenges += 1;
        if self.challenges > MAX_CHALLENGES {
            return Err(SaslFailure::TooManyChallenges {
                limit: MAX_CHALLENGES,
            });
        }
        let challenge = decode(challenge)?;
        if let Some(initial) = self.initial.take() {
            if !challenge.is_empty() {
                return Err(SaslFailure::Challenge(
                    "a challenge before the first message",
                ));
            }
            return Ok(initial);
        }
        let answer = self.mechanism.respond(&challenge)?;
        if encoded_len(&answer) > MAX_LINE {
            return Err(TOO_LONG_TO_SEND);
        }
        Ok(answer)
    }

    /// The server says yes, perhaps with a last message in base64.
    ///
    /// # Errors
    /// It does so too early, without the proof that the mechanism wants, or although the
    /// exchange was cancelled: the connection is not to be used.
    pub(crate) fn success(mut self, last: Option<&[u8]>) -> Result<(), SaslFailure> {
        if let Some(last) = last {
            // There is nothing to answer any more.
            self.challenge(last)?;
        }
        if let Some(failure) = self.cancelled {
            return Err(failure);
        }
        if self.initial.is_some() {
            return Err(super::TOO_EARLY);
        }
        self.mechanism.finish()
    }

    /// The server says no.
    pub(crate) fn refused(self) -> Refused {
        match self.cancelled {
            Some(failure) => Refused::Cancelled(failure),
            None => Refused::ByServer(self.mechanism.refusal().map(str::to_owned)),
        }
    }
}

const TOO_LONG_TO_SEND: SaslFailure = SaslFailure::TooLong {
    what: "a message of the client",
    limit: MAX_LINE,
};

fn encoded_len(bytes: &[u8]) -> usize {
    bytes.len().div_ceil(3) * 4
}

fn decode(challenge: &[u8]) -> Result<Vec<u8>, SaslFailure> {
    let challenge = challenge.trim_ascii();
    if challenge.len() > MAX_LINE {
        return Err(SaslFailure::TooLong {
            what: "a challenge",
            limit: MAX_LINE,
        });
    }
    let decoded = STANDARD.decode(challenge);
    decoded.map_err(|_| SaslFailure::Challenge("a challenge that is not base64"))
}

fn make(
    name: SaslMechanism,
    account: &Account,
    offer: &Offer<'_>,
    token: Option<&Token>,
) -> Result<Box<dyn Mechanism>, SaslFailure> {
    const UNFIT: SaslFailure = SaslFailure::Credentials("they are for another mechanism");
    let credentials = &account.credentials;
    let user = credentials.user();
    let identity = credentials.authorization_identity();
    if let Some((hash, bound)) = scram(name) {
        let Proof::Password(password) = credentials.proof() else {
            return Err(UNFIT);
        };
        let scram = Scram::new(Settings {
            hash,
            binding: binding(account, offer, bound)?,
            authorization: identity,
            user,
            password: password.expose(),
            iterations: account.scram_iterations,
            keys: Arc::clone(&account.keys),
        })?;
        return Ok(Box::new(scram));
    }
    let token = match credentials.proof() {
        Proof::Token(token) => Some(token),
        _ => token,
    };
    Ok(match (name, credentials.proof()) {
        (SaslMechanism::CramMd5, Proof::Password(password)) => {
            Box::new(CramMd5::new(user, password.expose()))
        }
        (SaslMechanism::Plain, Proof::Password(password)) => {
            let identity = identity.unwrap_or_default();
            Box::new(Plain::new(identity, user, password.expose())?)
        }
        (SaslMechanism::Login, Proof::Password(password)) => {
            Box::new(Login::new(user, password.expose()))
        }
        (SaslMechanism::OAuthBearer, Proof::Token(_) | Proof::Provider(_)) => {
            let user = identity.unwrap_or(user);
            let token = token.ok_or(UNFIT)?;
            Box::new(OAuthBearer::new(user, token, &account.host, account.port)?)
        }
        (SaslMechanism::XOAuth2, Proof::Token(_) | Proof::Provider(_)) => {
            let token = token.ok_or(UNFIT)?;
            Box::new(XOAuth2::new(identity.unwrap_or(user), token)?)
        }
        (SaslMechanism::External, Proof::External) => Box::new(External::new(identity)),
        (SaslMechanism::Anonymous, Proof::Anonymous(trace)) => Box::new(Anonymous::new(trace)),
        _ => return Err(UNFIT),
    })
}

/// The hash of a SCRAM mechanism, and whether it is a -PLUS one.
fn scram(name: SaslMechanism) -> Option<(Hash, bool)> {
    Some(match name {
        SaslMechanism::ScramSha512Plus => (Hash::Sha512, true),
        SaslMechanism::ScramSha256Plus => (Hash::Sha256, true),
        SaslMechanism::ScramSha1Plus => (Hash::Sha1, true),
        SaslMechanism::ScramSha512 => (Hash::Sha512, false),
        SaslMechanism::ScramSha256 => (Hash::Sha256, false),
        SaslMechanism::ScramSha1 => (Hash::Sha1, false),
        _ => return None,
    })
}

/// What the gs2 header says (RFC 5802 §6). `y` is for a server that offers no -PLUS mechanism
/// although this side would have used one; where the settings allow none, there is none.
fn binding(account: &Account, offer: &Offer<'_>, bound: bool) -> Result<Binding, SaslFailure> {
    let Some(end_point) = offer.end_point else {
        return if bound {
            Err(SaslFailure::Credentials("the connection cannot be bound"))
        } else {
            Ok(Binding::Unsupported)
        };
    };
    if bound {
        return Ok(Binding::EndPoint(end_point.to_vec()));
    }
    let mut all = SaslMechanism::ALL.into_iter();
    let would_bind = all.any(|one| one.binds_channel() && account.allows(one));
    let is_plus = |name: &&str| {
        let name = name.to_ascii_uppercase();
        name.starts_with("SCRAM-") && name.ends_with("-PLUS")
    };
    Ok(if would_bind && !offer.mechanisms.iter().any(is_plus) {
        Binding::NotOffered
    } else {
        Binding::Unsupported
    })
}
