//! SASL (RFC 4422), without I/O and shared by all protocols.
//!
//! A protocol drives one [`Exchange`] for each login:
//!
//! 1. [`choose`](choice::choose) takes the strongest mechanism that the server offers, the
//!    credentials fit and the transport allows;
//! 2. [`Exchange::begin`] makes it, with a token where it needs one;
//! 3. [`Exchange::initial`] is what may stand in the command that begins the exchange;
//! 4. [`Exchange::challenge`] answers what the server asks, base64 in, base64 out;
//! 5. [`Exchange::success`] when the server says yes: only what it returns is success, since
//!    some mechanisms have the server prove itself; [`Exchange::refused`] when it says no.
//!
//! One mechanism, one file. The names of commands and the places of lines are the protocols'.

mod account;
mod anonymous;
mod bearer;
pub(crate) mod choice;
mod cram_md5;
mod exchange;
mod external;
mod login;
mod plain;
mod prepare;
mod scram;
#[cfg(test)]
mod tests;
mod xoauth2;

pub(crate) use account::Account;
pub(crate) use exchange::{Exchange, Refused};
pub(crate) use scram::KeyCache;

use crate::types::sasl::SaslFailure;

/// The client's side of one authentication exchange.
pub(crate) trait Mechanism: Send {
    /// What the client says first, where it is the one to begin. Asked for once.
    fn initial(&mut self) -> Option<Vec<u8>>;

    /// The answer to a challenge. For a mechanism in which the client begins, its first message
    /// has been sent.
    ///
    /// # Errors
    /// The challenge makes no sense, or is not to be answered: the exchange is to be cancelled.
    fn respond(&mut self, challenge: &[u8]) -> Result<Vec<u8>, SaslFailure>;

    /// Whether the server may say yes now: everything has been said and, where the mechanism has
    /// it, the server has proved itself.
    ///
    /// # Errors
    /// It has not.
    fn finish(&self) -> Result<(), SaslFailure>;

    /// Why the server refuses, as far as it has told within the exchange.
    fn refusal(&self) -> Option<&str> {
        None
    }
}

/// What the mechanisms without a proof of the server say to a success that comes too early.
const TOO_EARLY: SaslFailure = SaslFailure::Challenge("success before the exchange was over");

/// What a mechanism says to a challenge when it has nothing more to say.
const TOO_MANY: SaslFailure = SaslFailure::Challenge("a challenge after the last answer");

/// Bytes that are overwritten when they are no longer needed, as far as safe code can do that.
struct Wiped(Vec<u8>);

impl Drop for Wiped {
    fn drop(&mut self) {
        self.0.fill(0);
        // The optimiser must take the zeros for read.
        std::hint::black_box(&self.0);
    }
}

/// What a server told about a refusal, fit for an error's text.
fn words_of(bytes: &[u8]) -> String {
    const LONGEST: usize = 300;
    let text = String::from_utf8_lossy(bytes);
    let printable = text.chars().filter(|c| !c.is_control());
    printable.take(LONGEST).collect()
}
