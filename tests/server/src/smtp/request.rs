//! From a line to a request.
//!
//! smtp-proto decides what a command means. It is obliging: it passes over CR, spaces too many,
//! arguments where none belong, parameters without a space before them. A client that relies on
//! that would fail elsewhere, so the form of the line is looked at first.

use std::collections::BTreeMap;

use smtp_proto::{Error, Request};

use super::reply::Reply;
use crate::counters::ViolationKind;
use crate::store::Path;

/// The longest command line, CRLF included (RFC 5321 section 4.5.3.1.4).
const MAX_LINE: usize = 512;
/// As much more for the parameters of MAIL and RCPT (RFC 1870, 3461, 4954, 6531 and others).
const MAX_MAIL_LINE: usize = MAX_LINE + 1536;
/// The longest line of an authentication (RFC 4954 section 4).
pub(super) const MAX_AUTH_LINE: usize = 12_288;

/// A line that was understood.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) request: Request<String>,
    /// The path of MAIL and RCPT.
    pub(super) path: Path,
}

/// Why a line was not understood.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) reply: Reply,
    pub(super) violation: ViolationKind,
}

impl Refusal {
    fn syntax(code: u16, status: &'static str, text: impl Into<String>) -> Self {
        Self {
            reply: Reply::new(code, status, text),
            violation: ViolationKind::Syntax,
        }
    }
}

/// The verb of a line in capitals; `BAD` if it has none.
pub(super) fn verb_of(line: &[u8]) -> String {
    let verb = line.split(|&byte| byte == b' ').next().unwrap_or_default();
    if verb.is_empty() || !verb.iter().all(u8::is_ascii_alphanumeric) {
        return "BAD".to_owned();
    }
    String::from_utf8_lossy(verb).to_ascii_uppercase()
}

/// Reads a line, given without its CRLF.
pub(super) fn parse(line: &[u8], verb: &str) -> Result<Parsed, Refusal> {
    let max = match verb {
        "MAIL" | "RCPT" => MAX_MAIL_LINE,
        "AUTH" => MAX_AUTH_LINE,
        _ => MAX_LINE,
    };
    if line.len() + 2 > max {
        return Err(Refusal::syntax(500, "5.5.2", "Line too long"));
    }
    let line = check_bytes(line, verb)?;
    let rest = line.get(verb.len()..).unwrap_or_default();
    let mut path = Path::new(String::new(), Vec::new(), BTreeMap::new());
    let mut to_parse = line.to_owned();
    match verb {
        "MAIL" | "RCPT" => {
            path = split_path(rest, verb)?;
            to_parse = for_smtp_proto(verb, &path);
        }
        "BAD" => return Err(explain(&Error::UnknownCommand, "")),
        "VRFY" | "EXPN" | "NOOP" | "HELP" => {}
        "DATA" | "RSET" | "QUIT" | "STARTTLS" if !rest.is_empty() => {
            return Err(Refusal::syntax(501, "5.5.4", "No argument belongs here"));
        }
        _ if line.ends_with(' ') || line.contains("  ") => {
            return Err(Refusal::syntax(501, "5.5.2", "Spaces too many"));
        }
        _ => {}
    }
    to_parse.push_str("\r\n");
    let mut bytes = to_parse.as_bytes().iter();
    let parsed = Request::parse(&mut bytes).map_err(|error| explain(&error, verb))?;
    if bytes.len() > 0 {
        return Err(Refusal::syntax(500, "5.5.2", "Command not understood"));
    }
    let request = parsed.into_owned();
    check_words(&request, line)?;
    let decoded = decoded(&request);
    let Path {
        address,
        parameters,
        ..
    } = path;
    Ok(Parsed {
        request,
        path: Path::new(address, parameters, decoded),
    })
}

/// No line contains a control character, and few anything but ASCII.
fn check_bytes<'a>(line: &'a [u8], verb: &str) -> Result<&'a str, Refusal> {
    let bad = |violation, text: &str| Refusal {
        reply: Reply::new(500, "5.5.2", text),
        violation,
    };
    if line.contains(&b'\n') {
        return Err(bad(ViolationKind::BareLf, "Bare LF"));
    }
    if line.contains(&b'\r') {
        return Err(bad(ViolationKind::BareCr, "Bare CR"));
    }
    if line.iter().any(u8::is_ascii_control) {
        return Err(bad(ViolationKind::Syntax, "Control character"));
    }
    let has_path = matches!(verb, "MAIL" | "RCPT" | "VRFY" | "EXPN");
    match std::str::from_utf8(line) {
        Ok(text) if has_path || text.is_ascii() => Ok(text),
        _ => Err(bad(ViolationKind::Syntax, "Not ASCII")),
    }
}

