//! From the greeting to the ready state (RFC 5321 §3.1, §3.2).
//!
//! ```text
//! greeting ─► EHLO ─► [STARTTLS ─► handshake ─► EHLO] ─► [AUTH] ─► ready
//!               └──► HELO, where the server does not know EHLO
//! ```
//! Nothing that came before TLS is believed after it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::operation::Failure;
use super::{Expected, Protection, Session};
use crate::protocol::machine::Output;
use crate::protocol::sasl::{Mechanism, Plain};
use crate::types::smtp::capabilities::SmtpCapabilities;
use crate::types::smtp::reply::SmtpReply;

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
    /// AUTH has been sent.
    Authenticating(Box<dyn Mechanism>),
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
            Login::Authenticating(mechanism) => self.challenge(mechanism, reply),
            Login::Unconnected | Login::Handshake | Login::Ready => {
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
        if self.config.credentials.is_some() {
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
        let Some(credentials) = &self.config.credentials else {
            self.become_ready();
            return Ok(());
        };
        if !self.secure && !self.config.allow_cleartext {
            return Err(Failure::Cleartext);
        }
        let (user, password) = credentials.user_and_password();
        let offered = self
            .capabilities
            .auth_mechanisms()
            .any(|name| name.eq_ignore_ascii_case("PLAIN"));
        let Some(mut plain) = Plain::new(user, password).filter(|_| offered) else {
            return Err(Failure::NoMechanism);
        };
        let line = match plain.initial_response() {
            Some(initial) => format!("AUTH PLAIN {}\r\n", STANDARD.encode(initial)),
            None => "AUTH PLAIN\r\n".to_owned(),
        };
        self.login = Login::Authenticating(Box::new(plain));
        self.send(Expected::Login, &line);
        Ok(())
    }

    /// A reply during AUTH (RFC 4954 §4).
    fn challenge(
        &mut self,
        mut mechanism: Box<dyn Mechanism>,
        reply: SmtpReply,
    ) -> Result<(), Failure> {
        match reply.code {
            235 => {
                self.become_ready();
                Ok(())
            }
            334 => {
                self.challenges += 1;
                if self.challenges > super::MAX_CHALLENGES {
                    return Err(Failure::protocol(
                        "too many challenges in one authentication",
                    ));
                }
                let answer = STANDARD
                    .decode(reply.text.trim())
                    .ok()
                    .and_then(|challenge| mechanism.respond(&challenge));
                let line = match answer {
                    Some(answer) => format!("{}\r\n", STANDARD.encode(answer)),
                    None => "*\r\n".to_owned(),
                };
                self.login = Login::Authenticating(mechanism);
                self.send(Expected::Login, &line);
                Ok(())
            }
            _ if reply.is_positive() => Err(Failure::protocol("a reply that AUTH does not have")),
            _ => Err(Failure::Authentication(reply)),
        }
    }

    fn become_ready(&mut self) {
        self.login = Login::Ready;
        self.outputs.push_back(Output::Ready);
    }
}
