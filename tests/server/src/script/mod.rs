//! The scripted server: plays a transcript byte for byte, and says where the client differed.

mod parse;
mod play;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::capabilities::Capabilities;
use crate::clock;
use crate::hub::{Hub, Settings};
use crate::server::{Protocol, Server};
use crate::store::Store;
use crate::tls::TlsMaterial;

pub use parse::ScriptSyntax;

/// One step of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Send these bytes, with `{tag}` filled in.
    Send(Vec<u8>),
    /// Expect a line, CRLF included.
    ExpectLine(Vec<u8>),
    /// Expect exactly these bytes.
    ExpectBytes(Vec<u8>),
    /// Expect the client's end.
    ExpectEnd,
    StartTls,
    Close,
    CloseWithoutNotify,
    Reset,
    Stall,
}

/// What a scripted server says and expects on one connection.
///
/// A script is written with the methods below, or parsed from a transcript, a step on each line:
///
/// | line | meaning |
/// |---|---|
/// | `S: text` | send the text and CRLF |
/// | `S- text` | send the text without CRLF |
/// | `X: 2a 20 4f` | send these bytes |
/// | `C: text` | expect a line that is exactly the text |
/// | `C- text` | expect exactly these bytes, for example a literal |
/// | `! starttls` | make the TLS handshake |
/// | `! close` | end in an orderly way (close_notify, FIN) |
/// | `! abort` | FIN without close_notify |
/// | `! reset` | RST |
/// | `! stall` | do nothing more until the client ends the connection |
/// | `! eof` | expect the client's end |
/// | `# text`, empty | nothing |
///
/// One space after the sign does not belong to the text. In a text `\r`, `\n`, `\t`, `\0`, `\\`
/// and `\xHH` stand for bytes; any other backslash stands for itself, so `\Seen` needs no care.
/// In `C:` the word `{tag}` takes any tag, which `{tag}` in a later `S` line gives back;
/// `{tag1}` to `{tag9}` are further ones, for pipelined commands; `{any}` takes anything. All of
/// them end at what follows them in the text.
///
/// When the steps are over, the server ends the connection in an orderly way.
///
/// ```
/// # use mailpool_test_server::Script;
/// let script: Script = r"
///     S: * OK ready
///     C: {tag} LOGIN alice secret
///     S: {tag} OK Logged in
///     ! eof
/// ".parse()?;
/// # Ok::<(), mailpool_test_server::ScriptSyntax>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Script {
    pub(crate) steps: Vec<Step>,
    pub(crate) split: Option<usize>,
    pub(crate) tls: bool,
}

impl Script {
    /// An empty script.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends these bytes, with `{tag}` filled in.
    pub fn send(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Send(bytes.as_ref().to_vec()))
    }

    /// Expects a line, given without its CRLF.
    pub fn expect(self, line: &str) -> Self {
        self.step(Step::ExpectLine(format!("{line}\r\n").into_bytes()))
    }

    /// Expects exactly these bytes.
    pub fn expect_bytes(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::ExpectBytes(bytes.as_ref().to_vec()))
    }

    /// Expects that the client ends the connection.
    pub fn expect_end(self) -> Self {
        self.step(Step::ExpectEnd)
    }

    /// Makes the TLS handshake.
    pub fn starttls(self) -> Self {
        self.step(Step::StartTls)
    }

    /// Ends in an orderly way.
    pub fn close(self) -> Self {
        self.step(Step::Close)
    }

    /// Ends with FIN, without close_notify.
    pub fn close_without_notify(self) -> Self {
        self.step(Step::CloseWithoutNotify)
    }

    /// Ends with RST.
    pub fn reset(self) -> Self {
        self.step(Step::Reset)
    }

    /// Does nothing more until the client ends the connection.
    pub fn stall(self) -> Self {
        self.step(Step::Stall)
    }

    /// Cuts everything that is sent into writes of at most `size` bytes.
    pub fn split(mut self, size: usize) -> Self {
        self.split = Some(size.max(1));
        self
    }

    /// Begins with a TLS handshake.
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Starts a server that plays this script on every connection.
    ///
    /// # Errors
    /// If the port, the certificate or a thread is not to be had.
    pub fn serve(self) -> io::Result<ScriptServer> {
        ScriptServer::start([self])
    }
}

