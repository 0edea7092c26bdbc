//! Postfix's `smtp-sink`: a server that takes everything, or misbehaves as it is told.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::chown;
use std::path::Path;
use std::time::Duration;

use mailpool_test_daemon::{
    Directory, Processes, Unavailable, command, first_line, free_port, make_directory, wait_until,
};

use crate::{PACKAGE, SKIP};

/// What messages call it.
const NAME: &str = "smtp-sink";

const PROGRAM: &str = "/usr/sbin/smtp-sink";

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// System users that it may run as; it refuses to be root.
const OWNERS: [&str; 3] = ["nobody", "mail", "daemon"];

/// How long it may take until it listens.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How often other ports are tried when somebody else was quicker to take them.
const ATTEMPTS: usize = 8;

/// How an `smtp-sink` shall behave.
///
/// The default announces PIPELINING, 8BITMIME, AUTH PLAIN LOGIN (any credentials do), XCLIENT,
/// XFORWARD, ENHANCEDSTATUSCODES and DSN, takes every message and throws it away. It knows neither
/// STARTTLS nor SIZE nor CHUNKING.
///
/// Commands are named `CONNECT`, `HELO`, `EHLO`, `LHLO`, `MAIL`, `RCPT`, `DATA`, `.` (the end of
/// the message), `RSET`, `NOOP`, `QUIT`, several with commas between. Among those that say what is
/// done with which command, the last one for a command counts.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct SinkBuilder {
    arguments: Vec<String>,
    dump: bool,
    silent: bool,
}

impl SinkBuilder {
    /// LMTP instead of SMTP: LHLO, and a reply per recipient.
    pub fn lmtp(self) -> Self {
        self.argument("-L")
    }

    /// Does not announce PIPELINING.
    pub fn without_pipelining(self) -> Self {
        self.argument("-p")
    }

    /// Does not announce 8BITMIME.
    pub fn without_8bitmime(self) -> Self {
        self.argument("-8")
    }

    /// Does not announce DSN.
    pub fn without_dsn(self) -> Self {
        self.argument("-N")
    }

    /// Does not announce ENHANCEDSTATUSCODES; its replies have codes all the same.
    pub fn without_enhanced_codes(self) -> Self {
        self.argument("-E")
    }

    /// Does not announce AUTH.
    pub fn without_auth(self) -> Self {
        self.argument("-a")
    }

    /// Knows no EHLO.
    pub fn without_esmtp(self) -> Self {
        self.argument("-e")
    }

    /// Refuses commands with 500 5.3.0. Switches PIPELINING off.
    pub fn refuse(self, commands: &str) -> Self {
        self.saying_no_to(commands).option("-f", commands)
    }

    /// Refuses commands for the moment, with 450 4.3.0. Switches PIPELINING off.
    pub fn defer(self, commands: &str) -> Self {
        self.saying_no_to(commands).option("-r", commands)
    }

    /// Closes the connection without a reply when it gets one of these commands.
    pub fn hang_up(self, commands: &str) -> Self {
        self.saying_no_to(commands).option("-q", commands)
    }

    /// Answers these commands with 421 and closes the connection.
    pub fn say_goodbye(self, commands: &str) -> Self {
        self.saying_no_to(commands).option("-Q", commands)
    }

    /// Waits so many seconds before it answers a command.
    pub fn delay(self, command: &str, seconds: u32) -> Self {
        self.option("-W", &format!("{command}:{seconds}"))
    }

    /// Keeps what it receives, for [`SmtpSink::dumps`].
    pub fn dump(mut self) -> Self {
        self.dump = true;
        self
    }

    /// Logs the conversations, for [`SmtpSink::log`].
    pub fn verbose(self) -> Self {
        self.argument("-v")
    }

    /// Any other option of smtp-sink(1), with its value.
    pub fn option(self, option: &str, value: &str) -> Self {
        self.argument(option).argument(value)
    }

    /// Any other option of smtp-sink(1) that has no value.
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Starts it and waits until it greets, or, if it is to do something else when a client
    /// connects, until it does that. This takes a session, which counts for its option `-n`.
    ///
    /// # Errors
    /// [`Unavailable`] says what is missing or failed. Nothing is left running then.
    pub fn start(self) -> Result<SmtpSink, Unavailable> {
        Unavailable::check_program(NAME, PROGRAM, PACKAGE)?;
        Unavailable::check_root(NAME)?;
        let mut attempt = 1;
        loop {
            match SmtpSink::start_once(&self) {
                Err(error) if error.port_was_taken() && attempt < ATTEMPTS => attempt += 1,
                outcome => return outcome,
            }
        }
    }

    /// Like [`start`](Self::start), for use in a test: `None` where the tests against Postfix
    /// are to be skipped (see the crate's documentation).
    ///
    /// # Panics
    /// Where it is missing or fails although it is wanted.
    pub fn start_or_skip(self) -> Option<SmtpSink> {
        if SKIP.this_test() {
            return None;
        }
        match self.start() {
            Ok(sink) => Some(sink),
            Err(unavailable) => panic!("{unavailable}\n{unavailable:?}"),
        }
    }

    /// Remembers that a connection gets something else than the greeting.
    fn saying_no_to(mut self, commands: &str) -> Self {
        let mut commands = commands.split([',', ' ']);
        self.silent |= commands.any(|command| command.eq_ignore_ascii_case("CONNECT"));
        self
    }
}

/// A running `smtp-sink`, until it is dropped.
#[derive(Debug)]
pub struct SmtpSink {
    processes: Processes,
    directory: Directory,
    address: SocketAddr,
}

