//! One call: from a request to its answer, within its deadline.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::connection::clock::{self, earlier};
use crate::connection::failure::{Failure, Phase};
use crate::connection::handle::OperationReply;
use crate::connection::slot::{Event, Progress};
use crate::error::{Certainty, Error, ErrorKind, Result};
use crate::pool::pool::{Pool, PoolError};
use crate::protocol::imap::session::Session;
use crate::protocol::imap::session::operation::{End, Operation, Part};

/// How long calls may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For each call, and for each wait of a stream.
    pub timeout: Option<Duration>,
    /// For everything together.
    pub deadline: Option<Instant>,
}

impl Patience {
    /// The deadline of a wait that begins now.
    pub(crate) fn begin(&self) -> Option<Instant> {
        earlier(self.timeout.and_then(clock::after), self.deadline)
    }

    /// The deadline of a call that begins now. Where it has passed already, nothing is sent.
    pub(crate) fn begin_call(&self) -> Result<Option<Instant>> {
        let deadline = self.begin();
        if deadline.is_some_and(|deadline| clock::now() >= deadline) {
            return Err(Error::not_sent(ErrorKind::Timeout {
                phase: Phase::Queue,
            }));
        }
        Ok(deadline)
    }
}

pub(crate) type ImapPool = Pool<Session>;
pub(crate) type ImapReply = OperationReply<Session>;

pub(crate) fn pool_error(
    pool: &ImapPool,
    error: PoolError<<Session as crate::protocol::machine::Protocol>::Failure>,
    waited: Option<Duration>,
) -> Error {
    Error::from_pool(error, pool.quota_limit(), waited)
}

/// Sends an operation along the thread's route.
pub(crate) fn submit(pool: &Arc<ImapPool>, operation: Operation) -> Result<ImapReply> {
    pool.submit(operation)
        .map_err(|error| pool_error(pool, error, None))
}

/// Waits for the end of an operation that has no parts.
pub(crate) fn wait(mut reply: ImapReply, deadline: Option<Instant>) -> Result<End> {
    loop {
        match next(&mut reply, deadline, Phase::Command)? {
            Next::Part(_) => {}
            Next::End(end) => return Ok(end),
        }
    }
}

pub(crate) enum Next {
    Part(Part),
    End(End),
}

/// Waits for the next part of a reply, or for its end. `phase` names a wait for something
/// that has been written.
pub(crate) fn next(reply: &mut ImapReply, deadline: Option<Instant>, phase: Phase) -> Result<Next> {
    match reply.next(deadline) {
        Event::Part(part) => Ok(Next::Part(part)),
        Event::End(Ok(end)) => Ok(Next::End(end)),
        Event::End(Err(failure)) => Err(Error::from_failure(failure, reply.progress())),
        Event::TimedOut => Err(match reply.abandon() {
            Progress::NotWritten => Error::new(
                ErrorKind::Timeout {
                    phase: Phase::Queue,
                },
                Certainty::NotSent,
            ),
            Progress::Written => Error::new(ErrorKind::Timeout { phase }, Certainty::MaybeExecuted),
        }),
        Event::Nothing => Err(Error::from_failure(Failure::Closed, reply.progress())),
    }
}

/// A reply of a kind that the session never gives to this request.
pub(crate) fn unexpected(end: &End) -> Error {
    debug_assert!(false, "an answer of another kind: {end:?}");
    Error::new(
        ErrorKind::Protocol {
            reason: "an answer of another kind than the request's".to_owned(),
        },
        Certainty::MaybeExecuted,
    )
}
