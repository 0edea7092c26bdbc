//! What becomes of the messages under way when their connection breaks.

use super::Session;
use super::operation::{End, Operation};
use crate::protocol::machine::{Output, Salvaged};
use crate::types::smtp::report::RecipientOutcome;

impl Session {
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
