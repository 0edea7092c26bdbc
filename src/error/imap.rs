//! The failures of an IMAP session.

use super::ErrorKind;
use super::conversions::ProtocolFailure;
use crate::protocol::imap::session::operation::Failure;

impl ProtocolFailure for Failure {
    fn into_kind(self) -> ErrorKind {
        match self {
            Failure::Rejected {
                verb: "LOGIN" | "AUTHENTICATE",
                code,
                text,
                ..
            } => ErrorKind::Authentication {
                code: code.map(|code| *code),
                text,
            },
            Failure::Rejected {
                verb,
                status,
                code,
                text,
                partly: _,
            } => ErrorKind::Rejected {
                verb,
                status,
                code: code.map(|code| *code),
                text,
            },
            Failure::Bye { code, text } => ErrorKind::Bye {
                code: code.map(|code| *code),
                text,
            },
            Failure::Missing(capability) => ErrorKind::MissingCapability { capability },
            failure @ (Failure::NoStartTls | Failure::Injected(_) | Failure::PreAuthBeforeTls) => {
                ErrorKind::StartTls {
                    reason: failure.to_string(),
                }
            }
            Failure::Cleartext => ErrorKind::CleartextPassword,
            Failure::NoMechanism { offered, possible } => {
                ErrorKind::NoMechanism { offered, possible }
            }
            Failure::Sasl { mechanism, failure } => ErrorKind::Sasl { mechanism, failure },
            Failure::UidValidity { expected, found } => {
                ErrorKind::UidValidityChanged { expected, found }
            }
            Failure::Invalid(invalid) => ErrorKind::InvalidArgument(invalid),
            Failure::Protocol(reason) => ErrorKind::Protocol { reason },
            Failure::Limit { what, limit } => ErrorKind::Limit { what, limit },
            Failure::Silent => ErrorKind::Stalled,
            Failure::Following => ErrorKind::Idling,
        }
    }

    fn is_refusal(&self) -> bool {
        matches!(self, Self::Rejected { partly: false, .. })
    }
}
