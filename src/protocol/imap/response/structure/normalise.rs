//! Envelopes and body structures put into the one form that imap-proto reads without
//! loss.
//!
//! The attribute is walked once, with its grammar (RFC 9051 §9, `envelope` and `body`)
//! as far as that is needed to know what stands where, and written anew:
//! - Each string is replaced by a quoted placeholder, `"#17"`, its place in a table, and
//!   each number by its place in another. So what reaches imap-proto holds nothing
//!   that the message's sender chose: no escapes, no bytes beyond ASCII, no forged
//!   parentheses, no numbers that are too large; and the strings stay slices of the
//!   response. The exceptions are the media types that decide about the grammar.
//! - Spaces are where imap-proto wants them, and nowhere else.
//! - What servers are known to get wrong and leaves no doubt is repaired: `()` for `NIL`;
//!   a multipart without parts (Gmail's `("ALTERNATIVE")` and `("RELATED" NIL ..)`);
//!   a disposition that is a bare string or lacks its parameters; `NIL` as
//!   the value of a parameter; `NIL` or `-1` for a length.
//! - `message/global` is presented as `message/rfc822`, the extension data that nobody
//!   reads (`body-extension`) is left out.
//! - The nesting is bounded, without recursion, before the recursive parser sees any of it.

use crate::wire::lexer::{Lexer, ParseError, Reason, is_atom_byte};
use bytes::Bytes;

/// The part that stands in for the parts of a multipart without any.
const NO_PARTS: &str = r##"("#-" "#-" NIL NIL NIL NIL 0)"##;
/// Its media type.
pub(super) const NO_PARTS_TYPE: &str = "#-";

/// What is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    Envelope,
    Body,
}

/// A normalised attribute: the text for imap-proto, and what its placeholders mean.
#[derive(Default)]
pub(super) struct Normalised {
    pub text: String,
    pub strings: Vec<Bytes>,
    pub numbers: Vec<u64>,
    /// The places, among the numbers, of the lengths of those parts that are
    /// `message/global`.
    pub global_messages: Vec<u32>,
}

/// What a list is.
enum Kind {
    Body(Body),
    Envelope,
    Disposition,
    Parameters,
    /// An address list, an address, a list of languages.
    Other,
}

/// What is known of a body whose elements are being read.
#[derive(Default)]
struct Body {
    /// The number of leading elements that are lists: the parts of a multipart.
    parts: usize,
    media_type: MediaType,
    is_global: bool,
    has_message: bool,
    /// The place of the disposition; the location is two places further on.
    disposition: Option<usize>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum MediaType {
    #[default]
    Other,
    Text,
    Message,
}

/// A list that is not yet closed.
struct List {
    kind: Kind,
    /// How many elements it has so far.
    length: usize,
    /// Whether the last of them is a list.
    after_list: bool,
    /// Where in the text it begins.
    start: usize,
}

/// An element that comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Element {
    List,
    String,
    Nil,
    Number,
}

struct Limits {
    nesting: usize,
    items: usize,
}

