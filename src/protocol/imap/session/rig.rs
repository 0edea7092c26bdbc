//! A session for tests, and the far end of its connection.

use std::collections::HashSet;

use super::operation::{By, End, Failure, Operation, Part, Request, Target};
use super::{Config, Protection, Session};
use crate::protocol::machine::{Gate, OperationId, Output, Protocol};
use crate::protocol::sasl::Account;
use crate::types::ids::{ModSeq, Uid, UidValidity};
use crate::types::items::Items;
use crate::types::limits::Limits;
use crate::types::mailbox_change::MailboxChange;
use crate::types::mailbox_name::MailboxName;
use crate::types::query::Query;
use crate::types::range_set::RangeSet;
use crate::types::secret::Credentials;
use crate::types::section::Section;
use crate::wire::receive::ReceiveBuffer;
use crate::wire::send::SendBuffer;

pub(super) const CAPABILITIES: &str =
    "IMAP4rev1 UNSELECT UIDPLUS MOVE ESEARCH LITERAL+ ENABLE ID NAMESPACE";

/// Closed for the operations in it.
#[derive(Default)]
pub(super) struct Closed(pub(super) HashSet<OperationId>);

impl Gate for Closed {
    fn write(&mut self, id: OperationId) -> bool {
        !self.0.contains(&id)
    }
}

/// A session and the far end of its connection.
pub(super) struct Rig {
    pub(super) session: Session,
    pub(super) input: ReceiveBuffer,
    pub(super) output: SendBuffer,
    pub(super) gate: Closed,
    /// Bytes of the server that come in at a time.
    step: usize,
    said: Vec<String>,
    next: OperationId,
}

impl Rig {
    pub(super) fn new(step: usize, protection: Protection) -> Self {
        let account = Account {
            allow_cleartext: true,
            ..Account::new(Credentials::password("alice", "secret"))
        };
        Self::of(step, protection, account)
    }

    pub(super) fn of(step: usize, protection: Protection, account: Account) -> Self {
        let config = Config {
            protection,
            account,
            enable: Vec::new(),
            limits: Limits::default().stream_threshold(20),
        };
        let mut session = Session::new(config);
        session.connected();
        Self {
            session,
            input: ReceiveBuffer::new(),
            output: SendBuffer::new(),
            gate: Closed::default(),
            step,
            said: Vec::new(),
            next: 0,
        }
    }

    /// A session that is ready, with `capabilities`.
    pub(super) fn ready(step: usize, capabilities: &str) -> Self {
        let mut rig = Self::new(step, Protection::Clear);
        rig.server("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hi\r\n")
            .unwrap();
        assert_eq!(
            rig.client(),
            "M1 AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==\r\n"
        );
        rig.server(&format!("M1 OK [CAPABILITY {capabilities}] in\r\n"))
            .unwrap();
        assert_eq!(rig.take_said(), ["ready"]);
        rig
    }

    pub(super) fn server(&mut self, text: &str) -> Result<(), Failure> {
        for piece in text.as_bytes().chunks(self.step) {
            self.input.push(piece);
            self.turn()?;
        }
        Ok(())
    }

    pub(super) fn turn(&mut self) -> Result<(), Failure> {
        self.session
            .advance(&mut self.input, &mut self.output, &mut self.gate)?;
        while let Some(output) = self.session.poll() {
            let said = self.describe(output);
            self.said.push(said);
        }
        Ok(())
    }

    fn describe(&mut self, output: Output<Session>) -> String {
        match output {
            Output::StartTls => {
                self.session.secured();
                "starttls".to_owned()
            }
            Output::NeedToken => "needs a token".to_owned(),
            Output::TokenRefused(number) => format!("token {number} refused"),
            Output::Ready => "ready".to_owned(),
            Output::WasReset => "reset".to_owned(),
            Output::Finished => "finished".to_owned(),
            Output::Again(id, _) => format!("{id} again"),
            Output::Withdrawn(id) => format!("{id} withdrawn"),
            Output::End(id, Ok(end)) => format!("{id} {}", short(&end)),
            Output::End(id, Err(failure)) => format!("{id} failed: {failure}"),
            Output::Part(id, part) => format!("{id} {}", part_text(&part)),
        }
    }

    /// What has been sent since the last time.
    pub(super) fn client(&mut self) -> String {
        let mut bytes = Vec::new();
        while !self.output.is_empty() {
            let front = self.output.front().to_vec();
            self.output.advance(front.len());
            bytes.extend(front);
        }
        String::from_utf8(bytes).unwrap()
    }

    pub(super) fn take_said(&mut self) -> Vec<String> {
        std::mem::take(&mut self.said)
    }

    /// Submits an operation if the session takes it.
    pub(super) fn submit(&mut self, operation: Operation) -> Option<OperationId> {
        if !self.session.accepts(&operation) {
            return None;
        }
        let id = self.next;
        self.next += 1;
        self.session.submit(id, operation);
        self.turn().unwrap();
        Some(id)
    }

