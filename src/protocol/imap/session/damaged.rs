//! Responses that are beyond a limit or cannot be read, and who has to know.

use super::Session;
use super::commands::{Kind, Owner};
use super::operation::Failure;
use crate::types::ids::Uid;
use crate::wire::frame::Frame;
use crate::wire::framer::Refused;

impl Session {
    /// A response that went beyond a limit and has been skipped.
    pub(super) fn refused(&mut self, refused: &Refused) -> Result<(), Failure> {
        if matches!(self.login, super::Login::Greeting) {
            return Err(Failure::Limit {
                what: refused.what,
                limit: refused.limit,
            });
        }
        log::warn!(
            "imap: a response beyond the limit of {} for {} was skipped",
            refused.limit,
            refused.what
        );
        if refused.continued {
            self.break_stream(&format!("{} above {}", refused.what, refused.limit));
            return Ok(());
        }
        if !refused.excerpt.starts_with(b"*") {
            return Err(Failure::Limit {
                what: refused.what,
                limit: refused.limit,
            });
        }
        let reason = format!("{} above the limit of {}", refused.what, refused.limit);
        self.damaged(&Frame::line(refused.excerpt.clone()), &reason, true);
        Ok(())
    }

    /// Data that an operation may have waited for is lost: its caller has to know.
    pub(super) fn damaged(&mut self, frame: &Frame, reason: &str, is_limit: bool) {
        let words: Vec<&[u8]> = frame
            .head
            .split(|byte| *byte == b' ')
            .filter(|word| !word.is_empty())
            .take(3)
            .collect();
        let is = |index: usize, name: &str| {
            words
                .get(index)
                .is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()))
        };
        if is(2, "FETCH") {
            self.refuse_message(frame, reason, is_limit);
            return;
        }
        let concerned = |kind: &Kind| match kind {
            Kind::Search => is(1, "SEARCH") || is(1, "ESEARCH"),
            Kind::List => is(1, "LIST"),
            Kind::Lsub => is(1, "LSUB"),
            Kind::Status(_) => is(1, "STATUS"),
            Kind::Namespace => is(1, "NAMESPACE"),
            Kind::Id => is(1, "ID"),
            Kind::Capability => is(1, "CAPABILITY"),
            Kind::Enable => is(1, "ENABLED"),
            _ => false,
        };
        let command = self.commands.iter().find(|one| concerned(&one.kind));
        let id = match command.map(|command| command.owner) {
            Some(Owner::Operation(id)) => id,
            Some(Owner::Follow) => return self.follow_misses(reason),
            _ => return,
        };
        if let Some(active) = self.active.get_mut(&id) {
            active.fail(if is_limit {
                Failure::Limit {
                    what: "response",
                    limit: self.config.limits.line() as u64,
                }
            } else {
                Failure::protocol(reason)
            });
        }
    }
}

/// A UID that stands in the text of a FETCH response that could not be read.
pub(super) fn uid_in(text: &[u8]) -> Option<Uid> {
    let at = uid_at(text)?;
    let digits: Vec<u8> = text
        .get(at..)?
        .iter()
        .copied()
        .take_while(u8::is_ascii_digit)
        .collect();
    Uid::new(std::str::from_utf8(&digits).ok()?.parse().ok()?)
}

/// Where the value of the attribute UID begins. What stands in strings and in inner lists is the
/// sender's, not the server's.
fn uid_at(text: &[u8]) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0u64, false, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 1 && !quoted && matches!(byte, b' ' | b'(') {
            let name = text.get(at + 1..at + 5);
            if name.is_some_and(|name| name.eq_ignore_ascii_case(b"UID ")) {
                return Some(at + 5);
            }
        }
    }
    None
}
