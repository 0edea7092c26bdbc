//! Blocking mail clients for Rust programs without an async runtime.

// Layers, top to bottom. Imports go downwards only (`tests/it/layers.rs` checks it).
#[allow(dead_code, unreachable_pub)] // until the upper layers use all of it
mod protocol;
#[allow(dead_code, unreachable_pub)]
mod types;
#[allow(dead_code, unreachable_pub)]
mod wire;
