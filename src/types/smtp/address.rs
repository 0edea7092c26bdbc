//! Addresses of an envelope (RFC 5321 §4.1.2, RFC 6531 §3.3).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::types::invalid::InvalidArgument;

/// The longest address that is sent, in bytes: a path of 256 with its angle brackets (RFC 5321
/// §4.5.3.1.3).
const MAX_LEN: usize = 254;

/// An address as it stands in an SMTP envelope, such as `alice@example.org`: without a display
/// name, without angle brackets.
///
/// It has a local part and a domain, or an address literal such as `[192.0.2.1]`; the local part
/// may be quoted. `postmaster` alone is an address, too (RFC 5321 §4.5.1). Other characters than
/// ASCII are allowed, and need a server with SMTPUTF8. What could leave its place in a command,
/// such as CR, LF, NUL, a space or an angle bracket outside quotes, is refused.
///
/// ```
/// use mailpool::MailAddress;
///
/// let address: MailAddress = "alice@example.org".parse()?;
/// assert_eq!(address.domain(), Some("example.org"));
/// assert!("alice@example.org>\r\nRCPT TO:<eve@example.net".parse::<MailAddress>().is_err());
/// # Ok::<(), mailpool::InvalidArgument>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailAddress {
    text: Arc<str>,
    /// Where the `@` is.
    at: Option<usize>,
}

impl MailAddress {
    /// Checks an address.
    ///
    /// # Errors
    /// Where it is not an address, or longer than 254 bytes.
    pub fn new(address: impl AsRef<str>) -> Result<Self, InvalidArgument> {
        let text = address.as_ref();
        let wrong = |reason| Err(InvalidArgument::new("mail address", reason));
        if text.is_empty() {
            return wrong("is empty");
        }
        if text.len() > MAX_LEN {
            return wrong("is longer than 254 bytes");
        }
        if text.chars().any(char::is_control) {
            return wrong("contains a control character");
        }
        let local_len = if text.starts_with('"') {
            match quoted_len(text) {
                Some(len) => len,
                None => return wrong("has a quoted local part that does not end"),
            }
        } else {
            text.rfind('@').unwrap_or(text.len())
        };
        let (local, rest) = text.split_at(local_len);
        if !local.starts_with('"') && !is_dot_string(local) {
            return wrong("has a local part that is not a dot-string");
        }
        if rest.is_empty() {
            return if local.eq_ignore_ascii_case("postmaster") {
                Ok(Self {
                    text: text.into(),
                    at: None,
                })
            } else {
                wrong("has no domain")
            };
        }
        match rest.strip_prefix('@') {
            Some(domain) if is_domain(domain) => Ok(Self {
                text: text.into(),
                at: Some(local_len),
            }),
            Some(_) => wrong("has a domain that is none"),
            None => wrong("goes on behind its quoted local part"),
        }
    }

    /// The whole address.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands before the `@`, with its quotes if it has any.
    pub fn local_part(&self) -> &str {
        let end = self.at.unwrap_or(self.text.len());
        self.text.get(..end).unwrap_or_default()
    }

    /// What stands behind the `@`; `postmaster` alone has none.
    pub fn domain(&self) -> Option<&str> {
        self.text.get(self.at?.saturating_add(1)..)
    }

    /// Whether it can be sent without SMTPUTF8.
    pub fn is_ascii(&self) -> bool {
        self.text.is_ascii()
    }
}

/// The length of the quoted string at the start of `text`.
fn quoted_len(text: &str) -> Option<usize> {
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some(at + 1),
            '\\' => {
                characters.next().filter(|(_, it)| it.is_ascii())?;
            }
            _ => {}
        }
    }
    None
}

/// RFC 5321 §4.1.2 Dot-string; as many mail systems do, dots in odd places are let pass.
fn is_dot_string(text: &str) -> bool {
    const SPECIAL: &str = " ()<>[]:;@\\,\"";
    !text.is_empty() && !text.contains(|one: char| SPECIAL.contains(one))
}

/// A domain or an address literal.
fn is_domain(text: &str) -> bool {
    if let Some(literal) = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        let dcontent = |one: char| one.is_ascii_graphic() && !"[]\\<>".contains(one);
        return !literal.is_empty() && literal.chars().all(dcontent);
    }
    let label = |label: &str| {
        let inside = |one: char| one.is_ascii_alphanumeric() || one == '-' || one == '_';
        !label.is_empty() && label.chars().all(|one| inside(one) || !one.is_ascii())
    };
    text.strip_suffix('.').unwrap_or(text).split('.').all(label)
}

impl fmt::Display for MailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for MailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl FromStr for MailAddress {
    type Err = InvalidArgument;

    fn from_str(text: &str) -> Result<Self, InvalidArgument> {
        Self::new(text)
    }
}

impl TryFrom<&str> for MailAddress {
    type Error = InvalidArgument;

    fn try_from(text: &str) -> Result<Self, InvalidArgument> {
        Self::new(text)
    }
}

impl TryFrom<String> for MailAddress {
    type Error = InvalidArgument;

    fn try_from(text: String) -> Result<Self, InvalidArgument> {
        Self::new(text)
    }
}

impl TryFrom<&String> for MailAddress {
    type Error = InvalidArgument;

    fn try_from(text: &String) -> Result<Self, InvalidArgument> {
        Self::new(text)
    }
}

impl From<&MailAddress> for MailAddress {
    fn from(address: &MailAddress) -> Self {
        address.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_are_sent_every_day_are_taken() {
        for (text, local, domain) in [
            ("alice@example.org", "alice", Some("example.org")),
            (
                "a.b+c=d@sub.example.org",
                "a.b+c=d",
                Some("sub.example.org"),
            ),
            ("\"a b@c\"@example.org", "\"a b@c\"", Some("example.org")),
            ("\"a\\\"b\"@example.org", "\"a\\\"b\"", Some("example.org")),
            ("root@[192.0.2.1]", "root", Some("[192.0.2.1]")),
            (
                "root@[IPv6:2001:db8::1]",
                "root",
                Some("[IPv6:2001:db8::1]"),
            ),
            ("jörg@exämple.org", "jörg", Some("exämple.org")),
            ("alice@localhost", "alice", Some("localhost")),
            ("odd..dots.@example.org", "odd..dots.", Some("example.org")),
            ("Postmaster", "Postmaster", None),
        ] {
            let address = MailAddress::new(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(address.as_str(), text);
            assert_eq!((address.local_part(), address.domain()), (local, domain));
        }
    }

    #[test]
    fn what_could_leave_its_place_is_refused() {
        for text in [
            "",
            "alice",
            "@example.org",
            "alice@",
            "alice@example.org\r\nRSET",
            "alice@example.org\n",
            "alice@exa\0mple.org",
            "alice@example.org> SIZE=1",
            "<alice@example.org>",
            "alice @example.org",
            "alice@example.org ",
            "alice@bob@example.org",
            "\"alice@example.org",
            "\"alice\"x@example.org",
            "\"ali\rce\"@example.org",
            "alice@[192.0.2.1",
            "alice@[]",
            "alice@exa mple.org",
            "alice@example..org",
            "alice@\u{85}.org",
        ] {
            assert!(MailAddress::new(text).is_err(), "{text:?} was taken");
        }
        assert!(MailAddress::new(format!("{}@example.org", "a".repeat(243))).is_err());
        assert!(MailAddress::new(format!("{}@example.org", "a".repeat(242))).is_ok());
    }
}
