//! One call: from a request to its answer, within its deadline.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::connection::cancel::{self, CancelToken, Stopped, Until};
use crate::connection::clock::{self, earlier};
use crate::connection::failure::{Failure, Phase};
use crate::connection::handle::OperationReply;
use crate::connection::slot::{Event, Progress, Reply};
use crate::error::{Certainty, Error, ErrorKind, ProtocolFailure, Result};
use crate::pool::pool::{Pool, PoolError};
use crate::protocol::imap::session::Session;
use crate::protocol::machine::Protocol;

/// How long calls may take.
#[derive(Clone, Debug, Default)]
pub(crate) struct Patience {
    /// For each call, and for each wait of a stream.
    pub timeout: Option<Duration>,
    /// For everything together.
    pub deadline: Option<Instant>,
    /// Ends them from elsewhere.
    pub cancel: Option<CancelToken>,
}

impl Patience {
    /// How long a wait that begins now may last. In a background task the task's own token
    /// counts, too.
    pub(crate) fn begin(&self) -> Until {
        let deadline = earlier(self.timeout.and_then(clock::after), self.deadline);
        Until::deadline(deadline)
            .with(self.cancel.clone())
            .with(cancel::ambient())
    }

    /// How long a wait may last that is the purpose of its call: the time for a single call does
    /// not count.
    pub(crate) fn begin_standing(&self) -> Until {
        Until::deadline(self.deadline)
            .with(self.cancel.clone())
            .with(cancel::ambient())
    }

    /// Whether `error` says that its call was not begun because the whole work is to end.
    pub(crate) fn is_ended_by(&self, error: &Error) -> bool {
        let is_late = self
            .deadline
            .is_some_and(|deadline| clock::now() >= deadline);
        error.certainty() == Certainty::NotSent
            && (is_late || error.is_cancelled() || matches!(error.kind(), ErrorKind::ShutDown))
    }

    /// How long a call that begins now may last. Where that is over already, nothing is sent.
    pub(crate) fn begin_call(&self) -> Result<Until> {
        let until = self.begin();
        match until.stopped() {
            None => Ok(until),
            Some(stopped) => Err(stopped_error(stopped, Phase::Queue, Certainty::NotSent)),
        }
    }
}

pub(crate) fn stopped_error(stopped: Stopped, phase: Phase, certainty: Certainty) -> Error {
    let kind = match stopped {
        Stopped::TimedOut => ErrorKind::Timeout { phase },
        Stopped::Cancelled => ErrorKind::Cancelled,
    };
    Error::new(kind, certainty)
}

pub(crate) type ImapReply = OperationReply<Session>;

pub(crate) fn pool_error<P: Protocol<Failure: ProtocolFailure>>(
    pool: &Pool<P>,
    error: PoolError<P::Failure>,
    waited: Option<Duration>,
) -> Error {
    Error::from_pool(error, pool.quota_limit(), waited)
}

/// The same for a wait that nobody has timed.
pub(crate) fn pool_error_of<F: ProtocolFailure>(error: PoolError<F>, limit: usize) -> Error {
    Error::from_pool(error, limit, None)
}

/// Sends an operation along the thread's route.
pub(crate) fn submit<P: Protocol<Failure: ProtocolFailure>>(
    pool: &Arc<Pool<P>>,
    operation: P::Operation,
) -> Result<OperationReply<P>> {
    pool.submit(operation)
        .map_err(|error| pool_error(pool, error, None))
}

/// Waits for the end of an operation that has no parts.
pub(crate) fn wait<T, E, F>(mut reply: Reply<T, E, Failure<F>>, until: &Until) -> Result<E>
where
    T: Send + 'static,
    E: Send + 'static,
    F: ProtocolFailure,
{
    loop {
        match next(&mut reply, until, Phase::Command)? {
            Next::Part(_) => {}
            Next::End(end) => return Ok(end),
        }
    }
}

/// How sure it is that an operation that was given up is not carried out.
pub(crate) fn certainty(progress: Progress) -> Certainty {
    match progress {
        Progress::NotWritten => Certainty::NotSent,
        Progress::Written => Certainty::MaybeExecuted,
    }
}

pub(crate) enum Next<T, E> {
    Part(T),
    End(E),
}

/// Waits for the next part of a reply, or for its end. `phase` names a wait for something
/// that has been written.
pub(crate) fn next<T, E, F>(
    reply: &mut Reply<T, E, Failure<F>>,
    until: &Until,
    phase: Phase,
) -> Result<Next<T, E>>
where
    T: Send + 'static,
    E: Send + 'static,
    F: ProtocolFailure,
{
    match reply.next(until) {
        Event::Part(part) => Ok(Next::Part(part)),
        Event::End(Ok(end)) => Ok(Next::End(end)),
        Event::End(Err(failure)) => Err(Error::from_failure(failure, reply.progress())),
        Event::Stopped(stopped) => {
            let trouble = reply.trouble();
            let progress = reply.abandon();
            let certainty = certainty(progress);
            let phase = match progress {
                Progress::NotWritten => Phase::Queue,
                Progress::Written => phase,
            };
            Err(match (trouble, stopped) {
                // Why it took too long.
                (Some((attempts, failure)), Stopped::TimedOut) => {
                    Error::unreachable(attempts, failure, certainty)
                }
                _ => stopped_error(stopped, phase, certainty),
            })
        }
        Event::Nothing => Err(Error::from_failure(Failure::<F>::Closed, reply.progress())),
    }
}

/// A reply of a kind that the session never gives to this request.
pub(crate) fn unexpected(end: &impl Debug) -> Error {
    debug_assert!(false, "an answer of another kind: {end:?}");
    Error::new(
        ErrorKind::Protocol {
            reason: "an answer of another kind than the request's".to_owned(),
        },
        Certainty::MaybeExecuted,
    )
}
