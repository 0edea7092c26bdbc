//! The envelope of a message: from whom, to whom, and what it needs on its way.

use std::fmt;
use std::time::Duration;

use super::address::MailAddress;
use crate::types::date::DateTime;
use crate::types::invalid::InvalidArgument;

/// Bytes of an envelope identifier (RFC 3461 §4.4).
const MAX_ENVELOPE_ID: usize = 100;

/// From whom and to whom a message goes, and what it needs on its way (RFC 5321 §2.3.1). What
/// stands in the message's own header does not matter here.
///
/// ```
/// use mailpool::{Notify, Recipient, SmtpEnvelope};
///
/// let envelope = SmtpEnvelope::new("alice@example.org", ["bob@example.net"])?
///     .recipient(Recipient::new("carol@example.net")?.notify(Notify::failure().delay()))?;
/// assert_eq!(envelope.recipients().len(), 2);
/// # Ok::<(), mailpool::InvalidArgument>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[must_use]
pub struct SmtpEnvelope {
    reverse_path: Option<MailAddress>,
    recipients: Vec<Recipient>,
    body: Option<BodyType>,
    utf8: bool,
    require_tls: bool,
    envelope_id: Option<String>,
    return_content: Option<ReturnContent>,
    hold: Option<Hold>,
}

/// Until when a message is held before it is delivered (RFC 4865).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    For(Duration),
    Until(DateTime),
}

impl SmtpEnvelope {
    /// An envelope with a reverse-path, to which non-delivery is reported, and recipients. More
    /// recipients may follow: [`recipient`](Self::recipient).
    ///
    /// # Errors
    /// Where one of them is not an address.
    pub fn new<F, R>(
        reverse_path: F,
        recipients: impl IntoIterator<Item = R>,
    ) -> Result<Self, InvalidArgument>
    where
        F: TryInto<MailAddress>,
        R: TryInto<Recipient>,
        InvalidArgument: From<F::Error> + From<R::Error>,
    {
        let mut envelope = Self::from_nobody(recipients)?;
        envelope.reverse_path = Some(reverse_path.try_into()?);
        Ok(envelope)
    }

    /// An envelope with the null reverse-path `<>`: a notification, of which nothing comes back
    /// (RFC 5321 §4.5.5).
    ///
    /// # Errors
    /// Where one of the recipients is not an address.
    pub fn from_nobody<R>(recipients: impl IntoIterator<Item = R>) -> Result<Self, InvalidArgument>
    where
        R: TryInto<Recipient>,
        InvalidArgument: From<R::Error>,
    {
        let recipients: Result<Vec<Recipient>, R::Error> =
            recipients.into_iter().map(TryInto::try_into).collect();
        Ok(Self {
            reverse_path: None,
            recipients: recipients?,
            body: None,
            utf8: false,
            require_tls: false,
            envelope_id: None,
            return_content: None,
            hold: None,
        })
    }

    /// Adds a recipient.
    ///
    /// # Errors
    /// Where it is not an address.
    pub fn recipient<R>(mut self, recipient: R) -> Result<Self, InvalidArgument>
    where
        R: TryInto<Recipient>,
        InvalidArgument: From<R::Error>,
    {
        self.recipients.push(recipient.try_into()?);
        Ok(self)
    }

    /// What bytes the message has. Without it a message in memory is looked through, and one
    /// from a reader counts as [`BodyType::EightBit`] where the server takes that.
    pub fn body(mut self, body: BodyType) -> Self {
        self.body = Some(body);
        self
    }

    /// The message's header has other characters than ASCII, so that the server must have
    /// SMTPUTF8 (RFC 6531). An address of the envelope that has some needs no such word.
    pub fn utf8(mut self) -> Self {
        self.utf8 = true;
        self
    }

    /// The message must not travel without TLS on any part of its way (RFC 8689). The connection
    /// has to be one with TLS, and the server has to offer REQUIRETLS.
    pub fn require_tls(mut self) -> Self {
        self.require_tls = true;
        self
    }

