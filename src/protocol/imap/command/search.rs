//! SEARCH (RFC 9051 §6.4.4) and its RETURN options (RFC 4731).

use super::line::CommandLine;
use crate::types::invalid::InvalidArgument;
use crate::types::query::{Query, Token};

/// Servers read nested keys by recursion.
const MAX_NESTING: usize = 100;

/// What ESEARCH is asked to return; nothing of it for a plain SEARCH.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SearchReturn {
    pub(crate) min: bool,
    pub(crate) max: bool,
    pub(crate) all: bool,
    pub(crate) count: bool,
}

impl SearchReturn {
    fn words(self) -> impl Iterator<Item = &'static str> {
        [
            (self.min, "MIN"),
            (self.max, "MAX"),
            (self.all, "ALL"),
            (self.count, "COUNT"),
        ]
        .into_iter()
        .filter_map(|(asked, word)| asked.then_some(word))
    }
}

/// Whether the server has ESEARCH: every match as a set, or as a list of numbers.
impl From<bool> for SearchReturn {
    fn from(esearch: bool) -> Self {
        Self {
            all: esearch,
            ..Self::default()
        }
    }
}

/// Finds sequence numbers. `returns` is `true`, or what to return, only where the server
/// has ESEARCH.
pub(crate) fn search(
    query: &Query,
    returns: impl Into<SearchReturn>,
) -> Result<CommandLine, InvalidArgument> {
    write_search("SEARCH", query, returns.into())
}

/// Finds UIDs. `returns` is `true`, or what to return, only where the server
/// has ESEARCH.
pub(crate) fn uid_search(
    query: &Query,
    returns: impl Into<SearchReturn>,
) -> Result<CommandLine, InvalidArgument> {
    write_search("UID SEARCH", query, returns.into())
}

fn write_search(
    verb: &'static str,
    query: &Query,
    returns: SearchReturn,
) -> Result<CommandLine, InvalidArgument> {
    if query.depth() > MAX_NESTING {
        return Err(InvalidArgument::new(
            "query",
            "is nested more than 100 deep",
        ));
    }
    let mut line = CommandLine::new(verb);
    if returns != SearchReturn::default() {
        line.word("RETURN");
        line.open();
        returns.words().for_each(|word| line.word(word));
        line.close();
    }
    if query.needs_utf8() {
        line.word("CHARSET UTF-8");
    }
    for token in query.tokens() {
        match token {
            Token::Word(word) => line.word(word),
            Token::Number(number) => line.word(number),
            Token::Date(date) => line.word(date),
            Token::Text(text) => line.astring("search text", text.as_bytes())?,
            Token::Keyword(name) => line.atom("keyword", name.as_str())?,
            Token::Set(set) => line.set(set)?,
            Token::Open => line.open(),
            Token::Close => line.close(),
        }
    }
    Ok(line)
}
