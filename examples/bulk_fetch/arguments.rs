//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::access::Access;
use crate::error::Result;
use crate::fetch::Job;
use crate::server::Server;

/// Fetches a whole IMAP mailbox into a Maildir; a second run fetches only what is missing.
///
/// Without arguments: a demonstration with an embedded server.
#[derive(Debug, Parser)]
#[command(
    after_help = "The password is read from --password-file, or else from the \
                        environment variable MAILPOOL_PASSWORD."
)]
pub(crate) struct Arguments {
    /// imaps://HOST[:PORT] for TLS, imap://HOST[:PORT] for STARTTLS
    #[arg(long, value_name = "URL")]
    server: Server,
    /// Who logs in
    #[arg(long)]
    user: String,
    #[command(flatten)]
    access: Access,
    /// The mailbox to fetch; nothing in it is changed
    #[arg(long, value_name = "NAME", default_value = "INBOX")]
    mailbox: String,
    /// How many connections fetch at the same time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1000))]
    connections: u16,
    /// The Maildir to write, made if need be; it holds one mailbox
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Leaves it to the system when files reach the disk. Faster, but after a power failure the
    /// mailbox must be fetched anew, into an empty directory
    #[arg(long)]
    no_sync: bool,
}

impl Arguments {
    pub(crate) fn into_job(self) -> Result<Job> {
        Ok(Job {
            server: self.server.to_string(),
            client: self.access.client(&self.server, &self.user)?,
            user: self.user,
            mailbox: self.mailbox,
            connections: self.connections.into(),
            out: self.out,
            sync: !self.no_sync,
        })
    }
}
