//! A message as a server stored it.

/// Headers that servers put before a message when they deliver it, in the order in which they
/// stand there, each at most once. X-Original-To is Postfix's alone.
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
    /// Where the server's headers end.
    start: usize,
}

impl Arrived {
    /// From the bytes of a file that a server has delivered.
    #[must_use]
    pub fn new(stored: Vec<u8>) -> Self {
        let mut arrived = Self { stored, start: 0 };
        for name in PREPENDED {
            arrived.skip(name);
        }
        arrived
    }

    /// The same without the Received header of a server that handed the message on.
    #[must_use]
    pub fn relayed(mut self) -> Self {
        self.skip(b"Received:");
        self
    }

    /// The file as it is: lines end in LF, the server's headers come first.
    pub fn stored(&self) -> &[u8] {
        &self.stored
    }

    /// The message without the server's headers, with CRLF as line ends: what was sent, dots
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

    /// The address that RCPT had, without angle brackets. Empty where Dovecot took the message for
    /// several recipients.
    pub fn recipient(&self) -> String {
        let original = self.prepended("X-Original-To:");
        if original.is_empty() {
            self.prepended("Delivered-To:")
        } else {
            original
        }
    }

    /// How it came, as the server's Received header says: the client's name for itself, SMTP,
    /// ESMTP, LMTP or UTF8SMTP, with S where TLS was used and A where the client logged in.
    pub fn received(&self) -> String {
        self.prepended("Received:")
    }

    /// Moves the start behind a header, if it stands there.
    fn skip(&mut self, name: &[u8]) {
        let rest = self.stored.get(self.start..).unwrap_or_default();
        if rest.starts_with(name) {
            self.start += header_length(rest);
        }
    }

    /// The value of one of the server's headers, lines joined.
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
    fn only_the_first_of_each_of_the_servers_headers_is_taken_off() {
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
        assert_eq!(arrived.relayed().message(), b"Subject: x\r\n\r\nbody\r\n");
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
