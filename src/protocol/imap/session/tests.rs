//! Transcripts: what the session says (`C:`) to what the server says (`S:`), with the bytes
//! of the server coming in at once and one by one.

mod hostile;
mod logins;

use std::collections::HashSet;

use super::operation::{By, End, Failure, Operation, Part, Request, Target};
use super::{Config, Protection, Session};
use crate::protocol::machine::{Gate, OperationId, Output, Protocol};
use crate::protocol::sasl::Account;
use crate::types::flag::{Flag, Flags};
use crate::types::ids::{ModSeq, Uid, UidValidity};
use crate::types::items::Items;
use crate::types::limits::Limits;
use crate::types::mailbox_change::MailboxChange;
use crate::types::mailbox_name::MailboxName;
use crate::types::query::Query;
use crate::types::range_set::RangeSet;
use crate::types::request::{Append, Store};
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
    input: ReceiveBuffer,
    output: SendBuffer,
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

#[test]
fn starttls_comes_before_anything_else_and_capabilities_are_asked_anew() {
    at_every_split(|step| {
        let mut rig = Rig::new(step, Protection::StartTls);
        rig.server("* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN SASL-IR] hi\r\n")
            .unwrap();
        assert_eq!(rig.client(), "M1 STARTTLS\r\n");
        rig.server("* BAD [ALERT] trust me\r\nM1 OK begin\r\n")
            .unwrap();
        assert_eq!(rig.take_said(), ["starttls"]);
        rig.turn().unwrap();
        assert_eq!(rig.client(), "M2 CAPABILITY\r\n");
        rig.server("* CAPABILITY IMAP4rev1 LOGINDISABLED AUTH=PLAIN\r\nM2 OK\r\n")
            .unwrap();
        assert_eq!(rig.client(), "M3 AUTHENTICATE PLAIN\r\n");
        rig.server("* OK wait\r\n+ \r\n").unwrap();
        assert_eq!(rig.client(), "AGFsaWNlAHNlY3JldA==\r\n");
        rig.server("M3 OK in\r\n").unwrap();
        assert_eq!(rig.client(), "M4 CAPABILITY\r\n");
        rig.server("* CAPABILITY IMAP4rev1\r\nM4 OK\r\n").unwrap();
        assert_eq!(rig.take_said(), ["ready"]);
    });
}

#[test]
fn what_comes_between_the_answer_to_starttls_and_the_handshake_is_an_attack() {
    let mut rig = Rig::new(usize::MAX, Protection::StartTls);
    rig.server("* OK hi\r\n").unwrap();
    let error = rig.server("M1 OK begin\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n");
    assert!(matches!(error, Err(Failure::Injected(35))), "{error:?}");
}

#[test]
fn no_password_goes_out_where_starttls_cannot_be_had() {
    for (greeting, answer) in [
        ("* OK hi\r\n", "M1 BAD what\r\n"),
        ("* OK hi\r\n", "M1 NO not now\r\n"),
        ("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\r\n", ""),
        ("* PREAUTH in\r\n", ""),
    ] {
        let mut rig = Rig::new(usize::MAX, Protection::StartTls);
        let result = rig.server(greeting).and_then(|()| rig.server(answer));
        let error = result.unwrap_err();
        assert!(
            matches!(error, Failure::NoStartTls | Failure::PreAuthBeforeTls),
            "{greeting} {answer}: {error}"
        );
        assert!(!rig.client().contains("AUTH"));
    }
}

#[test]
fn logindisabled_is_respected() {
    let mut rig = Rig::new(usize::MAX, Protection::Clear);
    let error = rig.server("* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] hi\r\n");
    assert!(matches!(error, Err(Failure::NoMechanism { .. })));
    assert_eq!(rig.client(), "");
}

#[test]
fn login_is_used_without_auth_plain() {
    let mut rig = Rig::new(usize::MAX, Protection::Clear);
    rig.server("* OK [CAPABILITY IMAP4rev1] hi\r\n").unwrap();
    assert_eq!(rig.client(), "M1 LOGIN alice secret\r\n");
    let error = rig
        .server("M1 NO [AUTHENTICATIONFAILED] no\r\n")
        .unwrap_err();
    assert!(matches!(error, Failure::Rejected { verb: "LOGIN", .. }));
}

