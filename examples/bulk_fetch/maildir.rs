//! A Maildir that remembers which messages of the server it holds.
//!
//! ```text
//! DIR/tmp/1700000001.U0000000042.bulk_fetch.4711    while it is being written
//! DIR/cur/1700000001.U0000000042.bulk_fetch:2,FS    complete: UIDVALIDITY, UID, flags
//! DIR/bulk_fetch.state                              what the directory holds
//! ```
//!
//! A file is renamed into `cur` when it is complete, so that whatever is there is whole; after a
//! power failure too, if it was synced before. Nothing that a server says becomes part of a name
//! but numbers and the letters of known flags. Mail programs may change the flags in the names:
//! only what stands before the colon counts. Keywords have no place in a Maildir and are left
//! out.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use mailpool::{DateTime, Flag, Flags, Uid, UidSet, UidValidity};

use crate::error::{Error, Result};

const STATE: &str = "bulk_fetch.state";

/// Maildir's letters for flags, in the order in which they stand in a name.
const LETTERS: [(Flag, char); 5] = [
    (Flag::Draft, 'D'),
    (Flag::Flagged, 'F'),
    (Flag::Answered, 'R'),
    (Flag::Seen, 'S'),
    (Flag::Deleted, 'T'),
];

/// A Maildir with the messages of one mailbox.
pub(crate) struct Maildir {
    tmp: PathBuf,
    cur: PathBuf,
    uid_validity: UidValidity,
}

impl Maildir {
    /// Opens or makes the Maildir at `root` for the mailbox that `origin` names, and removes
    /// what an interrupted run has left in `tmp`.
    ///
    /// It is an error if it holds another mailbox, or this one with another UIDVALIDITY: then
    /// its UIDs say nothing about the messages on the server.
    pub(crate) fn open(
        root: &Path,
        origin: &str,
        uid_validity: Option<UidValidity>,
    ) -> Result<Self> {
        let Some(uid_validity) = uid_validity else {
            let text = "the server gives no UIDVALIDITY: messages cannot be told apart";
            return Err(Error::Usage(text.to_owned()));
        };
        let maildir = Self {
            tmp: root.join("tmp"),
            cur: root.join("cur"),
            uid_validity,
        };
        for directory in [&maildir.tmp, &root.join("new"), &maildir.cur] {
            fs::create_dir_all(directory).map_err(Error::file(directory))?;
        }
        let origin = format!("{origin}, UIDVALIDITY {uid_validity}");
        maildir.check_origin(&root.join(STATE), &origin)?;
        maildir.remove_leftovers()?;
        Ok(maildir)
    }

    fn check_origin(&self, path: &Path, origin: &str) -> Result<()> {
        match fs::read_to_string(path) {
            Ok(found) if found == origin => Ok(()),
            Ok(found) => Err(Error::Usage(format!(
                "{} holds {found}, the server has {origin}: choose another --out",
                path.parent().unwrap_or(path).display(),
            ))),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let new = self.tmp.join(format!("{STATE}.{}", std::process::id()));
                fs::write(&new, origin).map_err(Error::file(&new))?;
                fs::rename(&new, path).map_err(Error::file(path))
            }
            Err(error) => Err(Error::file(path)(error)),
        }
    }

    fn remove_leftovers(&self) -> Result<()> {
        for entry in fs::read_dir(&self.tmp).map_err(Error::file(&self.tmp))? {
            let entry = entry.map_err(Error::file(&self.tmp))?;
            // Other programs may deliver here too.
            if entry.file_name().to_string_lossy().contains("bulk_fetch.") {
                fs::remove_file(entry.path()).map_err(Error::file(&entry.path()))?;
            }
        }
        Ok(())
    }

    /// The messages in it and their files.
    pub(crate) fn files(&self) -> Result<Vec<(Uid, PathBuf)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.cur).map_err(Error::file(&self.cur))? {
            let entry = entry.map_err(Error::file(&self.cur))?;
            if let Some(uid) = self.uid_in(&entry.file_name().to_string_lossy()) {
                files.push((uid, entry.path()));
            }
        }
        Ok(files)
    }

    /// The messages in it.
    pub(crate) fn uids(&self) -> Result<UidSet> {
        let uids: UidSet = self.files()?.into_iter().map(|(uid, _)| uid).collect();
        Ok(uids.with_uid_validity(self.uid_validity))
    }

    fn name(&self, uid: Uid) -> String {
        format!("{}.U{:010}.bulk_fetch", self.uid_validity, uid.get())
    }

    fn uid_in(&self, name: &str) -> Option<Uid> {
        let unique = name.split_once(":2,").map_or(name, |(unique, _)| unique);
        let number = unique.split_once(".U")?.1.split_once('.')?.0;
        let uid = Uid::new(number.parse().ok()?)?;
        (unique == self.name(uid)).then_some(uid)
    }

    /// Begins a message. Unless it is [kept](NewMessage::keep), nothing of it remains.
    pub(crate) fn create(&self, uid: Uid) -> Result<NewMessage> {
        let name = self.name(uid);
        // With the process's number, two processes cannot write into one file.
        let path = self.tmp.join(format!("{name}.{}", std::process::id()));
        let file = File::create_new(&path).map_err(Error::file(&path))?;
        Ok(NewMessage {
            file,
            path,
            target: self.cur.join(name),
        })
    }
}

/// A message that is being written.
pub(crate) struct NewMessage {
    file: File,
    path: PathBuf,
    /// Its name in the end, without the flags.
    target: PathBuf,
}

impl NewMessage {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(Error::file(&self.path))
    }

    /// Waits until all that was written is on the disk.
    pub(crate) fn sync(&self) -> Result<()> {
        self.file.sync_all().map_err(Error::file(&self.path))
    }

    /// Puts the message in its place. The time of its file becomes `date`.
    pub(crate) fn keep(self, flags: &Flags, date: Option<DateTime>) -> Result<()> {
        if let Some(date) = date {
            let seconds = u64::try_from(date.unix_seconds()).unwrap_or(0);
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            self.file
                .set_modified(time)
                .map_err(Error::file(&self.path))?;
        }
        let mut target = self.target.clone().into_os_string();
        target.push(":2,");
        for (flag, letter) in &LETTERS {
            if flags.contains(flag) {
                target.push(letter.to_string());
            }
        }
        fs::rename(&self.path, &target).map_err(Error::file(&self.path))
    }
}

impl Drop for NewMessage {
    fn drop(&mut self) {
        // Once the message has been kept there is no such file any more.
        let _ = fs::remove_file(&self.path);
    }
}
