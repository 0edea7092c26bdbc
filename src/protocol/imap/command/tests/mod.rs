//! Every command that can be written is read back by imap-codec, an independent parser.

use imap_codec::CommandCodec;
use imap_codec::decode::Decoder;
use imap_codec::imap_types::IntoStatic;
use imap_codec::imap_types::command::CommandBody;
use imap_codec::imap_types::core::AString;
use imap_codec::imap_types::mailbox::Mailbox;
use imap_codec::imap_types::sequence::{SeqOrUid, Sequence, SequenceSet};

use super::{CommandLine, Piece};
use crate::types::invalid::InvalidArgument;
use crate::types::mailbox_name::MailboxName;
use crate::types::range_set::RangeSet;

mod hostile;
mod mailbox;
mod message;
mod search;
mod session;

/// What goes over the wire with LITERAL+.
fn wire(line: CommandLine) -> Vec<u8> {
    let mut wire = b"A1 ".to_vec();
    for piece in line.into_pieces() {
        match &piece {
            Piece::Text(_) => {}
            Piece::Literal(bytes) => wire.extend(format!("{{{}+}}\r\n", bytes.len()).bytes()),
            Piece::Literal8(bytes) => wire.extend(format!("~{{{}+}}\r\n", bytes.len()).bytes()),
        }
        wire.extend_from_slice(piece.bytes());
    }
    wire.extend_from_slice(b"\r\n");
    wire
}

/// The whole of a command that has no literal.
fn text(line: Result<CommandLine, InvalidArgument>) -> String {
    let mut pieces = line.unwrap().into_pieces();
    match (pieces.pop(), pieces.is_empty()) {
        (Some(Piece::Text(text)), true) => String::from_utf8(text).unwrap(),
        _ => panic!("there are literals"),
    }
}

/// What imap-codec makes of a command.
fn read(line: impl Into<Written>) -> CommandBody<'static> {
    read_wire(&wire(line.into().0))
}

fn read_wire(wire: &[u8]) -> CommandBody<'static> {
    match CommandCodec::default().decode(wire) {
        Ok((rest, command)) => {
            assert_eq!(rest, b"", "bytes were left of {}", wire.escape_ascii());
            assert_eq!(command.tag.as_ref(), "A1");
            command.into_static().body
        }
        Err(error) => panic!("{error:?}: {}", wire.escape_ascii()),
    }
}

/// A command, or one that had to be possible to write.
struct Written(CommandLine);

impl From<CommandLine> for Written {
    fn from(line: CommandLine) -> Self {
        Self(line)
    }
}

impl From<Result<CommandLine, InvalidArgument>> for Written {
    fn from(line: Result<CommandLine, InvalidArgument>) -> Self {
        Self(line.unwrap())
    }
}

fn name(text: &str) -> MailboxName {
    MailboxName::new(text).unwrap()
}

fn set(text: &str) -> RangeSet {
    RangeSet::parse(text.as_bytes()).unwrap()
}

/// The bytes of a mailbox name, however it was written.
fn mailbox_bytes(mailbox: &Mailbox) -> Vec<u8> {
    match mailbox {
        Mailbox::Inbox => b"INBOX".to_vec(),
        Mailbox::Other(other) => bytes(other.inner()),
    }
}

fn bytes(string: &AString) -> Vec<u8> {
    string.as_ref().to_vec()
}

fn ranges(set: &SequenceSet) -> RangeSet {
    let number = |number: SeqOrUid| match number {
        SeqOrUid::Value(number) => number.get(),
        SeqOrUid::Asterisk => u32::MAX,
    };
    let mut ranges = RangeSet::new();
    ranges.extend(set.0.as_ref().iter().map(|sequence| match *sequence {
        Sequence::Single(one) => (number(one), number(one)),
        Sequence::Range(one, two) => (number(one), number(two)),
    }));
    ranges
}
