//! Message flags and keywords (RFC 9051 §2.3.2).

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::invalid::InvalidArgument;

/// The name of a keyword or of an extension flag (without its backslash).
///
/// Compared without regard to ASCII case, which it keeps.
#[derive(Clone)]
pub struct FlagName(Arc<str>);

impl FlagName {
    /// Checks that `name` is an atom.
    ///
    /// # Errors
    /// When it is empty, not ASCII, or holds a space, a control character or one of
    /// `( ) { % * " \ ]`.
    pub fn new(name: &str) -> Result<Self, InvalidArgument> {
        if !name.is_empty() && name.bytes().all(is_atom_byte) {
            Ok(Self(name.into()))
        } else {
            Err(InvalidArgument::new("flag name", "is not an atom"))
        }
    }

    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Servers use names that are no atoms; those that cannot end a list or a line pass.
    fn from_wire(name: &[u8]) -> Option<Self> {
        let fits = |byte: u8| byte > b' ' && !matches!(byte, b'(' | b')' | b'"' | 0x7f);
        if name.is_empty() || !name.iter().copied().all(fits) {
            return None;
        }
        std::str::from_utf8(name).ok().map(|name| Self(name.into()))
    }

    fn key(&self) -> impl Iterator<Item = u8> {
        self.0.bytes().map(|byte| byte.to_ascii_lowercase())
    }
}

/// ATOM-CHAR of RFC 9051 §9.
pub(crate) fn is_atom_byte(byte: u8) -> bool {
    byte.is_ascii_graphic()
        && !matches!(byte, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
}

impl PartialEq for FlagName {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for FlagName {}

impl Hash for FlagName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().for_each(|byte| state.write_u8(byte));
        state.write_u8(0xff);
    }
}

impl PartialOrd for FlagName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for FlagName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(other.key())
    }
}

impl fmt::Debug for FlagName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for FlagName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<&str> for FlagName {
    type Error = InvalidArgument;

    fn try_from(name: &str) -> Result<Self, InvalidArgument> {
        Self::new(name)
    }
}

/// A message flag. `Display` gives what stands on the wire: `\Seen`, `$Forwarded`.
///
/// ```
/// use mailpool::Flag;
/// assert_eq!(Flag::Seen.to_string(), r"\Seen");
/// assert_eq!(Flag::keyword("$Junk")?, Flag::keyword("$JUNK")?);
/// assert!(Flag::keyword("two words").is_err());
/// # Ok::<(), mailpool::InvalidArgument>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Flag {
    /// `\Seen`: the message has been read.
    Seen,
    /// `\Answered`: the message has been answered.
    Answered,
    /// `\Flagged`: the message is marked for attention.
    Flagged,
    /// `\Deleted`: the next EXPUNGE removes the message.
    Deleted,
    /// `\Draft`: the message is not finished.
    Draft,
    /// `\Recent`: this session is the first that was told of the message. Only servers set
    /// it (RFC 3501 §2.3.2; IMAP4rev2 has none).
    Recent,
    /// A keyword, such as `$Forwarded`.
    Keyword(FlagName),
    /// Another flag that begins with a backslash.
    Extension(FlagName),
    /// `\*`, only in PERMANENTFLAGS: new keywords can be made.
    AnyKeyword,
}

impl Flag {
    /// A keyword, made from its name.
    ///
    /// # Errors
    /// When the name is not an atom: see [`FlagName::new`].
    pub fn keyword(name: &str) -> Result<Self, InvalidArgument> {
        FlagName::new(name).map(Flag::Keyword)
    }

    /// Reads a flag as a server sent it, leniently: `None` only for what no flag can be.
    pub(crate) fn from_wire(flag: &[u8]) -> Option<Self> {
        let Some(name) = flag.strip_prefix(b"\\") else {
            return FlagName::from_wire(flag).map(Flag::Keyword);
        };
        if name == b"*" {
            return Some(Flag::AnyKeyword);
        }
        let system = [
            Flag::Seen,
            Flag::Answered,
            Flag::Flagged,
            Flag::Deleted,
            Flag::Draft,
            Flag::Recent,
        ];
        for flag in system {
            if flag
                .system_name()
                .is_some_and(|known| name.eq_ignore_ascii_case(known.as_bytes()))
            {
                return Some(flag);
            }
        }
        FlagName::from_wire(name).map(Flag::Extension)
    }

    fn system_name(&self) -> Option<&'static str> {
        Some(match self {
            Flag::Seen => "Seen",
            Flag::Answered => "Answered",
            Flag::Flagged => "Flagged",
            Flag::Deleted => "Deleted",
            Flag::Draft => "Draft",
            Flag::Recent => "Recent",
            Flag::AnyKeyword => "*",
            Flag::Keyword(_) | Flag::Extension(_) => return None,
        })
    }
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flag::Keyword(name) => f.write_str(name.as_str()),
            Flag::Extension(name) => write!(f, "\\{name}"),
            system => write!(f, "\\{}", system.system_name().unwrap_or_default()),
        }
    }
}

