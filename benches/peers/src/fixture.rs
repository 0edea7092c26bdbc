//! The server that all of them talk to, and the mail on it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use mailpool_test_dovecot::{Dovecot, User};

use crate::job::{Result, Security, Target};
use crate::proxy;

const SEED: u64 = 7;

/// What a packet takes from one side to the other where the network is not to be loopback.
pub(crate) const DELAY: Duration = Duration::from_millis(10);

/// A private Dovecot with a full mailbox.
pub(crate) struct Fixture {
    dovecot: Dovecot,
    ca: PathBuf,
    full: Target,
}

impl Fixture {
    pub(crate) fn new(messages: u32) -> Result<Self> {
        // Nobody is to be turned away or held up for having logged in too often.
        let dovecot = Dovecot::builder().start()?;
        let ca = dovecot.directory().join("bench-ca.pem");
        std::fs::write(&ca, dovecot.ca_pem())?;
        let mut fixture = Self {
            dovecot,
            ca,
            full: Target::default(),
        };
        fixture.full = fixture.mailbox("full", ordinary(messages as usize));
        Ok(fixture)
    }

    /// A new user with these messages.
    pub(crate) fn mailbox(
        &self,
        hint: &str,
        messages: impl IntoIterator<Item = Vec<u8>>,
    ) -> Target {
        let User { name, password } = self.dovecot.new_user(hint);
        let (mut count, mut bytes) = (0, 0);
        for message in messages {
            let served = self.dovecot.deliver(&name, "INBOX", [message]);
            count += 1;
            bytes += served.iter().map(Vec::len).sum::<usize>() as u64;
        }
        Target {
            port: self.dovecot.port(),
            security: Security::None,
            ca: self.ca.clone(),
            user: name,
            password,
            messages: count,
            bytes,
        }
    }

    /// The full mailbox without TLS.
    pub(crate) fn plain(&self) -> Target {
        self.full.clone()
    }

    /// The full mailbox with TLS.
    pub(crate) fn tls(&self) -> Target {
        Target {
            port: self.dovecot.tls_port(),
            security: Security::Tls,
            ..self.plain()
        }
    }

    /// The same server, further away.
    pub(crate) fn far(&self, target: &Target) -> Result<Target> {
        let server = SocketAddr::new(self.dovecot.address(), target.port);
        Ok(Target {
            port: proxy::start(server, DELAY)?,
            ..target.clone()
        })
    }
}

/// Messages of sizes spread log-normally around 6 KB, and about one in 400 with an attachment
/// of up to 2 MB: 10,000 of them have about 144 MB.
fn ordinary(count: usize) -> impl Iterator<Item = Vec<u8>> {
    let small = mailpool_test_corpus::plain(count, SEED);
    let with_tail = mailpool_test_corpus::plain(count, SEED).with_tail();
    let pairs = small.zip(with_tail).enumerate();
    pairs.map(|(number, (small, tail))| if number % 2 == 0 { tail } else { small })
}

/// Messages that are hardly more than their headers.
pub(crate) fn headers_only(count: u32) -> impl Iterator<Item = Vec<u8>> {
    (1..=count).map(|number| {
        format!(
            "Received: from mx.example.net (mx.example.net [192.0.2.7])\r\n\
             \tby mail.example.org with ESMTPS id {number:016x};\r\n\
             \tMon, 1 Jan 2024 10:00:00 +0000\r\n\
             From: Sender {number} <sender.{number}@example.net>\r\n\
             To: Recipient <recipient@example.org>\r\nSubject: message {number}\r\n\
             Date: Mon, 1 Jan 2024 10:00:00 +0000\r\n\
             Message-ID: <{number}@example.net>\r\nMIME-Version: 1.0\r\n\r\nHello\r\n"
        )
        .into_bytes()
    })
}
