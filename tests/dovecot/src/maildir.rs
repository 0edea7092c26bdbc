//! Mail written where the server finds it: Maildir++ trees, and what becomes of a message's
//! bytes on the way to a client.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{chown, fchown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mailpool_test_daemon::{SystemUser, maildir_order};

/// The system flags and the letters that Maildir has for them, in the order that it demands.
const FLAGS: [(&str, char); 5] = [
    ("\\Draft", 'D'),
    ("\\Flagged", 'F'),
    ("\\Answered", 'R'),
    ("\\Seen", 'S'),
    ("\\Deleted", 'T'),
];

/// 2024-01-01 00:00:00 UTC: when the first delivered message "arrived", if nothing else is said.
const FIRST_ARRIVAL: u64 = 1_704_067_200;

/// A message to be delivered.
#[derive(Clone, Debug)]
#[must_use]
pub struct Message {
    pub(crate) bytes: Vec<u8>,
    pub(crate) flags: Vec<&'static str>,
    pub(crate) received: Option<SystemTime>,
}

impl Message {
    /// A message without flags. Line endings may be LF or CRLF and are stored as they are.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            bytes: bytes.into(),
            flags: Vec::new(),
            received: None,
        }
    }

    /// Its system flags, as IMAP spells them: `\Seen`, `\Answered`, `\Flagged`, `\Deleted`,
    /// `\Draft`. Delivering a message with another one fails.
    pub fn flags(mut self, flags: &[&'static str]) -> Self {
        self.flags = flags.to_vec();
        self
    }

    /// Its INTERNALDATE, to the second. Default: a second after the message before it; the very
    /// first is of 2024-01-01 00:00:00 UTC.
    pub fn received(mut self, time: SystemTime) -> Self {
        self.received = Some(time);
        self
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes)
    }
}

/// The bytes that the server serves for a message that was stored as `bytes`: every line feed
/// that does not follow a carriage return gets one. Nothing else changes.
pub fn as_served(bytes: &[u8]) -> Vec<u8> {
    let mut served = Vec::with_capacity(bytes.len() + bytes.len() / 32);
    let mut previous = 0;
    for &byte in bytes {
        if byte == b'\n' && previous != b'\r' {
            served.push(b'\r');
        }
        served.push(byte);
        previous = byte;
    }
    served
}

/// The bytes that the server serves for a message that came as `bytes` by APPEND.
///
/// As [`as_served`], but the server takes the carriage return before a line feed away when it
/// stores the message, so that of several before one line feed one is lost; and so is a carriage
/// return at the very end. NUL, which APPEND may not carry, becomes 0x80 here.
pub fn as_served_after_append(bytes: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(bytes.len());
    for (index, &byte) in bytes.iter().enumerate() {
        let next = bytes.get(index + 1);
        match byte {
            b'\r' if matches!(next, None | Some(b'\n')) => {}
            0 => stored.push(0x80),
            _ => stored.push(byte),
        }
    }
    as_served(&stored)
}

/// Writes messages into the Maildir folders of one server.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) homes: PathBuf,
    pub(crate) owner: SystemUser,
    pub(crate) separator: char,
    pub(crate) prefix: String,
    /// Orders the files: Dovecot gives UIDs to new messages in the order of their names.
    pub(crate) sequence: AtomicU64,
}

impl Store {
    /// Makes sure that the user's home and Maildir are there.
    pub(crate) fn create_home(&self, user: &str) -> io::Result<PathBuf> {
        let home = self.homes.join(user);
        self.create_directory(&home)?;
        Ok(home)
    }

    /// Makes the folder for a mailbox, if it is not there yet, and returns its path.
    pub(crate) fn create_mailbox(&self, user: &str, mailbox: &str) -> io::Result<PathBuf> {
        let maildir = self.create_home(user)?.join("Maildir");
        self.create_directory(&maildir)?;
        let folder = match self.folder_name(mailbox) {
            Some(name) => maildir.join(name),
            None => maildir,
        };
        self.create_directory(&folder)?;
        for part in ["tmp", "new", "cur"] {
            self.create_directory(&folder.join(part))?;
        }
        Ok(folder)
    }

    /// Writes one message into a folder that [`create_mailbox`](Self::create_mailbox) returned.
    ///
    /// Returns the bytes as they will be served.
    pub(crate) fn write(&self, folder: &Path, message: &Message) -> io::Result<Vec<u8>> {
        let number = self.sequence.fetch_add(1, Ordering::Relaxed);
        let served = as_served(&message.bytes);
        let arrival = Duration::from_secs(FIRST_ARRIVAL + number);
        // S= and W= spare the server from reading the file for RFC822.SIZE.
        let name = format!(
            "{seconds}.M{number}P1.mailpool,S={stored},W={served}:2,{letters}",
            seconds = arrival.as_secs(),
            stored = message.bytes.len(),
            served = served.len(),
            letters = letters(&message.flags)?,
        );
        let temporary = folder.join("tmp").join(format!("{number}"));
        let mut file = File::create(&temporary)?;
        file.write_all(&message.bytes)?;
        fchown(&file, Some(self.owner.uid), Some(self.owner.gid))?;
        file.set_modified(message.received.unwrap_or(UNIX_EPOCH + arrival))?;
        drop(file);
        fs::rename(temporary, folder.join("cur").join(name))?;
        Ok(served)
    }

