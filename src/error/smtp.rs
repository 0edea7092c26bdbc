//! The failures of an SMTP session.

use super::ErrorKind;
use super::conversions::ProtocolFailure;
use crate::protocol::smtp::session::operation::Failure;

impl ProtocolFailure for Failure {
    fn into_kind(self) -> ErrorKind {
        match self {
            Failure::Refused { verb, reply } => ErrorKind::SmtpRefused { verb, reply },
            Failure::NobodyAccepted(recipients) => ErrorKind::NobodyAccepted {
                recipients: recipients.to_vec(),
            },
            Failure::Leaving(reply) | Failure::Greeting(reply) => ErrorKind::SmtpClosing { reply },
            Failure::Authentication { reply, told } => ErrorKind::Authentication {
                code: None,
                text: match told {
                    Some(told) => format!("{reply}: {told}"),
                    None => reply.to_string(),
                },
            },
            Failure::Sasl { mechanism, failure } => ErrorKind::Sasl { mechanism, failure },
            Failure::Missing(capability) => ErrorKind::MissingCapability { capability },
            Failure::TooLarge { size, limit } => ErrorKind::MessageTooLarge { size, limit },
            failure @ (Failure::NoStartTls | Failure::Injected(_)) => ErrorKind::StartTls {
                reason: failure.to_string(),
            },
            Failure::Cleartext => ErrorKind::CleartextPassword,
            Failure::NoMechanism { offered, possible } => {
                ErrorKind::NoMechanism { offered, possible }
            }
            Failure::Protocol(reason) => ErrorKind::Protocol { reason },
            Failure::BrokenOff => ErrorKind::Closed,
        }
    }

    fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::NobodyAccepted(_))
    }
}