/// Splits ` FROM:<path> parameters`.
fn split_path(rest: &str, verb: &str) -> Result<Path, Refusal> {
    let (start, syntax) = match verb {
        "MAIL" => (" FROM:<", "MAIL FROM:<reverse-path> [parameters]"),
        _ => (" TO:<", "RCPT TO:<forward-path> [parameters]"),
    };
    let bad = || Refusal::syntax(501, "5.5.2", format!("Syntax: {syntax}"));
    let inner = match rest.get(..start.len()) {
        Some(given) if given.eq_ignore_ascii_case(start) => rest.get(start.len()..),
        _ => None,
    };
    let inner = inner.ok_or_else(bad)?;
    let (mut quoted, mut escaped) = (false, false);
    let end = inner
        .char_indices()
        .find(|&(_, char)| {
            let is_end = char == '>' && !quoted;
            if char == '"' && !escaped {
                quoted = !quoted;
            }
            escaped = quoted && char == '\\' && !escaped;
            is_end
        })
        .ok_or_else(bad)?
        .0;
    let (address, rest) = inner.split_at(end);
    let rest = rest.get(1..).unwrap_or_default();
    let mut parameters: Vec<String> = Vec::new();
    if !rest.is_empty() {
        let list = rest.strip_prefix(' ').ok_or_else(bad)?;
        parameters.extend(list.split(' ').map(str::to_owned));
    }
    let mut keywords: Vec<String> = Vec::new();
    for parameter in &parameters {
        let (keyword, value) = match parameter.split_once('=') {
            Some((keyword, value)) => (keyword, Some(value)),
            None => (parameter.as_str(), None),
        };
        let keyword = keyword.to_ascii_uppercase();
        let plain = keyword
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if keyword.is_empty() || keyword.starts_with('-') || !plain {
            return Err(bad());
        }
        let is_xtext = matches!(keyword.as_str(), "ENVID" | "ORCPT" | "AUTH");
        let good = value.is_none_or(|value| {
            !value.is_empty() && !value.contains('=') && (!is_xtext || is_xtext_value(value))
        });
        if !good || keywords.contains(&keyword) {
            let text = format!("{keyword}: value not allowed, or given twice");
            return Err(Refusal::syntax(501, "5.5.4", text));
        }
        keywords.push(keyword);
    }
    Ok(Path::new(address.to_owned(), parameters, BTreeMap::new()))
}

/// Whether each `+` stands before two capital hexadecimal digits (RFC 3461 section 4).
fn is_xtext_value(value: &str) -> bool {
    let hex = |byte: Option<&u8>| byte.is_some_and(|byte| b"0123456789ABCDEF".contains(byte));
    value.split('+').skip(1).all(|piece| {
        let piece = piece.as_bytes();
        hex(piece.first()) && hex(piece.get(1))
    })
}

/// The line with what smtp-proto does not know said in its words: a postmaster without a domain
/// (RFC 5321 section 4.1.1.3), an address literal for a domain (section 4.1.3), and ORCPT of
/// another type than `rfc822` (RFC 6533 section 3).
fn for_smtp_proto(verb: &str, path: &Path) -> String {
    let argument = if verb == "MAIL" { "FROM" } else { "TO" };
    let mut address = path.address.clone();
    if verb == "RCPT" && address.eq_ignore_ascii_case("postmaster") {
        address.push_str("@localhost");
    }
    if let Some((local, domain)) = path.address.rsplit_once('@') {
        let literal = domain
            .strip_prefix('[')
            .and_then(|inner| inner.strip_suffix(']'));
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b".:-".contains(&byte);
        if literal.is_some_and(|inner| !inner.is_empty() && inner.bytes().all(good)) {
            address = format!("{local}@address-literal.invalid");
        }
    }
    let mut line = format!("{verb} {argument}:<{address}>");
    for parameter in &path.parameters {
        let upper = parameter.to_ascii_uppercase();
        let other_type = upper.starts_with("ORCPT=UTF-8;");
        if !(verb == "RCPT" && other_type) {
            line.push(' ');
            line.push_str(parameter);
        }
    }
    line
}

fn explain(error: &Error, verb: &str) -> Refusal {
    match error {
        Error::UnknownCommand => Refusal::syntax(500, "5.5.1", format!("Unknown command {verb}")),
        Error::InvalidSenderAddress => Refusal::syntax(501, "5.1.7", "Bad sender's address"),
        Error::InvalidRecipientAddress => Refusal::syntax(501, "5.1.3", "Bad recipient's address"),
        Error::SyntaxError { syntax } => Refusal::syntax(501, "5.5.2", format!("Syntax: {syntax}")),
        Error::InvalidParameter { param } => {
            Refusal::syntax(501, "5.5.4", format!("Bad value of {param}"))
        }
        Error::UnsupportedParameter { param } => Refusal {
            reply: Reply::new(555, "5.5.4", format!("{param} is not supported")),
            violation: ViolationKind::NotAnnounced,
        },
        other => Refusal::syntax(500, "5.5.2", other.to_string()),
    }
}

