//! SMTP and LMTP: replies, commands, and the machine that speaks them.

pub(crate) mod command;
pub(crate) mod content;
pub(crate) mod reply;
pub(crate) mod session;
