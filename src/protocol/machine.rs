//! What a connection needs of a protocol.
//!
//! A [`Protocol`] is a state machine without a socket, a thread or a clock. The connection
//! loop feeds it and carries out what it says, in this order:
//!
//! 1. `connected` once the transport stands (implicit TLS included);
//! 2. `submit` for operations that it `accepts`, `reset`, `keep_alive`, `quit` at any time;
//! 3. `advance` whenever bytes have come or an operation was submitted;
//! 4. `poll` until it returns `None`.

use std::fmt;

use crate::wire::receive::ReceiveBuffer;
use crate::wire::send::SendBuffer;

/// Names one operation on one connection. Never used twice.
pub(crate) type OperationId = u64;

/// The last look before an operation's bytes go out.
pub(crate) trait Gate {
    /// Says that the operation is about to be written. Where it returns `false` its caller
    /// has given up, and nothing may be written.
    fn write(&mut self, id: OperationId) -> bool;
}

/// How much memory a part of a reply holds on to.
pub(crate) trait Weigh {
    fn weight(&self) -> usize;
}

/// A client's side of one connection.
pub(crate) trait Protocol: Send + Sized + 'static {
    /// What a caller asks for: one atomic unit, perhaps of several commands.
    type Operation: Send + 'static;
    /// A piece of a reply that is delivered before the reply is complete.
    type Part: Weigh + Send + 'static;
    /// What completes an operation.
    type End: Send + 'static;
    /// Why an operation or the connection failed.
    type Failure: Clone + fmt::Debug + fmt::Display + Send + Sync + 'static;

    /// The transport stands.
    fn connected(&mut self);

    /// The TLS handshake that [`Output::StartTls`] asked for is done.
    fn secured(&mut self);

    /// Whether `operation` may be submitted beside those that are under way.
    fn accepts(&self, operation: &Self::Operation) -> bool;

    /// Begins an operation.
    fn submit(&mut self, id: OperationId, operation: Self::Operation);

    /// Forgets what one user of the connection set up, such as the selected mailbox.
    /// [`Output::WasReset`] follows.
    fn reset(&mut self);

    /// Sends something harmless, so that the server does not end an idle connection.
    fn keep_alive(&mut self);

    /// Says goodbye. [`Output::Finished`] follows when the server has answered.
    fn quit(&mut self);

    /// Whether nothing at all is under way.
    fn is_quiet(&self) -> bool;

    /// Consumes what has come and writes what is to go out.
    ///
    /// # Errors
    /// The connection cannot be used any more.
    fn advance(
        &mut self,
        input: &mut ReceiveBuffer,
        output: &mut SendBuffer,
        gate: &mut dyn Gate,
    ) -> Result<(), Self::Failure>;

    /// The next thing that has happened.
    fn poll(&mut self) -> Option<Output<Self>>;

    /// What to call an operation in an explanation, such as `UID FETCH`.
    fn name_of(operation: &Self::Operation) -> &'static str;
}

/// What a protocol tells its connection.
pub(crate) enum Output<P: Protocol> {
    /// Start TLS now; nothing more is read or written in clear.
    StartTls,
    /// The session is authenticated and ready for operations.
    Ready,
    /// A piece of an operation's reply.
    Part(OperationId, P::Part),
    /// The end of an operation.
    End(OperationId, Result<P::End, P::Failure>),
    /// The gate was closed: nothing of the operation was written.
    Withdrawn(OperationId),
    /// [`Protocol::reset`] is done.
    WasReset,
    /// The server has said goodbye, as it was asked to.
    Finished,
}
