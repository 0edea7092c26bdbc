//! Parts of a message that FETCH can name (RFC 9051 §6.4.5, `section`).

use std::fmt::{self, Write as _};
use std::num::{NonZeroU32, NonZeroUsize};
use std::str::FromStr;

use super::flag::is_atom_byte;
use super::invalid::InvalidArgument;

/// Part numbers deeper than this name nothing that a message has.
const MAX_DEPTH: usize = 1_000;

/// A section of a message: what stands between the brackets of `BODY[...]`.
///
/// ```
/// use mailpool::{PartPath, Section};
/// assert_eq!(Section::full().to_string(), "");
/// assert_eq!(Section::header_fields(["Subject", "From"])?.to_string(),
///     "HEADER.FIELDS (FROM SUBJECT)");
/// let attachment: PartPath = "2.1".parse()?;
/// assert_eq!(Section::part(attachment.clone()).to_string(), "2.1");
/// assert_eq!(Section::mime(attachment).to_string(), "2.1.MIME");
/// assert_eq!("2.1.mime".parse::<Section>()?.to_string(), "2.1.MIME");
/// # Ok::<(), mailpool::InvalidArgument>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Section {
    path: Option<PartPath>,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Kind {
    /// The whole of the message or the part.
    Content,
    Header,
    HeaderFields(FieldNames),
    HeaderFieldsNot(FieldNames),
    Text,
    Mime,
}

/// Names of header fields: upper case, sorted, each once. The server returns fields in the
/// order of the message and takes names in any case, so nothing is lost, and a section that
/// the server sends back in other words is known again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct FieldNames(Vec<Box<str>>);

impl Section {
    /// The whole message, `BODY[]`.
    pub const fn full() -> Self {
        Self {
            path: None,
            kind: Kind::Content,
        }
    }

    /// The header of the message with the empty line behind it, `HEADER`.
    pub const fn header() -> Self {
        Self {
            path: None,
            kind: Kind::Header,
        }
    }

    /// The body of the message without its header, `TEXT`.
    pub const fn text() -> Self {
        Self {
            path: None,
            kind: Kind::Text,
        }
    }

    /// The header fields with these names, `HEADER.FIELDS`, in the order of the message.
    ///
    /// # Errors
    /// When there is no name, or one that no header field can have (RFC 5322 §2.2).
    pub fn header_fields<N: AsRef<str>>(
        names: impl IntoIterator<Item = N>,
    ) -> Result<Self, InvalidArgument> {
        Ok(Self {
            path: None,
            kind: Kind::HeaderFields(FieldNames::new(names)?),
        })
    }

    /// The header fields with other names than these, `HEADER.FIELDS.NOT`.
    ///
    /// # Errors
    /// When there is no name, or one that no header field can have (RFC 5322 §2.2).
    pub fn header_fields_not<N: AsRef<str>>(
        names: impl IntoIterator<Item = N>,
    ) -> Result<Self, InvalidArgument> {
        Ok(Self {
            path: None,
            kind: Kind::HeaderFieldsNot(FieldNames::new(names)?),
        })
    }

    /// The content of a MIME part, still in its transfer encoding.
    pub const fn part(path: PartPath) -> Self {
        Self {
            path: Some(path),
            kind: Kind::Content,
        }
    }

    /// The MIME header of a part, `MIME`.
    pub const fn mime(path: PartPath) -> Self {
        Self {
            path: Some(path),
            kind: Kind::Mime,
        }
    }

    /// The same section of the message that the part at `path` contains (a part of type
    /// `message/rfc822`): of [`header`](Self::header), `2.HEADER`. Of a section that already
    /// has a part, the path is put before its own.
    #[must_use]
    pub fn within(mut self, path: PartPath) -> Self {
        self.path = Some(match self.path {
            None => path,
            Some(own) => PartPath(path.0.into_iter().chain(own.0).collect()),
        });
        self
    }

    /// The part that the section belongs to; `None` where it is the message's own.
    pub const fn path(&self) -> Option<&PartPath> {
        self.path.as_ref()
    }

