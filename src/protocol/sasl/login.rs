//! LOGIN (draft-murchison-sasl-login): the server asks for the user name, then for the password.
//! What it asks with is not fixed (`Username:`, `User Name`), so only the order counts.

use super::{Mechanism, TOO_EARLY, TOO_MANY, Wiped};
use crate::types::sasl::SaslFailure;

pub(super) struct Login {
    user: Option<Vec<u8>>,
    password: Option<Wiped>,
}

impl Login {
    pub(super) fn new(user: &str, password: &[u8]) -> Self {
        Self {
            user: Some(user.into()),
            password: Some(Wiped(password.to_vec())),
        }
    }
}

impl Mechanism for Login {
    fn initial(&mut self) -> Option<Vec<u8>> {
        None
    }

    fn respond(&mut self, _: &[u8]) -> Result<Vec<u8>, SaslFailure> {
        if let Some(user) = self.user.take() {
            return Ok(user);
        }
        let password = self.password.take().ok_or(TOO_MANY)?;
        Ok(password.0.clone())
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
    fn user_then_password_whatever_the_questions() {
        for (first, second) in [
            ("Username:", "Password:"),
            ("User Name\0", "Password\0"),
            ("", ""),
        ] {
            let mut login = Login::new("alice", b"secret");
            assert_eq!(login.initial(), None);
            assert_eq!(login.respond(first.as_bytes()).unwrap(), b"alice");
            assert!(login.finish().is_err());
            assert_eq!(login.respond(second.as_bytes()).unwrap(), b"secret");
            assert!(login.finish().is_ok() && login.respond(b"").is_err());
        }
    }
}
