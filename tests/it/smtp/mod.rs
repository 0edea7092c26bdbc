//! The SMTP client against the embedded server.
//!
//! | file | what it shows |
//! |---|---|
//! | `sending.rs` | messages arrive as they were sent |
//! | `bulk.rs` | many messages at once |
//! | `ledger.rs` | thousands of messages while the server is killed, stalled and reset: what was reported is true |

mod bulk;
mod ledger;
mod sending;
pub(crate) mod setup;
