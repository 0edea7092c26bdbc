//! Whole programs that write a Maildir: the example bulk_fetch, and mbsync.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::job::{Outcome, Result, Target};

pub(crate) fn bulk_fetch(program: &Path, target: &Target, connections: u32) -> Result<Outcome> {
    let directory = tempfile::tempdir()?;
    let password = directory.path().join("password");
    fs::write(&password, &target.password)?;
    let out = directory.path().join("out");
    let mut command = Command::new(program);
    command
        .args(["--server", &format!("imap://127.0.0.1:{}", target.port)])
        .args(["--user", &target.user, "--plaintext", "--no-sync"])
        .args(["--connections", &connections.to_string()])
        .arg("--password-file")
        .arg(&password)
        .arg("--out")
        .arg(&out);
    time(command, &out, target)
}

/// Where mbsync is, and which one.
pub(crate) fn mbsync_version() -> Option<String> {
    let output = Command::new("mbsync").arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    text.split_whitespace().last().map(str::to_owned)
}

pub(crate) fn mbsync(target: &Target) -> Result<Outcome> {
    let directory = tempfile::tempdir()?;
    let root = directory.path();
    let out = root.join("out");
    fs::create_dir(root.join("boxes"))?;
    // Version 1.4 says SSLType, 1.5 says TLSType.
    let text = format!(
        "FSync no\n\
         IMAPAccount account\nHost 127.0.0.1\nPort {port}\nUser {user}\nPass {password}\n\
         SSLType None\nAuthMechs LOGIN\n\n\
         IMAPStore far\nAccount account\n\n\
         MaildirStore near\nPath {root}/boxes/\nInbox {root}/out\nSubFolders Verbatim\n\n\
         Channel all\nFar :far:\nNear :near:\nPatterns INBOX\nCreate Near\nSync Pull\n\
         SyncState {root}/state-\n",
        port = target.port,
        user = target.user,
        password = target.password,
        root = root.display(),
    );
    let configuration = root.join("mbsyncrc");
    fs::write(&configuration, text)?;
    let mut command = Command::new("mbsync");
    command.arg("-q").arg("-c").arg(&configuration).arg("all");
    time(command, &out, target)
}

/// Times a program from its start to its end, and counts what it has written.
fn time(mut command: Command, out: &Path, target: &Target) -> Result<Outcome> {
    // What earlier runs wrote is not to be written to the disk during this one.
    Command::new("sync").status()?;
    let start = Instant::now();
    let output = command.stdin(Stdio::null()).output()?;
    let seconds = start.elapsed().as_secs_f64();
    let mut files = 0;
    for folder in ["cur", "new"] {
        files += fs::read_dir(out.join(folder)).map_or(0, Iterator::count);
    }
    if !output.status.success() || files != target.messages as usize {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?}: {}, {files} files: {errors}", output.status).into());
    }
    Ok(Outcome::seconds(seconds))
}
