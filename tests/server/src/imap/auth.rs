//! STARTTLS, LOGIN, AUTHENTICATE, ENABLE.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use imap_codec::imap_types::auth::AuthMechanism;
use imap_codec::imap_types::core::AString;
use imap_codec::imap_types::extensions::enable::CapabilityEnable;

use super::session::{Outcome, Session};
use crate::hub::LoginRefusal;

impl Session {
    pub(super) fn starttls(&mut self) -> io::Result<Outcome> {
        if self.stream.is_tls() {
            return Outcome::bad("TLS is on already");
        }
        // Nothing may come between STARTTLS and the handshake; the client waits for the OK.
        if !self.stream.input().is_empty() {
            return Outcome::bad("Commands were sent behind STARTTLS");
        }
        Ok(Outcome::StartTls)
    }

    pub(super) fn login(
        &mut self,
        username: &AString<'_>,
        password: &AString<'_>,
    ) -> io::Result<Outcome> {
        if self.has("LOGINDISABLED") {
            return Outcome::no("[PRIVACYREQUIRED] LOGIN is disabled");
        }
        let username = String::from_utf8_lossy(username.as_ref()).into_owned();
        let password = String::from_utf8_lossy(password.as_ref()).into_owned();
        Ok(self.check_login(&username, &password))
    }

    pub(super) fn authenticate(
        &mut self,
        mechanism: &AuthMechanism<'_>,
        initial_response: Option<Vec<u8>>,
    ) -> io::Result<Outcome> {
        if !self.has(&format!("AUTH={mechanism}")) || !matches!(mechanism, AuthMechanism::Plain) {
            return Outcome::no("[CANNOT] Mechanism not supported");
        }
        let response = match initial_response {
            Some(_) if !self.has("SASL-IR") => {
                return Outcome::bad("SASL-IR is not supported");
            }
            Some(response) => response,
            None => {
                self.request_continuation("")?;
                let Some(line) = self.next_line()? else {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                };
                if line == b"*\r\n" {
                    return Outcome::bad("Authentication cancelled");
                }
                let Ok(response) = STANDARD.decode(line.trim_ascii_end()) else {
                    return Outcome::bad("Not base64");
                };
                response
            }
        };
        let fields: Vec<&[u8]> = response.split(|&byte| byte == 0).collect();
        let [_, username, password] = fields.as_slice() else {
            return Outcome::bad("Not a PLAIN message");
        };
        let username = String::from_utf8_lossy(username).into_owned();
        let password = String::from_utf8_lossy(password).into_owned();
        Ok(self.check_login(&username, &password))
    }

    fn check_login(&mut self, username: &str, password: &str) -> Outcome {
        let refusal = match self.hub.log_in(&self.connection, username, password) {
            Ok(()) => None,
            Err(LoginRefusal::Ordered(text)) => Some(text),
            Err(LoginRefusal::Limit) => {
                Some("[LIMIT] Too many simultaneous connections".to_owned())
            }
            Err(LoginRefusal::Wrong) => {
                Some("[AUTHENTICATIONFAILED] Wrong user name or password".to_owned())
            }
        };
        if let Some(text) = refusal {
            return Outcome::No(text);
        }
        self.user = Some(username.to_owned());
        Outcome::Ok(format!("[CAPABILITY {}] Logged in", self.capability_list()))
    }

    pub(super) fn enable(&mut self, capabilities: &[CapabilityEnable<'_>]) -> io::Result<Outcome> {
        let mut enabled = String::new();
        for capability in capabilities {
            let name = capability.to_string().to_ascii_uppercase();
            match name.as_str() {
                "CONDSTORE" if self.has("CONDSTORE") => self.condstore = true,
                "IMAP4REV2" if self.has("IMAP4rev2") => self.rev2 = true,
                _ => continue,
            }
            enabled.push(' ');
            enabled.push_str(if name == "IMAP4REV2" {
                "IMAP4rev2"
            } else {
                &name
            });
        }
        self.line(&format!("* ENABLED{enabled}"));
        Outcome::ok("ENABLE completed")
    }
}
