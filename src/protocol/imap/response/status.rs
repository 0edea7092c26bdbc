//! Status responses and continuation requests (RFC 9051 §7.1, §7.6).
//!
//! Wholly ours: imap-proto panics where a byte from 0x80 follows a code, and knows few
//! of the codes.

use super::code::code;
use super::list::lossy;
use super::structure::Bounds;
use super::{Response, Status, StatusKind, Untagged};
use crate::types::response_code::ResponseCode;
use crate::wire::lexer::{Lexer, ParseError};

/// The status that a word names.
pub(super) fn kind(word: &[u8]) -> Option<StatusKind> {
    for (name, kind) in [
        ("OK", StatusKind::Ok),
        ("NO", StatusKind::No),
        ("BAD", StatusKind::Bad),
        ("BYE", StatusKind::Bye),
        ("PREAUTH", StatusKind::PreAuth),
    ] {
        if word.eq_ignore_ascii_case(name.as_bytes()) {
            return Some(kind);
        }
    }
    None
}

/// Reads the answer to a command: `A1 OK [code] text`.
pub(super) fn tagged(lexer: &mut Lexer<'_>, bounds: Bounds) -> Result<Response, ParseError> {
    let tag = lexer.take_while(|byte| byte.is_ascii_graphic());
    if tag.is_empty() {
        return Err(lexer.error("a response begins with neither *, + nor a tag"));
    }
    let tag = lexer.share(tag);
    lexer.expect_space()?;
    let status = match kind(lexer.take_while(|byte| byte.is_ascii_alphabetic())) {
        Some(StatusKind::Ok) => Status::Ok,
        Some(StatusKind::No) => Status::No,
        Some(StatusKind::Bad) => Status::Bad,
        _ => return Err(lexer.error("a tagged response is neither OK, NO nor BAD")),
    };
    let (code, text) = response_text(lexer, bounds)?;
    Ok(Response::Tagged {
        tag,
        status,
        code,
        text,
    })
}

/// Reads what follows the word of an untagged status response.
pub(super) fn untagged(
    lexer: &mut Lexer<'_>,
    status: StatusKind,
    bounds: Bounds,
) -> Result<Untagged, ParseError> {
    let (code, text) = response_text(lexer, bounds)?;
    Ok(Untagged::Status { status, code, text })
}

/// Reads what follows the plus sign; the space after it is sometimes missing.
pub(super) fn continuation(lexer: &mut Lexer<'_>) -> Response {
    lexer.eat(b' ');
    Response::Continuation {
        text: lexer.remainder(),
    }
}

/// An optional code and the text. Both may be missing, and the text may be in any character
/// set.
fn response_text(
    lexer: &mut Lexer<'_>,
    bounds: Bounds,
) -> Result<(Option<ResponseCode>, String), ParseError> {
    if !lexer.spaces() && !lexer.at_end() {
        return Err(lexer.error("a space is missing after the status"));
    }
    let code = code(lexer, bounds)?;
    Ok((code, lossy(&lexer.remainder())))
}
