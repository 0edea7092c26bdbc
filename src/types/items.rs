//! What FETCH is asked for (RFC 9051 §6.4.5).

use super::section::{Partial, Section};

/// What to fetch of each message. The UID comes with every message, asked for or not.
///
/// ```
/// use mailpool::{Items, Section};
/// let overview = Items::new()
///     .flags()
///     .internal_date()
///     .peek(Section::header_fields(["From", "Subject"])?);
/// # let _ = overview;
/// # Ok::<(), mailpool::InvalidArgument>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
#[must_use]
pub struct Items {
    flags: bool,
    internal_date: bool,
    size: bool,
    envelope: bool,
    body_structure: bool,
    body: bool,
    mod_seq: bool,
    sections: Vec<SectionItem>,
}

/// A section to fetch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SectionItem {
    pub(crate) section: Section,
    pub(crate) partial: Option<Partial>,
    /// Whether `\Seen` stays as it is.
    pub(crate) peek: bool,
}

impl Items {
    /// Nothing but the UID.
    pub const fn new() -> Self {
        Self {
            flags: false,
            internal_date: false,
            size: false,
            envelope: false,
            body_structure: false,
            body: false,
            mod_seq: false,
            sections: Vec::new(),
        }
    }

    /// The whole message with its flags, date and size; `\Seen` stays as it is.
    pub fn full() -> Self {
        Self::fast().peek(Section::full())
    }

    /// Flags, date and size, without any content.
    pub fn fast() -> Self {
        Self::new().flags().internal_date().size()
    }

    /// The header with flags, date and size; `\Seen` stays as it is.
    pub fn headers() -> Self {
        Self::fast().peek(Section::header())
    }

    /// `FLAGS`.
    pub fn flags(mut self) -> Self {
        self.flags = true;
        self
    }

    /// `INTERNALDATE`: when the server received the message.
    pub fn internal_date(mut self) -> Self {
        self.internal_date = true;
        self
    }

    /// `RFC822.SIZE`: the size of the message in bytes.
    pub fn size(mut self) -> Self {
        self.size = true;
        self
    }

    /// `ENVELOPE`: the header fields that mail programs show, parsed by the server.
    pub fn envelope(mut self) -> Self {
        self.envelope = true;
        self
    }

    /// `BODYSTRUCTURE`: the MIME structure with its extension data.
    pub fn body_structure(mut self) -> Self {
        self.body_structure = true;
        self
    }

    /// `BODY`: the MIME structure without extension data.
    pub fn body(mut self) -> Self {
        self.body = true;
        self
    }

    /// `MODSEQ` (RFC 7162): needs a server with CONDSTORE.
    pub fn mod_seq(mut self) -> Self {
        self.mod_seq = true;
        self
    }

    /// `BODY.PEEK[section]`: a section; `\Seen` stays as it is.
    pub fn peek(self, section: Section) -> Self {
        self.with(SectionItem {
            section,
            partial: None,
            peek: true,
        })
    }

    /// `BODY.PEEK[section]<offset.len>`: a range of a section; `\Seen` stays as it is.
    pub fn peek_partial(self, section: Section, partial: Partial) -> Self {
        self.with(SectionItem {
            section,
            partial: Some(partial),
            peek: true,
        })
    }

    /// `BODY[section]`: a section; sets `\Seen`.
    pub fn section(self, section: Section) -> Self {
        self.with(SectionItem {
            section,
            partial: None,
            peek: false,
        })
    }

    /// `BODY[section]<offset.len>`: a range of a section; sets `\Seen`.
    pub fn section_partial(self, section: Section, partial: Partial) -> Self {
        self.with(SectionItem {
            section,
            partial: Some(partial),
            peek: false,
        })
    }

    fn with(mut self, item: SectionItem) -> Self {
        if !self.sections.contains(&item) {
            self.sections.push(item);
        }
        self
    }

    /// The items without an argument, as they are written. UID comes first.
    pub(crate) fn words(&self) -> impl Iterator<Item = &'static str> + use<> {
        [
            (true, "UID"),
            (self.flags, "FLAGS"),
            (self.internal_date, "INTERNALDATE"),
            (self.size, "RFC822.SIZE"),
            (self.envelope, "ENVELOPE"),
            (self.body_structure, "BODYSTRUCTURE"),
            (self.body, "BODY"),
            (self.mod_seq, "MODSEQ"),
        ]
        .into_iter()
        .filter_map(|(asked, word)| asked.then_some(word))
    }

    pub(crate) fn sections(&self) -> &[SectionItem] {
        &self.sections
    }

    /// Whether an answer has nothing that a server does not also send unasked.
    pub(crate) fn is_flags_only(&self) -> bool {
        self.sections.is_empty()
            && self
                .words()
                .all(|word| matches!(word, "UID" | "FLAGS" | "MODSEQ"))
    }
}

impl From<&Items> for Items {
    fn from(items: &Items) -> Self {
        items.clone()
    }
}
