//! Responses that are numbers: `SEARCH`, `SORT`, `ESEARCH`, `VANISHED`.
//!
//! A search of a large mailbox is a line of millions of numbers: it is read in one pass,
//! straight into ranges. imap-proto refuses a SEARCH with a mod-sequence and every
//! ESEARCH, and empties the range `310:300`.

use super::structure::Bounds;
use super::{SearchResult, Untagged};
use crate::types::ids::ModSeq;
use crate::types::range_set::{RangeSet, parse_ranges};
use crate::wire::lexer::{Lexer, ParseError};

/// `SEARCH` (RFC 3501 §7.2.5), perhaps with a mod-sequence (RFC 7162 §3.1.5).
pub(super) fn search(lexer: &mut Lexer<'_>) -> Result<Untagged, ParseError> {
    let mut numbers = Runs::default();
    let mut mod_seq = None;
    each_number(lexer, |number| numbers.push(number), &mut mod_seq)?;
    Ok(Untagged::Search {
        numbers: numbers.into_set(),
        mod_seq,
    })
}

/// `SORT` (RFC 5256 §4), perhaps with a mod-sequence.
pub(super) fn sort(lexer: &mut Lexer<'_>) -> Result<Untagged, ParseError> {
    let mut numbers = Vec::new();
    each_number(lexer, |number| numbers.push(number), &mut None)?;
    Ok(Untagged::Sort(numbers))
}

/// `ESEARCH` (RFC 9051 §7.3.4, RFC 4731; `MODSEQ` is RFC 7162 §3.1.10).
pub(super) fn extended_search(
    lexer: &mut Lexer<'_>,
    bounds: Bounds,
) -> Result<Untagged, ParseError> {
    let mut result = SearchResult::default();
    lexer.spaces();
    if lexer.eat(b'(') {
        lexer.spaces();
        if !lexer.eat_word(b"TAG") {
            return Err(lexer.error("a correlator is not a tag"));
        }
        lexer.expect_space()?;
        result.tag = Some(lexer.astring()?);
        lexer.spaces();
        lexer.expect(b')', "a correlator does not end")?;
    }
    while lexer.spaces() && !lexer.at_end() {
        let name = lexer.atom()?.to_ascii_uppercase();
        if name == b"UID" {
            result.uid = true;
            continue;
        }
        lexer.expect_space()?;
        match name.as_slice() {
            b"MIN" => result.min = Some(positive(lexer)?),
            b"MAX" => result.max = Some(positive(lexer)?),
            b"COUNT" => result.count = Some(lexer.number_u32()?),
            b"ALL" => result.all.extend(set(lexer)?),
            b"MODSEQ" => result.mod_seq = ModSeq::new(lexer.number_u64()?),
            _ => lexer.skip_value(bounds.nesting)?,
        }
    }
    lexer.expect_end()?;
    Ok(Untagged::ESearch(result))
}

/// `VANISHED` (RFC 7162 §3.2.10).
pub(super) fn vanished(lexer: &mut Lexer<'_>) -> Result<Untagged, ParseError> {
    lexer.expect_space()?;
    let earlier = lexer.eat_word(b"(EARLIER)");
    if earlier {
        lexer.expect_space()?;
    }
    let mut uids = RangeSet::new();
    uids.extend(set(lexer)?);
    lexer.expect_end()?;
    Ok(Untagged::Vanished { earlier, uids })
}

fn positive(lexer: &mut Lexer<'_>) -> Result<u32, ParseError> {
    match lexer.number_u32()? {
        0 => Err(lexer.error("a number is 0")),
        number => Ok(number),
    }
}

/// A set of numbers; the bounds of a range may stand in any order (RFC 9051 §9,
/// `seq-range`).
fn set(lexer: &mut Lexer<'_>) -> Result<impl Iterator<Item = (u32, u32)>, ParseError> {
    let text = lexer.take_while(|byte| matches!(byte, b'0'..=b'9' | b':' | b','));
    let ranges = parse_ranges(text).ok_or_else(|| lexer.error("a set of numbers is malformed"))?;
    Ok(ranges
        .into_iter()
        .map(|(one, other)| (one.min(other), one.max(other))))
}

/// Reads numbers to the end of the response.
fn each_number(
    lexer: &mut Lexer<'_>,
    mut take: impl FnMut(u32),
    mod_seq: &mut Option<ModSeq>,
) -> Result<(), ParseError> {
    while lexer.spaces() && !lexer.at_end() {
        if lexer.eat(b'(') {
            lexer.spaces();
            if !lexer.eat_word(b"MODSEQ") {
                return Err(lexer.error("a number is missing"));
            }
            lexer.expect_space()?;
            *mod_seq = ModSeq::new(lexer.number_u64()?);
            lexer.spaces();
            lexer.expect(b')', "a list does not end")?;
        } else {
            take(positive(lexer)?);
        }
    }
    lexer.expect_end()
}

/// Numbers gathered into runs as they come, so that a million numbers in a row take one
/// entry.
#[derive(Default)]
struct Runs(Vec<(u32, u32)>);

impl Runs {
    fn push(&mut self, number: u32) {
        match self.0.last_mut() {
            Some((_, last)) if number.checked_sub(1) == Some(*last) => *last = number,
            _ => self.0.push((number, number)),
        }
    }

    fn into_set(self) -> RangeSet {
        let mut set = RangeSet::new();
        set.extend(self.0);
        set
    }
}
