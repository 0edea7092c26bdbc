//! Bytes: receive and send buffers, IMAP response framing, lexing.

pub(crate) mod frame;
pub(crate) mod framer;
pub(crate) mod lexer;
pub(crate) mod receive;
pub(crate) mod send;
