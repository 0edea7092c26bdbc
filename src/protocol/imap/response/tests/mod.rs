//! Tests of response parsing.

mod fetch;
mod hazards;
mod mailboxes;
mod robustness;
mod samples;
mod speed;
mod status;

use super::attributes::{SectionData, SectionKind};
use super::*;
use crate::wire::lexer::{Reason, announcement};

/// Frames one response, as it stands on the wire.
fn frame(wire: &[u8]) -> Frame {
    try_frame(wire).expect("a framed response")
}

/// Frames one response; `None` if it is not exactly one. The last CRLF may be missing.
fn try_frame(wire: &[u8]) -> Option<Frame> {
    let wire = Bytes::copy_from_slice(wire.strip_suffix(b"\r\n").unwrap_or(wire));
    let mut frame = Frame::default();
    let mut texts = Vec::new();
    let mut literals = Vec::new();
    let mut at = 0;
    loop {
        let rest = wire.slice(at..);
        let line = memchr::memmem::find(&rest, b"\r\n").unwrap_or(rest.len());
        texts.push(rest.slice(..line));
        at += line + 2;
        if at > wire.len() {
            break;
        }
        let (_, length) = announcement(&rest[..line])?;
        let end = at.checked_add(usize::try_from(length).ok()?)?;
        if end > wire.len() {
            return None;
        }
        literals.push(wire.slice(at..end));
        at = end;
    }
    let mut texts = texts.into_iter();
    frame.head = texts.next()?;
    frame.rest = literals.into_iter().zip(texts).collect();
    Some(frame)
}

fn read(wire: impl AsRef<[u8]>) -> Result<Response, ParseError> {
    parse(&frame(wire.as_ref()), &Limits::default())
}

fn data(wire: impl AsRef<[u8]>) -> Untagged {
    let wire = wire.as_ref();
    match read(wire) {
        Ok(Response::Untagged(data)) => data,
        other => panic!("{}: {other:?}", wire.escape_ascii()),
    }
}

fn message(wire: impl AsRef<[u8]>) -> Attributes {
    let wire = wire.as_ref();
    match data(wire) {
        Untagged::Fetch(fetch) => fetch.attributes,
        other => panic!("{}: {other:?}", wire.escape_ascii()),
    }
}