/// Reads one attribute's value and writes it as the value of `name` in a FETCH response.
pub(super) fn normalise(
    lexer: &mut Lexer<'_>,
    root: Root,
    name: &str,
    nesting: usize,
    items: usize,
) -> Result<Normalised, ParseError> {
    let limits = Limits { nesting, items };
    let mut out = Normalised::default();
    out.text.push_str("* 1 FETCH (");
    out.text.push_str(name);
    out.text.push(' ');
    let mut lists = Vec::new();
    open(lexer, &mut out, &mut lists, root_kind(root), &limits)?;
    while let Some(list) = lists.last_mut() {
        let spaced = lexer.spaces();
        if lexer.eat(b')') {
            close(&mut out, list);
            lists.pop();
            continue;
        }
        let element = element(lexer)?;
        // Beside a list a space may be missing; without one elsewhere, something else is wrong.
        if list.length > 0 && !spaced && !list.after_list && element != Element::List {
            return Err(lexer.error("a space is missing"));
        }
        list.after_list = element == Element::List;
        list.length += 1;
        if list.length > limits.items {
            return Err(lexer.fail(Reason::Items(limits.items)));
        }
        if list.is_beyond_location(element) {
            let depth = lists.len();
            let skipped = lexer.skip_value(limits.nesting.saturating_sub(depth));
            skipped.map_err(|error| match error.reason {
                Reason::Nesting(_) => lexer.fail(Reason::Nesting(limits.nesting)),
                _ => error,
            })?;
            continue;
        }
        list.separate(element, &mut out);
        match element {
            Element::List => {
                let kind = list.child();
                open(lexer, &mut out, &mut lists, kind, &limits)?;
            }
            Element::String => {
                let string = lexer.string()?;
                list.put_string(string, &mut out);
            }
            Element::Nil => {
                lexer.eat_nil();
                list.put_nil(&mut out);
            }
            Element::Number => {
                let number = if lexer.eat_word(b"-1") {
                    0
                } else {
                    lexer.number_u64()?
                };
                list.put_number(number, &mut out);
            }
        }
    }
    out.text.push_str(")\r\n");
    Ok(out)
}

fn root_kind(root: Root) -> Kind {
    match root {
        Root::Envelope => Kind::Envelope,
        Root::Body => Kind::Body(Body::default()),
    }
}

fn element(lexer: &Lexer<'_>) -> Result<Element, ParseError> {
    match lexer.peek() {
        Some(b'(') => Ok(Element::List),
        Some(b'0'..=b'9' | b'-') => Ok(Element::Number),
        _ if lexer.at_string() => Ok(Element::String),
        _ if lexer.clone().eat_nil() => Ok(Element::Nil),
        Some(byte) if is_atom_byte(byte) => Err(lexer.error("an atom is out of place")),
        _ => Err(lexer.error("a list does not end")),
    }
}

fn open(
    lexer: &mut Lexer<'_>,
    out: &mut Normalised,
    lists: &mut Vec<List>,
    kind: Kind,
    limits: &Limits,
) -> Result<(), ParseError> {
    lexer.expect(b'(', "a list is missing")?;
    if lists.len() >= limits.nesting {
        return Err(lexer.fail(Reason::Nesting(limits.nesting)));
    }
    lists.push(List {
        kind,
        length: 0,
        after_list: false,
        start: out.text.len(),
    });
    out.text.push('(');
    Ok(())
}

fn close(out: &mut Normalised, list: &mut List) {
    if list.length == 0 {
        out.text.truncate(list.start);
        out.text.push_str("NIL");
        return;
    }
    match &list.kind {
        Kind::Body(body) if body.parts == 0 && list.length == 1 => list.insert_part(out),
        Kind::Disposition if list.length == 1 => out.text.push_str(" NIL"),
        _ => {}
    }
    out.text.push(')');
}

impl List {
    /// Whether the current element of a body comes after the last one that is read.
    fn is_beyond_location(&mut self, element: Element) -> bool {
        let length = self.length;
        let Kind::Body(body) = &mut self.kind else {
            return false;
        };
        // Element 7 of a single part tells texts and messages from the others.
        if length == 8 && body.parts == 0 {
            body.disposition = Some(match (body.media_type, element) {
                (MediaType::Message, Element::List) => {
                    body.has_message = true;
                    11
                }
                (_, Element::Number) => 9,
                _ => 8,
            });
        }
        body.disposition
            .is_some_and(|disposition| length - 1 > disposition + 2)
    }

