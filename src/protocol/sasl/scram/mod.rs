//! SCRAM (RFC 5802, RFC 7677), with SHA-1, SHA-256 and SHA-512, and its -PLUS forms, which bind
//! the exchange to the TLS connection (`tls-server-end-point`, RFC 5929 §4).
//!
//! ```text
//! C: n,,n=user,r=<nonce>                      gs2 header, client-first
//! S: r=<nonce><more>,s=<salt>,i=<rounds>      server-first
//! C: c=<gs2 header>,r=<nonce><more>,p=<proof> client-final
//! S: v=<signature>                            server-final
//! ```
//! The proof shows the server that the client knows the password, the signature shows the client
//! that the server knows what was made of it. Success counts only behind the signature.

mod hash;
mod keys;
mod message;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::prepare::{self, saslname};
use super::{Mechanism, TOO_MANY, Wiped, words_of};
use crate::types::sasl::SaslFailure;
pub(super) use hash::Hash;
pub(crate) use keys::KeyCache;
use keys::Keys;
use message::{ServerFinal, ServerFirst};

/// Random bytes in a nonce.
const NONCE: usize = 24;

/// What the client says about channel binding (RFC 5802 §6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Binding {
    /// It has none.
    Unsupported,
    /// It has one, and the server seems to have none: a server that has one knows then that
    /// somebody has removed the -PLUS mechanisms from its list.
    NotOffered,
    /// `tls-server-end-point` is this.
    EndPoint(Vec<u8>),
}

/// What a SCRAM exchange is made of.
pub(super) struct Settings<'a> {
    pub(super) hash: Hash,
    pub(super) binding: Binding,
    pub(super) authorization: Option<&'a str>,
    pub(super) user: &'a str,
    pub(super) password: &'a [u8],
    /// The fewest and the most iterations.
    pub(super) iterations: (u32, u32),
    pub(super) keys: Arc<KeyCache>,
}

pub(super) struct Scram {
    hash: Hash,
    /// What `c=` holds: the gs2 header and the binding's data.
    bound: Vec<u8>,
    gs2_header: String,
    client_first_bare: String,
    nonce: String,
    password: Wiped,
    iterations: (u32, u32),
    cache: Arc<KeyCache>,
    state: State,
}

enum State {
    /// The first message is to be sent.
    New,
    /// The server's first message is to come.
    Opened,
    /// The server's signature is to come.
    Proved {
        keys: Arc<Keys>,
        auth_message: Vec<u8>,
    },
    /// The server has proved itself.
    Verified,
    /// The server has said why it refuses.
    Refused(String),
    /// The exchange has failed.
    Failed,
}

impl Scram {
    pub(super) fn new(settings: Settings<'_>) -> Result<Self, SaslFailure> {
        let mut random = [0; NONCE];
        getrandom::fill(&mut random).map_err(|_| SaslFailure::Random)?;
        Self::with_nonce(settings, STANDARD.encode(random))
    }

    /// With a nonce that is known: for the examples in the RFCs.
    pub(super) fn with_nonce(settings: Settings<'_>, nonce: String) -> Result<Self, SaslFailure> {
        let flag = match &settings.binding {
            Binding::Unsupported => "n",
            Binding::NotOffered => "y",
            Binding::EndPoint(_) => "p=tls-server-end-point",
        };
        let authorization = match settings.authorization {
            Some(identity) => format!("a={}", saslname(&prepare::name(identity)?)),
            None => String::new(),
        };
        let gs2_header = format!("{flag},{authorization},");
        let mut bound = gs2_header.clone().into_bytes();
        if let Binding::EndPoint(data) = &settings.binding {
            bound.extend_from_slice(data);
        }
        let user = saslname(&prepare::name(settings.user)?);
        Ok(Self {
            hash: settings.hash,
            bound,
            gs2_header,
            client_first_bare: format!("n={user},r={nonce}"),
            nonce,
            password: Wiped(prepare::password(settings.password).into_owned()),
            iterations: settings.iterations,
            cache: settings.keys,
            state: State::New,
        })
    }

