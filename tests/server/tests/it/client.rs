//! A client that knows just enough IMAP: lines, literals and tags.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use mailpool_test_server::{Builder, Message, Server};
use native_tls::{Certificate, TlsConnector};

/// The longest wait for anything. A machine with much else to do takes its time.
pub(crate) const SECOND: Duration = Duration::from_secs(30);

pub(crate) trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

pub(crate) struct Client {
    stream: BufReader<Box<dyn Stream>>,
    tag: u32,
}

/// A server with one user and three messages in her INBOX.
pub(crate) fn builder() -> Builder {
    Server::builder().user("alice", "secret").mailbox(
        "alice",
        "INBOX",
        [
            Message::text("one", "first body").flag("\\Seen"),
            Message::text("two", "second body"),
            Message::text("three", "third body").flag("urgent"),
        ],
    )
}

pub(crate) fn socket(server: &Server) -> TcpStream {
    let socket = TcpStream::connect(server.address()).unwrap();
    socket.set_read_timeout(Some(SECOND)).unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}

pub(crate) fn tls(server: &Server, socket: TcpStream) -> Box<dyn Stream> {
    let connector = TlsConnector::builder()
        .disable_built_in_roots(true)
        .add_root_certificate(Certificate::from_pem(server.ca_pem().as_bytes()).unwrap())
        .build()
        .unwrap();
    Box::new(connector.connect(server.host(), socket).unwrap())
}

impl Client {
    pub(crate) fn over(stream: Box<dyn Stream>) -> Self {
        Self {
            stream: BufReader::new(stream),
            tag: 0,
        }
    }

    /// Connects in clear and reads the greeting.
    pub(crate) fn greeted(server: &Server) -> (Self, String) {
        let mut client = Self::over(Box::new(socket(server)));
        let greeting = client.line();
        (client, greeting)
    }

    pub(crate) fn logged_in(server: &Server) -> Self {
        let (mut client, _) = Self::greeted(server);
        client.ok("LOGIN alice secret");
        client
    }

    pub(crate) fn selected(server: &Server) -> Self {
        let mut client = Self::logged_in(server);
        client.ok("SELECT INBOX");
        client
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// One line without its CRLF; empty at the end of the stream.
    pub(crate) fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).unwrap();
        String::from_utf8_lossy(&line).trim_end().to_owned()
    }

    /// One response with its literals, CRLF only at the end taken off.
    pub(crate) fn response(&mut self) -> String {
        let mut response = self.line();
        while let Some(len) = response
            .strip_suffix('}')
            .and_then(|rest| rest.rsplit_once('{'))
            .and_then(|(_, len)| len.parse::<usize>().ok())
        {
            let mut literal = vec![0; len];
            self.stream.read_exact(&mut literal).unwrap();
            response.push_str("\r\n");
            response.push_str(&String::from_utf8_lossy(&literal));
            response.push_str(&self.line());
        }
        response
    }

    /// Sends a command; returns the tag.
    pub(crate) fn begin(&mut self, command: &str) -> String {
        self.tag += 1;
        let tag = format!("t{}", self.tag);
        self.send(format!("{tag} {command}\r\n"));
        tag
    }

    /// The responses up to the one with this tag, which is last and without its tag.
    pub(crate) fn until(&mut self, tag: &str) -> Vec<String> {
        let mut responses = Vec::new();
        loop {
            let response = self.response();
            assert!(!response.is_empty(), "the stream ended after {responses:?}");
            if let Some(rest) = response.strip_prefix(&format!("{tag} ")) {
                responses.push(rest.to_owned());
                return responses;
            }
            responses.push(response);
        }
    }

    pub(crate) fn command(&mut self, command: &str) -> Vec<String> {
        let tag = self.begin(command);
        self.until(&tag)
    }

    /// Sends a command that is to succeed; returns the untagged responses.
    pub(crate) fn ok(&mut self, command: &str) -> Vec<String> {
        let mut responses = self.command(command);
        let last = responses.pop().unwrap();
        assert!(last.starts_with("OK"), "{command}: {responses:?} {last}");
        responses
    }

    /// Sends a command; returns the tagged response.
    pub(crate) fn tagged(&mut self, command: &str) -> String {
        self.command(command).pop().unwrap()
    }

    /// Reads to the end of the stream.
    pub(crate) fn rest(&mut self) -> std::io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest)?;
        Ok(rest)
    }

    pub(crate) fn read_exact(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }
}
