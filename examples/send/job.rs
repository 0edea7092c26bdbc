//! The main job: one client, many files.
//!
//! Small files are read whole and sent in bulk, through all the connections beside the main one.
//! Large files come from a reader, one after another, over the main connection, at the same time.
//! So neither their number nor their size matters to the memory, except for small ones that wait to
//! be tried again.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mailpool::{Backoff, OutgoingMessage, SendReport, SmtpClient, SmtpClientBuilder, SmtpEnvelope};

use crate::addressing::Addressing;
use crate::error::{Error, Result, in_one_line};
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::report::{Outcome, Report};

/// From this size on, in bytes, a message is not held in memory.
pub(crate) const LARGE: u64 = 8 * 1024 * 1024;
/// Bytes at the start of a large file in which its header is looked for.
const HEADER: u64 = 1024 * 1024;
/// How long the last goodbyes may take.
const GOODBYE: Duration = Duration::from_secs(5);

/// What is to be sent, and how.
pub(crate) struct Job {
    pub(crate) server: String,
    pub(crate) client: SmtpClientBuilder,
    pub(crate) addressing: Addressing,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) connections: usize,
    pub(crate) retry: u32,
}

/// Sends everything, unless it is interrupted.
///
/// # Errors
/// Where there is no connection at all. What concerns single messages is in the report.
pub(crate) fn run(job: Job, interrupt: &Interrupt) -> Result<Report> {
    let client = job
        .client
        .clone()
        .max_connections_per_server(job.connections)
        .cancel(interrupt.begin_nothing())
        .connect();
    let client = match client {
        Ok(client) => client,
        Err(error) if error.is_cancelled() => return Ok(Report::untouched(job.files)),
        Err(source) => {
            let server = job.server;
            return Err(Error::Server { server, source });
        }
    };
    let mut outcomes: Vec<Outcome> = Vec::new();
    outcomes.resize_with(job.files.len(), || Outcome::NotAttempted);
    let mut small = Vec::new();
    let mut large = Vec::new();
    for (place, path) in job.files.iter().enumerate() {
        match fs::metadata(path) {
            Ok(file) if file.len() >= LARGE => large.push((place, path.as_path())),
            // What is wrong with it is found out when it is read.
            _ => small.push((place, path.as_path())),
        }
    }
    let progress = Progress::new(job.files.len());
    let sender = Sender {
        view: client.with_cancel(interrupt.end_everything()),
        job: &job,
        interrupt,
        progress: &progress,
    };
    let done = std::thread::scope(|threads| -> Result<_> {
        let streaming = threads.spawn(|| sender.stream(&large));
        let mut done = sender.send_bulk(&small)?;
        match streaming.join() {
            Ok(streamed) => done.extend(streamed),
            Err(panic) => std::panic::resume_unwind(panic),
        }
        Ok(done)
    })?;
    for (place, outcome) in done {
        if let Some(slot) = outcomes.get_mut(place) {
            *slot = outcome;
        }
    }
    let connections = client.stats().opened;
    if let Err(error) = client.shutdown(GOODBYE) {
        eprintln!("send: {}", in_one_line(&error));
    }
    let time = progress.finish();
    let files = job.files.into_iter().zip(outcomes).collect();
    Ok(Report::new(files, interrupt.has_come(), connections, time))
}

struct Sender<'a> {
    /// The client, whose calls end when the interrupt's grace is over.
    view: SmtpClient,
    job: &'a Job,
    interrupt: &'a Interrupt,
    progress: &'a Progress,
}

/// A file's place in the job, and what became of it.
type Done = (usize, Outcome);

impl Sender<'_> {
    /// Sends files that are read whole. The iterator is asked for the next one only when it is
    /// about to be sent. It ends with the interrupt, so that what has been begun comes to its end.
    fn send_bulk(&self, files: &[(usize, &Path)]) -> Result<Vec<Done>> {
        let unusable = RefCell::new(Vec::new());
        let begun = RefCell::new(Vec::new());
        let wanted = files.iter().take_while(|_| !self.interrupt.has_come());
        let messages = wanted.filter_map(|(place, path)| match self.read(path) {
            Ok(message) => {
                begun.borrow_mut().push(*place);
                Some(message)
            }
            Err(error) => {
                self.progress.done(1);
                unusable
                    .borrow_mut()
                    .push((*place, Outcome::Unusable(error)));
                None
            }
        });
        let mut last = 0;
        let mut bulk = self.view.bulk().on_progress(|now| {
            let done = now.succeeded + now.failed;
            self.progress.done(done - last);
            last = done;
        });
        if self.job.retry > 0 {
            bulk = bulk.retry(self.policy());
        }
        let outcome = bulk.send_all(messages)?;
        let begun = begun.into_inner();
        let sent = outcome.succeeded.into_iter();
        let sent = sent.map(|(number, report)| (number, Outcome::Sent(report)));
        let failed = outcome.failed.into_iter();
        let failed = failed.map(|(number, error)| (number, Outcome::Failed(error)));
        let numbered = sent.chain(failed);
        let placed =
            numbered.filter_map(|(number, outcome)| Some((begun.get(number).copied()?, outcome)));
        Ok(placed.chain(unusable.into_inner()).collect())
    }

    fn read(&self, path: &Path) -> Result<(SmtpEnvelope, Vec<u8>)> {
        let message = fs::read(path).map_err(Error::file(path))?;
        Ok((self.job.addressing.envelope(&message)?, message))
    }

    fn policy(&self) -> Backoff {
        Backoff::new()
            .first_delay(Duration::from_secs(1))
            .max_attempts(self.job.retry)
    }

    /// Sends files one after another while they are read.
    fn stream(&self, files: &[(usize, &Path)]) -> Vec<Done> {
        let mut done = Vec::new();
        for (place, path) in files {
            if self.interrupt.has_come() {
                break;
            }
            let outcome = self.stream_one(path);
            if !matches!(outcome, Outcome::NotAttempted) {
                self.progress.done(1);
            }
            done.push((*place, outcome));
        }
        done
    }

    /// A reader is read once, so that a message is tried again from the file.
    fn stream_one(&self, path: &Path) -> Outcome {
        let mut refused = 0;
        loop {
            match self.stream_once(path) {
                Ok(report) => return Outcome::Sent(report),
                Err(Error::Send(error)) => {
                    if error.is_transient_refusal() && refused < self.job.retry {
                        let delay = Duration::from_secs(1 << refused.min(6));
                        refused += 1;
                        if !self.interrupt.wait(delay) {
                            continue;
                        }
                    }
                    let unsent = error.certainty() == mailpool::Certainty::NotSent;
                    if error.is_cancelled() && unsent {
                        return Outcome::NotAttempted;
                    }
                    return Outcome::Failed(error);
                }
                Err(error) => return Outcome::Unusable(error),
            }
        }
    }

    fn stream_once(&self, path: &Path) -> Result<SendReport> {
        let mut file = File::open(path).map_err(Error::file(path))?;
        let size = file.metadata().map_err(Error::file(path))?.len();
        let mut start = Vec::new();
        let mut head = (&mut file).take(HEADER);
        head.read_to_end(&mut start).map_err(Error::file(path))?;
        let envelope = self.job.addressing.envelope(&start)?;
        drop(start);
        file.rewind().map_err(Error::file(path))?;
        let message = OutgoingMessage::reader(&mut file).size(size);
        Ok(self.view.send(&envelope, message)?)
    }
}