    /// The proof, in answer to the server's first message.
    fn prove(&mut self, challenge: &[u8]) -> Result<Vec<u8>, SaslFailure> {
        let first = ServerFirst::read(challenge)?;
        let extended = first.nonce.strip_prefix(&self.nonce);
        if extended.is_none_or(str::is_empty) {
            return Err(SaslFailure::ServerNotAuthenticated(
                "its nonce does not extend the client's",
            ));
        }
        let (minimum, maximum) = self.iterations;
        let iterations = u32::try_from(first.iterations).ok();
        let iterations = iterations.filter(|one| (minimum.max(1)..=maximum).contains(one));
        let Some(iterations) = iterations else {
            return Err(SaslFailure::Iterations {
                count: first.iterations,
                minimum,
                maximum,
            });
        };
        let keys = self.cache.keys(self.hash, &first.salt, iterations, || {
            Keys::derive(self.hash, &self.password.0, &first.salt, iterations)
        });
        let without_proof = format!("c={},r={}", STANDARD.encode(&self.bound), first.nonce);
        let mut auth_message = self.client_first_bare.clone().into_bytes();
        auth_message.push(b',');
        auth_message.extend_from_slice(challenge);
        auth_message.push(b',');
        auth_message.extend_from_slice(without_proof.as_bytes());
        let stored_key = Wiped(self.hash.digest(&keys.client.0));
        let signature = self.hash.hmac(&stored_key.0, &auth_message);
        let proof: Vec<u8> = std::iter::zip(&keys.client.0, &signature)
            .map(|(key, signature)| key ^ signature)
            .collect();
        self.state = State::Proved { keys, auth_message };
        Ok(format!("{without_proof},p={}", STANDARD.encode(proof)).into_bytes())
    }
}

impl Mechanism for Scram {
    fn initial(&mut self) -> Option<Vec<u8>> {
        let State::New = self.state else {
            return None;
        };
        self.state = State::Opened;
        Some(format!("{}{}", self.gs2_header, self.client_first_bare).into_bytes())
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Vec<u8>, SaslFailure> {
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Opened => self.prove(challenge),
            State::Proved { keys, auth_message } => match ServerFinal::read(challenge)? {
                ServerFinal::Error(error) => {
                    self.state = State::Refused(words_of(error.as_bytes()));
                    Ok(Vec::new())
                }
                ServerFinal::Verifier(signature) => {
                    if !self
                        .hash
                        .verifies(&keys.server.0, &auth_message, &signature)
                    {
                        return Err(SaslFailure::ServerNotAuthenticated(
                            "its signature is wrong",
                        ));
                    }
                    self.state = State::Verified;
                    Ok(Vec::new())
                }
            },
            State::New | State::Verified | State::Refused(_) | State::Failed => Err(TOO_MANY),
        }
    }

    fn finish(&self) -> Result<(), SaslFailure> {
        match self.state {
            State::Verified => Ok(()),
            _ => Err(SaslFailure::ServerNotAuthenticated(
                "it said yes without its signature",
            )),
        }
    }

    fn refusal(&self) -> Option<&str> {
        match &self.state {
            State::Refused(error) => Some(error),
            _ => None,
        }
    }
}

/// [`Hash::stretch`], for the published examples.
#[cfg(test)]
pub(super) fn stretch_for_tests(
    hash: Hash,
    password: &[u8],
    salt: &[u8],
    iterations: u32,
) -> Vec<u8> {
    hash.stretch(password, salt, iterations)
}

/// What a server keeps of a password: the stored key and the server key (RFC 5802 §3).
#[cfg(test)]
pub(super) fn stored_for_tests(
    hash: Hash,
    password: &[u8],
    salt: &[u8],
    iterations: u32,
) -> (Vec<u8>, Vec<u8>) {
    let keys = Keys::derive(hash, password, salt, iterations);
    (hash.digest(&keys.client.0), keys.server.0.clone())
}
