//! Just enough MIME for ENVELOPE, BODYSTRUCTURE, sections and SEARCH.
//!
//! Nothing is decoded that IMAP hands over as it is. Any bytes are a message: what cannot be
//! understood is text.

mod address;
mod field;
mod words;

use std::ops::Range;

pub(crate) use address::{Address, parse_addresses};
pub(crate) use field::{Parameterised, parse_parameterised};
pub(crate) use words::decode_words;

use crate::store::Synthetic;

/// Deeper nesting is served as a leaf.
const MAX_DEPTH: usize = 30;
/// Further parts of a multipart are passed over.
const MAX_PARTS: usize = 1000;

/// A field of a header.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    /// The value, unfolded and trimmed.
    pub(crate) value: Vec<u8>,
    /// The whole field with its CRLF, as offsets into the message.
    pub(crate) range: Range<u64>,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Leaf,
    Multipart(Vec<Part>),
    Message(Box<Part>),
}

/// A part of a message, or the message itself.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// The header with the empty line that ends it.
    pub(crate) header: Range<u64>,
    pub(crate) body: Range<u64>,
    pub(crate) fields: Vec<Field>,
    pub(crate) content_type: Parameterised,
    pub(crate) kind: Kind,
    /// The number of lines in the body.
    pub(crate) lines: u64,
}

impl Part {
    /// Parses a message.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        parse_part(bytes, 0..bytes.len(), 0, "text", "plain")
    }

    /// A message of `len` bytes that begins with `bytes` and has a plain body.
    pub(crate) fn synthetic(bytes: &[u8], len: u64) -> Self {
        let mut part = Self::parse(bytes);
        part.body.end = len;
        part.lines = Synthetic::body_lines(part.body.end - part.body.start);
        part.kind = Kind::Leaf;
        part
    }

    /// The value of the first field with this name.
    pub(crate) fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields
            .iter()
            .find(|field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value.as_slice())
    }

    /// The part with this number (RFC 9051 §6.4.5.1): part 1 of what is not a multipart is its
    /// body.
    pub(crate) fn find(&self, numbers: &[u32]) -> Option<&Self> {
        let mut part = self;
        for (depth, &number) in numbers.iter().enumerate() {
            // Below the top, numbers count inside the message that a part carries.
            let container = match &part.kind {
                Kind::Message(inner) if depth > 0 => inner,
                _ => part,
            };
            part = match &container.kind {
                Kind::Multipart(parts) => {
                    let index = usize::try_from(number).ok()?.checked_sub(1)?;
                    parts.get(index)?
                }
                // A message of one part, at the top or carried by a part.
                _ if number == 1 && (depth == 0 || !std::ptr::eq(container, part)) => container,
                _ => return None,
            };
        }
        Some(part)
    }
}

