//! Which capabilities are announced and obeyed, and when.

use std::collections::BTreeMap;

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

/// The capability lists of a server, one for each stage.
#[derive(Clone, Debug)]
pub(crate) struct Capabilities {
    lists: BTreeMap<Stage, Vec<String>>,
}

impl Default for Capabilities {
    fn default() -> Self {
        let list = |more: &[&str]| -> Vec<String> {
            ALWAYS
                .iter()
                .chain(more)
                .map(|&name| name.to_owned())
                .collect()
        };
        Self {
            lists: BTreeMap::from([
                (Stage::BeforeTls, list(&["STARTTLS", "LOGINDISABLED"])),
                (Stage::BeforeLogin, list(&["AUTH=PLAIN"])),
                (Stage::Authenticated, list(&AUTHENTICATED)),
            ]),
        }
    }
}

impl Capabilities {
    pub(crate) fn list(&self, stage: Stage) -> String {
        self.lists
            .get(&stage)
            .map(|list| list.join(" "))
            .unwrap_or_default()
    }

    pub(crate) fn has(&self, stage: Stage, name: &str) -> bool {
        self.lists
            .get(&stage)
            .is_some_and(|list| list.iter().any(|other| other.eq_ignore_ascii_case(name)))
    }

    pub(crate) fn set(&mut self, stage: Stage, names: Vec<String>) {
        self.lists.insert(stage, names);
    }

    /// Adds a capability where it belongs: the ones about login to the stages before it, those
    /// about mailboxes after login, the rest everywhere.
    pub(crate) fn add(&mut self, name: &str) {
        let upper = name.to_ascii_uppercase();
        let stages: &[Stage] = if upper == "STARTTLS" {
            &[Stage::BeforeTls]
        } else if upper.starts_with("AUTH=") || upper == "LOGINDISABLED" {
            &[Stage::BeforeTls, Stage::BeforeLogin]
        } else if AUTHENTICATED.contains(&upper.as_str()) {
            &[Stage::Authenticated]
        } else {
            &[Stage::BeforeTls, Stage::BeforeLogin, Stage::Authenticated]
        };
        for &stage in stages {
            if !self.has(stage, name) {
                self.lists.entry(stage).or_default().push(name.to_owned());
            }
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        for list in self.lists.values_mut() {
            list.retain(|other| !other.eq_ignore_ascii_case(name));
        }
    }
}
