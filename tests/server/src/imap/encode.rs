//! Strings as IMAP writes them.

use super::utf7;

/// Writes an nstring: NIL, a quoted string if that can hold it, else a literal.
pub(super) fn nstring(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => out.extend_from_slice(b"NIL"),
        Some(bytes) => string(out, bytes),
    }
}

/// Writes a quoted string if that can hold the bytes, else a literal.
pub(super) fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        out.push(b'"');
        for &byte in bytes {
            if matches!(byte, b'"' | b'\\') {
                out.push(b'\\');
            }
            out.push(byte);
        }
        out.push(b'"');
    } else {
        out.extend_from_slice(format!("{{{}}}\r\n", bytes.len()).as_bytes());
        // A literal must not hold NUL (RFC 9051 §4.3).
        out.extend(
            bytes
                .iter()
                .map(|&byte| if byte == 0 { 0x80 } else { byte }),
        );
    }
}

/// Writes a mailbox name in modified UTF-7: an atom if it can be one, else quoted.
pub(super) fn mailbox(out: &mut Vec<u8>, name: &str) {
    let wire = utf7::encode(name);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-&+,#".contains(&byte);
    if !wire.is_empty() && wire.bytes().all(plain) && !wire.eq_ignore_ascii_case("NIL") {
        out.extend_from_slice(wire.as_bytes());
    } else {
        string(out, wire.as_bytes());
    }
}

/// Writes a set of ascending numbers with ranges: `1:3,5`.
pub(super) fn number_set(numbers: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let pieces: Vec<String> = ranges
        .iter()
        .map(|(first, last)| {
            if first == last {
                first.to_string()
            } else {
                format!("{first}:{last}")
            }
        })
        .collect();
    pieces.join(",")
}
