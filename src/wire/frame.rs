//! One framed IMAP response.

use bytes::Bytes;

/// One IMAP response, or a part of one whose next literal is streamed.
///
/// A response is text and literals in turn. Texts come without CRLF; a text
/// that a literal follows ends with the literal's announcement, such as `{5}`,
/// `{5+}` or `~{5}`. Nothing is copied: texts and literals are slices of the receive buffer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frame {
    /// The text up to the first literal, or the whole response.
    pub head: Bytes,
    /// Each literal with the text that follows it.
    pub rest: Vec<(Bytes, Bytes)>,
    /// The last text announces a literal of this many bytes that is not part of
    /// this frame: its bytes are delivered as chunks, and the response goes on in a
    /// further frame (whose `head` is the text after the literal).
    pub open_literal: Option<u64>,
}

impl Frame {
    /// How many bytes it has.
    pub(crate) fn len(&self) -> usize {
        let rest = self.rest.iter();
        let rest: usize = rest.map(|(literal, text)| literal.len() + text.len()).sum();
        self.head.len() + rest
    }

    /// A response without literals.
    pub(crate) fn line(text: impl Into<Bytes>) -> Self {
        Self {
            head: text.into(),
            ..Self::default()
        }
    }
}
