//! The MIME structure of a message, parsed by the server.

use crate::types::envelope::Envelope;
use crate::types::raw_text::RawText;
use crate::types::section::PartPath;
use std::num::NonZeroU32;

/// The MIME structure of a message or of a part of it (RFC 9051 §7.5.2,
/// `BODYSTRUCTURE`).
///
/// With `BODY` instead of `BODYSTRUCTURE` the server leaves out `disposition`,
/// `language`, `location` and the parameters of multiparts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BodyStructure {
    /// The media type, such as `TEXT`. Compare without regard to case.
    pub media_type: RawText,
    /// The media subtype, such as `PLAIN`. Compare without regard to case.
    pub subtype: RawText,
    /// The parameters of `Content-Type`. RFC 2231 continuations are not put together.
    pub parameters: Vec<Parameter>,
    /// The `Content-Disposition`.
    pub disposition: Option<Disposition>,
    /// The `Content-Language` tags.
    pub language: Vec<RawText>,
    /// The `Content-Location`.
    pub location: Option<RawText>,
    /// What depends on the kind of body.
    pub content: BodyContent,
}

/// What depends on the kind of body.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyContent {
    /// A part that is neither text nor a message.
    Basic(PartFields),
    /// A text.
    Text {
        /// What every part has that is not a multipart.
        fields: PartFields,
        /// Its length in lines, encoded; `None` where the server does not say.
        lines: Option<u64>,
    },
    /// A message within the message (`message/rfc822`, `message/global`).
    Message {
        /// What every part has that is not a multipart.
        fields: PartFields,
        /// The inner message's envelope.
        envelope: Box<Envelope>,
        /// The inner message's structure.
        body: Box<BodyStructure>,
        /// Its length in lines, encoded.
        lines: u64,
    },
    /// Several parts; none at all in what some servers make of a broken message.
    Multipart(Vec<BodyStructure>),
}

/// What every part has that is not a multipart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartFields {
    /// The `Content-ID`.
    pub id: Option<RawText>,
    /// The `Content-Description`.
    pub description: Option<RawText>,
    /// The `Content-Transfer-Encoding`.
    pub encoding: TransferEncoding,
    /// Its length in octets, as encoded.
    pub size: u64,
    /// The `Content-MD5`.
    pub md5: Option<RawText>,
}

/// A content transfer encoding (RFC 2045 §6).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransferEncoding {
    /// `7bit`, also where the server does not name one.
    #[default]
    SevenBit,
    /// `8bit`
    EightBit,
    /// `binary`
    Binary,
    /// `base64`
    Base64,
    /// `quoted-printable`
    QuotedPrintable,
    /// Anything else.
    Other(RawText),
}

impl TransferEncoding {
    pub(crate) fn from_name(name: RawText) -> Self {
        for (known, encoding) in [
            ("7BIT", Self::SevenBit),
            ("8BIT", Self::EightBit),
            ("BINARY", Self::Binary),
            ("BASE64", Self::Base64),
            ("QUOTED-PRINTABLE", Self::QuotedPrintable),
        ] {
            if name.eq_ignore_ascii_case(known) {
                return encoding;
            }
        }
        Self::Other(name)
    }
}

/// A parameter of a header field.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Parameter {
    /// Its name. Compare without regard to case.
    pub name: RawText,
    /// Its value.
    pub value: RawText,
}

/// A `Content-Disposition` (RFC 2183).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Disposition {
    /// Such as `inline` or `attachment`. Compare without regard to case.
    pub kind: RawText,
    /// The parameters, among them the file name.
    pub parameters: Vec<Parameter>,
}

/// A part of a message with its part number.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Part<'a> {
    /// The part number, as in `BODY[1.2]` (RFC 9051 §6.4.5.1).
    pub path: PartPath,
    /// The part.
    pub structure: &'a BodyStructure,
}

impl BodyStructure {
    /// The value of a parameter of `Content-Type`.
    pub fn parameter(&self, name: &str) -> Option<&RawText> {
        find(&self.parameters, name)
    }

    /// The file name that the part suggests: of its disposition, else of its type. It is
    /// not decoded, and it is no safe path.
    pub fn file_name(&self) -> Option<&RawText> {
        let disposition = self.disposition.as_ref();
        disposition
            .and_then(|disposition| find(&disposition.parameters, "filename"))
            .or_else(|| self.parameter("name"))
    }

    /// What every part has that is not a multipart.
    pub fn fields(&self) -> Option<&PartFields> {
        match &self.content {
            BodyContent::Basic(fields)
            | BodyContent::Text { fields, .. }
            | BodyContent::Message { fields, .. } => Some(fields),
            BodyContent::Multipart(_) => None,
        }
    }

