//! The IMAP side of the server: one session for each connection.
//!
//! Commands are collected whole ([`reader`]), parsed by imap-codec ([`dispatch`]) and carried
//! out one after the other, a file for each group of them. Responses are written by hand.

mod append;
mod auth;
mod copy;
mod dispatch;
mod encode;
mod envelope;
mod fetch;
mod idle;
mod list;
mod mailboxes;
mod reader;
mod search;
mod section;
mod select;
mod selected;
mod sequence;
mod session;
mod store;
pub(crate) mod utf7;

pub(crate) use session::serve;
