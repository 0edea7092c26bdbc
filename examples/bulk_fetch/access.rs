//! The options about the way to a server and who logs in, for several examples.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use mailpool::{Credentials, ImapClient, ImapClientBuilder, Secret, Security};

use crate::error::{Error, Result};
use crate::server::Server;

const PASSWORD_VARIABLE: &str = "MAILPOOL_PASSWORD";

#[derive(Debug, Args)]
pub(crate) struct Access {
    /// File with the password, in its first line
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// File with certificates, in PEM, to trust beside the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Allows imap:// without STARTTLS: everybody on the way can read password and mail
    #[arg(long)]
    plaintext: bool,
}

impl Access {
    /// A client of `server` for `user`.
    pub(crate) fn client(&self, server: &Server, user: &str) -> Result<ImapClientBuilder> {
        let password = self.password()?;
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
        Ok(client.credentials(Credentials::password(user, password)))
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
