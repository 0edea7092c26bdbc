//! Where the bytes of a message come from.

use std::fmt;
use std::sync::Arc;

use crate::wire::outgoing::{Piece, Prepared};

/// A message that is to be sent.
pub(crate) enum Content {
    /// It lies in memory, and can be sent any number of times.
    Whole(Arc<Prepared>),
    /// It comes as it is read, once.
    Stream(Box<dyn ContentSource>),
}

impl Content {
    /// Whether it can still be sent from its beginning.
    pub(super) fn is_untouched(&self) -> bool {
        match self {
            Self::Whole(_) => true,
            Self::Stream(source) => !source.is_begun(),
        }
    }

    /// Its size in bytes, if that is known.
    pub(super) fn size(&self) -> Option<u64> {
        match self {
            Self::Whole(prepared) => Some(prepared.len),
            Self::Stream(source) => source.size(),
        }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").finish_non_exhaustive()
    }
}

/// A message that comes piece by piece, from another thread.
pub(crate) trait ContentSource: Send {
    /// Takes the next piece. The first call says that the server wants the message.
    fn next(&mut self) -> Pull;

    /// Whether [`next`](Self::next) has been called.
    fn is_begun(&self) -> bool;

    /// Whether a piece waits.
    fn is_ready(&self) -> bool;

    /// The size of the message in bytes, as far as its sender knows it.
    fn size(&self) -> Option<u64>;
}

/// What a source has to give.
#[derive(Debug)]
pub(crate) enum Pull {
    Piece(Piece),
    /// There will be more.
    NotYet,
    /// That was the last piece.
    End,
    /// The message will never be complete.
    Broken,
}
