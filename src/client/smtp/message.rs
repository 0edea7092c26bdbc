//! Messages that are to be sent.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::{SmtpClient, report};
use crate::client::call;
use crate::connection::cancel::{Stopped, Until};
use crate::connection::failure::Phase;
use crate::connection::upload::{Feeder, Intake, Taken, upload};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::smtp::content::{Content, ContentSource, Pull};
use crate::types::invalid::InvalidArgument;
use crate::types::smtp::envelope::{BodyType, SmtpEnvelope};
use crate::types::smtp::report::SendReport;
use crate::wire::outgoing::{Cleaner, Lines, Piece, Prepared, Unclean};

/// Bytes that are read from a reader at a time.
const CHUNK: usize = 64 * 1024;
/// Bytes that are read ahead of what the connection takes.
const AHEAD: usize = 256 * 1024;

/// What is done about CR and LF that stand alone in a message, rather than as a CRLF.
///
/// Servers disagree about them, and a message that means one thing to the first server and
/// another to the second can smuggle a second message in. So they never leave this side. In both
/// cases a line that begins with a dot is protected, and nothing in a message can end it.
///
/// NUL is text to nobody, and some servers drop it: a message that has one is sent only to a
/// server with CHUNKING, where nothing is looked for in it. With [`Refuse`](Self::Refuse) it is
/// refused.
///
/// A message that is declared [`BodyType::Binary`] is sent as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LineEndings {
    /// Each of them becomes a CRLF. The default: files on Unix have LF.
    #[default]
    Normalise,
    /// A message that has one is not sent: [`ErrorKind::InvalidArgument`].
    Refuse,
}

/// A message for [`SmtpClient::send`]: bytes in memory, or a reader for one that is not to be
/// held whole.
///
/// ```no_run
/// # fn example(client: mailpool::SmtpClient, envelope: mailpool::SmtpEnvelope) -> Result<(), Box<dyn std::error::Error>> {
/// use mailpool::OutgoingMessage;
///
/// let mut file = std::fs::File::open("large.eml")?;
/// let size = file.metadata()?.len();
/// let report = client.send(&envelope, OutgoingMessage::reader(&mut file).size(size))?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a message is sent by SmtpClient::send"]
pub struct OutgoingMessage<'m>(Kind<'m>);

enum Kind<'m> {
    Memory(Bytes),
    Reader {
        reader: &'m mut dyn Read,
        size: Option<u64>,
    },
}

impl<'m> OutgoingMessage<'m> {
    /// A message that is read while it is sent, on the calling thread. Nothing is read before
    /// the server wants the message; then it is read to its end once, so that it cannot be sent
    /// again by itself.
    pub fn reader(reader: &'m mut dyn Read) -> Self {
        Self(Kind::Reader { reader, size: None })
    }

    /// About how many bytes a reader will give. A server that takes no messages of that size is
    /// not bothered with it. Of a message in memory the size is known.
    pub fn size(mut self, bytes: u64) -> Self {
        if let Kind::Reader { size, .. } = &mut self.0 {
            *size = Some(bytes);
        }
        self
    }

    pub(super) fn send(self, client: &SmtpClient, envelope: &SmtpEnvelope) -> Result<SendReport> {
        let lines = lines(client, envelope);
        let (reader, size) = match self.0 {
            Kind::Memory(message) => {
                let until = client.patience.begin_call()?;
                let reply =
                    client.begin_send(Arc::new(envelope.clone()), prepared(message, lines)?)?;
                return report(call::wait(reply, &until)?);
            }
            Kind::Reader { reader, size } => (reader, size),
        };
        client.patience.begin_call()?;
        let (feeder, intake) = upload();
        let content = Content::Stream(Box::new(Source { intake, size }));
        let mut reply = client.begin_send(Arc::new(envelope.clone()), content)?;
        let fed = feed(reader, &feeder, lines, client, || reply.nudge());
        match fed {
            Ok(()) => {
                reply.nudge();
                report(call::wait(reply, &client.patience.begin())?)
            }
            Err(Broken::Stopped(stopped)) => {
                let certainty = call::certainty(reply.abandon());
                drop(feeder);
                Err(call::stopped_error(stopped, Phase::Command, certainty))
            }
            Err(Broken::Source(error)) => {
                // Not before its end is sure never to come.
                let certainty = call::certainty(reply.abandon());
                drop(feeder);
                Err(Error::new(error, certainty))
            }
        }
    }
}

/// Why a message was not fed to its end.
enum Broken {
    Stopped(Stopped),
    Source(ErrorKind),
}

