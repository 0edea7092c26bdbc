//! A user: the tree of mailboxes, and the subscriptions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::DELIMITER;
use super::mailbox::Mailbox;

/// A name in the tree.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    /// `None` for a name that only has others below it (`\Noselect`).
    pub(crate) mailbox: Option<Arc<Mailbox>>,
    pub(crate) special_use: Option<String>,
}

#[derive(Debug)]
pub(crate) struct User {
    pub(crate) password: String,
    pub(crate) token: Option<String>,
    pub(crate) subscriptions: BTreeSet<String>,
    folders: BTreeMap<String, Folder>,
}

impl Default for User {
    fn default() -> Self {
        let mut user = Self {
            password: String::new(),
            token: None,
            subscriptions: BTreeSet::new(),
            folders: BTreeMap::new(),
        };
        user.ensure("INBOX");
        user
    }
}

/// UIDVALIDITY never repeats within a process, so that a mailbox that is deleted and made again
/// is another one.
static NEXT_UID_VALIDITY: AtomicU32 = AtomicU32::new(1_700_000_001);

fn new_mailbox() -> Arc<Mailbox> {
    Mailbox::new(NEXT_UID_VALIDITY.fetch_add(1, Ordering::Relaxed))
}

/// INBOX in capitals, whatever its spelling; other names as they are.
fn canonical(name: &str) -> String {
    match name.split_once(DELIMITER) {
        _ if name.eq_ignore_ascii_case("INBOX") => "INBOX".to_owned(),
        Some((first, rest)) if first.eq_ignore_ascii_case("INBOX") => {
            format!("INBOX{DELIMITER}{rest}")
        }
        _ => name.to_owned(),
    }
}

impl User {
    pub(crate) fn folders(&self) -> impl Iterator<Item = (&str, &Folder)> {
        self.folders
            .iter()
            .map(|(name, folder)| (name.as_str(), folder))
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.folders.keys().cloned().collect()
    }

    pub(crate) fn folder_mut(&mut self, name: &str) -> Option<&mut Folder> {
        self.folders.get_mut(&canonical(name))
    }

    pub(crate) fn mailbox(&self, name: &str) -> Option<Arc<Mailbox>> {
        self.folders.get(&canonical(name))?.mailbox.clone()
    }

    pub(crate) fn has_children(&self, name: &str) -> bool {
        let prefix = format!("{name}{DELIMITER}");
        self.folders
            .range(prefix.clone()..)
            .next()
            .is_some_and(|(other, _)| other.starts_with(&prefix))
    }

    /// The mailbox with this name, created with the levels above it if need be.
    pub(crate) fn ensure(&mut self, name: &str) -> Arc<Mailbox> {
        let name = canonical(name);
        let above: Vec<&str> = name
            .match_indices(DELIMITER)
            .filter_map(|(at, _)| name.get(..at))
            .collect();
        for level in above {
            self.folders.entry(level.to_owned()).or_insert(Folder {
                mailbox: Some(new_mailbox()),
                special_use: None,
            });
        }
        let folder = self.folders.entry(name).or_insert(Folder {
            mailbox: None,
            special_use: None,
        });
        Arc::clone(folder.mailbox.get_or_insert_with(new_mailbox))
    }

    /// CREATE; the error is the text after `NO `.
    pub(crate) fn create(&mut self, name: &str) -> Result<(), &'static str> {
        let name = name.strip_suffix(DELIMITER).unwrap_or(name);
        check_name(name)?;
        if self.mailbox(name).is_some() {
            return Err("[ALREADYEXISTS] Mailbox exists");
        }
        self.ensure(name);
        Ok(())
    }

    /// DELETE; the error is the text after `NO `.
    pub(crate) fn delete(&mut self, name: &str) -> Result<(), &'static str> {
        let name = canonical(name);
        if name == "INBOX" {
            return Err("[CANNOT] INBOX cannot be deleted");
        }
        let has_children = self.has_children(&name);
        let Some(folder) = self.folders.get_mut(&name) else {
            return Err("[NONEXISTENT] No such mailbox");
        };
        if !has_children {
            self.folders.remove(&name);
        } else if folder.mailbox.take().is_none() {
            return Err("[HASCHILDREN] Only the mailboxes below it can be deleted");
        }
        Ok(())
    }

    /// RENAME, with everything below; INBOX gives its messages away and stays (RFC 3501 §6.3.5).
    pub(crate) fn rename(&mut self, from: &str, to: &str) -> Result<(), &'static str> {
        let from = canonical(from);
        let to = canonical(to.strip_suffix(DELIMITER).unwrap_or(to));
        check_name(&to)?;
        if self.folders.contains_key(&to) {
            return Err("[ALREADYEXISTS] Mailbox exists");
        }
        if !self.folders.contains_key(&from) {
            return Err("[NONEXISTENT] No such mailbox");
        }
        let prefix = format!("{from}{DELIMITER}");
        if to.starts_with(&prefix) {
            return Err("[CANNOT] A mailbox cannot move below itself");
        }
        if let Some((parent, _)) = to.rsplit_once(DELIMITER) {
            self.ensure(parent);
        }
        if from == "INBOX" {
            let inbox = self.ensure("INBOX");
            let messages = inbox.change(|contents| contents.remove(|_| true));
            self.ensure(&to).change(|contents| {
                for stored in &messages {
                    contents.append(&stored.as_message());
                }
            });
            return Ok(());
        }
        let moved: Vec<String> = self
            .folders
            .keys()
            .filter(|name| **name == from || name.starts_with(&prefix))
            .cloned()
            .collect();
        for name in moved {
            if let Some(folder) = self.folders.remove(&name) {
                let rest = name.get(from.len()..).unwrap_or_default();
                self.folders.insert(format!("{to}{rest}"), folder);
            }
        }
        Ok(())
    }
}

fn check_name(name: &str) -> Result<(), &'static str> {
    let bad = name.is_empty()
        || name.starts_with(DELIMITER)
        || name.contains("//")
        || name.chars().any(char::is_control);
    if bad {
        Err("[CANNOT] Not a mailbox name")
    } else {
        Ok(())
    }
}
