//! The workers: each sends messages over one connection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender};

use super::super::message::{lines, prepared};
use super::super::{SmtpClient, check, report};
use super::{AHEAD, FEW, LINGER, MANY, TURN};
use crate::client::call;
use crate::connection::cancel::{Notify, Until};
use crate::connection::clock;
use crate::connection::handle::OperationReply;
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::smtp::session::Session;
use crate::types::smtp::envelope::SmtpEnvelope;
use crate::types::smtp::report::SendReport;

/// One message.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) number: usize,
    pub(super) envelope: Arc<SmtpEnvelope>,
    pub(super) message: Bytes,
    /// How often it has been refused for the time being, and since when it has been tried.
    pub(super) refused: u32,
    pub(super) since: Instant,
}

impl Job {
    pub(super) fn new(number: usize, envelope: SmtpEnvelope, message: Bytes) -> Self {
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
pub(super) enum Answer {
    Done(Vec<(Job, Result<SendReport>)>),
    /// A worker has ended.
    Left,
    /// The client's token may have been cancelled.
    Look,
}

pub(super) struct Bell(pub(super) Sender<Answer>);

impl Notify for Bell {
    fn notify(&self) {
        let _ = self.0.send(Answer::Look);
    }
}

/// When the caller's own code panics, no further message is begun.
pub(super) struct Abandon<'a>(pub(super) &'a AtomicBool);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// What a worker works on.
pub(super) struct Line<'a> {
    pub(super) jobs: Receiver<Job>,
    pub(super) answers: Sender<Answer>,
    pub(super) abandoned: &'a AtomicBool,
    /// The calling thread waits for the next message, and for nothing else.
    pub(super) asking: &'a AtomicBool,
    /// Messages that are left for the other workers.
    pub(super) share: usize,
    /// Where messages go for which there is no connection.
    pub(super) client: &'a SmtpClient,
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
    pub(super) fn work(&self, ready: Result<&SmtpClient>) {
        let mut under_way = UnderWay {
            answers: self.answers.clone(),
            open: VecDeque::with_capacity(MANY),
        };
        let client = match ready {
            Ok(client) => client,
            Err(error) if self.client.patience.is_ended_by(&error) => {
                if let Ok(job) = self.jobs.try_recv() {
                    self.answer(job, Err(error));
                }
                return;
            }
            // The main connection has to do, which comes back by itself if it is lost, too.
            Err(_) => self.client,
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
                break;
            }
            under_way.wait();
        }
        // This worker is not counted on from here on.
        drop(under_way);
        // What was handed out before that was known has nobody else, while no other one is sent.
        while self.asking.load(Ordering::SeqCst) {
            let Some(job) = self.next(false) else {
                return;
            };
            let result = begin(client, &job)
                .and_then(|(reply, until)| call::wait(reply, &until))
                .and_then(report);
            self.answer(job, result);
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
