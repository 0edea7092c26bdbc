//! Commands on their way to the server, and those that it has not answered.

use std::collections::VecDeque;

use bytes::Bytes;

use super::Session;
use super::operation::{By, Failure};
use super::seen::Seen;
use crate::protocol::imap::command::{self, CommandLine, Piece};
use crate::protocol::imap::response::Status;
use crate::protocol::machine::OperationId;
use crate::types::capability::Capabilities;
use crate::types::mailbox_name::MailboxName;
use crate::types::range_set::RangeSet;
use crate::wire::send::SendBuffer;

/// Literals up to this size need no permission under LITERAL- (RFC 7888 §5).
const LITERAL_MINUS: usize = 4096;

/// For whom a command was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Operation(OperationId),
    /// The Follow.
    Follow,
    Login,
    Reset,
    KeepAlive,
}

/// Which untagged responses answer a command.
#[derive(Debug)]
pub(super) enum Kind {
    /// None.
    Plain,
    Authenticate,
    Capability,
    Enable,
    Id,
    List,
    Lsub,
    Namespace,
    Status(MailboxName),
    Select,
    Search,
    Fetch {
        by: By,
        set: RangeSet,
        /// It asks for flags and mod-sequences only.
        flags_only: bool,
        /// The messages that have been delivered.
        seen: Seen,
    },
    Store {
        by: By,
        set: RangeSet,
    },
    Append,
    Copy,
    Move,
    Expunge,
    /// The EXAMINE before a CLOSE that only leaves the mailbox.
    Leave,
    Idle,
}

/// A command that has been sent, or is being sent.
#[derive(Debug)]
pub(super) struct Command {
    pub tag: u64,
    pub owner: Owner,
    pub kind: Kind,
    /// Messages in the mailbox when it was sent.
    pub exists: u32,
}

/// The text of a tag.
fn tag_text(tag: u64) -> String {
    format!("M{tag}")
}

