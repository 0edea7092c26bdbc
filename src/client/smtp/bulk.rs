//! Many messages, through as many connections as the quota allows.

mod desk;
mod line;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{bounded, unbounded};

use self::desk::Desk;
use self::line::{Abandon, Answer, Bell, Job, Line};
use super::SmtpClient;
use crate::connection::backoff::Backoff;
use crate::connection::cancel::Notify;
use crate::error::{Error, Result};
use crate::types::smtp::envelope::SmtpEnvelope;
use crate::types::smtp::report::SendReport;

/// Messages that one connection has under way at least: one whose end is answered, one whose
/// envelope is, and one that waits for its turn.
const FEW: usize = 3;

/// Messages that one connection has under way at most, if they are small: so that its worker need
/// not wake up for each of them.
const MANY: usize = 16;

/// Bytes of more than a few messages that one connection has under way.
const AHEAD: usize = 512 * 1024;

/// Messages that wait to be tried again at most, and their bytes, before no more are taken.
const LATER: usize = 1000;
const LATER_BYTES: usize = 16 * 1024 * 1024;

/// Messages after which a connection is given back, so that others who wait for one get theirs.
const TURN: usize = 200;

/// How long a connection is kept for the next message before it is given back.
const LINGER: Duration = Duration::from_millis(20);

/// The sending of many messages: [`SmtpClient::bulk`].
///
/// They are divided among connections, as many as the quota leaves free; with a quota of 1, and
/// where the server allows no more connections, they go over the main connection. Only a few are
/// taken from the iterator ahead of what has been sent, and each is begun as soon as it has been
/// taken. What fails does not end the rest.
///
/// The work ends early when the client's view is cancelled or its deadline passes, or when the
/// client is shut down: the rest is not attempted.
///
/// # Examples
/// ```no_run
/// # fn example(client: mailpool::SmtpClient) -> mailpool::Result<()> {
/// use mailpool::{Backoff, SmtpEnvelope};
///
/// let messages = (1..=1000).map(|number| {
///     let envelope = SmtpEnvelope::new("news@example.org", [format!("reader{number}@example.net")])
///         .expect("an address");
///     (envelope, format!("Subject: Issue {number}\r\n\r\n..."))
/// });
/// let outcome = client
///     .bulk()
///     .on_progress(|progress| println!("{} sent", progress.succeeded))
///     .retry(Backoff::new().max_attempts(3))
///     .send_all(messages)?;
/// for (number, error) in &outcome.failed {
///     eprintln!("{number}: {error}");
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is sent until send_all() is called"]
pub struct BulkSend<'a> {
    client: SmtpClient,
    retry: Option<Backoff>,
    progress: Option<Report<'a>>,
}

type Report<'a> = Box<dyn FnMut(&SendProgress) + 'a>;

/// How far the sending is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendProgress {
    /// How many messages have been taken from the iterator.
    pub taken: u64,
    /// How many have been sent, to one recipient at least.
    pub succeeded: u64,
    /// How many have failed.
    pub failed: u64,
}

/// What became of many messages, each named by its place in the order in which they came, from 0.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SendAllOutcome {
    /// Those that were sent, to one recipient at least.
    pub succeeded: Vec<(usize, SendReport)>,
    /// Those that failed. With
    /// [`Certainty::MaybeExecuted`](crate::Certainty::MaybeExecuted) one may have been delivered.
    pub failed: Vec<(usize, Error)>,
    /// Those that were taken and not sent, because the work was ended before. The iterator is not
    /// asked for more then.
    pub not_attempted: Vec<usize>,
}

impl SendAllOutcome {
    /// Whether every message was sent to each of its recipients.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty()
            && self.not_attempted.is_empty()
            && self
                .succeeded
                .iter()
                .all(|(_, report)| report.is_complete())
    }
}

