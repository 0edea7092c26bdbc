//! What is made of the password, which takes many rounds of hashing: once for a client.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::hash::Hash;
use crate::protocol::sasl::Wiped;
use crate::sync::Mutex;

/// Keys for one salt and number of iterations (RFC 5802 §3).
pub(super) struct Keys {
    pub(super) client: Wiped,
    pub(super) server: Wiped,
}

impl Keys {
    pub(super) fn derive(hash: Hash, password: &[u8], salt: &[u8], iterations: u32) -> Self {
        let salted = Wiped(hash.stretch(password, salt, iterations));
        Self {
            client: Wiped(hash.hmac(&salted.0, b"Client Key")),
            server: Wiped(hash.hmac(&salted.0, b"Server Key")),
        }
    }
}

/// How many different salts and iterations are remembered: a server has one for each mechanism;
/// one that makes up a new one each time gains nothing.
const REMEMBERED: usize = 4;

struct Entry {
    hash: Hash,
    salt: Vec<u8>,
    iterations: u32,
    keys: Arc<OnceLock<Arc<Keys>>>,
}

/// The keys of one account, for all its connections. The password is always the same.
#[derive(Default)]
pub(crate) struct KeyCache(Mutex<Vec<Entry>>);

impl KeyCache {
    /// The keys, derived if they are not there yet. Of several connections that want the same
    /// ones at the same time one derives them, and the others wait for it: they would need the
    /// processor for as long.
    pub(super) fn keys(
        &self,
        hash: Hash,
        salt: &[u8],
        iterations: u32,
        derive: impl FnOnce() -> Keys,
    ) -> Arc<Keys> {
        let mut entries = self.0.lock();
        let known = entries
            .iter()
            .find(|one| one.hash == hash && one.iterations == iterations && one.salt == salt);
        let place = match known {
            Some(entry) => Arc::clone(&entry.keys),
            None => {
                if entries.len() >= REMEMBERED {
                    entries.remove(0);
                }
                let keys = Arc::default();
                entries.push(Entry {
                    hash,
                    salt: salt.to_vec(),
                    iterations,
                    keys: Arc::clone(&keys),
                });
                keys
            }
        };
        drop(entries);
        Arc::clone(place.get_or_init(|| Arc::new(derive())))
    }
}

impl fmt::Debug for KeyCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyCache(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_derived_once_for_each_salt_and_count() {
        let cache = KeyCache::default();
        let mut derived = 0;
        let mut ask = |hash, salt: &[u8], iterations| {
            let keys = cache.keys(hash, salt, iterations, || {
                derived += 1;
                Keys::derive(hash, b"pencil", salt, iterations)
            });
            keys.client.0.clone()
        };
        let first = ask(Hash::Sha1, b"a", 1);
        assert_eq!(ask(Hash::Sha1, b"a", 1), first);
        assert_ne!(ask(Hash::Sha1, b"b", 1), first);
        assert_ne!(ask(Hash::Sha1, b"a", 2), first);
        assert_ne!(ask(Hash::Sha256, b"a", 1), first);
        // A fifth drives the first one out; the memory is bounded.
        assert_ne!(ask(Hash::Sha512, b"a", 1), first);
        assert_eq!(ask(Hash::Sha1, b"a", 1), first);
        assert_eq!(derived, 6);
        assert_eq!(cache.0.lock().len(), REMEMBERED);
    }
}