#[test]
fn an_operation_selects_its_mailbox_first() {
    at_every_split(|step| {
        let mut rig = Rig::ready(step, CAPABILITIES);
        rig.submit(on("INBOX", Request::Search(By::Uid, Query::all())))
            .unwrap();
        assert_eq!(rig.client(), "M2 SELECT INBOX\r\n");
        rig.server("* 3 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\nM2 OK [READ-WRITE] in\r\n")
            .unwrap();
        assert_eq!(rig.client(), "M3 UID SEARCH RETURN (ALL) ALL\r\n");
        rig.server("* ESEARCH (TAG \"M3\") UID ALL 2:4,9\r\nM3 OK done\r\n")
            .unwrap();
        assert_eq!(rig.take_said(), ["0 found [(2, 4), (9, 9)] of Some(7)"]);
        rig.submit(on("inbox", flags(2, 2))).unwrap();
        assert_eq!(rig.client(), "M4 UID FETCH 2 (UID FLAGS)\r\n");
    });
}

#[test]
fn a_mailbox_that_cannot_be_selected_fails_its_operation_only() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.select_inbox();
    rig.submit(on("Nowhere", flags(1, 1))).unwrap();
    let tag = rig.client().split(' ').next().unwrap().to_owned();
    rig.server(&format!("{tag} NO [NONEXISTENT] no\r\n"))
        .unwrap();
    assert_eq!(rig.take_said().len(), 1);
    rig.submit(on("INBOX", flags(1, 1))).unwrap();
    assert!(
        rig.client().contains("SELECT INBOX"),
        "nothing is selected any more"
    );
}

#[test]
fn fetches_overlap_and_each_caller_gets_its_own() {
    at_every_split(|step| {
        let mut rig = Rig::ready(step, CAPABILITIES);
        rig.select_inbox();
        let one = rig.submit(on("INBOX", flags(1, 2))).unwrap();
        let two = rig.submit(on("INBOX", bodies(2, 3))).unwrap();
        assert_eq!(
            rig.client(),
            "M4 UID FETCH 1:2 (UID FLAGS)\r\nM5 UID FETCH 2:3 (UID BODY.PEEK[])\r\n"
        );
        rig.server(
            "* 1 FETCH (UID 1 FLAGS ())\r\n* 2 FETCH (FLAGS () UID 2)\r\nM4 OK\r\n\
             * 3 FETCH (UID 3 FLAGS (\\Seen))\r\n\
             * 2 FETCH (UID 2 BODY[] {3}\r\nabc)\r\n* 3 FETCH (UID 3 BODY[] {0}\r\n)\r\nM5 OK\r\n",
        )
        .unwrap();
        assert_eq!(
            rig.take_said(),
            [
                format!("{one} message Some(1) [] stream=None"),
                format!("{one} message Some(2) [] stream=None"),
                format!("{one} Done"),
                format!("{two} message Some(2) [\"abc\"] stream=None"),
                format!("{two} message Some(3) [\"\"] stream=None"),
                format!("{two} Done"),
            ]
        );
    });
}

#[test]
fn the_same_message_asked_for_twice_is_delivered_once_to_each() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.select_inbox();
    let one = rig.submit(on("INBOX", flags(1, 1))).unwrap();
    let two = rig.submit(on("INBOX", flags(1, 1))).unwrap();
    rig.server("* 1 FETCH (UID 1 FLAGS ())\r\n* 1 FETCH (UID 1 FLAGS ())\r\n* 1 FETCH (UID 1 FLAGS ())\r\n").unwrap();
    assert_eq!(
        rig.take_said(),
        [
            format!("{one} message Some(1) [] stream=None"),
            format!("{two} message Some(1) [] stream=None")
        ]
    );
}

