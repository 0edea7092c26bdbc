//! What an SMTP session can be asked for, and what becomes of it.

use std::sync::Arc;

use super::super::content::Content;
use crate::protocol::machine::{Verdict, Weigh};
use crate::types::sasl::{SaslFailure, SaslMechanism};
use crate::types::smtp::capabilities::SmtpCapabilities;
use crate::types::smtp::envelope::SmtpEnvelope;
use crate::types::smtp::reply::SmtpReply;
use crate::types::smtp::report::{RecipientOutcome, RecipientReport};

/// One unit of work.
#[derive(Debug)]
pub(crate) enum Operation {
    Send(Box<Mail>),
    Noop,
    /// VRFY of a name or address.
    Verify(String),
    /// EXPN of a list.
    Expand(String),
    /// What the server offers. Nothing is sent.
    Capabilities,
}

/// A message and its envelope.
#[derive(Debug)]
pub(crate) struct Mail {
    pub envelope: Arc<SmtpEnvelope>,
    pub content: Content,
    /// What has become of it for each recipient so far.
    pub outcomes: Vec<Option<RecipientOutcome>>,
    /// A connection has broken with it.
    pub was_broken: bool,
}

impl Mail {
    pub(crate) fn new(envelope: Arc<SmtpEnvelope>, content: Content) -> Self {
        Self {
            outcomes: vec![None; envelope.recipients().len()],
            envelope,
            content,
            was_broken: false,
        }
    }

    /// One entry for each recipient of whom something is known.
    pub(super) fn report(&self) -> Vec<RecipientReport> {
        let recipients = self.envelope.recipients().iter();
        recipients
            .zip(&self.outcomes)
            .filter_map(|(recipient, outcome)| {
                let address = recipient.address().clone();
                Some(RecipientReport::new(address, outcome.clone()?))
            })
            .collect()
    }

    pub(super) fn anybody_accepted(&self) -> bool {
        let accepted = |one: &Option<_>| matches!(one, Some(RecipientOutcome::Accepted(_)));
        self.outcomes.iter().any(accepted)
    }
}

/// A reply is complete when it comes: there are no parts.
#[derive(Debug)]
pub(crate) enum Part {}

impl Weigh for Part {
    fn weight(&self) -> usize {
        match *self {}
    }
}

/// What an operation ends with.
#[derive(Debug)]
pub(crate) enum End {
    /// At least one recipient was accepted.
    Sent(Vec<RecipientReport>),
    Replied(SmtpReply),
    Capabilities(Box<SmtpCapabilities>),
}

/// Why an operation or the connection failed.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the server refused {verb}: {reply}")]
    Refused {
        verb: &'static str,
        reply: SmtpReply,
    },
    #[error("the server accepted no recipient")]
    NobodyAccepted(Arc<[RecipientReport]>),
    /// 421, at any time: the server closes the connection.
    #[error("the server ends the connection: {0}")]
    Leaving(SmtpReply),
    #[error("the server refused the connection: {0}")]
    Greeting(SmtpReply),
    #[error("the server refused the credentials: {reply}")]
    Authentication {
        reply: SmtpReply,
        /// What it said within the exchange.
        told: Option<String>,
    },
    /// This side gave the login up.
    #[error("the login by {mechanism} was given up: {failure}")]
    Sasl {
        mechanism: SaslMechanism,
        failure: SaslFailure,
    },
    #[error("the server does not offer {0}")]
    Missing(&'static str),
    #[error("the message has {size} bytes, the server takes {limit}")]
    TooLarge { size: u64, limit: u64 },
    #[error("the server does not offer STARTTLS")]
    NoStartTls,
    #[error("{0} bytes came in clear behind the answer to STARTTLS")]
    Injected(usize),
    #[error("the connection has no TLS")]
    Cleartext,
    #[error("the server offers no way to authenticate that can be used")]
    NoMechanism {
        offered: Vec<String>,
        possible: Vec<SaslMechanism>,
    },
    #[error("{0}")]
    Protocol(String),
    /// Its sender gave up in the middle of a message, which only the end of the connection can
    /// take back.
    #[error("a message was broken off")]
    BrokenOff,
}

impl Failure {
    pub(super) fn protocol(reason: impl Into<String>) -> Self {
        Self::Protocol(reason.into())
    }

    pub(super) fn verdict(&self) -> Verdict {
        match self {
            Self::Greeting(reply) | Self::Leaving(reply) if says_too_many(reply) => {
                Verdict::TooMany
            }
            Self::Greeting(reply) | Self::Authentication { reply, .. } if reply.is_transient() => {
                Verdict::Transient
            }
            Self::Greeting(_)
            | Self::Authentication { .. }
            | Self::Sasl { .. }
            | Self::NoStartTls
            | Self::Cleartext
            | Self::NoMechanism { .. } => Verdict::Permanent,
            Self::BrokenOff => Verdict::OwnDoing,
            _ => Verdict::Transient,
        }
    }
}

/// Whether a 421 is about the number of connections. There is no code for it: it is told by the
/// words "too many" or "maximum" or "concurrent" together with "connection" or "session".
pub(crate) fn says_too_many(reply: &SmtpReply) -> bool {
    let text = reply.text.to_ascii_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| text.contains(word));
    reply.is_transient()
        && any(&["too many", "maximum", "concurrent", "limit"])
        && any(&["connection", "session"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(code: u16, text: &str) -> SmtpReply {
        SmtpReply {
            code,
            enhanced: None,
            text: text.to_owned(),
        }
    }

    #[test]
    fn too_many_connections_are_told_from_other_troubles() {
        for text in [
            "mail.example.org Error: too many connections from 192.0.2.1",
            "Too many concurrent SMTP connections; please try again later.",
            "The maximum number of concurrent server connections has exceeded a limit",
            "Too many concurrent sessions",
        ] {
            let failure = Failure::Greeting(reply(421, text));
            assert_eq!(failure.verdict(), Verdict::TooMany, "{text}");
        }
        for (code, text, verdict) in [
            (421, "shutting down", Verdict::Transient),
            (421, "too many errors", Verdict::Transient),
            (421, "idle timeout, closing connection", Verdict::Transient),
            (554, "no SMTP service here", Verdict::Permanent),
        ] {
            let failure = Failure::Greeting(reply(code, text));
            assert_eq!(failure.verdict(), verdict, "{code} {text}");
        }
        for (code, verdict) in [(535, Verdict::Permanent), (454, Verdict::Transient)] {
            let reply = reply(code, "no");
            let refused = Failure::Authentication { reply, told: None };
            assert_eq!(refused.verdict(), verdict);
        }
        assert_eq!(Failure::BrokenOff.verdict(), Verdict::OwnDoing);
    }
}
