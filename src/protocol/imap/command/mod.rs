//! Encoders of IMAP commands, one file a command group.
//!
//! A command is written into a [`CommandLine`]; the tag, the announcement of literals and the
//! final CRLF are left to the sender, who knows what the server takes. Whether the server has
//! an extension is for the caller to know.

mod line;
mod mailbox;
mod message;
mod search;
mod session;

#[cfg(test)]
mod tests;

pub(crate) use line::{CommandLine, Piece};
pub(crate) use mailbox::*;
pub(crate) use message::*;
pub(crate) use search::*;
pub(crate) use session::*;