    /// Reads what a server put into the brackets: the words before the list of header fields,
    /// and the list. `None` for what is no section.
    pub(crate) fn from_wire<'a>(
        specification: &[u8],
        fields: impl IntoIterator<Item = &'a [u8]>,
    ) -> Option<Self> {
        let text = std::str::from_utf8(specification).ok()?;
        // The path ends before the first level that is no number.
        let levels = text
            .split('.')
            .take_while(|level| !level.is_empty() && level.bytes().all(|b| b.is_ascii_digit()));
        let split = levels.fold(0, |end, level| end + level.len() + 1);
        let (path, word) = match text.split_at_checked(split) {
            Some((path, word)) => (path.strip_suffix('.').unwrap_or(path), word),
            None => (text, ""),
        };
        if split > 0 && word.is_empty() && text.ends_with('.') {
            return None;
        }
        let path = if path.is_empty() {
            None
        } else {
            Some(path.parse().ok()?)
        };
        let mut fields = fields.into_iter().peekable();
        let has_fields = fields.peek().is_some();
        let names = || FieldNames::from_wire(fields);
        let kind = match word.to_ascii_uppercase().as_str() {
            "HEADER.FIELDS" => Kind::HeaderFields(names()?),
            "HEADER.FIELDS.NOT" => Kind::HeaderFieldsNot(names()?),
            _ if has_fields => return None,
            "" => Kind::Content,
            "HEADER" => Kind::Header,
            "TEXT" => Kind::Text,
            "MIME" if path.is_some() => Kind::Mime,
            _ => return None,
        };
        Some(Self { path, kind })
    }
}

/// What stands between the brackets.
impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            path.fmt(f)?;
            if self.kind != Kind::Content {
                f.write_char('.')?;
            }
        }
        match &self.kind {
            Kind::Content => Ok(()),
            Kind::Header => f.write_str("HEADER"),
            Kind::HeaderFields(names) => write!(f, "HEADER.FIELDS {names}"),
            Kind::HeaderFieldsNot(names) => write!(f, "HEADER.FIELDS.NOT {names}"),
            Kind::Text => f.write_str("TEXT"),
            Kind::Mime => f.write_str("MIME"),
        }
    }
}

/// Reads what `Display` writes, in any case. Names of header fields may be quoted if they hold
/// neither a space nor a quote.
impl FromStr for Section {
    type Err = InvalidArgument;

    fn from_str(text: &str) -> Result<Self, InvalidArgument> {
        let error = InvalidArgument::new("section", "does not follow the grammar");
        let section = match text.split_once(' ') {
            None => Self::from_wire(text.as_bytes(), []),
            Some((words, list)) => {
                let list = list
                    .strip_prefix('(')
                    .and_then(|list| list.strip_suffix(')'));
                let names: Option<Vec<_>> = list.ok_or(error)?.split(' ').map(unquote).collect();
                let names = names.ok_or(error)?;
                Self::from_wire(words.as_bytes(), names.into_iter().map(str::as_bytes))
            }
        };
        section.ok_or(error)
    }
}

fn unquote(name: &str) -> Option<&str> {
    match name.strip_prefix('"') {
        None => Some(name),
        Some(name) => name.strip_suffix('"'),
    }
}

impl FieldNames {
    fn new<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Result<Self, InvalidArgument> {
        let mut upper = Vec::new();
        for name in names {
            let name = name.as_ref();
            // ftext of RFC 5322 §3.6.8.
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic() && b != b':') {
                let reason = "is empty or holds a space, a colon, a control or non-ASCII character";
                return Err(InvalidArgument::new("header field name", reason));
            }
            upper.push(name.to_ascii_uppercase().into_boxed_str());
        }
        if upper.is_empty() {
            return Err(InvalidArgument::new(
                "list of header field names",
                "is empty",
            ));
        }
        upper.sort_unstable();
        upper.dedup();
        Ok(Self(upper))
    }

    fn from_wire<'a>(names: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let names: Option<Vec<_>> = names.map(|name| std::str::from_utf8(name).ok()).collect();
        Self::new(names?).ok()
    }
}

impl fmt::Display for FieldNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            f.write_char(if index == 0 { '(' } else { ' ' })?;
            if name.bytes().all(is_atom_byte) {
                f.write_str(name)?;
            } else {
                f.write_char('"')?;
                for character in name.chars() {
                    if matches!(character, '"' | '\\') {
                        f.write_char('\\')?;
                    }
                    f.write_char(character)?;
                }
                f.write_char('"')?;
            }
        }
        f.write_char(')')
    }
}

/// Where a MIME part is in its message: `1` is the first part, `1.2` the second part of the
/// first (RFC 9051 §6.4.5.1).
///
/// ```
/// use mailpool::PartPath;
/// let path = PartPath::new([1, 2]).ok_or("parts count from 1")?;
/// assert_eq!(path.to_string(), "1.2");
/// assert_eq!("1.2".parse(), Ok(path));
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartPath(Vec<NonZeroU32>);

impl PartPath {
    /// Makes a path from its part numbers; `None` when there is none, or a zero, or more than
    /// 1,000.
    pub fn new(numbers: impl IntoIterator<Item = u32>) -> Option<Self> {
        let path = numbers.into_iter().take(MAX_DEPTH + 1).map(NonZeroU32::new);
        let path = path.collect::<Option<Vec<_>>>()?;
        (1..=MAX_DEPTH).contains(&path.len()).then_some(Self(path))
    }

