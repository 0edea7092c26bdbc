//! ANONYMOUS (RFC 4505): the message is a trace for the server's log.

use super::{Mechanism, TOO_EARLY, TOO_MANY};
use crate::types::sasl::SaslFailure;

pub(super) struct Anonymous {
    trace: Option<Vec<u8>>,
}

impl Anonymous {
    pub(super) fn new(trace: &str) -> Self {
        Self {
            trace: Some(trace.into()),
        }
    }
}

impl Mechanism for Anonymous {
    fn initial(&mut self) -> Option<Vec<u8>> {
        self.trace.take()
    }

    fn respond(&mut self, _: &[u8]) -> Result<Vec<u8>, SaslFailure> {
        Err(TOO_MANY)
    }

    fn finish(&self) -> Result<(), SaslFailure> {
        match self.trace {
            None => Ok(()),
            Some(_) => Err(TOO_EARLY),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_rfc_4505() {
        let mut anonymous = Anonymous::new("sirhc");
        assert!(anonymous.finish().is_err());
        assert_eq!(anonymous.initial().unwrap(), b"sirhc");
        assert!(anonymous.finish().is_ok() && anonymous.respond(b"").is_err());
    }
}
