//! The command line.

use std::time::Duration;

use clap::Parser;

use crate::access::Access;
use crate::error::Result;
use crate::follow::Job;
use crate::server::Server;

/// Follows IMAP mailboxes and prints what becomes of them, until Ctrl-C.
///
/// Without arguments: a demonstration with an embedded server.
#[derive(Debug, Parser)]
#[command(
    after_help = "The password is read from --password-file, or else from the \
                        environment variable MAILPOOL_PASSWORD."
)]
pub(crate) struct Arguments {
    /// imaps://HOST[:PORT] for TLS, imap://HOST[:PORT] for STARTTLS
    #[arg(long, value_name = "URL", required_unless_present = "forever")]
    server: Option<Server>,
    /// Who logs in
    #[arg(long, required_unless_present = "forever")]
    user: Option<String>,
    #[command(flatten)]
    access: Access,
    /// A mailbox to follow; may be given several times
    #[arg(long, value_name = "NAME", default_value = "INBOX")]
    mailbox: Vec<String>,
    /// How many mailboxes, the first ones named, are followed with IDLE on a connection of their
    /// own. Two more connections fetch the subjects and ask about the other mailboxes
    #[arg(long, value_name = "N", default_value_t = 4,
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    connections: u16,
    /// How often to ask about what cannot be followed with IDLE
    #[arg(long, value_name = "SECONDS", default_value_t = 60,
          value_parser = clap::value_parser!(u32).range(1..))]
    poll: u32,
    /// The demonstration with the embedded server, without an end
    #[arg(long, exclusive = true)]
    forever: bool,
}

impl Arguments {
    /// What is to be followed; `None` for the demonstration.
    pub(crate) fn into_job(self) -> Result<Option<Job>> {
        let (Some(server), Some(user)) = (&self.server, &self.user) else {
            return Ok(None);
        };
        Ok(Some(Job {
            client: self.access.client(server, user)?,
            server: server.to_string(),
            mailboxes: self.mailbox,
            connections: self.connections.into(),
            poll: Duration::from_secs(self.poll.into()),
            events: None,
        }))
    }
}
