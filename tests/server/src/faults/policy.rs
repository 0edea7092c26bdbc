//! Rules about addresses, for SMTP and LMTP.

use super::{FaultBoard, Faults};

/// What a rule about addresses is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// MAIL, with the reverse-path.
    Sender,
    /// RCPT.
    Recipient,
    /// The end of the message, for each recipient.
    Delivery,
}

#[derive(Debug)]
pub(crate) struct AddressRule {
    asked: Asked,
    pattern: String,
    reply: Vec<u8>,
    /// `None` for ever.
    times: Option<u64>,
}

impl AddressRule {
    fn applies(&self, asked: Asked, address: &str) -> bool {
        let named = match self.pattern.strip_prefix('@') {
            Some(domain) => address
                .rsplit_once('@')
                .is_some_and(|(_, other)| other.eq_ignore_ascii_case(domain)),
            None => self.pattern == "*" || self.pattern.eq_ignore_ascii_case(address),
        };
        self.asked == asked && named && self.times != Some(0)
    }
}

impl FaultBoard {
    /// The reply that refuses this address now, if a rule says so. The rule counts as used.
    pub(crate) fn refuse_address(
        &self,
        connection: usize,
        asked: Asked,
        address: &str,
    ) -> Option<Vec<u8>> {
        self.table.lock().take(connection, |rules| {
            let rule = rules
                .addresses
                .iter_mut()
                .find(|rule| rule.applies(asked, address))?;
            rule.times = rule.times.map(|times| times.saturating_sub(1));
            Some(rule.reply.clone())
        })
    }
}

impl Faults {
    /// Answers every RCPT for this address with this reply, such as `550 5.1.1 No such user`.
    ///
    /// The address is compared without regard to case; `@example.org` stands for a domain, `*`
    /// for all. A reply may have several lines; the last CRLF can be left out. The earliest rule
    /// that applies wins. A reply of the 200s is sent, but the recipient does not count: RCPT is
    /// answered without being carried out.
    pub fn refuse_recipient(&self, address: &str, reply: impl AsRef<[u8]>) -> &Self {
        self.add_address(Asked::Recipient, address, None, reply.as_ref())
    }

    /// As [`refuse_recipient`](Self::refuse_recipient), so many times; then the recipient is
    /// accepted, as with greylisting.
    pub fn defer_recipient(&self, address: &str, times: u64, reply: impl AsRef<[u8]>) -> &Self {
        self.add_address(Asked::Recipient, address, Some(times), reply.as_ref())
    }

    /// Answers every MAIL with this reverse-path with this reply. The address as in
    /// [`refuse_recipient`](Self::refuse_recipient); the empty one is the null reverse-path.
    pub fn refuse_sender(&self, address: &str, reply: impl AsRef<[u8]>) -> &Self {
        self.add_address(Asked::Sender, address, None, reply.as_ref())
    }

    /// Refuses a message for this recipient when it has come to its end. LMTP gives this reply
    /// for this recipient alone; SMTP for the whole message, which is not stored.
    pub fn refuse_delivery(&self, address: &str, reply: impl AsRef<[u8]>) -> &Self {
        self.add_address(Asked::Delivery, address, None, reply.as_ref())
    }

    /// As [`refuse_delivery`](Self::refuse_delivery), so many times.
    pub fn defer_delivery(&self, address: &str, times: u64, reply: impl AsRef<[u8]>) -> &Self {
        self.add_address(Asked::Delivery, address, Some(times), reply.as_ref())
    }

    fn add_address(&self, asked: Asked, address: &str, times: Option<u64>, reply: &[u8]) -> &Self {
        let mut reply = reply.to_vec();
        if !reply.ends_with(b"\n") {
            reply.extend_from_slice(b"\r\n");
        }
        let rule = AddressRule {
            asked,
            pattern: address.to_owned(),
            reply,
            times,
        };
        self.set(|rules| rules.addresses.push(rule))
    }
}
