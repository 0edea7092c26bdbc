//! A server as the command line names it.

use std::fmt;
use std::str::FromStr;

/// `imaps://HOST[:PORT]` or `imap://HOST[:PORT]`.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) tls: bool,
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
}

impl FromStr for Server {
    type Err = &'static str;

    fn from_str(url: &str) -> std::result::Result<Self, Self::Err> {
        let (scheme, rest) = url
            .split_once("://")
            .ok_or("imaps:// or imap:// is missing")?;
        let tls = match scheme {
            "imaps" => true,
            "imap" => false,
            _ => return Err("the scheme must be imaps or imap"),
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
        let scheme = if self.tls { "imaps" } else { "imap" };
        write!(f, "{scheme}://{}", self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}
