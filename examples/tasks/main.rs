//! Looks at every mailbox of an account: begins a task for each, and ends them as they finish.
//!
//! ```text
//! tasks --host imap.example.org --user alice --password-file FILE --connections 4 --timeout 10
//! ```
//!
//! More tasks than connections are begun; each waits in line for one. What has not ended when
//! the time is up is cancelled: tasks that wait never run, those that run end where they block.
//! Without arguments it looks at a server of its own.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | every mailbox was looked at |
//! | 1 | something went wrong, with the account or with a mailbox |
//! | 2 | the command line makes no sense |
//! | 3 | the time was up |

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use crossbeam_channel::{Receiver, Sender, after, never, select, unbounded};
use mailpool::{
    CancelToken, Credentials, ImapClient, ImapClientBuilder, Items, ListEntry, Mailbox, Query,
    Security, StatusItems, Task,
};
use mailpool_test_server as embedded;

/// Looks at every mailbox of an account, with a background task for each.
///
/// Without --host: a demonstration with an embedded server.
#[derive(Debug, Parser)]
struct Arguments {
    /// The server; TLS from the first byte
    #[arg(long, requires_all = ["user", "password_file"])]
    host: Option<String>,
    /// Its port
    #[arg(long, default_value_t = 993)]
    port: u16,
    /// Who logs in
    #[arg(long, requires = "host")]
    user: Option<String>,
    /// File with the password, in its first line
    #[arg(long, value_name = "FILE", requires = "host")]
    password_file: Option<PathBuf>,
    /// Does without TLS: everybody on the way can read password and mail
    #[arg(long, requires = "host")]
    plaintext: bool,
    /// How many connections there may be
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// Cancels what has not ended after so long
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,
}

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(report) => report.exit_code(),
        Err(error) => {
            eprintln!("tasks: {}", in_one_line(&*error));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<Report, Failure> {
    // The embedded server lives until all has been looked at.
    let (client, _server) = match &arguments.host {
        Some(host) => (client_of(host, arguments)?, None),
        None => demo()?,
    };
    let client = client
        .max_connections_per_server(arguments.connections.into())
        .connect()?;
    let mailboxes = client.list("", "*")?;
    let stop = CancelToken::new();
    let (begun, finished) = begin(&client.with_cancel(&stop), mailboxes);
    let seconds = arguments.timeout.map(u64::from);
    let report = end(begun, &finished, &stop, seconds.map(Duration::from_secs));
    let opened = client.stats().opened;
    if let Err(error) = client.shutdown(Duration::from_secs(2)) {
        eprintln!("tasks: {}", in_one_line(&error));
    }
    let Report {
        done,
        failed,
        cancelled,
    } = &report;
    println!("done: {done}, failed: {failed}, cancelled: {cancelled}; connections: {opened}");
    Ok(report)
}

fn client_of(host: &str, arguments: &Arguments) -> Result<ImapClientBuilder, Failure> {
    let file = arguments.password_file.as_deref().unwrap_or(Path::new(""));
    let content =
        std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let password = content.lines().next().unwrap_or_default();
    let user = arguments.user.as_deref().unwrap_or_default();
    let client = ImapClient::builder(host)
        .port(arguments.port)
        .credentials(Credentials::password(user, password));
    Ok(if arguments.plaintext {
        client.security(Security::None).allow_cleartext_password()
    } else {
        client
    })
}

/// A server with some mailboxes, and a client for it.
fn demo() -> Result<(ImapClientBuilder, Option<embedded::Server>), Failure> {
    let mut server = embedded::Server::builder()
        .user("alice", "secret")
        .security(embedded::Security::Tls);
    let mailboxes = ["INBOX", "Archive", "Drafts", "Lists", "Notes", "Sent"];
    for (mailbox, messages) in mailboxes.into_iter().zip([120, 900, 0, 300, 12, 250]) {
        let message = |n| embedded::Message::text(&format!("message {n} of {mailbox}"), "Hello.");
        server = server.mailbox("alice", mailbox, (1..=messages).map(message));
    }
    let server = server.start()?;
    println!("an embedded server at {}:{}", server.host(), server.port());
    let client = ImapClient::builder(server.host())
        .port(server.port())
        .ca_pem(server.ca_pem())
        .credentials(Credentials::password("alice", "secret"));
    Ok((client, Some(server)))
}

/// How many mailboxes came to which end.
#[derive(Default)]
struct Report {
    done: usize,
    failed: usize,
    cancelled: usize,
}

impl Report {
    fn exit_code(&self) -> ExitCode {
        match (self.failed, self.cancelled) {
            (0, 0) => ExitCode::SUCCESS,
            (0, _) => ExitCode::from(3),
            _ => ExitCode::FAILURE,
        }
    }
}

/// A task and the mailbox that it looks at.
type Begun = (String, Option<Task<String>>);

/// Begin: nothing here waits. The receiver gets the number of each task that has ended.
fn begin(client: &ImapClient, mailboxes: Vec<ListEntry>) -> (Vec<Begun>, Receiver<usize>) {
    let (announce, finished) = unbounded();
    let selectable = mailboxes.into_iter().filter(ListEntry::is_selectable);
    let begun = selectable
        .enumerate()
        .map(|(number, entry)| {
            let announcement = Announcement(number, announce.clone());
            let name = entry.name.as_str().replace(char::is_control, " ");
            let task = client.spawn(move |client| {
                let _announcement = announcement;
                look(&client.mailbox(entry.name).read_only())
            });
            (name, Some(task))
        })
        .collect();
    (begun, finished)
}

/// Sends its number when it is dropped: at the end of the job, also if that panics or never runs.
struct Announcement(usize, Sender<usize>);

impl Drop for Announcement {
    fn drop(&mut self) {
        let _ = self.1.send(self.0);
    }
}

/// End: joins the tasks in the order in which they finish, and cancels them when time is up.
fn end(
    mut begun: Vec<Begun>,
    finished: &Receiver<usize>,
    stop: &CancelToken,
    timeout: Option<Duration>,
) -> Report {
    let time_is_up = timeout.map_or_else(never, after);
    let mut report = Report::default();
    loop {
        let number = select! {
            recv(finished) -> number => number,
            recv(time_is_up) -> _ => {
                stop.cancel();
                continue;
            }
        };
        // Every job has announced its end.
        let Ok(number) = number else { break report };
        let Some((name, task)) = begun.get_mut(number) else {
            continue;
        };
        let Some(task) = task.take() else { continue };
        let text = match task.join() {
            Ok(overview) => {
                report.done += 1;
                overview
            }
            Err(error) if error.is_cancelled() => {
                report.cancelled += 1;
                in_one_line(&error)
            }
            Err(error) => {
                report.failed += 1;
                in_one_line(&error)
            }
        };
        println!("{name:<16} {}", text.replace(char::is_control, " "));
    }
}

/// Runs on the task's thread, over the task's connection.
fn look(mailbox: &Mailbox) -> mailpool::Result<String> {
    let status = mailbox.status(StatusItems::new().messages())?;
    let messages = status.messages.unwrap_or_default();
    let mut newest = "-".to_owned();
    if let Some(last) = mailbox.search(Query::all())?.last() {
        for message in mailbox.fetch([last], Items::new().envelope())? {
            let message = message?;
            if let Some(Ok(envelope)) = message.envelope() {
                let subject = envelope.subject.as_ref();
                newest = subject.map_or(newest, |subject| subject.to_string_lossy().into_owned());
            }
        }
    }
    Ok(format!("{messages:>6} messages   {newest}"))
}

/// The error with its causes. Parts of it are the server's words, which must not reach the
/// terminal as control characters.
fn in_one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text.replace(char::is_control, " ")
}
