//! What a `FETCH` response says about a message.

use crate::types::body_structure::BodyStructure;
use crate::types::date::DateTime;
use crate::types::envelope::{AttributeError, Envelope};
use crate::types::flag::Flags;
use crate::types::ids::{ModSeq, Uid};
use crate::types::section::Section;
use bytes::Bytes;

/// The attributes of a message that one `FETCH` response holds (RFC 9051 §7.5.2). What
/// the response does not hold is `None` or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub uid: Option<Uid>,
    pub flags: Option<Flags>,
    pub internal_date: Option<DateTime>,
    /// In octets (`RFC822.SIZE`).
    pub size: Option<u64>,
    pub mod_seq: Option<ModSeq>,
    pub envelope: Option<Result<Box<Envelope>, AttributeError>>,
    /// Of `BODYSTRUCTURE` or of `BODY`.
    pub body_structure: Option<Result<Box<BodyStructure>, AttributeError>>,
    /// In the order of the response.
    pub sections: Vec<SectionData>,
    /// The less usual ones.
    pub extended: Option<Box<ExtendedAttributes>>,
    /// Attributes that are not known, or whose values were not understood: the name and
    /// the value as it came.
    pub others: Vec<(String, Bytes)>,
}

/// Attributes of extensions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExtendedAttributes {
    /// The beginning of the text (RFC 8970 §3.2).
    pub preview: Option<Bytes>,
    /// When the message came into the mailbox (RFC 8514 §4.2).
    pub save_date: Option<DateTime>,
    /// What copies of the message share (RFC 8474 §5.1).
    pub email_id: Option<String>,
    /// What the messages of a thread share (RFC 8474 §5.2).
    pub thread_id: Option<String>,
    /// Gmail's `X-GM-MSGID`.
    pub gmail_message_id: Option<u64>,
    /// Gmail's `X-GM-THRID`.
    pub gmail_thread_id: Option<u64>,
    /// Gmail's `X-GM-LABELS`; names in modified UTF-7.
    pub gmail_labels: Option<Vec<Bytes>>,
    /// The decoded lengths of parts (RFC 3516 §4.3, `BINARY.SIZE`).
    pub binary_sizes: Vec<(Section, u64)>,
}

/// How a section was fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SectionKind {
    /// As it is in the message: `BODY`, and the old `RFC822`, `RFC822.HEADER` and
    /// `RFC822.TEXT`.
    Body,
    /// With its transfer encoding undone: `BINARY` (RFC 3516).
    Binary,
}

/// A section of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SectionData {
    pub kind: SectionKind,
    pub section: Section,
    /// Where the data begins, if it is a part of the section only (`<0>`).
    pub origin: Option<u64>,
    /// `None` if the server said `NIL`: there is no such section.
    pub data: Option<Bytes>,
}

/// The section whose data is streamed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OpenSection {
    pub kind: SectionKind,
    pub section: Section,
    pub origin: Option<u64>,
    /// How many bytes the data has.
    pub length: u64,
}

/// One attribute.
pub(super) enum Value {
    Uid(Uid),
    Flags(Flags),
    InternalDate(DateTime),
    Size(u64),
    ModSeq(ModSeq),
    Envelope(Result<Box<Envelope>, AttributeError>),
    BodyStructure(Result<Box<BodyStructure>, AttributeError>),
    Section(SectionData),
    BinarySize(Section, u64),
    /// The server has none.
    Absent,
    Preview(Bytes),
    SaveDate(DateTime),
    EmailId(String),
    ThreadId(String),
    GmailMessageId(u64),
    GmailThreadId(u64),
    GmailLabels(Vec<Bytes>),
}

impl Attributes {
    /// Adds an attribute. Whether it may be added: not if it would be a second UID.
    #[must_use]
    pub(super) fn set(&mut self, value: Value) -> bool {
        match value {
            Value::Uid(uid) => return self.uid.replace(uid).is_none(),
            Value::Flags(flags) => self.flags = Some(flags),
            Value::InternalDate(date) => self.internal_date = Some(date),
            Value::Size(size) => self.size = Some(size),
            Value::ModSeq(mod_seq) => self.mod_seq = Some(mod_seq),
            Value::Envelope(envelope) => self.envelope = Some(envelope),
            Value::BodyStructure(structure) => self.body_structure = Some(structure),
            Value::Section(section) => self.sections.push(section),
            Value::Absent => {}
            Value::BinarySize(section, size) => self.extended().binary_sizes.push((section, size)),
            Value::Preview(text) => self.extended().preview = Some(text),
            Value::SaveDate(date) => self.extended().save_date = Some(date),
            Value::EmailId(id) => self.extended().email_id = Some(id),
            Value::ThreadId(id) => self.extended().thread_id = Some(id),
            Value::GmailMessageId(id) => self.extended().gmail_message_id = Some(id),
            Value::GmailThreadId(id) => self.extended().gmail_thread_id = Some(id),
            Value::GmailLabels(labels) => self.extended().gmail_labels = Some(labels),
        }
        true
    }

    fn extended(&mut self) -> &mut ExtendedAttributes {
        self.extended.get_or_insert_default()
    }
}
