//! rust-imap (the crate `imap`).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::Instant;

use imap::{Client, Session};

use super::{FULL, check};
use crate::job::{Job, Outcome, Result, Security, Target};

pub(crate) fn run(target: &Target, job: Job) -> Result<Outcome> {
    let stream = TcpStream::connect(("127.0.0.1", target.port))?;
    stream.set_nodelay(true)?;
    match target.security {
        Security::None => with(stream, target, job),
        Security::Tls => {
            let ca = native_tls::Certificate::from_pem(&std::fs::read(&target.ca)?)?;
            let connector = native_tls::TlsConnector::builder()
                .add_root_certificate(ca)
                .build()?;
            with(connector.connect("127.0.0.1", stream)?, target, job)
        }
        Security::StartTls => Err("not measured".into()),
    }
}

fn with<T: Read + Write + Send>(stream: T, target: &Target, job: Job) -> Result<Outcome> {
    let mut client = Client::new(stream);
    client.read_greeting()?;
    let login = client.login(&target.user, &target.password);
    let mut session = login.map_err(|(error, _)| error)?;
    session.examine("INBOX")?;
    let start = Instant::now();
    match job {
        Job::FetchAll => {
            let fetched = session.uid_fetch("1:*", FULL)?;
            let bytes = fetched
                .iter()
                .map(|one| one.body().unwrap_or_default().len())
                .sum();
            let seconds = start.elapsed().as_secs_f64();
            check(target, fetched.len(), bytes)?;
            Ok(Outcome::seconds(seconds))
        }
        Job::Flags { threads, each } => {
            let session = &Mutex::new(session);
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..threads)
                    .map(|thread| scope.spawn(move || flags(session, target, thread, each)))
                    .collect();
                threads
                    .into_iter()
                    .try_for_each(|thread| thread.join().map_err(|_| "a thread panicked")?)
            })?;
            Ok(Outcome::seconds(start.elapsed().as_secs_f64()))
        }
        _ => Err("not measured".into()),
    }
}

fn flags<T: Read + Write>(
    session: &Mutex<Session<T>>,
    target: &Target,
    thread: u32,
    each: u32,
) -> Result<()> {
    for turn in 0..each {
        let uid = super::uid(target, thread, turn).to_string();
        let mut session = session.lock().map_err(|_| "a thread panicked")?;
        assert_eq!(session.uid_fetch(&uid, "FLAGS")?.len(), 1, "one message");
    }
    Ok(())
}
