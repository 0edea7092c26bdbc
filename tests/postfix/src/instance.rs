//! A running server.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mailpool_test_daemon::{
    Arrived, Directory, Identity, Processes, Unavailable, command, first_line, free_port,
    make_directory, make_directory_in_memory, wait_until,
};

use crate::builder::Builder;
use crate::config::Config;
use crate::mailroom::Mailroom;
use crate::{NAME, PACKAGE, SKIP};

const MASTER: &str = "/usr/lib/postfix/sbin/master";

/// Where it listens.
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// System users that may own the mail; the first that exists is taken.
const OWNERS: [&str; 3] = ["mail", "nobody", "daemon"];

/// How long Postfix may take until it greets.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How long mail that was accepted may take to be delivered.
const DELIVERY_LIMIT: Duration = Duration::from_secs(60);

/// How often other ports are tried when somebody else was quicker to take them.
const ATTEMPTS: usize = 8;

/// Directories of the queue where mail lies between its acceptance and its delivery.
const UNDER_WAY: [&str; 3] = ["maildrop", "incoming", "active"];

/// A private Postfix, running until it is dropped.
#[derive(Debug)]
pub struct Postfix {
    /// First, so that it is dropped while the log is still there.
    _witness: Witness,
    processes: Processes,
    directory: Directory,
    plain: u16,
    tls: u16,
    ca_pem: String,
    mailroom: Mailroom,
    recipient_count: AtomicUsize,
}

