//! Tests of the harness itself, against the Postfix and the smtp-sink that it starts.
//!
//! - `server`: starting, stopping, settings, what is left behind
//! - `delivery`: what arrives, byte for byte; extensions; refused recipients
//! - `smuggling`: what Postfix takes for the end of a message, and what it changes
//! - `sink`: smtp-sink, behaving and misbehaving
//! - `raw`: the client for all, which knows just enough SMTP
//! - `processes`: who is still there

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod delivery;
mod processes;
mod raw;
mod server;
mod sink;
mod smuggling;
