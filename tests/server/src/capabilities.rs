//! Which capabilities are announced and obeyed, and when.

use std::collections::BTreeMap;

use crate::server::Protocol;

/// When a capability list applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// On a STARTTLS server, before TLS.
    BeforeTls,
    /// Before login: under TLS, or in clear on a server without TLS.
    BeforeLogin,
    /// After login.
    Authenticated,
}

const ALWAYS: [&str; 5] = ["IMAP4rev1", "LITERAL+", "ID", "ENABLE", "SASL-IR"];
const AUTHENTICATED: [&str; 11] = [
    "IDLE",
    "NAMESPACE",
    "UIDPLUS",
    "MOVE",
    "UNSELECT",
    "ESEARCH",
    "CONDSTORE",
    "CHILDREN",
    "SPECIAL-USE",
    "WITHIN",
    "STATUS=SIZE",
];

/// What EHLO and LHLO announce at every stage. The numbers are obeyed.
const ESMTP: [&str; 12] = [
    "PIPELINING",
    "SIZE 134217728",
    "8BITMIME",
    "SMTPUTF8",
    "DSN",
    "ENHANCEDSTATUSCODES",
    "CHUNKING",
    "BINARYMIME",
    "FUTURERELEASE 2592000 2100-01-01T00:00:00Z",
    "VRFY",
    "EXPN",
    "HELP",
];

/// The capability lists of a server, one for each stage.
///
/// A capability of IMAP is a word; one of SMTP is a keyword with its parameters.
#[derive(Clone, Debug)]
pub(crate) struct Capabilities {
    protocol: Protocol,
    lists: BTreeMap<Stage, Vec<String>>,
}

impl Capabilities {
    pub(crate) fn new(protocol: Protocol) -> Self {
        let list = |base: &[&str], more: &[&str]| -> Vec<String> {
            base.iter()
                .chain(more)
                .map(|&name| name.to_owned())
                .collect()
        };
        let lists = match protocol {
            Protocol::Imap => [
                (
                    Stage::BeforeTls,
                    list(&ALWAYS, &["STARTTLS", "LOGINDISABLED"]),
                ),
                (Stage::BeforeLogin, list(&ALWAYS, &["AUTH=PLAIN"])),
                (Stage::Authenticated, list(&ALWAYS, &AUTHENTICATED)),
            ],
            // REQUIRETLS is left out in clear (RFC 8689 section 2).
            Protocol::Smtp | Protocol::Lmtp => [
                (Stage::BeforeTls, list(&ESMTP, &["STARTTLS"])),
                (
                    Stage::BeforeLogin,
                    list(&ESMTP, &["REQUIRETLS", "AUTH PLAIN LOGIN"]),
                ),
                (Stage::Authenticated, list(&ESMTP, &["REQUIRETLS"])),
            ],
        };
        Self {
            protocol,
            lists: BTreeMap::from(lists),
        }
    }

    pub(crate) fn list(&self, stage: Stage) -> String {
        self.lines(stage).join(" ")
    }

    pub(crate) fn lines(&self, stage: Stage) -> &[String] {
        self.lists.get(&stage).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn has(&self, stage: Stage, name: &str) -> bool {
        self.parameters(stage, name).is_some()
    }

    /// What follows a keyword; `None` if it is not announced.
    pub(crate) fn parameters(&self, stage: Stage, name: &str) -> Option<&str> {
        let line = self
            .lines(stage)
            .iter()
            .find(|line| keyword(line).eq_ignore_ascii_case(name))?;
        Some(
            line.split_once(' ')
                .map_or("", |(_, parameters)| parameters),
        )
    }

    pub(crate) fn set(&mut self, stage: Stage, names: Vec<String>) {
        self.lists.insert(stage, names);
    }

    /// Adds a capability where it belongs: the ones about login to the stages before it, those
    /// about mailboxes after login, the rest everywhere. One with the same keyword is replaced.
    pub(crate) fn add(&mut self, name: &str) {
        let upper = keyword(name).to_ascii_uppercase();
        let imap = self.protocol == Protocol::Imap;
        let stages: &[Stage] = if upper == "STARTTLS" {
            &[Stage::BeforeTls]
        } else if upper.starts_with("AUTH=") || upper == "LOGINDISABLED" {
            &[Stage::BeforeTls, Stage::BeforeLogin]
        } else if !imap && upper == "AUTH" {
            &[Stage::BeforeLogin]
        } else if imap && AUTHENTICATED.contains(&upper.as_str()) {
            &[Stage::Authenticated]
        } else {
            &[Stage::BeforeTls, Stage::BeforeLogin, Stage::Authenticated]
        };
        for &stage in stages {
            let list = self.lists.entry(stage).or_default();
            match list
                .iter_mut()
                .find(|line| keyword(line).eq_ignore_ascii_case(&upper))
            {
                Some(line) => name.clone_into(line),
                None => list.push(name.to_owned()),
            }
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        for list in self.lists.values_mut() {
            list.retain(|line| !keyword(line).eq_ignore_ascii_case(name));
        }
    }
}

fn keyword(line: &str) -> &str {
    line.split(' ').next().unwrap_or(line)
}