/// Where a client differed from its script.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mismatch {
    /// The connection, from 1; it plays the script of the same number, or the last one. Zero if
    /// it has not come yet.
    pub connection: usize,
    /// The step of the script, from 1.
    pub step: usize,
    /// What the script says.
    pub expected: String,
    /// What came instead.
    pub received: String,
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "connection {}, step {}: expected {}, received {}",
            self.connection, self.step, self.expected, self.received
        )
    }
}

impl std::error::Error for Mismatch {}

/// How far one connection is.
#[derive(Clone, Debug)]
pub(crate) enum Progress {
    /// At this step, which is told in words.
    Running(usize, String),
    Done,
    Failed(Mismatch),
}

#[derive(Debug, Default)]
pub(crate) struct Board {
    progress: Mutex<Vec<Progress>>,
    changed: Condvar,
}

impl Board {
    pub(crate) fn set(&self, connection: usize, progress: Progress) {
        let mut all = self.progress.lock();
        while all.len() < connection {
            all.push(Progress::Running(0, "the connection".to_owned()));
        }
        if let Some(place) = connection
            .checked_sub(1)
            .and_then(|place| all.get_mut(place))
        {
            *place = progress;
        }
        drop(all);
        self.changed.notify_all();
    }
}

/// A server that plays scripts. It gives access to all of [`Server`]: its port, counters and
/// faults.
#[derive(Debug)]
pub struct ScriptServer {
    server: Server,
    board: Arc<Board>,
    scripts: usize,
}

impl ScriptServer {
    /// Starts a server that plays the first script on the first connection, and so on; the last
    /// one is played on all later connections too.
    ///
    /// # Errors
    /// If the port, the certificate or a thread is not to be had.
    pub fn start(scripts: impl IntoIterator<Item = Script>) -> io::Result<Self> {
        let scripts: Vec<Script> = scripts.into_iter().collect();
        let hub = Arc::new(Hub::new(
            Settings::default(),
            Capabilities::new(Protocol::default()),
            Store::default(),
            TlsMaterial::generate()?,
        ));
        let board = Arc::new(Board::default());
        let count = scripts.len();
        let server = Server::start(
            hub,
            "127.0.0.1".to_owned(),
            SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0),
            Arc::new({
                let board = Arc::clone(&board);
                move |connection| {
                    let script = scripts
                        .get(connection.id.saturating_sub(1))
                        .or(scripts.last());
                    play::serve(connection, script, &board);
                }
            }),
        )?;
        Ok(Self {
            server,
            board,
            scripts: count,
        })
    }

    /// Waits until every script has been played to its end on every connection that came, at
    /// most for `timeout`. A script that ends in `stall` is over when it stalls.
    ///
    /// # Errors
    /// The first difference, or the step that was waited for in vain.
    pub fn finish(&self, timeout: Duration) -> Result<(), Mismatch> {
        let deadline = clock::now() + timeout;
        let mut all = self.board.progress.lock();
        loop {
            if let Some(mismatch) = all.iter().find_map(|progress| match progress {
                Progress::Failed(mismatch) => Some(mismatch.clone()),
                _ => None,
            }) {
                return Err(mismatch);
            }
            let waiting = (1..).zip(all.iter()).find_map(|(connection, progress)| {
                if let Progress::Running(step, what) = progress {
                    Some((connection, *step, what.clone()))
                } else {
                    None
                }
            });
            if waiting.is_none() && all.len() >= self.scripts {
                return Ok(());
            }
            if self
                .board
                .changed
                .wait_until(&mut all, deadline)
                .timed_out()
            {
                let (connection, step, expected) =
                    waiting.unwrap_or((0, 0, format!("connection {}", all.len() + 1)));
                return Err(Mismatch {
                    connection,
                    step,
                    expected,
                    received: "nothing in time".to_owned(),
                });
            }
        }
    }
}

impl Deref for ScriptServer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}
