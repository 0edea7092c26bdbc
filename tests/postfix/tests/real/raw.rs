//! A client that knows just enough SMTP and LMTP to see what a server says, byte for byte.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use native_tls::{Certificate, TlsConnector, TlsStream};

/// One connection.
pub(crate) struct Raw<S: Read + Write> {
    stream: BufReader<S>,
}

/// What a server said to one command.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// Of the last line; 0 if there was none.
    pub(crate) code: u16,
    /// All lines as they came, line ends included.
    pub(crate) text: String,
}

impl Reply {
    /// Demands a code.
    #[track_caller]
    pub(crate) fn is(self, code: u16) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    /// The texts behind the codes, a line each.
    pub(crate) fn lines(&self) -> Vec<&str> {
        self.text.lines().map(|line| &line[4..]).collect()
    }
}

impl Raw<TcpStream> {
    /// Connects and takes the greeting.
    pub(crate) fn connect(address: SocketAddr) -> (Self, Reply) {
        let mut raw = Self::new(tcp(address));
        let greeting = raw.reply();
        (raw, greeting)
    }

    /// Connects and says EHLO.
    pub(crate) fn hello(address: SocketAddr) -> Self {
        let (mut raw, greeting) = Self::connect(address);
        greeting.is(220);
        raw.command("EHLO client.example").is(250);
        raw
    }

    /// Goes on with TLS.
    pub(crate) fn start_tls(mut self, ca_pem: &str) -> Raw<TlsStream<TcpStream>> {
        self.command("STARTTLS").is(220);
        assert!(self.stream.buffer().is_empty());
        Raw::new(tls(self.stream.into_inner(), ca_pem))
    }
}

impl Raw<TlsStream<TcpStream>> {
    /// Connects with TLS and takes the greeting.
    pub(crate) fn connect_tls(address: SocketAddr, ca_pem: &str) -> (Self, Reply) {
        let mut raw = Self::new(tls(tcp(address), ca_pem));
        let greeting = raw.reply();
        (raw, greeting)
    }
}

impl<S: Read + Write> Raw<S> {
    fn new(stream: S) -> Self {
        Self {
            stream: BufReader::new(stream),
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    /// Sends a command and reads its reply.
    pub(crate) fn command(&mut self, command: &str) -> Reply {
        self.send(format!("{command}\r\n").as_bytes());
        self.reply()
    }

    /// The next reply, or what there is of it at the end of the stream.
    pub(crate) fn reply(&mut self) -> Reply {
        let mut text = String::new();
        loop {
            let mut line = Vec::new();
            self.stream.read_until(b'\n', &mut line).unwrap();
            let line = String::from_utf8(line).unwrap();
            text.push_str(&line);
            if line.as_bytes().get(3) != Some(&b'-') {
                let code = line.get(..3).and_then(|code| code.parse().ok());
                let code = code.unwrap_or(0);
                return Reply { code, text };
            }
        }
    }

    /// Begins a transaction, up to the reply to DATA.
    #[track_caller]
    pub(crate) fn begin(&mut self, recipient: &str) {
        self.command("MAIL FROM:<me@client.example>").is(250);
        self.command(&format!("RCPT TO:<{recipient}>")).is(250);
        self.command("DATA").is(354);
    }

    /// Sends one message, as it is to be on the wire without its end.
    #[track_caller]
    pub(crate) fn send_message(&mut self, recipient: &str, message: &[u8]) {
        self.begin(recipient);
        self.send(message);
        self.send(b".\r\n");
        self.reply().is(250);
    }

    /// Says QUIT and reads to the end of the stream: what came besides the farewell.
    pub(crate) fn quit(mut self) -> String {
        self.send(b"QUIT\r\n");
        let mut rest = String::new();
        self.stream.read_to_string(&mut rest).unwrap();
        let farewell = rest.lines().next_back().unwrap_or_default().to_owned();
        assert!(farewell.starts_with("221 "), "{rest}");
        rest[..rest.len() - farewell.len() - 2].to_owned()
    }

    /// Sends all of it and reads to the end of the stream: the codes of the replies.
    pub(crate) fn codes_to_the_end(mut self, bytes: &[u8]) -> Vec<u16> {
        self.send(bytes);
        let codes = std::iter::from_fn(|| Some(self.reply().code).filter(|&code| code != 0));
        codes.collect()
    }
}

fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn tls(stream: TcpStream, ca_pem: &str) -> TlsStream<TcpStream> {
    let connector = TlsConnector::builder()
        .add_root_certificate(Certificate::from_pem(ca_pem.as_bytes()).unwrap())
        .disable_built_in_roots(true)
        .build()
        .unwrap();
    connector.connect("localhost", stream).unwrap()
}
