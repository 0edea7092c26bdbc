//! The SMTP client against the embedded server.

mod sending;
pub(crate) mod setup;