#[test]
fn what_may_not_overlap_waits() {
    let mut rig = Rig::ready(usize::MAX, "IMAP4rev1 UNSELECT");
    rig.select_inbox();
    let list = || {
        bare(Request::List {
            reference: String::new(),
            pattern: "*".to_owned(),
        })
    };
    rig.submit(on("INBOX", bodies(1, 5))).unwrap();
    assert!(
        rig.submit(on("Other", flags(1, 1))).is_none(),
        "another mailbox"
    );
    let seen = || Store::add(Flags::from_iter([Flag::Seen]));
    assert!(
        rig.submit(on("INBOX", Request::Store(By::Uid, uids(5, 6), seen())))
            .is_none()
    );
    assert!(
        rig.submit(on("INBOX", Request::Store(By::Uid, uids(6, 6), seen())))
            .is_some()
    );
    assert!(
        rig.submit(on(
            "INBOX",
            Request::Fetch(By::Sequence, uids(1, 1), Items::new())
        ))
        .is_none()
    );
    assert!(rig.submit(on("INBOX", Request::Expunge)).is_none());
    assert!(rig.submit(list()).is_some());
    assert!(rig.submit(list()).is_none(), "two lists");
    assert!(rig.submit(bare(Request::Noop)).is_some());
    let mut rig = Rig::ready(usize::MAX, "IMAP4rev1 UNSELECT");
    rig.select_inbox();
    let search = || on("INBOX", Request::Search(By::Uid, Query::all()));
    assert!(rig.submit(search()).is_some());
    assert!(
        rig.submit(search()).is_none(),
        "two searches without a correlator"
    );
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.select_inbox();
    let (one, two) = (rig.submit(search()).unwrap(), rig.submit(search()).unwrap());
    rig.server("* ESEARCH (TAG \"M5\") UID ALL 5\r\n* ESEARCH (TAG \"M4\") UID ALL 4\r\nM4 OK\r\nM5 OK\r\n").unwrap();
    assert_eq!(
        rig.take_said(),
        [
            format!("{one} found [(4, 4)] of Some(7)"),
            format!("{two} found [(5, 5)] of Some(7)")
        ]
    );
}

#[test]
fn uids_of_another_uidvalidity_are_refused_before_anything_is_written() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.select_inbox();
    let mut operation = on("INBOX", flags(1, 1));
    if let Some(target) = &mut operation.target {
        target.uid_validity = UidValidity::new(8);
    }
    rig.submit(operation).unwrap();
    assert_eq!(rig.client(), "");
    assert!(rig.take_said().concat().contains("UIDVALIDITY was 8"));
}

#[test]
fn a_withdrawn_operation_writes_nothing_but_its_select() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.gate.0.insert(0);
    rig.submit(on(
        "INBOX",
        Request::Store(By::Uid, uids(1, 1), Store::add(Flags::default())),
    ))
    .unwrap();
    assert_eq!(rig.client(), "M2 SELECT INBOX\r\n");
    rig.server("M2 OK\r\n").unwrap();
    assert_eq!(rig.client(), "");
    assert_eq!(rig.take_said(), ["0 withdrawn"]);
}

#[test]
fn an_append_waits_for_its_continuation_and_untagged_data_does_not_disturb_it() {
    at_every_split(|step| {
        let mut rig = Rig::ready(step, "IMAP4rev1 UNSELECT UIDPLUS");
        rig.submit(bare(Request::Append(name("INBOX"), Append::new("hello"))))
            .unwrap();
        assert_eq!(rig.client(), "M2 APPEND INBOX {5}\r\n");
        assert!(
            rig.submit(bare(Request::Noop)).is_none(),
            "it would be taken for the literal"
        );
        rig.server("* 7 EXISTS\r\n* OK still here\r\n+ go\r\n")
            .unwrap();
        assert_eq!(rig.client(), "hello\r\n");
        rig.server("M2 OK [APPENDUID 7 42] done\r\n").unwrap();
        assert_eq!(rig.take_said(), ["0 appended Some(42)"]);
    });
}