    /// The part numbers, outermost first.
    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        self.0.iter().map(|number| number.get())
    }

    /// The path of a part inside this one.
    #[must_use]
    pub fn child(&self, number: NonZeroU32) -> Self {
        Self(self.0.iter().copied().chain([number]).collect())
    }

    /// How many levels the path has.
    pub fn depth(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.0.len()).unwrap_or(NonZeroUsize::MIN)
    }
}

impl fmt::Display for PartPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, number) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_char('.')?;
            }
            number.fmt(f)?;
        }
        Ok(())
    }
}

impl FromStr for PartPath {
    type Err = InvalidArgument;

    fn from_str(text: &str) -> Result<Self, InvalidArgument> {
        let number = |level: &str| {
            let digits = level.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| level.parse().ok()).flatten()
        };
        let numbers: Option<Vec<u32>> = text.split('.').take(MAX_DEPTH + 1).map(number).collect();
        numbers.and_then(Self::new).ok_or(InvalidArgument::new(
            "part path",
            "is not of the form 1.2.3",
        ))
    }
}

/// A range of the bytes of a section (RFC 9051 §6.4.5, `partial`).
///
/// The server gives fewer bytes where the section ends earlier, and none where it ends before
/// the range begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Partial {
    offset: u64,
    len: NonZeroU32,
}

impl Partial {
    /// `len` bytes from `offset`, counted from 0. A server that knows only IMAP4rev1 takes
    /// offsets below 2<sup>32</sup>.
    pub const fn new(offset: u64, len: NonZeroU32) -> Self {
        Self { offset, len }
    }

    /// Where the range begins, in bytes.
    pub const fn offset(self) -> u64 {
        self.offset
    }

    /// How many bytes it has at most.
    pub const fn len(self) -> NonZeroU32 {
        self.len
    }
}

/// What stands behind the section: `<0.1024>`.
impl fmt::Display for Partial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}.{}>", self.offset, self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(text: &str) -> Option<Section> {
        Section::from_wire(text.as_bytes(), [])
    }

    #[test]
    fn sections_are_written_and_known_again() {
        let path = || PartPath::new([1, 23]).unwrap();
        for (section, text) in [
            (Section::full(), ""),
            (Section::header(), "HEADER"),
            (Section::text(), "TEXT"),
            (Section::part(path()), "1.23"),
            (Section::mime(path()), "1.23.MIME"),
            (Section::header().within(path()), "1.23.HEADER"),
            (Section::text().within(path()), "1.23.TEXT"),
            (
                Section::mime(path()).within(PartPath::new([7]).unwrap()),
                "7.1.23.MIME",
            ),
            (
                Section::header_fields(["to", "From", "TO"]).unwrap(),
                "HEADER.FIELDS (FROM TO)",
            ),
            (
                Section::header_fields_not(["X-(a)\"\\"])
                    .unwrap()
                    .within(path()),
                "1.23.HEADER.FIELDS.NOT (\"X-(A)\\\"\\\\\")",
            ),
        ] {
            assert_eq!(section.to_string(), text);
            if !text.contains('"') {
                assert_eq!(text.parse(), Ok(section.clone()));
                assert_eq!(text.to_ascii_lowercase().parse(), Ok(section));
            }
        }
        assert_eq!(
            "header.fields (\"from\")".parse(),
            Section::header_fields(["FROM"])
        );
    }

    #[test]
    fn what_the_server_says_in_another_case_and_order_is_the_same() {
        let asked = Section::header_fields(["Subject", "From", "Date"]).unwrap();
        let said = Section::from_wire(b"header.Fields", [&b"DATE"[..], b"from", b"SUBJECT"]);
        assert_eq!(said, Some(asked));
    }

    #[test]
    fn what_is_no_section_is_refused() {
        for bad in [
            "MIME",
            "0",
            "1.0",
            "1.",
            ".1",
            "1..2",
            "HEADERS",
            "1.HEADER.2",
            "4294967296",
            "+1",
            "é",
        ] {
            assert_eq!(wire(bad), None, "{bad}");
        }
        assert_eq!(wire("HEADER.FIELDS"), None);
        assert_eq!(Section::from_wire(b"TEXT", [&b"A"[..]]), None);
        assert_eq!(Section::from_wire(b"HEADER.FIELDS", [&b"A\r\nB"[..]]), None);
        assert!(Section::header_fields(["a:b"]).is_err());
        assert!(Section::header_fields(["a b"]).is_err());
        assert!(Section::header_fields::<&str>([]).is_err());
        assert!(PartPath::new([]).is_none() && PartPath::new([1, 0]).is_none());
        assert!(PartPath::new(std::iter::repeat(1)).is_none());
    }
}