    /// Writes the space before the current element, and what has to be there before it.
    fn separate(&mut self, element: Element, out: &mut Normalised) {
        if let Kind::Body(body) = &mut self.kind {
            let index = self.length - 1;
            if element == Element::List && body.parts == index {
                body.parts += 1;
                return;
            }
            if body.parts == index && index > 0 {
                // The subtype of a multipart; its parameters come before the disposition.
                body.disposition = Some(index + 2);
            }
            if index == 1 && body.parts == 0 && element != Element::String {
                // A type without a subtype: it is the subtype of a multipart without parts.
                body.parts = 1;
                body.disposition = Some(3);
                self.insert_part(out);
                self.length += 1;
            }
        }
        if self.length > 1 {
            out.text.push(' ');
        }
    }

    /// Puts a stand-in before the first element of a multipart without parts.
    fn insert_part(&self, out: &mut Normalised) {
        out.text.insert_str(self.start + 1, NO_PARTS);
        let after = self.start + 1 + NO_PARTS.len();
        out.text.insert(after, ' ');
    }

    /// What the current element is, being a list.
    fn child(&self) -> Kind {
        let index = self.length - 1;
        match &self.kind {
            Kind::Body(body) if index < body.parts => Kind::Body(Body::default()),
            Kind::Body(body) if body.has_message && index == 7 => Kind::Envelope,
            Kind::Body(body) if body.has_message && index == 8 => Kind::Body(Body::default()),
            Kind::Body(body) if Some(index) == body.disposition => Kind::Disposition,
            Kind::Body(body) if index == body.parameters() => Kind::Parameters,
            Kind::Disposition if index == 1 => Kind::Parameters,
            _ => Kind::Other,
        }
    }

    fn put_string(&mut self, string: Bytes, out: &mut Normalised) {
        let index = self.length - 1;
        if let Kind::Body(body) = &mut self.kind {
            if Some(index) == body.disposition {
                out.text.push('(');
                out.put_placeholder(string);
                out.text.push_str(" NIL)");
                return;
            }
            if let Some(name) = body.known_type(index, &string) {
                out.text.push_str(name);
                return;
            }
        }
        out.put_placeholder(string);
    }

    fn put_nil(&mut self, out: &mut Normalised) {
        let index = self.length - 1;
        match &self.kind {
            Kind::Parameters if index % 2 == 1 => out.put_placeholder(Bytes::new()),
            Kind::Body(body) if body.parts == 0 && index == 6 => self.put_number(0, out),
            _ => out.text.push_str("NIL"),
        }
    }

    fn put_number(&mut self, number: u64, out: &mut Normalised) {
        let place = out.numbers.len();
        match &self.kind {
            Kind::Body(body) if body.parts == 0 && body.is_global && self.length == 7 => {
                out.global_messages.extend(u32::try_from(place));
            }
            _ => {}
        }
        out.numbers.push(number);
        out.text.push_str(&place.to_string());
    }
}

impl Body {
    /// The place of the parameters.
    fn parameters(&self) -> usize {
        if self.parts == 0 { 2 } else { self.parts + 1 }
    }

    /// The name, as imap-proto has to see it, of a media type that decides about the grammar.
    fn known_type(&mut self, index: usize, string: &[u8]) -> Option<&'static str> {
        if self.parts > 0 {
            return None;
        }
        match (index, self.media_type) {
            (0, _) if string.eq_ignore_ascii_case(b"TEXT") => {
                self.media_type = MediaType::Text;
                Some("\"TEXT\"")
            }
            (0, _) if string.eq_ignore_ascii_case(b"MESSAGE") => {
                self.media_type = MediaType::Message;
                Some("\"MESSAGE\"")
            }
            (1, MediaType::Message) if string.eq_ignore_ascii_case(b"RFC822") => Some("\"RFC822\""),
            (1, MediaType::Message) if string.eq_ignore_ascii_case(b"GLOBAL") => {
                self.is_global = true;
                Some("\"RFC822\"")
            }
            _ => None,
        }
    }
}

impl Normalised {
    fn put_placeholder(&mut self, string: Bytes) {
        self.text.push_str("\"#");
        self.text.push_str(&self.strings.len().to_string());
        self.text.push('"');
        self.strings.push(string);
    }
}
