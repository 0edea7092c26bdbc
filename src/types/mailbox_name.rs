//! Names of mailboxes: what people read, and the bytes that the server knows.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use super::invalid::InvalidArgument;
use super::utf7;

/// Begins the text of a name that is not modified UTF-7; behind it, bytes that are no
/// printable UTF-8 stand as this character plus the byte.
const RAW: char = '\u{10ff00}';
/// The last character that stands for a byte.
const RAW_LAST: char = '\u{10ffff}';

/// Text that cannot be the name of a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("invalid mailbox name: {reason}")]
pub struct InvalidMailboxName {
    reason: &'static str,
}

impl From<InvalidMailboxName> for InvalidArgument {
    fn from(error: InvalidMailboxName) -> Self {
        Self::new("mailbox name", error.reason)
    }
}

/// The name of a mailbox (RFC 9051 §5.1).
///
/// It is read as text and sent in modified UTF-7 (RFC 3501 §5.1.3). `INBOX` is the same name
/// in any case; every other name is compared byte for byte.
///
/// Some servers have names that are not modified UTF-7. Such a name keeps its bytes: its text
/// begins with the private-use character U+10FF00, so that it is never mistaken for the name
/// of another mailbox, and `MailboxName::new(name.as_str())` gives the same name again.
///
/// ```
/// use mailpool::MailboxName;
/// let drafts = MailboxName::new("Entwürfe")?;
/// assert_eq!(drafts.wire(), b"Entw&APw-rfe");
/// assert_eq!(MailboxName::new("inbox")?, MailboxName::inbox());
/// assert!(MailboxName::new("two\r\nlines").is_err());
/// # Ok::<(), mailpool::InvalidMailboxName>(())
/// ```
#[derive(Clone)]
pub struct MailboxName {
    text: Arc<str>,
    /// The bytes on the wire; `None` where they are those of the text.
    wire: Option<Arc<[u8]>>,
}

impl MailboxName {
    /// The name of the mailbox that every user has.
    pub fn inbox() -> Self {
        Self {
            text: "INBOX".into(),
            wire: None,
        }
    }

    /// Makes a name from its text.
    ///
    /// # Errors
    /// When it is empty or holds NUL, CR or LF.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidMailboxName> {
        let text = text.as_ref();
        let wire = wire_form(text)?;
        if wire.is_empty() {
            return Err(InvalidMailboxName { reason: "is empty" });
        }
        Ok(Self::from_wire(&wire))
    }

    /// Makes a name from the bytes that a server sent. Whatever they are, they are kept.
    pub fn from_wire(wire: &[u8]) -> Self {
        let decoded = utf7::decode(wire)
            .filter(|text| !text.starts_with(RAW) && !text.contains(['\0', '\r', '\n']));
        let text = decoded.unwrap_or_else(|| raw_text(wire));
        let same = text.as_bytes() == wire;
        Self {
            text: text.into(),
            wire: (!same).then(|| wire.into()),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The bytes that stand on the wire, before they are quoted.
    pub fn wire(&self) -> &[u8] {
        self.wire.as_deref().unwrap_or(self.text.as_bytes())
    }

    /// Whether this is `INBOX`, in any case.
    pub fn is_inbox(&self) -> bool {
        self.text.eq_ignore_ascii_case("INBOX")
    }

    /// Whether the bytes are not modified UTF-7, so that the text stands for raw bytes.
    pub fn is_raw(&self) -> bool {
        self.text.starts_with(RAW)
    }

    /// The levels of the hierarchy, from the top; the whole name where there is no delimiter.
    ///
    /// `delimiter` is what LIST or NAMESPACE gave: a character or `None`.
    ///
    /// ```
    /// use mailpool::MailboxName;
    /// let name = MailboxName::new("Lists/Rust/Users")?;
    /// assert_eq!(name.path_components('/').collect::<Vec<_>>(), ["Lists", "Rust", "Users"]);
    /// assert_eq!(name.path_components(None).count(), 1);
    /// # Ok::<(), mailpool::InvalidMailboxName>(())
    /// ```
    pub fn path_components(
        &self,
        delimiter: impl Into<Option<char>>,
    ) -> impl Iterator<Item = &str> {
        let delimiter = delimiter.into();
        self.as_str()
            .split(move |character| Some(character) == delimiter)
    }

    /// The same for every spelling of the name.
    fn key(&self) -> &str {
        if self.is_inbox() { "INBOX" } else { &self.text }
    }
}

/// The wire form of a name or a LIST pattern, which may be empty.
pub(crate) fn wire_form(text: &str) -> Result<Vec<u8>, InvalidMailboxName> {
    let wire = match text.strip_prefix(RAW) {
        Some(raw) => raw_bytes(raw),
        None if text.contains(['\r', '\n']) => vec![b'\n'],
        None => utf7::encode(text).into_bytes(),
    };
    // NUL is encoded by modified UTF-7, and refused all the same.
    if text.contains('\0')
        || wire
            .iter()
            .any(|byte| matches!(byte, b'\0' | b'\r' | b'\n'))
    {
        return Err(InvalidMailboxName {
            reason: "holds NUL, CR or LF",
        });
    }
    Ok(wire)
}

fn raw_text(wire: &[u8]) -> String {
    let mut text = String::from(RAW);
    let escape = |text: &mut String, bytes: &[u8]| {
        text.extend(
            bytes
                .iter()
                .filter_map(|byte| char::from_u32(RAW as u32 + u32::from(*byte))),
        );
    };
    for chunk in wire.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() || character >= RAW {
                escape(&mut text, character.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                text.push(character);
            }
        }
        escape(&mut text, chunk.invalid());
    }
    text
}

