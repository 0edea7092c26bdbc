//! The envelope of a message: its main header fields, parsed by the server.

use crate::types::raw_text::RawText;
use bytes::Bytes;

/// The main header fields of a message, parsed by the server (RFC 9051 §7.5.2,
/// `ENVELOPE`).
///
/// A field is `None` where the message does not have it. The texts are as the message
/// has them: see [`RawText`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Envelope {
    /// The `Date` field, not parsed: what senders write there is not always a date.
    pub date: Option<RawText>,
    /// The `Subject` field.
    pub subject: Option<RawText>,
    /// The authors.
    pub from: AddressList,
    /// Who sent the message for the authors. A server fills in `from` where the message
    /// has no such field.
    pub sender: AddressList,
    /// Where answers go. A server fills in `from` where the message has no such field.
    pub reply_to: AddressList,
    /// The primary recipients.
    pub to: AddressList,
    /// The secondary recipients.
    pub cc: AddressList,
    /// The recipients that the others do not see.
    pub bcc: AddressList,
    /// The message identifiers that the message answers.
    pub in_reply_to: Option<RawText>,
    /// The message's own identifier.
    pub message_id: Option<RawText>,
}

/// One address (RFC 9051 §7.5.2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Address {
    /// The person's name, perhaps with encoded words (RFC 2047).
    pub name: Option<RawText>,
    /// The obsolete source route (`at-domain-list`).
    pub route: Option<RawText>,
    /// What stands before the `@`.
    pub mailbox: Option<RawText>,
    /// The domain. A server that found none may say `None` or make something up.
    pub host: Option<RawText>,
}

impl Address {
    /// `mailbox@host`, with U+FFFD for what is not UTF-8; without `@host` where
    /// there is no host. The local part is not quoted.
    pub fn to_address_lossy(&self) -> String {
        let mut address = String::new();
        if let Some(mailbox) = &self.mailbox {
            address.push_str(&mailbox.to_string_lossy());
        }
        if let Some(host) = &self.host {
            address.push('@');
            address.push_str(&host.to_string_lossy());
        }
        address
    }
}

/// An address, or a named group of them (RFC 5322 §3.4, for example
/// `undisclosed-recipients:;`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AddressEntry {
    /// An address.
    Address(Address),
    /// A group, perhaps without any members.
    Group {
        /// The group's name.
        name: RawText,
        /// The addresses in it.
        members: Vec<Address>,
    },
}

/// The addresses and groups of one header field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AddressList(Vec<AddressEntry>);

impl AddressList {
    /// Addresses and groups in the order of the header field.
    pub fn entries(&self) -> &[AddressEntry] {
        &self.0
    }

    /// Every address, those in groups included.
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.0.iter().flat_map(|entry| match entry {
            AddressEntry::Address(address) => std::slice::from_ref(address),
            AddressEntry::Group { members, .. } => members.as_slice(),
        })
    }

    /// Whether there is neither an address nor a group.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts the flat list of the protocol together: an address without a host opens the
    /// group that its mailbox names, one with neither closes it (RFC 9051 §7.5.2). An
    /// address without a host that nothing closes is an address all the same.
    pub(crate) fn from_flat(flat: Vec<Address>) -> Self {
        let closes = |address: &Address| address.mailbox.is_none() && address.host.is_none();
        let last_close = flat.iter().rposition(closes);
        let mut entries = Vec::with_capacity(flat.len());
        let mut open: Option<(RawText, Vec<Address>)> = None;
        for (index, address) in flat.into_iter().enumerate() {
            if closes(&address) {
                if let Some((name, members)) = open.take() {
                    entries.push(AddressEntry::Group { name, members });
                }
                continue;
            }
            let opens = address.host.is_none() && last_close.is_some_and(|last| index < last);
            match (&mut open, &address.mailbox) {
                (None, Some(name)) if opens => open = Some((name.clone(), Vec::new())),
                (Some((_, members)), _) => members.push(address),
                (None, _) => entries.push(AddressEntry::Address(address)),
            }
        }
        if let Some((name, members)) = open {
            entries.push(AddressEntry::Group { name, members });
        }
        Self(entries)
    }
}

impl<'a> IntoIterator for &'a AddressList {
    type Item = &'a AddressEntry;
    type IntoIter = std::slice::Iter<'a, AddressEntry>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// Why a structured attribute of a message, its envelope or body structure, is not there
/// although the server sent it: it was not understood. The rest of the message's data is
/// not affected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server's {attribute} was not understood: {kind}")]
#[non_exhaustive]
pub struct AttributeError {
    /// `ENVELOPE` or `BODYSTRUCTURE`.
    pub attribute: &'static str,
    /// What was wrong with it.
    pub kind: AttributeErrorKind,
    /// What the server sent.
    pub raw: Bytes,
}

/// What was wrong with an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttributeErrorKind {
    /// It has not the form that the protocol prescribes.
    #[error("{0}")]
    Malformed(&'static str),
    /// Its lists are nested too deeply.
    #[error("more than {limit} levels of parentheses")]
    TooDeep {
        /// How many levels are allowed.
        limit: usize,
    },
    /// One of its lists is too long.
    #[error("more than {limit} items in a list")]
    TooManyItems {
        /// How many items are allowed.
        limit: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(mailbox: Option<&'static str>, host: Option<&'static str>) -> Address {
        Address {
            mailbox: mailbox.map(RawText::from),
            host: host.map(RawText::from),
            ..Address::default()
        }
    }

    #[test]
    fn groups_are_put_together() {
        let list = AddressList::from_flat(vec![
            address(Some("a"), Some("x")),
            address(Some("team"), None),
            address(Some("b"), Some("x")),
            address(None, None),
            address(Some("undisclosed-recipients"), None),
            address(None, None),
        ]);
        assert_eq!(list.entries().len(), 3);
        assert!(matches!(
            &list.entries()[1],
            AddressEntry::Group { name, members } if *name == "team" && members.len() == 1
        ));
        assert!(matches!(
            &list.entries()[2],
            AddressEntry::Group { members, .. } if members.is_empty()
        ));
        let all: Vec<String> = list.addresses().map(Address::to_address_lossy).collect();
        assert_eq!(all, ["a@x", "b@x"]);
    }

    #[test]
    fn an_address_without_host_is_no_group_unless_something_closes_it() {
        let list = AddressList::from_flat(vec![
            address(None, None),
            address(Some("root"), None),
            address(Some("b"), Some("x")),
        ]);
        assert_eq!(list.entries().len(), 2);
        assert_eq!(list.addresses().count(), 2);
    }
}
