//! From the greeting to the ready state (RFC 9051 §3).
//!
//! ```text
//! greeting ─► [STARTTLS ─► handshake] ─► CAPABILITY ─► LOGIN or AUTHENTICATE
//!          ─► CAPABILITY ─► [ENABLE] ─► ready
//! ```
//! A CAPABILITY is not asked for where the server has said it unasked in the same state.
//! Nothing that came before TLS is believed after it.

use super::Protection;
use super::Session;
use super::commands::{Kind, Owner};
use super::operation::{Failure, status_name};
use super::salvage::verdict;
use crate::protocol::imap::command;
use crate::protocol::imap::response::{Status, StatusKind};
use crate::protocol::machine::{Output, Verdict};
use crate::protocol::sasl::choice::{Chosen, NoChoice, Offer, choose};
use crate::protocol::sasl::{Exchange, Refused};
use crate::types::capability::Capabilities;
use crate::types::response_code::ResponseCode;
use crate::types::secret::Proof;
use crate::types::token::IssuedToken;

/// The longest initial response that is put into the command, in bytes of base64: servers bound
/// the lines that they take before the login, some at 4,096 bytes. A longer one is sent when the
/// server asks.
const INITIAL_ROOM: usize = 3_900;

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
    /// The login needs a token.
    Token,
    /// LOGIN has been sent, or AUTHENTICATE with its exchange.
    Authenticating(Option<Box<Exchange>>),
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
        let account = &self.config.account;
        let offered: Vec<&str> = self.capabilities.auth_mechanisms().collect();
        let offer = Offer {
            mechanisms: &offered,
            login_command: !self.capabilities.login_disabled(),
            secure: self.secure,
            end_point: self.end_point.as_deref(),
        };
        let chosen = choose(account, &offer).map_err(|none| match none {
            NoChoice::Cleartext => Failure::Cleartext,
            NoChoice::NothingInCommon { offered, possible } => {
                Failure::NoMechanism { offered, possible }
            }
        })?;
        let mechanism = match chosen {
            Chosen::Mechanism(mechanism) => mechanism,
            Chosen::LoginCommand => return self.send_login(),
        };
        if account.credentials.provider().is_some() && self.token.is_none() {
            self.login = Login::Token;
            self.outputs.push_back(Output::NeedToken);
            return Ok(());
        }
        let token = self.token.as_ref().map(|issued| &issued.token);
        let exchange = Exchange::begin(mechanism, account, &offer, token);
        let mut exchange = exchange.map_err(|failure| Failure::Sasl { mechanism, failure })?;
        let initial = if self.capabilities.sasl_ir() {
            exchange.initial(INITIAL_ROOM)
        } else {
            None
        };
        let line = command::authenticate(mechanism.name(), initial.as_deref())?;
        self.login = Login::Authenticating(Some(Box::new(exchange)));
        self.send(Owner::Login, Kind::Authenticate, line);
        Ok(())
    }

    fn send_login(&mut self) -> Result<(), Failure> {
        let credentials = &self.config.account.credentials;
        let Proof::Password(password) = credentials.proof() else {
            return Err(Failure::protocol("LOGIN without a password"));
        };
        let line = command::login(credentials.user().as_bytes(), password.expose())?;
        self.login = Login::Authenticating(None);
        self.send(Owner::Login, Kind::Plain, line);
        Ok(())
    }

    /// A token has come, for the first time or after a refusal.
    pub(super) fn log_in_with(&mut self, token: IssuedToken) {
        self.token = Some(token);
        self.token_is_new = true;
    }

    /// Goes on with the login when what it waited for is there.
    pub(super) fn go_on_with_login(&mut self) -> Result<(), Failure> {
        if std::mem::take(&mut self.token_is_new) && matches!(self.login, Login::Token) {
            return self.authenticate();
        }
        Ok(())
    }

    /// A continuation request during AUTHENTICATE.
    pub(super) fn challenge(&mut self, text: &[u8]) -> Result<(), Failure> {
        let Login::Authenticating(Some(exchange)) = &mut self.login else {
            return Ok(());
        };
        let mechanism = exchange.mechanism();
        let answer = exchange.challenge(text);
        let line = answer.map_err(|failure| Failure::Sasl { mechanism, failure })?;
        self.writer.line(line.into_bytes());
        Ok(())
    }

    /// The server has refused the login. A token that may be out of date is replaced, once.
    fn login_refused(
        &mut self,
        exchange: Option<Box<Exchange>>,
        refusal: Failure,
    ) -> Result<(), Failure> {
        let Some(exchange) = exchange else {
            return Err(refusal);
        };
        let mechanism = exchange.mechanism();
        let refusal = match (exchange.refused(), refusal) {
            (Refused::Cancelled(failure), _) => return Err(Failure::Sasl { mechanism, failure }),
            (Refused::ByServer(Some(told)), refusal) => refusal.with_words(&told),
            (Refused::ByServer(None), refusal) => refusal,
        };
        let is_about_the_token = verdict(&refusal) == Verdict::Permanent;
        let Some(token) = self.token.take().filter(|_| is_about_the_token) else {
            return Err(refusal);
        };
        self.outputs.push_back(Output::TokenRefused(token.number));
        if std::mem::replace(&mut self.token_was_refused, true) {
            return Err(refusal);
        }
        self.login = Login::Token;
        self.outputs.push_back(Output::NeedToken);
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
            let refusal = Failure::Rejected {
                verb,
                status: status_name(status),
                code: code.map(Box::new),
                text,
                partly: false,
            };
            return match state {
                Login::StartTls => Err(Failure::NoStartTls),
                Login::Authenticating(exchange) => self.login_refused(exchange, refusal),
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
                _ => Err(refusal),
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
            Login::Authenticating(exchange) => {
                if let Some(exchange) = exchange {
                    let mechanism = exchange.mechanism();
                    let verdict = exchange.success(None);
                    verdict.map_err(|failure| Failure::Sasl { mechanism, failure })?;
                }
                self.token = None;
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
            Login::Unconnected
            | Login::Greeting
            | Login::Handshake
            | Login::Token
            | Login::Ready => Err(Failure::protocol("an answer that nobody asked for")),
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
