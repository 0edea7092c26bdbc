//! Many messages, through as many connections as the quota allows.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::message::{lines, prepared};
use super::{SmtpClient, check, report};
use crate::client::call;
use crate::connection::backoff::Backoff;
use crate::connection::cancel::{Notify, Until};
use crate::connection::clock;
use crate::connection::handle::OperationReply;
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::smtp::session::Session;
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

/// Messages that wait to be tried again at most, before no more are taken.
const LATER: usize = 1000;

/// Messages after which a connection is given back, so that others who wait for one get theirs.
const TURN: usize = 200;

/// How long a connection is kept for the next message before it is given back.
const LINGER: Duration = Duration::from_millis(20);

/// The sending of many messages: [`SmtpClient::bulk`].
///
/// They are divided among connections, as many as the quota leaves free; with a quota of 1
/// everything goes over the main connection. Only a few are taken from the iterator ahead of what
/// has been sent. What fails does not end the rest.
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
    /// Messages that are to be tried again are kept; when there are 1,000 of them no more are taken
    /// from the iterator until there are fewer.
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
        let until = client.patience.begin_standing();
        let _watch = until.watch(|| Arc::new(Bell(answers.clone())) as Arc<dyn Notify>);
        let mut desk = Desk::new(
            client,
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
                    share: connections * FEW,
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
                while desk.wants_more() {
                    match messages.next() {
                        Some((number, (envelope, message))) => {
                            desk.add(Job::new(number, envelope, message.into()));
                        }
                        None => desk.is_exhausted = true,
                    }
                }
                desk.hand_out(&jobs);
                if desk.is_done() {
                    return;
                }
                // One that finds no connection takes a message with it, so that this has an end.
                while workers < connections && workers < desk.under_way && !jobs.is_empty() {
                    workers += 1;
                    begin();
                }
                match desk.wait(&next_answer) {
                    Some(Answer::Done(done)) => {
                        for (job, result) in done {
                            desk.take(job, result);
                        }
                    }
                    // It has given its connection back; if there is more to do, another one
                    // takes its place.
                    Some(Answer::Left) => workers -= 1,
                    Some(Answer::Look) | None => desk.look(),
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

/// One message.
#[derive(Clone)]
struct Job {
    number: usize,
    envelope: Arc<SmtpEnvelope>,
    message: Bytes,
    /// How often it has been refused for the time being, and since when it has been tried.
    refused: u32,
    since: Instant,
}

impl Job {
    fn new(number: usize, envelope: SmtpEnvelope, message: Bytes) -> Self {
        Self {
            number,
            envelope: Arc::new(envelope),
            message,
            refused: 0,
            since: clock::now(),
        }
    }
}

/// What the workers tell.
enum Answer {
    Done(Vec<(Job, Result<SendReport>)>),
    /// A worker has ended.
    Left,
    /// The client's token may have been cancelled.
    Look,
}

struct Bell(Sender<Answer>);

impl Notify for Bell {
    fn notify(&self) {
        let _ = self.0.send(Answer::Look);
    }
}

/// When the caller's own code panics, no further message is begun.
struct Abandon<'a>(&'a AtomicBool);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// What a worker works on.
struct Line<'a> {
    jobs: Receiver<Job>,
    answers: Sender<Answer>,
    abandoned: &'a AtomicBool,
    /// Messages that are left for the other workers.
    share: usize,
}

/// A worker's messages under way. Whatever becomes of the worker, each is answered.
struct UnderWay {
    answers: Sender<Answer>,
    open: VecDeque<(Job, OperationReply<Session>, Until)>,
}

impl UnderWay {
    fn bytes(&self) -> usize {
        self.open.iter().map(|(job, ..)| job.message.len()).sum()
    }

    /// Whether another message is to be taken of those that wait: few enough are left for the
    /// other workers where `many` do not.
    fn has_room(&self, many: bool) -> bool {
        let count = self.open.len();
        count < FEW || (many && count < MANY && self.bytes() < AHEAD)
    }

