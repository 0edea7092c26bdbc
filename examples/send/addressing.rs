//! From whom and to whom a message goes.

use mail_parser::{Address, MessageParser};
use mailpool::{MailAddress, SmtpEnvelope};

use crate::error::{Error, Result};

/// What the command line says about it; the rest is read from each message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Addressing {
    /// `Some(None)` is the null reverse-path.
    pub(crate) from: Option<Option<MailAddress>>,
    /// Nobody: those in the message's header.
    pub(crate) to: Vec<MailAddress>,
}

impl Addressing {
    /// The envelope of a message, of which `start` has the whole header.
    pub(crate) fn envelope(&self, start: &[u8]) -> Result<SmtpEnvelope> {
        let parser = MessageParser::new();
        let header = if self.from.is_some() && !self.to.is_empty() {
            None
        } else {
            parser.parse_headers(start)
        };
        let fields = |found: Option<&Address<'_>>| -> Result<Vec<MailAddress>> {
            let addresses = found.into_iter().flat_map(Address::iter);
            let addresses = addresses.filter_map(|one| one.address());
            addresses
                .map(|one| MailAddress::new(one).map_err(Error::from))
                .collect()
        };
        let from = match (&self.from, &header) {
            (Some(from), _) => from.clone(),
            (None, Some(header)) => {
                let field = header.sender().or_else(|| header.from());
                let first = fields(field)?.into_iter().next();
                Some(first.ok_or(Error::NoSender)?)
            }
            (None, None) => return Err(Error::NoSender),
        };
        let mut to = self.to.clone();
        if let (true, Some(header)) = (to.is_empty(), &header) {
            for field in header
                .all_to()
                .chain(header.all_cc())
                .chain(header.all_bcc())
            {
                for address in fields(Some(field))? {
                    if !to.contains(&address) {
                        to.push(address);
                    }
                }
            }
        }
        if to.is_empty() {
            return Err(Error::NoRecipient);
        }
        Ok(match from {
            Some(from) => SmtpEnvelope::new(from, to)?,
            None => SmtpEnvelope::from_nobody(to)?,
        })
    }
}
