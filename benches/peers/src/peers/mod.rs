//! The same jobs, by each client in its own way.

pub(crate) mod async_imap;
pub(crate) mod mail;
pub(crate) mod maildir;
pub(crate) mod ours;
pub(crate) mod rust_imap;

use crate::job::{Result, Target};

/// The items that every client asks for when it fetches messages.
const FULL: &str = "(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])";

/// Checks that all messages have come.
fn check(target: &Target, messages: usize, bytes: usize) -> Result<()> {
    if messages != target.messages as usize || bytes as u64 != target.bytes {
        return Err(format!("{messages} messages with {bytes} bytes have come").into());
    }
    Ok(())
}

/// The message that a thread asks for with its `turn`th command.
pub(crate) fn uid(target: &Target, thread: u32, turn: u32) -> u32 {
    1 + thread.wrapping_mul(577).wrapping_add(turn.wrapping_mul(7)) % target.messages
}
