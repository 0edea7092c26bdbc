//! The command line.

use std::path::PathBuf;

use clap::Parser;
use mailpool::MailAddress;

use crate::access::Access;
use crate::addressing::Addressing;
use crate::error::Result;
use crate::files;
use crate::job::Job;

/// Sends .eml files, or directories of them, through several connections.
///
/// Without arguments: a demonstration with an embedded server.
#[derive(Debug, Parser)]
#[command(
    after_help = "The password is read from --password-file, or else from the \
                        environment variable MAILPOOL_PASSWORD.\n\
                        Exit codes: 0 all sent, 1 something failed or was refused, 2 a wrong \
                        command line, 3 interrupted."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    access: Access,
    /// To whom non-delivery is reported, instead of the header's Sender or From; <> for nobody
    #[arg(long, value_name = "ADDRESS", value_parser = reverse_path)]
    from: Option<ReversePath>,
    /// A recipient, instead of those in the header; may be given several times
    #[arg(long, value_name = "ADDRESS")]
    to: Vec<MailAddress>,
    /// How many connections there may be
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1000))]
    connections: u16,
    /// How often a message is tried again that the server refuses for the time being
    #[arg(long, value_name = "N", default_value_t = 0)]
    retry: u32,
    /// Messages, one in each file; of a directory all that end in .eml
    #[arg(value_name = "FILE", required = true)]
    paths: Vec<PathBuf>,
}

/// `None` is the null reverse-path.
type ReversePath = Box<Option<MailAddress>>;

fn reverse_path(text: &str) -> std::result::Result<ReversePath, mailpool::InvalidArgument> {
    if text == "<>" {
        return Ok(Box::new(None));
    }
    MailAddress::new(text).map(|address| Box::new(Some(address)))
}

impl Arguments {
    pub(crate) fn into_job(self) -> Result<Job> {
        Ok(Job {
            server: self.access.server.to_string(),
            client: self.access.client()?,
            addressing: Addressing {
                from: self.from.map(|path| *path),
                to: self.to,
            },
            files: files::list(&self.paths)?,
            connections: self.connections.into(),
            retry: self.retry,
        })
    }
}
