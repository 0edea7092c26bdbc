//! From `cancel()` on one thread to the return of the blocked call on another.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use mailpool::{CancelToken, Credentials, ImapClient, ImapClientBuilder, Items, Section, Uid};
use mailpool_test_server as embedded;

use crate::job::{Blocked, Outcome, Result, median};

const TIMES: usize = 200;

/// A call that waits, and whether it does by now.
type Call<'a> = Box<dyn Fn(&CancelToken) -> bool + Send + Sync + 'a>;

pub(crate) fn cancel(what: Blocked, tls: bool) -> Result<Outcome> {
    let server = embedded::Server::builder()
        .user("alice", "secret")
        .mailbox("alice", "INBOX", [embedded::Message::synthetic(8 << 20, 7)])
        .security(if tls {
            embedded::Security::Tls
        } else {
            embedded::Security::None
        })
        .start()?;
    let client = builder(&server, tls)
        .max_connections_per_server(2)
        .connect()?;
    let inbox = client.mailbox("INBOX");
    inbox.select()?;
    let call: Call<'_> = match what {
        Blocked::Command => {
            server.faults().hold("NOOP");
            Box::new(|token| is_cancelled(client.with_cancel(token).noop()))
        }
        Blocked::Stalled => {
            server.faults().stall_after(100_000);
            Box::new(|token| {
                let view = client.with_cancel(token);
                is_cancelled(read(&view))
            })
        }
        Blocked::Handshake | Blocked::Permit => Box::new(|token| {
            let view = client.with_cancel(token);
            is_cancelled(view.create_connection().map(drop))
        }),
        Blocked::Idle => Box::new(|token| {
            let view = client.with_cancel(token);
            let idle = view.mailbox("INBOX").idle();
            is_cancelled(
                idle.and_then(|mut idle| idle.find_map(|change| change.err()).map_or(Ok(()), Err)),
            )
        }),
    };
    if matches!(what, Blocked::Handshake) {
        // Whoever connects from now on hears nothing.
        let silence = embedded::Action::Stall;
        server
            .faults()
            .after_sent(0, embedded::Layer::Wire, silence);
    }
    let times = thread::scope(|scope| {
        let (release, held) = mpsc::channel::<()>();
        if matches!(what, Blocked::Permit) {
            let (taken, is_taken) = mpsc::channel();
            let client = &client;
            scope.spawn(move || {
                let connection = client.create_connection();
                let _ = taken.send(());
                let _ = held.recv();
                drop(connection);
            });
            is_taken.recv()?;
        }
        // IDLE begins when the connection has been free for a moment.
        let wait = match what {
            Blocked::Idle => Duration::from_millis(90),
            _ => Duration::from_millis(12),
        };
        let times = measure(&call, wait);
        drop(release);
        server.faults().clear();
        times
    })?;
    let of = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    Ok(Outcome::seconds(median(times.clone()))
        .with("p99", of(0.99))
        .with("most", of(1.0)))
}

fn measure(call: &Call<'_>, wait: Duration) -> Result<Vec<f64>> {
    let mut times = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        let token = CancelToken::new();
        let (ended, has_ended) = mpsc::channel();
        let (began, cancelled) = thread::scope(|scope| {
            scope.spawn(|| {
                let cancelled = call(&token);
                let _ = ended.send((Instant::now(), cancelled));
            });
            // It waits by then: nothing in it takes so long, but for what never ends.
            thread::sleep(wait);
            let began = Instant::now();
            token.cancel();
            (began, has_ended.recv())
        });
        let (end, cancelled) = cancelled?;
        if !cancelled {
            return Err("the call ended by itself".into());
        }
        times.push(end.saturating_duration_since(began).as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

fn is_cancelled<T>(result: mailpool::Result<T>) -> bool {
    result.is_err_and(|error| error.is_cancelled())
}

fn read(client: &ImapClient) -> mailpool::Result<()> {
    let uid = Uid::new(1).into_iter();
    let items = Items::new().peek(Section::full());
    for message in client
        .mailbox("INBOX")
        .fetch(uid.collect::<mailpool::UidSet>(), items)?
    {
        if let Some(body) = message?.into_body() {
            body.into_bytes()?;
        }
    }
    Ok(())
}

fn builder(server: &embedded::Server, tls: bool) -> ImapClientBuilder {
    let builder = ImapClient::builder("127.0.0.1")
        .port(server.port())
        .credentials(Credentials::password("alice", "secret"));
    if tls {
        builder
            .security(mailpool::Security::Tls)
            .server_name("localhost")
            .ca_pem(server.ca_pem())
            .only_own_ca()
    } else {
        builder
            .security(mailpool::Security::None)
            .allow_cleartext_password()
    }
}
