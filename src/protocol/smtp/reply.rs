//! Reads replies (RFC 5321 §4.2).
//!
//! ```text
//! Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF
//! Reply-code = %x32-35 %x30-35 %x30-39
//! ```

use crate::types::smtp::reply::{EnhancedCode, SmtpReply};
use crate::wire::lines::LineReader;
use crate::wire::receive::ReceiveBuffer;

/// Why what came is no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReplyError {
    #[error("a reply line without a reply code: {0:?}")]
    NoCode(String),
    #[error("a reply with the codes {0} and {1}")]
    Mixed(u16, u16),
    #[error("a reply of more than {0} bytes")]
    TooLong(usize),
}

/// Puts lines together to replies.
#[derive(Debug)]
pub(crate) struct ReplyReader {
    lines: LineReader,
    /// Bytes of one reply.
    limit: usize,
    /// What has come of a reply of several lines.
    begun: Option<SmtpReply>,
    /// Bytes of it.
    held: usize,
}

impl ReplyReader {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            lines: LineReader::default(),
            limit,
            begun: None,
            held: 0,
        }
    }

    /// The next reply, if all of it has come.
    pub(crate) fn next(
        &mut self,
        input: &mut ReceiveBuffer,
    ) -> Result<Option<SmtpReply>, ReplyError> {
        loop {
            let left = self.limit.saturating_sub(self.held);
            let line = self
                .lines
                .next(input, left)
                .map_err(|_| ReplyError::TooLong(self.limit))?;
            let Some(line) = line else {
                return Ok(None);
            };
            // An empty line costs memory, too.
            self.held = self.held.saturating_add(line.len() + 2);
            if self.held > self.limit.saturating_add(2) {
                return Err(ReplyError::TooLong(self.limit));
            }
            if let Some(reply) = self.take_line(&line)? {
                return Ok(Some(reply));
            }
        }
    }

    fn take_line(&mut self, line: &[u8]) -> Result<Option<SmtpReply>, ReplyError> {
        let Some((code, is_last, text)) = split(line) else {
            let start = line.get(..line.len().min(80)).unwrap_or_default();
            return Err(ReplyError::NoCode(
                String::from_utf8_lossy(start).into_owned(),
            ));
        };
        let (enhanced, text) = enhanced(code, text);
        let text = String::from_utf8_lossy(text);
        let reply = match self.begun.take() {
            None => SmtpReply {
                code,
                enhanced,
                text: text.into_owned(),
            },
            Some(begun) if begun.code != code => {
                return Err(ReplyError::Mixed(begun.code, code));
            }
            Some(mut begun) => {
                begun.enhanced = begun.enhanced.or(enhanced);
                begun.text.push('\n');
                begun.text.push_str(&text);
                begun
            }
        };
        if is_last {
            self.held = 0;
            return Ok(Some(reply));
        }
        self.begun = Some(reply);
        Ok(None)
    }
}

/// The code, whether the line is the last one, and the text.
fn split(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (code, rest) = line.split_at_checked(3)?;
    let [
        hundreds @ b'2'..=b'5',
        tens @ b'0'..=b'9',
        ones @ b'0'..=b'9',
    ] = code
    else {
        return None;
    };
    let digit = |byte: &u8| u16::from(byte - b'0');
    let code = digit(hundreds) * 100 + digit(tens) * 10 + digit(ones);
    match rest.split_first() {
        None => Some((code, true, rest)),
        Some((b' ', text)) => Some((code, true, text)),
        Some((b'-', text)) => Some((code, false, text)),
        Some(_) => None,
    }
}

/// Takes an enhanced status code off the text (RFC 2034 §4). One of another class than the reply
/// code's is text.
fn enhanced(code: u16, text: &[u8]) -> (Option<EnhancedCode>, &[u8]) {
    let parse = || {
        let end = text
            .iter()
            .position(|byte| *byte == b' ')
            .unwrap_or(text.len());
        let (word, rest) = text.split_at_checked(end)?;
        let mut numbers = word.split(|byte| *byte == b'.');
        let mut number = || {
            let digits = numbers.next()?;
            let sound = (1..=3).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
            let digits = std::str::from_utf8(digits).ok().filter(|_| sound)?;
            digits.parse::<u16>().ok()
        };
        let (class, subject, detail) = (number()?, number()?, number()?);
        if numbers.next().is_some() || class != code / 100 || !matches!(class, 2 | 4 | 5) {
            return None;
        }
        let class = u8::try_from(class).ok()?;
        let rest = rest.strip_prefix(b" ").unwrap_or(rest);
        Some((EnhancedCode::new(class, subject, detail), rest))
    };
    match parse() {
        Some((enhanced, rest)) => (Some(enhanced), rest),
        None => (None, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replies(stream: &[u8], step: usize, limit: usize) -> Result<Vec<SmtpReply>, ReplyError> {
        let mut input = ReceiveBuffer::new();
        let mut reader = ReplyReader::new(limit);
        let mut found = Vec::new();
        for chunk in stream.chunks(step) {
            input.push(chunk);
            while let Some(reply) = reader.next(&mut input)? {
                found.push(reply);
            }
        }
        Ok(found)
    }

    #[test]
    fn replies_are_the_same_however_they_arrive() {
        let stream = b"220 mail.example.org ESMTP\r\n\
            250-mail.example.org\r\n250-SIZE 100\r\n250 OK\r\n\
            550-5.1.1 no such user\r\n550 5.1.1 really\r\n\
            250\r\n250 2.1.0\r\n354 2.0.0 not for 3yz\r\n\
            550 4.1.1 another class\r\n250 2.1.0000 x\r\n250 2.1.0.1 x\r\n452 4.5.3 \xe4\xff\r\n";
        for step in 1..=stream.len() {
            let found = replies(stream, step, 1000).unwrap();
            let told: Vec<_> = found.iter().map(ToString::to_string).collect();
            assert_eq!(
                told,
                [
                    "220 mail.example.org ESMTP",
                    "250 mail.example.org; SIZE 100; OK",
                    "550 5.1.1 no such user; really",
                    "250",
                    "250 2.1.0",
                    "354 2.0.0 not for 3yz",
                    "550 4.1.1 another class",
                    "250 2.1.0000 x",
                    "250 2.1.0.1 x",
                    "452 4.5.3 \u{fffd}\u{fffd}",
                ]
            );
            assert_eq!(found[2].text, "no such user\nreally");
        }
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for stream in [
            &b"\r\n"[..],
            b"25\r\n",
            b"999 code\r\n",
            b"150 x\r\n",
            b"2500 x\r\n",
            b"250\tx\r\n",
            b"\xff\xff\xff x\r\n",
            b"* OK IMAP4rev1 ready\r\n",
            b"SSH-2.0-OpenSSH\r\n",
        ] {
            let error = replies(stream, 3, 1000).unwrap_err();
            assert!(matches!(error, ReplyError::NoCode(_)), "{stream:?}");
        }
        assert_eq!(
            replies(b"250-a\r\n550 b\r\n", 3, 1000),
            Err(ReplyError::Mixed(250, 550))
        );
    }

    #[test]
    fn a_reply_is_bounded_however_many_lines_it_has() {
        let endless = b"250-x\r\n".repeat(1000);
        assert_eq!(replies(&endless, 100, 1000), Err(ReplyError::TooLong(1000)));
        let long = [&b"250 "[..], &[b'x'; 2000]].concat();
        assert_eq!(replies(&long, 100, 1000), Err(ReplyError::TooLong(1000)));
    }
}
