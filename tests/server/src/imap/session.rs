//! A session: its state, its beginning and end, and the frame around each command.

use std::io;
use std::sync::Arc;

use super::selected::Selected;
use crate::capabilities::Stage;
use crate::connection::{Connection, Order, Wake, aborted};
use crate::faults::Place;
use crate::hub::Hub;
use crate::server::Security;
use crate::stream::{Filled, Stream};

/// Output is sent when so much has come together, and at the end of each command.
pub(super) const SEND_AT: usize = 64 << 10;

/// How a command ended: the tagged response, with what follows from it.
#[derive(Debug)]
pub(super) enum Outcome {
    Ok(String),
    No(String),
    Bad(String),
    /// OK, then the TLS handshake.
    StartTls,
    /// OK, then the end.
    Logout,
}

impl Outcome {
    pub(super) fn ok(text: &str) -> io::Result<Self> {
        Ok(Self::Ok(text.to_owned()))
    }

    pub(super) fn no(text: &str) -> io::Result<Self> {
        Ok(Self::No(text.to_owned()))
    }

    pub(super) fn bad(text: &str) -> io::Result<Self> {
        Ok(Self::Bad(text.to_owned()))
    }
}

pub(super) struct Session {
    pub(super) connection: Arc<Connection>,
    pub(super) hub: Arc<Hub>,
    pub(super) stream: Stream,
    /// What is to be sent next.
    pub(super) out: Vec<u8>,
    pub(super) user: Option<String>,
    pub(super) selected: Option<Selected>,
    /// The client knows CONDSTORE, so MODSEQ is told without being asked for.
    pub(super) condstore: bool,
    /// IMAP4rev2 was enabled.
    pub(super) rev2: bool,
    /// How many commands have come.
    pub(super) commands: u64,
}

/// Serves a connection until its end. Errors of the connection are its end.
pub(crate) fn serve(connection: &Arc<Connection>) {
    let Ok(stream) = Stream::new(Arc::clone(connection)) else {
        connection.session_over();
        return;
    };
    let mut session = Session {
        connection: Arc::clone(connection),
        hub: Arc::clone(&connection.hub),
        stream,
        out: Vec::new(),
        user: None,
        selected: None,
        condstore: false,
        rev2: false,
        commands: 0,
    };
    if session.run().is_ok() {
        session.stream.close();
    }
    session.deselect();
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
        while let Some(command) = self.next_command()? {
            if !self.handle(&command)? {
                break;
            }
        }
        Ok(())
    }

    /// Greets; says whether the session goes on.
    fn greet(&mut self) -> io::Result<bool> {
        let settings = self.hub.settings.read().clone();
        if let Some(greeting) = self.hub.faults.greeting(self.connection.id) {
            self.out.extend_from_slice(&greeting);
        } else if self.hub.is_one_too_many(&self.connection) {
            self.connection.update_info(|info| info.served = false);
            self.hub.counters.update(|counters| counters.refused += 1);
            self.line("* BYE Too many simultaneous connections");
            self.send_out()?;
            return Ok(false);
        } else if let Some(user) = settings.preauth {
            self.log_in(&user);
            let list = self.capability_list();
            self.line(&format!(
                "* PREAUTH [CAPABILITY {list}] Logged in as {user}"
            ));
        } else {
            let list = self.capability_list();
            self.line(&format!("* OK [CAPABILITY {list}] Test server ready"));
        }
        self.send_out()?;
        Ok(true)
    }

    pub(super) fn stage(&self) -> Stage {
        if self.user.is_some() {
            Stage::Authenticated
        } else if self.hub.settings.read().security == Security::StartTls && !self.stream.is_tls() {
            Stage::BeforeTls
        } else {
            Stage::BeforeLogin
        }
    }

    pub(super) fn has(&self, capability: &str) -> bool {
        let capabilities = self.hub.capabilities.read();
        capabilities.has(self.stage(), capability)
    }

    pub(super) fn capability_list(&self) -> String {
        self.hub.capabilities.read().list(self.stage())
    }

    pub(super) fn log_in(&mut self, user: &str) {
        self.user = Some(user.to_owned());
        self.connection
            .update_info(|info| info.user = Some(user.to_owned()));
    }

    /// Adds a line to the output.
    pub(super) fn line(&mut self, line: &str) {
        self.out.extend_from_slice(line.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    /// Sends the output.
    pub(super) fn send_out(&mut self) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        let mut out = std::mem::take(&mut self.out);
        let result = self.stream.send(&out);
        out.clear();
        // A large buffer is not kept.
        if out.capacity() <= 4 * SEND_AT {
            self.out = out;
        }
        result
    }

    /// Sends the output if enough has come together.
    pub(super) fn send_if_much(&mut self) -> io::Result<()> {
        if self.out.len() >= SEND_AT {
            self.send_out()?;
        }
        Ok(())
    }

    /// Does what a rule says about this point of the session.
    pub(super) fn reach(&mut self, place: Place<'_>) -> io::Result<()> {
        let Some(hit) = self.hub.faults.reach(self.connection.id, place) else {
            return Ok(());
        };
        self.send_out()?;
        self.stream.obey(hit)
    }

    /// Sends a continuation request.
    pub(super) fn request_continuation(&mut self, text: &str) -> io::Result<()> {
        if let Some(bytes) = self.hub.faults.before_continuation(self.connection.id) {
            self.out.extend_from_slice(&bytes);
        }
        self.line(&format!("+ {text}"));
        self.send_out()
    }

    /// Waits for input; `false` is its end. Obeys orders meanwhile.
    pub(super) fn wait_for_input(&mut self) -> io::Result<bool> {
        loop {
            match self.stream.fill()? {
                Filled::Some => return Ok(true),
                Filled::End => return Ok(false),
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
    pub(super) fn obey(&mut self, order: Order) -> io::Result<()> {
        match order {
            Order::Send(bytes) => self.stream.send(&bytes),
            Order::Bye(text) => {
                let sent = self.stream.send(format!("* BYE {text}\r\n").as_bytes());
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
