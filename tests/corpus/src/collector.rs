//! Collects messages, and helps to write them down.

use crate::CorpusMessage;

/// The headers that a message has unless it is about headers.
const USUAL: &str = "From: Alice Example <alice@example.org>\n\
                     To: Bob Example <bob@example.com>\n\
                     Date: Mon, 3 Jun 2024 10:20:30 +0200\n";

#[derive(Default)]
pub(crate) struct Collector {
    pub(crate) messages: Vec<CorpusMessage>,
}

impl Collector {
    /// Adds a message exactly as it is.
    pub(crate) fn raw(&mut self, name: &str, bytes: impl Into<Vec<u8>>) {
        self.messages.push(CorpusMessage {
            name: name.to_owned(),
            bytes: bytes.into(),
        });
    }

    /// Adds a message that is written with line feeds only; it gets carriage returns.
    pub(crate) fn text(&mut self, name: &str, text: impl AsRef<[u8]>) {
        self.raw(name, crlf(text.as_ref()));
    }

    /// Adds a message with the usual headers, a subject and a Message-ID from its name, then
    /// `rest`: further headers, an empty line and the body, with line feeds only.
    pub(crate) fn usual(&mut self, name: &str, rest: impl AsRef<[u8]>) {
        let mut text = usual(name).into_bytes();
        text.extend_from_slice(rest.as_ref());
        self.text(name, text);
    }

    /// Adds a short message with one header field of interest.
    pub(crate) fn header(&mut self, name: &str, field: impl AsRef<[u8]>) {
        let mut text = b"Message-ID: <".to_vec();
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b"@example.org>\n");
        text.extend_from_slice(field.as_ref());
        text.extend_from_slice(b"\n\nThe interesting part is above.\n");
        self.text(name, text);
    }
}

/// The usual headers with a subject and a Message-ID from a name, without the empty line.
pub(crate) fn usual(name: &str) -> String {
    format!("{USUAL}Subject: {name}\nMessage-ID: <{name}@example.org>\nMIME-Version: 1.0\n")
}

/// Puts a carriage return before every line feed.
pub(crate) fn crlf(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() + text.len() / 32);
    for &byte in text {
        if byte == b'\n' {
            bytes.push(b'\r');
        }
        bytes.push(byte);
    }
    bytes
}
