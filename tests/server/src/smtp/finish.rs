//! The end of a message: what is stored, and what is said.

use std::io;

use super::reply::Reply;
use super::session::{Dialect, Session, Transaction};
use crate::faults::{Asked, Place};
use crate::store::{Accepted, Path};

/// The verb that the end of a message has.
const END: &str = ".";

impl Session {
    /// Ends the message that has come in; says whether the session goes on.
    pub(super) fn finish_message(&mut self) -> io::Result<bool> {
        let Some(transaction) = self.transaction.take() else {
            return Ok(true);
        };
        self.begin(END, END.as_bytes())?;
        self.reach(Place::Received)?;
        // Behind BDAT this was looked at before.
        if transaction.chunks == 0 && self.is_pipelined(END, END.as_bytes())? {
            return Ok(false);
        }
        let id = self.connection.id;
        if self.hub.faults.is_silent(id, END) {
            return Ok(true);
        }
        if let Some(words) = self.hub.faults.response(id, END) {
            self.answer(END, words)?;
            return Ok(true);
        }
        let (words, order) = self.store_message(transaction);
        if order.is_some() {
            self.reach(Place::Stored)?;
        }
        self.say(END, words);
        self.send_out()?;
        if let Some(order) = order {
            self.hub.store.delivery_answered(order);
        }
        self.reach(Place::Answered(END))?;
        Ok(true)
    }

    /// Stores a message for those for whom it is not refused; returns what is to be said, and
    /// the number of the delivery if there was one.
    fn store_message(&mut self, transaction: Transaction) -> (Vec<u8>, Option<u64>) {
        let content = transaction.content.unwrap_or_else(|| self.new_content());
        let size = content.len;
        let too_big = content.is_too_big();
        let (body, violations) = content.finish();
        for (kind, sample) in violations {
            self.violation(kind, &sample);
        }
        let each = self.dialect == Dialect::Lmtp;
        let mut said: Vec<Vec<u8>> = Vec::new();
        let mut accepted: Vec<Path> = Vec::new();
        let mut refused = None;
        for path in transaction.recipients {
            let words = if too_big {
                let reply = Reply::new(552, "5.3.4", "The message is too big");
                Some(self.render(&reply))
            } else {
                self.refused(Asked::Delivery, &path.address)
            };
            if let Some(words) = words {
                said.push(words.clone());
                refused.get_or_insert(words);
                continue;
            }
            let text = format!("<{}> delivered", path.address.escape_default());
            said.push(self.render(&Reply::new(250, "2.1.5", text)));
            accepted.push(path);
        }
        if let (Some(words), false) = (&refused, each) {
            return (words.clone(), None);
        }
        if accepted.is_empty() {
            return (said.concat(), None);
        }
        let order = self.hub.store.deliver(Accepted {
            connection: self.connection.id,
            tls: self.stream.is_tls(),
            user: self.user.clone(),
            hello: self
                .hello
                .as_ref()
                .map(|hello| hello.name.clone())
                .unwrap_or_default(),
            reverse_path: transaction.reverse_path,
            recipients: accepted,
            size,
            chunks: transaction.chunks,
            flights: transaction.first_flight..=self.stream.flight(),
            body,
        });
        self.hub
            .counters
            .update(|counters| counters.deliveries += 1);
        if each {
            return (said.concat(), Some(order));
        }
        let reply = Reply::new(250, "2.0.0", format!("Ok: queued as {order}"));
        (self.render(&reply), Some(order))
    }
}
