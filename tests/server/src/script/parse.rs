//! Reads scripts from transcripts.

use std::str::FromStr;

use super::{Script, Step};

/// A line of a transcript that is no step.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScriptSyntax {
    /// The line, from 1.
    pub line: usize,
    /// The text of the line.
    pub text: String,
}

impl std::fmt::Display for ScriptSyntax {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "line {} is no step: {}", self.line, self.text)
    }
}

impl std::error::Error for ScriptSyntax {}

impl FromStr for Script {
    type Err = ScriptSyntax;

    fn from_str(text: &str) -> Result<Self, ScriptSyntax> {
        let mut script = Self::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim_start();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let step = parse_step(line).ok_or_else(|| ScriptSyntax {
                line: index + 1,
                text: line.to_owned(),
            })?;
            script.steps.push(step);
        }
        Ok(script)
    }
}

fn parse_step(line: &str) -> Option<Step> {
    let sign = line.get(..2).unwrap_or(line);
    let rest = line.get(2..).unwrap_or_default();
    let text = rest.strip_prefix(' ').unwrap_or(rest);
    let with_crlf = |text: &str| {
        let mut bytes = unescape(text);
        bytes.extend_from_slice(b"\r\n");
        bytes
    };
    match sign {
        "S:" => Some(Step::Send(with_crlf(text))),
        "S-" => Some(Step::Send(unescape(text))),
        "C:" => Some(Step::ExpectLine(with_crlf(text))),
        "C-" => Some(Step::ExpectBytes(unescape(text))),
        "X:" => {
            let bytes: Option<Vec<u8>> = text
                .split_ascii_whitespace()
                .map(|byte| u8::from_str_radix(byte, 16).ok())
                .collect();
            bytes.map(Step::Send)
        }
        _ => match line.strip_prefix('!')?.trim() {
            "starttls" => Some(Step::StartTls),
            "close" => Some(Step::Close),
            "abort" => Some(Step::CloseWithoutNotify),
            "reset" => Some(Step::Reset),
            "stall" => Some(Step::Stall),
            "eof" => Some(Step::ExpectEnd),
            _ => None,
        },
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        bytes.extend_from_slice(before.as_bytes());
        let hex = escape
            .strip_prefix("\\x")
            .and_then(|digits| digits.get(..2))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let (byte, len) = match (hex, escape.as_bytes().get(1)) {
            (Some(byte), _) => (byte, 4),
            (None, Some(b'r')) => (b'\r', 2),
            (None, Some(b'n')) => (b'\n', 2),
            (None, Some(b't')) => (b'\t', 2),
            (None, Some(b'0')) => (0, 2),
            (None, Some(b'\\')) => (b'\\', 2),
            (None, _) => (b'\\', 1),
        };
        bytes.push(byte);
        rest = escape.get(len..).unwrap_or_default();
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transcript_becomes_steps() {
        let script: Script = "\n# hello\nS: * FLAGS (\\Seen)\nS- \\x41\\r\\n\\\\\nX: 00 ff\n\
                              C: {tag} NOOP\nC- a\\0\n! starttls\n  ! stall\nS:"
            .parse()
            .unwrap();
        assert_eq!(
            script.steps,
            [
                Step::Send(b"* FLAGS (\\Seen)\r\n".to_vec()),
                Step::Send(b"A\r\n\\".to_vec()),
                Step::Send(vec![0, 0xff]),
                Step::ExpectLine(b"{tag} NOOP\r\n".to_vec()),
                Step::ExpectBytes(b"a\0".to_vec()),
                Step::StartTls,
                Step::Stall,
                Step::Send(b"\r\n".to_vec()),
            ]
        );
        let error = "S: a\nQ: b".parse::<Script>().unwrap_err();
        assert_eq!(error.line, 2);
    }
}