    /// An identifier that stands in notifications about this message: ENVID (RFC 3461 §4.4). The
    /// server has to have DSN.
    ///
    /// # Errors
    /// Where it is empty, longer than 100 bytes, or has other characters than printable ASCII.
    pub fn envelope_id(mut self, id: impl Into<String>) -> Result<Self, InvalidArgument> {
        let id = id.into();
        if id.is_empty() || id.len() > MAX_ENVELOPE_ID {
            return Err(InvalidArgument::new(
                "envelope identifier",
                "must have 1 to 100 bytes",
            ));
        }
        if !id.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err(InvalidArgument::new(
                "envelope identifier",
                "has other characters than printable ASCII",
            ));
        }
        self.envelope_id = Some(id);
        Ok(self)
    }

    /// What of the message comes back with a notification that it could not be delivered: RET
    /// (RFC 3461 §4.3). The server has to have DSN.
    pub fn return_content(mut self, content: ReturnContent) -> Self {
        self.return_content = Some(content);
        self
    }

    /// Has the server hold the message for so long: HOLDFOR, in whole seconds (RFC 4865). The
    /// server has to offer FUTURERELEASE, and to allow as much.
    pub fn hold_for(mut self, time: Duration) -> Self {
        self.hold = Some(Hold::For(time));
        self
    }

    /// Has the server hold the message until then: HOLDUNTIL (RFC 4865). The server has to offer
    /// FUTURERELEASE.
    pub fn hold_until(mut self, moment: DateTime) -> Self {
        self.hold = Some(Hold::Until(moment));
        self
    }

    /// To whom non-delivery is reported; `None` for the null reverse-path.
    pub fn reverse_path(&self) -> Option<&MailAddress> {
        self.reverse_path.as_ref()
    }

    /// The recipients, in their order.
    pub fn recipients(&self) -> &[Recipient] {
        &self.recipients
    }

    pub(crate) fn body_type(&self) -> Option<BodyType> {
        self.body
    }

    /// Whether the server has to have SMTPUTF8.
    pub(crate) fn needs_utf8(&self) -> bool {
        let ascii = |address: &MailAddress| address.is_ascii();
        self.utf8
            || !self.reverse_path.as_ref().is_none_or(ascii)
            || !self.recipients.iter().all(|one| ascii(&one.address))
    }

    pub(crate) fn needs_tls(&self) -> bool {
        self.require_tls
    }

    /// Whether the server has to have DSN.
    pub(crate) fn needs_dsn(&self) -> bool {
        self.envelope_id.is_some()
            || self.return_content.is_some()
            || self
                .recipients
                .iter()
                .any(|one| one.notify.is_some() || one.original.is_some())
    }

    pub(crate) fn id(&self) -> Option<&str> {
        self.envelope_id.as_deref()
    }

    pub(crate) fn returned(&self) -> Option<ReturnContent> {
        self.return_content
    }

    pub(crate) fn hold(&self) -> Option<Hold> {
        self.hold
    }
}

impl fmt::Debug for SmtpEnvelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpEnvelope")
            .field("reverse_path", &self.reverse_path)
            .field("recipients", &self.recipients)
            .finish_non_exhaustive()
    }
}

/// One recipient of an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Recipient {
    address: MailAddress,
    notify: Option<Notify>,
    original: Option<MailAddress>,
}

impl Recipient {
    /// A recipient for whom the server's defaults hold.
    ///
    /// # Errors
    /// Where it is not an address.
    pub fn new<A>(address: A) -> Result<Self, InvalidArgument>
    where
        A: TryInto<MailAddress>,
        InvalidArgument: From<A::Error>,
    {
        Ok(Self {
            address: address.try_into()?,
            notify: None,
            original: None,
        })
    }

    /// When the sender is notified: NOTIFY (RFC 3461 §4.1). The server has to have DSN.
    pub fn notify(mut self, notify: Notify) -> Self {
        self.notify = Some(notify);
        self
    }

    /// To whom the message was addressed before it was forwarded: ORCPT (RFC 3461 §4.2). The
    /// server has to have DSN.
    pub fn original(mut self, address: MailAddress) -> Self {
        self.original = Some(address);
        self
    }