/// A set of flags, iterated in a fixed order: the system flags, then keywords by name.
///
/// ```
/// use mailpool::{Flag, Flags};
/// let flags: Flags = [Flag::Flagged, Flag::Seen, Flag::Seen].into_iter().collect();
/// assert_eq!(flags.len(), 2);
/// assert!(flags.contains(&Flag::Seen));
/// assert_eq!(flags.to_string(), r"(\Seen \Flagged)");
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Flags {
    /// Sorted, without duplicates.
    flags: Vec<Flag>,
}

impl Flags {
    /// The empty set.
    pub const fn new() -> Self {
        Self { flags: Vec::new() }
    }

    /// Whether `flag` is in the set.
    pub fn contains(&self, flag: &Flag) -> bool {
        self.flags.binary_search(flag).is_ok()
    }

    /// Adds a flag; returns whether it is new. Many at once are cheaper through `extend`.
    pub fn insert(&mut self, flag: Flag) -> bool {
        match self.flags.binary_search(&flag) {
            Ok(_) => false,
            Err(at) => {
                self.flags.insert(at, flag);
                true
            }
        }
    }

    /// Takes a flag out; returns whether it was there.
    pub fn remove(&mut self, flag: &Flag) -> bool {
        match self.flags.binary_search(flag) {
            Ok(at) => {
                self.flags.remove(at);
                true
            }
            Err(_) => false,
        }
    }

    /// The flags in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Flag> {
        self.flags.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.flags.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.flags.is_empty()
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(&self.flags).finish()
    }
}

/// The parenthesised list that stands on the wire.
impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        for (index, flag) in self.flags.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            flag.fmt(f)?;
        }
        f.write_str(")")
    }
}

impl Extend<Flag> for Flags {
    fn extend<I: IntoIterator<Item = Flag>>(&mut self, flags: I) {
        self.flags.extend(flags);
        self.flags.sort();
        self.flags.dedup();
    }
}

impl FromIterator<Flag> for Flags {
    fn from_iter<I: IntoIterator<Item = Flag>>(flags: I) -> Self {
        let mut set = Self::new();
        set.extend(flags);
        set
    }
}

impl From<Flag> for Flags {
    fn from(flag: Flag) -> Self {
        Self { flags: vec![flag] }
    }
}

impl<const N: usize> From<[Flag; N]> for Flags {
    fn from(flags: [Flag; N]) -> Self {
        flags.into_iter().collect()
    }
}

impl From<Vec<Flag>> for Flags {
    fn from(flags: Vec<Flag>) -> Self {
        flags.into_iter().collect()
    }
}

impl From<&[Flag]> for Flags {
    fn from(flags: &[Flag]) -> Self {
        flags.iter().cloned().collect()
    }
}

impl From<&Flags> for Flags {
    fn from(flags: &Flags) -> Self {
        flags.clone()
    }
}

impl IntoIterator for Flags {
    type Item = Flag;
    type IntoIter = std::vec::IntoIter<Flag>;

    fn into_iter(self) -> Self::IntoIter {
        self.flags.into_iter()
    }
}

impl<'a> IntoIterator for &'a Flags {
    type Item = &'a Flag;
    type IntoIter = std::slice::Iter<'a, Flag>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_flags_are_read_in_any_case_and_only_as_wholes() {
        assert_eq!(Flag::from_wire(b"\\sEEN"), Some(Flag::Seen));
        assert_eq!(Flag::from_wire(b"\\*"), Some(Flag::AnyKeyword));
        assert_eq!(
            Flag::from_wire(b"\\SeenBefore").map(|flag| flag.to_string()),
            Some("\\SeenBefore".to_owned())
        );
        assert_eq!(
            Flag::from_wire(b"Seen"),
            Some(Flag::keyword("Seen").unwrap())
        );
    }

    #[test]
    fn a_flag_that_could_end_a_list_is_refused() {
        for bad in [
            &b""[..],
            b"\\",
            b"a b",
            b"a)",
            b"a\r\nb",
            b"(a",
            b"\xff",
            b"a\0",
        ] {
            assert_eq!(Flag::from_wire(bad), None, "{bad:?}");
        }
        for odd in [&b"a]b"[..], b"100%", b"\xc3\xa9", b"a{1}"] {
            assert_eq!(Flag::from_wire(odd).unwrap().to_string().as_bytes(), odd);
        }
    }

    #[test]
    fn keywords_compare_without_case_and_hash_alike() {
        let set: std::collections::HashSet<Flag> = ["$Junk", "$JUNK", "$junk"]
            .iter()
            .map(|name| Flag::keyword(name).unwrap())
            .collect();
        assert_eq!(set.len(), 1);
        for bad in ["", "a b", "a]", "é", "\\Seen", "a*", "\"", "a\r\nb"] {
            assert!(Flag::keyword(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_set_holds_each_flag_once() {
        let mut flags = Flags::from([Flag::Draft, Flag::Seen]);
        assert!(!flags.insert(Flag::Seen));
        assert!(flags.insert(Flag::keyword("a").unwrap()));
        flags.extend([Flag::keyword("A").unwrap(), Flag::Answered]);
        assert_eq!(flags.to_string(), "(\\Seen \\Answered \\Draft a)");
        assert!(flags.remove(&Flag::Seen) && !flags.remove(&Flag::Seen));
        assert_eq!(Flags::new().to_string(), "()");
    }
}