impl Postfix {
    /// A builder with the default settings.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The server that the tests of one binary share, with default settings.
    ///
    /// It starts with the first call and ends with the test process. Send to recipients of your
    /// own ([`new_recipient`](Self::new_recipient)), so that tests do not see each other's mail.
    /// `None` where the tests against Postfix are to be skipped (see the crate's documentation).
    ///
    /// # Panics
    /// Where Postfix is missing or fails although it is wanted.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Result<Postfix, Unavailable>> = OnceLock::new();
        if SKIP.this_test() {
            return None;
        }
        match SHARED.get_or_init(|| Self::builder().start()) {
            Ok(postfix) => Some(postfix),
            Err(unavailable) => panic!("{unavailable}\n{unavailable:?}"),
        }
    }

    pub(crate) fn start(builder: &Builder) -> Result<Self, Unavailable> {
        Unavailable::check_program(NAME, MASTER, PACKAGE)?;
        Unavailable::check_root(NAME)?;
        let mut attempt = 1;
        loop {
            match Self::start_once(builder) {
                Err(error) if error.port_was_taken() && attempt < ATTEMPTS => attempt += 1,
                outcome => return outcome,
            }
        }
    }

    fn start_once(builder: &Builder) -> Result<Self, Unavailable> {
        let failed = |doing| Unavailable::io(NAME, doing);
        let prefix = "mailpool-postfix-";
        let directory = if builder.in_memory {
            make_directory_in_memory(prefix)
        } else {
            make_directory(prefix)
        };
        let directory = directory.map_err(failed("making a directory"))?;
        let path = directory.path();
        let identity = Identity::generate().map_err(failed("making certificates"))?;
        let plain = free_port(ADDRESS).map_err(failed("finding a free port"))?;
        let tls = free_port(ADDRESS).map_err(failed("finding a free port"))?;
        // The greeting tells this server from another one that was quicker to take the port.
        let instance = path.file_name().unwrap_or_default().to_string_lossy();
        let greeting = format!("mail.mailpool.test ESMTP Postfix, instance {instance}");
        let config = Config {
            builder,
            directory: path,
            postfix: Unavailable::check_user(NAME, &["postfix"])?,
            owner: Unavailable::check_user(NAME, &OWNERS)?,
            plain,
            tls,
            greeting: &greeting,
        };
        config
            .write(&identity)
            .map_err(failed("writing its files"))?;
        let processes = start_processes(path).map_err(failed("starting its processes"))?;
        let mut postfix = Self {
            _witness: Witness(path.to_owned()),
            processes,
            plain,
            tls,
            ca_pem: identity.ca_pem,
            mailroom: Mailroom::new(path),
            recipient_count: AtomicUsize::new(0),
            directory,
        };
        postfix.wait_for_greeting(&greeting)?;
        Ok(postfix)
    }

    /// Where it speaks SMTP without TLS at first, with STARTTLS.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(ADDRESS, self.plain)
    }

    /// Where it speaks SMTP with TLS from the first byte.
    ///
    /// The certificate is good for `localhost` and 127.0.0.1.
    pub fn tls_address(&self) -> SocketAddr {
        SocketAddr::new(ADDRESS, self.tls)
    }

    /// The authority that signed the server's certificate, for this server alone.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The directory with everything that belongs to the server.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The process group of all of the server's processes, whose leader is Postfix's master.
    pub fn process_group(&self) -> u32 {
        self.processes.id()
    }

    /// What Postfix has logged so far.
    pub fn log(&self) -> String {
        read_log(self.directory())
    }

    /// An address that no other test has: `hint` and a number.
    pub fn new_recipient(&self, hint: &str) -> String {
        let number = self.recipient_count.fetch_add(1, Ordering::Relaxed) + 1;
        format!("{hint}-{number}@mailpool.test")
    }

    /// Waits until so many messages have arrived for a recipient, and returns all there are, in
    /// the order of their delivery.
    ///
    /// The recipient is the address as RCPT had it, without angle brackets.
    ///
    /// # Panics
    /// If they have not arrived within a minute; the message has the server's log.
    pub fn arrived(&self, recipient: &str, count: usize) -> Vec<Arrived> {
        let there = wait_until(DELIVERY_LIMIT, || {
            self.or_panic(self.mailroom.count(recipient)) >= count
        });
        let messages = self.or_panic(self.mailroom.messages(recipient));
        assert!(
            there,
            "{} of {count} messages arrived for {recipient} in {DELIVERY_LIMIT:?}\n{}",
            messages.len(),
            self.log()
        );
        messages
    }

    /// Waits until all that the server has accepted so far is delivered, and returns how many
    /// messages each recipient has had: what is not among it will not come any more.
    ///
    /// Wait for the server's replies before, or for the end of the connections.
    ///
    /// # Panics
    /// If mail lies in the queue for a minute; the message has the server's log.
    pub fn settled(&self) -> HashMap<String, usize> {
        let settled = wait_until(DELIVERY_LIMIT, || self.or_panic(self.queue_is_empty()));
        assert!(settled, "mail is still in the queue\n{}", self.log());
        self.or_panic(self.mailroom.recipients())
    }

    /// Ends the server, as dropping it does, and says what went wrong with that.
    ///
    /// # Errors
    /// If a process survives, or the directory cannot be removed.
    pub fn stop(self) -> io::Result<()> {
        let Self {
            mut processes,
            directory,
            ..
        } = self;
        processes.stop()?;
        directory.close()
    }

    fn queue_is_empty(&self) -> io::Result<bool> {
        for name in UNDER_WAY {
            // A file moves from the first of these to the last, so it cannot be missed.
            let mut files = fs::read_dir(self.directory().join("queue").join(name))?;
            if files.next().is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn or_panic<T>(&self, outcome: io::Result<T>) -> T {
        match outcome {
            Ok(value) => value,
            Err(error) => panic!(
                "the mail of Postfix cannot be read: {error}\n{}",
                self.log()
            ),
        }
    }

    fn wait_for_greeting(&mut self, greeting: &str) -> Result<(), Unavailable> {
        let address = self.address();
        let mut ended = None;
        let greeted = wait_until(START_LIMIT, || {
            ended = self.processes.ended().ok().flatten();
            ended.is_some() || first_line(address).is_ok_and(|line| line.contains(greeting))
        });
        let reason = match ended {
            Some(status) => format!("it ended ({status})"),
            None if !greeted => format!("no greeting at {address} in {START_LIMIT:?}"),
            None => return Ok(()),
        };
        Err(Unavailable::Failed {
            server: NAME,
            reason,
            log: self.log(),
        })
    }
}

/// Shows the log in the directory if the test that owns the server fails.
#[derive(Debug)]
struct Witness(PathBuf);

impl Drop for Witness {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of Postfix:\n{}", read_log(&self.0));
        }
    }
}

fn read_log(directory: &Path) -> String {
    let read = |name| fs::read(directory.join(name)).unwrap_or_default();
    let mut text = read("output");
    text.extend(read("log"));
    String::from_utf8_lossy(&text).into_owned()
}

/// Starts Postfix's master itself, in the foreground: `postfix start` would check first what was
/// made a moment ago.
fn start_processes(directory: &Path) -> io::Result<Processes> {
    let configuration = directory.join("etc");
    let mut master = command(MASTER);
    master.arg("-c").arg(&configuration).arg("-d");
    // As `postfix start` does: what goes wrong before the configuration is read is logged too.
    master
        .env("POSTLOG_SERVICE", "public/postlog")
        .env("POSTLOG_HOSTNAME", "mail.mailpool.test");
    Processes::start(directory, &configuration.to_string_lossy(), &mut master)
}
