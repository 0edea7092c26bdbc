//! From imap-proto's values, which hold placeholders, to this crate's.

use super::normalise::{NO_PARTS_TYPE, Normalised};
use crate::types::body_structure::{
    BodyContent, BodyStructure, Disposition, Parameter, PartFields, TransferEncoding,
};
use crate::types::envelope::{Address, AddressList, Envelope};
use crate::types::raw_text::RawText;
use imap_proto as proto;
use std::borrow::Cow;

/// A placeholder that stands for nothing: the parser gave back what it was not given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unresolved;

type Resolved<T> = Result<T, Unresolved>;

impl Normalised {
    pub(super) fn envelope(&self, from: &proto::Envelope<'_>) -> Resolved<Envelope> {
        Ok(Envelope {
            date: self.bytes(&from.date)?,
            subject: self.bytes(&from.subject)?,
            from: self.addresses(&from.from)?,
            sender: self.addresses(&from.sender)?,
            reply_to: self.addresses(&from.reply_to)?,
            to: self.addresses(&from.to)?,
            cc: self.addresses(&from.cc)?,
            bcc: self.addresses(&from.bcc)?,
            in_reply_to: self.bytes(&from.in_reply_to)?,
            message_id: self.bytes(&from.message_id)?,
        })
    }

    /// Recurses; the normaliser has bounded the nesting.
    pub(super) fn body_structure(
        &self,
        from: &proto::BodyStructure<'_>,
    ) -> Resolved<BodyStructure> {
        let (common, content) = match from {
            proto::BodyStructure::Basic { common, other, .. } => {
                (common, BodyContent::Basic(self.fields(other)?))
            }
            proto::BodyStructure::Text {
                common,
                other,
                lines,
                ..
            } => {
                let fields = self.fields(other)?;
                let lines = Some(self.number(*lines)?);
                (common, BodyContent::Text { fields, lines })
            }
            proto::BodyStructure::Message {
                common,
                other,
                envelope,
                body,
                lines,
                ..
            } => {
                let content = BodyContent::Message {
                    fields: self.fields(other)?,
                    envelope: Box::new(self.envelope(envelope)?),
                    body: Box::new(self.body_structure(body)?),
                    lines: self.number(*lines)?,
                };
                (common, content)
            }
            proto::BodyStructure::Multipart { common, bodies, .. } => {
                let parts = bodies.iter().filter(|body| !stands_in(body));
                let parts = parts.map(|part| self.body_structure(part));
                (
                    common,
                    BodyContent::Multipart(parts.collect::<Resolved<_>>()?),
                )
            }
        };
        let language = common.language.iter().flatten();
        let mut structure = BodyStructure {
            media_type: self.text(&common.ty.ty)?,
            subtype: self.text(&common.ty.subtype)?,
            parameters: self.parameters(&common.ty.params)?,
            disposition: match &common.disposition {
                None => None,
                Some(disposition) => Some(Disposition {
                    kind: self.text(&disposition.ty)?,
                    parameters: self.parameters(&disposition.params)?,
                }),
            },
            language: language
                .map(|tag| self.text(tag))
                .collect::<Resolved<_>>()?,
            location: self.optional(&common.location)?,
            content,
        };
        self.set_global(from, &mut structure);
        self.set_text(&mut structure);
        Ok(structure)
    }

    /// A text whose length in lines the server left out has come out as a basic part.
    fn set_text(&self, structure: &mut BodyStructure) {
        match &mut structure.content {
            BodyContent::Basic(fields) if structure.media_type == "TEXT" => {
                structure.content = BodyContent::Text {
                    fields: std::mem::take(fields),
                    lines: None,
                };
            }
            _ => {}
        }
    }

    /// Names `message/global` as what it is.
    fn set_global(&self, from: &proto::BodyStructure<'_>, structure: &mut BodyStructure) {
        let octets = match from {
            proto::BodyStructure::Basic { other, .. }
            | proto::BodyStructure::Message { other, .. } => other.octets,
            _ => return,
        };
        if self.global_messages.binary_search(&octets).is_ok() {
            structure.subtype = RawText::from("GLOBAL");
        }
    }

    fn fields(&self, from: &proto::BodyContentSinglePart<'_>) -> Resolved<PartFields> {
        Ok(PartFields {
            id: self.optional(&from.id)?,
            description: self.optional(&from.description)?,
            encoding: match &from.transfer_encoding {
                proto::ContentEncoding::SevenBit => TransferEncoding::SevenBit,
                proto::ContentEncoding::EightBit => TransferEncoding::EightBit,
                proto::ContentEncoding::Binary => TransferEncoding::Binary,
                proto::ContentEncoding::Base64 => TransferEncoding::Base64,
                proto::ContentEncoding::QuotedPrintable => TransferEncoding::QuotedPrintable,
                proto::ContentEncoding::Other(name) => {
                    TransferEncoding::from_name(self.text(name)?)
                }
            },
            size: self.number(from.octets)?,
            md5: self.optional(&from.md5)?,
        })
    }

    fn parameters(&self, from: &proto::BodyParams<'_>) -> Resolved<Vec<Parameter>> {
        let parameters = from.iter().flatten();
        let parameters = parameters.map(|(name, value)| {
            Ok(Parameter {
                name: self.text(name)?,
                value: self.text(value)?,
            })
        });
        parameters.collect()
    }

    fn addresses(&self, from: &Option<Vec<proto::Address<'_>>>) -> Resolved<AddressList> {
        let flat = from.iter().flatten().map(|address| {
            Ok(Address {
                name: self.bytes(&address.name)?,
                route: self.bytes(&address.adl)?,
                mailbox: self.bytes(&address.mailbox)?,
                host: self.bytes(&address.host)?,
            })
        });
        Ok(AddressList::from_flat(flat.collect::<Resolved<_>>()?))
    }

    fn number(&self, place: u32) -> Resolved<u64> {
        let number = self
            .numbers
            .get(usize::try_from(place).unwrap_or(usize::MAX));
        number.copied().ok_or(Unresolved)
    }

    fn bytes(&self, text: &Option<Cow<'_, [u8]>>) -> Resolved<Option<RawText>> {
        text.as_deref().map(|text| self.resolve(text)).transpose()
    }

    fn optional(&self, text: &Option<Cow<'_, str>>) -> Resolved<Option<RawText>> {
        text.as_deref().map(|text| self.text(text)).transpose()
    }

    fn text(&self, text: &str) -> Resolved<RawText> {
        self.resolve(text.as_bytes())
    }

    fn resolve(&self, text: &[u8]) -> Resolved<RawText> {
        for known in ["TEXT", "MESSAGE", "RFC822", "MULTIPART"] {
            if text == known.as_bytes() {
                return Ok(RawText::from(known));
            }
        }
        let place = text.strip_prefix(b"#").ok_or(Unresolved)?;
        let place = std::str::from_utf8(place).map_err(|_| Unresolved)?;
        let place: usize = place.parse().map_err(|_| Unresolved)?;
        let string = self.strings.get(place).ok_or(Unresolved)?;
        Ok(RawText::from(string.clone()))
    }
}

/// Whether this is what stands in for the parts of a multipart without any.
fn stands_in(body: &proto::BodyStructure<'_>) -> bool {
    matches!(body, proto::BodyStructure::Basic { common, .. } if common.ty.ty == NO_PARTS_TYPE)
}
