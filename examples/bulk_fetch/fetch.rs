//! The main job: a whole mailbox through one client, on many threads.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use indicatif::BinaryBytes;
use mailpool::{
    CancelToken, ConnectionScope, ErrorKind, ImapClient, ImapClientBuilder, Items, Message, Query,
};
use rayon::iter::{ParallelBridge, ParallelIterator};

use crate::error::{Error, Result};
use crate::maildir::Maildir;
use crate::progress::Progress;

/// What is to be fetched, and where to.
pub(crate) struct Job {
    /// The server as messages name it.
    pub(crate) server: String,
    pub(crate) client: ImapClientBuilder,
    pub(crate) user: String,
    pub(crate) mailbox: String,
    pub(crate) connections: usize,
    pub(crate) out: PathBuf,
    /// Whether a message must be on the disk before it counts as fetched.
    pub(crate) sync: bool,
}

/// Fetches the messages that are not in the Maildir yet.
///
/// `connections` is the client's quota and also the number of workers, so that every connection
/// has one. This thread is a worker too: it made the client, so the main connection is its own.
/// Hence one connection is no special case either.
///
/// A message that cannot be read is reported and counted; anything else ends the job, and what
/// has been written is complete and stays.
pub(crate) fn run(job: Job) -> Result<Report> {
    let server = job.server;
    let client = job
        .client
        .max_connections_per_server(job.connections)
        .connect()
        .map_err(|source| Error::Server { server, source })?;
    let mailbox = client.mailbox(job.mailbox.as_str()).read_only();
    let on_server = mailbox
        .search(Query::all())
        .map_err(|source| Error::Mailbox {
            mailbox: job.mailbox.clone(),
            source,
        })?;

    let origin = format!("{} of {}", job.mailbox, job.user);
    let maildir = Maildir::open(&job.out, &origin, on_server.uid_validity())?;
    let wanted = on_server.difference(&maildir.uids()?);
    let workers = start_workers(job.connections, wanted.len())?;
    let progress = Progress::new(wanted.len());

    // Who still waits for a connection when the last chunk has been taken is not needed. A server
    // may allow fewer connections than were asked for.
    let all_taken = CancelToken::new();
    let no_more = std::iter::from_fn(|| {
        all_taken.cancel();
        None
    });
    // par_bridge: every worker is started once and takes chunk after chunk, so that it keeps its
    // connection, and the mailbox stays selected there, until all is done.
    wanted
        .iter_chunks(chunk_size(wanted.len(), workers))
        .chain(no_more)
        .par_bridge()
        .try_for_each_init(
            || own_connection(&client.with_cancel(&all_taken)),
            |connection, uids| {
                connection.as_ref().map_err(Clone::clone)?;
                for message in mailbox.fetch(uids, Items::full())? {
                    let saved = message
                        .map_err(Error::from)
                        .and_then(|message| save(message, &maildir, job.sync, &progress));
                    match saved {
                        Err(error) if error.is_about_one_message() => {
                            progress.warn(&error.in_one_line());
                        }
                        other => other?,
                    }
                }
                Ok::<(), Error>(())
            },
        )?;

    let (fetched, bytes, elapsed) = progress.finish();
    // What was expunged meanwhile is no loss. What is still there is, also if the server passed
    // it over without a word.
    let left = wanted.difference(&maildir.uids()?);
    let failed = if left.is_empty() {
        left
    } else {
        mailbox.search(Query::all().uid(left))?
    };
    Ok(Report {
        fetched,
        bytes,
        elapsed,
        on_server: on_server.len(),
        present: on_server.len() - wanted.len(),
        failed: failed.len(),
        connections: client.stats().opened,
    })
}

/// Starts one rayon worker for each connection, but none that would have nothing to do; returns
/// how many there are. It is the global pool, as rayon can make this thread a worker only once.
fn start_workers(connections: usize, messages: u64) -> Result<usize> {
    let messages = usize::try_from(messages).unwrap_or(usize::MAX);
    let workers = connections.min(messages).max(1);
    rayon::ThreadPoolBuilder::new()
        .num_threads(workers)
        .use_current_thread()
        .build_global()
        .map_err(|error| Error::Usage(error.to_string()))?;
    Ok(workers)
}

/// The worker's own connection. `None` stands for the main connection, on the thread that made
/// the client, and for a worker for whom nothing is left to do.
fn own_connection(client: &ImapClient) -> mailpool::Result<Option<ConnectionScope>> {
    match client.create_connection() {
        Err(error) if matches!(error.kind(), ErrorKind::CreatingThread) => Ok(None),
        Err(error) if error.is_cancelled() => Ok(None),
        connection => connection.map(Some),
    }
}

/// How many messages one FETCH asks for: many, so that round trips do not matter, but several
/// chunks for each worker, so that all have finished at about the same time.
fn chunk_size(messages: u64, workers: usize) -> usize {
    let share = messages / (8 * workers as u64);
    usize::try_from(share).unwrap_or(usize::MAX).clamp(1, 100)
}

/// Writes a message as it arrives: a large one is never held whole.
fn save(message: Message, maildir: &Maildir, sync: bool, progress: &Progress) -> Result<()> {
    let uid = message.uid();
    let mut flags = message.flags().cloned();
    let mut date = message.internal_date();
    let mut file = maildir.create(uid)?;
    let mut body = message.into_body().ok_or(Error::NoBody(uid))?.into_reader();
    while let Some(bytes) = body.next_chunk()? {
        file.write(&bytes)?;
        progress.received(bytes.len());
    }
    // A server is free to send the other items after the body.
    if let Some(rest) = body.finish()? {
        flags = flags.or_else(|| rest.flags().cloned());
        date = date.or(rest.internal_date());
    }
    if sync {
        file.sync()?;
    }
    file.keep(&flags.unwrap_or_default(), date)?;
    progress.saved();
    Ok(())
}

/// What a job has done.
pub(crate) struct Report {
    pub(crate) fetched: u64,
    pub(crate) bytes: u64,
    pub(crate) elapsed: Duration,
    /// How many messages the mailbox had.
    pub(crate) on_server: u64,
    /// How many of them were in the Maildir before.
    pub(crate) present: u64,
    /// How many are on the server and could not be fetched.
    pub(crate) failed: u64,
    /// How many connections were opened.
    pub(crate) connections: u64,
}

impl Report {
    /// An error if something is missing.
    pub(crate) fn complete(&self) -> Result<()> {
        match self.failed {
            0 => Ok(()),
            failed => Err(Error::Incomplete(failed)),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64().max(0.001);
        write!(
            f,
            "fetched {} of {} messages, {}, over {} connections in {seconds:.2} s: \
             {:.0} messages/s, {:.1} MiB/s",
            self.fetched,
            self.on_server,
            BinaryBytes(self.bytes),
            self.connections,
            self.fetched as f64 / seconds,
            self.bytes as f64 / seconds / f64::from(1 << 20),
        )?;
        if self.present > 0 {
            write!(f, "; {} were there before", self.present)?;
        }
        Ok(())
    }
}
