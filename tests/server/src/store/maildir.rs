//! Reads a Maildir and its Maildir++ folders. Nothing is written.

use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::DELIMITER;
use super::message::Message;
use crate::imap::utf7;

/// The messages of the Maildir (under the empty name) and of its folders, in the order of their
/// file names.
pub(super) fn read(path: &Path) -> io::Result<Vec<(String, Vec<Message>)>> {
    let mut folders = vec![(String::new(), messages(path)?)];
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().and_then(|name| name.strip_prefix('.')) else {
            continue;
        };
        if !name.is_empty() && entry.path().join("cur").is_dir() {
            let name: Vec<String> = name
                .split('.')
                .map(|level| utf7::decode(level.as_bytes()).unwrap_or_else(|| level.to_owned()))
                .collect();
            let name = name.join(&DELIMITER.to_string());
            folders.push((name, messages(&entry.path())?));
        }
    }
    folders.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(folders)
}

fn messages(path: &Path) -> io::Result<Vec<Message>> {
    let mut files = Vec::new();
    for part in ["cur", "new"] {
        let part = path.join(part);
        if !part.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(part)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                files.push((entry.file_name(), entry.path()));
            }
        }
    }
    files.sort();
    let mut messages = Vec::with_capacity(files.len());
    for (name, path) in files {
        let modified = std::fs::metadata(&path)?.modified()?;
        let seconds = modified
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(0));
        let mut message = Message::file(path).internal_date(seconds);
        let name = name.to_string_lossy();
        let letters = name.rsplit_once(":2,").map_or("", |(_, letters)| letters);
        for letter in letters.chars() {
            let flag = match letter {
                'S' => "\\Seen",
                'R' => "\\Answered",
                'F' => "\\Flagged",
                'T' => "\\Deleted",
                'D' => "\\Draft",
                _ => continue,
            };
            message = message.flag(flag);
        }
        messages.push(message);
    }
    Ok(messages)
}