#[test]
fn a_refused_literal_is_not_sent() {
    let mut rig = Rig::ready(usize::MAX, "IMAP4rev1 UNSELECT");
    rig.submit(bare(Request::Append(name("INBOX"), Append::new("hello"))))
        .unwrap();
    rig.client();
    rig.server("M2 NO [OVERQUOTA] full\r\n").unwrap();
    assert_eq!(rig.client(), "");
    rig.submit(bare(Request::Noop)).unwrap();
    assert_eq!(rig.client(), "M3 NOOP\r\n");
    let mut rig = Rig::ready(usize::MAX, "IMAP4rev1 UNSELECT");
    rig.submit(bare(Request::Append(name("INBOX"), Append::new("hello"))))
        .unwrap();
    assert!(
        rig.server("M2 OK thanks\r\n").is_err(),
        "OK before the literal"
    );
}

#[test]
fn literal_plus_needs_no_permission_and_literal_minus_for_small_ones_only() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.submit(bare(Request::Append(name("INBOX"), Append::new("hello"))))
        .unwrap();
    assert_eq!(rig.client(), "M2 APPEND INBOX {5+}\r\nhello\r\n");
    let mut rig = Rig::ready(usize::MAX, "IMAP4rev1 LITERAL-");
    rig.submit(bare(Request::Append(
        name("INBOX"),
        Append::new(vec![b'x'; 4097]),
    )))
    .unwrap();
    assert_eq!(rig.client(), "M2 APPEND INBOX {4097}\r\n");
}

#[test]
fn move_without_move_finds_copies_marks_and_expunges_by_uid() {
    let mut rig = Rig::ready(usize::MAX, "IMAP4rev1 UNSELECT UIDPLUS");
    rig.select_inbox();
    let all = RangeSet::range(1, u32::MAX);
    let id = rig
        .submit(on("INBOX", Request::Move(By::Uid, all, name("Done"))))
        .unwrap();
    assert_eq!(rig.client(), "M4 UID SEARCH UID 1:*\r\n");
    rig.server("* SEARCH 1 2\r\nM4 OK\r\n").unwrap();
    assert_eq!(rig.client(), "M5 UID COPY 1:2 Done\r\n");
    // What arrives now has not been copied and must not be touched.
    rig.server("* 4 EXISTS\r\nM5 OK [COPYUID 3 1:2 8:9] ok\r\n")
        .unwrap();
    assert_eq!(
        rig.client(),
        "M6 UID STORE 1:2 +FLAGS.SILENT (\\Deleted)\r\n"
    );
    rig.server("M6 OK\r\n").unwrap();
    assert_eq!(rig.client(), "M7 UID EXPUNGE 1:2\r\n");
    rig.server("* 1 EXPUNGE\r\nM7 OK\r\n").unwrap();
    assert_eq!(rig.take_said(), [format!("{id} moved Some(2) left=false")]);
}

#[test]
fn a_move_by_sequence_numbers_without_move_goes_on_by_uid() {
    let mut rig = Rig::ready(usize::MAX, "IMAP4rev1 UNSELECT UIDPLUS");
    rig.select_inbox();
    rig.submit(on(
        "INBOX",
        Request::Move(By::Sequence, uids(2, 2), name("Done")),
    ))
    .unwrap();
    assert_eq!(rig.client(), "M4 UID SEARCH 2\r\n");
    rig.server("* SEARCH 20\r\nM4 OK\r\n").unwrap();
    assert_eq!(rig.client(), "M5 UID COPY 20 Done\r\n");
    rig.server("* 1 EXPUNGE\r\nM5 OK\r\n").unwrap();
    assert_eq!(
        rig.client(),
        "M6 UID STORE 20 +FLAGS.SILENT (\\Deleted)\r\n"
    );
}

