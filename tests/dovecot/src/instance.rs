//! A running server.

use std::fs;
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use mailpool_test_daemon::{
    Arrived, Directory, Identity, Processes, SystemUser, Unavailable, command, first_line,
    make_directory, wait_until,
};
use rustix::process::{Pid, Signal, kill_process};

use crate::builder::{Builder, Format, Service, User};
use crate::config::{Config, Ports};
use crate::maildir::{Message, Store, as_served};
use crate::setup::{check_system, find_program, free_ports, io_error, write_files, write_user};

/// How long Dovecot may take until it greets.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How often other ports are tried when somebody else was quicker to take them.
const ATTEMPTS: usize = 8;

/// A private Dovecot, running until it is dropped.
#[derive(Debug)]
pub struct Dovecot {
    process: Processes,
    directory: Directory,
    address: IpAddr,
    ports: Vec<Ports>,
    identity: Identity,
    store: Store,
    format: Format,
    user_count: AtomicUsize,
}

impl Dovecot {
    /// A builder with the default settings.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The server that the tests of one binary share: IMAP, POP3 and LMTP, default settings.
    ///
    /// It starts with the first call and ends with the test process. Take a user of your own
    /// with [`new_user`](Self::new_user), so that tests do not see each other's mail. `None`
    /// where the tests against Dovecot are to be skipped (see the crate's documentation).
    ///
    /// # Panics
    /// Where Dovecot is missing or fails although it is wanted.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Result<Dovecot, Unavailable>> = OnceLock::new();
        if crate::SKIP.this_test() {
            return None;
        }
        let shared = SHARED.get_or_init(|| {
            let mut builder = Self::builder();
            // Without their packages the tests of POP3 and LMTP fail, not those of IMAP.
            for service in [Service::Pop3, Service::Lmtp] {
                if Self::installed(service) {
                    builder = builder.service(service);
                }
            }
            builder.start()
        });
        match shared {
            Ok(dovecot) => Some(dovecot),
            Err(unavailable) => panic!("{unavailable}\n{unavailable:?}"),
        }
    }

    pub(crate) fn start(builder: &Builder) -> Result<Self, Unavailable> {
        let owner = check_system(builder)?;
        let mut attempt = 1;
        loop {
            match Self::start_once(builder, owner) {
                Err(error) if error.port_was_taken() && attempt < ATTEMPTS => attempt += 1,
                outcome => return outcome,
            }
        }
    }

    fn start_once(builder: &Builder, owner: SystemUser) -> Result<Self, Unavailable> {
        let directory =
            make_directory("mailpool-dovecot-").map_err(io_error("making a directory"))?;
        let path = directory.path();
        let identity = Identity::generate().map_err(io_error("making certificates"))?;
        let ports = free_ports(builder).map_err(io_error("finding free ports"))?;
        // The greeting tells this server from another one that was quicker to take the port.
        let instance = path.file_name().unwrap_or_default().to_string_lossy();
        let greeting = format!("Dovecot ready, instance {instance}.");
        let config = Config {
            builder,
            directory: path,
            owner,
            ports: &ports,
            greeting: &greeting,
        };
        write_files(path, &config, &identity).map_err(io_error("writing its files"))?;
        let process = start_processes(path).map_err(io_error("starting its processes"))?;
        let mut dovecot = Self {
            process,
            address: builder.address,
            ports,
            identity,
            store: Store {
                homes: path.join("home"),
                owner,
                separator: builder.separator,
                prefix: builder.prefix.clone(),
                sequence: AtomicU64::new(0),
            },
            format: builder.format,
            user_count: AtomicUsize::new(0),
            directory,
        };
        dovecot.wait_for_greetings(&greeting)?;
        for user in &builder.users {
            dovecot
                .store
                .create_home(&user.name)
                .map_err(io_error("making a home directory"))?;
        }
        Ok(dovecot)
    }

    /// The address it listens at: 127.0.0.1, or 127.0.0.2 with
    /// [`Builder::refuse_plaintext`]. The certificate also names `localhost`, which is the
    /// right host name for 127.0.0.1 only.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The port of IMAP without TLS, with STARTTLS.
    pub fn port(&self) -> u16 {
        self.ports_of(Service::Imap).plain
    }

    /// The port of IMAP over TLS.
    pub fn tls_port(&self) -> u16 {
        self.ports_of(Service::Imap).tls
    }

    /// Whether the package for a protocol is installed. Where it is not, `tests/run` says so.
    pub fn installed(service: Service) -> bool {
        find_program(service).is_ok()
    }

    /// Whether the server offers a protocol. The [shared](Self::shared) one does without POP3
    /// or LMTP where the package for it is not installed.
    pub fn offers(&self, service: Service) -> bool {
        self.ports.iter().any(|ports| ports.service == service)
    }

    /// Where it speaks a protocol without TLS at first.
    ///
    /// # Panics
    /// If the server was not asked to offer that protocol.
    pub fn address_of(&self, service: Service) -> SocketAddr {
        SocketAddr::new(self.address, self.ports_of(service).plain)
    }

    /// Where it speaks a protocol with TLS from the first byte.
    ///
    /// # Panics
    /// If the server was not asked to offer that protocol.
    pub fn tls_address_of(&self, service: Service) -> SocketAddr {
        SocketAddr::new(self.address, self.ports_of(service).tls)
    }

    /// The port of any protocol without TLS at first.
    ///
    /// # Panics
    /// If the server was not asked to offer that protocol.
    pub fn port_of(&self, service: Service) -> u16 {
        self.ports_of(service).plain
    }

    /// The port of any protocol with TLS from the first byte.
    ///
    /// # Panics
    /// If the server was not asked to offer that protocol.
    pub fn tls_port_of(&self, service: Service) -> u16 {
        self.ports_of(service).tls
    }

    /// The authority that signed the server's certificate, for this server alone.
    pub fn ca_pem(&self) -> &str {
        &self.identity.ca_pem
    }

    /// A certificate for a client with this common name, and its key, both in PEM; signed by the
    /// server's own authority. See [`Builder::client_certificates`].
    ///
    /// # Panics
    /// Where it cannot be made.
    pub fn client_certificate(&self, name: &str) -> (String, String) {
        let made = self.identity.client(name);
        made.unwrap_or_else(|error| panic!("no certificate: {error}"))
    }

    /// The directory with everything that belongs to the server.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The process group of all of the server's processes, whose leader is Dovecot's master.
    pub fn process_group(&self) -> u32 {
        self.process.id()
    }

    /// What Dovecot has logged so far.
    pub fn log(&self) -> String {
        read_log(self.directory.path())
    }

    /// Adds a user to the running server.
    ///
    /// # Panics
    /// If the password file cannot be written.
    pub fn add_user(&self, name: &str, password: &str) -> User {
        let user = User {
            name: name.to_owned(),
            password: password.to_owned(),
        };
        let added = write_user(self.directory(), &user).and_then(|()| self.store.create_home(name));
        match added {
            Ok(_) => user,
            Err(error) => panic!("user {name} cannot be added: {error}"),
        }
    }

    /// Adds a user that no other test has: `hint` and a number.
    ///
    /// # Panics
    /// If the password file cannot be written.
    pub fn new_user(&self, hint: &str) -> User {
        let number = self.user_count.fetch_add(1, Ordering::Relaxed) + 1;
        self.add_user(&format!("{hint}-{number}"), &format!("secret-{number}"))
    }

    /// Makes a mailbox in a Maildir, without asking the server.
    ///
    /// The name is given in plain UTF-8 with the server's separator, its prefix included.
    ///
    /// # Panics
    /// If the files cannot be written, or the server does not keep Maildirs.
    pub fn create_mailbox(&self, user: &str, mailbox: &str) {
        assert_eq!(
            self.format,
            Format::Maildir,
            "only a Maildir can be written"
        );
        if let Err(error) = self.store.create_mailbox(user, mailbox) {
            panic!("mailbox {mailbox:?} of {user} cannot be made: {error}");
        }
    }

    /// Puts messages into a mailbox, which is made if it is not there, and returns the bytes
    /// that the server will serve for each of them.
    ///
    /// Maildir files are written directly: 10,000 take a second or two. UIDs rise in the order of
    /// delivery; a session that has the mailbox selected sees the messages as new ones.
    ///
    /// # Panics
    /// If the files cannot be written or, with another format than Maildir, `doveadm` fails.
    pub fn deliver<M: Into<Message>>(
        &self,
        user: &str,
        mailbox: &str,
        messages: impl IntoIterator<Item = M>,
    ) -> Vec<Vec<u8>> {
        let delivered = match self.format {
            Format::Maildir => self.deliver_files(user, mailbox, messages),
            Format::SdBox => self.deliver_with_doveadm(user, mailbox, messages),
        };
        match delivered {
            Ok(served) => served,
            Err(error) => panic!("delivery to {mailbox:?} of {user} failed: {error}"),
        }
    }

    /// The messages that LMTP has put into a user's INBOX, in the order of their delivery. They
    /// are there when the server has said so.
    ///
    /// # Panics
    /// If the files cannot be read, or the server does not keep Maildirs.
    pub fn arrived(&self, user: &str) -> Vec<Arrived> {
        assert_eq!(self.format, Format::Maildir, "only a Maildir can be read");
        match self.store.inbox(user) {
            Ok(messages) => messages.into_iter().map(Arrived::new).collect(),
            Err(error) => panic!("the mail of {user} cannot be read: {error}"),
        }
    }

    /// How many sessions a user has at this moment, as the server counts them.
    ///
    /// # Panics
    /// If `doveadm who` fails.
    pub fn connections(&self, user: &str) -> usize {
        self.sessions(user).len()
    }

    /// Tells the server to end the user's sessions in its own way: they get a BYE.
    ///
    /// Returns once the server knows of no session of that user any more.
    ///
    /// # Panics
    /// If `doveadm` fails or a session does not end.
    pub fn kick(&self, user: &str) {
        if let Err(error) = self.doveadm(&["kick", user], b"") {
            panic!("doveadm kick {user}: {error}");
        }
        self.wait_for_end_of_sessions(user);
    }

    /// Kills the processes that serve the user: the connections break without a word.
    ///
    /// Returns once the server knows of no session of that user any more.
    ///
    /// # Panics
    /// If a process cannot be killed or a session does not end.
    pub fn kill_sessions(&self, user: &str) {
        for pid in self.sessions(user) {
            match kill_process(pid, Signal::KILL) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => panic!("the session of {user} cannot be killed: {error}"),
            }
        }
        self.wait_for_end_of_sessions(user);
    }

    /// Runs `doveadm` with this server's configuration and returns what it prints.
    ///
    /// # Errors
    /// What it writes to stderr, if it fails.
    pub fn doveadm(&self, arguments: &[&str], input: &[u8]) -> io::Result<String> {
        let output = run_doveadm(self.directory.path(), arguments, input)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(io::Error::other(complaint))
    }

    /// Ends the server, as dropping it does, and says what went wrong with that.
    ///
    /// # Errors
    /// If a process survives, or the directory cannot be removed.
    pub fn stop(self) -> io::Result<()> {
        let Self {
            mut process,
            directory,
            ..
        } = self;
        process.stop()?;
        directory.close()
    }

    fn ports_of(&self, service: Service) -> Ports {
        match self.ports.iter().find(|ports| ports.service == service) {
            Some(ports) => *ports,
            None => panic!("this server was not asked to offer {service:?}"),
        }
    }

    fn wait_for_greetings(&mut self, greeting: &str) -> Result<(), Unavailable> {
        for ports in self.ports.clone() {
            let address = SocketAddr::new(self.address, ports.plain);
            let mut ended = None;
            let greeted = wait_until(START_LIMIT, || {
                ended = self.process.ended().ok().flatten();
                ended.is_some() || greets(address, greeting)
            });
            let reason = match ended {
                Some(status) => format!("it ended ({status})"),
                None if !greeted => format!("no greeting at {address} in {START_LIMIT:?}"),
                None => continue,
            };
            return Err(Unavailable::Failed {
                server: crate::NAME,
                reason,
                log: self.log(),
            });
        }
        Ok(())
    }

    fn deliver_files<M: Into<Message>>(
        &self,
        user: &str,
        mailbox: &str,
        messages: impl IntoIterator<Item = M>,
    ) -> io::Result<Vec<Vec<u8>>> {
        let folder = self.store.create_mailbox(user, mailbox)?;
        let messages = messages.into_iter();
        messages
            .map(|message| self.store.write(&folder, &message.into()))
            .collect()
    }

    fn deliver_with_doveadm<M: Into<Message>>(
        &self,
        user: &str,
        mailbox: &str,
        messages: impl IntoIterator<Item = M>,
    ) -> io::Result<Vec<Vec<u8>>> {
        if !mailbox.eq_ignore_ascii_case("INBOX")
            && !self
                .doveadm(&["mailbox", "list", "-u", user], b"")?
                .lines()
                .any(|name| name == mailbox)
        {
            self.doveadm(&["mailbox", "create", "-u", user, mailbox], b"")?;
        }
        let mut served = Vec::new();
        for message in messages {
            let message = message.into();
            if !message.flags.is_empty() || message.received.is_some() {
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "flags and dates can be delivered to a Maildir only",
                ));
            }
            self.doveadm(&["save", "-u", user, "-m", mailbox], &message.bytes)?;
            served.push(as_served(&message.bytes));
        }
        Ok(served)
    }

    /// The processes that serve the user's sessions, one entry per session.
    fn sessions(&self, user: &str) -> Vec<Pid> {
        let listed = match self.doveadm(&["-f", "tab", "who", "-1", user], b"") {
            Ok(listed) => listed,
            Err(error) => panic!("doveadm who {user}: {error}"),
        };
        // The columns are: username, service, pid, ip; the first line names them.
        let pids = listed.lines().skip(1).filter_map(|line| {
            let mut columns = line.split('\t');
            let name = columns.next()?;
            let pid = columns.nth(1)?.parse().ok().and_then(Pid::from_raw)?;
            (name == user).then_some(pid)
        });
        pids.collect()
    }

    fn wait_for_end_of_sessions(&self, user: &str) {
        let ended = wait_until(START_LIMIT, || self.sessions(user).is_empty());
        assert!(ended, "the sessions of {user} did not end: {}", self.log());
    }
}

fn start_processes(directory: &Path) -> io::Result<Processes> {
    let configuration = directory.join("dovecot.conf");
    let mut dovecot = command("dovecot");
    dovecot.args(["-F", "-c"]).arg(&configuration);
    Processes::start(directory, &configuration.to_string_lossy(), &mut dovecot)
}

/// Whether a server at the address says the expected greeting in its first line.
fn greets(address: SocketAddr, greeting: &str) -> bool {
    first_line(address).is_ok_and(|line| line.contains(greeting))
}

fn read_log(directory: &Path) -> String {
    let read = |name| fs::read(directory.join(name)).unwrap_or_default();
    let mut text = read("output");
    text.extend(read("dovecot.log"));
    String::from_utf8_lossy(&text).into_owned()
}

fn run_doveadm(directory: &Path, arguments: &[&str], input: &[u8]) -> io::Result<Output> {
    let mut child = command("doveadm")
        .arg("-c")
        .arg(directory.join("dovecot.conf"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input)?;
    }
    child.wait_with_output()
}
