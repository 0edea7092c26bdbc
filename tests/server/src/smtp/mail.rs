//! MAIL and RCPT (RFC 5321 section 3.3) with the parameters of the extensions.

use smtp_proto::{MAIL_BODY_8BITMIME, MAIL_BODY_BINARYMIME, MAIL_SMTPUTF8, MailFrom, RcptTo};

use super::dispatch::Outcome;
use super::reply::Reply;
use super::session::{Session, Transaction};
use crate::clock;
use crate::counters::ViolationKind;
use crate::faults::Asked;
use crate::store::Path;

/// The longest message that is taken where SIZE announces no limit.
const MAX_MESSAGE: u64 = 128 << 20;

impl Session {
    pub(super) fn mail(&mut self, from: &MailFrom<String>, path: Path, line: &[u8]) -> Outcome {
        self.excused = false;
        if self.hello.is_none() {
            return self.out_of_sequence(line, "Introduce yourself first");
        }
        if self.needs_tls() {
            return Outcome::reply(530, "5.7.0", "Must issue a STARTTLS command first");
        }
        if self.user.is_none() && self.hub.settings.read().require_login {
            return Outcome::reply(530, "5.7.0", "Authentication required");
        }
        if self.transaction.is_some() {
            return self.out_of_sequence(line, "There is a transaction already");
        }
        if self.limit("MAILMAX").is_some_and(|max| self.mails >= max) {
            self.violation(ViolationKind::OverLimit, line);
            return Outcome::Last(Reply::new(421, "4.5.3", "Too many transactions"));
        }
        if let Some(outcome) = self.check_parameters(&path, mail_extension, line) {
            return outcome;
        }
        if let Some(outcome) = self.check_mail(from, &path, line) {
            return outcome;
        }
        if let Some(words) = self.refused(Asked::Sender, &path.address) {
            return Outcome::Words(words);
        }
        let binary = from.flags & MAIL_BODY_BINARYMIME != 0;
        let utf8 = from.flags & MAIL_SMTPUTF8 != 0;
        self.mails += 1;
        self.transaction = Some(Transaction {
            reverse_path: path,
            recipients: Vec::new(),
            binary,
            eight_bit: utf8 || from.flags & MAIL_BODY_8BITMIME != 0,
            utf8,
            first_flight: self.stream.flight(),
            content: None,
            chunks: 0,
            broken: false,
        });
        Outcome::reply(250, "2.1.0", "Sender ok")
    }

    pub(super) fn rcpt(&mut self, to: &RcptTo<String>, path: Path, line: &[u8]) -> Outcome {
        let Some(transaction) = &self.transaction else {
            return self.out_of_sequence(line, "MAIL comes first");
        };
        if transaction.chunks > 0 || transaction.broken {
            return self.out_of_sequence(line, "The message has begun");
        }
        if !transaction.utf8 && !path.address.is_ascii() {
            self.violation(ViolationKind::NotAnnounced, line);
            return Outcome::reply(553, "5.6.7", "The transaction is not SMTPUTF8");
        }
        let domain_of = |address: &str| {
            let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
            domain.to_ascii_lowercase()
        };
        let count = transaction.recipients.len() as u64;
        let mut domains: Vec<String> = transaction
            .recipients
            .iter()
            .map(|path| domain_of(&path.address))
            .collect();
        domains.push(domain_of(&path.address));
        domains.sort();
        domains.dedup();
        if self.limit("RCPTMAX").is_some_and(|max| count >= max) {
            self.violation(ViolationKind::OverLimit, line);
            return Outcome::reply(452, "4.5.3", "Too many recipients");
        }
        let domains = domains.len() as u64;
        if self.limit("RCPTDOMAINMAX").is_some_and(|max| domains > max) {
            self.violation(ViolationKind::OverLimit, line);
            return Outcome::reply(452, "4.5.3", "Too many domains");
        }
        if let Some(outcome) = self.check_parameters(&path, rcpt_extension, line) {
            return outcome;
        }
        if let Some(words) = self.refused(Asked::Recipient, &path.address) {
            return Outcome::Words(words);
        }
        let text = format!("<{}> ok", to.address.escape_default());
        if let Some(transaction) = &mut self.transaction {
            transaction.recipients.push(path);
        }
        Outcome::Reply(Reply::new(250, "2.1.5", text))
    }

