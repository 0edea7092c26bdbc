//! What a server says that it can do (RFC 9051 §6.1.1).

use std::fmt;

/// A server's capabilities, compared without regard to ASCII case.
///
/// They hold for one state of one connection: a server may announce others after TLS and
/// after login.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Capabilities {
    /// Upper case, sorted, without duplicates.
    words: Vec<Box<str>>,
}

impl Capabilities {
    /// Whether the server announced `capability`, such as `"UIDPLUS"` or `"AUTH=PLAIN"`.
    pub fn contains(&self, capability: &str) -> bool {
        self.find(&capability.to_ascii_uppercase())
    }

    /// Whether the server offers the SASL mechanism `mechanism`, such as `"PLAIN"`.
    pub fn supports_auth(&self, mechanism: &str) -> bool {
        self.find(&format!("AUTH={}", mechanism.to_ascii_uppercase()))
    }

    /// The SASL mechanisms that the server offers.
    pub fn auth_mechanisms(&self) -> impl Iterator<Item = &str> {
        self.iter().filter_map(|word| word.strip_prefix("AUTH="))
    }

    /// What follows the `=` of a capability with a value: `"1000"` of `APPENDLIMIT=1000`.
    pub fn value(&self, capability: &str) -> Option<&str> {
        self.iter().find_map(|word| {
            let (name, value) = word.split_once('=')?;
            name.eq_ignore_ascii_case(capability).then_some(value)
        })
    }

    /// All of them, in upper case and alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.words.iter().map(|word| &**word)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether the server announced none.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Takes the words of a CAPABILITY response or code. What is no capability is left out.
    pub(crate) fn from_wire_words<'a>(words: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut words: Vec<Box<str>> = words
            .into_iter()
            .filter(|word| !word.is_empty() && word.iter().all(u8::is_ascii_graphic))
            .filter_map(|word| std::str::from_utf8(word).ok())
            .map(|word| word.to_ascii_uppercase().into())
            .collect();
        words.sort();
        words.dedup();
        Self { words }
    }

    /// Literals of any size may be sent without waiting (RFC 7888 §4).
    pub(crate) fn literal_plus(&self) -> bool {
        self.find("LITERAL+")
    }

    /// Literals of up to 4,096 bytes may be sent without waiting (RFC 7888 §5).
    pub(crate) fn literal_minus(&self) -> bool {
        self.find("LITERAL-") || self.imap4rev2()
    }

    pub(crate) fn imap4rev2(&self) -> bool {
        self.find("IMAP4REV2")
    }

    pub(crate) fn login_disabled(&self) -> bool {
        self.find("LOGINDISABLED")
    }

    pub(crate) fn starttls(&self) -> bool {
        self.find("STARTTLS")
    }

    /// An initial response may stand in the AUTHENTICATE command (RFC 4959).
    pub(crate) fn sasl_ir(&self) -> bool {
        self.find("SASL-IR") || self.imap4rev2()
    }

    /// RFC 4731.
    pub(crate) fn esearch(&self) -> bool {
        self.find("ESEARCH") || self.imap4rev2()
    }

    /// RFC 4315.
    pub(crate) fn uidplus(&self) -> bool {
        self.find("UIDPLUS") || self.imap4rev2()
    }

    /// RFC 6851.
    pub(crate) fn move_messages(&self) -> bool {
        self.find("MOVE") || self.imap4rev2()
    }

    /// RFC 3691.
    pub(crate) fn unselect(&self) -> bool {
        self.find("UNSELECT") || self.imap4rev2()
    }

    /// RFC 7162, also where only QRESYNC is announced, which implies it.
    pub(crate) fn condstore(&self) -> bool {
        self.find("CONDSTORE") || self.find("QRESYNC")
    }

    fn find(&self, upper: &str) -> bool {
        self.words
            .binary_search_by(|word| (**word).cmp(upper))
            .is_ok()
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_any_case() {
        let line =
            b"IMAP4rev1 SASL-IR  auth=plain Auth=XOAUTH2 \xff LITERAL- UidPlus APPENDLIMIT=77";
        let set = Capabilities::from_wire_words(line.split(|byte| *byte == b' '));
        assert!(
            set.contains("uidplus") && set.uidplus() && set.contains("IMAP4rev1") && set.sasl_ir()
        );
        assert!(set.supports_auth("Plain") && set.supports_auth("XOAUTH2"));
        assert!(!set.supports_auth("LOGIN") && !set.contains("AUTH"));
        assert!(set.literal_minus() && !set.literal_plus());
        assert_eq!(
            set.auth_mechanisms().collect::<Vec<_>>(),
            ["PLAIN", "XOAUTH2"]
        );
        assert_eq!(set.value("appendlimit"), Some("77"));
        assert_eq!(set.len(), 7);
    }

    #[test]
    fn no_words_are_no_capabilities() {
        let set = Capabilities::from_wire_words([]);
        assert!(set.is_empty() && !set.contains("") && !set.contains("IMAP4rev1"));
    }
}