    pub(super) fn select_inbox(&mut self) {
        assert!(
            self.submit(on("INBOX", Request::Search(By::Uid, Query::all())))
                .is_some()
        );
        let sent = self.client();
        let tag = sent.split(' ').next().unwrap().to_owned();
        self.server(&format!(
            "* 3 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n* OK [UIDNEXT 9] n\r\n{tag} OK [READ-WRITE] in\r\n"
        ))
        .unwrap();
        let search = self.client();
        let tag = search.split(' ').next().unwrap().to_owned();
        self.server(&format!("{tag} OK done\r\n")).unwrap();
        self.take_said();
    }
}

fn short(end: &End) -> String {
    match end {
        End::Found(found) => format!(
            "found {:?} of {:?}",
            found.numbers.ranges(),
            found.uid_validity.map(UidValidity::get)
        ),
        End::Mailbox(info) => format!(
            "mailbox exists={} read_only={}",
            info.exists, info.read_only
        ),
        End::Stored(stored) => format!(
            "stored {} modified {:?}",
            stored.flags.len(),
            stored.modified.ranges()
        ),
        End::Moved(moved) => format!(
            "moved {:?} left={}",
            moved.copy_uid.as_ref().map(|c| c.source().len()),
            moved.left_behind
        ),
        End::Copied(copied) => format!("copied {:?}", copied.as_ref().map(|c| c.source().len())),
        End::Appended(uid) => format!(
            "appended {:?}",
            uid.as_ref().and_then(|a| a.uids.at(0)).map(Uid::get)
        ),
        End::List(list) => format!("list {}", list.len()),
        End::Followed(_) => "followed".to_owned(),
        End::Events(events) => format!("events {events:?}"),
        End::Expunged(expunged) => format!(
            "expunged {}",
            expunged.numbers.len() as u64 + expunged.vanished
        ),
        other => format!("{other:?}"),
    }
}

fn part_text(part: &Part) -> String {
    match part {
        Part::Message {
            attributes, stream, ..
        } => {
            let bodies: Vec<String> = attributes
                .sections
                .iter()
                .map(|section| {
                    String::from_utf8_lossy(section.data.as_deref().unwrap_or_default())
                        .into_owned()
                })
                .collect();
            format!(
                "message {:?} {bodies:?} stream={:?}",
                attributes.uid.map(Uid::get),
                stream.as_ref().map(|stream| stream.size)
            )
        }
        Part::Chunk(bytes) => format!("chunk {}", bytes.len()),
        Part::Rest {
            attributes, stream, ..
        } => {
            format!(
                "rest flags={} stream={}",
                attributes.flags.is_some(),
                stream.is_some()
            )
        }
        Part::Change(change) => change_text(change),
        Part::Refused(refusal) => format!(
            "refused {:?}: continued={}",
            refusal.uid.map(Uid::get),
            refusal.continued
        ),
    }
}

fn change_text(change: &MailboxChange) -> String {
    let mod_seq = |one: &Option<ModSeq>| one.map_or(String::new(), |one| format!(" {one}"));
    match change {
        MailboxChange::Began { exists, .. } => format!("began {exists}"),
        MailboxChange::New {
            uid,
            flags,
            mod_seq: at,
        } => format!("new {uid} {flags}{}", mod_seq(at)),
        MailboxChange::Flags {
            uid,
            flags,
            mod_seq: at,
        } => format!("flags {uid} {flags}{}", mod_seq(at)),
        MailboxChange::Expunged(uid) => format!("expunged {uid}"),
        MailboxChange::UidValidityChanged { found } => {
            format!("validity {:?}", found.map(UidValidity::get))
        }
        MailboxChange::FlagsUnknown => "flags unknown".to_owned(),
        MailboxChange::Alert(text) => format!("alert {text}"),
    }
}

pub(super) fn name(text: &str) -> MailboxName {
    MailboxName::new(text).unwrap()
}

pub(super) fn on(mailbox: &str, request: Request) -> Operation {
    Operation {
        target: Some(Target {
            name: name(mailbox),
            read_only: false,
            uid_validity: None,
        }),
        request,
    }
}

pub(super) fn bare(request: Request) -> Operation {
    Operation {
        target: None,
        request,
    }
}

pub(super) fn uids(first: u32, last: u32) -> RangeSet {
    RangeSet::range(first, last)
}

pub(super) fn flags(first: u32, last: u32) -> Request {
    Request::Fetch(By::Uid, uids(first, last), Items::new().flags())
}

pub(super) fn bodies(first: u32, last: u32) -> Request {
    Request::Fetch(
        By::Uid,
        uids(first, last),
        Items::new().peek(Section::full()),
    )
}

/// Runs a transcript with the server's bytes at once, in pieces and one by one.
pub(super) fn at_every_split(transcript: impl Fn(usize)) {
    for step in [usize::MAX, 7, 3, 2, 1] {
        transcript(step);
    }
}
