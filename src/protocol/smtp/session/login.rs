//! From the greeting to the ready state (RFC 5321 §3.1, §3.2).
//!
//! ```text
//! greeting ─► EHLO ─► [STARTTLS ─► handshake ─► EHLO] ─► [AUTH ─► EHLO] ─► ready
//!               └──► HELO, where the server does not know EHLO
//! ```
//! Nothing that came before TLS is believed after it.

use super::operation::Failure;
use super::{Expected, Protection, Session};
use crate::protocol::machine::{Output, Verdict};
use crate::protocol::sasl::choice::{Chosen, NoChoice, Offer, choose};
use crate::protocol::sasl::{Exchange, Refused};
use crate::types::smtp::capabilities::SmtpCapabilities;
use crate::types::smtp::reply::SmtpReply;
use crate::types::token::IssuedToken;

/// The longest command line, its line end included (RFC 5321 §4.5.3.1.4, RFC 4954 §4).
const MAX_COMMAND: usize = 512;

/// Where a session is on its way.
pub(super) enum Login {
    /// There is no transport yet.
    Unconnected,
    Greeting,
    /// EHLO or LHLO has been sent.
    Hello,
    /// HELO has been sent.
    OldHello,
    /// STARTTLS has been sent.
    StartTls,
    /// The handshake is the connection's business now.
    Handshake,
    /// An access token is to come.
    Token,
    /// AUTH has been sent.
    Authenticating(Box<Exchange>),
    Ready,
}

impl Session {
    /// The reply to one of the login's commands.
    pub(super) fn login_answered(
        &mut self,
        reply: SmtpReply,
        buffered: usize,
    ) -> Result<(), Failure> {
        let state = std::mem::replace(&mut self.login, Login::Unconnected);
        if reply.code == 421 && !matches!(state, Login::Greeting) {
            return Err(Failure::Leaving(reply));
        }
        match state {
            Login::Greeting if reply.code == 220 => {
                self.say_hello();
                Ok(())
            }
            Login::Greeting => Err(Failure::Greeting(reply)),
            Login::Hello if reply.code == 250 => {
                self.capabilities = SmtpCapabilities::new(&reply.text);
                self.after_hello()
            }
            // A server from before RFC 1869 (RFC 5321 §3.2).
            Login::Hello if reply.is_permanent() && !self.config.lmtp => self.say_old_hello(reply),
            Login::OldHello if reply.code == 250 => {
                self.become_ready();
                Ok(())
            }
            Login::Hello => Err(Failure::Refused {
                verb: self.hello(),
                reply,
            }),
            Login::OldHello => Err(Failure::Refused {
                verb: "HELO",
                reply,
            }),
            Login::StartTls if reply.code == 220 => {
                if buffered > 0 {
                    return Err(Failure::Injected(buffered));
                }
                self.login = Login::Handshake;
                self.outputs.push_back(Output::StartTls);
                Ok(())
            }
            Login::StartTls if reply.is_transient() => Err(Failure::Refused {
                verb: "STARTTLS",
                reply,
            }),
            Login::StartTls => Err(Failure::NoStartTls),
            Login::Authenticating(exchange) => self.auth_answered(exchange, reply),
            Login::Unconnected | Login::Handshake | Login::Token | Login::Ready => {
                Err(Failure::protocol("a reply that nobody asked for"))
            }
        }
    }

