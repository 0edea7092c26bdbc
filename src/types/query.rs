//! What SEARCH looks for (RFC 9051 §6.4.4).

use std::sync::Arc;

use super::date::Date;
use super::flag::FlagName;
use super::ids::{ModSeq, UidValidity};
use super::range_set::RangeSet;
use super::set::{SeqSet, UidSet};

/// What to search for.
///
/// A key without an argument begins a query: `Query::unseen()`. A key with an argument narrows
/// one: `.since(date)`; [`Query::all`] begins one that has only such keys. Queries are joined
/// with [`and`](Self::and), [`or`](Self::or), [`any`](Self::any) and [`not`](Self::not).
///
/// Text is matched by the server as it sees fit, mostly as a substring in any case. Text that
/// is not ASCII is sent as UTF-8. Days are those of the server's time zone.
///
/// ```
/// use mailpool::{Date, Query};
/// let date = Date::new(2024, 2, 1).ok_or("no such day")?;
/// let query = Query::unseen().since(date).from("alice@example.org");
/// let either = Query::any([Query::flagged(), Query::all().larger(1 << 20)]).and(query.not());
/// # let _ = either;
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[must_use]
pub struct Query {
    /// The keys in the order in which they are written. Kept flat, so that no depth of nesting
    /// takes stack, here or when it is dropped.
    tokens: Vec<Token>,
    /// How many keys stand side by side.
    keys: usize,
    /// How deep keys are nested.
    depth: usize,
    has_sequence_numbers: bool,
    uid_validities: Vec<UidValidity>,
}

/// A word of a query.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Token {
    Word(&'static str),
    Number(u64),
    Date(Date),
    Text(Arc<str>),
    Keyword(FlagName),
    Set(RangeSet),
    Open,
    Close,
}

