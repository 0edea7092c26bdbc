//! Modified UTF-7, the wire form of mailbox names (RFC 3501 §5.1.3, RFC 9051 §A.1).
//!
//! It lies beside the mailbox names and not among the bytes of the layer above, because a
//! name is decoded where it is made.

use base64::Engine as _;
use base64::alphabet::Alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

/// Base64 with `,` in the place of `/` and without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    match &Alphabet::new("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,") {
        Ok(alphabet) => alphabet,
        Err(_) => &base64::alphabet::STANDARD,
    },
    NO_PAD,
);

/// The one modified UTF-7 form of `text`.
pub(crate) fn encode(text: &str) -> String {
    let mut wire = String::with_capacity(text.len());
    let mut shifted: Vec<u8> = Vec::new();
    for character in text.chars() {
        if matches!(character, ' '..='~') {
            unshift(&mut wire, &mut shifted);
            wire.push(character);
            if character == '&' {
                wire.push('-');
            }
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                shifted.extend_from_slice(&unit.to_be_bytes());
            }
        }
    }
    unshift(&mut wire, &mut shifted);
    wire
}

fn unshift(wire: &mut String, shifted: &mut Vec<u8>) {
    if !shifted.is_empty() {
        wire.push('&');
        BASE64.encode_string(&*shifted, wire);
        wire.push('-');
        shifted.clear();
    }
}

/// The text whose one modified UTF-7 form is `wire`: `None` for everything that [`encode`]
/// would not have written, so that a decoded name always leads back to the same mailbox.
pub(crate) fn decode(wire: &[u8]) -> Option<String> {
    let mut text = String::with_capacity(wire.len());
    let mut rest = wire;
    while let Some(at) = rest.iter().position(|byte| *byte == b'&') {
        let (plain, from) = rest.split_at_checked(at)?;
        text.push_str(std::str::from_utf8(plain).ok()?);
        let end = from.iter().position(|byte| *byte == b'-')?;
        let (shifted, after) = from.split_at_checked(end)?;
        rest = after.get(1..)?;
        match shifted.get(1..)? {
            [] => text.push('&'),
            base64 => {
                let units = BASE64.decode(base64).ok()?;
                if units.len() % 2 != 0 {
                    return None;
                }
                let units = units
                    .chunks_exact(2)
                    .filter_map(|unit| unit.try_into().ok());
                for character in char::decode_utf16(units.map(u16::from_be_bytes)) {
                    text.push(character.ok()?);
                }
            }
        }
    }
    text.push_str(std::str::from_utf8(rest).ok()?);
    (encode(&text).as_bytes() == wire).then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn vectors_of_the_rfcs_and_of_the_field() {
        for (text, wire) in [
            ("", ""),
            ("INBOX", "INBOX"),
            ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
            ("Entwürfe", "Entw&APw-rfe"),
            ("A&B", "A&-B"),
            ("&", "&-"),
            ("&é", "&-&AOk-"),
            ("☺!", "&Jjo-!"),
            ("Hi Mom -☺-!", "Hi Mom -&Jjo--!"),
            ("😀", "&2D3eAA-"),
            ("Отправленные", "&BB4EQgQ,BEAEMAQyBDsENQQ9BD0ESwQ1-"),
            ("tab\there", "tab&AAk-here"),
            ("\u{7f}", "&AH8-"),
        ] {
            assert_eq!(encode(text), wire);
            assert_eq!(decode(wire.as_bytes()).as_deref(), Some(text));
        }
    }

    #[test]
    fn every_other_form_is_refused() {
        for (why, wire) in [
            ("an open shift", &b"a&"[..]),
            ("an open shift", b"&Jjo"),
            ("printable ASCII in a shift", b"&AGE-"),
            ("an ampersand in a shift", b"&ACY-"),
            ("two shifts in a row", b"&U,BTFw-&ZeVnLIqe-"),
            ("a raw ampersand", b"Foo & Bar"),
            ("bits left over", b"&AOl-"),
            ("half a unit", b"&AA-"),
            ("padding", b"&AOk=-"),
            ("the alphabet of plain base64", b"&U/BTFw-"),
            ("a lone high surrogate", b"&2D0-"),
            ("a lone low surrogate", b"&3gA-"),
            ("raw UTF-8", "Entwürfe".as_bytes()),
            ("a control character", b"a\tb"),
            ("no UTF-8", b"\xff"),
        ] {
            assert_eq!(decode(wire), None, "{why}");
        }
    }

    proptest! {
        #[test]
        fn text_comes_back(text in any::<String>()) {
            let wire = encode(&text);
            prop_assert!(wire.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            prop_assert_eq!(decode(wire.as_bytes()), Some(text));
        }

        #[test]
        fn what_is_decoded_leads_back_to_the_same_bytes(
            wire in "[A-Za-z0-9+,&\\-]{0,12}",
        ) {
            if let Some(text) = decode(wire.as_bytes()) {
                prop_assert_eq!(encode(&text), wire);
            }
        }
    }
}
