//! Values with parameters: Content-Type and Content-Disposition (RFC 2045 §5.1, RFC 2183).

/// A value and its parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parameterised {
    pub(crate) value: String,
    pub(crate) parameters: Vec<(String, String)>,
}

impl Parameterised {
    pub(crate) fn plain(kind: &str, subtype: &str) -> Self {
        Self {
            value: format!("{kind}/{subtype}"),
            parameters: if kind == "text" {
                vec![("charset".to_owned(), "us-ascii".to_owned())]
            } else {
                Vec::new()
            },
        }
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The two halves of a media type.
    pub(crate) fn halves(&self) -> (&str, &str) {
        self.value.split_once('/').unwrap_or((&self.value, ""))
    }
}

/// Parses `value; name=token; name="quoted"`, comments left out.
pub(crate) fn parse_parameterised(bytes: &[u8]) -> Option<Parameterised> {
    let mut pieces = split_outside_quotes(bytes, b';').into_iter();
    let value = String::from_utf8_lossy(&pieces.next()?).trim().to_owned();
    if value.is_empty() {
        return None;
    }
    let parameters = pieces
        .filter_map(|piece| {
            let text = String::from_utf8_lossy(&piece).into_owned();
            let (name, value) = text.split_once('=')?;
            Some((name.trim().to_owned(), unquote(value.trim())))
        })
        .collect();
    Some(Parameterised { value, parameters })
}

/// Splits at `separator` outside quoted strings, and leaves comments out.
pub(super) fn split_outside_quotes(bytes: &[u8], separator: u8) -> Vec<Vec<u8>> {
    let mut pieces = vec![Vec::new()];
    let mut quoted = false;
    let mut comment = 0_usize;
    let mut escaped = false;
    for &byte in bytes {
        let was_escaped = std::mem::take(&mut escaped);
        match byte {
            b'\\' if !was_escaped && (quoted || comment > 0) => escaped = true,
            b'"' if !was_escaped && comment == 0 => quoted = !quoted,
            b'(' if !was_escaped && !quoted => comment += 1,
            b')' if !was_escaped && !quoted && comment > 0 => {
                comment -= 1;
                continue;
            }
            _ if byte == separator && !quoted && comment == 0 => {
                pieces.push(Vec::new());
                continue;
            }
            _ => {}
        }
        if comment == 0 {
            if let Some(piece) = pieces.last_mut() {
                piece.push(byte);
            }
        }
    }
    pieces
}

/// Takes the quotes and backslashes off a quoted string; anything else stays as it is.
pub(super) fn unquote(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"') else {
        return text.to_owned();
    };
    let inner = inner.strip_suffix('"').unwrap_or(inner);
    let mut result = String::with_capacity(inner.len());
    let mut escaped = false;
    for character in inner.chars() {
        if character == '\\' && !escaped {
            escaped = true;
        } else {
            result.push(character);
            escaped = false;
        }
    }
    result
}
