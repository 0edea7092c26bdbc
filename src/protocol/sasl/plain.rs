//! PLAIN (RFC 4616).

use super::Mechanism;

/// User name and password in one message; only for encrypted connections.
pub(crate) struct Plain {
    message: Option<Vec<u8>>,
}

impl Plain {
    /// `None` where the user name or the password contains NUL, which PLAIN cannot carry.
    pub(crate) fn new(user: &str, password: &[u8]) -> Option<Self> {
        if user.as_bytes().contains(&0) || password.contains(&0) {
            return None;
        }
        let mut message = Vec::with_capacity(user.len() + password.len() + 2);
        message.push(0);
        message.extend_from_slice(user.as_bytes());
        message.push(0);
        message.extend_from_slice(password);
        Some(Self {
            message: Some(message),
        })
    }
}

impl Mechanism for Plain {
    fn name(&self) -> &'static str {
        "PLAIN"
    }

    fn initial_response(&mut self) -> Option<Vec<u8>> {
        self.message.take()
    }

    fn respond(&mut self, challenge: &[u8]) -> Option<Vec<u8>> {
        // Without an initial response the server asks with an empty challenge.
        if challenge.is_empty() {
            self.message.take()
        } else {
            None
        }
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        if let Some(message) = &mut self.message {
            message.fill(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_rfc_4616() {
        let mut plain = Plain::new("tim", b"tanstaaftanstaaf").unwrap();
        assert_eq!(
            plain.initial_response().unwrap(),
            b"\0tim\0tanstaaftanstaaf"
        );
        assert_eq!(plain.respond(b""), None);
    }

    #[test]
    fn a_server_that_takes_no_initial_response_gets_it_when_it_asks() {
        let mut plain = Plain::new("a", b"b").unwrap();
        assert_eq!(plain.respond(b"").unwrap(), b"\0a\0b");
    }

    #[test]
    fn nul_cannot_be_carried() {
        assert!(Plain::new("a\0b", b"c").is_none());
        assert!(Plain::new("a", b"c\0d").is_none());
    }
}
