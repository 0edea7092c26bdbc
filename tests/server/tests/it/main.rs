//! Drives the server with a raw socket.
//!
//! | module | what it is about |
//! |---|---|
//! | `session` | greeting, capabilities, login, TLS, limits |
//! | `mailboxes` | the tree of mailboxes, SELECT, STATUS |
//! | `messages` | FETCH, SEARCH, STORE, APPEND, COPY, MOVE, EXPUNGE |
//! | `changes` | what one session tells of what others do; IDLE |
//! | `faults` | faults on demand, counters |
//! | `scripts` | the scripted server |
//! | `smtp_session` | SMTP and LMTP: greeting, order of commands, TLS, login, pipelining |
//! | `smtp_messages` | messages byte for byte, extensions, deliveries |
//! | `smtp_faults` | rules about addresses, answers and points of a transaction |
//! | `smtp_ledger` | what was accepted while everything goes wrong |
//! | `smtp_clients` | clients that others wrote |

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod changes;
mod client;
mod faults;
mod mailboxes;
mod messages;
mod scripts;
mod session;
mod smtp_client;
mod smtp_clients;
mod smtp_faults;
mod smtp_ledger;
mod smtp_messages;
mod smtp_session;