    fn hello(&self) -> &'static str {
        if self.config.lmtp { "LHLO" } else { "EHLO" }
    }

    fn say_hello(&mut self) {
        self.login = Login::Hello;
        let line = format!("{} {}\r\n", self.hello(), self.config.hello_name);
        self.send(Expected::Login, &line);
    }

    /// Without EHLO there is neither STARTTLS nor AUTH.
    fn say_old_hello(&mut self, refusal: SmtpReply) -> Result<(), Failure> {
        if self.config.protection == Protection::StartTls && !self.secure {
            return Err(Failure::NoStartTls);
        }
        if self.config.account.is_some() {
            return Err(Failure::Refused {
                verb: "EHLO",
                reply: refusal,
            });
        }
        self.login = Login::OldHello;
        let line = format!("HELO {}\r\n", self.config.hello_name);
        self.send(Expected::Login, &line);
        Ok(())
    }

    /// TLS stands. What the server said in clear is forgotten.
    pub(super) fn after_tls(&mut self) {
        self.capabilities = SmtpCapabilities::default();
        self.say_hello();
    }

    fn after_hello(&mut self) -> Result<(), Failure> {
        if self.config.protection == Protection::StartTls && !self.secure {
            if !self.capabilities.supports("STARTTLS") {
                return Err(Failure::NoStartTls);
            }
            self.login = Login::StartTls;
            self.send(Expected::Login, "STARTTLS\r\n");
            return Ok(());
        }
        if self.config.account.is_none() || self.authenticated {
            self.become_ready();
            return Ok(());
        }
        self.authenticate()
    }

    fn authenticate(&mut self) -> Result<(), Failure> {
        let Some(account) = &self.config.account else {
            return Ok(());
        };
        let offered: Vec<&str> = self.capabilities.auth_mechanisms().collect();
        let offer = Offer {
            mechanisms: &offered,
            login_command: false,
            secure: self.secure,
            end_point: self.end_point.as_deref(),
        };
        let chosen = choose(account, &offer).map_err(|none| match none {
            NoChoice::Cleartext => Failure::Cleartext,
            NoChoice::NothingInCommon { offered, possible } => {
                Failure::NoMechanism { offered, possible }
            }
        })?;
        let Chosen::Mechanism(mechanism) = chosen else {
            return Err(Failure::protocol("a command that SMTP does not have"));
        };
        if account.credentials.provider().is_some() && self.token.is_none() {
            self.login = Login::Token;
            self.outputs.push_back(Output::NeedToken);
            return Ok(());
        }
        let token = self.token.as_ref().map(|issued| &issued.token);
        let exchange = Exchange::begin(mechanism, account, &offer, token);
        let mut exchange = exchange.map_err(|failure| Failure::Sasl { mechanism, failure })?;
        let command = format!("AUTH {}", mechanism.name());
        let room = MAX_COMMAND - command.len() - " \r\n".len();
        let line = match exchange.initial(room) {
            Some(initial) => format!("{command} {initial}\r\n"),
            None => format!("{command}\r\n"),
        };
        self.login = Login::Authenticating(Box::new(exchange));
        self.send(Expected::Login, &line);
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

    /// A reply during AUTH (RFC 4954 §4).
    fn auth_answered(
        &mut self,
        mut exchange: Box<Exchange>,
        reply: SmtpReply,
    ) -> Result<(), Failure> {
        let mechanism = exchange.mechanism();
        let sasl = |failure| Failure::Sasl { mechanism, failure };
        match reply.code {
            235 => {
                exchange.success(None).map_err(sasl)?;
                self.token = None;
                self.authenticated = true;
                // Some servers offer more, and allow more, to those whom they know.
                self.say_hello();
                Ok(())
            }
            334 => {
                let answer = exchange.challenge(reply.text.as_bytes()).map_err(sasl)?;
                self.login = Login::Authenticating(exchange);
                self.send(Expected::Login, &format!("{answer}\r\n"));
                Ok(())
            }
            _ if reply.is_positive() => Err(Failure::protocol("a reply that AUTH does not have")),
            _ => self.login_refused(*exchange, reply),
        }
    }

    /// The server has refused the login. A token that may be out of date is replaced, once.
    fn login_refused(&mut self, exchange: Exchange, reply: SmtpReply) -> Result<(), Failure> {
        let mechanism = exchange.mechanism();
        let told = match exchange.refused() {
            Refused::Cancelled(failure) => return Err(Failure::Sasl { mechanism, failure }),
            Refused::ByServer(told) => told,
        };
        let refusal = Failure::Authentication { reply, told };
        let is_about_the_token = refusal.verdict() == Verdict::Permanent;
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

    fn become_ready(&mut self) {
        self.login = Login::Ready;
        self.outputs.push_back(Output::Ready);
    }
}
