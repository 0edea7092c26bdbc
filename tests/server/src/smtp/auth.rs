//! AUTH (RFC 4954) with PLAIN and LOGIN.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use smtp_proto::{AUTH_LOGIN, AUTH_PLAIN};

use super::dispatch::Outcome;
use super::reply::Reply;
use super::request::MAX_AUTH_LINE;
use super::session::Session;
use crate::counters::ViolationKind;
use crate::hub::LoginRefusal;

/// One step of an exchange: what the client said, or how the exchange ends.
type Step = Result<Vec<u8>, Outcome>;

impl Session {
    pub(super) fn authenticate(
        &mut self,
        mechanism: u64,
        initial: &str,
        line: &[u8],
    ) -> io::Result<Outcome> {
        if self.hello.is_none() {
            return Ok(self.out_of_sequence(line, "Say EHLO first"));
        }
        if self.user.is_some() {
            return Ok(self.out_of_sequence(line, "You are logged in already"));
        }
        if self.transaction.is_some() {
            return Ok(self.out_of_sequence(line, "Not during a transaction"));
        }
        if self.needs_tls() {
            let text = "Must issue a STARTTLS command first";
            return Ok(Outcome::reply(530, "5.7.0", text));
        }
        let Some(mechanisms) = self.parameters("AUTH") else {
            return Ok(self.not_announced(line, 502, "AUTH"));
        };
        let offers = |wanted: &str| {
            let mut names = mechanisms.split(' ');
            names.any(|name| name.eq_ignore_ascii_case(wanted))
        };
        let initial = match initial {
            "" => None,
            "=" => Some(Ok(Vec::new())),
            initial => Some(decode(initial.as_bytes())),
        };
        let credentials = match mechanism {
            AUTH_PLAIN if offers("PLAIN") => self.plain(initial)?,
            AUTH_LOGIN if offers("LOGIN") => self.login(initial)?,
            _ => return Ok(Outcome::reply(504, "5.5.4", "Mechanism not supported")),
        };
        Ok(match credentials {
            Ok((user, password)) => self.check_login(&user, &password),
            Err(outcome) => outcome,
        })
    }

    /// PLAIN (RFC 4616).
    fn plain(&mut self, initial: Option<Step>) -> io::Result<Result<(String, String), Outcome>> {
        let message = match initial {
            Some(step) => step,
            None => self.challenge("")?,
        };
        Ok(message.and_then(|message| {
            let fields: Vec<&[u8]> = message.split(|&byte| byte == 0).collect();
            let [_, user, password] = fields.as_slice() else {
                return Err(Outcome::reply(501, "5.5.2", "Not a PLAIN message"));
            };
            Ok((text(user), text(password)))
        }))
    }

    /// LOGIN, which no RFC describes: two questions. An initial response answers the first.
    fn login(&mut self, initial: Option<Step>) -> io::Result<Result<(String, String), Outcome>> {
        let user = match initial {
            Some(step) => step,
            None => self.challenge("Username:")?,
        };
        let user = match user {
            Ok(user) => user,
            Err(outcome) => return Ok(Err(outcome)),
        };
        let password = self.challenge("Password:")?;
        Ok(password.map(|password| (text(&user), text(&password))))
    }

    /// Asks something; the answer decoded.
    fn challenge(&mut self, question: &str) -> io::Result<Step> {
        if let Some(bytes) = self.hub.faults.before_continuation(self.connection.id) {
            self.out.extend_from_slice(&bytes);
        }
        self.put(&Reply::new(334, "", STANDARD.encode(question)));
        let Some(line) = self.next_line()? else {
            return Ok(Err(Outcome::End));
        };
        // The answer must not have company: what follows depends on what is said to it.
        if self.is_pipelined("AUTH", b"AUTH")? {
            return Ok(Err(Outcome::End));
        }
        if line.len() + 2 > MAX_AUTH_LINE {
            self.violation(ViolationKind::Syntax, b"AUTH");
            return Ok(Err(Outcome::reply(500, "5.5.6", "Line too long")));
        }
        if line == b"*" {
            return Ok(Err(Outcome::reply(
                501,
                "5.0.0",
                "Authentication cancelled",
            )));
        }
        Ok(decode(&line))
    }

    fn check_login(&mut self, user: &str, password: &str) -> Outcome {
        let is_right = self.hub.store.check_password(user, password);
        match self.hub.log_in(&self.connection, is_right.then_some(user)) {
            Ok(()) => {
                self.user = Some(user.to_owned());
                Outcome::reply(235, "2.7.0", "Logged in")
            }
            Err(LoginRefusal::Ordered(words)) => Outcome::Words(format!("{words}\r\n").into()),
            Err(LoginRefusal::Limit) => {
                Outcome::reply(454, "4.7.0", "Too many simultaneous connections")
            }
            Err(LoginRefusal::Wrong) => Outcome::reply(535, "5.7.8", "Wrong user name or password"),
        }
    }
}

fn decode(line: &[u8]) -> Step {
    STANDARD
        .decode(line)
        .map_err(|_| Outcome::reply(501, "5.5.2", "Not base64"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
