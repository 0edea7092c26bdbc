//! The command line.

use std::fs;
use std::path::PathBuf;

use clap::Parser;
use mailpool::{Credentials, ImapClient, ImapClientBuilder, Secret, Security};

use crate::error::{Error, Result};
use crate::fetch::Job;
use crate::server::Server;

const PASSWORD_VARIABLE: &str = "MAILPOOL_PASSWORD";

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
    /// File with the password, in its first line
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The mailbox to fetch; nothing in it is changed
    #[arg(long, value_name = "NAME", default_value = "INBOX")]
    mailbox: String,
    /// How many connections fetch at the same time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1000))]
    connections: u16,
    /// The Maildir to write, made if need be; it holds one mailbox
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// File with certificates, in PEM, to trust beside the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Allows imap:// without STARTTLS: everybody on the way can read password and mail
    #[arg(long)]
    plaintext: bool,
    /// Leaves it to the system when files reach the disk. Faster, but after a power failure the
    /// mailbox must be fetched anew, into an empty directory
    #[arg(long)]
    no_sync: bool,
}

impl Arguments {
    pub(crate) fn into_job(self) -> Result<Job> {
        let credentials = Credentials::password(&self.user, self.password()?);
        Ok(Job {
            server: self.server.to_string(),
            client: self.client()?.credentials(credentials),
            user: self.user,
            mailbox: self.mailbox,
            connections: self.connections.into(),
            out: self.out,
            sync: !self.no_sync,
        })
    }

    fn client(&self) -> Result<ImapClientBuilder> {
        let mut client = ImapClient::builder(&self.server.host);
        client = match (self.server.tls, self.plaintext) {
            (true, false) => client.security(Security::Tls),
            (false, false) => client.security(Security::StartTls),
            (false, true) => client.security(Security::None).allow_cleartext_password(),
            (true, true) => {
                let text = "--plaintext contradicts imaps://: use imap://";
                return Err(Error::Usage(text.to_owned()));
            }
        };
        if let Some(port) = self.server.port {
            client = client.port(port);
        }
        if let Some(path) = &self.ca {
            client = client.ca_pem(fs::read(path).map_err(Error::file(path))?);
        }
        Ok(client)
    }

    fn password(&self) -> Result<Secret> {
        if let Some(path) = &self.password_file {
            let content = fs::read(path).map_err(Error::file(path))?;
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
