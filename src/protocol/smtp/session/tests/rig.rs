//! Plays the server and the connection.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use bytes::Bytes;

use super::super::operation::{End, Failure, Mail, Operation};
use super::super::{Config, Protection, Session};
use crate::protocol::machine::{Gate, OperationId, Output, Protocol};
use crate::protocol::smtp::content::Content;
use crate::types::limits::Limits;
use crate::types::smtp::envelope::SmtpEnvelope;
use crate::wire::outgoing::{Lines, Prepared};
use crate::wire::receive::ReceiveBuffer;
use crate::wire::send::SendBuffer;

/// How the server's bytes are cut.
pub(super) const STEPS: [usize; 4] = [1, 2, 7, 4096];

pub(super) fn config() -> Config {
    Config {
        lmtp: false,
        protection: Protection::Clear,
        account: None,
        hello_name: "[127.0.0.1]".to_owned(),
        pipelining: true,
        chunking: true,
        max_messages: None,
        limits: Limits::default().max_line(4096),
    }
}

#[derive(Default)]
pub(super) struct Doors {
    pub closed: BTreeSet<OperationId>,
    pub passed: Vec<OperationId>,
}

impl Gate for Doors {
    fn write(&mut self, id: OperationId) -> bool {
        if self.closed.contains(&id) {
            return false;
        }
        if !self.passed.contains(&id) {
            self.passed.push(id);
        }
        true
    }
}

pub(super) struct Rig {
    pub session: Session,
    pub input: ReceiveBuffer,
    pub output: SendBuffer,
    pub doors: Doors,
    pub step: usize,
    pub ends: BTreeMap<OperationId, Result<End, Failure>>,
    pub withdrawn: Vec<OperationId>,
    pub is_ready: bool,
    pub wants_tls: bool,
    pub tokens_wanted: usize,
    pub tokens_refused: Vec<u64>,
    pub is_finished: bool,
    next: OperationId,
}

impl Rig {
    pub(super) fn new(config: Config, step: usize) -> Self {
        let mut session = Session::new(config);
        session.connected();
        Self {
            session,
            input: ReceiveBuffer::new(),
            output: SendBuffer::new(),
            doors: Doors::default(),
            step,
            ends: BTreeMap::new(),
            withdrawn: Vec::new(),
            is_ready: false,
            wants_tls: false,
            tokens_wanted: 0,
            tokens_refused: Vec::new(),
            is_finished: false,
            next: 1,
        }
    }

    /// A session that is ready, with a server that offers `keywords`.
    pub(super) fn ready(config: Config, keywords: &[&str], step: usize) -> Self {
        let mut rig = Self::new(config, step);
        rig.server("220 mail.example.org\r\n");
        rig.client();
        let mut hello = String::from("250-mail.example.org\r\n");
        for keyword in keywords {
            hello.push_str(&format!("250-{keyword}\r\n"));
        }
        hello.push_str("250 HELP\r\n");
        rig.server(&hello);
        assert!(rig.is_ready);
        rig
    }

    pub(super) fn advance(&mut self) -> Result<(), Failure> {
        let result = self
            .session
            .advance(&mut self.input, &mut self.output, &mut self.doors);
        while let Some(output) = self.session.poll() {
            match output {
                Output::StartTls => self.wants_tls = true,
                Output::NeedToken => self.tokens_wanted += 1,
                Output::TokenRefused(number) => self.tokens_refused.push(number),
                Output::Ready => self.is_ready = true,
                Output::Part(_, part) => match part {},
                Output::End(id, end) => {
                    assert!(self.ends.insert(id, end).is_none(), "{id} ended twice");
                }
                Output::Again(id, _) => panic!("{id} is put off"),
                Output::Withdrawn(id) => self.withdrawn.push(id),
                Output::WasReset => {}
                Output::Finished => self.is_finished = true,
            }
        }
        result
    }

    /// The server says something; `|` stands where it waits for the client.
    pub(super) fn server_says(&mut self, bytes: &str) -> Result<(), Failure> {
        for flight in bytes.split('|') {
            for piece in flight.as_bytes().chunks(self.step) {
                self.input.push(piece);
                self.advance()?;
            }
        }
        Ok(())
    }

    #[track_caller]
    pub(super) fn server(&mut self, bytes: &str) {
        self.server_says(bytes).unwrap();
    }

    /// What has been written since the last time.
    pub(super) fn client(&mut self) -> String {
        let mut sent = Vec::new();
        while !self.output.is_empty() {
            let front = self.output.front().to_vec();
            self.output.advance(front.len());
            sent.extend_from_slice(&front);
        }
        String::from_utf8(sent).unwrap()
    }

    #[track_caller]
    pub(super) fn expect(&mut self, sent: &str) {
        assert_eq!(self.client(), sent);
    }

    pub(super) fn submit(&mut self, operation: Operation) -> OperationId {
        assert!(self.session.accepts(&operation), "not accepted");
        let id = self.next;
        self.next += 1;
        self.session.submit(id, operation);
        self.advance().unwrap();
        id
    }

    pub(super) fn send(&mut self, envelope: SmtpEnvelope, message: &str) -> OperationId {
        self.submit(mail(envelope, message))
    }

    #[track_caller]
    pub(super) fn failure(&mut self, id: OperationId) -> Failure {
        match self.ends.remove(&id) {
            Some(Err(failure)) => failure,
            other => panic!("no failure: {other:?}"),
        }
    }

    /// One line for each recipient.
    #[track_caller]
    pub(super) fn report(&mut self, id: OperationId) -> Vec<String> {
        match self.ends.remove(&id) {
            Some(Ok(End::Sent(report))) => report
                .iter()
                .map(|one| format!("{}: {}", one.address, one.outcome))
                .collect(),
            other => panic!("not sent: {other:?}"),
        }
    }
}

pub(super) fn mail(envelope: SmtpEnvelope, message: &str) -> Operation {
    let message = Bytes::copy_from_slice(message.as_bytes());
    let lines = match envelope.body_type() {
        Some(crate::types::smtp::envelope::BodyType::Binary) => Lines::Binary,
        _ => Lines::Normalise,
    };
    let content = Content::Whole(Prepared::new(message, lines).unwrap().into());
    Operation::Send(Box::new(Mail::new(envelope.into(), content)))
}

pub(super) fn to(recipients: &[&str]) -> SmtpEnvelope {
    let recipients = recipients.iter().map(|one| format!("{one}@example.net"));
    SmtpEnvelope::new("alice@example.org", recipients).unwrap()
}
