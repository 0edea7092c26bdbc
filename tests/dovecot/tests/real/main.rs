//! Tests of the harness itself, against the Dovecot that it starts.
//!
//! - `server`: starting, stopping, settings, what is left behind
//! - `corpus`: the messages and names of the corpus, in masses too
//! - `raw`: the client for both, which knows just enough IMAP
//! - `processes`: who is still there; as in Postfix's tests
//! - `sending`: LMTP and submission, with the `smtp` client of Postfix's tests

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod corpus;
#[path = "../../../postfix/tests/real/processes.rs"]
mod processes;
mod raw;
mod sending;
mod server;
#[path = "../../../postfix/tests/real/raw.rs"]
#[allow(dead_code, reason = "some of it is for the tests of Postfix")]
mod smtp;
