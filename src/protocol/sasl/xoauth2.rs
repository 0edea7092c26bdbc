//! XOAUTH2, the form of OAUTHBEARER that large providers had before there was an RFC. A refusal
//! is a challenge as well; an empty line answers it.

use super::bearer::checked;
use super::{Mechanism, TOO_EARLY, TOO_MANY, Wiped, words_of};
use crate::types::sasl::SaslFailure;
use crate::types::token::Token;

pub(super) struct XOAuth2 {
    message: Option<Wiped>,
    refusal: Option<String>,
}

impl XOAuth2 {
    pub(super) fn new(user: &str, token: &Token) -> Result<Self, SaslFailure> {
        let token = checked(token)?;
        let mut message = format!("user={user}\u{1}auth=Bearer ").into_bytes();
        message.extend_from_slice(token);
        message.extend_from_slice(b"\x01\x01");
        Ok(Self {
            message: Some(Wiped(message)),
            refusal: None,
        })
    }
}

impl Mechanism for XOAuth2 {
    fn initial(&mut self) -> Option<Vec<u8>> {
        self.message.take().map(|message| message.0.clone())
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Vec<u8>, SaslFailure> {
        if self.refusal.is_some() {
            return Err(TOO_MANY);
        }
        self.refusal = Some(words_of(challenge));
        Ok(Vec::new())
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

    /// The example in the documentation of Gmail.
    #[test]
    fn the_message_of_its_inventor() {
        let token = Token::new("ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg");
        let mut xoauth2 = XOAuth2::new("someuser@example.com", &token).unwrap();
        assert_eq!(
            xoauth2.initial().unwrap(),
            b"user=someuser@example.com\x01auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg\x01\x01"
        );
        assert!(xoauth2.finish().is_ok());
        assert_eq!(xoauth2.respond(br#"{"status":"401"}"#).unwrap(), b"");
        assert_eq!(xoauth2.refusal(), Some(r#"{"status":"401"}"#));
        assert!(xoauth2.finish().is_err());
    }
}
