//! The SMTP and LMTP side of the server: one session for each connection.
//!
//! A line is looked at closely ([`request`]): its bytes and spaces first, then smtp-proto parses
//! it, which by itself is more obliging than the RFC. Commands are carried out one after the
//! other ([`dispatch`]), a file for each group of them; answers are written by hand ([`reply`]).
//! They are collected and sent when the client has to be waited for, as RFC 2920 section 3.2
//! asks. The content of a message comes by way of [`content`], to the end of the message in
//! [`finish`].

mod auth;
mod bdat;
mod content;
mod data;
mod dispatch;
mod finish;
mod hello;
mod mail;
mod reader;
mod reply;
mod request;
mod session;

pub(crate) use session::{Dialect, serve};