fn raw_bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for character in text.chars() {
        match u8::try_from((character as u32).wrapping_sub(RAW as u32)) {
            Ok(byte) if (RAW..=RAW_LAST).contains(&character) => bytes.push(byte),
            _ => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

impl PartialEq for MailboxName {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for MailboxName {}

/// Compares the text, and `INBOX` in any case.
impl PartialEq<str> for MailboxName {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other || (self.is_inbox() && other.eq_ignore_ascii_case("INBOX"))
    }
}

impl PartialEq<&str> for MailboxName {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl Hash for MailboxName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl PartialOrd for MailboxName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for MailboxName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(other.key())
    }
}

impl fmt::Debug for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl AsRef<str> for MailboxName {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl FromStr for MailboxName {
    type Err = InvalidMailboxName;

    fn from_str(text: &str) -> Result<Self, InvalidMailboxName> {
        Self::new(text)
    }
}

impl From<&MailboxName> for MailboxName {
    fn from(name: &MailboxName) -> Self {
        name.clone()
    }
}

impl TryFrom<&str> for MailboxName {
    type Error = InvalidMailboxName;

    fn try_from(text: &str) -> Result<Self, InvalidMailboxName> {
        Self::new(text)
    }
}

impl TryFrom<String> for MailboxName {
    type Error = InvalidMailboxName;

    fn try_from(text: String) -> Result<Self, InvalidMailboxName> {
        Self::new(text)
    }
}

impl TryFrom<&String> for MailboxName {
    type Error = InvalidMailboxName;

    fn try_from(text: &String) -> Result<Self, InvalidMailboxName> {
        Self::new(text)
    }
}

impl TryFrom<Cow<'_, str>> for MailboxName {
    type Error = InvalidMailboxName;

    fn try_from(text: Cow<'_, str>) -> Result<Self, InvalidMailboxName> {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn inbox_is_one_name_in_any_case_and_keeps_its_bytes() {
        let name = MailboxName::from_wire(b"InBox");
        assert_eq!(name.wire(), b"InBox");
        assert_eq!(name, MailboxName::inbox());
        assert_eq!(name, "inbox");
        assert_eq!(HashSet::from([name.clone(), MailboxName::inbox()]).len(), 1);
        assert_eq!(BTreeSet::from([name, MailboxName::inbox()]).len(), 1);
        assert_ne!(
            MailboxName::new("Drafts").unwrap(),
            MailboxName::new("drafts").unwrap()
        );
        assert_ne!(
            MailboxName::new("INBOX/a").unwrap(),
            MailboxName::new("inbox/a").unwrap()
        );
    }

    #[test]
    fn what_would_change_the_line_is_refused() {
        for bad in [
            "",
            "\u{10ff00}",
            "a\0",
            "a\r",
            "\n",
            "\u{10ff00}a\u{10ff0d}",
            "\u{10ff00}\u{10ff00}",
        ] {
            assert!(MailboxName::new(bad).is_err(), "{bad:?}");
        }
        assert!(MailboxName::new("a \"quoted\" \\ & name {5}").is_ok());
    }

    #[test]
    fn names_that_are_not_modified_utf7_never_collide() {
        let wires: [&[u8]; 14] = [
            b"Entw&APw-rfe",
            "Entwürfe".as_bytes(),
            b"Entw\xfcrfe",
            b"Entw\xfdrfe",
            b"Entw\xef\xbf\xbdrfe",
            b"Foo &- Bar",
            b"Foo & Bar",
            b"&AOk-&AOk-",
            b"&AOkA6Q-",
            b"&AGE-",
            b"a",
            b"&AAo-",
            b"\n",
            b"\xf4\x8f\xbc\x80a",
        ];
        let names: Vec<_> = wires
            .iter()
            .map(|wire| MailboxName::from_wire(wire))
            .collect();
        let texts: HashSet<_> = names.iter().map(|name| name.to_string()).collect();
        assert_eq!(texts.len(), wires.len());
        for (name, wire) in names.iter().zip(wires) {
            assert_eq!(name.wire(), wire);
            assert!(!name.as_str().contains(['\r', '\n', '\0']));
        }
        assert!(names[1].is_raw() && !names[0].is_raw());
        assert_eq!(names[1].as_str(), "\u{10ff00}Entwürfe");
    }

    #[test]
    fn the_root_has_an_empty_name_only_on_the_wire() {
        assert_eq!(MailboxName::from_wire(b"").as_str(), "");
        assert_eq!(wire_form("").unwrap(), b"");
        assert_eq!(wire_form("Entwü*/%").unwrap(), b"Entw&APw-*/%");
    }

    proptest! {
        #[test]
        fn bytes_are_kept_and_the_text_leads_back_to_them(
            wire in prop_oneof![
                proptest::collection::vec(any::<u8>(), 1..20),
                proptest::collection::vec(proptest::sample::select(b"&-AOk,/ a\xc3\xa9".as_slice()), 1..10),
                any::<String>().prop_map(String::into_bytes),
            ],
        ) {
            let name = MailboxName::from_wire(&wire);
            prop_assert_eq!(name.wire(), &*wire);
            match MailboxName::new(name.as_str()) {
                Ok(again) => prop_assert_eq!(again.wire(), &*wire),
                Err(_) => prop_assert!(wire.is_empty() || wire.iter().any(|byte| b"\0\r\n".contains(byte))),
            }
        }

        #[test]
        fn text_is_kept(text in "[^\0\r\n]{1,20}") {
            let name = MailboxName::new(&text).unwrap();
            prop_assert_eq!(name.as_str(), &*text);
            let again = MailboxName::from_wire(name.wire());
            prop_assert_eq!(again.as_str(), &*text);
        }
    }
}
