//! What a message needs of the server, and what is said about it.

use super::super::command::MailParameters;
use super::super::content::Content;
use super::Session;
use super::operation::{Failure, Mail};
use crate::types::smtp::envelope::{BodyType, Hold};

impl Session {
    /// What the message needs and the server lacks.
    pub(super) fn lacking(&self, mail: &Mail) -> Option<Failure> {
        let offers = |keyword: &'static str| {
            if self.capabilities.supports(keyword) {
                None
            } else {
                Some(Failure::Missing(keyword))
            }
        };
        let envelope = &mail.envelope;
        let missing = |needed: bool, keyword| if needed { offers(keyword) } else { None };
        if let (Some(size), Some(limit)) = (mail.content.size(), self.capabilities.size()) {
            if size > limit {
                return Some(Failure::TooLarge { size, limit });
            }
        }
        let (eight_bit, nul) = match &mail.content {
            Content::Whole(prepared) => (prepared.eight_bit, prepared.nul),
            Content::Stream(_) => (false, false),
        };
        let binary = envelope.body_type() == Some(BodyType::Binary);
        let needs_chunks = binary || nul;
        missing(envelope.needs_utf8(), "SMTPUTF8")
            .or_else(|| missing(envelope.needs_dsn(), "DSN"))
            .or_else(|| missing(envelope.hold().is_some(), "FUTURERELEASE"))
            .or_else(|| missing(envelope.needs_tls(), "REQUIRETLS"))
            // Offered in clear it means nothing (RFC 8689 §3).
            .or_else(|| {
                let unsafe_way = envelope.needs_tls() && !self.secure;
                unsafe_way.then_some(Failure::Missing("REQUIRETLS"))
            })
            .or_else(|| missing(binary, "BINARYMIME"))
            .or_else(|| missing(needs_chunks, "CHUNKING"))
            .or_else(|| {
                (needs_chunks && !self.config.chunking).then_some(Failure::Missing("CHUNKING"))
            })
            .or_else(|| missing(eight_bit && !binary, "8BITMIME"))
            .or_else(|| self.holds_too_long(envelope.hold()))
    }

    /// FUTURERELEASE names the longest time in seconds (RFC 4865 §5).
    fn holds_too_long(&self, hold: Option<Hold>) -> Option<Failure> {
        let Some(Hold::For(time)) = hold else {
            return None;
        };
        let parameters = self.capabilities.parameters("FUTURERELEASE")?;
        let most: u64 = parameters.split_ascii_whitespace().next()?.parse().ok()?;
        (time.as_secs() > most).then_some(Failure::Missing("a FUTURERELEASE of that length"))
    }

    pub(super) fn mail_parameters(&self, mail: &Mail) -> MailParameters {
        let declared = mail.envelope.body_type();
        let eight_bit = match &mail.content {
            Content::Whole(prepared) => prepared.eight_bit,
            // What it has is not known yet.
            Content::Stream(_) => declared != Some(BodyType::SevenBit),
        };
        let takes_eight = self.capabilities.supports("8BITMIME");
        let body = match declared {
            Some(BodyType::Binary) => Some(BodyType::Binary),
            _ if eight_bit && takes_eight => Some(BodyType::EightBit),
            Some(BodyType::SevenBit) if takes_eight => Some(BodyType::SevenBit),
            _ => None,
        };
        MailParameters {
            size: mail
                .content
                .size()
                .filter(|_| self.capabilities.supports("SIZE")),
            body,
            utf8: mail.envelope.needs_utf8(),
        }
    }
}

/// Leaves recipients out whose domains are too many for one transaction.
pub(super) fn keep_domains(round: &mut Vec<usize>, mail: &Mail, most: Option<u64>) {
    let Some(most) = most.and_then(|most| usize::try_from(most).ok()) else {
        return;
    };
    let mut domains: Vec<String> = Vec::new();
    round.retain(|index| {
        let recipient = mail.envelope.recipients().get(*index);
        let domain = recipient.and_then(|recipient| recipient.address().domain());
        let domain = domain.unwrap_or_default().to_lowercase();
        if domains.contains(&domain) {
            return true;
        }
        if domains.len() >= most {
            return false;
        }
        domains.push(domain);
        true
    });
}
