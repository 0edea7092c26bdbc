//! Names and passwords as SCRAM wants them: SASLprep (RFC 4013), and `saslname` (RFC 5802 §7).

use std::borrow::Cow;

use stringprep::tables::unassigned_code_point;

use crate::types::sasl::SaslFailure;

/// A name, prepared as a query (RFC 3454 §7): code points that Unicode 3.2 did not know may be
/// in it, and are left as they are.
pub(super) fn name(name: &str) -> Result<Cow<'_, str>, SaslFailure> {
    const PROHIBITED: SaslFailure =
        SaslFailure::Credentials("the user name is empty or holds what SASLprep prohibits");
    let prepared = match stringprep::saslprep(name) {
        Ok(prepared) => prepared,
        Err(_) => {
            let known: String = name
                .chars()
                .filter(|c| !unassigned_code_point(*c))
                .collect();
            if known.len() == name.len() || stringprep::saslprep(&known).is_err() {
                return Err(PROHIBITED);
            }
            Cow::Borrowed(name)
        }
    };
    if prepared.is_empty() || prepared.contains('\0') {
        return Err(PROHIBITED);
    }
    Ok(prepared)
}

/// A password. One that SASLprep prohibits, or that is not UTF-8, is taken byte by byte: servers
/// that do not prepare passwords have it like that, and those that do cannot have it at all.
pub(super) fn password(password: &[u8]) -> Cow<'_, [u8]> {
    let prepared = std::str::from_utf8(password).map(stringprep::saslprep);
    match prepared {
        Ok(Ok(Cow::Owned(prepared))) if !prepared.is_empty() => Cow::Owned(prepared.into_bytes()),
        _ => Cow::Borrowed(password),
    }
}

/// A name with `,` and `=` in other words.
pub(super) fn saslname(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4013 §3.
    #[test]
    fn the_examples_of_rfc_4013() {
        for (raw, prepared) in [
            ("I\u{ad}X", "IX"),
            ("user", "user"),
            ("USER", "USER"),
            ("\u{aa}", "a"),
            ("\u{2168}", "IX"),
        ] {
            assert_eq!(name(raw).unwrap(), prepared);
            assert_eq!(password(raw.as_bytes()), prepared.as_bytes());
        }
        for prohibited in ["\u{7}", "\u{627}1"] {
            assert!(name(prohibited).is_err());
            assert_eq!(password(prohibited.as_bytes()), prohibited.as_bytes());
        }
    }

    #[test]
    fn what_is_left_as_it_is() {
        assert_eq!(password(b"\xff\xfe"), &b"\xff\xfe"[..]);
        assert_eq!(password("\u{ad}".as_bytes()), "\u{ad}".as_bytes());
        // Younger than Unicode 3.2.
        assert_eq!(name("a\u{1f980}").unwrap(), "a\u{1f980}");
        assert!(name("").is_err() && name("\u{ad}").is_err() && name("a\0").is_err());
        assert!(name("\u{7}\u{1f980}").is_err());
    }

    #[test]
    fn names_cannot_end_themselves() {
        assert_eq!(saslname("a=b,c=2C"), "a=3Db=2Cc=3D2C");
    }
}
