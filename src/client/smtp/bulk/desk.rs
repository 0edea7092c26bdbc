//! What the calling thread keeps: which messages wait, which are under way, and what became of
//! them.

use std::collections::VecDeque;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender};

use super::super::SmtpClient;
use super::line::{Answer, Job};
use super::{AHEAD, FEW, LATER, LATER_BYTES, MANY, Report, SendAllOutcome, SendProgress};
use crate::connection::backoff::Backoff;
use crate::connection::cancel::Until;
use crate::connection::clock;
use crate::error::{Error, Result};
use crate::types::smtp::report::SendReport;

/// What the calling thread keeps.
pub(super) struct Desk<'a, 'c> {
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
    later_bytes: usize,
    /// Handed out and not answered.
    pub(super) under_way: usize,
    /// Bytes of the messages that wait or are under way.
    bytes: usize,
    connections: usize,
    /// There are no more messages.
    pub(super) is_exhausted: bool,
    /// Nothing more is to be begun.
    is_over: bool,
}

impl<'a, 'c> Desk<'a, 'c> {
    pub(super) fn new(
        client: &'c SmtpClient,
        connections: usize,
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
            later_bytes: 0,
            under_way: 0,
            bytes: 0,
            connections,
            is_exhausted: false,
            is_over: false,
        }
    }

    /// Whether another message is to be taken: a few for each connection, more if they are small.
    pub(super) fn wants_more(&self) -> bool {
        let taken = self.under_way + self.waiting.len();
        let room = taken < self.connections * FEW
            || (taken < self.connections * MANY && self.bytes < self.connections * AHEAD);
        let few_again = self.later.len() < LATER && self.later_bytes < LATER_BYTES;
        room && few_again && !self.is_over && !self.is_exhausted
    }

    pub(super) fn add(&mut self, job: Job) {
        self.told.taken += 1;
        self.bytes += job.message.len();
        self.waiting.push_back(job);
    }

    pub(super) fn is_done(&self) -> bool {
        let idle = self.under_way == 0 && self.waiting.is_empty() && self.later.is_empty();
        idle && (self.is_exhausted || self.is_over)
    }

    /// Gives the workers what they have room for, those first whose time has come again.
    pub(super) fn hand_out(&mut self, jobs: &Sender<Job>) {
        let now = clock::now();
        if self.is_over {
            let left = self.waiting.drain(..).map(|job| job.number);
            self.outcome.not_attempted.extend(left);
            for (_, job, error) in std::mem::take(&mut self.later) {
                self.fail(job.number, error);
            }
            return;
        }
        let mut due = Vec::new();
        if self.later.iter().any(|(at, ..)| *at <= now) {
            (due, self.later) = std::mem::take(&mut self.later)
                .into_iter()
                .partition(|(at, ..)| *at <= now);
        }
        for (_, job, _) in due {
            self.bytes += job.message.len();
            self.later_bytes = self.later_bytes.saturating_sub(job.message.len());
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
    pub(super) fn wait(&self, answers: &Receiver<Answer>) -> Option<Answer> {
        let due = self.later.iter().map(|(at, ..)| *at).min();
        match clock::earlier(due, self.until.moment()) {
            Some(moment) if !self.is_over => answers.recv_deadline(moment).ok(),
            _ => answers.recv().ok(),
        }
    }

    /// Whether the work is to end.
    pub(super) fn look(&mut self) {
        self.is_over |= self.until.stopped().is_some();
    }

    pub(super) fn take(&mut self, job: Job, result: Result<SendReport>) {
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
                    self.later_bytes = self.later_bytes.saturating_add(job.message.len());
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

    pub(super) fn finish(self) -> SendAllOutcome {
        let mut outcome = self.outcome;
        outcome.succeeded.sort_by_key(|(number, _)| *number);
        outcome.failed.sort_by_key(|(number, _)| *number);
        outcome.not_attempted.sort_unstable();
        outcome
    }
}
