//! Tests of the harness itself, against the Dovecot that it starts.
//!
//! - `server`: starting, stopping, settings, what is left behind
//! - `corpus`: the messages and names of the corpus, in masses too
//! - `raw`: the client for both, which knows just enough IMAP

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod corpus;
mod raw;
mod server;
