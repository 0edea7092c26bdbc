//! Response codes (RFC 9051 §7.1).
//!
//! A code whose arguments make no sense is passed on as [`ResponseCode::Other`]: the
//! status that it comes with is what matters. The exception is `UIDVALIDITY`, without
//! which nothing that is known about a mailbox can be trusted.

use super::list::{flags, lossy, strings, words};
use super::structure::Bounds;
use crate::types::capability::Capabilities;
use crate::types::ids::{ModSeq, Uid, UidValidity};
use crate::types::range_set::parse_ranges;
use crate::types::response_code::{AppendUid, CopyUid, ResponseCode, UidRanges};
use crate::wire::lexer::{Lexer, ParseError, is_atom_byte};
use memchr::memchr;

/// Reads the code in brackets, and the spaces after it. `None` where there is none.
pub(super) fn code(
    lexer: &mut Lexer<'_>,
    bounds: Bounds,
) -> Result<Option<ResponseCode>, ParseError> {
    let start = lexer.mark();
    if !lexer.eat(b'[') {
        return Ok(None);
    }
    let name = lexer.take_while(|byte| is_atom_byte(byte) && byte != b']');
    if name.is_empty() {
        lexer.rewind(start);
        return Ok(None);
    }
    let after_name = lexer.mark();
    let upper = name.to_ascii_uppercase();
    let code = known(lexer, &upper, bounds);
    lexer.spaces();
    let code = match code {
        Ok(Some(code)) if lexer.peek() == Some(b']') => Some(code),
        Err(error) if error.is_limit() => return Err(error),
        _ if upper == b"UIDVALIDITY" => {
            return Err(lexer.error("UIDVALIDITY is not a number from 1"));
        }
        _ => None,
    };
    if code.is_none() {
        lexer.rewind(after_name);
        lexer.spaces();
    }
    // What is left up to the bracket: the arguments of an unknown code, which may
    // hold anything but the bracket.
    let Some(length) = memchr(b']', lexer.rest()) else {
        // Nothing closes it: it is part of the text.
        lexer.rewind(start);
        return Ok(None);
    };
    let text = lexer.take(length);
    let code = code.unwrap_or_else(|| ResponseCode::Other {
        name: lossy(name),
        text: lossy(text),
    });
    lexer.eat(b']');
    lexer.spaces();
    Ok(Some(code))
}

/// Reads the arguments of a code that is known, up to the bracket.
fn known(
    lexer: &mut Lexer<'_>,
    name: &[u8],
    bounds: Bounds,
) -> Result<Option<ResponseCode>, ParseError> {
    if let Some(code) = plain(name) {
        lexer.take_while(|byte| byte != b']');
        return Ok(Some(code));
    }
    lexer.spaces();
    let code = match name {
        b"BADCHARSET" => {
            let names = match lexer.peek() {
                Some(b'(') => strings(lexer, bounds)?,
                _ => Vec::new(),
            };
            Some(ResponseCode::BadCharset(names))
        }
        b"CAPABILITY" => {
            let text = lexer.take_while(|byte| byte != b']');
            let capabilities = Capabilities::from_wire_words(words(text));
            Some(ResponseCode::Capability(capabilities))
        }
        b"PERMANENTFLAGS" => flags(lexer, bounds)?.map(ResponseCode::PermanentFlags),
        b"UIDNEXT" => Uid::new(lexer.number_u32()?).map(ResponseCode::UidNext),
        b"UIDVALIDITY" => UidValidity::new(lexer.number_u32()?).map(ResponseCode::UidValidity),
        b"UNSEEN" => Some(ResponseCode::Unseen(lexer.number_u32()?)),
        b"HIGHESTMODSEQ" => ModSeq::new(lexer.number_u64()?).map(ResponseCode::HighestModSeq),
        b"MODIFIED" => set(lexer).map(ResponseCode::Modified),
        b"APPENDUID" => append_uid(lexer)?.map(ResponseCode::AppendUid),
        b"COPYUID" => copy_uid(lexer)?.map(ResponseCode::CopyUid),
        b"REFERRAL" => {
            let url = lexer.take_while(|byte| byte != b']');
            Some(ResponseCode::Referral(lossy(url)))
        }
        _ => None,
    };
    Ok(code)
}

/// The codes without arguments.
fn plain(name: &[u8]) -> Option<ResponseCode> {
    Some(match name {
        b"ALERT" => ResponseCode::Alert,
        b"PARSE" => ResponseCode::Parse,
        b"READ-ONLY" => ResponseCode::ReadOnly,
        b"READ-WRITE" => ResponseCode::ReadWrite,
        b"TRYCREATE" => ResponseCode::TryCreate,
        b"NOMODSEQ" => ResponseCode::NoModSeq,
        b"UIDNOTSTICKY" => ResponseCode::UidNotSticky,
        b"CLOSED" => ResponseCode::Closed,
        b"AUTHENTICATIONFAILED" => ResponseCode::AuthenticationFailed,
        b"AUTHORIZATIONFAILED" => ResponseCode::AuthorizationFailed,
        b"EXPIRED" => ResponseCode::Expired,
        b"PRIVACYREQUIRED" => ResponseCode::PrivacyRequired,
        b"CONTACTADMIN" => ResponseCode::ContactAdmin,
        b"NOPERM" => ResponseCode::NoPermission,
        b"INUSE" => ResponseCode::InUse,
        b"EXPUNGEISSUED" => ResponseCode::ExpungeIssued,
        b"CORRUPTION" => ResponseCode::Corruption,
        b"SERVERBUG" => ResponseCode::ServerBug,
        b"CLIENTBUG" => ResponseCode::ClientBug,
        b"CANNOT" => ResponseCode::Cannot,
        b"LIMIT" => ResponseCode::Limit,
        b"OVERQUOTA" => ResponseCode::OverQuota,
        b"ALREADYEXISTS" => ResponseCode::AlreadyExists,
        b"NONEXISTENT" => ResponseCode::NonExistent,
        b"UNAVAILABLE" => ResponseCode::Unavailable,
        b"UNKNOWN-CTE" => ResponseCode::UnknownCte,
        _ => return None,
    })
}

fn append_uid(lexer: &mut Lexer<'_>) -> Result<Option<AppendUid>, ParseError> {
    let validity = UidValidity::new(lexer.number_u32()?);
    lexer.expect_space()?;
    let uids = uid_ranges(lexer);
    Ok(validity
        .zip(uids)
        .map(|(uid_validity, uids)| AppendUid { uid_validity, uids }))
}

fn copy_uid(lexer: &mut Lexer<'_>) -> Result<Option<CopyUid>, ParseError> {
    let validity = UidValidity::new(lexer.number_u32()?);
    lexer.expect_space()?;
    let source = uid_ranges(lexer);
    lexer.expect_space()?;
    let destination = uid_ranges(lexer);
    let (Some(validity), Some(source), Some(destination)) = (validity, source, destination) else {
        return Ok(None);
    };
    Ok(CopyUid::new(validity, source, destination))
}

/// The ranges of a set, in their order and direction. `None` for what is not a set of
/// numbers; `*` is none.
fn set(lexer: &mut Lexer<'_>) -> Option<Vec<(u32, u32)>> {
    parse_ranges(lexer.take_while(|byte| matches!(byte, b'0'..=b'9' | b':' | b',')))
}

fn uid_ranges(lexer: &mut Lexer<'_>) -> Option<UidRanges> {
    let mut uids = UidRanges::default();
    for (one, other) in set(lexer)? {
        uids.push(Uid::new(one)?, Uid::new(other)?);
    }
    Some(uids)
}