/// Reads the message and feeds it to the connection. Ends early where that takes no more: then
/// there is a reply.
fn feed(
    reader: &mut dyn Read,
    feeder: &Feeder<Piece>,
    lines: Lines,
    client: &SmtpClient,
    wake: impl Fn(),
) -> std::result::Result<(), Broken> {
    let invalid = |unclean| Broken::Source(ErrorKind::InvalidArgument(refusal(unclean)));
    let mut cleaner = Cleaner::new(lines);
    let mut pieces = Vec::new();
    loop {
        let until = client.patience.begin();
        let room = feeder.wait_for_room(AHEAD, &until);
        if !room.map_err(Broken::Stopped)? {
            return Ok(());
        }
        // Where the connection is faster than the reader there is always room.
        if let Some(stopped) = until.stopped() {
            return Err(Broken::Stopped(stopped));
        }
        let (chunk, over) = read_chunk(reader, &until).map_err(|error| {
            Broken::Source(ErrorKind::Read {
                source: Arc::new(error),
            })
        })?;
        if !chunk.is_empty() {
            cleaner.push(chunk, &mut pieces).map_err(invalid)?;
        }
        if over {
            cleaner.finish(&mut pieces).map_err(invalid)?;
        }
        for piece in pieces.drain(..) {
            let weight = piece.len();
            feeder.push(piece, weight);
        }
        if over {
            feeder.finish();
            return Ok(());
        }
        wake();
    }
}

/// The next chunk, and whether it was the last one: as full as the reader makes it, unless the
/// call is over meanwhile.
fn read_chunk(reader: &mut dyn Read, until: &Until) -> io::Result<(Bytes, bool)> {
    let mut chunk = BytesMut::zeroed(CHUNK);
    let mut filled = 0;
    let mut over = false;
    while let Some(room) = chunk.get_mut(filled..).filter(|room| !room.is_empty()) {
        match reader.read(room) {
            Ok(0) => {
                over = true;
                break;
            }
            Ok(count) => filled += count.min(room.len()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if until.stopped().is_some() {
            break;
        }
    }
    chunk.truncate(filled);
    Ok((chunk.freeze(), over))
}

/// What the connection thread sees of a reader.
struct Source {
    intake: Intake<Piece>,
    size: Option<u64>,
}

impl ContentSource for Source {
    fn next(&mut self) -> Pull {
        match self.intake.take(Piece::len) {
            Taken::Piece(piece) => Pull::Piece(piece),
            Taken::NotYet => Pull::NotYet,
            Taken::End => Pull::End,
            Taken::Broken => Pull::Broken,
        }
    }

    fn is_begun(&self) -> bool {
        self.intake.is_begun()
    }

    fn is_ready(&self) -> bool {
        self.intake.is_ready()
    }

    fn size(&self) -> Option<u64> {
        self.size
    }
}

/// How the lines of a message are to be treated.
pub(super) fn lines(client: &SmtpClient, envelope: &SmtpEnvelope) -> Lines {
    match (envelope.body_type(), client.line_endings) {
        (Some(BodyType::Binary), _) => Lines::Binary,
        (_, LineEndings::Normalise) => Lines::Normalise,
        (_, LineEndings::Refuse) => Lines::Refuse,
    }
}

/// A message in memory, ready to be sent.
pub(super) fn prepared(message: Bytes, lines: Lines) -> Result<Content> {
    let prepared = Prepared::new(message, lines).map_err(refusal)?;
    Ok(Content::Whole(Arc::new(prepared)))
}

fn refusal(unclean: Unclean) -> InvalidArgument {
    let reason = match unclean {
        Unclean::BareLineEnd => "has a CR or LF that is no part of a CRLF",
        Unclean::Nul => "contains NUL",
        Unclean::LongHeader => "has a header of more than 1 MiB",
    };
    InvalidArgument::new("message", reason)
}

impl fmt::Debug for OutgoingMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = match &self.0 {
            Kind::Memory(bytes) => Some(bytes.len() as u64),
            Kind::Reader { size, .. } => *size,
        };
        f.debug_struct("OutgoingMessage")
            .field("size", &size)
            .finish_non_exhaustive()
    }
}

impl From<Bytes> for OutgoingMessage<'_> {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Memory(bytes))
    }
}

impl From<&Bytes> for OutgoingMessage<'_> {
    fn from(bytes: &Bytes) -> Self {
        bytes.clone().into()
    }
}

impl From<Vec<u8>> for OutgoingMessage<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for OutgoingMessage<'_> {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

/// Copies the message, since the connection is another thread.
impl From<&[u8]> for OutgoingMessage<'_> {
    fn from(bytes: &[u8]) -> Self {
        Bytes::copy_from_slice(bytes).into()
    }
}

/// Copies the message, since the connection is another thread.
impl<const N: usize> From<&[u8; N]> for OutgoingMessage<'_> {
    fn from(bytes: &[u8; N]) -> Self {
        bytes.as_slice().into()
    }
}

/// Copies the message, since the connection is another thread.
impl From<&Vec<u8>> for OutgoingMessage<'_> {
    fn from(bytes: &Vec<u8>) -> Self {
        bytes.as_slice().into()
    }
}

/// Copies the message, since the connection is another thread.
impl From<&str> for OutgoingMessage<'_> {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

/// Copies the message, since the connection is another thread.
impl From<&String> for OutgoingMessage<'_> {
    fn from(text: &String) -> Self {
        text.as_bytes().into()
    }
}
