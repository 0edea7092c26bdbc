//! Whole exchanges: the examples of the RFCs, hostile servers, and another implementation.

mod framing;
mod hostile;
mod oracle;
mod vectors;

use super::account::Account;
use super::choice::Offer;
use super::exchange::Exchange;
use crate::types::sasl::SaslMechanism;
use crate::types::secret::Credentials;

fn account() -> Account {
    Account::new(Credentials::password("alice", "secret"))
}

fn offer<'a>(mechanisms: &'a [&'a str]) -> Offer<'a> {
    Offer {
        mechanisms,
        login_command: false,
        secure: true,
        end_point: Some(b"end point"),
    }
}

/// An exchange with a server that offers this mechanism alone.
fn begin(mechanism: SaslMechanism, account: &Account) -> Exchange {
    Exchange::begin(mechanism, account, &offer(&[mechanism.name()]), None).unwrap()
}
