//! Bytes: receive and send buffers, framing, lexing, and messages on their way out.

pub(crate) mod frame;
pub(crate) mod framer;
pub(crate) mod lexer;
pub(crate) mod lines;
pub(crate) mod outgoing;
pub(crate) mod receive;
pub(crate) mod send;
