//! From a line to its answer.

use std::io;
use std::sync::Arc;

use smtp_proto::Request;

use super::reply::Reply;
use super::request::{self, Parsed, Refusal};
use super::session::{Dialect, Session};
use crate::counters::ViolationKind;
use crate::faults::Place;

/// What follows from a command.
#[derive(Debug)]
pub(super) enum Outcome {
    Reply(Reply),
    /// The words of a rule.
    Words(Vec<u8>),
    /// An answer, then the end.
    Last(Reply),
    /// 220, then the TLS handshake.
    StartTls(Reply),
    /// 354, then the content.
    Data(Reply),
    /// The last chunk has come.
    Message,
    /// There is nothing to be said.
    Said,
    /// The stream has ended.
    End,
}

impl Outcome {
    pub(super) fn reply(code: u16, status: &'static str, text: &str) -> Self {
        Self::Reply(Reply::new(code, status, text))
    }
}

impl Session {
    /// Carries out one command; says whether the session goes on.
    pub(super) fn handle(&mut self, line: Vec<u8>) -> io::Result<bool> {
        let verb = request::verb_of(&line);
        let shown = if verb == "AUTH" { &b"AUTH"[..] } else { &line };
        self.begin(&verb, shown)?;
        let parsed = request::parse(&line, &verb);
        if verb != "BDAT" && self.is_pipelined(&verb, shown)? {
            return Ok(false);
        }
        let outcome = match (self.intercept(&verb, &parsed)?, parsed) {
            (Some(outcome), _) => outcome,
            (None, Err(refusal)) => self.refuse(refusal, shown),
            (None, Ok(parsed)) => self.execute(parsed, shown)?,
        };
        self.conclude(&verb, outcome)
    }

    /// Counts and logs a command, and does what rules say before it.
    pub(super) fn begin(&mut self, verb: &str, line: &[u8]) -> io::Result<()> {
        let recorded = self.hub.settings.read().record_lines;
        let recorded = recorded.then(|| String::from_utf8_lossy(line).into_owned());
        let (id, flight) = (self.connection.id, self.stream.flight());
        self.hub.counters.command(id, flight, "", verb, recorded);
        self.wait_while_held(verb)?;
        self.own_fault = false;
        self.commands += 1;
        self.reach(Place::Command(self.commands, verb))
    }

    /// Whether something was sent behind a command that may not be; then it has been told off
    /// (as OpenSMTPD does).
    pub(super) fn is_pipelined(&mut self, verb: &str, line: &[u8]) -> io::Result<bool> {
        let ends_group = matches!(
            verb,
            "EHLO"
                | "HELO"
                | "LHLO"
                | "DATA"
                | "VRFY"
                | "EXPN"
                | "QUIT"
                | "NOOP"
                | "STARTTLS"
                | "AUTH"
        );
        let allowed = self.has("PIPELINING");
        if (allowed && !ends_group) || !self.has_more_input()? {
            return Ok(false);
        }
        let (kind, text) = if allowed {
            let text = format!("{verb} is the last command of a group");
            (ViolationKind::BehindLastOfGroup, text)
        } else {
            let text = "Pipelining is not announced".to_owned();
            (ViolationKind::Pipelining, text)
        };
        self.violation(kind, line);
        self.put(&Reply::new(503, "5.5.0", text));
        self.send_out()?;
        Ok(true)
    }

    /// What rules say instead of the command, if they do.
    fn intercept(
        &mut self,
        verb: &str,
        parsed: &Result<Parsed, Refusal>,
    ) -> io::Result<Option<Outcome>> {
        let id = self.connection.id;
        let outcome = if self.hub.faults.is_silent(id, verb) {
            Outcome::Said
        } else if let Some(words) = self.hub.faults.response(id, verb) {
            Outcome::Words(words)
        } else {
            return Ok(None);
        };
        // The chunk comes with its command, whatever is said to it.
        if let Ok(Parsed {
            request: Request::Bdat { chunk_size, .. },
            ..
        }) = parsed
        {
            if !self.read_chunk(*chunk_size as u64, None)? {
                return Ok(Some(Outcome::End));
            }
            // What is already on its way behind it must not make a message (RFC 3030 section 2).
            if let Some(transaction) = &mut self.transaction {
                transaction.broken = true;
            }
        }
        Ok(Some(outcome))
    }

    /// Says why a line was not understood.
    fn refuse(&mut self, refusal: Refusal, line: &[u8]) -> Outcome {
        self.violation(refusal.violation, line);
        Outcome::Reply(refusal.reply)
    }

