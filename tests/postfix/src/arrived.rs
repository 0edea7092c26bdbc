//! A message as Postfix stored it.

/// Headers that Postfix puts before a message when it delivers it, in the order in which they
/// stand there: each at most once.
const PREPENDED: [&[u8]; 4] = [
    b"Return-Path:",
    b"X-Original-To:",
    b"Delivered-To:",
    b"Received:",
];

/// A message that arrived, for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    stored: Vec<u8>,
    /// Where the headers of Postfix end.
    start: usize,
}

impl Arrived {
    pub(crate) fn new(stored: Vec<u8>) -> Self {
        let mut start = 0;
        for name in PREPENDED {
            let rest = stored.get(start..).unwrap_or_default();
            if rest.starts_with(name) {
                start += header_length(rest);
            }
        }
        Self { stored, start }
    }

    /// The file as it is: lines end in LF, the headers of Postfix come first.
    pub fn stored(&self) -> &[u8] {
        &self.stored
    }

    /// The message without the headers of Postfix, with CRLF as line ends: what was sent, dots
    /// unstuffed.
    pub fn message(&self) -> Vec<u8> {
        let body = self.stored.get(self.start..).unwrap_or_default();
        let mut message = Vec::with_capacity(body.len() + body.len() / 32);
        for &byte in body {
            if byte == b'\n' {
                message.push(b'\r');
            }
            message.push(byte);
        }
        message
    }

    /// The reverse-path of the envelope, without angle brackets; empty for `<>`.
    pub fn reverse_path(&self) -> String {
        let path = self.prepended("Return-Path:");
        let path = path.strip_prefix('<').unwrap_or(&path);
        path.strip_suffix('>').unwrap_or(path).to_owned()
    }

    /// The address that RCPT had.
    pub fn recipient(&self) -> String {
        self.prepended("X-Original-To:")
    }

    /// How it came, as the Received header says: the client's name for itself, SMTP, ESMTP or
    /// UTF8SMTP, with S where TLS was used.
    pub fn received(&self) -> String {
        self.prepended("Received:")
    }

    /// The value of one of Postfix's headers, lines joined.
    fn prepended(&self, name: &str) -> String {
        let mut rest = self.stored.get(..self.start).unwrap_or_default();
        while !rest.is_empty() {
            let (header, after) = rest.split_at(header_length(rest));
            if let Some(value) = header.strip_prefix(name.as_bytes()) {
                let value = String::from_utf8_lossy(value);
                return value.replace('\n', "").trim().to_owned();
            }
            rest = after;
        }
        String::new()
    }
}

/// The length of the header that begins here, with its continuation lines and line ends.
fn header_length(bytes: &[u8]) -> usize {
    let mut length = 0;
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        if length > 0 && !line.starts_with(b" ") && !line.starts_with(b"\t") {
            break;
        }
        length += line.len();
    }
    length
}

#[cfg(test)]
mod tests {
    use super::Arrived;

    #[test]
    fn only_the_first_of_each_of_postfixs_headers_is_taken_off() {
        let stored = b"Return-Path: <me@a.example>\nX-Original-To: you@b.example\n\
            Delivered-To: you@b.example\nReceived: from c\n\tby d; now\n\
            Received: from e\n\tby f\nSubject: x\n\nbody\n";
        let arrived = Arrived::new(stored.to_vec());
        assert_eq!(
            arrived.message(),
            b"Received: from e\r\n\tby f\r\nSubject: x\r\n\r\nbody\r\n"
        );
        assert_eq!(arrived.reverse_path(), "me@a.example");
        assert_eq!(arrived.recipient(), "you@b.example");
        assert_eq!(arrived.received(), "from c\tby d; now");
        assert_eq!(arrived.stored(), stored);
    }

    #[test]
    fn a_message_that_begins_with_a_continuation_or_ends_early_does_no_harm() {
        assert_eq!(Arrived::new(Vec::new()).message(), b"");
        assert_eq!(Arrived::new(b"Return-Path: <>".to_vec()).reverse_path(), "");
        assert_eq!(
            Arrived::new(b"\n\nx\n".to_vec()).message(),
            b"\r\n\r\nx\r\n"
        );
    }
}
