//! What became of a message.

use std::fmt;

use super::address::MailAddress;
use super::reply::SmtpReply;

/// What became of a message that at least one recipient's server took over: one entry for each
/// recipient, in the envelope's order.
///
/// ```
/// # fn example(report: mailpool::SendReport) {
/// for refused in report.refused() {
///     eprintln!("{}: {}", refused.address, refused.outcome);
/// }
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "some recipients may have been refused"]
pub struct SendReport {
    /// What became of it for each recipient.
    pub recipients: Vec<RecipientReport>,
}

impl SendReport {
    /// Whether every recipient was accepted.
    pub fn is_complete(&self) -> bool {
        self.refused().next().is_none()
    }

    /// The recipients that were accepted.
    pub fn accepted(&self) -> impl Iterator<Item = &RecipientReport> {
        self.recipients.iter().filter(|one| one.is_accepted())
    }

    /// The recipients that were not accepted, or of which nothing is known.
    pub fn refused(&self) -> impl Iterator<Item = &RecipientReport> {
        self.recipients.iter().filter(|one| !one.is_accepted())
    }
}

/// What became of a message for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecipientReport {
    /// The recipient.
    pub address: MailAddress,
    /// What became of it.
    pub outcome: RecipientOutcome,
}

impl RecipientReport {
    pub(crate) fn new(address: MailAddress, outcome: RecipientOutcome) -> Self {
        Self { address, outcome }
    }

    /// Whether the server has taken the message over for this recipient.
    pub fn is_accepted(&self) -> bool {
        matches!(self.outcome, RecipientOutcome::Accepted(_))
    }
}

/// What became of a message for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecipientOutcome {
    /// The server has taken the message over. With LMTP it has been delivered.
    Accepted(SmtpReply),
    /// The server has refused the recipient.
    Refused(SmtpReply),
    /// The connection broke before the server had said what became of it: the message may have
    /// been delivered to this recipient, or not. Only where others were accepted: with LMTP, or
    /// where the recipients took several transactions.
    Unknown,
}

impl fmt::Display for RecipientOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted(reply) => write!(f, "accepted ({reply})"),
            Self::Refused(reply) => write!(f, "refused ({reply})"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}
