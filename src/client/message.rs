//! A fetched message and its body.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use parking_lot::Mutex;

use super::fetch::{Origin, Shared};
use crate::error::Result;
use crate::protocol::imap::response::{Attributes, SectionKind};
use crate::types::body_structure::BodyStructure;
use crate::types::date::DateTime;
use crate::types::envelope::{AttributeError, Envelope};
use crate::types::flag::Flags;
use crate::types::ids::{ModSeq, SeqNum, Uid, UidValidity};
use crate::types::section::Section;

/// Memory that is set aside for a body before its bytes have come.
const RESERVE: u64 = 1024 * 1024;

/// What a FETCH returned of one message (RFC 9051 §7.5.2). What was not asked for, or did not
/// come, is `None`.
#[derive(Debug)]
pub struct Message {
    origin: Origin,
    attributes: Attributes,
    bodies: Vec<Body>,
}

impl Message {
    pub(super) fn new(origin: Origin, mut attributes: Attributes, streamed: Option<Body>) -> Self {
        let sections = std::mem::take(&mut attributes.sections);
        let mut bodies: Vec<Body> = sections
            .into_iter()
            .filter(|section| section.kind == SectionKind::Body)
            .filter_map(|section| {
                Some(Body {
                    section: section.section,
                    origin: section.origin,
                    content: Content::Memory(section.data?),
                })
            })
            .collect();
        bodies.extend(streamed);
        Self {
            origin,
            attributes,
            bodies,
        }
    }

    /// The message's UID.
    pub fn uid(&self) -> Uid {
        self.origin.uid
    }

    /// What the UID belongs to.
    pub fn uid_validity(&self) -> Option<UidValidity> {
        self.origin.uid_validity
    }

    /// The sequence number that the message had when it was sent. It has no meaning outside an
    /// [exclusive session](crate::ImapClient::exclusive).
    pub fn seq(&self) -> SeqNum {
        self.origin.seq
    }

    /// The flags.
    pub fn flags(&self) -> Option<&Flags> {
        self.attributes.flags.as_ref()
    }

    /// When the server received the message.
    pub fn internal_date(&self) -> Option<DateTime> {
        self.attributes.internal_date
    }

    /// The size in bytes (RFC822.SIZE).
    pub fn size(&self) -> Option<u64> {
        self.attributes.size
    }

    /// The mod-sequence (RFC 7162).
    pub fn mod_seq(&self) -> Option<ModSeq> {
        self.attributes.mod_seq
    }

    /// The envelope, or why what the server sent cannot be read as one.
    pub fn envelope(&self) -> Option<std::result::Result<&Envelope, &AttributeError>> {
        let envelope = self.attributes.envelope.as_ref()?;
        Some(envelope.as_ref().map(AsRef::as_ref))
    }

    /// The body structure, or why what the server sent cannot be read as one.
    pub fn body_structure(&self) -> Option<std::result::Result<&BodyStructure, &AttributeError>> {
        let structure = self.attributes.body_structure.as_ref()?;
        Some(structure.as_ref().map(AsRef::as_ref))
    }

    /// The whole message (`BODY[]`).
    pub fn body(&self) -> Option<&Body> {
        self.section(&Section::full())
    }

    /// A section of the message.
    pub fn section(&self, section: &Section) -> Option<&Body> {
        self.bodies.iter().find(|body| body.section == *section)
    }

    /// All sections that were fetched.
    pub fn sections(&self) -> &[Body] {
        &self.bodies
    }

    /// Takes the whole message (`BODY[]`) out.
    pub fn into_body(self) -> Option<Body> {
        self.into_section(&Section::full())
    }

    /// Takes a section out.
    pub fn into_section(self, section: &Section) -> Option<Body> {
        self.bodies
            .into_iter()
            .find(|body| body.section == *section)
    }

    /// Takes all sections out.
    pub fn into_sections(self) -> Vec<Body> {
        self.bodies
    }

    /// The attributes that this crate does not know, or whose values it could not read: the
    /// name and the value as it came.
    pub fn other_attributes(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        let others = self.attributes.others.iter();
        others.map(|(name, value)| (name.as_str(), value))
    }
}

/// The bytes of a message's section.
///
/// Either they are in memory, as a slice of what was received, or they are still to be read
/// from the connection. [`into_bytes`](Self::into_bytes) and [`into_reader`](Self::into_reader)
/// work for both.
///
/// A small body shares the memory of what was received with it: keeping it keeps up to some
/// hundred kilobytes. To keep many small bodies for long, copy them.
#[derive(Debug)]
pub struct Body {
    section: Section,
    origin: Option<u64>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Memory(Bytes),
    Stream(u64, BodyReader),
}

