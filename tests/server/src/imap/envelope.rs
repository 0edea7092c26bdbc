//! ENVELOPE and BODYSTRUCTURE (RFC 9051 §7.5.2).

use super::encode::{nstring, string};
use crate::mime::{Address, Kind, Parameterised, Part, parse_addresses, parse_parameterised};

/// Writes the ENVELOPE of a message.
pub(super) fn envelope(out: &mut Vec<u8>, message: &Part) {
    out.push(b'(');
    nstring(out, message.field("date"));
    out.push(b' ');
    nstring(out, message.field("subject"));
    let from = message.field("from");
    // Sender and Reply-To are From where they are missing.
    for name in ["from", "sender", "reply-to", "to", "cc", "bcc"] {
        let value = message.field(name).filter(|value| !value.is_empty());
        let value = match name {
            "sender" | "reply-to" => value.or(from),
            _ => value,
        };
        out.push(b' ');
        addresses(out, &value.map(parse_addresses).unwrap_or_default());
    }
    out.push(b' ');
    nstring(out, message.field("in-reply-to"));
    out.push(b' ');
    nstring(out, message.field("message-id"));
    out.push(b')');
}

fn addresses(out: &mut Vec<u8>, addresses: &[Address]) {
    if addresses.is_empty() {
        out.extend_from_slice(b"NIL");
        return;
    }
    out.push(b'(');
    for address in addresses {
        let text = |value: &Option<String>| value.as_ref().map(|value| value.clone().into_bytes());
        out.push(b'(');
        nstring(out, text(&address.name).as_deref());
        out.extend_from_slice(b" NIL ");
        nstring(out, text(&address.mailbox).as_deref());
        out.push(b' ');
        nstring(out, text(&address.host).as_deref());
        out.push(b')');
    }
    out.push(b')');
}

/// Writes a body structure: with `extended` the form of BODYSTRUCTURE, else that of BODY.
pub(super) fn body_structure(out: &mut Vec<u8>, part: &Part, extended: bool) {
    out.push(b'(');
    let (kind, subtype) = part.content_type.halves();
    if let Kind::Multipart(parts) = &part.kind {
        for inner in parts {
            body_structure(out, inner, extended);
        }
        out.push(b' ');
        string(out, subtype.to_ascii_uppercase().as_bytes());
        if extended {
            out.push(b' ');
            parameters(out, &part.content_type);
            extension(out, part);
        }
        out.push(b')');
        return;
    }
    string(out, kind.to_ascii_uppercase().as_bytes());
    out.push(b' ');
    string(out, subtype.to_ascii_uppercase().as_bytes());
    out.push(b' ');
    parameters(out, &part.content_type);
    out.push(b' ');
    nstring(out, part.field("content-id"));
    out.push(b' ');
    nstring(out, part.field("content-description"));
    out.push(b' ');
    string(
        out,
        part.field("content-transfer-encoding").unwrap_or(b"7BIT"),
    );
    let size = part.body.end - part.body.start;
    out.extend_from_slice(format!(" {size}").as_bytes());
    if let Kind::Message(inner) = &part.kind {
        out.push(b' ');
        envelope(out, inner);
        out.push(b' ');
        body_structure(out, inner, extended);
    }
    if matches!(part.kind, Kind::Message(_)) || kind.eq_ignore_ascii_case("text") {
        out.extend_from_slice(format!(" {}", part.lines).as_bytes());
    }
    if extended {
        out.push(b' ');
        nstring(out, part.field("content-md5"));
        extension(out, part);
    }
    out.push(b')');
}

fn parameters(out: &mut Vec<u8>, value: &Parameterised) {
    if value.parameters.is_empty() {
        out.extend_from_slice(b"NIL");
        return;
    }
    out.push(b'(');
    for (index, (name, value)) in value.parameters.iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        string(out, name.to_ascii_uppercase().as_bytes());
        out.push(b' ');
        string(out, value.as_bytes());
    }
    out.push(b')');
}

/// Writes disposition, language and location.
fn extension(out: &mut Vec<u8>, part: &Part) {
    out.push(b' ');
    match part
        .field("content-disposition")
        .and_then(parse_parameterised)
    {
        None => out.extend_from_slice(b"NIL"),
        Some(disposition) => {
            out.push(b'(');
            string(out, disposition.value.to_ascii_uppercase().as_bytes());
            out.push(b' ');
            parameters(out, &disposition);
            out.push(b')');
        }
    }
    out.push(b' ');
    nstring(out, part.field("content-language"));
    out.push(b' ');
    nstring(out, part.field("content-location"));
}
