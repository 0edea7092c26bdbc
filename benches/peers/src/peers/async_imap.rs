//! async-imap on tokio's runtime of one thread, which is its fastest here.

use std::time::Instant;

use async_imap::types::Fetch;
use async_imap::{Client, Session};
use futures::TryStreamExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::{FULL, check};
use crate::job::{Job, Outcome, Result, Security, Target};

pub(crate) fn run(target: &Target, job: Job) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    runtime.block_on(async {
        let stream = TcpStream::connect(("127.0.0.1", target.port)).await?;
        stream.set_nodelay(true)?;
        match target.security {
            Security::None => with(stream, target, job).await,
            Security::Tls => {
                let ca = native_tls::Certificate::from_pem(&std::fs::read(&target.ca)?)?;
                let connector = async_native_tls::TlsConnector::new().add_root_certificate(ca);
                with(connector.connect("127.0.0.1", stream).await?, target, job).await
            }
            Security::StartTls => Err("not measured".into()),
        }
    })
}

async fn with<T>(stream: T, target: &Target, job: Job) -> Result<Outcome>
where
    T: AsyncRead + AsyncWrite + Unpin + std::fmt::Debug + Send,
{
    let mut client = Client::new(stream);
    client.read_response().await?.ok_or("no greeting")?;
    let login = client.login(&target.user, &target.password).await;
    let mut session = login.map_err(|(error, _)| error)?;
    session.examine("INBOX").await?;
    let start = Instant::now();
    let fetched = match job {
        Job::FetchAll => fetch(&mut session, "1:*").await?,
        Job::Chunks { chunk } => chunks(&mut session, target.messages, chunk).await?,
        _ => return Err("not measured".into()),
    };
    let bytes = fetched
        .iter()
        .map(|one| one.body().unwrap_or_default().len())
        .sum();
    let seconds = start.elapsed().as_secs_f64();
    check(target, fetched.len(), bytes)?;
    Ok(Outcome::seconds(seconds))
}

async fn chunks<T>(session: &mut Session<T>, messages: u32, chunk: u32) -> Result<Vec<Fetch>>
where
    T: AsyncRead + AsyncWrite + Unpin + std::fmt::Debug + Send,
{
    let mut fetched = Vec::new();
    let mut first = 1;
    while first <= messages {
        let last = messages.min(first + chunk - 1);
        fetched.extend(fetch(session, &format!("{first}:{last}")).await?);
        first = last + 1;
    }
    Ok(fetched)
}

async fn fetch<T>(session: &mut Session<T>, uids: &str) -> Result<Vec<Fetch>>
where
    T: AsyncRead + AsyncWrite + Unpin + std::fmt::Debug + Send,
{
    Ok(session.uid_fetch(uids, FULL).await?.try_collect().await?)
}
