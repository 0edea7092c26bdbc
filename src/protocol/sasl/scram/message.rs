//! What a SCRAM server says (RFC 5802 §7).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::types::sasl::SaslFailure;

/// `server-first-message`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ServerFirst<'a> {
    /// Ours, and what the server has put behind it.
    pub(super) nonce: &'a str,
    pub(super) salt: Vec<u8>,
    pub(super) iterations: u64,
}

/// `server-final-message`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ServerFinal<'a> {
    /// The server's signature.
    Verifier(Vec<u8>),
    Error(&'a str),
}

fn nonsense<T>(what: &'static str) -> Result<T, SaslFailure> {
    Err(SaslFailure::Challenge(what))
}

fn text(message: &[u8]) -> Result<&str, SaslFailure> {
    match std::str::from_utf8(message) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => nonsense("a SCRAM message that is no text"),
    }
}

impl<'a> ServerFirst<'a> {
    pub(super) fn read(message: &'a [u8]) -> Result<Self, SaslFailure> {
        let mut attributes = text(message)?.split(',');
        let mut next = |name: &str| attributes.next().and_then(|it| it.strip_prefix(name));
        // An extension that must be understood stands before everything else.
        if message.starts_with(b"m=") {
            return Err(SaslFailure::UnknownExtension);
        }
        let Some(nonce) = next("r=") else {
            return nonsense("a SCRAM message without a nonce");
        };
        if !nonce.bytes().all(|byte| byte.is_ascii_graphic()) {
            return nonsense("a SCRAM nonce with what no nonce holds");
        }
        let salt = next("s=").and_then(|salt| STANDARD.decode(salt).ok());
        let Some(salt) = salt.filter(|salt| !salt.is_empty()) else {
            return nonsense("a SCRAM message without a salt in base64");
        };
        let count = next("i=").unwrap_or_default();
        let is_number = !count.is_empty()
            && !count.starts_with('0')
            && count.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number && count != "0" {
            return nonsense("a SCRAM message without a number of iterations");
        }
        // Optional extensions may follow.
        Ok(Self {
            nonce,
            salt,
            iterations: count.parse().unwrap_or(u64::MAX),
        })
    }
}

impl<'a> ServerFinal<'a> {
    pub(super) fn read(message: &'a [u8]) -> Result<Self, SaslFailure> {
        let first = text(message)?.split(',').next().unwrap_or_default();
        if let Some(error) = first.strip_prefix("e=") {
            return Ok(Self::Error(error));
        }
        let verifier = first.strip_prefix("v=");
        match verifier.map(|verifier| STANDARD.decode(verifier)) {
            Some(Ok(verifier)) => Ok(Self::Verifier(verifier)),
            _ => nonsense("a SCRAM message without a signature in base64"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_message_is_read() {
        let message = b"r=abc!\"#def,s=QSXCR+Q6sek8bf92,i=4096,x=whatever";
        let first = ServerFirst::read(message).unwrap();
        assert_eq!(first.nonce, "abc!\"#def");
        assert_eq!(first.salt, STANDARD.decode("QSXCR+Q6sek8bf92").unwrap());
        assert_eq!(first.iterations, 4096);
    }

    #[test]
    fn first_messages_that_are_none() {
        for bad in [
            &b""[..],
            b"r=",
            b"r=abc",
            b"r=abc,s=QQ==",
            b"r=abc,i=4096,s=QQ==",
            b"s=QQ==,r=abc,i=4096",
            b"r=abc,s=,i=4096",
            b"r=abc,s=QQ,i=4096",
            b"r=abc,s=QR==,i=4096",
            b"r=abc,s=Q Q==,i=4096",
            b"r=abc,s=QQ==,i=",
            b"r=abc,s=QQ==,i=-1",
            b"r=abc,s=QQ==,i=04096",
            b"r=abc,s=QQ==,i=4096 ",
            b"r=a b,s=QQ==,i=4096",
            b"r=a\xc3\xa4,s=QQ==,i=4096",
            b"r=a\0,s=QQ==,i=4096",
            b"\xff",
            b"e=other-error",
        ] {
            assert!(ServerFirst::read(bad).is_err(), "{}", bad.escape_ascii());
        }
        assert_eq!(
            ServerFirst::read(b"m=future,r=abc,s=QQ==,i=4096"),
            Err(SaslFailure::UnknownExtension)
        );
    }

    #[test]
    fn no_number_of_iterations_overflows() {
        for (count, read) in [
            ("0", 0),
            ("4294967296", 1 << 32),
            ("99999999999999999999999999", u64::MAX),
        ] {
            let message = format!("r=abc,s=QQ==,i={count}");
            let first = ServerFirst::read(message.as_bytes()).unwrap();
            assert_eq!(first.iterations, read);
        }
    }

    #[test]
    fn final_messages() {
        assert_eq!(
            ServerFinal::read(b"v=QQ==,x=y"),
            Ok(ServerFinal::Verifier(b"A".to_vec()))
        );
        assert_eq!(
            ServerFinal::read(b"e=invalid-proof"),
            Ok(ServerFinal::Error("invalid-proof"))
        );
        for bad in [&b""[..], b"v=", b"v=Q", b"v=???", b"x=y,v=QQ==", b"\xff"] {
            if bad == b"v=" {
                // Nothing is a signature of nothing: it does not verify.
                assert_eq!(ServerFinal::read(bad), Ok(ServerFinal::Verifier(vec![])));
            } else {
                assert!(ServerFinal::read(bad).is_err());
            }
        }
    }
}