    /// The address.
    pub fn address(&self) -> &MailAddress {
        &self.address
    }

    pub(crate) fn notified(&self) -> Option<Notify> {
        self.notify
    }

    pub(crate) fn original_address(&self) -> Option<&MailAddress> {
        self.original.as_ref()
    }
}

impl From<MailAddress> for Recipient {
    fn from(address: MailAddress) -> Self {
        Self {
            address,
            notify: None,
            original: None,
        }
    }
}

impl From<&MailAddress> for Recipient {
    fn from(address: &MailAddress) -> Self {
        address.clone().into()
    }
}

impl TryFrom<&str> for Recipient {
    type Error = InvalidArgument;

    fn try_from(text: &str) -> Result<Self, InvalidArgument> {
        MailAddress::new(text).map(Into::into)
    }
}

impl TryFrom<String> for Recipient {
    type Error = InvalidArgument;

    fn try_from(text: String) -> Result<Self, InvalidArgument> {
        MailAddress::new(text).map(Into::into)
    }
}

impl TryFrom<&String> for Recipient {
    type Error = InvalidArgument;

    fn try_from(text: &String) -> Result<Self, InvalidArgument> {
        MailAddress::new(text).map(Into::into)
    }
}

/// When the sender of a message is notified of what becomes of it (RFC 3461 §4.1).
///
/// ```
/// use mailpool::Notify;
/// assert_ne!(Notify::never(), Notify::failure().delay());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Notify {
    pub(crate) success: bool,
    pub(crate) failure: bool,
    pub(crate) delay: bool,
}

impl Notify {
    /// Not at all, not even if the message cannot be delivered.
    pub fn never() -> Self {
        Self {
            success: false,
            failure: false,
            delay: false,
        }
    }

    /// When it could not be delivered.
    pub fn failure() -> Self {
        Self {
            failure: true,
            ..Self::never()
        }
    }

    /// Also when it has been delivered.
    pub fn success(self) -> Self {
        Self {
            success: true,
            ..self
        }
    }

    /// Also when it is late.
    pub fn delay(self) -> Self {
        Self {
            delay: true,
            ..self
        }
    }
}

/// What of a message comes back with a notification that it could not be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReturnContent {
    /// The whole message.
    Full,
    /// Its header.
    Headers,
}

/// What bytes a message has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BodyType {
    /// Lines of ASCII.
    SevenBit,
    /// Lines of any bytes: needs 8BITMIME (RFC 6152) if there are some beyond ASCII.
    EightBit,
    /// Any bytes at all, which are sent as they are: needs BINARYMIME and CHUNKING (RFC 3030).
    Binary,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_envelope_needs_follows_from_what_is_in_it() {
        let plain = SmtpEnvelope::new("a@example.org", ["b@example.org"]).unwrap();
        assert!(!plain.needs_utf8() && !plain.needs_dsn() && !plain.needs_tls());
        let foreign = SmtpEnvelope::new("a@example.org", ["bö@example.org"]).unwrap();
        assert!(foreign.needs_utf8());
        assert!(plain.clone().utf8().needs_utf8());
        let told = Recipient::new("c@example.org")
            .unwrap()
            .notify(Notify::never());
        assert!(plain.clone().recipient(told).unwrap().needs_dsn());
        assert!(plain.clone().envelope_id("x").unwrap().needs_dsn());
        let nobody = SmtpEnvelope::from_nobody(["b@example.org"]).unwrap();
        assert_eq!(nobody.reverse_path(), None);
    }

    #[test]
    fn an_envelope_takes_no_address_and_no_identifier_that_leaves_its_place() {
        assert!(SmtpEnvelope::new("a@example.org", ["b@example.org\r\nDATA"]).is_err());
        assert!(SmtpEnvelope::new("a\n@example.org", ["b@example.org"]).is_err());
        let envelope = SmtpEnvelope::new("a@example.org", ["b@example.org"]).unwrap();
        for id in ["", "a\r\nb", "ä", &"x".repeat(101)] {
            assert!(envelope.clone().envelope_id(id).is_err(), "{id:?}");
        }
    }
}
