//! A simple reading of message headers, independent of the client's and of the server's.

/// The values of the header fields with this name, in the order of the message, unfolded.
///
/// `message` is as it is served, with CRLF at the end of every line.
pub(super) fn fields(message: &[u8], name: &str) -> Vec<Vec<u8>> {
    let mut values: Vec<Vec<u8>> = Vec::new();
    let mut wanted = false;
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            break;
        }
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            if let Some(value) = values.last_mut().filter(|_| wanted) {
                value.extend_from_slice(line);
            }
            continue;
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let Some((field, value)) = colon.map(|colon| (&line[..colon], &line[colon + 1..])) else {
            wanted = false;
            continue;
        };
        wanted = field.trim_ascii_end().eq_ignore_ascii_case(name.as_bytes());
        if wanted {
            values.push(value.to_vec());
        }
    }
    values
}

/// A field as Dovecot puts it into an envelope: without the white space around it, and with one
/// space for every run of white space within; so that it can be printed.
pub(super) fn as_in_envelope(value: &[u8]) -> String {
    let words: Vec<String> = value
        .split(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
        .filter(|word| !word.is_empty())
        .map(|word| word.escape_ascii().to_string())
        .collect();
    words.join(" ")
}

/// The name, the local part and the domain of a field that is nothing but
/// `Some Words <local@domain>` or `local@domain`, in plain characters.
pub(super) fn simple_address(value: &[u8]) -> Option<(Option<&str>, &str, &str)> {
    let text = std::str::from_utf8(value).ok()?.trim();
    let (name, address) = match text.strip_suffix('>') {
        Some(rest) => {
            let (name, address) = rest.split_once('<')?;
            (Some(name.trim()), address)
        }
        None => (None, text),
    };
    let (local, domain) = address.split_once('@')?;
    let plain = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
    };
    let name_fits = name.is_none_or(|name| name.split(' ').all(plain));
    (plain(local) && plain(domain) && name_fits).then_some((name, local, domain))
}
