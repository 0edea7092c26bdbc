//! Messages as they arrive.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::call::{self, ImapReply, Next, Patience};
use super::imap::stream_phase;
use super::message::{Body, BodyReader, Message};
use crate::error::{Certainty, Error, ErrorKind, Result};
use crate::protocol::imap::response::Attributes;
use crate::protocol::imap::session::operation::{End, Part, Refusal, StreamedSection};
use crate::types::ids::{SeqNum, Uid, UidValidity};

/// The messages of a FETCH, in the order in which the server sends them.
///
/// Each is yielded as soon as it has come; one of which the server tells in several responses
/// (RFC 9051 §7.5.2) is yielded with each of them. A message that cannot be read is an error of its
/// own ([`ErrorKind::Message`]), and the others follow; after any other error the iterator
/// ends.
///
/// Bodies above the [stream threshold](crate::Limits::stream_threshold) are yielded before
/// they have come: [`Body::into_reader`] reads them from the connection. Asking for the next
/// message passes over what has not been read.
///
/// A slow reader holds up its connection, but never another caller: as soon as others wait
/// behind it, what comes is kept in memory, up to
/// [`Limits::max_buffered_body`](crate::Limits::max_buffered_body).
///
/// To change messages while walking through many of them, fetch them in
/// [chunks](crate::UidSet::chunks), or on a connection of its own: a command that is sent on the
/// same connection waits for the end of the FETCH, and all of it has to be buffered.
///
/// Dropping the iterator gives the rest up, once the reader of a streamed body that it
/// yielded last is dropped too: what still comes is passed over, and the connection stays in
/// use.
#[must_use = "messages are delivered while the iterator is advanced"]
pub struct Fetch {
    shared: Arc<Mutex<Shared>>,
}

/// What the iterator and the reader of its present body share. The lock is this reply's own:
/// only its iterator and its readers ever wait for it.
pub(super) struct Shared {
    reply: ImapReply,
    patience: Patience,
    /// Numbers the bodies that are streamed.
    stream: u64,
    /// Bytes of the present streamed body that are still to come.
    remaining: u64,
    /// The part that follows the present streamed body is still to come.
    rest_to_come: bool,
    begun: bool,
    over: bool,
}

/// Which message a streamed body belongs to.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    pub uid: Uid,
    pub seq: SeqNum,
    pub uid_validity: Option<UidValidity>,
}

impl Fetch {
    pub(super) fn new(reply: ImapReply, patience: Patience) -> Self {
        Self {
            shared: Arc::new(Mutex::new(Shared {
                reply,
                patience,
                stream: 0,
                remaining: 0,
                rest_to_come: false,
                begun: false,
                over: false,
            })),
        }
    }

    fn message(
        shared: &Arc<Mutex<Shared>>,
        inner: &mut Shared,
        origin: Origin,
        attributes: Attributes,
        stream: Option<StreamedSection>,
    ) -> Message {
        let streamed = stream.map(|stream| {
            inner.stream += 1;
            inner.remaining = stream.size;
            inner.rest_to_come = true;
            let reader = BodyReader::new(Arc::clone(shared), inner.stream, stream.size, origin);
            Body::streamed(stream.section, stream.origin, stream.size, reader)
        });
        Message::new(origin, attributes, streamed)
    }
}

impl Iterator for Fetch {
    type Item = Result<Message>;

    fn next(&mut self) -> Option<Result<Message>> {
        let mut inner = self.shared.lock();
        loop {
            if inner.over {
                return None;
            }
            let (seq, uid_validity, attributes, stream) = match inner.next() {
                Ok(Next::Part(Part::Message {
                    seq,
                    uid_validity,
                    attributes,
                    stream,
                    ..
                })) => (seq, uid_validity, attributes, stream),
                Ok(Next::Part(Part::Refused(refusal))) => {
                    let passed_over = refusal.continued && !inner.rest_to_come;
                    inner.end_stream();
                    if passed_over {
                        continue;
                    }
                    return Some(Err(refused(refusal)));
                }
                // What has been passed over.
                Ok(Next::Part(Part::Chunk(_) | Part::Change(_))) => continue,
                Ok(Next::Part(Part::Rest { stream, .. })) => {
                    inner.end_stream();
                    inner.rest_to_come = stream.is_some();
                    continue;
                }
                Ok(Next::End(_)) => {
                    inner.over = true;
                    return None;
                }
                Err(error) => {
                    inner.over = true;
                    return Some(Err(error));
                }
            };
            inner.end_stream();
            let Some(uid) = attributes.uid else {
                continue;
            };
            let origin = Origin {
                uid,
                seq,
                uid_validity,
            };
            let message = Self::message(&self.shared, &mut inner, origin, *attributes, stream);
            return Some(Ok(message));
        }
    }
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetch").finish_non_exhaustive()
    }
}

fn refused(refusal: Refusal) -> Error {
    Error::new(
        ErrorKind::Message {
            uid: refusal.uid,
            reason: refusal.reason,
            is_limit: refusal.is_limit,
        },
        Certainty::MaybeExecuted,
    )
}

impl Shared {
    fn next(&mut self) -> Result<Next<Part, End>> {
        let phase = stream_phase(self.begun);
        let next = call::next(&mut self.reply, &self.patience.begin(), phase);
        self.begun = true;
        next
    }

    fn end_stream(&mut self) {
        self.remaining = 0;
        self.rest_to_come = false;
        // Readers of earlier bodies find out that they are too late.
        self.stream += 1;
    }

    /// The next bytes of the streamed body with the number `stream`.
    pub(super) fn chunk(&mut self, stream: u64) -> Result<Option<Bytes>> {
        if stream != self.stream {
            return Err(passed_over());
        }
        if self.remaining == 0 {
            return Ok(None);
        }
        match self.next() {
            Ok(Next::Part(Part::Chunk(bytes))) => {
                self.remaining = self.remaining.saturating_sub(bytes.len() as u64);
                Ok(Some(bytes))
            }
            Ok(_) => {
                self.over = true;
                Err(Error::new(
                    ErrorKind::Protocol {
                        reason: "a body ended before its announced size".to_owned(),
                    },
                    Certainty::MaybeExecuted,
                ))
            }
            Err(error) => {
                self.over = true;
                Err(error)
            }
        }
    }

    /// What follows the streamed body, once it has been read to its end.
    pub(super) fn rest(shared: &Arc<Mutex<Self>>, stream: u64, origin: Origin) -> Result<Message> {
        let mut inner = shared.lock();
        while inner.chunk(stream)?.is_some() {}
        if !inner.rest_to_come {
            return Err(passed_over());
        }
        match inner.next() {
            Ok(Next::Part(Part::Rest {
                attributes, stream, ..
            })) => {
                inner.end_stream();
                Ok(Fetch::message(
                    shared,
                    &mut inner,
                    origin,
                    *attributes,
                    stream,
                ))
            }
            Ok(Next::Part(Part::Refused(refusal))) => {
                inner.end_stream();
                Err(refused(refusal))
            }
            Ok(_) => Err(passed_over()),
            Err(error) => {
                inner.over = true;
                Err(error)
            }
        }
    }
}

fn passed_over() -> Error {
    Error::new(ErrorKind::PassedOver, Certainty::MaybeExecuted)
}
