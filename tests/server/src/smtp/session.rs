//! A session: its state, its beginning and end, what it waits for.

use std::io;
use std::sync::Arc;

use super::content::Content;
use super::reply::Reply;
use crate::capabilities::Stage;
use crate::connection::{Connection, Order, Wake, aborted};
use crate::counters::ViolationKind;
use crate::faults::Place;
use crate::hub::Hub;
use crate::server::Security;
use crate::store::Path;
use crate::stream::{Filled, Stream};

/// Which of the two protocols is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Smtp,
    Lmtp,
}

/// How the client introduced itself.
#[derive(Clone, Debug)]
pub(super) struct Hello {
    pub(super) name: String,
    /// By EHLO or LHLO, so that there are extensions.
    pub(super) extended: bool,
}

/// A mail transaction, from MAIL on.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) reverse_path: Path,
    pub(super) recipients: Vec<Path>,
    /// BODY=BINARYMIME.
    pub(super) binary: bool,
    /// BODY=8BITMIME or SMTPUTF8.
    pub(super) eight_bit: bool,
    pub(super) utf8: bool,
    pub(super) first_flight: u64,
    /// What came by BDAT so far.
    pub(super) content: Option<Content>,
    pub(super) chunks: u64,
    /// A chunk was refused: only RSET helps.
    pub(super) broken: bool,
}

pub(super) struct Session {
    pub(super) connection: Arc<Connection>,
    pub(super) hub: Arc<Hub>,
    pub(super) stream: Stream,
    pub(super) dialect: Dialect,
    /// What is to be sent next.
    pub(super) out: Vec<u8>,
    pub(super) hello: Option<Hello>,
    pub(super) user: Option<String>,
    pub(super) transaction: Option<Transaction>,
    /// How many times MAIL was accepted.
    pub(super) mails: u64,
    /// How many commands have come.
    pub(super) commands: u64,
    /// Since the last MAIL something was refused, so that what was sent behind it makes no sense
    /// and is not the client's fault.
    pub(super) excused: bool,
    /// The command came out of sequence, and that is a violation.
    pub(super) own_fault: bool,
    /// The greeting was a refusal: only QUIT is carried out (RFC 5321 section 3.1).
    pub(super) turned_away: bool,
}

/// Serves a connection until its end. Errors of the connection are its end.
pub(crate) fn serve(connection: &Arc<Connection>, dialect: Dialect) {
    let Ok(stream) = Stream::new(Arc::clone(connection)) else {
        connection.session_over();
        return;
    };
    let mut session = Session {
        connection: Arc::clone(connection),
        hub: Arc::clone(&connection.hub),
        stream,
        dialect,
        out: Vec::new(),
        hello: None,
        user: None,
        transaction: None,
        mails: 0,
        commands: 0,
        excused: false,
        own_fault: false,
        turned_away: false,
    };
    if session.run().is_ok() {
        session.stream.close();
    }
}

impl Session {
    fn run(&mut self) -> io::Result<()> {
        if self.hub.settings.read().security == Security::Tls {
            let hub = Arc::clone(&self.hub);
            self.stream.start_tls(&hub.tls.acceptor)?;
        }
        // A cut after no byte at all comes before the greeting.
        self.stream.send(b"")?;
        if !self.greet()? {
            return Ok(());
        }
        while let Some(line) = self.next_line()? {
            if !self.handle(line)? {
                break;
            }
        }
        Ok(())
    }

    /// Greets; says whether the session goes on.
    fn greet(&mut self) -> io::Result<bool> {
        self.wait_while_held("GREETING")?;
        let delay = self.hub.faults.greeting_delay(self.connection.id);
        self.connection.pause(delay)?;
        if self.has_more_input()? {
            self.violation(ViolationKind::BeforeGreeting, self.stream.input());
            self.put(&Reply::new(554, "", "The server speaks first"));
            self.send_out()?;
            return Ok(false);
        }
        if let Some(greeting) = self.hub.faults.greeting(self.connection.id) {
            self.turned_away = greeting.starts_with(b"5");
            let goes_on = !greeting.starts_with(b"4");
            self.out.extend_from_slice(&greeting);
            self.send_out()?;
            return Ok(goes_on);
        }
        if self.hub.is_one_too_many(&self.connection) {
            self.connection.update_info(|info| info.served = false);
            self.hub.counters.update(|counters| counters.refused += 1);
            self.put(&Reply::new(
                421,
                "4.7.0",
                "Too many simultaneous connections",
            ));
            self.send_out()?;
            return Ok(false);
        }
        let name = match self.dialect {
            Dialect::Smtp => "ESMTP",
            Dialect::Lmtp => "LMTP",
        };
        self.put(&Reply::new(
            220,
            "",
            format!("localhost {name} Test server ready"),
        ));
        self.send_out()?;
        Ok(true)
    }

