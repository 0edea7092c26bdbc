//! Lists that several responses have in common.

use super::structure::Bounds;
use crate::types::flag::{Flag, Flags};
use crate::wire::lexer::{Lexer, ParseError, Reason};

/// Reads a parenthesised list, its elements with `element`. Spaces between them count as
/// one, and there may be some before the last parenthesis.
pub(super) fn list<'f>(
    lexer: &mut Lexer<'f>,
    bounds: Bounds,
    mut element: impl FnMut(&mut Lexer<'f>) -> Result<(), ParseError>,
) -> Result<(), ParseError> {
    lexer.expect(b'(', "a list is missing")?;
    let mut length = 0;
    loop {
        let spaced = lexer.spaces();
        if lexer.eat(b')') {
            return Ok(());
        }
        // Between lists a space is often missing.
        if length > 0 && !spaced && lexer.peek() != Some(b'(') {
            return Err(lexer.error("a space is missing"));
        }
        length += 1;
        if length > bounds.items {
            return Err(lexer.fail(Reason::Items(bounds.items)));
        }
        element(lexer)?;
    }
}

/// Reads a list of flags (RFC 9051 §9, `flag-list`). `None` if there is one that is none.
pub(super) fn flags(lexer: &mut Lexer<'_>, bounds: Bounds) -> Result<Option<Flags>, ParseError> {
    let mut flags = Vec::new();
    let mut all = true;
    list(lexer, bounds, |lexer| {
        match Flag::from_wire(lexer.atom()?) {
            Some(flag) => flags.push(flag),
            None => all = false,
        }
        Ok(())
    })?;
    Ok(all.then(|| flags.into_iter().collect()))
}

/// Reads a list of strings or atoms, with U+FFFD for what is not UTF-8.
pub(super) fn strings(lexer: &mut Lexer<'_>, bounds: Bounds) -> Result<Vec<String>, ParseError> {
    let mut strings = Vec::new();
    list(lexer, bounds, |lexer| {
        strings.push(lossy(&lexer.astring()?));
        Ok(())
    })?;
    Ok(strings)
}

/// The words of a text that are separated by spaces.
pub(super) fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b' ')
        .filter(|word| !word.is_empty())
}

/// A string, with U+FFFD for what is not UTF-8.
pub(super) fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}
