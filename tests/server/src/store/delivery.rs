//! What was accepted by way of SMTP or LMTP, with its envelope.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use sha2::{Digest as _, Sha256};

use super::message::Message;
use crate::clock;

/// A SHA-256 digest.
pub type Digest = [u8; 32];

/// A reverse-path or forward-path with the parameters that came with it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Path {
    /// What stood between the angle brackets, as it was sent: empty for the null reverse-path.
    pub address: String,
    /// The parameters as they were sent, in their order: `SIZE=1000`, `SMTPUTF8`.
    pub parameters: Vec<String>,
    decoded: BTreeMap<&'static str, String>,
}

impl Path {
    pub(crate) fn new(
        address: String,
        parameters: Vec<String>,
        decoded: BTreeMap<&'static str, String>,
    ) -> Self {
        Self {
            address,
            parameters,
            decoded,
        }
    }

    /// The value of a parameter as it was sent, empty if it has none; `None` if it was not sent.
    #[must_use]
    pub fn parameter(&self, keyword: &str) -> Option<&str> {
        self.parameters.iter().find_map(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            name.eq_ignore_ascii_case(keyword).then_some(value)
        })
    }

    /// The value of `ENVID`, `AUTH` or `ORCPT` (without its `rfc822;`), with xtext decoded
    /// (RFC 3461 section 4).
    #[must_use]
    pub fn decoded(&self, keyword: &str) -> Option<&str> {
        self.decoded.get(keyword).map(String::as_str)
    }
}

/// A message that was accepted: its sender is entitled to think that it is delivered, whether or
/// not the server's word reached it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Delivery {
    /// Its place among all messages accepted into this store, from 1.
    pub order: u64,
    /// The connection it came by, numbered from 1 in the order of acceptance.
    pub connection: usize,
    /// Whether it came by TLS.
    pub tls: bool,
    /// Who had logged in.
    pub user: Option<String>,
    /// The client's name of itself, from EHLO, HELO or LHLO.
    pub hello: String,
    /// Who sent it, with the parameters of MAIL.
    pub reverse_path: Path,
    /// For whom it was accepted, in the order of RCPT, with the parameters of RCPT. In LMTP those
    /// for whom it was accepted in the end.
    pub recipients: Vec<Path>,
    /// The length in octets, dots unstuffed, without the final dot.
    pub size: u64,
    /// How many chunks it came in by BDAT; zero for DATA.
    pub chunks: u64,
    /// The flights from MAIL to the end of the message, see
    /// [`CommandRecord::flight`](crate::CommandRecord::flight). The number of round trips is the
    /// number of flights; the last of one message and the first of the next may be the same.
    pub flights: RangeInclusive<u64>,
    /// Whether the answer was written. It can have been lost all the same.
    pub answered: bool,
    body: Body,
}

impl Delivery {
    /// The message byte for byte, dots unstuffed; `None` if the server keeps digests only.
    #[must_use]
    pub fn bytes(&self) -> Option<Vec<u8>> {
        let message = self.body.message()?;
        Some(message.content.load().to_vec())
    }

    /// The SHA-256 digest of the message.
    #[must_use]
    pub fn sha256(&self) -> Digest {
        match &self.body {
            Body::Kept(message) => Sha256::digest(&*message.content.load()).into(),
            Body::Digest(digest) => *digest,
        }
    }

    /// The addresses of the recipients.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        self.recipients.iter().map(|path| path.address.as_str())
    }

    /// How many times the client had to wait for the server, from MAIL to the answer to the
    /// message.
    #[must_use]
    pub fn round_trips(&self) -> u64 {
        self.flights.end() - self.flights.start() + 1
    }
}

/// What is left of a message's bytes.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Kept(Message),
    Digest(Digest),
}

impl Body {
    pub(crate) fn message(&self) -> Option<Message> {
        match self {
            Self::Kept(message) => Some(message.clone()),
            Self::Digest(_) => None,
        }
    }
}

/// A message at the moment of its acceptance.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) connection: usize,
    pub(crate) tls: bool,
    pub(crate) user: Option<String>,
    pub(crate) hello: String,
    pub(crate) reverse_path: Path,
    pub(crate) recipients: Vec<Path>,
    pub(crate) size: u64,
    pub(crate) chunks: u64,
    pub(crate) flights: RangeInclusive<u64>,
    pub(crate) body: Body,
}

#[derive(Debug, Default)]
pub(crate) struct DeliveryBoard {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    count: u64,
    list: Vec<Arc<Delivery>>,
}

impl DeliveryBoard {
    pub(crate) fn add(&self, accepted: Accepted) -> u64 {
        let mut inner = self.inner.lock();
        inner.count += 1;
        let order = inner.count;
        inner.list.push(Arc::new(Delivery {
            order,
            connection: accepted.connection,
            tls: accepted.tls,
            user: accepted.user,
            hello: accepted.hello,
            reverse_path: accepted.reverse_path,
            recipients: accepted.recipients,
            size: accepted.size,
            chunks: accepted.chunks,
            flights: accepted.flights,
            answered: false,
            body: accepted.body,
        }));
        drop(inner);
        self.changed.notify_all();
        order
    }

    pub(crate) fn answered(&self, order: u64) {
        let mut inner = self.inner.lock();
        if let Ok(place) = inner
            .list
            .binary_search_by_key(&order, |delivery| delivery.order)
        {
            if let Some(delivery) = inner.list.get_mut(place) {
                Arc::make_mut(delivery).answered = true;
            }
        }
        drop(inner);
        self.changed.notify_all();
    }

    pub(crate) fn list(&self) -> Vec<Delivery> {
        let list = self.inner.lock().list.clone();
        list.iter()
            .map(|delivery| Delivery::clone(delivery))
            .collect()
    }

    pub(crate) fn wait(&self, count: usize, timeout: Duration) -> Vec<Delivery> {
        let deadline = clock::now() + timeout;
        let mut inner = self.inner.lock();
        while inner.list.len() < count {
            if self.changed.wait_until(&mut inner, deadline).timed_out() {
                break;
            }
        }
        drop(inner);
        self.list()
    }

    pub(crate) fn clear(&self) {
        self.inner.lock().list.clear();
    }
}