    /// Waits for the first half of them. A connection answers in order, so that one wake-up
    /// serves them all.
    fn wait(&mut self) {
        let half = self.open.len().div_ceil(2);
        let mut last = None;
        if let Some((job, reply, until)) = self.open.remove(half.saturating_sub(1)) {
            last = Some((job, call::wait(reply, &until).and_then(report)));
        }
        let mut done = Vec::with_capacity(half);
        for (job, reply, until) in self.open.drain(..half.saturating_sub(1)) {
            done.push((job, call::wait(reply, &until).and_then(report)));
        }
        done.extend(last);
        let _ = self.answers.send(Answer::Done(done));
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let panicked = self.open.drain(..).map(|(job, mut reply, _)| {
            let certainty = call::certainty(reply.abandon());
            let message = "while messages were sent".to_owned();
            let panic = Error::new(ErrorKind::TaskPanicked { message }, certainty);
            (job, Err(panic))
        });
        let _ = self.answers.send(Answer::Done(panicked.collect()));
        let _ = self.answers.send(Answer::Left);
    }
}

impl Line<'_> {
    /// Sends messages over this thread's connection, until there are none or others have their
    /// turn.
    fn work(&self, ready: Result<&SmtpClient>) {
        let mut under_way = UnderWay {
            answers: self.answers.clone(),
            open: VecDeque::with_capacity(MANY),
        };
        let client = match ready {
            Ok(client) => client,
            Err(error) => {
                if let Ok(job) = self.jobs.try_recv() {
                    self.answer(job, Err(error));
                }
                return;
            }
        };
        let mut begun = 0;
        loop {
            while begun < TURN && under_way.has_room(self.jobs.len() > self.share) {
                let Some(job) = self.next(under_way.open.is_empty()) else {
                    break;
                };
                begun += 1;
                match begin(client, &job) {
                    Ok((reply, until)) => under_way.open.push_back((job, reply, until)),
                    Err(error) => self.answer(job, Err(error)),
                }
            }
            if under_way.open.is_empty() {
                return;
            }
            under_way.wait();
        }
    }

    fn answer(&self, job: Job, result: Result<SendReport>) {
        let _ = self.answers.send(Answer::Done(vec![(job, result)]));
    }

    /// The next message. With `wait`, one that comes soon is waited for.
    fn next(&self, wait: bool) -> Option<Job> {
        if self.abandoned.load(Ordering::SeqCst) {
            return None;
        }
        match self.jobs.try_recv() {
            Ok(job) => Some(job),
            Err(_) if wait => self.jobs.recv_timeout(LINGER).ok(),
            Err(_) => None,
        }
    }
}

fn begin(client: &SmtpClient, job: &Job) -> Result<(OperationReply<Session>, Until)> {
    check(&job.envelope)?;
    let content = prepared(job.message.clone(), lines(client, &job.envelope))?;
    let until = client.patience.begin_call()?;
    let reply = client.begin_send(Arc::clone(&job.envelope), content)?;
    Ok((reply, until))
}

/// What the calling thread keeps.
struct Desk<'a, 'c> {
    client: &'c SmtpClient,
    until: Until,
    retry: Option<Backoff>,
    progress: Option<Report<'a>>,
    told: SendProgress,
    outcome: SendAllOutcome,
    /// To be handed to the workers.
    waiting: VecDeque<Job>,
    /// To be tried again, when, and why.
    later: Vec<(Instant, Job, Error)>,
    /// Handed out and not answered.
    under_way: usize,
    /// Bytes of the messages that wait or are under way.
    bytes: usize,
    connections: usize,
    /// There are no more messages.
    is_exhausted: bool,
    /// Nothing more is to be begun.
    is_over: bool,
}

impl<'a, 'c> Desk<'a, 'c> {
    fn new(
        client: &'c SmtpClient,
        until: Until,
        retry: Option<Backoff>,
        progress: Option<Report<'a>>,
    ) -> Self {
        Self {
            client,
            until,
            retry,
            progress,
            told: SendProgress::default(),
            outcome: SendAllOutcome::default(),
            waiting: VecDeque::new(),
            later: Vec::new(),
            under_way: 0,
            bytes: 0,
            connections: 1,
            is_exhausted: false,
            is_over: false,
        }
    }

