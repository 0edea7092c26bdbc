//! In-memory mail server on loopback, with faults on demand.
