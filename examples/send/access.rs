//! The options about the way to a server and who logs in.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use mailpool::{Credentials, Secret, Security, SmtpClient, SmtpClientBuilder};

use crate::error::{Error, Result};

const PASSWORD_VARIABLE: &str = "MAILPOOL_PASSWORD";

#[derive(Debug, Args)]
pub(crate) struct Access {
    /// smtps://HOST[:PORT] for TLS, smtp://HOST[:PORT] for STARTTLS
    #[arg(long, value_name = "URL")]
    pub(crate) server: Server,
    /// Speaks LMTP, port 24
    #[arg(long)]
    lmtp: bool,
    /// Who logs in; without it nobody does
    #[arg(long, env = "MAILPOOL_USER")]
    user: Option<String>,
    /// File with the password, in its first line
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// File with certificates, in PEM, to trust beside the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Allows smtp:// without STARTTLS, port 25: everybody on the way can read password and mail
    #[arg(long)]
    plaintext: bool,
}

impl Access {
    pub(crate) fn client(&self) -> Result<SmtpClientBuilder> {
        let mut client = SmtpClient::builder(&self.server.host);
        client = match (self.server.tls, self.plaintext) {
            (true, false) => client.security(Security::Tls),
            (false, false) => client.security(Security::StartTls),
            (false, true) => client.security(Security::None).allow_cleartext_password(),
            (true, true) => {
                let text = "--plaintext contradicts smtps://: use smtp://";
                return Err(Error::Usage(text.to_owned()));
            }
        };
        if self.lmtp {
            client = client.lmtp();
        }
        if let Some(port) = self.server.port {
            client = client.port(port);
        }
        if let Some(path) = &self.ca {
            client = client.ca_pem(read(path)?);
        }
        if let Some(user) = &self.user {
            client = client.credentials(Credentials::password(user, self.password()?));
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
    fs::read(path).map_err(Error::file(path))
}

/// `smtps://HOST[:PORT]` or `smtp://HOST[:PORT]`.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    tls: bool,
    host: String,
    port: Option<u16>,
}

impl FromStr for Server {
    type Err = &'static str;

    fn from_str(url: &str) -> std::result::Result<Self, Self::Err> {
        let (scheme, rest) = url
            .split_once("://")
            .ok_or("smtps:// or smtp:// is missing")?;
        let tls = match scheme {
            "smtps" => true,
            "smtp" => false,
            _ => return Err("the scheme must be smtps or smtp"),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        // The colons of an IPv6 address are inside brackets.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (
                host,
                Some(port.parse().map_err(|_| "the port is not a number")?),
            ),
            _ => (authority, None),
        };
        if host.is_empty() || host.contains(['/', '@']) {
            return Err("this is not HOST or HOST:PORT");
        }
        Ok(Self {
            tls,
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "smtps" } else { "smtp" };
        write!(f, "{scheme}://{}", self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}
