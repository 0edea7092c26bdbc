//! BDAT (RFC 3030).

use std::io;

use super::dispatch::Outcome;
use super::reply::Reply;
use super::session::Session;

impl Session {
    /// Takes a chunk. It comes whatever is said to it, so it is read before anything is said.
    pub(super) fn bdat(&mut self, len: u64, last: bool, line: &[u8]) -> io::Result<Outcome> {
        let refusal = self.refuse_bdat(line);
        let fresh = self.new_content();
        let mut content = None;
        if refusal.is_none() {
            if let Some(transaction) = &mut self.transaction {
                let (binary, eight_bit) = (transaction.binary, transaction.eight_bit);
                content = transaction
                    .content
                    .take()
                    .or_else(|| Some(if binary { fresh } else { fresh.text(eight_bit) }));
            }
        }
        if !self.read_chunk(len, content.as_mut())? {
            return Ok(Outcome::End);
        }
        if self.is_pipelined("BDAT", line)? {
            return Ok(Outcome::End);
        }
        let too_big = content.as_ref().is_some_and(|content| content.is_too_big());
        if let Some(transaction) = &mut self.transaction {
            transaction.content = content;
            transaction.chunks += 1;
            transaction.broken |= refusal.is_some() || too_big;
        }
        if let Some(refusal) = refusal {
            return Ok(refusal);
        }
        if last {
            return Ok(Outcome::Message);
        }
        if too_big {
            return Ok(Outcome::reply(552, "5.3.4", "The message is too big"));
        }
        let text = format!("{len} octets received");
        Ok(Outcome::Reply(Reply::new(250, "2.0.0", text)))
    }

    fn refuse_bdat(&mut self, line: &[u8]) -> Option<Outcome> {
        if !self.has("CHUNKING") {
            return Some(self.not_announced(line, 502, "BDAT"));
        }
        let Some(transaction) = &self.transaction else {
            return Some(self.out_of_sequence(line, "MAIL comes first"));
        };
        if transaction.broken {
            return Some(self.out_of_sequence(line, "A chunk was refused"));
        }
        if transaction.recipients.is_empty() {
            return Some(self.no_recipients(line));
        }
        None
    }
}