impl SmtpSink {
    /// A builder with the default settings.
    pub fn builder() -> SinkBuilder {
        SinkBuilder::default()
    }

    fn start_once(builder: &SinkBuilder) -> Result<Self, Unavailable> {
        let failed = |doing| Unavailable::io(NAME, doing);
        let directory = make_directory("mailpool-sink-").map_err(failed("making a directory"))?;
        let port = free_port(ADDRESS).map_err(failed("finding a free port"))?;
        let user = Unavailable::check_user(NAME, &OWNERS)?;
        let dumps = directory.path().join("dumps");
        fs::create_dir(&dumps)
            .and_then(|()| chown(&dumps, Some(user.uid), Some(user.gid)))
            .map_err(failed("making a directory"))?;
        // The name tells this server from another one, for those who connect and for the watcher.
        let instance = directory.path().file_name().unwrap_or_default();
        let name = instance.to_string_lossy().into_owned();
        let address = SocketAddr::new(ADDRESS, port);

        let mut sink = command(PROGRAM);
        sink.args(["-u", user.name, "-h", &name])
            .args(&builder.arguments)
            .current_dir(directory.path());
        if builder.dump {
            sink.args(["-d", "dumps/"]);
        }
        sink.arg(address.to_string()).arg("512");
        let processes = Processes::start(directory.path(), &name, &mut sink)
            .map_err(failed("starting its process"))?;
        let mut sink = Self {
            processes,
            directory,
            address,
        };
        sink.wait_until_there(builder, &name)?;
        Ok(sink)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The directory with everything that belongs to it.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The id of its process.
    pub fn process_group(&self) -> u32 {
        self.processes.id()
    }

    /// What it has printed: the conversations, if it was started with
    /// [`verbose`](SinkBuilder::verbose).
    pub fn log(&self) -> String {
        let output = fs::read(self.directory().join("output")).unwrap_or_default();
        String::from_utf8_lossy(&output).into_owned()
    }

    /// What it has received so far. A message is there when its final reply is. They are in the
    /// order in which the transactions ended, but those that ended within some milliseconds of each
    /// other are in any order.
    ///
    /// # Panics
    /// If the files cannot be read.
    pub fn dumps(&self) -> Vec<Dump> {
        match read_dumps(&self.directory().join("dumps")) {
            Ok(dumps) => dumps,
            Err(error) => panic!("the dumps of smtp-sink cannot be read: {error}"),
        }
    }

    /// Ends it, as dropping it does, and says what went wrong with that.
    ///
    /// # Errors
    /// If the process survives, or the directory cannot be removed.
    pub fn stop(self) -> io::Result<()> {
        let Self {
            mut processes,
            directory,
            ..
        } = self;
        processes.stop()?;
        directory.close()
    }

    fn wait_until_there(&mut self, builder: &SinkBuilder, name: &str) -> Result<(), Unavailable> {
        let address = self.address;
        let mut ended = None;
        let there = wait_until(START_LIMIT, || {
            ended = self.processes.ended().ok().flatten();
            let line = first_line(address);
            ended.is_some() || line.is_ok_and(|line| builder.silent || line.contains(name))
        });
        let reason = match ended {
            Some(status) => format!("it ended ({status})"),
            None if !there => format!("nobody listens at {address} after {START_LIMIT:?}"),
            None => return Ok(()),
        };
        Err(Unavailable::Failed {
            server: NAME,
            reason,
            log: self.log(),
        })
    }
}

/// A transaction that an `smtp-sink` has taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dump {
    /// `SMTP`, `ESMTP` or `LMTP`.
    pub protocol: String,
    /// What followed `MAIL FROM:`.
    pub mail: String,
    /// What followed each `RCPT TO:` that was accepted.
    pub recipients: Vec<String>,
    /// The message, dots unstuffed, with CRLF as line ends. Carriage returns within it are lost.
    pub message: Vec<u8>,
}

fn read_dumps(directory: &Path) -> io::Result<Vec<Dump>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        files.push((entry.metadata()?.modified()?, entry.path()));
    }
    files.sort();
    let dumps = files.iter().map(|(_, path)| fs::read(path));
    dumps
        .filter_map(|bytes| bytes.map(|bytes| Dump::parse(&bytes)).transpose())
        .collect()
}

impl Dump {
    /// Reads a file of smtp-sink; none if it has no message, because the transaction was given up.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut dump = Self {
            protocol: String::new(),
            mail: String::new(),
            recipients: Vec::new(),
            message: Vec::new(),
        };
        let mut rest = bytes;
        // Received is the last of smtp-sink's own headers, and has three lines.
        let mut of_received = 0;
        while of_received < 3 {
            let end = rest.iter().position(|&byte| byte == b'\n')?;
            let (line, after) = rest.split_at(end);
            let line = String::from_utf8_lossy(line);
            match line.split_once(": ") {
                _ if of_received > 0 => of_received += 1,
                Some(("Received", _)) => of_received = 1,
                Some(("X-Client-Proto", value)) => dump.protocol = value.to_owned(),
                Some(("X-Mail-Args", value)) => dump.mail = value.to_owned(),
                Some(("X-Rcpt-Args", value)) => dump.recipients.push(value.to_owned()),
                _ => {}
            }
            rest = after.strip_prefix(b"\n")?;
        }
        // An empty line follows the message.
        let message = rest.strip_suffix(b"\n")?;
        for line in message.split_inclusive(|&byte| byte == b'\n') {
            let text = line.strip_suffix(b"\n");
            dump.message.extend_from_slice(text.unwrap_or(line));
            if text.is_some() {
                dump.message.extend_from_slice(b"\r\n");
            }
        }
        Some(dump)
    }
}
