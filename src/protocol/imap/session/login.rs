//! From the greeting to the ready state (RFC 9051 §3).
//!
//! ```text
//! greeting ─► [STARTTLS ─► handshake] ─► CAPABILITY ─► LOGIN or AUTHENTICATE
//!          ─► CAPABILITY ─► [ENABLE] ─► ready
//! ```
//! A CAPABILITY is not asked for where the server has said it unasked in the same state.
//! Nothing that came before TLS is believed after it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Protection;
use super::Session;
use super::commands::{Kind, Owner};
use super::operation::{Failure, status_name};
use crate::protocol::imap::command;
use crate::protocol::imap::response::{Status, StatusKind};
use crate::protocol::machine::Output;
use crate::protocol::sasl::{Mechanism, Plain};
use crate::types::capability::Capabilities;
use crate::types::response_code::ResponseCode;

/// Where a session is on its way.
pub(super) enum Login {
    /// There is no transport yet.
    Unconnected,
    /// The greeting is to come.
    Greeting,
    /// STARTTLS has been sent.
    StartTls,
    /// The handshake is the connection's business now.
    Handshake,
    /// CAPABILITY before the authentication.
    Asked,
    /// LOGIN or AUTHENTICATE has been sent.
    Authenticating(Option<Box<dyn Mechanism>>),
    /// CAPABILITY after the authentication.
    AskedAgain,
    /// ENABLE has been sent.
    Enabling,
    Ready,
    /// LOGOUT has been sent.
    Leaving,
}

impl Login {
    pub(super) fn is_waiting_for_tls(&self) -> bool {
        matches!(self, Self::Handshake)
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(self, Self::Ready)
    }

    pub(super) fn is_leaving(&self) -> bool {
        matches!(self, Self::Leaving)
    }
}

impl Session {
    /// The first response of the server.
    pub(super) fn greet(
        &mut self,
        status: StatusKind,
        code: Option<ResponseCode>,
        text: String,
    ) -> Result<(), Failure> {
        let authenticated = match status {
            StatusKind::Ok => false,
            StatusKind::PreAuth => true,
            StatusKind::Bye => {
                return Err(Failure::Bye {
                    code: code.map(Box::new),
                    text,
                });
            }
            StatusKind::No | StatusKind::Bad => {
                return Err(Failure::protocol(
                    "a greeting that is neither OK, PREAUTH nor BYE",
                ));
            }
        };
        let offered = match code {
            Some(ResponseCode::Capability(capabilities)) => Some(capabilities),
            _ => None,
        };
        if self.config.protection == Protection::StartTls {
            if authenticated {
                return Err(Failure::PreAuthBeforeTls);
            }
            if offered.is_some_and(|offered| !offered.starttls()) {
                return Err(Failure::NoStartTls);
            }
            self.login = Login::StartTls;
            self.send(Owner::Login, Kind::Plain, command::starttls());
            return Ok(());
        }
        match (offered, authenticated) {
            (Some(offered), true) => {
                self.capabilities = offered;
                self.after_authentication();
                Ok(())
            }
            (Some(offered), false) => {
                self.capabilities = offered;
                self.authenticate()
            }
            (None, authenticated) => {
                self.login = if authenticated {
                    Login::AskedAgain
                } else {
                    Login::Asked
                };
                self.ask();
                Ok(())
            }
        }
    }

    fn ask(&mut self) {
        self.send(Owner::Login, Kind::Capability, command::capability());
    }

    /// TLS stands. What the server said in clear is forgotten.
    pub(super) fn after_tls(&mut self) {
        self.capabilities = Capabilities::default();
        self.events.clear();
        self.untagged = 0;
        self.login = Login::Asked;
        self.ask();
    }

    fn authenticate(&mut self) -> Result<(), Failure> {
        if !self.secure && !self.config.allow_cleartext {
            return Err(Failure::Cleartext);
        }
        let (user, password) = self.config.credentials.user_and_password();
        if self.capabilities.supports_auth("PLAIN") {
            if let Some(mut plain) = Plain::new(user, password) {
                let initial = if self.capabilities.sasl_ir() {
                    plain.initial_response()
                } else {
                    None
                };
                let line = command::authenticate(plain.name(), initial.as_deref())?;
                self.login = Login::Authenticating(Some(Box::new(plain)));
                self.send(Owner::Login, Kind::Authenticate, line);
                return Ok(());
            }
        }
        if self.capabilities.login_disabled() {
            return Err(Failure::NoMechanism);
        }
        let line = command::login(user.as_bytes(), password)?;
        self.login = Login::Authenticating(None);
        self.send(Owner::Login, Kind::Plain, line);
        Ok(())
    }

