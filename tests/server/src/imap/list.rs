//! LIST and LSUB (RFC 3501 §6.3.8 and §6.3.9).

use std::collections::BTreeMap;
use std::io;

use imap_codec::imap_types::mailbox::{ListMailbox, Mailbox};

use super::encode;
use super::session::{Outcome, Session};
use super::utf7;

/// Whether a name matches a pattern with `*` and `%`.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    // The places in the pattern that the name read so far can have led to.
    let mut places = vec![false; pattern.len() + 1];
    let spread = |places: &mut Vec<bool>| {
        for (place, byte) in pattern.iter().enumerate() {
            if matches!(byte, b'*' | b'%') && places.get(place) == Some(&true) {
                if let Some(next) = places.get_mut(place + 1) {
                    *next = true;
                }
            }
        }
    };
    if let Some(first) = places.first_mut() {
        *first = true;
    }
    spread(&mut places);
    for &byte in name {
        let mut next = vec![false; places.len()];
        for (place, &expected) in pattern.iter().enumerate() {
            if places.get(place) != Some(&true) {
                continue;
            }
            let stays = expected == b'*' || (expected == b'%' && byte != b'/');
            let to = if stays {
                place
            } else if expected == byte {
                place + 1
            } else {
                continue;
            };
            if let Some(to) = next.get_mut(to) {
                *to = true;
            }
        }
        spread(&mut next);
        places = next;
    }
    places.last() == Some(&true)
}

impl Session {
    pub(super) fn list(
        &mut self,
        reference: &Mailbox<'_>,
        wildcard: &ListMailbox<'_>,
        subscribed: bool,
    ) -> io::Result<Outcome> {
        let verb = if subscribed { "LSUB" } else { "LIST" };
        let done = format!("{verb} completed");
        let wildcard: &[u8] = match wildcard {
            ListMailbox::Token(token) => token.as_ref(),
            ListMailbox::String(string) => string.as_ref(),
        };
        if wildcard.is_empty() && !subscribed {
            self.line("* LIST (\\Noselect) \"/\" \"\"");
            return Ok(Outcome::Ok(done));
        }
        let mut pattern = match reference {
            Mailbox::Inbox => b"INBOX".to_vec(),
            Mailbox::Other(other) => other.as_ref().to_vec(),
        };
        pattern.extend_from_slice(wildcard);
        // INBOX is known in any spelling, as the first level too.
        let len = pattern.len().min(5);
        if let Some(first) = pattern.get_mut(..len) {
            if first.eq_ignore_ascii_case(b"INBOX") {
                first.make_ascii_uppercase();
            }
        }
        let names = if subscribed {
            self.subscribed_names(&pattern)
        } else {
            self.names(&pattern)
        };
        for (name, attributes) in names {
            self.out
                .extend_from_slice(format!("* {verb} ({attributes}) \"/\" ").as_bytes());
            encode::mailbox(&mut self.out, &name);
            self.line("");
            self.send_if_much()?;
        }
        Ok(Outcome::Ok(done))
    }

    fn names(&self, pattern: &[u8]) -> Vec<(String, String)> {
        let children = self.has("CHILDREN");
        let special_use = self.has("SPECIAL-USE");
        let user = self.user.clone().unwrap_or_default();
        self.hub.store.user(&user, |user| {
            user.folders()
                .filter(|(name, _)| matches(pattern, utf7::encode(name).as_bytes()))
                .map(|(name, folder)| {
                    let mut attributes = Vec::new();
                    if folder.mailbox.is_none() {
                        attributes.push("\\Noselect");
                    }
                    if children {
                        attributes.push(if user.has_children(name) {
                            "\\HasChildren"
                        } else {
                            "\\HasNoChildren"
                        });
                    }
                    if special_use {
                        attributes.extend(folder.special_use.as_deref());
                    }
                    (name.to_owned(), attributes.join(" "))
                })
                .collect()
        })
    }

    /// Subscribed names. A level that `%` stops at is told as `\Noselect` for the sake of those
    /// below it.
    fn subscribed_names(&self, pattern: &[u8]) -> Vec<(String, String)> {
        let user = self.user.clone().unwrap_or_default();
        let subscriptions = self
            .hub
            .store
            .user(&user, |user| user.subscriptions.clone());
        let mut names = BTreeMap::new();
        for name in subscriptions {
            if matches(pattern, utf7::encode(&name).as_bytes()) {
                names.insert(name, String::new());
            } else if pattern.last() == Some(&b'%') {
                for (at, _) in name.match_indices('/') {
                    let level = name.get(..at).unwrap_or_default();
                    if matches(pattern, utf7::encode(level).as_bytes()) {
                        names
                            .entry(level.to_owned())
                            .or_insert_with(|| "\\Noselect".to_owned());
                    }
                }
            }
        }
        names.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn wildcards() {
        for (pattern, name, expected) in [
            ("*", "a/b", true),
            ("%", "a/b", false),
            ("%", "a", true),
            ("a/%", "a/b", true),
            ("a/%", "a", false),
            ("a*c", "a/b/c", true),
            ("a%c", "abbc", true),
            ("a%c", "a/c", false),
            ("%/%", "a/b", true),
            ("", "", true),
            ("***%%*", "x", true),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), name.as_bytes()),
                expected,
                "{pattern} {name}"
            );
        }
    }
}
