//! DATA (RFC 5321 section 4.1.1.4).

use std::io;

use super::content::Content;
use super::dispatch::Outcome;
use super::reply::Reply;
use super::session::Session;

impl Session {
    pub(super) fn data(&mut self, line: &[u8]) -> Outcome {
        let Some(transaction) = &self.transaction else {
            return self.out_of_sequence(line, "MAIL comes first");
        };
        if transaction.binary {
            return self.out_of_sequence(line, "BINARYMIME needs BDAT");
        }
        if transaction.chunks > 0 || transaction.broken {
            return self.out_of_sequence(line, "The message came by BDAT");
        }
        if transaction.recipients.is_empty() {
            return self.no_recipients(line);
        }
        Outcome::Data(Reply::new(354, "", "End data with <CR><LF>.<CR><LF>"))
    }

    /// Receives the content; says whether the session goes on.
    pub(super) fn receive_data(&mut self) -> io::Result<bool> {
        let eight_bit = self
            .transaction
            .as_ref()
            .is_some_and(|transaction| transaction.eight_bit);
        let mut content = self.new_content().text(eight_bit);
        if !self.read_data(&mut content)? {
            return Ok(false);
        }
        if let Some(transaction) = &mut self.transaction {
            transaction.content = Some(content);
        }
        self.finish_message()
    }

    pub(super) fn new_content(&self) -> Content {
        let digests_only = self.hub.settings.read().digests_only;
        Content::new(self.size_limit(), digests_only)
    }
}
