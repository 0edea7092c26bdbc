//! Encoded words (RFC 2047), decoded for SEARCH.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Decodes the encoded words in UTF-8, US-ASCII and ISO-8859-1; the rest stays as it is.
pub(crate) fn decode_words(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut result = String::with_capacity(text.len());
    let mut rest = text.as_ref();
    let mut after_word = false;
    while let Some(at) = rest.find("=?") {
        let (before, word) = rest.split_at(at);
        match decode_word(word) {
            Some((decoded, len)) => {
                // The space between two encoded words is not part of the text.
                if !(after_word && before.trim().is_empty()) {
                    result.push_str(before);
                }
                result.push_str(&decoded);
                rest = word.get(len..).unwrap_or_default();
                after_word = true;
            }
            None => {
                result.push_str(before);
                result.push_str("=?");
                rest = word.get(2..).unwrap_or_default();
                after_word = false;
            }
        }
    }
    result.push_str(rest);
    result
}

/// Decodes the encoded word at the beginning of `text`; says how long it is.
fn decode_word(text: &str) -> Option<(String, usize)> {
    let mut pieces = text.get(2..)?.splitn(4, '?');
    let charset = pieces.next()?;
    let encoding = pieces.next()?;
    let data = pieces.next()?;
    if !pieces.next()?.starts_with('=') || data.contains(' ') {
        return None;
    }
    let bytes = match encoding {
        "B" | "b" => STANDARD.decode(data).ok()?,
        "Q" | "q" => decode_q(data.as_bytes()),
        _ => return None,
    };
    let charset_name = charset.split('*').next()?.to_ascii_lowercase();
    let decoded = match charset_name.as_str() {
        "utf-8" | "us-ascii" => String::from_utf8_lossy(&bytes).into_owned(),
        "iso-8859-1" => bytes.iter().map(|&byte| char::from(byte)).collect(),
        _ => return None,
    };
    Some((decoded, charset.len() + encoding.len() + data.len() + 6))
}

fn decode_q(data: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(data.len());
    let mut bytes = data.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'_' => result.push(b' '),
            b'=' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let value = digit(bytes.next())
                    .zip(digit(bytes.next()))
                    .and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
                result.extend(value);
            }
            _ => result.push(byte),
        }
    }
    result
}
