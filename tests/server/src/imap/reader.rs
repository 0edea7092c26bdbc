//! Collects whole commands: lines, and the literals between them.

use std::io;

use super::session::Session;

/// The longest line that is taken.
const MAX_LINE: usize = 4 << 20;

/// A literal that a line announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Announced {
    len: u64,
    synchronising: bool,
}

/// Reads `{123}` or `{123+}` at the end of a line.
fn announced_literal(line: &[u8]) -> Option<Announced> {
    let inner = line.strip_suffix(b"}")?;
    let open = inner.iter().rposition(|&byte| byte == b'{')?;
    let inner = inner.get(open + 1..)?;
    let (digits, synchronising) = match inner.strip_suffix(b"+") {
        Some(digits) => (digits, false),
        None => (inner, true),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let len = std::str::from_utf8(digits)
        .ok()?
        .parse()
        .unwrap_or(u64::MAX);
    Some(Announced { len, synchronising })
}

impl Session {
    /// The next line with its CRLF; `None` at the end of the stream.
    pub(super) fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut scanned: usize = 0;
        loop {
            let input = self.stream.input();
            let from = scanned.saturating_sub(1);
            let end = input
                .get(from..)
                .unwrap_or_default()
                .windows(2)
                .position(|pair| pair == b"\r\n");
            if let Some(end) = end {
                return Ok(Some(self.stream.take(from + end + 2)));
            }
            scanned = input.len();
            if scanned > MAX_LINE {
                return self.refuse_input("Line too long");
            }
            if !self.wait_for_input()? {
                return Ok(None);
            }
        }
    }

    /// The next command with its literals and its CRLF; `None` at the end of the stream.
    pub(super) fn next_command(&mut self) -> io::Result<Option<Vec<u8>>> {
        let max = self.hub.settings.read().max_literal;
        let mut command = Vec::new();
        loop {
            let Some(line) = self.next_line()? else {
                return Ok(None);
            };
            command.extend_from_slice(&line);
            let line = line.strip_suffix(b"\r\n").unwrap_or(&line);
            let Some(literal) = announced_literal(line) else {
                return Ok(Some(command));
            };
            let len = usize::try_from(literal.len).unwrap_or(usize::MAX);
            let too_big = len > max.saturating_sub(command.len());
            let tag = tag_of(&command);
            if literal.synchronising {
                let refusal = self.hub.faults.refuse_literal(self.connection.id);
                let refusal = refusal.or(too_big.then(|| "[TOOBIG] Literal too big".to_owned()));
                if let Some(text) = refusal {
                    let verb = super::dispatch::verb_of(&command).1;
                    self.record(&command, &tag, &verb);
                    self.line(&format!("{tag} NO {text}"));
                    self.send_out()?;
                    command.clear();
                    continue;
                }
                self.request_continuation("Ready for literal data")?;
            } else {
                let allowed = self.has("LITERAL+") || (self.has("LITERAL-") && len <= 4096);
                if !allowed {
                    self.line(&format!("{tag} BAD Non-synchronising literal not allowed"));
                    return self.refuse_input("Non-synchronising literal not allowed");
                }
                if too_big {
                    return self.refuse_input("[TOOBIG] Literal too big");
                }
            }
            while self.stream.input().len() < len {
                if !self.wait_for_input()? {
                    return Ok(None);
                }
            }
            command.extend_from_slice(&self.stream.take(len));
        }
    }

    /// Says BYE to input that cannot be made sense of any more; then comes the end.
    fn refuse_input<T>(&mut self, text: &str) -> io::Result<Option<T>> {
        self.line(&format!("* BYE {text}"));
        self.send_out()?;
        Ok(None)
    }
}

/// The tag of a command, or `*` if it has none.
pub(super) fn tag_of(command: &[u8]) -> String {
    let end = command
        .iter()
        .position(|&byte| byte == b' ' || byte == b'\r');
    let tag = command.get(..end.unwrap_or(0)).unwrap_or_default();
    let allowed = |byte: &u8| byte.is_ascii_graphic() && !b"(){%*\"\\+".contains(byte);
    if tag.is_empty() || !tag.iter().all(allowed) {
        return "*".to_owned();
    }
    String::from_utf8_lossy(tag).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_seen_at_the_end_of_a_line() {
        let literal = |len, synchronising| Some(Announced { len, synchronising });
        assert_eq!(announced_literal(b"a LOGIN {5}"), literal(5, true));
        assert_eq!(announced_literal(b"a APPEND x ~{0+}"), literal(0, false));
        assert_eq!(
            announced_literal(b"a {99999999999999999999999}"),
            literal(u64::MAX, true)
        );
        for line in [
            b"a {}".as_slice(),
            b"a {+}",
            b"a {-1}",
            b"a {5} ",
            b"}",
            b"",
        ] {
            assert_eq!(announced_literal(line), None);
        }
    }

    #[test]
    fn tags_are_told_from_rubbish() {
        assert_eq!(tag_of(b"A1 NOOP\r\n"), "A1");
        assert_eq!(tag_of(b"A1\r\n"), "A1");
        assert_eq!(tag_of(b"+ NOOP\r\n"), "*");
        assert_eq!(tag_of(b"\r\n"), "*");
        assert_eq!(tag_of(b"\xff NOOP\r\n"), "*");
    }
}
