//! EHLO, HELO, LHLO (RFC 5321 section 4.1.1.1, RFC 2033 section 4.1), STARTTLS (RFC 3207).

use super::dispatch::Outcome;
use super::reply::Reply;
use super::session::{Hello, Session};

impl Session {
    pub(super) fn hello(&mut self, name: String, extended: bool) -> Outcome {
        self.transaction = None;
        self.excused = false;
        self.hello = Some(Hello { name, extended });
        let mut lines = vec!["localhost".to_owned()];
        if extended {
            let capabilities = self.hub.capabilities.read();
            lines.extend(capabilities.lines(self.stage()).iter().cloned());
        }
        if !self.stream.is_tls() {
            lines.retain(|line| !line.eq_ignore_ascii_case("REQUIRETLS"));
        }
        Outcome::Reply(Reply::lines(250, lines))
    }

    pub(super) fn starttls(&mut self, line: &[u8]) -> Outcome {
        if self.stream.is_tls() {
            return self.out_of_sequence(line, "TLS is on already");
        }
        if self.hello.is_none() {
            return self.out_of_sequence(line, "Say EHLO first");
        }
        if !self.has("STARTTLS") {
            return self.not_announced(line, 502, "STARTTLS");
        }
        Outcome::StartTls(Reply::new(220, "2.0.0", "Go ahead"))
    }
}
