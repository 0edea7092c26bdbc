//! One message on its way.
//!
//! ```text
//! Waiting ─► Envelope ─► Asked ─► Content ─► Sent ─► end
//!               │          │         ▲         │
//!               │ BDAT ────┼─────────┘         │ recipients are left: the next round
//!               ▼          ▼                   ▼
//!            refused: RSET, end             Waiting
//! ```
//! Nothing is delivered before the end of the message has been written. That is where the gate
//! is: until then the sender may withdraw, and a connection that breaks has done nothing.

use super::super::command::{self, MailParameters};
use super::super::content::{Content, Pull};
use super::operation::{End, Failure, Mail, Operation};
use super::{Expected, Session};
use crate::protocol::machine::{Gate, OperationId, Output, Protocol as _, Salvaged};
use crate::types::smtp::envelope::{BodyType, Hold};
use crate::types::smtp::reply::SmtpReply;
use crate::types::smtp::report::RecipientOutcome;
use crate::wire::outgoing::Piece;
use crate::wire::send::SendBuffer;

/// Bytes of a message that wait for the socket at most, before the next piece.
const AHEAD: usize = 256 * 1024;

/// How far a message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing of this round has been written.
    Waiting,
    /// MAIL and RCPT have been written, or some of them.
    Envelope,
    /// DATA has been written.
    Asked,
    /// The message is being written.
    Content,
    /// All of it has been written.
    Sent,
}

/// Why nobody of a round gets the message.
pub(super) struct Refused {
    pub verb: &'static str,
    pub reply: SmtpReply,
}

pub(super) struct Transaction {
    pub id: OperationId,
    mail: Mail,
    pub stage: Stage,
    /// The recipients of this round, by their places in the envelope.
    round: Vec<usize>,
    /// How many of them have had their RCPT.
    named: usize,
    /// Those that the server has accepted.
    pub accepted: Vec<usize>,
    /// MAIL and RCPT commands that have not been answered.
    pub unanswered: usize,
    /// MAIL was refused.
    pub refused: Option<Refused>,
    utf8: bool,
    chunking: bool,
    /// The next piece of a message in memory.
    next: usize,
    /// BDAT commands that have not been answered.
    pub chunks: usize,
    /// The source of the message has given its last piece.
    is_exhausted: bool,
    /// Where the message ends in what is written to the connection.
    end: Option<u64>,
    /// Replies for single recipients that are to come (LMTP).
    open_ends: usize,
    /// Behind the end of the message nobody is left for another round.
    is_last_round: bool,
    /// The server has said that it did not take the message.
    pub is_undone: bool,
    /// Its sender has given up.
    pub given_up: bool,
    /// MAIL has been written, perhaps in an earlier round.
    was_begun: bool,
}

impl Transaction {
    pub(super) fn new(id: OperationId, mail: Mail) -> Self {
        Self {
            id,
            mail,
            stage: Stage::Waiting,
            round: Vec::new(),
            named: 0,
            accepted: Vec::new(),
            unanswered: 0,
            refused: None,
            utf8: false,
            chunking: false,
            next: 0,
            chunks: 0,
            is_exhausted: false,
            end: None,
            open_ends: 0,
            is_last_round: false,
            is_undone: false,
            given_up: false,
            was_begun: false,
        }
    }

    pub(super) fn note(&mut self, index: usize, outcome: RecipientOutcome) {
        if let Some(place) = self.mail.outcomes.get_mut(index) {
            *place = Some(outcome);
        }
    }

    /// Whether the message can be sent to some recipients now and to others later.
    pub(super) fn may_have_rounds(&self) -> bool {
        matches!(self.mail.content, Content::Whole(_))
    }

    /// Whether all of it has been written, and no other round follows: then the next message may
    /// begin behind it.
    pub(super) fn is_sent(&self) -> bool {
        // A refused chunk is followed by RSET, which must not meet the next envelope.
        self.stage == Stage::Sent && self.is_last_round && self.chunks == 0
    }

    /// Whether there is more to write as soon as there is room.
    pub(super) fn is_held_back(&self) -> bool {
        self.stage == Stage::Content
            && match &self.mail.content {
                Content::Whole(_) => true,
                Content::Stream(source) => source.is_ready(),
            }
    }

    fn open_recipients(&self) -> Vec<usize> {
        let outcomes = self.mail.outcomes.iter().enumerate();
        outcomes
            .filter_map(|(index, outcome)| outcome.is_none().then_some(index))
            .collect()
    }
}