impl Body {
    pub(super) fn streamed(
        section: Section,
        origin: Option<u64>,
        size: u64,
        reader: BodyReader,
    ) -> Self {
        Self {
            section,
            origin,
            content: Content::Stream(size, reader),
        }
    }

    /// Which section it is.
    pub fn section(&self) -> &Section {
        &self.section
    }

    /// Where in the section the bytes begin, if a part of it was asked for.
    pub fn partial_origin(&self) -> Option<u64> {
        self.origin
    }

    /// How many bytes there are.
    pub fn len(&self) -> u64 {
        match &self.content {
            Content::Memory(bytes) => bytes.len() as u64,
            Content::Stream(size, _) => *size,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, if they are in memory.
    pub fn bytes(&self) -> Option<&Bytes> {
        match &self.content {
            Content::Memory(bytes) => Some(bytes),
            Content::Stream(..) => None,
        }
    }

    /// Whether the bytes are still to be read from the connection.
    pub fn is_streamed(&self) -> bool {
        matches!(self.content, Content::Stream(..))
    }

    /// The bytes. Those of a streamed body are read into memory, however many they are: look
    /// at [`len`](Self::len) first.
    ///
    /// # Errors
    /// For a streamed body: when the connection or the deadline fails, and
    /// [`ErrorKind::PassedOver`](crate::ErrorKind::PassedOver) when the iterator has gone on.
    pub fn into_bytes(self) -> Result<Bytes> {
        match self.content {
            Content::Memory(bytes) => Ok(bytes),
            Content::Stream(size, mut reader) => {
                let reserve = usize::try_from(size.min(RESERVE)).unwrap_or_default();
                let mut bytes = BytesMut::with_capacity(reserve);
                while let Some(chunk) = reader.next_chunk()? {
                    bytes.extend_from_slice(&chunk);
                }
                Ok(bytes.freeze())
            }
        }
    }

    /// Reads the bytes one after the other; of a streamed body only what is needed is in
    /// memory. What the server sends after a streamed body, flags for instance, comes from
    /// [`BodyReader::finish`].
    pub fn into_reader(self) -> BodyReader {
        match self.content {
            Content::Memory(bytes) => BodyReader {
                present: bytes,
                source: None,
            },
            Content::Stream(_, reader) => reader,
        }
    }
}

/// Reads a body.
///
/// Of a streamed body it reads from the connection, as long as its [`Fetch`](crate::Fetch) has
/// not gone on to the next message.
pub struct BodyReader {
    present: Bytes,
    source: Option<Source>,
}

struct Source {
    shared: Arc<Mutex<Shared>>,
    stream: u64,
    size: u64,
    origin: Origin,
}

impl BodyReader {
    pub(super) fn new(shared: Arc<Mutex<Shared>>, stream: u64, size: u64, origin: Origin) -> Self {
        Self {
            present: Bytes::new(),
            source: Some(Source {
                shared,
                stream,
                size,
                origin,
            }),
        }
    }

    /// The next bytes, without a copy; `None` at the end.
    ///
    /// # Errors
    /// As [`Body::into_bytes`].
    pub fn next_chunk(&mut self) -> Result<Option<Bytes>> {
        if !self.present.is_empty() {
            return Ok(Some(std::mem::take(&mut self.present)));
        }
        match &self.source {
            None => Ok(None),
            Some(source) => source.shared.lock().chunk(source.stream),
        }
    }

    /// Passes over what has not been read and returns what the server sent after the body:
    /// attributes of the same message, perhaps with another body. `None` for a body that was
    /// in memory.
    ///
    /// # Errors
    /// As [`Body::into_bytes`].
    pub fn finish(self) -> Result<Option<Message>> {
        match self.source {
            None => Ok(None),
            Some(source) => Shared::rest(&source.shared, source.stream, source.origin).map(Some),
        }
    }
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.present.is_empty() {
            match self.next_chunk()? {
                Some(chunk) => self.present = chunk,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.present.len());
        if let Some(target) = buffer.get_mut(..count) {
            self.present.copy_to_slice(target);
        }
        Ok(count)
    }
}

impl fmt::Debug for BodyReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self
            .source
            .as_ref()
            .map_or(self.present.len() as u64, |source| source.size);
        f.debug_struct("BodyReader").field("size", &size).finish()
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.uid)
    }
}