/// Defines the keys that have no argument.
macro_rules! plain_keys {
    ($($(#[$doc:meta])* $name:ident $word:literal;)*) => {
        $(
            $(#[$doc])*
            pub fn $name() -> Self {
                Self::key([Token::Word($word)])
            }
        )*
    };
}

/// Defines the keys that have a text.
macro_rules! text_keys {
    ($($(#[$doc:meta])* $name:ident $word:literal;)*) => {
        $(
            $(#[$doc])*
            pub fn $name(self, text: impl Into<String>) -> Self {
                self.and(Self::key([Token::Word($word), text_token(text)]))
            }
        )*
    };
}

/// Defines the keys that have a day.
macro_rules! date_keys {
    ($($(#[$doc:meta])* $name:ident $word:literal;)*) => {
        $(
            $(#[$doc])*
            pub fn $name(self, date: Date) -> Self {
                self.and(Self::key([Token::Word($word), Token::Date(date)]))
            }
        )*
    };
}

impl Query {
    plain_keys! {
        /// `ALL`: every message.
        all "ALL";
        /// `ANSWERED`: messages with `\Answered`.
        answered "ANSWERED";
        /// `DELETED`: messages with `\Deleted`.
        deleted "DELETED";
        /// `DRAFT`: messages with `\Draft`.
        draft "DRAFT";
        /// `FLAGGED`: messages with `\Flagged`.
        flagged "FLAGGED";
        /// `NEW`: messages with `\Recent` and without `\Seen` (RFC 3501; not in IMAP4rev2).
        new_messages "NEW";
        /// `OLD`: messages without `\Recent` (RFC 3501; not in IMAP4rev2).
        old "OLD";
        /// `RECENT`: messages with `\Recent` (RFC 3501; not in IMAP4rev2).
        recent "RECENT";
        /// `SEEN`: messages with `\Seen`.
        seen "SEEN";
        /// `UNANSWERED`: messages without `\Answered`.
        unanswered "UNANSWERED";
        /// `UNDELETED`: messages without `\Deleted`.
        undeleted "UNDELETED";
        /// `UNDRAFT`: messages without `\Draft`.
        undraft "UNDRAFT";
        /// `UNFLAGGED`: messages without `\Flagged`.
        unflagged "UNFLAGGED";
        /// `UNSEEN`: messages without `\Seen`.
        unseen "UNSEEN";
    }

    /// No message at all.
    pub fn none() -> Self {
        Self::all().not()
    }

    text_keys! {
        /// `BCC`: `text` is in the Bcc field.
        bcc "BCC";
        /// `BODY`: `text` is in the body.
        body "BODY";
        /// `CC`: `text` is in the Cc field.
        cc "CC";
        /// `FROM`: `text` is in the From field.
        from "FROM";
        /// `SUBJECT`: `text` is in the Subject field.
        subject "SUBJECT";
        /// `TEXT`: `text` is in the header or the body.
        text "TEXT";
        /// `TO`: `text` is in the To field.
        to "TO";
    }

    /// `HEADER`: `text` is in the header field `name`; where `text` is empty, there is such a
    /// field.
    pub fn header(self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.and(Self::key([
            Token::Word("HEADER"),
            text_token(name),
            text_token(text),
        ]))
    }

    date_keys! {
        /// `BEFORE`: the internal date is before the day.
        before "BEFORE";
        /// `ON`: the internal date is on the day.
        on "ON";
        /// `SINCE`: the internal date is on the day or later.
        since "SINCE";
        /// `SENTBEFORE`: the Date field is before the day.
        sent_before "SENTBEFORE";
        /// `SENTON`: the Date field is on the day.
        sent_on "SENTON";
        /// `SENTSINCE`: the Date field is on the day or later.
        sent_since "SENTSINCE";
    }

    /// `KEYWORD`: messages with the keyword.
    pub fn keyword(self, keyword: FlagName) -> Self {
        self.and(Self::key([Token::Word("KEYWORD"), Token::Keyword(keyword)]))
    }

    /// `UNKEYWORD`: messages without the keyword.
    pub fn unkeyword(self, keyword: FlagName) -> Self {
        self.and(Self::key([
            Token::Word("UNKEYWORD"),
            Token::Keyword(keyword),
        ]))
    }

    /// `LARGER`: messages of more than `size` bytes.
    pub fn larger(self, size: u64) -> Self {
        self.and(Self::key([Token::Word("LARGER"), Token::Number(size)]))
    }

    /// `SMALLER`: messages of fewer than `size` bytes.
    pub fn smaller(self, size: u64) -> Self {
        self.and(Self::key([Token::Word("SMALLER"), Token::Number(size)]))
    }

    /// `UID`: messages with these UIDs. None where the set is empty.
    pub fn uid(self, uids: impl Into<UidSet>) -> Self {
        let uids = uids.into();
        if uids.is_empty() {
            return self.and(Self::none());
        }
        let mut key = Self::key([Token::Word("UID"), Token::Set(uids.range_set().clone())]);
        key.uid_validities.extend(uids.uid_validity());
        self.and(key)
    }

    /// Messages with these sequence numbers: only inside an exclusive session. None where the
    /// set is empty.
    pub fn sequence(self, messages: impl Into<SeqSet>) -> Self {
        let messages = messages.into();
        if messages.is_empty() {
            return self.and(Self::none());
        }
        let mut key = Self::key([Token::Set(messages.range_set().clone())]);
        key.has_sequence_numbers = true;
        self.and(key)
    }

    /// `MODSEQ` (RFC 7162): messages whose modification sequence is `mod_seq` or more. Needs a
    /// server with CONDSTORE.
    pub fn mod_seq(self, mod_seq: ModSeq) -> Self {
        self.and(Self::key([
            Token::Word("MODSEQ"),
            Token::Number(mod_seq.get()),
        ]))
    }

    /// Messages that both queries find.
    pub fn and(mut self, other: Self) -> Self {
        if self.is_all() {
            return other;
        }
        if !other.is_all() {
            self.keys += other.keys;
            self.absorb(other);
        }
        self
    }

    /// Messages that one of the two queries finds, or both.
    pub fn or(self, other: Self) -> Self {
        let mut query = Self::key([Token::Word("OR")]);
        query.absorb(self.into_one_key());
        query.absorb(other.into_one_key());
        query.depth += 1;
        query
    }

    /// Messages that at least one of the queries finds: none where there is no query. The
    /// nesting that `OR` needs grows with the logarithm of their number.
    pub fn any(queries: impl IntoIterator<Item = Self>) -> Self {
        let mut queries: Vec<_> = queries.into_iter().collect();
        // Neighbours are joined until one is left.
        while queries.len() > 1 {
            let mut pairs = queries.into_iter();
            let mut joined = Vec::with_capacity(pairs.len().div_ceil(2));
            while let Some(one) = pairs.next() {
                joined.push(match pairs.next() {
                    Some(two) => one.or(two),
                    None => one,
                });
            }
            queries = joined;
        }
        queries.pop().unwrap_or_else(Self::none)
    }

    /// Messages that the query does not find.
    #[expect(
        clippy::should_implement_trait,
        reason = "the operator is implemented as well"
    )]
    pub fn not(self) -> Self {
        let mut query = Self::key([Token::Word("NOT")]);
        query.absorb(self.into_one_key());
        query.depth += 1;
        query
    }

    fn key<const N: usize>(tokens: [Token; N]) -> Self {
        Self {
            tokens: tokens.into(),
            keys: 1,
            depth: 0,
            has_sequence_numbers: false,
            uid_validities: Vec::new(),
        }
    }

    fn is_all(&self) -> bool {
        matches!(self.tokens.as_slice(), [Token::Word("ALL")])
    }

    /// The query in parentheses, where it has several keys.
    fn into_one_key(mut self) -> Self {
        if self.keys > 1 {
            self.tokens.insert(0, Token::Open);
            self.tokens.push(Token::Close);
            self.keys = 1;
            self.depth += 1;
        }
        self
    }

    /// Writes `other` behind this one.
    fn absorb(&mut self, mut other: Self) {
        self.tokens.append(&mut other.tokens);
        self.depth = self.depth.max(other.depth);
        self.has_sequence_numbers |= other.has_sequence_numbers;
        for validity in other.uid_validities {
            if !self.uid_validities.contains(&validity) {
                self.uid_validities.push(validity);
            }
        }
    }

    pub(crate) fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Whether the query means something only inside an exclusive session.
    pub(crate) fn has_sequence_numbers(&self) -> bool {
        self.has_sequence_numbers
    }

    /// The UIDVALIDITYs of the UID sets in the query, each once.
    pub(crate) fn uid_validities(&self) -> &[UidValidity] {
        &self.uid_validities
    }

    /// Whether some text is not ASCII, so that a charset must be named.
    pub(crate) fn needs_utf8(&self) -> bool {
        self.tokens
            .iter()
            .any(|token| matches!(token, Token::Text(text) if !text.is_ascii()))
    }
}

fn text_token(text: impl Into<String>) -> Token {
    Token::Text(text.into().into())
}

/// [`Query::all`].
impl Default for Query {
    fn default() -> Self {
        Self::all()
    }
}

impl std::ops::Not for Query {
    type Output = Self;

    fn not(self) -> Self {
        Self::not(self)
    }
}

impl From<&Query> for Query {
    fn from(query: &Query) -> Self {
        query.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_is_counted_and_takes_no_stack() {
        let mut query = Query::unseen();
        for _ in 0..10_000 {
            query = query.from("a").not();
        }
        assert_eq!(query.depth(), 20_000);
        drop(query.clone());
        drop(query);
        assert_eq!(Query::any((0..1_000).map(|_| Query::seen())).depth(), 10);
        assert_eq!(Query::seen().from("a").subject("b").depth(), 0);
        assert_eq!(Query::any([Query::seen()]), Query::seen());
        assert_eq!(Query::any([]), Query::none());
        assert_eq!(!Query::seen(), Query::seen().not());
    }

    #[test]
    fn all_adds_nothing_to_other_keys() {
        assert_eq!(Query::all().and(Query::seen()), Query::seen());
        assert_eq!(Query::seen().and(Query::all()), Query::seen());
        assert_eq!(
            Query::seen().uid(UidSet::new()),
            Query::seen().and(Query::none())
        );
    }

    #[test]
    fn a_query_remembers_what_its_sets_are_good_for() {
        let of = |number| UidSet::all().with_uid_validity(UidValidity::new(number));
        let query = Query::all()
            .uid(of(1))
            .or(Query::all().uid(of(2)).uid(of(1)));
        assert_eq!(query.uid_validities().len(), 2);
        assert!(!query.has_sequence_numbers());
        assert!(
            query
                .not()
                .and(Query::all().sequence(SeqSet::all()))
                .has_sequence_numbers()
        );
    }
}