    fn execute(&mut self, parsed: Parsed, line: &[u8]) -> io::Result<Outcome> {
        let Parsed { request, path } = parsed;
        let is_quit = matches!(request, Request::Quit);
        if self.turned_away && !is_quit {
            return Ok(Outcome::reply(503, "5.5.1", "There is no service here"));
        }
        let outcome = match request {
            Request::Ehlo { host } if self.dialect == Dialect::Smtp => self.hello(host, true),
            Request::Helo { host } if self.dialect == Dialect::Smtp => self.hello(host, false),
            Request::Lhlo { host } if self.dialect == Dialect::Lmtp => self.hello(host, true),
            Request::Noop { .. } => Outcome::reply(250, "2.0.0", "Ok"),
            Request::Quit => Outcome::Last(Reply::new(221, "2.0.0", "Bye")),
            Request::Rset => {
                self.transaction = None;
                self.excused = false;
                Outcome::reply(250, "2.0.0", "Ok")
            }
            Request::Help { .. } => {
                Outcome::reply(214, "2.0.0", "EHLO MAIL RCPT DATA BDAT RSET QUIT")
            }
            Request::StartTls => self.starttls(line),
            Request::Auth {
                mechanism,
                initial_response,
            } => self.authenticate(mechanism, &initial_response, line)?,
            Request::Mail { from } => self.mail(&from, path, line),
            Request::Rcpt { to } => self.rcpt(&to, path, line),
            Request::Data => self.data(line),
            Request::Bdat {
                chunk_size,
                is_last,
            } => self.bdat(chunk_size as u64, is_last, line)?,
            Request::Vrfy { value } => self.look_up("VRFY", &value, line),
            Request::Expn { value } => self.look_up("EXPN", &value, line),
            other => {
                self.violation(ViolationKind::NotAnnounced, line);
                Outcome::Reply(Reply::new(
                    502,
                    "5.5.1",
                    format!("{} is not supported", other.name()),
                ))
            }
        };
        Ok(outcome)
    }

    /// A command came where it makes no sense.
    pub(super) fn out_of_sequence(&mut self, line: &[u8], text: &str) -> Outcome {
        if !self.excused {
            self.violation(ViolationKind::Sequence, line);
            self.own_fault = true;
        }
        Outcome::reply(503, "5.5.1", text)
    }

    /// There is nobody to send the message to.
    pub(super) fn no_recipients(&mut self, line: &[u8]) -> Outcome {
        let _ = self.out_of_sequence(line, "");
        // RFC 5321 section 4.1.1.4, RFC 2033 section 4.2.
        let code = match self.dialect {
            Dialect::Smtp => 554,
            Dialect::Lmtp => 503,
        };
        Outcome::reply(code, "5.5.1", "No valid recipients")
    }

    /// A command needs what was not announced.
    pub(super) fn not_announced(&mut self, line: &[u8], code: u16, what: &str) -> Outcome {
        self.violation(ViolationKind::NotAnnounced, line);
        let status = if code == 555 { "5.5.4" } else { "5.5.1" };
        Outcome::Reply(Reply::new(code, status, format!("{what} is not supported")))
    }

    /// VRFY and EXPN (RFC 5321 section 3.5): they know the users.
    fn look_up(&mut self, verb: &str, value: &str, line: &[u8]) -> Outcome {
        if !self.has(verb) {
            return self.not_announced(line, 502, verb);
        }
        let address = value.trim_start_matches('<').trim_end_matches('>');
        match self.hub.store.local_user(address) {
            Some(user) => Outcome::Reply(Reply::new(250, "2.1.5", format!("<{user}@localhost>"))),
            None => Outcome::reply(550, "5.1.1", "No such user"),
        }
    }

    /// Answers; says whether the session goes on.
    fn conclude(&mut self, verb: &str, outcome: Outcome) -> io::Result<bool> {
        match outcome {
            Outcome::Reply(reply) => {
                let words = self.render(&reply);
                self.answer(verb, words)?;
                Ok(true)
            }
            Outcome::Words(words) => {
                self.answer(verb, words)?;
                Ok(true)
            }
            Outcome::Last(reply) => {
                let words = self.render(&reply);
                self.answer(verb, words)?;
                self.send_out()?;
                Ok(false)
            }
            Outcome::StartTls(reply) => {
                let words = self.render(&reply);
                self.answer(verb, words)?;
                self.send_out()?;
                let hub = Arc::clone(&self.hub);
                self.stream.start_tls(&hub.tls.acceptor)?;
                // RFC 3207 section 4.2: nothing is known of the client any more.
                self.hello = None;
                self.user = None;
                self.transaction = None;
                Ok(true)
            }
            Outcome::Data(reply) => {
                let words = self.render(&reply);
                self.answer(verb, words)?;
                self.send_out()?;
                self.receive_data()
            }
            Outcome::Message => self.finish_message(),
            Outcome::Said => Ok(true),
            Outcome::End => Ok(false),
        }
    }

    /// Says these words to a command, or what a rule wants said, and does what rules say then.
    pub(super) fn answer(&mut self, verb: &str, words: Vec<u8>) -> io::Result<()> {
        self.say(verb, words);
        self.reach(Place::Answered(verb))
    }

    pub(super) fn say(&mut self, verb: &str, words: Vec<u8>) {
        let id = self.connection.id;
        if let Some(bytes) = self.hub.faults.before(id, verb) {
            self.out.extend_from_slice(&bytes);
        }
        let words = self.hub.faults.replacement(id, verb).unwrap_or(words);
        let refused = words.starts_with(b"4") || words.starts_with(b"5");
        if refused && matches!(verb, "MAIL" | "RCPT" | "DATA" | "BDAT") {
            self.excused |= !self.own_fault;
        }
        self.out.extend_from_slice(&words);
        if let Some(bytes) = self.hub.faults.after(id, verb) {
            self.out.extend_from_slice(&bytes);
        }
    }
}
