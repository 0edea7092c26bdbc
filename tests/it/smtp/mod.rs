//! The SMTP client against the embedded server.

mod broken_off;
mod sending;
pub(crate) mod setup;