    /// The files of a user's INBOX, as they are stored, the oldest first.
    pub(crate) fn inbox(&self, user: &str) -> io::Result<Vec<Vec<u8>>> {
        let maildir = self.homes.join(user).join("Maildir");
        let mut files = Vec::new();
        // A message on its way from `new` to `cur` is not missed.
        for part in ["new", "cur"] {
            let entries = match fs::read_dir(maildir.join(part)) {
                // The server makes the Maildir with the first message.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => entries?,
            };
            for entry in entries {
                let entry = entry?;
                let order = maildir_order(&entry.file_name().to_string_lossy());
                files.push((order, entry.path()));
            }
        }
        files.sort();
        files.iter().map(|(_, path)| fs::read(path)).collect()
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        match fs::create_dir(path) {
            Ok(()) => chown(path, Some(self.owner.uid), Some(self.owner.gid)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The folder's name below the Maildir; none for INBOX itself.
    fn folder_name(&self, mailbox: &str) -> Option<String> {
        let name = mailbox.strip_prefix(&self.prefix).unwrap_or(mailbox);
        if name.eq_ignore_ascii_case("INBOX") || mailbox.eq_ignore_ascii_case("INBOX") {
            return None;
        }
        let parts: Vec<String> = name.split(self.separator).map(modified_utf7).collect();
        Some(format!(".{}", parts.join(".")))
    }
}

fn letters(flags: &[&str]) -> io::Result<String> {
    if let Some(unknown) = flags
        .iter()
        .find(|flag| !FLAGS.iter().any(|(name, _)| name == *flag))
    {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("Maildir has no letter for the flag {unknown}"),
        ));
    }
    let set = FLAGS.iter().filter(|(name, _)| flags.contains(name));
    Ok(set.map(|(_, letter)| letter).collect())
}

/// A mailbox name as it is spelt in IMAP and on disk (RFC 3501 §5.1.3).
///
/// Written anew here rather than taken from the client, whose encoder it is to check.
fn modified_utf7(name: &str) -> String {
    let mut encoded = String::new();
    let mut pending: Vec<u16> = Vec::new();
    for character in name.chars() {
        if matches!(character, ' '..='~') {
            flush(&mut pending, &mut encoded);
            encoded.push(character);
            if character == '&' {
                encoded.push('-');
            }
        } else {
            pending.extend_from_slice(character.encode_utf16(&mut [0; 2]));
        }
    }
    flush(&mut pending, &mut encoded);
    encoded
}

/// Writes a run of UTF-16 units as `&`, base64 with `,` for `/` and without padding, `-`.
fn flush(units: &mut Vec<u16>, encoded: &mut String) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";
    if units.is_empty() {
        return;
    }
    encoded.push('&');
    let (mut bits, mut count) = (0_u32, 0);
    let mut digit = |value: u32| {
        let digit = DIGITS.get((value & 63) as usize).copied();
        encoded.push(char::from(digit.unwrap_or(b'A')));
    };
    for unit in units.drain(..) {
        bits = (bits << 16) | u32::from(unit);
        count += 16;
        while count >= 6 {
            count -= 6;
            digit(bits >> count);
        }
        bits &= (1 << count) - 1;
    }
    if count > 0 {
        digit(bits << (6 - count));
    }
    encoded.push('-');
}

#[cfg(test)]
mod tests {
    use super::{as_served, letters, modified_utf7};

    #[test]
    fn names_are_spelt_as_the_rfc_spells_them() {
        assert_eq!(
            modified_utf7("~peter/mail/台北/日本語"),
            "~peter/mail/&U,BTFw-/&ZeVnLIqe-"
        );
        assert_eq!(modified_utf7("R&D \"x\\y\""), "R&-D \"x\\y\"");
        assert_eq!(modified_utf7("Entwürfe"), "Entw&APw-rfe");
        assert_eq!(modified_utf7("📬"), "&2D3c7A-");
    }

    #[test]
    fn only_bare_line_feeds_change_on_the_way() {
        assert_eq!(as_served(b"a\nb\r\nc\rd\r\r\n"), b"a\r\nb\r\nc\rd\r\r\n");
        assert_eq!(as_served(b"\n\n"), b"\r\n\r\n");
        assert_eq!(as_served(b""), b"");
    }

    #[test]
    fn flags_become_letters_in_order() {
        assert_eq!(letters(&["\\Seen", "\\Draft"]).ok().as_deref(), Some("DS"));
        assert!(letters(&["$Forwarded"]).is_err());
    }
}
