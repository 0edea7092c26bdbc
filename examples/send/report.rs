//! What became of the messages.

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use mailpool::{Certainty, RecipientOutcome, SendReport};

use crate::error::{Error, in_one_line, printable};

/// What became of one message.
pub(crate) enum Outcome {
    /// At least one recipient was accepted.
    Sent(SendReport),
    Failed(mailpool::Error),
    /// It could not be read, or its envelope could not be made.
    Unusable(Error),
    NotAttempted,
}

/// What became of all, in the order of the files.
pub(crate) struct Report {
    files: Vec<(PathBuf, Outcome)>,
    interrupted: bool,
    connections: u64,
    time: Duration,
}

/// How many came to which end.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// To every recipient.
    pub(crate) sent: usize,
    /// To some of them.
    pub(crate) in_part: usize,
    pub(crate) failed: usize,
    /// Those of them that may have been delivered.
    pub(crate) unknown: usize,
    pub(crate) not_attempted: usize,
}

impl Report {
    pub(crate) fn new(
        files: Vec<(PathBuf, Outcome)>,
        interrupted: bool,
        connections: u64,
        time: Duration,
    ) -> Self {
        Self {
            files,
            interrupted,
            connections,
            time,
        }
    }

    /// It was interrupted before anything was begun.
    pub(crate) fn untouched(files: Vec<PathBuf>) -> Self {
        let files = files.into_iter().map(|path| (path, Outcome::NotAttempted));
        Self::new(files.collect(), true, 0, Duration::ZERO)
    }

    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for (_, outcome) in &self.files {
            match outcome {
                Outcome::Sent(report) if report.is_complete() => counts.sent += 1,
                Outcome::Sent(_) => counts.in_part += 1,
                Outcome::Failed(error) => {
                    counts.failed += 1;
                    let unknown = error.certainty() == Certainty::MaybeExecuted;
                    counts.unknown += usize::from(unknown);
                }
                Outcome::Unusable(_) => counts.failed += 1,
                Outcome::NotAttempted => counts.not_attempted += 1,
            }
        }
        counts
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        let counts = self.counts();
        if self.interrupted && counts.not_attempted > 0 {
            ExitCode::from(3)
        } else if counts.sent == self.files.len() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

/// A line for each thing that went wrong, and one for all.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, outcome) in &self.files {
            let file = printable(&path.display().to_string());
            match outcome {
                Outcome::Sent(report) => {
                    for one in report.refused() {
                        let (what, why) = match &one.outcome {
                            RecipientOutcome::Refused(reply) => ("refused", reply.to_string()),
                            other => ("maybe sent", other.to_string()),
                        };
                        let why = printable(&why);
                        writeln!(f, "{what:<14} {file}: {}: {why}", one.address)?;
                    }
                }
                Outcome::Failed(error) => {
                    let what = match error.certainty() {
                        Certainty::NotSent => "not sent",
                        Certainty::Rejected => "rejected",
                        // Whoever sends it again may send it twice.
                        _ => "maybe sent",
                    };
                    writeln!(f, "{what:<14} {file}: {}", in_one_line(error))?;
                }
                Outcome::Unusable(error) => {
                    writeln!(f, "{:<14} {file}: {}", "not sent", in_one_line(error))?;
                }
                Outcome::NotAttempted => writeln!(f, "{:<14} {file}", "not attempted")?,
            }
        }
        let Counts {
            sent,
            in_part,
            failed,
            unknown,
            not_attempted,
        } = self.counts();
        writeln!(
            f,
            "sent: {sent}, to some recipients: {in_part}, failed: {failed} (maybe sent: \
             {unknown}), not attempted: {not_attempted}; connections: {}, {:.1} s",
            self.connections,
            self.time.as_secs_f64()
        )
    }
}
