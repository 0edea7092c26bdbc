//! The names of sections in `FETCH` responses (RFC 9051 §9, `section`).

use super::list::list;
use super::structure::Bounds;
use crate::types::section::Section;
use crate::wire::lexer::{Lexer, ParseError, is_atom_byte};

/// Reads a section in brackets. `None` for one that is not known.
///
/// # Errors
/// If it cannot be told where it ends.
pub(super) fn section_name(
    lexer: &mut Lexer<'_>,
    bounds: Bounds,
) -> Result<Option<Section>, ParseError> {
    lexer.expect(b'[', "a section is missing")?;
    let specification = lexer.take_while(|byte| is_atom_byte(byte) && byte != b']');
    // The names of header fields come as they were asked for, or quoted, or as literals.
    let mut fields = Vec::new();
    if lexer.spaces() && lexer.peek() == Some(b'(') {
        list(lexer, bounds, |lexer| {
            fields.push(lexer.astring()?);
            Ok(())
        })?;
    }
    lexer.spaces();
    lexer.expect(b']', "a section does not end")?;
    Ok(Section::from_wire(
        specification,
        fields.iter().map(AsRef::as_ref),
    ))
}