    /// The length of a message that is taken.
    pub(super) fn size_limit(&self) -> u64 {
        let announced = self.parameters("SIZE").and_then(|size| size.parse().ok());
        match announced {
            Some(0) | None => MAX_MESSAGE,
            Some(limit) => limit,
        }
    }

    pub(super) fn refused(&self, asked: Asked, address: &str) -> Option<Vec<u8>> {
        let id = self.connection.id;
        self.hub.faults.refuse_address(id, asked, address)
    }

    /// Whether the extensions were announced that the parameters belong to.
    fn check_parameters(
        &mut self,
        path: &Path,
        extension: fn(&str) -> Option<&'static str>,
        line: &[u8],
    ) -> Option<Outcome> {
        for parameter in &path.parameters {
            let upper = parameter.to_ascii_uppercase();
            let announced = extension(&upper).is_some_and(|extension| match extension {
                // It stays in force when AUTH is not announced any more.
                "AUTH" => self.user.is_some() || self.has("AUTH"),
                extension => self.has(extension),
            });
            if !announced {
                let outcome = self.not_announced(line, 555, parameter);
                return Some(outcome);
            }
        }
        None
    }

    /// Whether the values of the parameters can be complied with.
    fn check_mail(&mut self, from: &MailFrom<String>, path: &Path, line: &[u8]) -> Option<Outcome> {
        if from.flags & MAIL_SMTPUTF8 == 0 && !path.address.is_ascii() {
            self.violation(ViolationKind::NotAnnounced, line);
            return Some(Outcome::reply(553, "5.6.7", "SMTPUTF8 was not said"));
        }
        if from.size as u64 > self.size_limit() {
            return Some(Outcome::reply(552, "5.3.4", "The message is too big"));
        }
        let limits = self.parameters("FUTURERELEASE").unwrap_or_default();
        let (interval, date) = limits.split_once(' ').unwrap_or((&limits, ""));
        let interval = interval.parse().unwrap_or(u64::MAX);
        let too_long = from.hold_for > interval;
        let until = from.hold_until;
        let latest = chrono::DateTime::parse_from_rfc3339(date)
            .ok()
            .and_then(|date| u64::try_from(date.timestamp()).ok())
            .unwrap_or(u64::MAX);
        let now = u64::try_from(clock::today().timestamp()).unwrap_or(0);
        let bad_date = until > 0 && (until > latest || until < now);
        if too_long || bad_date || (from.hold_for > 0 && until > 0) {
            return Some(Outcome::reply(501, "5.5.4", "Cannot hold it for so long"));
        }
        None
    }
}

/// The extension that a parameter of MAIL belongs to.
fn mail_extension(parameter: &str) -> Option<&'static str> {
    let keyword = parameter.split('=').next().unwrap_or(parameter);
    Some(match keyword {
        "SIZE" => "SIZE",
        "BODY" if parameter == "BODY=BINARYMIME" => "BINARYMIME",
        "BODY" => "8BITMIME",
        "SMTPUTF8" => "SMTPUTF8",
        "RET" | "ENVID" => "DSN",
        "AUTH" => "AUTH",
        "REQUIRETLS" => "REQUIRETLS",
        "HOLDFOR" | "HOLDUNTIL" => "FUTURERELEASE",
        _ => return None,
    })
}

/// The extension that a parameter of RCPT belongs to.
fn rcpt_extension(parameter: &str) -> Option<&'static str> {
    let keyword = parameter.split('=').next().unwrap_or(parameter);
    matches!(keyword, "NOTIFY" | "ORCPT").then_some("DSN")
}
