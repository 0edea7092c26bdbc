//! Answers: a code, an enhanced status code, lines of text.

/// An answer of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) code: u16,
    /// The enhanced status code (RFC 3463); empty where there is none.
    status: &'static str,
    lines: Vec<String>,
}

impl Reply {
    pub(super) fn new(code: u16, status: &'static str, text: impl Into<String>) -> Self {
        Self {
            code,
            status,
            lines: vec![text.into()],
        }
    }

    /// An answer of several lines, which never has an enhanced status code here.
    pub(super) fn lines(code: u16, lines: Vec<String>) -> Self {
        Self {
            code,
            status: "",
            lines,
        }
    }

    /// The bytes of the answer (RFC 5321 section 4.2.1, RFC 2034 section 4).
    pub(super) fn render(&self, enhanced: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (index, line) in self.lines.iter().enumerate() {
            let last = index + 1 == self.lines.len();
            let separator = if last { ' ' } else { '-' };
            let start = format!("{}{separator}", self.code);
            bytes.extend_from_slice(start.as_bytes());
            if enhanced && !self.status.is_empty() {
                bytes.extend_from_slice(self.status.as_bytes());
                bytes.push(b' ');
            }
            bytes.extend_from_slice(line.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_have_the_form_of_the_rfc() {
        let reply = Reply::new(550, "5.1.1", "No such user");
        assert_eq!(reply.render(true), b"550 5.1.1 No such user\r\n");
        assert_eq!(reply.render(false), b"550 No such user\r\n");
        let reply = Reply::lines(250, vec!["localhost".into(), "HELP".into()]);
        assert_eq!(reply.render(true), b"250-localhost\r\n250 HELP\r\n");
    }
}