/// What smtp-proto overlooks: words too many, and bad names of hosts.
fn check_words(request: &Request<String>, line: &str) -> Result<(), Refusal> {
    let most = match request {
        Request::Ehlo { .. } | Request::Helo { .. } | Request::Lhlo { .. } => 2,
        Request::Bdat { .. } | Request::Auth { .. } => 3,
        _ => usize::MAX,
    };
    if line.split(' ').count() > most {
        return Err(Refusal::syntax(501, "5.5.4", "Arguments too many"));
    }
    if let Request::Ehlo { host } | Request::Helo { host } | Request::Lhlo { host } = request {
        let literal = host.starts_with('[') && host.ends_with(']');
        let inner = host.trim_start_matches('[').trim_end_matches(']');
        let good = |byte: u8| {
            byte.is_ascii_alphanumeric() || b"-._".contains(&byte) || (literal && byte == b':')
        };
        if inner.is_empty() || !inner.bytes().all(good) {
            return Err(Refusal::syntax(501, "5.5.4", "Not a name of a host"));
        }
    }
    if let Request::Rcpt { to } = request {
        if to.address.is_empty() {
            return Err(Refusal::syntax(501, "5.1.3", "A recipient has an address"));
        }
    }
    Ok(())
}

fn decoded(request: &Request<String>) -> BTreeMap<&'static str, String> {
    let values = match request {
        Request::Mail { from } => vec![("ENVID", &from.env_id), ("AUTH", &from.auth)],
        Request::Rcpt { to } => vec![("ORCPT", &to.orcpt)],
        _ => Vec::new(),
    };
    values
        .into_iter()
        .filter_map(|(keyword, value)| Some((keyword, value.clone()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(line: &str) -> u16 {
        match parse(line.as_bytes(), &verb_of(line.as_bytes())) {
            Ok(_) => 250,
            Err(refusal) => refusal.reply.code,
        }
    }

    #[test]
    fn well_formed_lines_are_understood() {
        for line in [
            "EHLO client.example",
            "ehlo [127.0.0.1]",
            "LHLO [IPv6:::1]",
            "MAIL FROM:<>",
            "mail from:<a@b.example> SIZE=10 BODY=8BITMIME SMTPUTF8",
            "MAIL FROM:<\"a>b c\"@b.example> ENVID=a+2Bb",
            "MAIL FROM:<é@b.example> SMTPUTF8",
            "MAIL FROM:<a@b.example> AUTH=<>",
            "RCPT TO:<postmaster>",
            "RCPT TO:<a@[127.0.0.1]>",
            "RCPT TO:<a@b.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bb@c",
            "RCPT TO:<a@b.example> ORCPT=utf-8;\\x{E9}@c",
            "BDAT 5",
            "bdat 0 last",
            "NOOP",
            "NOOP what ever",
            "AUTH PLAIN =",
            "DATA",
        ] {
            assert_eq!(code(line), 250, "{line}");
        }
    }

    #[test]
    fn what_smtp_proto_lets_pass_is_refused() {
        for (line, expected) in [
            ("DATA now", 501),
            ("RSET ", 501),
            ("QUIT\u{0}", 500),
            ("EHLO", 501),
            ("EHLO a b", 501),
            ("EHLO a  b", 501),
            ("EHLO ü", 500),
            ("MAIL FROM: <a@b>", 501),
            ("MAIL  FROM:<a@b>", 501),
            ("MAIL FROM:<a@b>SIZE=1", 501),
            ("MAIL FROM:<a@b>  SIZE=1", 501),
            ("MAIL FROM:<a@b> ", 501),
            ("MAIL FROM:<a@b> SIZE=1 size=2", 501),
            ("MAIL FROM:<a@b> SIZE=x", 501),
            ("MAIL FROM:<a@b> ENVID=+2b", 501),
            ("MAIL FROM:<a@b> ENVID=a=b", 501),
            ("MAIL FROM:<a@b> X-STRANGE=1", 555),
            ("MAIL FROM:<a>", 501),
            ("MAIL FROM:a@b", 501),
            ("RCPT TO:<>", 501),
            ("RCPT TO:<a@b", 501),
            ("RCPT TO:<a@b>\r", 500),
            ("RCPT TO:<a@b>\nDATA", 500),
            ("BDAT", 501),
            ("BDAT -1", 501),
            ("BDAT 5 LAST now", 501),
            ("BDAT 5 FIRST", 501),
            ("FOO", 500),
            ("", 500),
            (" NOOP", 500),
        ] {
            assert_eq!(code(line), expected, "{line:?}");
        }
    }

    #[test]
    fn the_longest_lines() {
        let noop = |len: usize| format!("NOOP {}", "x".repeat(len - 7));
        assert_eq!((code(&noop(512)), code(&noop(513))), (250, 500));
        let mail = format!("MAIL FROM:<a@b> ENVID={}", "x".repeat(100));
        assert_eq!(code(&mail), 250);
        assert_eq!(code(&format!("RCPT TO:<a@b> {}", "x".repeat(2048))), 500);
    }

    #[test]
    fn paths_keep_their_spelling() {
        let parsed = parse(b"RCPT TO:<\"A b\"@C.d> ORCPT=rfc822;x+2By", "RCPT").unwrap();
        assert_eq!(parsed.path.address, "\"A b\"@C.d");
        assert_eq!(parsed.path.parameter("orcpt"), Some("rfc822;x+2By"));
        assert_eq!(parsed.path.decoded("ORCPT"), Some("x+y"));
        assert_eq!(parsed.path.parameter("NOTIFY"), None);
    }
}