/// The number of a tag.
pub(super) fn tag_number(tag: &[u8]) -> Option<u64> {
    let digits = tag.strip_prefix(b"M")?;
    if digits.first() == Some(&b'0') || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

impl Session {
    /// Sends a command.
    pub(super) fn send(&mut self, owner: Owner, kind: Kind, line: CommandLine) -> u64 {
        let tag = self.next_tag;
        self.next_tag += 1;
        let exists = self.selected.as_ref().map_or(0, |one| one.info.exists);
        self.commands.push_back(Command {
            tag,
            owner,
            kind,
            exists,
        });
        self.writer.command(tag, line);
        tag
    }

    pub(super) fn send_noop(&mut self) {
        self.send(Owner::KeepAlive, Kind::Plain, command::noop());
    }

    /// Leaves the mailbox without expunging anything. Without UNSELECT (RFC 3691) that takes
    /// EXAMINE and, once that has succeeded, CLOSE: CLOSE expunges nothing in a mailbox that is
    /// only read.
    pub(super) fn send_unselect(&mut self) {
        let writable = self.selected.as_ref().filter(|one| !one.asked_read_only);
        let examine = writable.and_then(|one| command::examine(&one.info.name, false).ok());
        let (kind, line) = match examine {
            _ if self.can_unselect() => (Kind::Plain, command::unselect()),
            Some(examine) => (Kind::Leave, examine),
            None => (Kind::Plain, command::close()),
        };
        self.deselect();
        self.send(Owner::Reset, kind, line);
    }

    /// A command of a reset has been answered.
    pub(super) fn reset_answered(&mut self, kind: &Kind, status: Status) -> Result<(), Failure> {
        match (kind, status) {
            (Kind::Leave, Status::Ok) => {
                self.send(Owner::Reset, Kind::Plain, command::close());
                Ok(())
            }
            // After NO to EXAMINE nothing is selected.
            (Kind::Leave, Status::No) | (_, Status::Ok) => Ok(()),
            // What is selected now nobody knows.
            (_, Status::No | Status::Bad) => Err(Failure::protocol("the mailbox cannot be left")),
        }
    }
}

/// Writes commands, and waits where a literal needs the server's permission.
#[derive(Default)]
pub(super) struct Writer {
    lines: VecDeque<Outgoing>,
    /// The command at the front has announced a literal and waits for `+`.
    waiting: bool,
    /// The tags of the commands that may not have left, and where they begin in what is written.
    starts: VecDeque<(u64, u64)>,
}

struct Outgoing {
    /// `None`: a line without a tag, in answer to a continuation request.
    tag: Option<u64>,
    begun: bool,
    steps: VecDeque<Step>,
}

/// Not `Debug`: a literal may be a password.
enum Step {
    Piece(Piece),
    /// A literal that has been announced.
    Announced(Bytes),
}

impl Writer {
    fn command(&mut self, tag: u64, line: CommandLine) {
        self.lines.push_back(Outgoing {
            tag: Some(tag),
            begun: false,
            steps: line.into_pieces().into_iter().map(Step::Piece).collect(),
        });
    }

    /// Writes a line by itself.
    pub(super) fn line(&mut self, line: Vec<u8>) {
        self.lines.push_back(Outgoing {
            tag: None,
            begun: false,
            steps: VecDeque::from([Step::Piece(Piece::Text(line))]),
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether another command may be written behind what is left: the end of an IDLE, at most.
    pub(super) fn takes_more(&self) -> bool {
        self.lines.iter().all(|line| line.tag.is_none())
    }

    /// The tag of the command that waits for a continuation request.
    pub(super) fn waiting_tag(&self) -> Option<u64> {
        let front = self.lines.front().filter(|_| self.waiting)?;
        front.tag
    }

    /// Whether the server has seen nothing of a command, when `written` bytes may have left.
    pub(super) fn is_unseen(&self, tag: u64, written: u64) -> bool {
        let mut starts = self.starts.iter();
        let mut lines = self.lines.iter();
        starts.any(|(one, at)| *one == tag && *at >= written)
            || lines.any(|line| line.tag == Some(tag) && !line.begun)
    }

    /// Whether nothing is kept of commands that have left long ago.
    #[cfg(test)]
    pub(super) fn is_short(&self) -> bool {
        self.starts.len() <= 1
    }

    /// The server has asked for the literal. `false`: nothing waits for that.
    pub(super) fn go_on(&mut self) -> bool {
        std::mem::take(&mut self.waiting)
    }

    /// The server has answered the command before it got all of it: the rest is not sent.
    pub(super) fn give_up(&mut self) {
        self.waiting = false;
        self.lines.pop_front();
    }

    /// Writes as much as may be written now.
    pub(super) fn flush(&mut self, output: &mut SendBuffer, capabilities: &Capabilities) {
        let written = output.written();
        while self.starts.front().is_some_and(|(_, at)| *at < written) {
            self.starts.pop_front();
        }
        while !self.waiting {
            let Some(front) = self.lines.front_mut() else {
                return;
            };
            if !front.begun {
                front.begun = true;
                if let Some(tag) = front.tag {
                    self.starts.push_back((tag, output.appended()));
                    output.put(tag_text(tag).as_bytes());
                    output.put(b" ");
                }
            }
            let (prefix, literal) = match front.steps.pop_front() {
                None => {
                    output.put(b"\r\n");
                    self.lines.pop_front();
                    continue;
                }
                Some(Step::Piece(Piece::Text(text))) => {
                    output.put(&text);
                    continue;
                }
                Some(Step::Announced(bytes)) => {
                    output.put_shared(&bytes);
                    continue;
                }
                Some(Step::Piece(Piece::Literal(literal))) => ("", literal),
                Some(Step::Piece(Piece::Literal8(literal))) => ("~", literal),
            };
            // Its bytes come next, at once or after the permission.
            self.waiting = announce(output, capabilities, prefix, &literal);
            front.steps.push_front(Step::Announced(literal));
        }
    }
}

/// Announces a literal. Returns whether its bytes have to wait for a continuation request.
fn announce(
    output: &mut SendBuffer,
    capabilities: &Capabilities,
    prefix: &str,
    literal: &Bytes,
) -> bool {
    let size = literal.len();
    let at_once = capabilities.literal_plus()
        || ((capabilities.literal_minus() || capabilities.imap4rev2()) && size <= LITERAL_MINUS);
    let plus = if at_once { "+" } else { "" };
    output.put(format!("{prefix}{{{size}{plus}}}\r\n").as_bytes());
    !at_once
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_as_they_are_written() {
        assert_eq!(tag_number(tag_text(1).as_bytes()), Some(1));
        assert_eq!(tag_number(tag_text(u64::MAX).as_bytes()), Some(u64::MAX));
        for other in [
            &b"M"[..],
            b"M01",
            b"M-1",
            b"m1",
            b"A1",
            b"M1x",
            b"M99999999999999999999",
        ] {
            assert_eq!(tag_number(other), None);
        }
    }
}