    /// A continuation request during AUTHENTICATE.
    pub(super) fn challenge(&mut self, text: &[u8]) -> Result<(), Failure> {
        self.challenges += 1;
        if self.challenges > super::MAX_CHALLENGES {
            return Err(Failure::protocol(
                "too many challenges in one authentication",
            ));
        }
        let Login::Authenticating(Some(mechanism)) = &mut self.login else {
            return Ok(());
        };
        let answer = STANDARD
            .decode(text.trim_ascii())
            .ok()
            .and_then(|challenge| mechanism.respond(&challenge));
        let line = match answer {
            Some(answer) => STANDARD.encode(answer),
            None => "*".to_owned(),
        };
        self.writer.line(line.into_bytes());
        Ok(())
    }

    /// The tagged answer to one of the login's commands.
    pub(super) fn login_answered(
        &mut self,
        status: Status,
        code: Option<ResponseCode>,
        text: String,
        buffered: usize,
    ) -> Result<(), Failure> {
        let state = std::mem::replace(&mut self.login, Login::Unconnected);
        let verb = match &state {
            Login::StartTls => "STARTTLS",
            Login::Authenticating(Some(_)) => "AUTHENTICATE",
            Login::Authenticating(None) => "LOGIN",
            Login::Enabling => "ENABLE",
            Login::Leaving => "LOGOUT",
            _ => "CAPABILITY",
        };
        if status != Status::Ok {
            return match state {
                Login::StartTls => Err(Failure::NoStartTls),
                // A refused ENABLE leaves a session that works.
                Login::Enabling => {
                    self.become_ready();
                    Ok(())
                }
                Login::Leaving => {
                    self.login = Login::Leaving;
                    self.outputs.push_back(Output::Finished);
                    Ok(())
                }
                _ => Err(Failure::Rejected {
                    verb,
                    status: status_name(status),
                    code: code.map(Box::new),
                    text,
                    partly: false,
                }),
            };
        }
        match state {
            Login::StartTls => {
                if buffered > 0 {
                    return Err(Failure::Injected(buffered));
                }
                self.login = Login::Handshake;
                self.outputs.push_back(Output::StartTls);
                Ok(())
            }
            Login::Asked => self.authenticate(),
            Login::Authenticating(_) => {
                // They differ before and after the login.
                self.capabilities = Capabilities::default();
                if let Some(ResponseCode::Capability(capabilities)) = code {
                    self.capabilities = capabilities;
                    self.after_authentication();
                } else {
                    self.login = Login::AskedAgain;
                    self.ask();
                }
                Ok(())
            }
            Login::AskedAgain => {
                self.after_authentication();
                Ok(())
            }
            Login::Enabling => {
                self.become_ready();
                Ok(())
            }
            Login::Leaving => {
                self.login = Login::Leaving;
                self.outputs.push_back(Output::Finished);
                Ok(())
            }
            Login::Unconnected | Login::Greeting | Login::Handshake | Login::Ready => {
                Err(Failure::protocol("an answer that nobody asked for"))
            }
        }
    }

    fn after_authentication(&mut self) {
        let wanted = self.config.enable.iter();
        let offered: Vec<String> = wanted
            .filter(|extension| self.capabilities.contains(extension))
            .cloned()
            .collect();
        if !offered.is_empty()
            && (self.capabilities.imap4rev2() || self.capabilities.contains("ENABLE"))
        {
            if let Ok(line) = command::enable(&offered) {
                self.login = Login::Enabling;
                self.send(Owner::Login, Kind::Enable, line);
                return;
            }
        }
        self.become_ready();
    }

    fn become_ready(&mut self) {
        self.login = Login::Ready;
        self.outputs.push_back(Output::Ready);
    }

    pub(super) fn send_logout(&mut self) {
        self.login = Login::Leaving;
        self.send(Owner::Login, Kind::Plain, command::logout());
    }
}