impl<'a> BulkSend<'a> {
    pub(super) fn new(client: SmtpClient) -> Self {
        Self {
            client,
            retry: None,
            progress: None,
        }
    }

    /// Calls `report` when a message has been sent or has failed, on the thread that called
    /// [`send_all`](Self::send_all). It may use the client.
    pub fn on_progress(mut self, report: impl FnMut(&SendProgress) + 'a) -> Self {
        self.progress = Some(Box::new(report));
        self
    }

    /// Tries messages again that the server refuses for the time being (4yz) as a whole: when
    /// `policy` says, and up to its limits. Default: they fail.
    ///
    /// Messages that are to be tried again are kept; when they are 1,000, or 16 MiB together, no
    /// more are taken from the iterator until there are fewer.
    ///
    /// What may have been delivered is never tried again. A message of which only some recipients
    /// were refused has been sent; the report names them.
    pub fn retry(mut self, policy: Backoff) -> Self {
        self.retry = Some(policy);
        self
    }

    /// Sends the messages.
    ///
    /// # Errors
    /// None that concern single messages: those are in the outcome. A panic of the iterator
    /// reaches the caller as it is.
    pub fn send_all<M: Into<Bytes>>(
        mut self,
        messages: impl IntoIterator<Item = (SmtpEnvelope, M)>,
    ) -> Result<SendAllOutcome> {
        let client = &self.client;
        let connections = client.pool().quota_limit().saturating_sub(1).max(1);
        let (jobs, next_job) = bounded::<Job>(connections * MANY);
        let (answers, next_answer) = unbounded::<Answer>();
        let abandoned = AtomicBool::new(false);
        let asking = AtomicBool::new(false);
        let until = client.patience.begin_standing();
        let _watch = until.watch(|| Arc::new(Bell(answers.clone())) as Arc<dyn Notify>);
        let mut desk = Desk::new(
            client,
            connections,
            until.clone(),
            self.retry.take(),
            self.progress.take(),
        );
        client.scope(|scope| {
            let _guard = Abandon(&abandoned);
            let begin = || {
                let line = Line {
                    jobs: next_job.clone(),
                    answers: answers.clone(),
                    abandoned: &abandoned,
                    asking: &asking,
                    share: connections * FEW,
                    client,
                };
                let job = move |ready: Result<&SmtpClient>| {
                    line.work(ready);
                    Ok(())
                };
                scope.spawn_anyway(job).detach();
            };
            let mut workers = 0;
            let mut messages = messages.into_iter().enumerate();
            loop {
                desk.hand_out(&jobs);
                if desk.is_done() {
                    return;
                }
                // One that finds no connection takes a message with it, so that this has an end.
                while workers < connections && workers < desk.under_way && !jobs.is_empty() {
                    workers += 1;
                    begin();
                }
                let answer = if desk.wants_more() {
                    // The next one may be long in coming: what there is does not wait for it.
                    asking.store(true, Ordering::SeqCst);
                    let answer = next_answer.try_recv().ok();
                    let message = answer.is_none().then(|| messages.next());
                    asking.store(false, Ordering::SeqCst);
                    match message {
                        Some(Some((number, (envelope, message)))) => {
                            desk.add(Job::new(number, envelope, message.into()));
                        }
                        Some(None) => desk.is_exhausted = true,
                        None => {}
                    }
                    answer
                } else {
                    Some(desk.wait(&next_answer).unwrap_or(Answer::Look))
                };
                match answer {
                    Some(Answer::Done(done)) => {
                        for (job, result) in done {
                            desk.take(job, result);
                        }
                    }
                    // It has given its connection back; if there is more to do, another one
                    // takes its place.
                    Some(Answer::Left) => workers -= 1,
                    Some(Answer::Look) => desk.look(),
                    None => {}
                }
            }
        })?;
        Ok(desk.finish())
    }
}

impl fmt::Debug for BulkSend<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BulkSend").finish_non_exhaustive()
    }
}
