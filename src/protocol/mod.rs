//! Sans-I/O protocol state machines: bytes and time in, bytes and events out.

pub(crate) mod imap;
pub(crate) mod machine;
pub(crate) mod sasl;
pub(crate) mod smtp;
