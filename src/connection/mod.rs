//! The only sockets, threads and clock of the crate.
//!
//! One connection is one thread with one readiness loop ([`event_loop`]) over its socket and
//! a waker. Commands reach it through a channel ([`handle`]), replies leave through slots
//! ([`slot`]). What the bytes mean is left to a [`Protocol`](crate::protocol::machine::Protocol).
#![allow(
    clippy::disallowed_methods,
    reason = "the layer that may look at the clock"
)]

pub(crate) mod backoff;
pub(crate) mod cancel;
pub(crate) mod clock;
mod connect;
mod delivery;
pub(crate) mod doorbell;
mod ending;
mod event_loop;
pub(crate) mod failure;
pub(crate) mod handle;
pub(crate) mod notice;
mod opening;
pub(crate) mod queue;
pub(crate) mod recovery;
mod renewal;
pub(crate) mod settings;
pub(crate) mod slot;
mod timers;
pub(crate) mod tokens;
mod traffic;
pub(crate) mod transport;
pub(crate) mod upload;