    pub(super) fn stage(&self) -> Stage {
        if self.user.is_some() {
            Stage::Authenticated
        } else if self.needs_tls() {
            Stage::BeforeTls
        } else {
            Stage::BeforeLogin
        }
    }

    pub(super) fn needs_tls(&self) -> bool {
        self.hub.settings.read().security == Security::StartTls && !self.stream.is_tls()
    }

    /// Whether an extension was announced to this client.
    pub(super) fn has(&self, extension: &str) -> bool {
        self.parameters(extension).is_some()
    }

    /// What was announced behind the keyword of an extension.
    pub(super) fn parameters(&self, extension: &str) -> Option<String> {
        let extended = self.hello.as_ref().is_some_and(|hello| hello.extended);
        if !extended || (extension == "REQUIRETLS" && !self.stream.is_tls()) {
            return None;
        }
        let capabilities = self.hub.capabilities.read();
        let parameters = capabilities.parameters(self.stage(), extension)?;
        Some(parameters.to_owned())
    }

    /// A number that the extension LIMITS announces (RFC 9422).
    pub(super) fn limit(&self, name: &str) -> Option<u64> {
        let limits = self.parameters("LIMITS")?;
        limits.split(' ').find_map(|limit| {
            let (limit, number) = limit.split_once('=')?;
            let number = number.parse().ok()?;
            limit.eq_ignore_ascii_case(name).then_some(number)
        })
    }

    /// The bytes of an answer, with an enhanced status code if they were announced.
    pub(super) fn render(&self, reply: &Reply) -> Vec<u8> {
        reply.render(self.has("ENHANCEDSTATUSCODES"))
    }

    /// Adds an answer to the output.
    pub(super) fn put(&mut self, reply: &Reply) {
        let bytes = self.render(reply);
        self.out.extend_from_slice(&bytes);
    }

    /// Sends the output.
    pub(super) fn send_out(&mut self) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        let out = std::mem::take(&mut self.out);
        self.stream.send(&out)
    }

    /// Records what the client may not do.
    pub(super) fn violation(&self, kind: ViolationKind, text: &[u8]) {
        self.hub.counters.violation(self.connection.id, kind, text);
    }

    /// Does what a rule says about this point of the session.
    pub(super) fn reach(&mut self, place: Place<'_>) -> io::Result<()> {
        let Some(hit) = self.hub.faults.reach(self.connection.id, place) else {
            return Ok(());
        };
        self.send_out()?;
        self.stream.obey(hit)
    }

    pub(super) fn wait_while_held(&mut self, verb: &str) -> io::Result<()> {
        let connection = Arc::clone(&self.connection);
        let held = || connection.hub.faults.is_held(connection.id, verb);
        if held() {
            self.send_out()?;
        }
        while let Some(order) = connection.wait_while_or_order(held)? {
            self.obey(order)?;
        }
        Ok(())
    }

    /// Whether there is input that was not asked for, without waiting for it.
    pub(super) fn has_more_input(&mut self) -> io::Result<bool> {
        if self.stream.input().is_empty() {
            self.stream.fill()?;
        }
        Ok(!self.stream.input().is_empty())
    }

    /// Sends the output and waits for input; `false` is its end. Obeys orders meanwhile.
    pub(super) fn wait_for_input(&mut self) -> io::Result<bool> {
        loop {
            match self.stream.fill()? {
                Filled::Some => return Ok(true),
                Filled::End => {
                    self.send_out()?;
                    return Ok(false);
                }
                Filled::Nothing if !self.out.is_empty() => {
                    self.send_out()?;
                    continue;
                }
                Filled::Nothing => {}
            }
            match self.connection.wait(false) {
                Wake::Input | Wake::Changed => {}
                Wake::Order(order) => self.obey(order)?,
                Wake::Stopped => return Err(aborted()),
            }
        }
    }

    /// Does what a test orders.
    ///
    /// # Errors
    /// If the connection is over with it.
    fn obey(&mut self, order: Order) -> io::Result<()> {
        match order {
            Order::Send(bytes) => self.stream.send(&bytes),
            Order::Bye(text) => {
                let reply = Reply::new(421, "4.3.2", text);
                let sent = self.stream.send(&self.render(&reply));
                self.stream.close();
                sent.and(Err(aborted()))
            }
            Order::Close => {
                self.stream.close();
                Err(aborted())
            }
        }
    }
}
