//! PLAIN (RFC 4616): everything in one message.

use super::{Mechanism, TOO_EARLY, TOO_MANY, Wiped};
use crate::types::sasl::SaslFailure;

pub(super) struct Plain {
    message: Option<Wiped>,
}

impl Plain {
    /// Whether PLAIN can carry them.
    pub(super) fn carries(authorization: &str, user: &str, password: &[u8]) -> bool {
        let parts = [authorization.as_bytes(), user.as_bytes(), password];
        !parts.iter().any(|part| part.contains(&0))
    }

    pub(super) fn new(
        authorization: &str,
        user: &str,
        password: &[u8],
    ) -> Result<Self, SaslFailure> {
        if !Self::carries(authorization, user, password) {
            return Err(SaslFailure::Credentials("PLAIN cannot carry NUL"));
        }
        let mut message = Vec::with_capacity(authorization.len() + user.len() + password.len() + 2);
        message.extend_from_slice(authorization.as_bytes());
        message.push(0);
        message.extend_from_slice(user.as_bytes());
        message.push(0);
        message.extend_from_slice(password);
        Ok(Self {
            message: Some(Wiped(message)),
        })
    }
}

impl Mechanism for Plain {
    fn initial(&mut self) -> Option<Vec<u8>> {
        self.message.take().map(|message| message.0.clone())
    }

    fn respond(&mut self, _: &[u8]) -> Result<Vec<u8>, SaslFailure> {
        Err(TOO_MANY)
    }

    fn finish(&self) -> Result<(), SaslFailure> {
        match self.message {
            None => Ok(()),
            Some(_) => Err(TOO_EARLY),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_messages_of_rfc_4616() {
        let mut plain = Plain::new("", "tim", b"tanstaaftanstaaf").unwrap();
        assert!(plain.finish().is_err());
        assert_eq!(plain.initial().unwrap(), b"\0tim\0tanstaaftanstaaf");
        assert_eq!(plain.initial(), None);
        assert!(plain.finish().is_ok() && plain.respond(b"").is_err());
        let mut plain = Plain::new("Ursel", "Kurt", b"xipj3plmq").unwrap();
        assert_eq!(plain.initial().unwrap(), b"Ursel\0Kurt\0xipj3plmq");
    }

    #[test]
    fn nul_cannot_be_carried() {
        assert!(Plain::new("", "a\0b", b"c").is_err());
        assert!(Plain::new("", "a", b"c\0d").is_err());
        assert!(Plain::new("\0", "a", b"c").is_err());
    }
}
