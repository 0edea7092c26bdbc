//! Messages whose UID comes after a large body.
//!
//! A body above the stream threshold is handed on as it comes, once it is known whose it is.
//! Servers may send attributes in any order (RFC 9051 §7.5.2): where the UID has not come yet,
//! the body is held in memory, up to the limit for buffered bodies, until the response says it.

use bytes::{Bytes, BytesMut};

use crate::protocol::imap::response::{Attributes, Fetch, OpenSection, SectionData};
use crate::types::ids::SeqNum;

/// A FETCH response whose UID is still to come.
#[derive(Debug)]
pub(super) struct Held {
    pub seq: SeqNum,
    attributes: Attributes,
    open: OpenSection,
    pieces: Vec<Bytes>,
    len: usize,
}

impl Held {
    pub(super) fn new(seq: SeqNum, attributes: Attributes, open: OpenSection, len: usize) -> Self {
        Self {
            seq,
            attributes,
            open,
            pieces: Vec::new(),
            len,
        }
    }

    /// Adds bytes of the body. Returns how many there are now.
    pub(super) fn push(&mut self, bytes: Bytes) -> usize {
        // Small records make many pieces of a few bytes each.
        self.len += bytes.len() + size_of::<Bytes>();
        self.pieces.push(bytes);
        self.len
    }

    /// The whole response, once the part behind the body has come.
    pub(super) fn complete(self, rest: Fetch) -> (Fetch, usize) {
        let mut data = BytesMut::with_capacity(self.pieces.iter().map(Bytes::len).sum());
        for piece in &self.pieces {
            data.extend_from_slice(piece);
        }
        let mut attributes = self.attributes;
        attributes.sections.push(SectionData {
            kind: self.open.kind,
            section: self.open.section,
            origin: self.open.origin,
            data: Some(data.freeze()),
        });
        let later = rest.attributes;
        attributes.uid = later.uid;
        attributes.flags = later.flags.or(attributes.flags);
        attributes.internal_date = later.internal_date.or(attributes.internal_date);
        attributes.size = later.size.or(attributes.size);
        attributes.mod_seq = later.mod_seq.or(attributes.mod_seq);
        attributes.envelope = later.envelope.or(attributes.envelope);
        attributes.body_structure = later.body_structure.or(attributes.body_structure);
        attributes.extended = later.extended.or(attributes.extended);
        attributes.sections.extend(later.sections);
        attributes.others.extend(later.others);
        let fetch = Fetch {
            seq: self.seq,
            attributes,
            open: rest.open,
        };
        (fetch, self.len)
    }
}
