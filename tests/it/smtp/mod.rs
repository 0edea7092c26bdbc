//! The SMTP client against the embedded server.
//!
//! | file | what it shows |
//! |---|---|
//! | `sending.rs` | messages arrive as they were sent |
//! | `broken_off.rs` | messages whose sender or source gives up |
//! | `bulk.rs` | many messages at once |
//! | `ledger.rs` | thousands of messages while the server is killed, stalled and reset: what was reported is true |

mod broken_off;
mod bulk;
mod ledger;
mod sending;
pub(crate) mod setup;
