//! The run without arguments: sends to an embedded server, and checks what arrived.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use mailpool::{Credentials, Security, SmtpClient};
use mailpool_test_server as embedded;

use crate::addressing::Addressing;
use crate::error::{Error, Result};
use crate::files;
use crate::interrupt::Interrupt;
use crate::job::{self, Job, LARGE};
use crate::report::Counts;

const MESSAGES: usize = 500;
const USER: &str = "alice";
const PASSWORD: &str = "secret";
const REFUSED: &str = "nobody@example.net";
const BUSY: &str = "busy@example.net";
const LARGE_MESSAGE: usize = MESSAGES - 1;

pub(crate) fn run(interrupt: &Interrupt) -> Result<()> {
    let server = embedded::Server::builder()
        .protocol(embedded::Protocol::Smtp)
        .user(USER, PASSWORD)
        .require_login()
        .security(embedded::Security::Tls)
        .refuse_recipient(REFUSED, "550 5.1.1 No such user here")
        .faults(|faults| {
            faults.defer_recipient(BUSY, 2, "450 4.2.1 Greylisted, come back later");
        })
        .start()
        .map_err(Error::Embedded)?;
    let outbox = tempfile::tempdir().map_err(Error::file(&std::env::temp_dir()))?;
    for number in 0..MESSAGES {
        let path = outbox.path().join(format!("{number:04}.eml"));
        fs::write(&path, message(number)).map_err(Error::file(&path))?;
    }
    let address = format!("smtps://{}:{}", server.host(), server.port());
    println!("an embedded server at {address}; {MESSAGES} messages for it, the last one large");
    println!("it knows no {REFUSED}, and has no time for {BUSY} at first");

    let report = job::run(
        Job {
            server: address,
            client: SmtpClient::builder(server.host())
                .port(server.port())
                .security(Security::Tls)
                .ca_pem(server.ca_pem())
                .credentials(Credentials::password(USER, PASSWORD)),
            addressing: Addressing::default(),
            files: files::list(&[outbox.path().to_owned()])?,
            connections: 4,
            retry: 5,
        },
        interrupt,
    )?;
    print!("{report}");
    if interrupt.has_come() {
        return Err(Error::Check("interrupted".to_owned()));
    }
    let expected = Counts {
        sent: MESSAGES - 1,
        in_part: 1,
        ..Counts::default()
    };
    if report.counts() != expected {
        return Err(Error::Check(
            "this is not what was to be expected".to_owned(),
        ));
    }
    compare(&server, outbox.path())?;
    println!(
        "compared with the server: {MESSAGES} messages, each once, without Bcc, no difference"
    );
    Ok(())
}

/// Message 0 has a recipient who does not exist, message 1 one who is refused at first; every
/// tenth has a hidden one.
fn message(number: usize) -> String {
    let to = match number {
        0 => format!("Bob <bob@example.net>, {REFUSED}"),
        1 => BUSY.to_owned(),
        _ => "\"Bob, as ever\" <bob@example.net>".to_owned(),
    };
    let bcc = match number % 10 {
        9 => "Bcc: carol@example.net\r\n",
        _ => "",
    };
    let line = ".a line that begins with a dot\r\n";
    let lines = match number {
        LARGE_MESSAGE => usize::try_from(LARGE).unwrap_or(0) / line.len() + 1,
        _ => 1 + number % 50,
    };
    format!(
        "From: Alice <alice@example.org>\r\nTo: {to}\r\n{bcc}Message-ID: <{number}@example.org>\
         \r\nSubject: Message {number}\r\n\r\n{}",
        line.repeat(lines)
    )
}

/// Compares what the server has taken with what was to be sent.
fn compare(server: &embedded::Server, outbox: &Path) -> Result<()> {
    let wrong = |what: String| Err(Error::Check(what));
    let mut expected = HashMap::new();
    for path in files::list(&[outbox.to_owned()])? {
        let text = fs::read_to_string(&path).map_err(Error::file(&path))?;
        let carol = text.contains("\r\nBcc: ");
        expected.insert(text.replacen("Bcc: carol@example.net\r\n", "", 1), carol);
    }
    for delivery in server.deliveries() {
        let text = String::from_utf8(delivery.bytes().unwrap_or_default()).unwrap_or_default();
        let Some(carol) = expected.remove(&text) else {
            let size = text.len();
            return wrong(format!(
                "a message of {size} bytes arrived that was not sent"
            ));
        };
        if delivery.addresses().any(|one| one == "carol@example.net") != carol {
            return wrong("a hidden recipient is missing".to_owned());
        }
    }
    match (expected.len(), server.violations().first()) {
        (0, None) => Ok(()),
        (0, Some(violation)) => wrong(format!("the server complains: {violation:?}")),
        (missing, _) => wrong(format!("messages that did not arrive: {missing}")),
    }
}
