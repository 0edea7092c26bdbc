//! STARTTLS, LOGIN, AUTHENTICATE, ENABLE.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use imap_codec::imap_types::auth::AuthMechanism;
use imap_codec::imap_types::core::AString;
use imap_codec::imap_types::extensions::enable::CapabilityEnable;

use super::session::{Outcome, Session};
use crate::hub::LoginRefusal;
use crate::sasl::{Exchange, Step};

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
        if !self.has(&format!("AUTH={mechanism}")) {
            return Outcome::no("[CANNOT] Mechanism not supported");
        }
        if initial_response.is_some() && !self.has("SASL-IR") {
            return Outcome::bad("SASL-IR is not supported");
        }
        let plus = [
            "SCRAM-SHA-1-PLUS",
            "SCRAM-SHA-256-PLUS",
            "SCRAM-SHA-512-PLUS",
        ];
        let has_plus = plus.iter().any(|name| self.has(&format!("AUTH={name}")));
        let end_point = self.stream.end_point();
        let name = mechanism.to_string();
        let Some(mut exchange) = Exchange::begin(&name, has_plus, &self.hub.store, end_point)
        else {
            return Outcome::no("[CANNOT] Mechanism not supported");
        };
        let mut input = initial_response;
        if input.is_none() && exchange.client_begins() {
            match self.ask(b"")? {
                Ok(answer) => input = Some(answer),
                Err(outcome) => return Ok(outcome),
            }
        }
        loop {
            let (question, verdict) = match exchange.step(input.as_deref()) {
                Step::Ask(question) => (Some(question), None),
                Step::Over(last, user) => (last, Some(user)),
                Step::Nonsense => return Outcome::bad("Not a message of this mechanism"),
            };
            if let Some(question) = question {
                match self.ask(&question)? {
                    Ok(answer) => input = Some(answer),
                    Err(outcome) => return Ok(outcome),
                }
            }
            if let Some(user) = verdict {
                return Ok(self.settle_login(user.as_deref()));
            }
        }
    }

    /// Asks, and waits for the answer; or says how the command ends.
    fn ask(&mut self, question: &[u8]) -> io::Result<Result<Vec<u8>, Outcome>> {
        self.request_continuation(&STANDARD.encode(question))?;
        let Some(line) = self.next_line()? else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        if line == b"*\r\n" {
            return Ok(Err(Outcome::bad("Authentication cancelled")?));
        }
        match STANDARD.decode(line.trim_ascii_end()) {
            Ok(answer) => Ok(Ok(answer)),
            Err(_) => Ok(Err(Outcome::bad("Not base64")?)),
        }
    }

    fn check_login(&mut self, username: &str, password: &str) -> Outcome {
        let is_right = self.hub.store.check_password(username, password);
        self.settle_login(is_right.then_some(username))
    }

    /// Lets a user in who has shown who he is.
    fn settle_login(&mut self, user: Option<&str>) -> Outcome {
        let text = match (self.hub.log_in(&self.connection, user), user) {
            (Ok(()), Some(user)) => {
                self.log_in(user);
                return Outcome::Ok(format!("[CAPABILITY {}] Logged in", self.capability_list()));
            }
            (Err(LoginRefusal::Ordered(text)), _) => text,
            (Err(LoginRefusal::Limit), _) => "[LIMIT] Too many simultaneous connections".to_owned(),
            (Err(LoginRefusal::Wrong) | Ok(()), _) => {
                "[AUTHENTICATIONFAILED] Wrong user name or password".to_owned()
            }
        };
        Outcome::No(text)
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
