//! Calls that are given up while the system's resolver is at work. It takes no deadline, and
//! nothing can interrupt it: the call returns, the resolver is left to finish.
//!
//! Each test runs in a process of its own, whose file system has another `/etc/resolv.conf`: the
//! only name server is a socket of the test, which answers when the test wants it to.

use std::io::ErrorKind as Io;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use mailpool::{
    CancelToken, Certainty, Credentials, Error, ErrorKind, ImapClient, ImapClientBuilder, Phase,
    Security,
};
use mailpool_test_server::Server;

use crate::alone::{assert_passed, is_alone, left_out, output_of};
use crate::support::{USER, server_with};
use crate::threads::{LONG, bounded, elsewhere, main_holder, until, until_open};

/// A name that is known to nobody but the name server of these tests.
const NAME: &str = "imap.mailpool.test";

/// Where the process of a test finds the address of its name server.
const ADDRESS: &str = "MAILPOOL_TEST_NAME_SERVER";

/// Numbers the name servers of this process.
static NEXT: AtomicU32 = AtomicU32::new(1);

/// The exit code that says that nothing can be mounted here.
const CANNOT_MOUNT: i32 = 77;

/// Runs `test` with a resolver that asks nobody but the test, or says why it cannot.
fn run(name: &str, test: impl FnOnce(NameServer) + Send + 'static) {
    if is_alone() {
        return bounded(|| test(NameServer::start()));
    }
    if let Err(why) = prepare(name) {
        left_out(name, &why);
    }
}

/// Starts the process.
fn prepare(test: &str) -> Result<(), String> {
    // An address of its own, since several such processes may be at work.
    let number = 8 * std::process::id() + NEXT.fetch_add(1, Ordering::Relaxed);
    let address = Ipv4Addr::from(0x7f40_0000 | (number & 0x003f_ffff));
    let socket = match UdpSocket::bind((address, 53)) {
        Ok(socket) => socket,
        Err(error) if matches!(error.kind(), Io::PermissionDenied | Io::AddrInUse) => {
            return Err(format!("a name server on port 53 of {address}: {error}"));
        }
        Err(error) => panic!("{error}"),
    };
    drop(socket);
    let private = std::process::Command::new("unshare")
        .args(["--mount", "true"])
        .output();
    match private {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr);
            return Err(format!("no mounts of its own: {}", why.trim()));
        }
        Err(error) => return Err(format!("no mounts of its own: unshare: {error}")),
    }
    let files = tempfile::tempdir().unwrap();
    let resolv = files.path().join("resolv.conf");
    // It would go on asking for minutes.
    let text = format!("nameserver {address}\noptions timeout:30 attempts:5\n");
    std::fs::write(&resolv, text).unwrap();
    let nsswitch = files.path().join("nsswitch.conf");
    std::fs::write(&nsswitch, "hosts: dns\n").unwrap();
    let mount = |from: &std::path::Path, to: &str| {
        format!(
            "{{ [ ! -e {to} ] || mount --bind '{}' {to} || exit {CANNOT_MOUNT}; }}",
            from.display()
        )
    };
    let script = format!(
        "{} && {} && export {ADDRESS}={address}",
        mount(&resolv, "/etc/resolv.conf"),
        mount(&nsswitch, "/etc/nsswitch.conf"),
    );
    let output = output_of(test, &["unshare", "--mount", "sh"], &script);
    if output.status.code() == Some(CANNOT_MOUNT) {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("nothing can be mounted: {}", why.trim()));
    }
    assert_passed(&output);
    Ok(())
}

/// Answers the resolver's questions about any name with 127.0.0.1, or lets them wait.
struct NameServer {
    answers: Arc<AtomicBool>,
    /// Each question that was not answered.
    unanswered: Receiver<()>,
}

impl NameServer {
    fn start() -> Self {
        let address: IpAddr = std::env::var(ADDRESS).unwrap().parse().unwrap();
        let socket = UdpSocket::bind((address, 53)).unwrap();
        let answers = Arc::new(AtomicBool::new(false));
        let (sender, unanswered) = channel();
        // It ends with the process.
        std::thread::spawn({
            let answers = Arc::clone(&answers);
            move || {
                let mut question = [0; 512];
                while let Ok((length, asker)) = socket.recv_from(&mut question) {
                    if answers.load(Ordering::SeqCst) {
                        let _ = socket.send_to(&answer(&question[..length]), asker);
                    } else if sender.send(()).is_err() {
                        return;
                    }
                }
            }
        });
        Self {
            answers,
            unanswered,
        }
    }

    fn answer(&self, answers: bool) {
        self.answers.store(answers, Ordering::SeqCst);
    }

    /// Waits until the resolver has asked in vain.
    #[track_caller]
    fn until_asked(&self) {
        self.unanswered.recv_timeout(LONG).expect("it is asked");
    }

    /// What has been asked up to now does not count.
    fn forget(&self) {
        self.unanswered.try_iter().for_each(drop);
    }
}

