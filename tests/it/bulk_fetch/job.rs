//! Runs the example, and looks at what it wrote and said.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use mailpool_test_server::Server;
use tempfile::TempDir;

use crate::support::USER;

pub(crate) fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let name = format!("bulk_fetch{}", std::env::consts::EXE_SUFFIX);
    let program = profile.join("examples").join(name);
    let hint = "build it with `cargo build --example bulk_fetch`";
    assert!(program.exists(), "{} is missing: {hint}", program.display());
    program
}

/// A directory for `--out`, and the command that fetches the INBOX of `server` into it.
pub(crate) struct Job {
    pub(crate) directory: TempDir,
    pub(crate) url: String,
    pub(crate) password: &'static str,
    pub(crate) extra: Vec<String>,
}

impl Job {
    pub(crate) fn new(server: &Server) -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            url: format!("imap://127.0.0.1:{}", server.port()),
            password: USER.1,
            extra: vec!["--plaintext".to_owned(), "--no-sync".to_owned()],
        }
    }

    pub(crate) fn tls(server: &Server, scheme: &str) -> Self {
        let mut job = Self::new(server);
        let ca = job.directory.path().join("ca.pem");
        fs::write(&ca, server.ca_pem()).unwrap();
        job.url = format!("{scheme}://localhost:{}", server.port());
        job.extra = vec!["--ca".to_owned(), ca.to_str().unwrap().to_owned()];
        job
    }

    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        self.extra.extend(arguments.iter().map(ToString::to_string));
        self
    }

    pub(crate) fn out(&self) -> PathBuf {
        self.directory.path().join("mail")
    }

    pub(crate) fn arguments(&self, command: &mut Command) {
        command
            .args(["--server", &self.url, "--user", USER.0, "--out"])
            .arg(self.out())
            .args(&self.extra)
            .env("MAILPOOL_PASSWORD", self.password);
    }

    pub(crate) fn run(&self) -> Outcome {
        let mut command = Command::new(program());
        self.arguments(&mut command);
        outcome(&mut command)
    }

    /// The names in one of the Maildir's directories, in order.
    pub(crate) fn names(&self, directory: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.out().join(directory)) else {
            return Vec::new();
        };
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<_> = entries
            .map(|entry| name(entry).into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The messages in `cur`, by UID.
    pub(crate) fn messages(&self) -> BTreeMap<u32, Vec<u8>> {
        let read = |name: &String| fs::read(self.out().join("cur").join(name)).unwrap();
        let names = self.names("cur");
        names.iter().map(|name| (uid(name), read(name))).collect()
    }
}

pub(crate) fn uid(name: &str) -> u32 {
    let (_, rest) = name.split_once(".U").unwrap();
    rest.split_once('.').unwrap().0.parse().unwrap()
}

pub(crate) struct Outcome {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn outcome(command: &mut Command) -> Outcome {
    let output = command.stdin(Stdio::null()).output().unwrap();
    Outcome {
        success: output.status.success(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Outcome {
    /// It went well and wrote nothing to stderr.
    #[track_caller]
    pub(crate) fn went_well(&self) -> &str {
        assert!(self.success, "{}", self.stderr);
        assert_eq!(self.stderr, "");
        &self.stdout
    }

    /// It failed with one line on stderr that says all of this, and without a panic.
    #[track_caller]
    pub(crate) fn failed(&self, words: &[&str]) {
        let line = &self.stderr;
        assert!(!self.success, "{}", self.stdout);
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(line.starts_with("bulk_fetch: "), "{line}");
        for word in words {
            assert!(line.contains(word), "{word:?} is missing: {line}");
        }
    }
}