#[test]
fn many_sequence_numbers_are_resolved_before_anything_moves() {
    for copies in [true, false] {
        let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
        rig.select_inbox();
        let mut set = RangeSet::default();
        for number in 0..3_000u32 {
            set.insert(number * 2 + 1_001, number * 2 + 1_001);
        }
        let request = if copies {
            Request::Copy(By::Sequence, set, name("Done"))
        } else {
            Request::Move(By::Sequence, set, name("Done"))
        };
        rig.submit(on("INBOX", request)).unwrap();
        let sent = rig.client();
        assert!(sent.lines().count() > 1);
        for line in sent.lines() {
            let tag = line.split(' ').next().unwrap();
            assert!(line.contains("UID SEARCH RETURN (ALL)"), "{line}");
            assert_eq!(rig.client(), "");
            rig.server(&format!(
                "* ESEARCH (TAG \"{tag}\") UID ALL 7:9\r\n{tag} OK\r\n"
            ))
            .unwrap();
        }
        let verb = if copies { "UID COPY" } else { "UID MOVE" };
        assert!(rig.client().contains(&format!("{verb} 7:9 Done")));
    }
}

#[test]
fn how_to_move_is_settled_once() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.select_inbox();
    rig.submit(on(
        "INBOX",
        Request::Move(By::Uid, uids(2, 2), name("Done")),
    ))
    .unwrap();
    rig.client();
    rig.server("* CAPABILITY IMAP4rev1\r\nM4 OK moved\r\n")
        .unwrap();
    assert_eq!(rig.client(), "");
    assert!(rig.take_said().concat().contains("left=false"));
}

#[test]
fn move_without_uidplus_leaves_the_originals_marked() {
    let mut rig = Rig::ready(usize::MAX, "IMAP4rev1 UNSELECT");
    rig.select_inbox();
    let request = || Request::Move(By::Uid, uids(1, 1), name("Done"));
    rig.submit(on("INBOX", request())).unwrap();
    rig.server("* SEARCH 1\r\nM4 OK\r\nM5 OK\r\nM6 OK\r\n")
        .unwrap();
    assert!(!rig.client().contains("EXPUNGE"));
    assert!(rig.take_said().concat().contains("left=true"));
    // Nothing is marked where nothing was copied.
    rig.submit(on("INBOX", request())).unwrap();
    rig.client();
    rig.server("* SEARCH 1\r\nM7 OK\r\n").unwrap();
    rig.client();
    rig.server("M8 NO [TRYCREATE] no\r\n").unwrap();
    assert_eq!(rig.client(), "");
}

#[test]
fn a_refusal_after_a_success_says_that_something_was_done() {
    let mut rig = Rig::ready(usize::MAX, "IMAP4rev1 UNSELECT");
    rig.select_inbox();
    rig.submit(on(
        "INBOX",
        Request::Move(By::Uid, uids(1, 1), name("Done")),
    ))
    .unwrap();
    rig.session
        .advance(&mut rig.input, &mut rig.output, &mut rig.gate)
        .unwrap();
    rig.input.push(b"* SEARCH 1\r\nM4 OK\r\nM5 OK copied\r\n");
    rig.session
        .advance(&mut rig.input, &mut rig.output, &mut rig.gate)
        .unwrap();
    rig.input.push(b"M6 NO read-only\r\n");
    rig.session
        .advance(&mut rig.input, &mut rig.output, &mut rig.gate)
        .unwrap();
    match rig.session.poll() {
        Some(Output::End(_, Err(Failure::Rejected { partly, .. }))) => assert!(partly),
        _ => panic!("the move should have failed"),
    }
}

#[test]
fn a_renamed_mailbox_is_selected_anew() {
    for request in [
        Request::Rename(name("INBOX"), name("Old")),
        Request::Delete(name("INBOX")),
    ] {
        let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
        rig.select_inbox();
        rig.submit(bare(request)).unwrap();
        rig.client();
        rig.server("M4 OK\r\n").unwrap();
        rig.submit(on("INBOX", flags(1, 1))).unwrap();
        assert_eq!(rig.client(), "M5 SELECT INBOX\r\n");
    }
}