/// RFC 1035 §4.1: the question again, and for an A question one address.
fn answer(question: &[u8]) -> Vec<u8> {
    let mut answer = question.to_vec();
    // A response, recursion is available.
    answer[2] |= 0x80;
    answer[3] = 0x80;
    let wants_a = question[question.len() - 4..] == [0, 1, 0, 1];
    answer[7] = wants_a.into();
    if wants_a {
        // The name of the question, A, IN, a time to live of zero, four bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1]);
    }
    answer
}

/// How many resolvers are at work, or hang.
fn resolvers() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .filter(|name| name.trim() == "mailpool-dns")
        .count()
}

/// Checks that so many resolvers hang. While other threads end, the system's list may leave some
/// out.
#[track_caller]
fn until_resolvers(count: usize) {
    until(&format!("{count} resolvers hang"), || resolvers() == count);
}

fn builder(port: u16) -> ImapClientBuilder {
    ImapClient::builder(NAME)
        .port(port)
        .security(Security::None)
        .allow_cleartext_password()
        .credentials(Credentials::password(USER.0, USER.1))
        .timeout(LONG)
}

/// A server and its client, which was told the address; nobody is told it again.
fn connected(names: &NameServer) -> (Server, ImapClient) {
    let server = server_with(1);
    names.answer(true);
    let client = builder(server.port()).connect().unwrap();
    until_resolvers(0);
    names.answer(false);
    (server, client)
}

/// Cancels a call that runs on another thread when the resolver has been asked, and checks that
/// the call does not wait for it.
#[track_caller]
fn given_up(
    names: &NameServer,
    token: &CancelToken,
    call: impl FnOnce() -> Result<(), Error> + Send,
) {
    std::thread::scope(|threads| {
        let waiting = threads.spawn(call);
        names.until_asked();
        assert!(!waiting.is_finished(), "it does not wait");
        token.cancel();
        let error = waiting.join().unwrap().expect_err("it was cancelled");
        assert!(error.is_cancelled(), "{error:?}");
        assert_eq!(error.certainty(), Certainty::NotSent);
    });
    until_resolvers(1);
    names.forget();
}

#[track_caller]
fn assert_late(error: &Error) {
    assert!(
        matches!(
            error.kind(),
            ErrorKind::Timeout {
                phase: Phase::Resolve
            }
        ),
        "{error:?}"
    );
    assert_eq!(error.certainty(), Certainty::NotSent);
}

/// How long a call waits for a resolver that never answers.
const PATIENCE: Duration = Duration::from_millis(200);

#[test]
fn connect_is_given_up_while_the_resolver_hangs() {
    let name = "resolver::connect_is_given_up_while_the_resolver_hangs";
    run(name, |names| {
        let token = CancelToken::new();
        given_up(&names, &token, || {
            builder(143).cancel(&token).connect().map(drop)
        });
        // Nobody waits for that one, whoever comes next has one of his own.
        let error = builder(143).timeout(PATIENCE).connect().unwrap_err();
        assert_late(&error);
        names.until_asked();
        until_resolvers(2);
    });
}

#[test]
fn create_connection_is_given_up_while_the_resolver_hangs() {
    let name = "resolver::create_connection_is_given_up_while_the_resolver_hangs";
    run(name, |names| {
        let (server, client) = connected(&names);
        let token = CancelToken::new();
        given_up(&names, &token, || {
            client.with_cancel(&token).create_connection().map(drop)
        });
        until("its permit is back", || client.stats().holders.len() == 1);
        let late = elsewhere({
            let view = client.with_timeout(PATIENCE);
            move || view.create_connection().map(drop)
        });
        assert_late(&late.unwrap_err());
        names.until_asked();
        until("its permit is back", || client.stats().holders.len() == 1);
        until_resolvers(2);
        // The main connection has not been held up, and the next name is looked up anew.
        client.noop().unwrap();
        names.answer(true);
        elsewhere(move || {
            let _connection = client.create_connection().unwrap();
            client.noop().unwrap();
        });
        assert_eq!(server.counters().accepted, 2);
    });
}

#[test]
fn a_lost_connection_whose_name_is_not_resolved_holds_up_nobody() {
    let name = "resolver::a_lost_connection_whose_name_is_not_resolved_holds_up_nobody";
    run(name, |names| {
        let (server, client) = connected(&names);
        server.reset_all();
        names.until_asked();
        let token = CancelToken::new();
        let view = client.with_cancel(&token);
        std::thread::scope(|threads| {
            let waiting = threads.spawn(|| view.noop());
            until("it is queued", || {
                main_holder(&client).activity.ends_with(", 1 queued")
            });
            token.cancel();
            let error = waiting.join().unwrap().unwrap_err();
            assert!(error.is_cancelled(), "{error:?}");
            assert_eq!(error.certainty(), Certainty::NotSent);
        });
        client.shutdown(LONG).unwrap();
        until_open(&server, 0);
        until_resolvers(1);
    });
}
