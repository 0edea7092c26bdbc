//! The run without arguments: fetches from an embedded server, and checks every byte.

use std::fs;
use std::path::Path;

use mailpool::{Credentials, ImapClient, Security, UidValidity};
use mailpool_test_server as embedded;

use crate::error::{Error, Result};
use crate::fetch::{self, Job};
use crate::maildir::Maildir;

const MESSAGES: u32 = 2_000;
const CONNECTIONS: usize = 4;
const USER: &str = "alice";
const PASSWORD: &str = "secret";
const MAILBOX: &str = "INBOX";

pub(crate) fn run() -> Result<()> {
    let server = embedded::Server::builder()
        .user(USER, PASSWORD)
        .mailbox(USER, MAILBOX, (1..=MESSAGES).map(message))
        .security(embedded::Security::Tls)
        .start()
        .map_err(|error| Error::Check(format!("the embedded server does not start: {error}")))?;
    let out = tempfile::tempdir().map_err(Error::file(&std::env::temp_dir()))?;
    let address = format!("imaps://{}:{}", server.host(), server.port());
    println!("an embedded server with {MESSAGES} messages at {address}");

    let report = fetch::run(Job {
        server: address,
        client: ImapClient::builder(server.host())
            .port(server.port())
            .security(Security::Tls)
            .ca_pem(server.ca_pem())
            .credentials(Credentials::password(USER, PASSWORD)),
        user: USER.to_owned(),
        mailbox: MAILBOX.to_owned(),
        connections: CONNECTIONS,
        out: out.path().to_owned(),
        // It is removed in the end, and the disk is not what is to be shown here.
        sync: false,
    })?;
    println!("{report}");
    report.complete()?;

    let bytes = compare(&server, out.path())?;
    println!("compared with the server: {MESSAGES} messages, {bytes} bytes, no difference");
    Ok(())
}

/// Compares the Maildir with the server's own store. Returns the number of bytes.
fn compare(server: &embedded::Server, out: &Path) -> Result<usize> {
    let uid_validity = UidValidity::new(server.store().uid_validity(USER, MAILBOX));
    let maildir = Maildir::open(out, &format!("{MAILBOX} of {USER}"), uid_validity)?;
    let mut files = maildir.files()?;
    files.sort();
    let stored = server.store().messages(USER, MAILBOX);
    if files.len() != stored.len() {
        let (files, stored) = (files.len(), stored.len());
        return Err(Error::Check(format!("{files} files for {stored} messages")));
    }
    let mut bytes = 0;
    for (stored, (uid, path)) in stored.iter().zip(&files) {
        let content = fs::read(path).map_err(Error::file(path))?;
        if uid.get() != stored.uid || content != stored.bytes() {
            let path = path.display();
            return Err(Error::Check(format!(
                "{path} differs from message {}",
                stored.uid
            )));
        }
        bytes += content.len();
    }
    Ok(bytes)
}

/// The message with this number: always the same. Most are small, some have several hundred
/// kilobytes and arrive as streams; every third is 8-bit, with lines of any length.
fn message(number: u32) -> embedded::Message {
    let mut random = Random(number.into());
    let size = match number % 100 {
        0 => 300_000 + random.below(700_000),
        1..=9 => 20_000 + random.below(60_000),
        _ => 500 + random.below(10_000),
    };
    let mut bytes = format!(
        "From: Generator <generator@example.org>\r\nTo: Alice <alice@example.org>\r\n\
         Subject: message {number}\r\nMessage-ID: <{number}@example.org>\r\n\
         MIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\n\
         Content-Transfer-Encoding: 8bit\r\n\r\n"
    )
    .into_bytes();
    let is_text = number % 3 != 0;
    while bytes.len() < size {
        match random.next() {
            // CHAR8 of RFC 9051: any byte but NUL.
            byte if !is_text => bytes.push(byte.max(1)),
            _ if bytes.len() % 80 == 78 => bytes.extend_from_slice(b"\r\n"),
            byte => bytes.push(b' ' + byte % 95),
        }
    }
    let message = embedded::Message::new(bytes);
    if is_text {
        message.flag("\\Seen")
    } else {
        message.flag("\\Flagged")
    }
}

/// Numbers that look random and are the same in every run (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u8 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed.to_le_bytes()[7]
    }

    fn below(&mut self, limit: usize) -> usize {
        let bytes = [self.next(), self.next(), self.next(), self.next()];
        usize::try_from(u32::from_le_bytes(bytes)).unwrap_or(0) % limit
    }
}
