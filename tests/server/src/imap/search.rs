//! SEARCH (RFC 3501 §6.4.4), with ESEARCH (RFC 4731) and MODSEQ (RFC 7162).

use std::borrow::Cow;
use std::io;

use chrono::{DateTime, NaiveDate};
use imap_codec::imap_types::core::Charset;
use imap_codec::imap_types::search::SearchKey;
use imap_codec::imap_types::sequence::SequenceSet;

use super::encode::number_set;
use super::sequence;
use super::session::{Outcome, Session};
use crate::clock;
use crate::mime::{Part, decode_words};
use crate::store::mailbox::Stored;

/// What `RETURN (...)` asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ReturnOptions {
    min: bool,
    max: bool,
    all: bool,
    count: bool,
}

/// Takes `RETURN (...)` out of a SEARCH command, as imap-codec does not know it. Returns the
/// command without it; the error is the text after `BAD `.
pub(super) fn take_return_options(
    command: &[u8],
) -> Result<(Cow<'_, [u8]>, Option<ReturnOptions>), &'static str> {
    let unchanged = || Ok((Cow::Borrowed(command), None));
    let line = command
        .split(|&byte| byte == b'\r')
        .next()
        .unwrap_or_default();
    let upper = line.to_ascii_uppercase();
    let mut words = upper.splitn(4, |&byte| byte == b' ');
    let tag = words.next().unwrap_or_default();
    let (first, second) = (words.next(), words.next());
    let verb_len = match (first, second) {
        (Some(b"SEARCH"), _) => "SEARCH".len(),
        (Some(b"UID"), Some(b"SEARCH")) => "UID SEARCH".len(),
        _ => return unchanged(),
    };
    let start = tag.len() + 1 + verb_len;
    let Some(list) = upper
        .get(start..)
        .and_then(|rest| rest.strip_prefix(b" RETURN ("))
    else {
        return unchanged();
    };
    let Some(end) = list.iter().position(|&byte| byte == b')') else {
        return Err("RETURN without an end");
    };
    let mut options = ReturnOptions::default();
    let words = list.get(..end).unwrap_or_default();
    for word in words.split(|&byte| byte == b' ') {
        match word {
            b"MIN" => options.min = true,
            b"MAX" => options.max = true,
            b"ALL" => options.all = true,
            b"COUNT" => options.count = true,
            b"" if words.is_empty() => options.all = true,
            _ => return Err("Return option not supported"),
        }
    }
    let mut stripped = command.get(..start).unwrap_or_default().to_vec();
    let rest = start + " RETURN (".len() + end + 1;
    stripped.extend_from_slice(command.get(rest..).unwrap_or_default());
    Ok((Cow::Owned(stripped), Some(options)))
}

impl Session {
    pub(super) fn search(
        &mut self,
        charset: Option<&Charset<'_>>,
        keys: &[SearchKey<'_>],
        uid: bool,
        tag: &str,
        options: Option<ReturnOptions>,
    ) -> io::Result<Outcome> {
        if let Some(charset) = charset {
            let name: &str = match charset {
                Charset::Atom(atom) => atom.as_ref(),
                Charset::Quoted(quoted) => quoted.as_ref(),
            };
            if !matches!(name.to_ascii_uppercase().as_str(), "UTF-8" | "US-ASCII") {
                return Outcome::no("[BADCHARSET (US-ASCII UTF-8)] Charset not supported");
            }
        }
        let by_modseq = keys.iter().any(uses_modseq);
        if by_modseq {
            if !self.has("CONDSTORE") {
                return Outcome::bad("CONDSTORE is not supported");
            }
            self.condstore = true;
        }
        if keys.iter().any(uses_within) && !self.has("WITHIN") {
            return Outcome::bad("WITHIN is not supported");
        }
        let Some(selected) = &self.selected else {
            return Outcome::bad("No mailbox selected");
        };
        let last_number = u32::try_from(selected.known.len()).unwrap_or(u32::MAX);
        let last_uid = selected.known.last().map_or(0, |known| known.uid);
        // The messages are looked at outside the lock of the mailbox.
        let messages: Vec<(usize, Stored)> = selected.mailbox.read(|contents| {
            (0..)
                .zip(&selected.known)
                .filter_map(|(place, known)| Some((place, contents.find(known.uid)?.clone())))
                .collect()
        });
        let mut numbers = Vec::new();
        let mut modseqs = Vec::new();
        for (place, message) in &messages {
            let number = u32::try_from(place + 1).unwrap_or(u32::MAX);
            let candidate = Candidate {
                number,
                last_number,
                last_uid,
                recent: selected.recent.contains(&message.uid),
                message,
            };
            if keys.iter().all(|key| candidate.matches(key)) {
                numbers.push(if uid { message.uid } else { number });
                modseqs.push(message.modseq);
            }
        }
        let options = match options {
            None if self.rev2 => Some(ReturnOptions {
                all: true,
                ..ReturnOptions::default()
            }),
            options => options,
        };
        let line = match options {
            Some(options) => esearch(options, tag, uid, &numbers, &modseqs, by_modseq),
            None => {
                let mut line = "* SEARCH".to_owned();
                for number in &numbers {
                    line.push(' ');
                    line += &number.to_string();
                }
                if let Some(modseq) = modseqs.iter().max().filter(|_| by_modseq) {
                    line += &format!(" (MODSEQ {modseq})");
                }
                line
            }
        };
        self.line(&line);
        Outcome::ok("SEARCH completed")
    }
}

fn esearch(
    options: ReturnOptions,
    tag: &str,
    uid: bool,
    numbers: &[u32],
    modseqs: &[u64],
    by_modseq: bool,
) -> String {
    let mut line = format!("* ESEARCH (TAG \"{tag}\")");
    if uid {
        line += " UID";
    }
    if let (Some(first), Some(last)) = (numbers.first(), numbers.last()) {
        if options.min {
            line += &format!(" MIN {first}");
        }
        if options.max {
            line += &format!(" MAX {last}");
        }
        if options.all {
            line += &format!(" ALL {}", number_set(numbers));
        }
    }
    if options.count {
        line += &format!(" COUNT {}", numbers.len());
    }
    // With MIN or MAX alone it is that of the messages told (RFC 4731 §3.2).
    let told = match (options.min, options.max, options.all || options.count) {
        (true, false, false) => modseqs.first(),
        (false, true, false) => modseqs.last(),
        (true, true, false) => modseqs.first().max(modseqs.last()),
        _ => modseqs.iter().max(),
    };
    if let Some(modseq) = told.filter(|_| by_modseq) {
        line += &format!(" MODSEQ {modseq}");
    }
    line
}

fn any_key(key: &SearchKey<'_>, test: &dyn Fn(&SearchKey<'_>) -> bool) -> bool {
    match key {
        SearchKey::And(keys) => keys.as_ref().iter().any(|key| any_key(key, test)),
        SearchKey::Not(key) => any_key(key, test),
        SearchKey::Or(one, other) => any_key(one, test) || any_key(other, test),
        key => test(key),
    }
}

fn uses_modseq(key: &SearchKey<'_>) -> bool {
    any_key(key, &|key| matches!(key, SearchKey::ModSequence { .. }))
}

fn uses_within(key: &SearchKey<'_>) -> bool {
    any_key(key, &|key| {
        matches!(key, SearchKey::Older(_) | SearchKey::Younger(_))
    })
}

/// A message that a search looks at.
struct Candidate<'a> {
    number: u32,
    last_number: u32,
    last_uid: u32,
    recent: bool,
    message: &'a Stored,
}

