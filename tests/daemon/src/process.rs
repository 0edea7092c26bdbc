//! The processes of one server: its first one in the foreground, leader of a process group of
//! its own, and a watcher that ends the server if the test process dies without doing so.

#![allow(
    clippy::disallowed_methods,
    reason = "these are other programs: they tell nobody when they are ready or gone, so they \
              are asked again after a pause, up to a deadline"
)]

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

/// Where Debian puts programs; the test process may run with a shorter search path.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How long the system may take to clear up processes that were killed.
const AFTERMATH: Duration = Duration::from_secs(5);

const PAUSE: Duration = Duration::from_millis(5);

/// Kills the server whose directory is `$1` when its standard input ends without a line.
///
/// It looks for processes whose command line has `$2`. The search finds itself too, but leads no
/// process group; the watcher does, and passes over itself. A process that has been killed may
/// write one last file while the directory is removed, hence the second attempt.
const WATCHER: &str = r#"
read -r word && exit 0
for found in $(grep -lsF -e "$2" /proc/[0-9]*/cmdline); do
    pid=${found#/proc/}
    pid=${pid%/cmdline}
    [ "$pid" = "$$" ] || kill -s KILL -- "-$pid"
done
rm -rf "$1" || { sleep 1; rm -rf "$1"; }
"#;

/// A program with an environment that has nothing but a search path, and with the root as its
/// working directory.
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", PATH).current_dir("/");
    command
}

/// A running server's processes. Dropping this ends them.
#[derive(Debug)]
pub struct Processes {
    first: Option<Child>,
    watcher: Child,
    /// Standard input of the watcher. The system closes it when this process ends, however.
    lifeline: Option<ChildStdin>,
}

impl Processes {
    /// Starts a watcher and then the server, whose output goes into the file `output` in the
    /// directory.
    ///
    /// `mark` is a text of the server's command line that no other process has, such as the path
    /// of its configuration. If this process dies the watcher kills the process groups of those
    /// that have it, and removes the directory. The server has to stay in the process group that
    /// it is started in.
    ///
    /// # Errors
    /// If a program cannot be started, or the file not be written.
    pub fn start(directory: &Path, mark: &str, server: &mut Command) -> io::Result<Self> {
        let mut watcher = command("/bin/sh")
            .args(["-c", WATCHER, "mailpool-test-watcher"])
            .arg(directory)
            .arg(mark)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let lifeline = watcher.stdin.take();
        let mut processes = Self {
            first: None,
            watcher,
            lifeline,
        };
        // From here on dropping `processes` ends the watcher.
        let output = File::create(directory.join("output"))?;
        let first = server
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()?;
        processes.first = Some(first);
        Ok(processes)
    }

    /// The id of the server's first process, which is also the id of its process group.
    pub fn id(&self) -> u32 {
        self.first.as_ref().map_or(0, Child::id)
    }

    /// How the server ended, if it did.
    ///
    /// # Errors
    /// If the system cannot tell.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        match &mut self.first {
            Some(first) => first.try_wait(),
            None => Ok(None),
        }
    }

    /// Ends the server with every process of its group, reaps it, and dismisses the watcher.
    ///
    /// # Errors
    /// If a process survives.
    pub fn stop(&mut self) -> io::Result<()> {
        let outcome = match self.first.take() {
            Some(first) => stop_group(first),
            None => Ok(()),
        };
        if let Some(mut lifeline) = self.lifeline.take() {
            // Should the watcher be gone already there is nobody to dismiss.
            let _ = lifeline.write_all(b"done\n");
            drop(lifeline);
            self.watcher.wait()?;
        }
        outcome
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        // A destructor has nobody to report to; `stop` is there for those who want to know.
        let _ = self.stop();
    }
}

/// Kills the group rather than asking the server to end, which takes some up to three seconds;
/// what it might want to save is thrown away anyhow.
fn stop_group(mut first: Child) -> io::Result<()> {
    let Some(group) = i32::try_from(first.id()).ok().and_then(Pid::from_raw) else {
        return Err(io::Error::other("process id out of range"));
    };
    // It is not reaped yet, so the id is still its own.
    let killed = kill_process_group(group, Signal::KILL);
    first.wait()?;
    killed?;
    // The others are reaped by the system's first process.
    if wait_until(AFTERMATH, || !has_live_member(group)) {
        Ok(())
    } else {
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "processes of the server are still there after they were killed",
        ))
    }
}

/// Whether a process of the group is there and is not a zombie.
fn has_live_member(group: Pid) -> bool {
    if test_kill_process_group(group).is_err() {
        return false;
    }
    let Ok(processes) = fs::read_dir("/proc") else {
        return false;
    };
    processes.filter_map(Result::ok).any(|process| {
        let stat = fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        // Behind the name in parentheses, which may contain anything: state, parent, group.
        let mut fields = stat.rsplit(')').next().unwrap_or("").split_whitespace();
        let state = fields.next();
        let its_group = fields.nth(1).and_then(|field| field.parse().ok());
        its_group == Some(group.as_raw_nonzero().get()) && state != Some("Z")
    })
}

/// Asks `condition` again and again until it holds or the time is up; whether it held.
pub fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(PAUSE);
    }
}