#[test]
fn copyuid_may_come_untagged() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.select_inbox();
    let id = rig
        .submit(on(
            "INBOX",
            Request::Move(By::Uid, uids(1, 3), name("Done")),
        ))
        .unwrap();
    assert_eq!(rig.client(), "M4 UID MOVE 1:3 Done\r\n");
    rig.server("* OK [COPYUID 3 1:3 8:10] ok\r\n* 1 EXPUNGE\r\nM4 OK\r\n")
        .unwrap();
    assert_eq!(rig.take_said(), [format!("{id} moved Some(3) left=false")]);
}

#[test]
fn a_large_body_is_streamed_in_chunks() {
    at_every_split(|step| {
        let mut rig = Rig::ready(step, CAPABILITIES);
        rig.select_inbox();
        rig.submit(on("INBOX", bodies(1, 2))).unwrap();
        let body = "x".repeat(50);
        rig.server(&format!(
            "* 1 FETCH (UID 1 BODY[] {{50}}\r\n{body} FLAGS (\\Seen))\r\n* 2 FETCH (UID 2 BODY[] {{1}}\r\ny)\r\nM4 OK\r\n"
        ))
        .unwrap();
        let said = rig.take_said();
        let chunks: usize = said
            .iter()
            .filter_map(|line| line.strip_prefix("1 chunk "))
            .map(|size| size.parse::<usize>().unwrap())
            .sum();
        let others: Vec<&String> = said.iter().filter(|line| !line.contains("chunk")).collect();
        assert_eq!(chunks, 50);
        assert_eq!(
            others,
            [
                "1 message Some(1) [] stream=Some(50)",
                "1 rest flags=true stream=false",
                "1 message Some(2) [\"y\"] stream=None",
                "1 Done"
            ]
        );
    });
}

#[test]
fn a_large_body_whose_uid_comes_last_is_held_until_it_comes() {
    at_every_split(|step| {
        let mut rig = Rig::ready(step, CAPABILITIES);
        rig.select_inbox();
        rig.submit(on("INBOX", bodies(1, 2))).unwrap();
        let body = "x".repeat(50);
        rig.server(&format!(
            "* 1 FETCH (FLAGS () BODY[] {{50}}\r\n{body} UID 1)\r\n\
             * 2 FETCH (BODY[] {{2}}\r\nyz UID 2)\r\nM4 OK\r\n"
        ))
        .unwrap();
        assert_eq!(
            rig.take_said(),
            [
                format!("1 message Some(1) [{body:?}] stream=None"),
                "1 message Some(2) [\"yz\"] stream=None".to_owned(),
                "1 Done".to_owned()
            ]
        );
    });
}

#[test]
fn a_message_that_cannot_be_read_is_refused_and_the_others_follow() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.select_inbox();
    rig.submit(on("INBOX", flags(1, 3))).unwrap();
    rig.server("* 1 FETCH (UID 1 UID 2 FLAGS ())\r\n* 2 FETCH (UID 2 FLAGS ())\r\nM4 OK\r\n")
        .unwrap();
    assert_eq!(
        rig.take_said(),
        [
            "1 refused Some(1): continued=false",
            "1 message Some(2) [] stream=None",
            "1 Done"
        ]
    );
}

#[test]
fn what_the_server_says_unasked_reaches_whoever_asks() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.select_inbox();
    rig.server("* 4 EXISTS\r\n* 2 FETCH (FLAGS (\\Seen))\r\n* 1 EXPUNGE\r\n* XFOO bar\r\n* OK [ALERT] hi\r\n").unwrap();
    let id = rig.submit(on("INBOX", Request::Events)).unwrap();
    rig.server("M4 OK\r\n").unwrap();
    let said = rig.take_said();
    assert!(
        said[0].starts_with(&format!("{id} events [Exists(4), FlagsChanged")),
        "{said:?}"
    );
    assert!(said[0].contains("Expunged"));
}

