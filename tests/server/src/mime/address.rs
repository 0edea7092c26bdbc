//! Address lists (RFC 5322 §3.4), as far as ENVELOPE needs them.

use super::field::{split_outside_quotes, unquote};

/// One address structure of an ENVELOPE (RFC 9051 §7.5.2). A group begins with one that has a
/// mailbox but no host, and ends with one that has neither.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) name: Option<String>,
    pub(crate) mailbox: Option<String>,
    pub(crate) host: Option<String>,
}

/// Parses the value of a field such as From or To.
pub(crate) fn parse_addresses(bytes: &[u8]) -> Vec<Address> {
    let mut addresses = Vec::new();
    for piece in split_outside_quotes(bytes, b',') {
        // A group adds its markers around the addresses: `name: a, b;`
        for (index, piece) in split_outside_quotes(&piece, b';').into_iter().enumerate() {
            if index > 0 {
                addresses.push(Address::default());
            }
            let mut rest = piece;
            let parts = split_outside_quotes(&rest, b':');
            if let [group, first] = parts.as_slice() {
                if !group.contains(&b'<') && !group.contains(&b'@') {
                    addresses.push(Address {
                        mailbox: Some(unquote(String::from_utf8_lossy(group).trim())),
                        ..Address::default()
                    });
                    rest.clone_from(first);
                }
            }
            let text = String::from_utf8_lossy(&rest).trim().to_owned();
            if !text.is_empty() {
                addresses.push(parse_one(&text));
            }
        }
    }
    addresses
}

fn parse_one(text: &str) -> Address {
    let (name, spec) = match text.rsplit_once('<') {
        Some((name, spec)) => (name.trim(), spec.trim_end().trim_end_matches('>').trim()),
        None => ("", text),
    };
    let (mailbox, host) = match spec.rsplit_once('@') {
        Some((mailbox, host)) => (mailbox, host),
        None => (spec, ""),
    };
    Address {
        name: (!name.is_empty()).then(|| unquote(name)),
        mailbox: Some(unquote(mailbox)),
        host: Some(
            if host.is_empty() {
                ".MISSING-HOST-NAME."
            } else {
                host
            }
            .to_owned(),
        ),
    }
}
