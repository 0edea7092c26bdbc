//! Modified UTF-7 (RFC 3501 §5.1.3), the form of mailbox names on the wire.

use base64::Engine as _;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::NO_PAD;

const ENGINE: GeneralPurpose = GeneralPurpose::new(&IMAP_MUTF7, NO_PAD);

/// Encodes a name.
pub(crate) fn encode(name: &str) -> String {
    let mut result = String::with_capacity(name.len());
    let mut shifted: Vec<u16> = Vec::new();
    let flush = |shifted: &mut Vec<u16>, result: &mut String| {
        if !shifted.is_empty() {
            let bytes: Vec<u8> = shifted.drain(..).flat_map(u16::to_be_bytes).collect();
            result.push('&');
            result.push_str(&ENGINE.encode(bytes));
            result.push('-');
        }
    };
    for character in name.chars() {
        if matches!(character, ' '..='~') {
            flush(&mut shifted, &mut result);
            result.push(character);
            if character == '&' {
                result.push('-');
            }
        } else {
            let mut units = [0; 2];
            shifted.extend_from_slice(character.encode_utf16(&mut units));
        }
    }
    flush(&mut shifted, &mut result);
    result
}

/// Decodes a name; `None` if it is not modified UTF-7.
pub(crate) fn decode(name: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(name).ok()?;
    if !name.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return None;
    }
    let mut pieces = name.split('&');
    let mut result = pieces.next()?.to_owned();
    for piece in pieces {
        let (shifted, plain) = piece.split_once('-')?;
        if shifted.is_empty() {
            result.push('&');
        } else {
            let bytes = ENGINE.decode(shifted).ok()?;
            let units: Vec<u16> = bytes
                .chunks(2)
                .map(|pair| <[u8; 2]>::try_from(pair).ok().map(u16::from_be_bytes))
                .collect::<Option<_>>()?;
            result.push_str(&String::from_utf16(&units).ok()?);
        }
        result.push_str(plain);
    }
    Some(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back() {
        for (name, wire) in [
            ("INBOX", "INBOX"),
            ("Entw\u{fc}rfe", "Entw&APw-rfe"),
            ("A&B", "A&-B"),
            ("\u{53f0}\u{5317}", "&U,BTFw-"),
            ("\u{1f600}", "&2D3eAA-"),
        ] {
            assert_eq!(encode(name), wire);
            assert_eq!(decode(wire.as_bytes()).as_deref(), Some(name));
        }
        assert_eq!(decode(b"&AP"), None);
        assert_eq!(decode(b"&A-"), None);
        assert_eq!(decode("\u{fc}".as_bytes()), None);
    }
}
