//! A client that knows just enough SMTP: lines, and answers of several lines.

use std::io::{BufRead, BufReader, Read, Write};

use mailpool_test_server::{Builder, Protocol, Server, ViolationKind};

use crate::client::{Stream, socket};

pub(crate) struct SmtpClient {
    stream: BufReader<Box<dyn Stream>>,
}

/// An SMTP server with one user.
pub(crate) fn smtp() -> Builder {
    Server::builder()
        .protocol(Protocol::Smtp)
        .user("alice", "secret")
}

/// An LMTP server with one user.
pub(crate) fn lmtp() -> Builder {
    smtp().protocol(Protocol::Lmtp)
}

/// What clients did wrong.
pub(crate) fn kinds(server: &Server) -> Vec<ViolationKind> {
    let violations = server.violations();
    violations.iter().map(|violation| violation.kind).collect()
}

impl SmtpClient {
    pub(crate) fn over(stream: Box<dyn Stream>) -> Self {
        Self {
            stream: BufReader::new(stream),
        }
    }

    /// Connects in clear; reads nothing.
    pub(crate) fn connected(server: &Server) -> Self {
        Self::over(Box::new(socket(server)))
    }

    /// Connects in clear, and says EHLO.
    pub(crate) fn greeted(server: &Server) -> Self {
        let mut client = Self::connected(server);
        client.expect("220");
        client.ok("EHLO client.example");
        client
    }

    /// Connects in clear, and says LHLO.
    pub(crate) fn greeted_lmtp(server: &Server) -> Self {
        let mut client = Self::connected(server);
        client.expect("220");
        client.ok("LHLO client.example");
        client
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// One answer: its lines without CRLF, joined by LF; empty at the end of the stream.
    pub(crate) fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let mut line = Vec::new();
            self.stream.read_until(b'\n', &mut line).unwrap();
            let line = String::from_utf8_lossy(&line);
            let more = line.get(3..4) == Some("-");
            reply.push_str(line.trim_end_matches("\r\n"));
            if !more {
                return reply;
            }
            reply.push('\n');
        }
    }

    /// Reads an answer that begins so.
    #[track_caller]
    pub(crate) fn expect(&mut self, start: &str) -> String {
        let reply = self.reply();
        assert!(reply.starts_with(start), "{start}: {reply:?}");
        reply
    }

    pub(crate) fn command(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n"));
        self.reply()
    }

    /// Sends a command that is to be answered so.
    #[track_caller]
    pub(crate) fn check(&mut self, line: &str, start: &str) -> String {
        let reply = self.command(line);
        assert!(reply.starts_with(start), "{line}: {reply:?}");
        reply
    }

    #[track_caller]
    pub(crate) fn ok(&mut self, line: &str) -> String {
        self.check(line, "250")
    }

    /// Goes as far as the 354.
    #[track_caller]
    pub(crate) fn begin(&mut self, from: &str, to: &[&str]) {
        self.ok(&format!("MAIL FROM:<{from}>"));
        for address in to {
            self.ok(&format!("RCPT TO:<{address}>"));
        }
        self.check("DATA", "354");
    }

    /// Delivers a message that needs no dots stuffed.
    #[track_caller]
    pub(crate) fn deliver(&mut self, to: &[&str], message: &str) -> String {
        self.begin("sender@example.org", to);
        self.command(&format!("{message}."))
    }

    /// Reads to the end of the stream.
    pub(crate) fn rest(&mut self) -> std::io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest)?;
        Ok(rest)
    }
}
