//! What one measurement is told and what it says: it runs in a process of its own, so that no
//! client profits from memory or code that another one has warmed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Where to connect, and what is there.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Target {
    pub(crate) port: u16,
    pub(crate) security: Security,
    /// The file with the server's certificate authority.
    pub(crate) ca: PathBuf,
    pub(crate) user: String,
    pub(crate) password: String,
    /// Messages in INBOX; their UIDs are 1 to this.
    pub(crate) messages: u32,
    /// Bytes of all of them together; 0: not known.
    pub(crate) bytes: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Security {
    #[default]
    None,
    Tls,
    StartTls,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Client {
    Ours,
    AsyncImap,
    RustImap,
    Lettre,
}

/// What is measured.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Job {
    /// All messages with one FETCH, kept in memory.
    FetchAll,
    /// All messages, `chunk` of them with one FETCH.
    Chunks {
        chunk: u32,
    },
    /// FLAGS of one message after the other, by many threads over one connection.
    Flags {
        threads: u32,
        each: u32,
    },
    /// `messages` messages of 5 KB.
    Mail {
        messages: u32,
        recipients: u32,
        /// Connections over which they are sent together; 0: one after the other by one caller.
        connections: u32,
    },
    Cost(Cost),
}

/// Costs of our own.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Cost {
    Warm,
    Opening,
    Overhead {
        threads: u32,
    },
    /// All messages over a bare socket, thrown away as they come.
    BareFetch,
    Floor {
        batch: u32,
    },
    Idle {
        seconds: u64,
    },
    IdleMemory,
    Allocations,
    OneByOne,
    Streamed,
    Headers,
    SearchAnswer {
        uids: u32,
        step: u32,
    },
    Crowd {
        connections: usize,
        callers: usize,
    },
    Cancel {
        what: Blocked,
        tls: bool,
    },
    /// Memory for a message that is sent from a reader.
    LargeMail {
        mib: u64,
    },
}

/// Where a call waits that is cancelled.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Blocked {
    /// The server works on its command.
    Command,
    /// The server has stopped in the middle of a body.
    Stalled,
    /// A TLS handshake that never ends, or a greeting that never comes.
    Handshake,
    Permit,
    Idle,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// What takes its time, in seconds.
    pub(crate) seconds: f64,
    pub(crate) figures: BTreeMap<String, f64>,
}

impl Outcome {
    pub(crate) fn seconds(seconds: f64) -> Self {
        Self {
            seconds,
            ..Self::default()
        }
    }

    pub(crate) fn with(mut self, name: &str, figure: f64) -> Self {
        self.figures.insert(name.to_owned(), figure);
        self
    }

    pub(crate) fn figure(&self, name: &str) -> f64 {
        self.figures.get(name).copied().unwrap_or(f64::NAN)
    }
}

/// The order that is given to a child as its argument.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) client: Client,
    pub(crate) job: Job,
    pub(crate) target: Target,
}

impl Order {
    /// Runs the job in a child.
    pub(crate) fn carry_out(&self) -> Result<Outcome> {
        self.finish(Command::new(std::env::current_exe()?))
    }

    /// Runs the job under callgrind and counts instructions.
    pub(crate) fn count_instructions(&self) -> Result<f64> {
        let mut command = Command::new("valgrind");
        command
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(std::env::current_exe()?);
        let counted = command
            .args(["child", &serde_json::to_string(self)?])
            .output()?;
        let text = String::from_utf8_lossy(&counted.stderr).into_owned();
        let count = text
            .lines()
            .find_map(|line| line.split_once("Collected :"))
            .and_then(|(_, count)| count.trim().parse().ok());
        count.ok_or_else(|| format!("callgrind counted nothing: {text}").into())
    }

    fn finish(&self, mut command: Command) -> Result<Outcome> {
        let output = command
            .args(["child", &serde_json::to_string(self)?])
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err(format!("{:?} of {:?}: {}", self.job, self.client, output.status).into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

/// The middle of the figures.
pub(crate) fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => figures[middle],
        _ => f64::midpoint(figures[middle - 1], figures[middle]),
    }
}
