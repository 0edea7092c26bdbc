//! SASL mechanisms (RFC 4422), without I/O and shared by all protocols.

mod plain;

pub(crate) use plain::Plain;

/// The client's side of one authentication exchange.
pub(crate) trait Mechanism: Send {
    /// The registered name, such as `PLAIN`.
    fn name(&self) -> &'static str;

    /// What the client says first, where it is the one to begin.
    fn initial_response(&mut self) -> Option<Vec<u8>>;

    /// The answer to a challenge, or `None` where the mechanism has no answer: then the
    /// exchange is cancelled.
    fn respond(&mut self, challenge: &[u8]) -> Option<Vec<u8>>;
}
