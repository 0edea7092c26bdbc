//! What has arrived, sorted by recipient.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use mailpool_test_daemon::{Arrived, maildir_order};

/// What is read of a file to learn for whom it is: Postfix's own headers and then some.
const HEAD: u64 = 16 * 1024;

/// The Maildir of one server.
#[derive(Debug)]
pub(crate) struct Mailroom {
    /// Where Postfix puts a message when it is complete.
    new: PathBuf,
    /// Where it is moved when it has been sorted, so that nothing is looked at twice.
    seen: PathBuf,
    sorted: Mutex<HashMap<String, Vec<PathBuf>>>,
}

impl Mailroom {
    pub(crate) fn new(directory: &Path) -> Self {
        Self {
            new: directory.join("mail/all/new"),
            seen: directory.join("seen"),
            sorted: Mutex::default(),
        }
    }

    /// How many messages there are for a recipient at this moment.
    pub(crate) fn count(&self, recipient: &str) -> io::Result<usize> {
        Ok(self.sorted()?.get(recipient).map_or(0, Vec::len))
    }

    /// The messages for a recipient, in the order of their delivery.
    pub(crate) fn messages(&self, recipient: &str) -> io::Result<Vec<Arrived>> {
        let paths = self.sorted()?.get(recipient).cloned().unwrap_or_default();
        let messages = paths.iter().map(fs::read);
        messages.map(|stored| stored.map(Arrived::new)).collect()
    }

    /// All recipients that mail has arrived for, with the number of messages.
    pub(crate) fn recipients(&self) -> io::Result<HashMap<String, usize>> {
        let sorted = self.sorted()?;
        let counts = sorted
            .iter()
            .map(|(name, paths)| (name.clone(), paths.len()));
        Ok(counts.collect())
    }

    /// Sorts what has come since, and gives access to all.
    fn sorted(&self) -> io::Result<MutexGuard<'_, HashMap<String, Vec<PathBuf>>>> {
        // A test that panicked meanwhile leaves at worst a message that is not sorted yet.
        let mut sorted = self.sorted.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = match fs::read_dir(&self.new) {
            Ok(entries) => entries,
            // Postfix makes the Maildir with the first message.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(sorted),
            Err(error) => return Err(error),
        };
        let mut arrivals = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            arrivals.push((maildir_order(&name.to_string_lossy()), name));
        }
        arrivals.sort();
        for (_, name) in arrivals {
            let path = self.new.join(&name);
            let mut head = Vec::new();
            fs::File::open(&path)?.take(HEAD).read_to_end(&mut head)?;
            let recipient = Arrived::new(head).recipient();
            let kept = self.seen.join(&name);
            fs::rename(path, &kept)?;
            sorted.entry(recipient).or_default().push(kept);
        }
        Ok(sorted)
    }
}
