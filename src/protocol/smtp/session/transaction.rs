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

use super::super::command;
use super::super::content::Content;
use super::needs::keep_domains;
use super::operation::{End, Failure, Mail, Operation};
use super::writing::Filled;
use super::{Expected, Session};
use crate::protocol::machine::{Gate, OperationId, Output, Protocol};
use crate::types::smtp::reply::SmtpReply;
use crate::types::smtp::report::RecipientOutcome;
use crate::wire::send::SendBuffer;

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
    pub mail: Mail,
    pub stage: Stage,
    /// The recipients of this round, by their places in the envelope.
    pub round: Vec<usize>,
    /// How many of them have had their RCPT.
    pub named: usize,
    /// Those that the server has accepted.
    pub accepted: Vec<usize>,
    /// MAIL and RCPT commands that have not been answered.
    pub unanswered: usize,
    /// MAIL was refused.
    pub refused: Option<Refused>,
    utf8: bool,
    pub chunking: bool,
    /// The next piece of a message in memory.
    pub next: usize,
    /// BDAT commands that have not been answered.
    pub chunks: usize,
    /// The source of the message has given its last piece.
    pub is_exhausted: bool,
    /// Where the message ends in what is written to the connection.
    pub end: Option<u64>,
    /// Replies for single recipients that are to come (LMTP).
    pub open_ends: usize,
    /// Behind the end of the message nobody is left for another round.
    pub is_last_round: bool,
    /// The server has said that it did not take the message.
    pub is_undone: bool,
    /// Its sender has given up.
    pub given_up: bool,
    /// MAIL has been written, perhaps in an earlier round.
    pub was_begun: bool,
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

    pub(super) fn open_recipients(&self) -> Vec<usize> {
        let outcomes = self.mail.outcomes.iter().enumerate();
        outcomes
            .filter_map(|(index, outcome)| outcome.is_none().then_some(index))
            .collect()
    }
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
}
