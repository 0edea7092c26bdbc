//! The quota, parked connections and thread routes, for any protocol.
//!
//! A [`Pool`](pool::Pool) owns the connections of one client. Every open socket has a
//! [`Permit`](quota::Permit); permits are given out first come, first served by the
//! [`Quota`](quota::Quota), alone or together with a parked connection. [`route`] binds a
//! connection to the thread that took it.

pub(crate) mod guard;
mod hooks;
pub(crate) mod ledger;
#[allow(clippy::module_inception)]
pub(crate) mod pool;
pub(crate) mod quota;
pub(crate) mod route;
