//! The quota, parked connections and thread routes, for any protocol.
//!
//! A [`Pool`](pool::Pool) owns the connections of one client. Every open socket has a
//! [`Permit`](quota::Permit); permits are given out first come, first served by the
//! [`Quota`](quota::Quota), alone or together with a parked connection. [`route`] binds a
//! connection to the thread that took it ([`taking`]); [`tasks`] are jobs that wait in the same
//! line for a connection and a thread of their own.

pub(crate) mod guard;
mod hooks;
pub(crate) mod ledger;
pub(crate) mod notices;
#[allow(clippy::module_inception)]
pub(crate) mod pool;
pub(crate) mod quota;
pub(crate) mod route;
mod taking;
pub(crate) mod tasks;
