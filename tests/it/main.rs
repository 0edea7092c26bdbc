//! Tests through the public API, in one binary.
//!
//! Where a new test belongs:
//!
//! | file | what it shows |
//! |---|---|
//! | `layers.rs` | imports go downwards only |
//! | `basics.rs` | each operation once, against the embedded server |
//! | `scopes.rs` | connection scopes and thread routes |
//! | `giving_back.rs` | when a scope's connection is given back |
//! | `quota.rs` | the quota: who waits, in which order, and what the errors explain |
//! | `parking.rs` | connections that were given back: handed on, closed |
//! | `draining.rs` | connections that were given back with replies to come |
//! | `sharing.rs` | many threads on one connection: atomicity, order, unfinished streams |
//! | `pipelining.rs` | which commands go out beside others, and which wait |
//! | `exclusive.rs` | exclusive sessions |
//! | `sequence_numbers.rs` | messages addressed by sequence number |
//! | `idle.rs` | mailboxes that are followed: IDLE, interruption, gaps |
//! | `shutdown.rs` | the end of a client, by `shutdown` or with its last handle |
//! | `send_bounds.rs` | which types may go to another thread |
//! | `system.rs` | threads and descriptors that are not to be had |
//! | `streams.rs` | messages as they arrive, large bodies |
//! | `slow_readers.rs` | streams that are read slowly, late or on another thread |
//! | `memory.rs` | what streams and hostile servers cost in memory |
//! | `authentication.rs` | SASL: every mechanism of the embedded server, -PLUS over TLS, hostile servers |
//! | `tokens.rs` | access tokens from the user's code |
//! | `login.rs` | from the greeting to the first command |
//! | `deadlines.rs` | timeouts at each phase, certainty, shutdown |
//! | `deadlines_opening.rs` | the same while a connection is being opened |
//! | `tasks.rs` | background tasks |
//! | `task_scopes.rs` | background tasks that borrow |
//! | `bulk.rs` | work on many messages over many connections |
//! | `cancelling.rs` | calls that are given up from another thread, wherever they wait |
//! | `resolver.rs` | calls that are given up while the system's resolver is at work |
//! | `watch.rs` | mailboxes that are watched in the background |
//! | `reconnecting.rs` | lost connections that come back, what is repeated, what is not |
//! | `second_faults.rs` | what goes wrong while something else goes wrong already |
//! | `lingering.rs` | what is held or waited for when nobody has any use for it |
//! | `log_lines.rs` | what is logged |
//! | `keep_alive.rs` | what the system is asked to watch over |
//! | `faults.rs` | broken connections, servers that are away or full |
//! | `sweep.rs` | a session that is cut after each byte, and what its calls say then |
//! | `sweep_idle.rs` | the same for a session that follows a mailbox |
//! | `servers.rs` | what servers say when nobody expects it |
//! | `tls.rs` | TLS, STARTTLS and what may go wrong with them |
//! | `tls_transfers.rs` | large and small transfers over TLS, and their ends |
//! | `hazards.rs` | what HAZARDS.md lists under imap-proto, byte for byte |
//! | `hazards_nesting.rs` | nestings that overflow a stack, in debug and release |
//! | `bulk_fetch.rs` | the example as a process: what it writes, and what it says when something is wrong |
//! | `watch_example.rs` | the example as a process: a line for each event, and its end by a signal |
//! | `send_example.rs` | the example `send` as a process: envelopes, report, exit codes, its end by a signal |
//! | `tasks_example.rs` | the example `tasks` as a process: output, exit codes, cancellation |
//! | `smtp/` | the SMTP and LMTP client against the embedded server, with an index of its own |
//! | `postfix/` | the SMTP client against a real server, and against `smtp-sink` |
//! | `dovecot/` | all operations against a real server; LMTP and submission too |
//! | `outgoing.rs` | messages that are easily damaged on their way, for the tests that send |
//! | `scripted.rs` | sessions played byte for byte, for the tests about faults |
//! | `support.rs` | what several of them need |
//! | `alone.rs` | tests that need a process of their own |
//! | `logged.rs` | the lines of the log that belong to one test |
//! | `threads.rs` | waiting for events, for tests with several threads |

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that panics has failed"
)]

mod alone;
mod authentication;
mod basics;
mod bulk;
mod bulk_fetch;
mod cancelling;
mod deadlines;
mod deadlines_opening;
mod dovecot;
mod draining;
mod exclusive;
mod faults;
mod giving_back;
mod hazards;
mod hazards_nesting;
mod idle;
mod keep_alive;
mod layers;
mod lingering;
mod log_lines;
mod logged;
mod login;
mod memory;
mod outgoing;
mod parking;
mod pipelining;
mod postfix;
mod quota;
mod reconnecting;
mod resolver;
mod scopes;
mod scripted;
mod second_faults;
mod send_bounds;
mod send_example;
mod sequence_numbers;
mod servers;
mod sharing;
mod shutdown;
mod slow_readers;
mod smtp;
mod streams;
mod support;
mod sweep;
mod sweep_idle;
mod system;
mod task_scopes;
mod tasks;
mod tasks_example;
mod threads;
mod tls;
mod tls_transfers;
mod tokens;
mod watch;
mod watch_example;