    /// Whether the media type is `media_type/subtype`.
    pub fn is(&self, media_type: &str, subtype: &str) -> bool {
        self.media_type.eq_ignore_ascii_case(media_type)
            && self.subtype.eq_ignore_ascii_case(subtype)
    }

    /// Every part that has a part number, in the order of the message, parts of inner
    /// messages included.
    ///
    /// A multipart that is the whole body of a message has no number of its own and is
    /// not among them; a message that is not a multipart has the one part `1`.
    pub fn parts(&self) -> Parts<'_> {
        let mut parts = Parts {
            pending: Vec::new(),
        };
        parts.enter_message(self, None);
        parts
    }
}

/// The parts of a message: see [`BodyStructure::parts`].
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    /// What comes next, last first.
    pending: Vec<Part<'a>>,
}

impl<'a> Parts<'a> {
    /// The body of the message whose own part number is `path`.
    fn enter_message(&mut self, body: &'a BodyStructure, path: Option<&PartPath>) {
        match &body.content {
            BodyContent::Multipart(parts) => self.enter_multipart(parts, path),
            _ => self.enter_multipart(std::slice::from_ref(body), path),
        }
    }

    fn enter_multipart(&mut self, parts: &'a [BodyStructure], path: Option<&PartPath>) {
        let numbered = (1..).filter_map(NonZeroU32::new).zip(parts);
        let children = numbered.filter_map(|(number, structure)| {
            let path = match path {
                Some(path) => path.child(number),
                None => PartPath::new([number.get()])?,
            };
            Some(Part { path, structure })
        });
        let before = self.pending.len();
        self.pending.extend(children);
        if let Some(children) = self.pending.get_mut(before..) {
            children.reverse();
        }
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        let part = self.pending.pop()?;
        match &part.structure.content {
            BodyContent::Multipart(parts) => self.enter_multipart(parts, Some(&part.path)),
            BodyContent::Message { body, .. } => self.enter_message(body, Some(&part.path)),
            BodyContent::Basic(_) | BodyContent::Text { .. } => {}
        }
        Some(part)
    }
}

fn find<'a>(parameters: &'a [Parameter], name: &str) -> Option<&'a RawText> {
    let mut found = parameters.iter();
    found
        .find(|parameter| parameter.name.eq_ignore_ascii_case(name))
        .map(|parameter| &parameter.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(media_type: &'static str, content: BodyContent) -> BodyStructure {
        BodyStructure {
            media_type: media_type.into(),
            subtype: "X".into(),
            parameters: vec![],
            disposition: None,
            language: vec![],
            location: None,
            content,
        }
    }

    fn leaf() -> BodyStructure {
        body("APPLICATION", BodyContent::Basic(PartFields::default()))
    }

    fn message(inner: BodyStructure) -> BodyStructure {
        let content = BodyContent::Message {
            fields: PartFields::default(),
            envelope: Box::default(),
            body: Box::new(inner),
            lines: 0,
        };
        body("MESSAGE", content)
    }

    fn multipart(parts: Vec<BodyStructure>) -> BodyStructure {
        body("MULTIPART", BodyContent::Multipart(parts))
    }

    fn paths(structure: &BodyStructure) -> Vec<String> {
        structure
            .parts()
            .map(|part| part.path.to_string())
            .collect()
    }

    #[test]
    fn part_numbers_of_rfc_9051_section_6_4_5_1() {
        // The RFC's example: 1 text, 2 octets, 3 message (3.1 text, 3.2 octets),
        // 4 multipart (4.1 image, 4.2 message (4.2.1 text, 4.2.2 multipart (4.2.2.1,
        // 4.2.2.2))).
        let structure = multipart(vec![
            leaf(),
            leaf(),
            message(multipart(vec![leaf(), leaf()])),
            multipart(vec![
                leaf(),
                message(multipart(vec![leaf(), multipart(vec![leaf(), leaf()])])),
            ]),
        ]);
        let expected = [
            "1", "2", "3", "3.1", "3.2", "4", "4.1", "4.2", "4.2.1", "4.2.2", "4.2.2.1", "4.2.2.2",
        ];
        assert_eq!(paths(&structure), expected);
    }

    #[test]
    fn a_message_that_is_no_multipart_has_one_part() {
        assert_eq!(paths(&leaf()), ["1"]);
        assert_eq!(paths(&message(leaf())), ["1", "1.1"]);
        assert_eq!(paths(&multipart(vec![])), [""; 0]);
    }
}