/// What became of an attempt to write more of a message.
enum Filled {
    /// It is written to its end.
    Whole,
    /// There is no room, or no more has come.
    Partly,
    /// Its sender has given up, or its source has failed.
    BrokenOff,
    Failed(Failure),
}

impl Session {
    /// Writes what can be written of the messages under way.
    pub(super) fn drive(&mut self, output: &mut SendBuffer, gate: &mut dyn Gate) {
        let ids: Vec<OperationId> = self.transactions.iter().map(|one| one.id).collect();
        for id in ids {
            while self.drive_one(id, output, gate) {}
        }
    }

    /// Goes one step further. Returns whether there was one.
    fn drive_one(&mut self, id: OperationId, output: &mut SendBuffer, gate: &mut dyn Gate) -> bool {
        let pipelines = self.pipelines();
        let may_write = pipelines || self.expected.is_empty();
        let is_first = self.transactions.front().is_some_and(|one| one.id == id);
        let may_follow = self.transactions.front().is_some_and(Transaction::is_sent);
        let Some(transaction) = self.transaction(id) else {
            return false;
        };
        match transaction.stage {
            Stage::Waiting => {
                if transaction.given_up {
                    self.withdraw(id, false);
                    return true;
                }
                if !may_write || !(is_first || may_follow) {
                    return false;
                }
                self.begin_round(id);
                true
            }
            Stage::Envelope => {
                if transaction.named < transaction.round.len() && transaction.refused.is_none() {
                    if !may_write {
                        return false;
                    }
                    self.name_recipient(id);
                    return true;
                }
                if transaction.unanswered > 0 || !(is_first && may_write) {
                    return false;
                }
                self.judge(id);
                true
            }
            Stage::Asked | Stage::Sent => false,
            Stage::Content => {
                self.flush(output);
                match self.fill(id, output, gate) {
                    Filled::Whole => true,
                    Filled::Partly => false,
                    Filled::BrokenOff => {
                        self.break_off(id, None);
                        false
                    }
                    Filled::Failed(failure) => {
                        self.break_off(id, Some(failure));
                        false
                    }
                }
            }
        }
    }

