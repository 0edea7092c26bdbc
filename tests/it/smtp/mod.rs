//! The SMTP client against the embedded server.
//!
//! | file | what it shows |
//! |---|---|
//! | `sending.rs` | messages arrive as they were sent |
//! | `asked_for.rs` | parameters, logins and other commands as the server sees them, and what is not sent |
//! | `shared.rs` | scopes, tasks, the quota, the end, bulk sending in odd places |
//! | `broken_off.rs` | messages whose sender or source gives up |
//! | `bulk.rs` | many messages at once |
//! | `ledger.rs` | thousands of messages while the server is killed, stalled and reset: what was reported is true |
//! | `giving_up.rs` | cancellation, deadlines, readers that fail, the end of a client |
//! | `renewal.rs` | connections that have served their time, and 421 |
//! | `sweep.rs` | a session that is cut after each byte of either side |
//! | `relay.rs`, `setup.rs` | what they need |

mod asked_for;
mod broken_off;
mod bulk;
mod giving_up;
mod ledger;
mod relay;
mod renewal;
mod sending;
pub(crate) mod setup;
mod shared;
mod sweep;