impl Candidate<'_> {
    fn matches(&self, key: &SearchKey<'_>) -> bool {
        use SearchKey as K;
        let message = self.message;
        let date = message.internal_date.date_naive();
        let keyword = |name: &str| {
            let is_it = |flag: &String| flag.eq_ignore_ascii_case(name);
            message.flags.iter().any(is_it)
        };
        let size = || message.content.len();
        let age = || clock::today().timestamp() - message.internal_date.timestamp();
        match key {
            K::And(keys) => keys.as_ref().iter().all(|key| self.matches(key)),
            K::Or(one, other) => self.matches(one) || self.matches(other),
            K::Not(key) => !self.matches(key),
            K::All => true,
            K::SequenceSet(set) => self.in_set(set, self.number, self.last_number),
            K::Uid(set) => self.in_set(set, message.uid, self.last_uid),
            K::Answered => message.has("\\Answered"),
            K::Unanswered => !message.has("\\Answered"),
            K::Deleted => message.has("\\Deleted"),
            K::Undeleted => !message.has("\\Deleted"),
            K::Draft => message.has("\\Draft"),
            K::Undraft => !message.has("\\Draft"),
            K::Flagged => message.has("\\Flagged"),
            K::Unflagged => !message.has("\\Flagged"),
            K::Seen => message.has("\\Seen"),
            K::Unseen => !message.has("\\Seen"),
            K::Recent => self.recent,
            K::Old => !self.recent,
            K::New => self.recent && !message.has("\\Seen"),
            K::Keyword(name) => keyword(name.as_ref()),
            K::Unkeyword(name) => !keyword(name.as_ref()),
            K::Before(day) => date < *day.as_ref(),
            K::On(day) => date == *day.as_ref(),
            K::Since(day) => date >= *day.as_ref(),
            K::SentBefore(day) => self.sent().is_some_and(|sent| sent < *day.as_ref()),
            K::SentOn(day) => self.sent().is_some_and(|sent| sent == *day.as_ref()),
            K::SentSince(day) => self.sent().is_some_and(|sent| sent >= *day.as_ref()),
            K::Larger(limit) => size() > u64::from(*limit),
            K::Smaller(limit) => size() < u64::from(*limit),
            K::Older(seconds) => age() >= i64::from(seconds.get()),
            K::Younger(seconds) => age() <= i64::from(seconds.get()),
            K::ModSequence { modseq, .. } => message.modseq >= *modseq,
            K::Bcc(text) => self.field_contains("bcc", text.as_ref()),
            K::Cc(text) => self.field_contains("cc", text.as_ref()),
            K::From(text) => self.field_contains("from", text.as_ref()),
            K::To(text) => self.field_contains("to", text.as_ref()),
            K::Subject(text) => self.field_contains("subject", text.as_ref()),
            K::Header(name, text) => {
                let name = String::from_utf8_lossy(name.as_ref()).into_owned();
                self.field_contains(&name, text.as_ref())
            }
            K::Body(text) => self.bytes_contain(text.as_ref(), false),
            K::Text(text) => self.bytes_contain(text.as_ref(), true),
        }
    }

    fn in_set(&self, set: &SequenceSet, number: u32, star: u32) -> bool {
        sequence::contains(set, number, star)
    }

    fn structure(&self) -> std::sync::Arc<Part> {
        self.message.content.structure()
    }

    fn sent(&self) -> Option<NaiveDate> {
        let structure = self.structure();
        let text = String::from_utf8_lossy(structure.field("date")?).into_owned();
        let date = DateTime::parse_from_rfc2822(&text).ok()?;
        Some(date.date_naive())
    }

    fn field_contains(&self, name: &str, text: &[u8]) -> bool {
        let text = String::from_utf8_lossy(text).to_lowercase();
        self.structure()
            .fields
            .iter()
            .filter(|field| field.name.eq_ignore_ascii_case(name))
            .any(|field| decode_words(&field.value).to_lowercase().contains(&text))
    }

    /// Looks in the bytes as they are, and in the decoded header.
    fn bytes_contain(&self, text: &[u8], header_too: bool) -> bool {
        let structure = self.structure();
        let text = String::from_utf8_lossy(text).to_lowercase();
        let in_fields = header_too
            && structure
                .fields
                .iter()
                .any(|field| decode_words(&field.value).to_lowercase().contains(&text));
        let bytes = self.message.content.load();
        let start = if header_too { 0 } else { structure.body.start };
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        let bytes = bytes.get(start..).unwrap_or_default();
        in_fields
            || String::from_utf8_lossy(bytes)
                .to_lowercase()
                .contains(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn return_options_are_taken_out() {
        let (rest, options) =
            take_return_options(b"a uid search return (min COUNT) all\r\n").unwrap();
        assert_eq!(&*rest, b"a uid search all\r\n");
        let options = options.unwrap();
        assert!(options.min && options.count && !options.all);

        let (rest, options) = take_return_options(b"a SEARCH RETURN () ALL\r\n").unwrap();
        assert_eq!(&*rest, b"a SEARCH ALL\r\n");
        assert!(options.unwrap().all);

        let plain = b"a SEARCH SUBJECT RETURN\r\n";
        let (rest, options) = take_return_options(plain).unwrap();
        assert_eq!((&*rest, options), (plain.as_slice(), None));

        assert!(take_return_options(b"a SEARCH RETURN (SAVE) ALL\r\n").is_err());
    }
}