    /// What the message needs and the server lacks.
    fn lacking(&self, mail: &Mail) -> Option<Failure> {
        let offers = |keyword: &'static str| {
            if self.capabilities.supports(keyword) {
                None
            } else {
                Some(Failure::Missing(keyword))
            }
        };
        let envelope = &mail.envelope;
        let missing = |needed: bool, keyword| if needed { offers(keyword) } else { None };
        if let (Some(size), Some(limit)) = (mail.content.size(), self.capabilities.size()) {
            if size > limit {
                return Some(Failure::TooLarge { size, limit });
            }
        }
        let (eight_bit, nul) = match &mail.content {
            Content::Whole(prepared) => (prepared.eight_bit, prepared.nul),
            Content::Stream(_) => (false, false),
        };
        let binary = envelope.body_type() == Some(BodyType::Binary);
        let needs_chunks = binary || nul;
        missing(envelope.needs_utf8(), "SMTPUTF8")
            .or_else(|| missing(envelope.needs_dsn(), "DSN"))
            .or_else(|| missing(envelope.hold().is_some(), "FUTURERELEASE"))
            .or_else(|| missing(envelope.needs_tls(), "REQUIRETLS"))
            // Offered in clear it means nothing (RFC 8689 §3).
            .or_else(|| {
                let unsafe_way = envelope.needs_tls() && !self.secure;
                unsafe_way.then_some(Failure::Missing("REQUIRETLS"))
            })
            .or_else(|| missing(binary, "BINARYMIME"))
            .or_else(|| missing(needs_chunks, "CHUNKING"))
            .or_else(|| {
                (needs_chunks && !self.config.chunking).then_some(Failure::Missing("CHUNKING"))
            })
            .or_else(|| missing(eight_bit && !binary, "8BITMIME"))
            .or_else(|| self.holds_too_long(envelope.hold()))
    }

    /// FUTURERELEASE names the longest time in seconds (RFC 4865 §5).
    fn holds_too_long(&self, hold: Option<Hold>) -> Option<Failure> {
        let Some(Hold::For(time)) = hold else {
            return None;
        };
        let parameters = self.capabilities.parameters("FUTURERELEASE")?;
        let most: u64 = parameters.split_ascii_whitespace().next()?.parse().ok()?;
        (time.as_secs() > most).then_some(Failure::Missing("a FUTURERELEASE of that length"))
    }

    fn mail_parameters(&self, mail: &Mail) -> MailParameters {
        let declared = mail.envelope.body_type();
        let eight_bit = match &mail.content {
            Content::Whole(prepared) => prepared.eight_bit,
            // What it has is not known yet.
            Content::Stream(_) => declared != Some(BodyType::SevenBit),
        };
        let takes_eight = self.capabilities.supports("8BITMIME");
        let body = match declared {
            Some(BodyType::Binary) => Some(BodyType::Binary),
            _ if eight_bit && takes_eight => Some(BodyType::EightBit),
            Some(BodyType::SevenBit) if takes_eight => Some(BodyType::SevenBit),
            _ => None,
        };
        MailParameters {
            size: mail
                .content
                .size()
                .filter(|_| self.capabilities.supports("SIZE")),
            body,
            utf8: mail.envelope.needs_utf8(),
        }
    }

    /// Writes MAIL for the recipients that are left.
    fn begin_round(&mut self, id: OperationId) {
        let most = self.capabilities.limit("RCPTMAX");
        let most_domains = self.capabilities.limit("RCPTDOMAINMAX");
        let offered = self.capabilities.supports("CHUNKING") && self.config.chunking;
        let Some(at) = self.transactions.iter().position(|one| one.id == id) else {
            return;
        };
        let Some(transaction) = self.transactions.get(at) else {
            return;
        };
        if let Some(failure) = self.lacking(&transaction.mail) {
            self.end(id, Err(failure));
            return;
        }
        let parameters = self.mail_parameters(&transaction.mail);
        let mail_line = command::mail(&transaction.mail.envelope, parameters);
        let Some(transaction) = self.transactions.get_mut(at) else {
            return;
        };
        let mut round = transaction.open_recipients();
        if transaction.may_have_rounds() {
            let most = most.and_then(|most| usize::try_from(most).ok());
            round.truncate(most.unwrap_or(usize::MAX));
            keep_domains(&mut round, &transaction.mail, most_domains);
        }
        transaction.round = round;
        transaction.named = 0;
        transaction.next = 0;
        transaction.accepted.clear();
        transaction.refused = None;
        transaction.utf8 = parameters.utf8;
        transaction.chunking = offered;
        transaction.end = None;
        transaction.unanswered = 1;
        transaction.stage = Stage::Envelope;
        transaction.was_begun = true;
        self.begun += 1;
        self.send(Expected::Mail(id), &mail_line);
    }

    fn name_recipient(&mut self, id: OperationId) {
        let Some(transaction) = self.transaction(id) else {
            return;
        };
        let index = transaction.round.get(transaction.named).copied();
        transaction.named += 1;
        let recipients = transaction.mail.envelope.recipients();
        let Some((index, recipient)) =
            index.and_then(|index| Some((index, recipients.get(index)?)))
        else {
            return;
        };
        let line = command::rcpt(recipient, transaction.utf8);
        transaction.unanswered += 1;
        self.send(Expected::Rcpt(id, index), &line);
    }

    /// All replies to MAIL and RCPT are there: does anybody get the message?
    fn judge(&mut self, id: OperationId) {
        let Some(transaction) = self.transaction(id) else {
            return;
        };
        if transaction.given_up {
            self.withdraw(id, true);
            return;
        }
        if let Some(refused) = transaction.refused.take() {
            // Postfix keeps a refused size in mind until RSET.
            self.refuse_round(id, refused.verb, &refused.reply, true);
            return;
        }
        if transaction.accepted.is_empty() {
            self.send(Expected::Reset, "RSET\r\n");
            self.end_round(id);
            return;
        }
        if transaction.chunking {
            transaction.stage = Stage::Content;
        } else {
            transaction.stage = Stage::Asked;
            self.send(Expected::Go(id), "DATA\r\n");
        }
    }

    /// The server takes the message for nobody of this round. `reset`: it may have kept what it
    /// was told about it.
    pub(super) fn refuse_round(
        &mut self,
        id: OperationId,
        verb: &'static str,
        reply: &SmtpReply,
        reset: bool,
    ) {
        let Some(transaction) = self.transaction(id) else {
            return;
        };
        let earlier = transaction.mail.anybody_accepted();
        for index in std::mem::take(&mut transaction.round) {
            let outcome = transaction.mail.outcomes.get_mut(index);
            if let Some(outcome @ None) = outcome {
                *outcome = Some(RecipientOutcome::Refused(reply.clone()));
            }
        }
        if reset {
            self.send(Expected::Reset, "RSET\r\n");
        }
        if earlier {
            self.end_round(id);
        } else {
            let reply = reply.clone();
            self.end(id, Err(Failure::Refused { verb, reply }));
        }
    }

    /// Writes the message as far as there is room.
    fn fill(&mut self, id: OperationId, output: &mut SendBuffer, gate: &mut dyn Gate) -> Filled {
        let pipelines = self.pipelines();
        let unanswered = self.expected.len();
        let lmtp = self.config.lmtp;
        let takes_eight = self.capabilities.supports("8BITMIME");
        let Some(transaction) = self.transactions.iter_mut().find(|one| one.id == id) else {
            return Filled::Partly;
        };
        if transaction.given_up {
            return Filled::BrokenOff;
        }
        let chunking = transaction.chunking;
        let ended = match &mut transaction.mail.content {
            Content::Whole(prepared) => {
                let last = prepared.pieces.len().saturating_sub(1);
                loop {
                    if transaction.next >= last && !gate.write(id) {
                        return Filled::BrokenOff;
                    }
                    if chunking && transaction.next == 0 {
                        output.put(command::bdat(prepared.len, true).as_bytes());
                    }
                    let Some(piece) = prepared.pieces.get(transaction.next) else {
                        break true;
                    };
                    put(piece, chunking, output);
                    transaction.next += 1;
                    if transaction.next <= last && output.len() >= AHEAD {
                        break false;
                    }
                }
            }
            Content::Stream(source) => loop {
                if transaction.is_exhausted {
                    // Where a chunk was refused, it is not said how many replies the last one has.
                    if chunking && lmtp && transaction.chunks > 0 {
                        break false;
                    }
                    if !gate.write(id) {
                        return Filled::BrokenOff;
                    }
                    if chunking {
                        output.put(command::bdat(0, true).as_bytes());
                    }
                    break true;
                }
                if output.len() >= AHEAD || (chunking && !pipelines && unanswered > 0) {
                    break false;
                }
                match source.next() {
                    Pull::Piece(piece) => {
                        let binary =
                            transaction.mail.envelope.body_type() == Some(BodyType::Binary);
                        if piece.nul && !chunking {
                            return Filled::Failed(Failure::Missing("CHUNKING"));
                        }
                        if piece.eight_bit && !takes_eight && !binary {
                            return Filled::Failed(Failure::Missing("8BITMIME"));
                        }
                        if chunking {
                            output.put(command::bdat(piece.len() as u64, false).as_bytes());
                            transaction.chunks += 1;
                            self.expected.push_back(Expected::Chunk(id));
                        }
                        put(&piece, chunking, output);
                        if chunking && !pipelines {
                            break false;
                        }
                    }
                    Pull::NotYet => break false,
                    Pull::Broken => return Filled::BrokenOff,
                    Pull::End => transaction.is_exhausted = true,
                }
            },
        };
        if !ended {
            return Filled::Partly;
        }
        if !chunking {
            output.put(b".\r\n");
        }
        transaction.end = Some(output.appended());
        transaction.stage = Stage::Sent;
        let left = transaction.open_recipients().len();
        transaction.is_last_round =
            !transaction.may_have_rounds() || left == transaction.accepted.len();
        let accepted = transaction.accepted.clone();
        transaction.open_ends = if lmtp { accepted.len() } else { 1 };
        if lmtp {
            let ends = accepted.into_iter();
            self.expected
                .extend(ends.map(|index| Expected::EndFor(id, index)));
        } else {
            self.expected.push_back(Expected::End(id));
        }
        Filled::Whole
    }

    /// The message cannot be completed. Between two chunks it can be taken back; in the middle
    /// of anything else only the end of the connection does that.
    fn break_off(&mut self, id: OperationId, failure: Option<Failure>) {
        let between_chunks = self.transaction(id).is_some_and(|transaction| {
            transaction.chunking
                && match transaction.mail.content {
                    Content::Whole(_) => transaction.next == 0,
                    Content::Stream(_) => true,
                }
        });
        if between_chunks {
            self.send(Expected::Reset, "RSET\r\n");
        } else {
            self.broken_off = true;
        }
        match failure {
            Some(failure) => self.end(id, Err(failure)),
            None => self.withdraw(id, false),
        }
    }

    fn withdraw(&mut self, id: OperationId, reset: bool) {
        if reset {
            self.send(Expected::Reset, "RSET\r\n");
        }
        self.transactions.retain(|one| one.id != id);
        self.outputs.push_back(Output::Withdrawn(id));
    }

    /// The reply to the end of a message, for one recipient or for all of the round.
    pub(super) fn message_answered(
        &mut self,
        id: OperationId,
        index: Option<usize>,
        reply: SmtpReply,
    ) {
        let Some(transaction) = self.transaction(id) else {
            return;
        };
        let taken = reply.code / 100 == 2;
        if index.is_none() && !taken {
            self.refuse_round(id, "DATA", &reply, false);
            return;
        }
        let outcome = if taken {
            RecipientOutcome::Accepted(reply)
        } else {
            RecipientOutcome::Refused(reply)
        };
        match index {
            Some(index) => transaction.note(index, outcome),
            None => {
                for index in std::mem::take(&mut transaction.accepted) {
                    transaction.note(index, outcome.clone());
                }
            }
        }
        transaction.open_ends = transaction.open_ends.saturating_sub(1);
        if transaction.open_ends == 0 {
            self.end_round(id);
        }
    }

    /// A round is over: the next one, or the end.
    fn end_round(&mut self, id: OperationId) {
        let Some(transaction) = self.transaction(id) else {
            return;
        };
        if transaction.may_have_rounds() && !transaction.open_recipients().is_empty() {
            transaction.stage = Stage::Waiting;
            if self.is_worn() {
                self.put_off(id);
            }
            return;
        }
        let report = transaction.mail.report();
        let end = if transaction.mail.anybody_accepted() {
            Ok(End::Sent(report))
        } else {
            Err(Failure::NobodyAccepted(report.into()))
        };
        self.end(id, end);
    }

    /// The next round needs another connection.
    fn put_off(&mut self, id: OperationId) {
        if let Some(at) = self.transactions.iter().position(|one| one.id == id) {
            if let Some(transaction) = self.transactions.remove(at) {
                let rest = Operation::Send(Box::new(transaction.mail));
                self.outputs.push_back(Output::Again(id, rest));
            }
        }
    }

    /// The connection has broken, and `written` bytes have been given to it. What was not written
    /// to its end has not been delivered.
    pub(super) fn salvage_transactions(&mut self, written: u64) -> Vec<Salvaged<Self>> {
        let waiting = std::mem::take(&mut self.simple).into_iter();
        let waiting = waiting.map(|(id, operation)| (id, operation, false));
        let asked = self.asked.take();
        let asked = asked.map(|(id, operation)| (id, operation, true));
        let mut salvaged: Vec<Salvaged<Self>> = asked
            .into_iter()
            .chain(waiting)
            .map(|(id, operation, sent)| Salvaged {
                id,
                again: Some(operation),
                sent,
                undone: !sent,
            })
            .collect();
        for mut transaction in std::mem::take(&mut self.transactions) {
            let id = transaction.id;
            let undone = transaction.is_undone || transaction.end.is_none_or(|end| written < end);
            if !undone {
                for index in std::mem::take(&mut transaction.accepted) {
                    let outcome = transaction.mail.outcomes.get_mut(index);
                    if let Some(outcome @ None) = outcome {
                        *outcome = Some(RecipientOutcome::Unknown);
                    }
                }
            }
            let mut mail = transaction.mail;
            let open = mail.outcomes.iter().any(Option::is_none);
            let was_tried_again = mail.was_broken && transaction.was_begun;
            mail.was_broken |= transaction.was_begun;
            if mail.anybody_accepted() && (!open || was_tried_again) {
                for outcome in &mut mail.outcomes {
                    outcome.get_or_insert(RecipientOutcome::Unknown);
                }
                // Some have it, and what is not known is told.
                let report = mail.report();
                self.outputs
                    .push_back(Output::End(id, Ok(End::Sent(report))));
                continue;
            }
            // Of those that are open the server has not heard, or has not taken them. But where
            // nobody is known to have it and somebody may, a refusal of the others would be told
            // as one of the whole.
            let has_it = mail.anybody_accepted();
            let is_told = undone || has_it;
            let again = open && is_told && mail.content.is_untouched();
            salvaged.push(Salvaged {
                id,
                again: again.then(|| Operation::Send(Box::new(mail))),
                sent: transaction.was_begun,
                undone: undone && !has_it,
            });
        }
        salvaged
    }
}

fn put(piece: &Piece, chunking: bool, output: &mut SendBuffer) {
    if chunking {
        piece.put(output);
    } else {
        piece.put_stuffed(output);
    }
}

/// Leaves recipients out whose domains are too many for one transaction.
fn keep_domains(round: &mut Vec<usize>, mail: &Mail, most: Option<u64>) {
    let Some(most) = most.and_then(|most| usize::try_from(most).ok()) else {
        return;
    };
    let mut domains: Vec<String> = Vec::new();
    round.retain(|index| {
        let recipient = mail.envelope.recipients().get(*index);
        let domain = recipient.and_then(|recipient| recipient.address().domain());
        let domain = domain.unwrap_or_default().to_lowercase();
        if domains.contains(&domain) {
            return true;
        }
        if domains.len() >= most {
            return false;
        }
        domains.push(domain);
        true
    });
}
