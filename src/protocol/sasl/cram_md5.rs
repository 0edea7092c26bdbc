//! CRAM-MD5 (RFC 2195): the server sends something new, the client a keyed digest of it.

use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::Md5;

use super::{Mechanism, TOO_EARLY, TOO_MANY, Wiped};
use crate::types::sasl::SaslFailure;

pub(super) struct CramMd5 {
    user: String,
    password: Option<Wiped>,
}

impl CramMd5 {
    pub(super) fn new(user: &str, password: &[u8]) -> Self {
        Self {
            user: user.to_owned(),
            password: Some(Wiped(password.to_vec())),
        }
    }
}

impl Mechanism for CramMd5 {
    fn initial(&mut self) -> Option<Vec<u8>> {
        None
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Vec<u8>, SaslFailure> {
        if challenge.is_empty() {
            return Err(SaslFailure::Challenge("a CRAM-MD5 challenge that is empty"));
        }
        let password = self.password.take().ok_or(TOO_MANY)?;
        let mut mac = Hmac::<Md5>::new_from_slice(&password.0)
            .map_err(|_| SaslFailure::Credentials("the password is no key"))?;
        mac.update(challenge);
        let digest = mac.finalize().into_bytes();
        let mut answer = format!("{} ", self.user);
        for byte in digest {
            answer.push_str(&format!("{byte:02x}"));
        }
        Ok(answer.into_bytes())
    }

    fn finish(&self) -> Result<(), SaslFailure> {
        match self.password {
            None => Ok(()),
            Some(_) => Err(TOO_EARLY),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exchange_of_rfc_2195() {
        let mut cram = CramMd5::new("tim", b"tanstaaftanstaaf");
        assert_eq!(cram.initial(), None);
        assert!(cram.finish().is_err());
        assert_eq!(
            cram.respond(b"<1896.697170952@postoffice.reston.mci.net>")
                .unwrap(),
            b"tim b913a602c7eda7a495b4e6e7334d3890"
        );
        assert!(cram.finish().is_ok() && cram.respond(b"<2@x>").is_err());
    }

    #[test]
    fn nothing_is_answered_to_nothing() {
        let mut cram = CramMd5::new("tim", b"x");
        assert!(cram.respond(b"").is_err() && cram.finish().is_err());
    }
}
