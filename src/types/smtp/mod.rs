//! Values of SMTP and LMTP.

pub(crate) mod address;
pub(crate) mod capabilities;
pub(crate) mod envelope;
pub(crate) mod reply;
pub(crate) mod report;
