//! What a connection needs of a protocol.
//!
//! A [`Protocol`] is a state machine without a socket, a thread or a clock. The connection
//! loop feeds it and carries out what it says, in this order:
//!
//! 1. `connected` once the transport stands (implicit TLS included); where there is TLS,
//!    `channel_is_bound_by` before it, and before `secured`;
//! 2. `submit` for operations that it `accepts`, `reset`, `keep_alive`, `quit` at any time;
//! 3. `elapsed` when the moment has come that `wakes_at` named;
//! 4. `advance` whenever bytes have come, an operation was submitted or time has elapsed;
//! 5. `poll` until it returns `None`;
//! 6. `secured` and `take_token` in answer to [`Output::StartTls`] and [`Output::NeedToken`], and
//!    `advance` again;
//! 7. `salvage` when the connection has broken, and then nothing more.
//!
//! A *standing* operation (IDLE) lasts until its caller has had enough. It stands back for every
//! other one, and goes on when the connection is free again.

use std::fmt;
use std::time::Instant;

use crate::types::token::{IssuedToken, TokenNumber};
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

    /// The TLS connection can be told from any other one by this: `tls-server-end-point` of RFC
    /// 5929 §4. A protocol without authentication has no use for it.
    fn channel_is_bound_by(&mut self, _end_point: Vec<u8>) {}

    /// The token that [`Output::NeedToken`] asked for. A protocol that never asks gets none.
    fn take_token(&mut self, _token: IssuedToken) {}

    /// Whether `operation` may be submitted beside those that are under way.
    fn accepts(&self, operation: &Self::Operation) -> bool;

    /// Whether `operation` may be carried out twice.
    fn is_repeatable(operation: &Self::Operation) -> bool;

    /// Whether `operation` is a standing one.
    fn is_standing(operation: &Self::Operation) -> bool;

    /// Has the standing operations stand back, for something that cannot begin beside them.
    /// Returns whether that changed anything: then there may be something to write.
    fn make_way(&mut self) -> bool;

    /// Ends an operation whose caller has given up, where that can be done before its reply has
    /// come: a standing one, or one that the gate has not let out. Returns whether that changed
    /// anything.
    fn give_up(&mut self, id: OperationId) -> bool;

    /// Whether there is more to write as soon as the send buffer has room.
    fn is_held_back(&self) -> bool {
        false
    }

    /// Whether the connection has served its time: it accepts nothing any more, and a new one is
    /// to take its place.
    fn is_worn(&self) -> bool {
        false
    }

    /// When `elapsed` is to be called next.
    fn wakes_at(&self) -> Option<Instant>;

    /// It is `now`. `free`: nobody waits for the connection and nobody has it for himself, so
    /// that standing operations may go on. Returns whether it did anything.
    ///
    /// # Errors
    /// The server has not done in time what it has to do.
    fn elapsed(&mut self, now: Instant, free: bool) -> Result<bool, Self::Failure>;

    /// Takes the operations out that may be carried out on another connection, now that this
    /// one has broken: those of which the server has seen nothing, and those that may be
    /// repeated, without what their callers have had of them. `written`: how many bytes may have
    /// left; what was appended behind them has not. What has an end all the same is told by `poll`.
    fn salvage(&mut self, written: u64) -> Vec<Salvaged<Self>>;

    /// What a failure means for the next attempt to connect.
    fn verdict(failure: &Self::Failure) -> Verdict;

    /// The same failure of an operation that has been sent before, on a connection that broke:
    /// what became of it there it does not tell.
    fn of_repeated(failure: Self::Failure) -> Self::Failure;

    /// Begins an operation.
    fn submit(&mut self, id: OperationId, operation: Self::Operation);

    /// Forgets what one user of the connection set up, such as the selected mailbox.
    /// [`Output::WasReset`] follows.
    fn reset(&mut self);

    /// Sends something harmless, so that the server does not end an idle connection.
    fn keep_alive(&mut self);

    /// Says goodbye. [`Output::Finished`] follows when the server has answered.
    fn quit(&mut self);

    /// Whether nothing at all is under way but standing operations that stand back.
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

/// An operation that may be carried out on another connection, or has had no effect on this one.
pub(crate) struct Salvaged<P: Protocol> {
    pub id: OperationId,
    /// What is to be carried out, if it may be.
    pub again: Option<P::Operation>,
    /// The server may have seen some of it.
    pub sent: bool,
    /// It has had no effect on the server, and will have none.
    pub undone: bool,
}

/// What a failure means for the next attempt to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may go better next time.
    Transient,
    /// This side has ended the connection on purpose: nothing is wrong with the server, and
    /// another connection may be opened at once.
    OwnDoing,
    /// The server has as many connections of this account as it allows.
    TooMany,
    /// It will not go better by itself: the credentials are wrong, for example.
    Permanent,
}

/// What a protocol tells its connection.
pub(crate) enum Output<P: Protocol> {
    /// Start TLS now; nothing more is read or written in clear.
    StartTls,
    /// An access token is needed to go on.
    NeedToken,
    /// The server has refused this token: nobody is to try it again.
    TokenRefused(TokenNumber),
    /// The session is authenticated and ready for operations.
    Ready,
    /// A piece of an operation's reply.
    Part(OperationId, P::Part),
    /// The end of an operation.
    End(OperationId, Result<P::End, P::Failure>),
    /// The gate was closed: nothing of the operation was written.
    Withdrawn(OperationId),
    /// The rest of an operation is to be carried out on the connection that takes the place of
    /// this one: this one [is worn](Protocol::is_worn).
    Again(OperationId, P::Operation),
    /// [`Protocol::reset`] is done.
    WasReset,
    /// The server has said goodbye, as it was asked to.
    Finished,
}
