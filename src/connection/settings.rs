//! What a connection is told about its peer and its bounds.

use std::sync::Arc;
use std::time::Duration;

use super::backoff::Backoff;
use super::tokens::TokenSource;
use super::transport::Tls;

/// The same for every connection of a client.
pub(crate) struct Settings {
    /// The protocol's name, for thread names and log lines.
    pub protocol: &'static str,
    pub host: String,
    pub port: u16,
    /// How to do TLS, if at all.
    pub tls: Option<Tls>,
    /// TLS from the first byte; else the protocol asks for it.
    pub implicit_tls: bool,
    /// Where access tokens come from, if the user's code gets them.
    pub tokens: Option<Arc<TokenSource>>,
    /// Stack of a connection thread, in bytes.
    pub stack_size: usize,
    /// Bytes of one reply that may wait for its reader before the connection stops reading.
    pub window: usize,
    /// Bytes of one reply that may wait for its reader when others wait behind it.
    pub buffer_limit: usize,
    /// Bytes of a reply that nobody wants any more which are read rather than the connection
    /// replaced.
    pub skip_limit: usize,
    /// After how much silence the system asks whether the peer is still there.
    pub tcp_keep_alive: Option<Duration>,
    /// When a lost connection is opened anew.
    pub backoff: Backoff,
    /// How long opening may take where no caller waits for it by name.
    pub open_timeout: Option<Duration>,
    /// A wait for a connection that lasts longer is logged, once.
    pub log_waits_after: Option<Duration>,
    /// How long a parked connection is kept.
    pub idle_timeout: Duration,
    /// How long a connection is used before another one takes its place.
    pub max_age: Option<Duration>,
    /// How long an authenticated connection stays silent before it sends something harmless.
    pub keep_alive: Option<Duration>,
    /// How long a server may be silent after the last caller has given up waiting for it.
    pub stall_timeout: Duration,
}
