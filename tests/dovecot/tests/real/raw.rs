//! A client that knows just enough IMAP to see what a server says, byte for byte.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use mailpool_test_dovecot::{Dovecot, User};
use native_tls::{Certificate, TlsConnector, TlsStream};

/// One connection.
pub(crate) struct Raw<S: Read + Write> {
    stream: BufReader<S>,
    tags: u32,
}

/// What a server said to one command.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Everything before the tagged line, literals included.
    pub(crate) untagged: Vec<u8>,
    /// The literals among it.
    pub(crate) literals: Vec<Vec<u8>>,
    /// The tagged line without its tag and line end.
    pub(crate) tagged: String,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.untagged).into_owned()
    }

    pub(crate) fn ok(self) -> Self {
        assert!(self.tagged.starts_with("OK"), "{self:?}");
        self
    }
}

impl Raw<TcpStream> {
    /// Connects to the port without TLS and takes the greeting.
    pub(crate) fn connect(dovecot: &Dovecot) -> (Self, String) {
        let mut raw = Self::new(tcp(dovecot, dovecot.port()));
        let greeting = raw.line();
        (raw, greeting)
    }

    /// Connects and logs in.
    pub(crate) fn login(dovecot: &Dovecot, user: &User) -> Self {
        let (mut raw, _) = Self::connect(dovecot);
        raw.command(&format!("LOGIN {} {}", user.name, user.password))
            .ok();
        raw
    }

    pub(crate) fn start_tls(self, dovecot: &Dovecot) -> Raw<TlsStream<TcpStream>> {
        assert!(self.stream.buffer().is_empty());
        Raw::new(tls(dovecot, self.stream.into_inner()))
    }
}

impl Raw<TlsStream<TcpStream>> {
    /// Connects to the port with TLS and takes the greeting.
    pub(crate) fn connect_tls(dovecot: &Dovecot) -> (Self, String) {
        let mut raw = Self::new(tls(dovecot, tcp(dovecot, dovecot.tls_port())));
        let greeting = raw.line();
        (raw, greeting)
    }
}

impl<S: Read + Write> Raw<S> {
    fn new(stream: S) -> Self {
        Self {
            stream: BufReader::new(stream),
            tags: 0,
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    /// The next line, or what there is of it at the end of the stream.
    pub(crate) fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).unwrap();
        String::from_utf8_lossy(&line).into_owned()
    }

    /// Sends a command with a tag of its own and reads up to its tagged answer.
    pub(crate) fn command(&mut self, command: &str) -> Answer {
        self.tags += 1;
        let tag = format!("t{}", self.tags);
        self.send(format!("{tag} {command}\r\n").as_bytes());
        self.answer(&tag)
    }

    /// Sends a command that ends with a literal.
    pub(crate) fn command_with_literal(&mut self, command: &str, literal: &[u8]) -> Answer {
        self.tags += 1;
        let tag = format!("t{}", self.tags);
        self.send(format!("{tag} {command} {{{}+}}\r\n", literal.len()).as_bytes());
        self.send(literal);
        self.send(b"\r\n");
        self.answer(&tag)
    }

    fn answer(&mut self, tag: &str) -> Answer {
        let mut answer = Answer {
            untagged: Vec::new(),
            literals: Vec::new(),
            tagged: String::new(),
        };
        let start = format!("{tag} ");
        loop {
            let mut line = Vec::new();
            let read = self.stream.read_until(b'\n', &mut line).unwrap();
            assert_ne!(read, 0, "the stream ended within {answer:?}");
            if let Some(tagged) = line.strip_prefix(start.as_bytes()) {
                let tagged = String::from_utf8_lossy(tagged);
                answer.tagged = tagged.trim_end().to_owned();
                return answer;
            }
            answer.untagged.extend_from_slice(&line);
            // A line may end in a literal, and go on behind it with another one.
            let mut announced = literal_size(&line);
            while let Some(size) = announced {
                let mut literal = vec![0; size];
                self.stream.read_exact(&mut literal).unwrap();
                answer.untagged.extend_from_slice(&literal);
                answer.literals.push(literal);
                let mut rest = Vec::new();
                self.stream.read_until(b'\n', &mut rest).unwrap();
                answer.untagged.extend_from_slice(&rest);
                announced = literal_size(&rest);
            }
        }
    }
}

fn literal_size(line: &[u8]) -> Option<usize> {
    let line = std::str::from_utf8(line.strip_suffix(b"}\r\n")?).ok()?;
    line.rsplit_once('{')?.1.parse().ok()
}

fn tcp(dovecot: &Dovecot, port: u16) -> TcpStream {
    let stream = TcpStream::connect((dovecot.address(), port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn tls(dovecot: &Dovecot, stream: TcpStream) -> TlsStream<TcpStream> {
    let authority = Certificate::from_pem(dovecot.ca_pem().as_bytes()).unwrap();
    let connector = TlsConnector::builder()
        .add_root_certificate(authority)
        .disable_built_in_roots(true)
        .build()
        .unwrap();
    connector
        .connect(&dovecot.address().to_string(), stream)
        .unwrap()
}
