//! The message itself on its way: in portions that the socket has room for, up to the gate and the
//! end behind it.

use super::super::command;
use super::super::content::{Content, Pull};
use super::operation::Failure;
use super::transaction::Stage;
use super::{Expected, Session};
use crate::protocol::machine::{Gate, OperationId, Output};
use crate::types::smtp::envelope::BodyType;
use crate::wire::outgoing::Piece;
use crate::wire::send::SendBuffer;

/// Bytes of a message that wait for the socket at most, before the next piece.
const AHEAD: usize = 256 * 1024;

/// What became of an attempt to write more of a message.
pub(super) enum Filled {
    /// It is written to its end.
    Whole,
    /// There is no room, or no more has come.
    Partly,
    /// Its sender has given up, or its source has failed.
    BrokenOff,
    Failed(Failure),
}

impl Session {
    /// Writes the message as far as there is room.
    pub(super) fn fill(
        &mut self,
        id: OperationId,
        output: &mut SendBuffer,
        gate: &mut dyn Gate,
    ) -> Filled {
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
    pub(super) fn break_off(&mut self, id: OperationId, failure: Option<Failure>) {
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

    pub(super) fn withdraw(&mut self, id: OperationId, reset: bool) {
        if reset {
            self.send(Expected::Reset, "RSET\r\n");
        }
        self.transactions.retain(|one| one.id != id);
        self.outputs.push_back(Output::Withdrawn(id));
    }
}

fn put(piece: &Piece, chunking: bool, output: &mut SendBuffer) {
    if chunking {
        piece.put(output);
    } else {
        piece.put_stuffed(output);
    }
}