    /// Whether another message is to be taken: a few for each connection, more if they are small.
    fn wants_more(&self) -> bool {
        let taken = self.under_way + self.waiting.len();
        let room = taken < self.connections * FEW
            || (taken < self.connections * MANY && self.bytes < self.connections * AHEAD);
        room && self.later.len() < LATER && !self.is_over && !self.is_exhausted
    }

    fn add(&mut self, job: Job) {
        self.told.taken += 1;
        self.bytes += job.message.len();
        self.waiting.push_back(job);
    }

    fn is_done(&self) -> bool {
        let idle = self.under_way == 0 && self.waiting.is_empty() && self.later.is_empty();
        idle && (self.is_exhausted || self.is_over)
    }

    /// Gives the workers what they have room for, those first whose time has come again.
    fn hand_out(&mut self, jobs: &Sender<Job>) {
        let now = clock::now();
        if self.is_over {
            let left = self.waiting.drain(..).map(|job| job.number);
            self.outcome.not_attempted.extend(left);
            for (_, job, error) in std::mem::take(&mut self.later) {
                self.fail(job.number, error);
            }
            return;
        }
        let (due, later) = std::mem::take(&mut self.later)
            .into_iter()
            .partition(|(at, ..)| *at <= now);
        self.later = later;
        let due: Vec<(Instant, Job, Error)> = due;
        for (_, job, _) in due {
            self.bytes += job.message.len();
            self.waiting.push_front(job);
        }
        while let Some(job) = self.waiting.pop_front() {
            match jobs.try_send(job) {
                Ok(()) => self.under_way += 1,
                Err(full) => {
                    self.waiting.push_front(full.into_inner());
                    return;
                }
            }
        }
    }

    /// Waits for an answer, or until a message is to be tried again.
    fn wait(&self, answers: &Receiver<Answer>) -> Option<Answer> {
        let due = self.later.iter().map(|(at, ..)| *at).min();
        match clock::earlier(due, self.until.moment()) {
            Some(moment) if !self.is_over => answers.recv_deadline(moment).ok(),
            _ => answers.recv().ok(),
        }
    }

    /// Whether the work is to end.
    fn look(&mut self) {
        self.is_over |= self.until.stopped().is_some();
    }

    fn take(&mut self, job: Job, result: Result<SendReport>) {
        self.under_way -= 1;
        self.bytes = self.bytes.saturating_sub(job.message.len());
        match result {
            Ok(report) => {
                self.told.succeeded += 1;
                self.outcome.succeeded.push((job.number, report));
                self.tell();
            }
            Err(error) if self.client.patience.is_ended_by(&error) => {
                self.is_over = true;
                self.outcome.not_attempted.push(job.number);
            }
            Err(error) => match self.again_at(&job, &error) {
                Some(moment) => {
                    let refused = job.refused + 1;
                    self.later.push((moment, Job { refused, ..job }, error));
                }
                None => self.fail(job.number, error),
            },
        }
    }

    /// When a message is tried again that was refused.
    fn again_at(&self, job: &Job, error: &Error) -> Option<Instant> {
        let policy = self.retry.as_ref().filter(|_| !self.is_over)?;
        let time = clock::now().saturating_duration_since(job.since);
        let again = error.is_transient_refusal() && !policy.is_exhausted(job.refused, time);
        if again {
            clock::after(policy.delay(job.refused))
        } else {
            None
        }
    }

    fn fail(&mut self, number: usize, error: Error) {
        self.told.failed += 1;
        self.outcome.failed.push((number, error));
        self.tell();
    }

    fn tell(&mut self) {
        if let Some(report) = &mut self.progress {
            report(&self.told);
        }
    }

    fn finish(self) -> SendAllOutcome {
        let mut outcome = self.outcome;
        outcome.succeeded.sort_by_key(|(number, _)| *number);
        outcome.failed.sort_by_key(|(number, _)| *number);
        outcome.not_attempted.sort_unstable();
        outcome
    }
}
