//! IMAP (RFC 3501, RFC 9051).

pub(crate) mod command;
pub(crate) mod response;
pub(crate) mod session;
