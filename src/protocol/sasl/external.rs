//! EXTERNAL (RFC 4422, appendix A): TLS says who it is, the message only whom to act as.

use super::{Mechanism, TOO_EARLY, TOO_MANY};
use crate::types::sasl::SaslFailure;

pub(super) struct External {
    message: Option<Vec<u8>>,
}

impl External {
    pub(super) fn new(authorization: Option<&str>) -> Self {
        Self {
            message: Some(authorization.unwrap_or_default().into()),
        }
    }
}

impl Mechanism for External {
    fn initial(&mut self) -> Option<Vec<u8>> {
        self.message.take()
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
    fn the_message_is_the_identity_or_empty() {
        let mut external = External::new(Some("fred@example.com"));
        assert_eq!(external.initial().unwrap(), b"fred@example.com");
        let mut external = External::new(None);
        assert!(external.finish().is_err());
        assert_eq!(external.initial().unwrap(), b"");
        assert!(external.finish().is_ok());
    }
}
