//! Tests through the public API, in one binary.
//!
//! Where a new test belongs:
//!
//! | file | what it shows |
//! |---|---|
//! | `layers.rs` | imports go downwards only |
//! | `basics.rs` | each operation once, against the embedded server |
//! | `scopes.rs` | connection scopes, quota, parking, thread routes |
//! | `sharing.rs` | many threads on one connection: pipelining, atomicity, exclusive sessions |
//! | `streams.rs` | messages as they arrive, large bodies, slow readers |
//! | `deadlines.rs` | timeouts at each phase, certainty, shutdown |
//! | `faults.rs` | broken connections and servers that misbehave |
//! | `tls.rs` | TLS, STARTTLS and what may go wrong with them |
//! | `hazards.rs` | what HAZARDS.md lists under imap-proto, byte for byte |
//! | `dovecot/` | all operations against a real server |
//! | `scripted.rs` | sessions played byte for byte, for the tests about faults |
//! | `support.rs` | what several of them need |
mod basics;
mod hazards;
mod layers;
mod scripted;
mod support;
