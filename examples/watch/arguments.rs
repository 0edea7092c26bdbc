//! The command line.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use mailpool::{Credentials, ImapClient, ImapClientBuilder, Secret, Security};

use crate::error::{Error, Result};
use crate::follow::Job;
use crate::server::Server;

const PASSWORD_VARIABLE: &str = "MAILPOOL_PASSWORD";

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
    /// File with the password, in its first line
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
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
    /// File with certificates, in PEM, to trust beside the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Allows imap:// without STARTTLS: everybody on the way can read password and mail
    #[arg(long)]
    plaintext: bool,
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
        let credentials = Credentials::password(user, self.password()?);
        Ok(Some(Job {
            client: self.client(server)?.credentials(credentials),
            server: server.to_string(),
            mailboxes: self.mailbox,
            connections: self.connections.into(),
            poll: Duration::from_secs(self.poll.into()),
            events: None,
        }))
    }

    fn client(&self, server: &Server) -> Result<ImapClientBuilder> {
        let mut client = ImapClient::builder(&server.host);
        client = match (server.tls, self.plaintext) {
            (true, false) => client.security(Security::Tls),
            (false, false) => client.security(Security::StartTls),
            (false, true) => client.security(Security::None).allow_cleartext_password(),
            (true, true) => {
                let text = "--plaintext contradicts imaps://: use imap://";
                return Err(Error::Usage(text.to_owned()));
            }
        };
        if let Some(port) = server.port {
            client = client.port(port);
        }
        if let Some(path) = &self.ca {
            client = client.ca_pem(read(path)?);
        }
        Ok(client)
    }

    fn password(&self) -> Result<Secret> {
        if let Some(path) = &self.password_file {
            let content = read(path)?;
            let line = content.split(|byte| matches!(byte, b'\r' | b'\n')).next();
            return Ok(line.unwrap_or_default().into());
        }
        std::env::var(PASSWORD_VARIABLE)
            .map(Secret::from)
            .map_err(|_| {
                Error::Usage(format!(
                    "there is neither --password-file nor {PASSWORD_VARIABLE}"
                ))
            })
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|source| Error::File {
        path: path.to_owned(),
        source,
    })
}