fn parse_part(
    bytes: &[u8],
    range: Range<usize>,
    depth: usize,
    default_type: &str,
    default_subtype: &str,
) -> Part {
    let (fields, body_start) = parse_header(bytes, range.clone());
    let body = body_start..range.end;
    let content_type = fields
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case("content-type"))
        .and_then(|field| parse_parameterised(&field.value))
        .filter(|parsed| parsed.value.contains('/'))
        .unwrap_or_else(|| Parameterised::plain(default_type, default_subtype));
    let value = content_type.value.to_ascii_lowercase();
    let text = bytes.get(body.clone()).unwrap_or_default();
    let encoded = fields
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case("content-transfer-encoding"))
        .is_some_and(|field| {
            [b"base64".as_slice(), b"quoted-printable"]
                .iter()
                .any(|name| field.value.eq_ignore_ascii_case(name))
        });
    let boundary = content_type.parameter("boundary").map(str::to_owned);
    let kind = match boundary {
        _ if depth >= MAX_DEPTH => Kind::Leaf,
        Some(boundary) if value.starts_with("multipart/") => {
            let inner = if value == "multipart/digest" {
                ("message", "rfc822")
            } else {
                ("text", "plain")
            };
            let mut parts: Vec<Part> = split_multipart(bytes, body.clone(), boundary.as_bytes())
                .into_iter()
                .map(|range| parse_part(bytes, range, depth + 1, inner.0, inner.1))
                .collect();
            if parts.is_empty() {
                parts.push(parse_part(
                    bytes,
                    range.end..range.end,
                    depth + 1,
                    "text",
                    "plain",
                ));
            }
            Kind::Multipart(parts)
        }
        _ if (value == "message/rfc822" || value == "message/global") && !encoded => {
            let inner = parse_part(bytes, body.clone(), depth + 1, "text", "plain");
            Kind::Message(Box::new(inner))
        }
        _ => Kind::Leaf,
    };
    // A multipart without a boundary is served as text.
    let content_type = if value.starts_with("multipart/") && matches!(kind, Kind::Leaf) {
        Parameterised::plain("text", "plain")
    } else {
        content_type
    };
    Part {
        header: range.start as u64..body.start as u64,
        body: body.start as u64..body.end as u64,
        fields,
        content_type,
        kind,
        lines: text.iter().filter(|&&byte| byte == b'\n').count() as u64,
    }
}

/// The lines of `range` with their line ends, as offsets.
fn lines(bytes: &[u8], range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let mut at = range.start;
    std::iter::from_fn(move || {
        let rest = bytes.get(at..range.end).filter(|rest| !rest.is_empty())?;
        let len = rest
            .iter()
            .position(|&byte| byte == b'\n')
            .map_or(rest.len(), |end| end + 1);
        let line = at..at + len;
        at += len;
        Some(line)
    })
}

fn parse_header(bytes: &[u8], range: Range<usize>) -> (Vec<Field>, usize) {
    let mut fields: Vec<Field> = Vec::new();
    for line in lines(bytes, range.clone()) {
        let text = bytes.get(line.clone()).unwrap_or_default();
        let trimmed = text.trim_ascii_end();
        if trimmed.is_empty() && !text.starts_with(b" ") && !text.starts_with(b"\t") {
            return (fields, line.end);
        }
        if text.starts_with(b" ") || text.starts_with(b"\t") {
            if let Some(field) = fields.last_mut() {
                field.value.push(b' ');
                field.value.extend_from_slice(text.trim_ascii());
                field.range.end = line.end as u64;
            }
            continue;
        }
        let Some(colon) = text.iter().position(|&byte| byte == b':') else {
            continue;
        };
        let (name, value) = text.split_at(colon);
        fields.push(Field {
            name: String::from_utf8_lossy(name.trim_ascii()).into_owned(),
            value: value.get(1..).unwrap_or_default().trim_ascii().to_vec(),
            range: line.start as u64..line.end as u64,
        });
    }
    (fields, range.end)
}

fn split_multipart(bytes: &[u8], body: Range<usize>, boundary: &[u8]) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut start = None;
    for line in lines(bytes, body.clone()) {
        let text = bytes.get(line.clone()).unwrap_or_default();
        let Some(rest) = text
            .strip_prefix(b"--")
            .and_then(|rest| rest.strip_prefix(boundary))
        else {
            continue;
        };
        let rest = rest.trim_ascii_end();
        let closes = rest == b"--";
        if !rest.is_empty() && !closes {
            continue;
        }
        if let Some(start) = start.take() {
            // The line end before the delimiter belongs to the delimiter.
            let before = bytes.get(start..line.start).unwrap_or_default();
            let end = before
                .strip_suffix(b"\r\n")
                .or_else(|| before.strip_suffix(b"\n"))
                .unwrap_or(before);
            parts.push(start..start + end.len());
        }
        if closes || parts.len() >= MAX_PARTS {
            return parts;
        }
        start = Some(line.end);
    }
    if let Some(start) = start {
        parts.push(start..body.end);
    }
    parts
}

#[cfg(test)]
mod tests;
