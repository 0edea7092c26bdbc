//! `ENVELOPE`, `BODYSTRUCTURE` and `BODY`: the work of imap-proto.
//!
//! The two attributes have by far the largest grammar of IMAP, and imap-proto reads it
//! well, provided that it is given the one form in which it loses nothing and cannot be
//! misled: see [`normalise`](mod@self::normalise). It gets a FETCH response with that one
//! attribute, and the result counts only if it is that one attribute, with nothing left.

mod convert;
mod normalise;

use self::normalise::{Normalised, Root, normalise};
use crate::types::body_structure::BodyStructure;
use crate::types::envelope::{AttributeError, AttributeErrorKind, Envelope};
use crate::types::limits::Limits;
use crate::wire::lexer::{Lexer, ParseError, Reason};
use imap_proto::AttributeValue;

/// How far a server may go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub nesting: usize,
    pub items: usize,
}

impl Bounds {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            nesting: limits.nesting(),
            items: limits.list_items(),
        }
    }
}

/// Reads an envelope.
///
/// # Errors
/// Only if it cannot be told where the envelope ends; one that is not understood is the
/// inner error.
pub(super) fn envelope(
    lexer: &mut Lexer<'_>,
    bounds: Bounds,
) -> Result<Result<Box<Envelope>, AttributeError>, ParseError> {
    contained(lexer, "ENVELOPE", |lexer| {
        let normalised = normalise(
            lexer,
            Root::Envelope,
            "ENVELOPE",
            bounds.nesting,
            bounds.items,
        )?;
        match parse(&normalised) {
            Some(AttributeValue::Envelope(envelope)) => normalised.envelope(&envelope).ok(),
            _ => None,
        }
        .map(Box::new)
        .ok_or_else(|| lexer.error("not an envelope"))
    })
}

/// Reads a body structure, of `BODYSTRUCTURE` or of `BODY`.
///
/// # Errors
/// As for [`envelope`].
pub(super) fn body_structure(
    lexer: &mut Lexer<'_>,
    bounds: Bounds,
) -> Result<Result<Box<BodyStructure>, AttributeError>, ParseError> {
    contained(lexer, "BODYSTRUCTURE", |lexer| {
        let normalised = normalise(
            lexer,
            Root::Body,
            "BODYSTRUCTURE",
            bounds.nesting,
            bounds.items,
        )?;
        match parse(&normalised) {
            Some(AttributeValue::BodyStructure(body)) => normalised.body_structure(&body).ok(),
            _ => None,
        }
        .map(Box::new)
        .ok_or_else(|| lexer.error("not a body structure"))
    })
}

/// Keeps an error to the attribute: the value is passed over, and kept as it came.
fn contained<T>(
    lexer: &mut Lexer<'_>,
    attribute: &'static str,
    read: impl FnOnce(&mut Lexer<'_>) -> Result<T, ParseError>,
) -> Result<Result<T, AttributeError>, ParseError> {
    let start = lexer.mark();
    let error = match read(lexer) {
        Ok(value) => return Ok(Ok(value)),
        Err(error) => error,
    };
    lexer.rewind(start);
    // Passing over it takes no stack, however deep it is.
    lexer.skip_value(usize::MAX)?;
    Ok(Err(AttributeError {
        attribute,
        kind: match error.reason {
            Reason::Syntax(reason) => AttributeErrorKind::Malformed(reason),
            Reason::Nesting(limit) => AttributeErrorKind::TooDeep { limit },
            Reason::Items(limit) => AttributeErrorKind::TooManyItems { limit },
        },
        raw: lexer.raw_since(start),
    }))
}

/// The one attribute of the response, if there is exactly one and nothing is left.
fn parse(normalised: &Normalised) -> Option<AttributeValue<'_>> {
    match imap_proto::Response::parse(normalised.text.as_bytes()) {
        Ok((b"", imap_proto::Response::Fetch(1, mut attributes))) if attributes.len() == 1 => {
            attributes.pop()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