#[test]
fn the_last_message_answers_for_the_star_whatever_its_number() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.select_inbox();
    let set = RangeSet::range(500, u32::MAX);
    let request = Request::Fetch(By::Uid, set, Items::new().flags());
    rig.submit(on("INBOX", request)).unwrap();
    assert_eq!(rig.client(), "M4 UID FETCH 500:* (UID FLAGS)\r\n");
    rig.server("* 2 FETCH (UID 8 FLAGS ())\r\n* 3 FETCH (UID 9 FLAGS ())\r\nM4 OK\r\n")
        .unwrap();
    assert_eq!(
        rig.take_said(),
        ["1 message Some(9) [] stream=None", "1 Done"]
    );
}

#[test]
fn an_untagged_copyuid_belongs_to_the_command_about_its_messages() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.select_inbox();
    let to = || MailboxName::new("b").unwrap();
    rig.submit(on("INBOX", Request::Copy(By::Uid, uids(1, 3), to())));
    rig.submit(on("INBOX", Request::Move(By::Uid, uids(5, 6), to())));
    assert_eq!(rig.client(), "M4 UID COPY 1:3 b\r\nM5 UID MOVE 5:6 b\r\n");
    // As Dovecot has it: the answer to COPY waits for the end of the MOVE.
    rig.server(
        "* OK [COPYUID 7 5:6 20:21] moved\r\nM4 OK [COPYUID 7 1:3 30:32] copied\r\nM5 OK\r\n",
    )
    .unwrap();
    assert_eq!(
        rig.take_said(),
        ["1 copied Some(3)", "2 moved Some(2) left=false"]
    );
}

#[test]
fn untagged_appenduids_go_to_one_append_after_the_other() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    for _ in 0..2 {
        let append = Append::new("x");
        rig.submit(bare(Request::Append(MailboxName::inbox(), append)));
    }
    rig.server("* OK [APPENDUID 7 1] one\r\n* OK [APPENDUID 7 2] two\r\nM2 OK\r\nM3 OK\r\n")
        .unwrap();
    assert_eq!(
        rig.take_said(),
        ["0 appended Some(1)", "1 appended Some(2)"]
    );
}

#[test]
fn vanished_takes_the_place_of_expunge() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.select_inbox();
    rig.submit(on("INBOX", Request::Expunge)).unwrap();
    rig.server("* VANISHED (EARLIER) 1\r\n* VANISHED 4,6:7\r\nM4 OK\r\n")
        .unwrap();
    assert_eq!(rig.take_said(), ["1 expunged 3"]);
}

#[test]
fn tags_that_are_not_under_way_end_the_session() {
    for answer in ["M4 OK\r\nM4 OK\r\n", "M5 OK\r\n", "M4 OK\r\nA1 OK\r\n"] {
        let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
        rig.select_inbox();
        rig.submit(bare(Request::Noop)).unwrap();
        assert!(
            matches!(rig.server(answer), Err(Failure::Protocol(_))),
            "{answer}"
        );
    }
}

#[test]
fn bye_ends_the_session_except_after_logout() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    assert!(matches!(
        rig.server("* BYE gone\r\n"),
        Err(Failure::Bye { .. })
    ));
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.session.quit();
    rig.turn().unwrap();
    assert_eq!(rig.client(), "M2 LOGOUT\r\n");
    rig.server("* BYE see you\r\nM2 OK\r\n").unwrap();
    assert_eq!(rig.take_said(), ["finished"]);
}

#[test]
fn a_reset_leaves_the_mailbox_and_expunges_nothing() {
    let mut rig = Rig::ready(usize::MAX, "IMAP4rev1 UNSELECT");
    rig.select_inbox();
    rig.session.reset();
    rig.turn().unwrap();
    assert_eq!(rig.client(), "M4 UNSELECT\r\n");
    assert!(
        rig.submit(bare(Request::Noop)).is_none(),
        "nothing overlaps a reset"
    );
    rig.server("M4 OK\r\n").unwrap();
    assert_eq!(rig.take_said(), ["reset"]);
    rig.submit(on("INBOX", flags(1, 1))).unwrap();
    assert!(rig.client().contains("SELECT INBOX"));
}

