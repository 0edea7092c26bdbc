//! Matches replies with what they answer.

use super::operation::{End, Failure};
use super::transaction::{Refused, Stage};
use super::{Expected, Session};
use crate::protocol::machine::{OperationId, Output};
use crate::types::smtp::reply::SmtpReply;
use crate::types::smtp::report::RecipientOutcome;

impl Session {
    /// Takes the next reply. `buffered`: how many bytes have come behind it.
    pub(super) fn answer(&mut self, reply: SmtpReply, buffered: usize) -> Result<(), Failure> {
        let Some(expected) = self.expected.pop_front() else {
            return self.unasked(reply);
        };
        if reply.code == 421 && !matches!(expected, Expected::Login | Expected::Quit) {
            self.refuse_by_leaving(expected, &reply);
            return Err(Failure::Leaving(reply));
        }
        match expected {
            Expected::Login => self.login_answered(reply, buffered)?,
            Expected::Mail(id) => {
                if !is_done(&reply) {
                    expect_refusal("MAIL", &reply)?;
                    self.note_refusal(id, "MAIL", reply);
                }
                self.count_answer(id);
            }
            Expected::Rcpt(id, index) => {
                self.recipient_answered(id, index, reply)?;
                self.count_answer(id);
            }
            Expected::Go(id) => {
                if reply.code == 354 {
                    if let Some(transaction) = self.transaction(id) {
                        transaction.stage = Stage::Content;
                    }
                } else {
                    expect_refusal("DATA", &reply)?;
                    self.refuse_round(id, "DATA", &reply, true);
                }
            }
            Expected::Chunk(id) => {
                if let Some(transaction) = self.transaction(id) {
                    transaction.chunks -= 1;
                }
                if !is_done(&reply) {
                    expect_refusal("BDAT", &reply)?;
                    self.refuse_round(id, "BDAT", &reply, true);
                }
            }
            Expected::End(id) => {
                if !is_done(&reply) {
                    expect_refusal("DATA", &reply)?;
                }
                self.message_answered(id, None, reply);
            }
            Expected::EndFor(id, index) => {
                if !is_done(&reply) {
                    expect_refusal("DATA", &reply)?;
                }
                self.message_answered(id, Some(index), reply);
            }
            Expected::Reset | Expected::KeepAlive => {}
            Expected::Simple(id, verb) => {
                self.asked = None;
                let end = if reply.is_positive() {
                    Ok(End::Replied(reply))
                } else {
                    Err(Failure::Refused { verb, reply })
                };
                self.end(id, end);
            }
            Expected::Quit => self.outputs.push_back(Output::Finished),
        }
        Ok(())
    }

    /// A reply that answers nothing: a goodbye, or a refusal of a message in its middle.
    fn unasked(&mut self, reply: SmtpReply) -> Result<(), Failure> {
        if reply.code == 421 {
            return Err(Failure::Leaving(reply));
        }
        let front = self.transactions.front();
        let in_the_middle = front.filter(|one| one.stage == Stage::Content);
        match in_the_middle.map(|one| one.id) {
            Some(id) if !reply.is_positive() => {
                // Only the end of the connection ends a message that is not whole.
                self.refuse_round(id, "DATA", &reply, false);
                self.broken_off = true;
                Ok(())
            }
            _ => Err(Failure::protocol(format!(
                "a reply that nobody asked for: {reply}"
            ))),
        }
    }

    fn count_answer(&mut self, id: OperationId) {
        if let Some(transaction) = self.transaction(id) {
            transaction.unanswered = transaction.unanswered.saturating_sub(1);
        }
    }

    fn note_refusal(&mut self, id: OperationId, verb: &'static str, reply: SmtpReply) {
        if let Some(transaction) = self.transaction(id) {
            transaction.refused.get_or_insert(Refused { verb, reply });
        }
    }

    fn recipient_answered(
        &mut self,
        id: OperationId,
        index: usize,
        reply: SmtpReply,
    ) -> Result<(), Failure> {
        let Some(transaction) = self.transaction(id) else {
            return Ok(());
        };
        // Where MAIL was refused, RCPT is refused because of that.
        if transaction.refused.is_some() {
            return Ok(());
        }
        if is_done(&reply) {
            transaction.accepted.push(index);
            return Ok(());
        }
        expect_refusal("RCPT", &reply)?;
        // The server takes no more in one transaction (RFC 5321 §4.5.3.1.10).
        let too_many = reply.code == 452
            && reply
                .enhanced
                .is_none_or(|enhanced| (enhanced.subject, enhanced.detail) == (5, 3));
        if too_many && !transaction.accepted.is_empty() && transaction.may_have_rounds() {
            return Ok(());
        }
        transaction.note(index, RecipientOutcome::Refused(reply));
        Ok(())
    }

    /// 421 is a refusal of what it answers, and of nothing else.
    fn refuse_by_leaving(&mut self, expected: Expected, reply: &SmtpReply) {
        match expected {
            Expected::End(id) | Expected::Chunk(id) => {
                if let Some(transaction) = self.transaction(id) {
                    transaction.is_undone = true;
                }
            }
            Expected::EndFor(id, index) => {
                if let Some(transaction) = self.transaction(id) {
                    transaction.note(index, RecipientOutcome::Refused(reply.clone()));
                }
            }
            _ => {}
        }
    }
}

/// Whether a command was carried out.
fn is_done(reply: &SmtpReply) -> bool {
    reply.code / 100 == 2
}

/// What is no success has to be a refusal.
fn expect_refusal(verb: &str, reply: &SmtpReply) -> Result<(), Failure> {
    if reply.is_transient() || reply.is_permanent() {
        return Ok(());
    }
    Err(Failure::protocol(format!(
        "a reply that {verb} does not have: {reply}"
    )))
}
