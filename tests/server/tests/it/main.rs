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