#[test]
fn without_unselect_a_mailbox_is_closed_only_once_it_is_read_only() {
    let begin = || {
        let mut rig = Rig::ready(usize::MAX, "IMAP4rev1");
        rig.select_inbox();
        rig.session.reset();
        rig.turn().unwrap();
        assert_eq!(rig.client(), "M4 EXAMINE INBOX\r\n");
        rig
    };
    let mut rig = begin();
    rig.server("M4 OK [READ-ONLY]\r\n").unwrap();
    assert_eq!(rig.client(), "M5 CLOSE\r\n");
    assert!(rig.take_said().is_empty());
    rig.server("M5 OK\r\n").unwrap();
    assert_eq!(rig.take_said(), ["reset"]);
    let mut rig = begin();
    rig.server("M4 NO gone\r\n").unwrap();
    assert_eq!((rig.client().as_str(), rig.take_said().len()), ("", 1));
    let mut rig = begin();
    assert!(
        rig.server("M4 BAD what\r\n").is_err(),
        "still writable, perhaps"
    );
    assert_eq!(rig.client(), "");
}

#[test]
fn unselect_without_the_command_closes_only_once_the_mailbox_is_read_only() {
    let mut rig = Rig::ready(usize::MAX, "IMAP4rev1");
    rig.select_inbox();
    rig.submit(bare(Request::Unselect)).unwrap();
    assert_eq!(rig.client(), "M4 EXAMINE INBOX\r\n");
    rig.server("M4 BAD what\r\n").unwrap();
    assert_eq!(rig.client(), "");
    rig.submit(on("INBOX", flags(1, 1))).unwrap();
    assert!(rig.client().contains("SELECT INBOX"));
}

#[test]
fn events_are_bounded_in_bytes() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.select_inbox();
    let flags = "k".repeat(200_000);
    for _ in 0..20 {
        rig.server(&format!("* 1 FETCH (FLAGS ({flags}))\r\n"))
            .unwrap();
    }
    rig.submit(on("INBOX", Request::Events)).unwrap();
    rig.server("M4 OK\r\n").unwrap();
    let said = rig.take_said().concat();
    assert!(said.len() < 2_000_000 && said.ends_with("Overflow]"));
}

#[test]
fn a_server_that_never_stops_asking_is_refused() {
    let mut rig = Rig::new(usize::MAX, Protection::Clear);
    rig.server("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\r\n")
        .unwrap();
    assert!(rig.server(&"+ \r\n".repeat(50)).is_err());
    assert!(rig.client().len() < 500);
}

#[test]
fn a_set_too_long_for_one_line_goes_out_in_several_commands() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.select_inbox();
    let mut set = RangeSet::default();
    for number in 0..5_000u32 {
        set.insert(number * 2 + 1_000_000, number * 2 + 1_000_000);
    }
    rig.submit(on(
        "INBOX",
        Request::Fetch(By::Uid, set, Items::new().flags()),
    ))
    .unwrap();
    let sent = rig.client();
    let lines: Vec<&str> = sent.lines().collect();
    assert!(lines.len() > 4 && lines.iter().all(|line| line.len() < 8_000));
    for line in &lines {
        assert!(rig.take_said().is_empty());
        let tag = line.split(' ').next().unwrap();
        rig.server(&format!("{tag} OK\r\n")).unwrap();
    }
    assert_eq!(rig.take_said(), ["1 Done"]);
}

#[test]
fn an_empty_set_takes_no_command() {
    let mut rig = Rig::ready(usize::MAX, CAPABILITIES);
    rig.select_inbox();
    rig.submit(on(
        "INBOX",
        Request::Fetch(By::Uid, RangeSet::default(), Items::new()),
    ))
    .unwrap();
    assert_eq!(rig.client(), "");
    assert_eq!(rig.take_said(), ["1 Done"]);
}

#[test]
fn a_missing_extension_is_said_before_anything_is_written() {
    let mut rig = Rig::ready(usize::MAX, "IMAP4rev1");
    rig.submit(bare(Request::Namespace)).unwrap();
    assert_eq!(rig.client(), "");
    assert!(rig.take_said().concat().contains("NAMESPACE"));
}
