//! Who logs in at a server, and how: the same for all connections of a client.

use std::sync::Arc;

use super::KeyCache;
use crate::types::sasl::SaslMechanism;
use crate::types::secret::Credentials;

#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub credentials: Credentials,
    /// Passwords and tokens may be sent without TLS.
    pub allow_cleartext: bool,
    /// The mechanisms that may be used; `None`: all.
    pub mechanisms: Option<Vec<SaslMechanism>>,
    /// The fewest and the most rounds of hashing that a server may ask for.
    pub scram_iterations: (u32, u32),
    /// The server, as OAUTHBEARER names it.
    pub host: String,
    pub port: u16,
    /// What was derived from the password for earlier connections.
    pub keys: Arc<KeyCache>,
}

impl Account {
    /// With the defaults of a client.
    #[cfg(test)]
    pub(crate) fn new(credentials: Credentials) -> Self {
        Self {
            credentials,
            allow_cleartext: false,
            mechanisms: None,
            scram_iterations: crate::types::limits::Limits::default().scram_iterations(),
            host: "server.example.com".to_owned(),
            port: 143,
            keys: Arc::default(),
        }
    }

    pub(super) fn allows(&self, mechanism: SaslMechanism) -> bool {
        let allowed = self.mechanisms.as_ref();
        allowed.is_none_or(|allowed| allowed.contains(&mechanism))
    }
}
