//! Sections of messages: which bytes `BODY[...]` means (RFC 9051 §6.4.5.1).

use imap_codec::imap_types::core::AString;
use imap_codec::imap_types::fetch::{Part as PartNumbers, Section};

use crate::mime::{Kind, Part};
use crate::store::message::Content;

/// The bytes of a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Bytes {
    /// A piece of the message.
    Range(u64, u64),
    /// Put together from fields.
    Made(Vec<u8>),
}

impl Bytes {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Range(start, end) => end.saturating_sub(*start),
            Self::Made(bytes) => bytes.len() as u64,
        }
    }
}

/// Finds a section; `None` if the message has no such part.
pub(super) fn find(
    content: &Content,
    message: &Part,
    section: Option<&Section<'_>>,
) -> Option<Bytes> {
    let range = |range: &std::ops::Range<u64>| Some(Bytes::Range(range.start, range.end));
    let Some(section) = section else {
        return Some(Bytes::Range(0, content.len()));
    };
    match section {
        Section::Part(part) => range(&message.find(&numbers(part))?.body),
        Section::Mime(part) => range(&message.find(&numbers(part))?.header),
        Section::Header(part) => range(&carried(message, part.as_ref())?.header),
        Section::Text(part) => range(&carried(message, part.as_ref())?.body),
        Section::HeaderFields(part, names) => {
            let carried = carried(message, part.as_ref())?;
            Some(fields(content, carried, names.as_ref(), true))
        }
        Section::HeaderFieldsNot(part, names) => {
            let carried = carried(message, part.as_ref())?;
            Some(fields(content, carried, names.as_ref(), false))
        }
    }
}

fn numbers(part: &PartNumbers) -> Vec<u32> {
    part.0.as_ref().iter().map(|number| number.get()).collect()
}

/// The message itself, or the one that a part carries.
fn carried<'a>(message: &'a Part, part: Option<&PartNumbers>) -> Option<&'a Part> {
    let Some(part) = part else {
        return Some(message);
    };
    match &message.find(&numbers(part))?.kind {
        Kind::Message(inner) => Some(inner),
        _ => None,
    }
}

fn fields(content: &Content, part: &Part, names: &[AString<'_>], wanted: bool) -> Bytes {
    let bytes = content.load();
    let mut made = Vec::new();
    for field in &part.fields {
        let named = names
            .iter()
            .any(|name| name.as_ref().eq_ignore_ascii_case(field.name.as_bytes()));
        if named == wanted {
            let start = usize::try_from(field.range.start).unwrap_or(usize::MAX);
            let end = usize::try_from(field.range.end).unwrap_or(usize::MAX);
            made.extend_from_slice(bytes.get(start..end).unwrap_or_default());
        }
    }
    made.extend_from_slice(b"\r\n");
    Bytes::Made(made)
}

/// The section as the response names it, without the brackets.
pub(super) fn name(section: Option<&Section<'_>>) -> String {
    let number = |part: &PartNumbers| {
        let numbers: Vec<String> = numbers(part).iter().map(u32::to_string).collect();
        numbers.join(".")
    };
    let prefix = |part: &Option<PartNumbers>| {
        part.as_ref()
            .map(|part| format!("{}.", number(part)))
            .unwrap_or_default()
    };
    let list = |names: &[AString<'_>]| {
        let names: Vec<String> = names
            .iter()
            .map(|name| match name {
                AString::Atom(atom) => atom.as_ref().to_owned(),
                AString::String(_) => {
                    let text = String::from_utf8_lossy(name.as_ref());
                    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
                }
            })
            .collect();
        names.join(" ")
    };
    match section {
        None => String::new(),
        Some(Section::Part(part)) => number(part),
        Some(Section::Mime(part)) => format!("{}.MIME", number(part)),
        Some(Section::Header(part)) => format!("{}HEADER", prefix(part)),
        Some(Section::Text(part)) => format!("{}TEXT", prefix(part)),
        Some(Section::HeaderFields(part, names)) => {
            format!("{}HEADER.FIELDS ({})", prefix(part), list(names.as_ref()))
        }
        Some(Section::HeaderFieldsNot(part, names)) => {
            format!(
                "{}HEADER.FIELDS.NOT ({})",
                prefix(part),
                list(names.as_ref())
            )
        }
    }
}
