//! OAUTHBEARER (RFC 7628).
//!
//! A refusal comes as a challenge with JSON in it; a single `%x01` answers it, and only then
//! does the server say no (§3.2.3).

use super::prepare::saslname;
use super::{Mechanism, TOO_EARLY, TOO_MANY, Wiped, words_of};
use crate::types::sasl::SaslFailure;
use crate::types::token::Token;

pub(super) struct OAuthBearer {
    message: Option<Wiped>,
    refusal: Option<String>,
}

/// The token where it is one (RFC 6750 §2.1): nothing in it can end it.
pub(super) fn checked(token: &Token) -> Result<&[u8], SaslFailure> {
    let token = token.secret().expose();
    if token.is_empty() || !token.iter().all(u8::is_ascii_graphic) {
        return Err(SaslFailure::Credentials(
            "the access token is empty or holds what no token holds",
        ));
    }
    Ok(token)
}

impl OAuthBearer {
    pub(super) fn new(
        user: &str,
        token: &Token,
        host: &str,
        port: u16,
    ) -> Result<Self, SaslFailure> {
        let token = checked(token)?;
        let mut message = format!("n,a={},\u{1}", saslname(user)).into_bytes();
        message.extend(format!("host={host}\u{1}port={port}\u{1}auth=Bearer ").into_bytes());
        message.extend_from_slice(token);
        message.extend_from_slice(b"\x01\x01");
        Ok(Self {
            message: Some(Wiped(message)),
            refusal: None,
        })
    }
}

impl Mechanism for OAuthBearer {
    fn initial(&mut self) -> Option<Vec<u8>> {
        self.message.take().map(|message| message.0.clone())
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Vec<u8>, SaslFailure> {
        if self.refusal.is_some() {
            return Err(TOO_MANY);
        }
        self.refusal = Some(words_of(challenge));
        Ok(b"\x01".to_vec())
    }

    fn finish(&self) -> Result<(), SaslFailure> {
        match (&self.message, &self.refusal) {
            (None, None) => Ok(()),
            _ => Err(TOO_EARLY),
        }
    }

    fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==";

    #[test]
    fn the_message_of_rfc_7628() {
        let token = Token::new(TOKEN);
        let mut bearer =
            OAuthBearer::new("user@example.com", &token, "server.example.com", 143).unwrap();
        let expected = format!(
            "n,a=user@example.com,\u{1}host=server.example.com\u{1}port=143\u{1}\
             auth=Bearer {TOKEN}\u{1}\u{1}"
        );
        assert_eq!(bearer.initial().unwrap(), expected.as_bytes());
        assert!(bearer.finish().is_ok());
    }

    #[test]
    fn a_refusal_is_answered_and_kept() {
        let mut bearer = OAuthBearer::new("a=b,c", &Token::new("t"), "h", 993).unwrap();
        let first = bearer.initial().unwrap();
        assert!(first.starts_with(b"n,a=a=3Db=2Cc,\x01"));
        let json = br#"{"status":"invalid_token","scope":"mail"}"#;
        assert_eq!(bearer.respond(json).unwrap(), b"\x01");
        assert_eq!(bearer.refusal().unwrap().as_bytes(), json);
        assert!(bearer.finish().is_err() && bearer.respond(json).is_err());
    }

    #[test]
    fn what_is_no_token_is_not_sent() {
        for bad in ["", "a b", "a\u{1}", "a\r\n", "ä"] {
            assert!(OAuthBearer::new("u", &Token::new(bad), "h", 1).is_err());
        }
    }
}
