//! The processes of one server: Dovecot's master in the foreground, leader of a process group
//! of its own, and a watcher that ends the server if the test process dies without doing so.

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
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How long the system may take to clear up processes that were killed.
const AFTERMATH: Duration = Duration::from_secs(5);

const PAUSE: Duration = Duration::from_millis(5);

/// Kills the server whose directory is `$1` when its standard input ends without a line.
///
/// It looks for processes that were started with this directory's configuration. The search
/// finds itself too, but leads no process group.
const WATCHER: &str = r#"
read -r word && exit 0
for found in $(grep -ls "$1/dovecot.conf" /proc/[0-9]*/cmdline); do
    pid=${found#/proc/}
    kill -s KILL -- "-${pid%/cmdline}"
done
rm -rf "$1"
"#;

/// A running server's processes.
#[derive(Debug)]
pub(crate) struct ServerProcess {
    master: Option<Child>,
    watcher: Child,
    /// Standard input of the watcher. The system closes it when this process ends, however.
    lifeline: Option<ChildStdin>,
}

impl ServerProcess {
    /// Starts the watcher and then Dovecot with `directory/dovecot.conf`.
    pub(crate) fn start(directory: &Path) -> io::Result<Self> {
        let mut watcher = Command::new("/bin/sh")
            .args(["-c", WATCHER, "dovecot-watcher"])
            .arg(directory)
            .env_clear()
            .env("PATH", PATH)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let lifeline = watcher.stdin.take();
        let mut processes = Self {
            master: None,
            watcher,
            lifeline,
        };
        // From here on dropping `processes` ends the watcher.
        let output = File::create(directory.join("output"))?;
        let master = Command::new("dovecot")
            .args(["-F", "-c"])
            .arg(directory.join("dovecot.conf"))
            .env_clear()
            .env("PATH", PATH)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()?;
        processes.master = Some(master);
        Ok(processes)
    }

    /// The process id of Dovecot's master, which is also the id of the server's process group.
    pub(crate) fn id(&self) -> u32 {
        self.master.as_ref().map_or(0, Child::id)
    }

    /// How Dovecot ended, if it did.
    pub(crate) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        match &mut self.master {
            Some(master) => master.try_wait(),
            None => Ok(None),
        }
    }

    /// Ends Dovecot and every process of its group, reaps it, and dismisses the watcher.
    pub(crate) fn stop(&mut self) -> io::Result<()> {
        let outcome = match self.master.take() {
            Some(master) => stop_group(master),
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

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // A destructor has nobody to report to; `stop` is there for those who want to know.
        let _ = self.stop();
    }
}

/// Kills the group rather than asking Dovecot to end, which takes it up to three seconds; what
/// it might want to save is thrown away anyhow.
fn stop_group(mut master: Child) -> io::Result<()> {
    let Some(group) = i32::try_from(master.id()).ok().and_then(Pid::from_raw) else {
        return Err(io::Error::other("process id out of range"));
    };
    // The master is not reaped yet, so the id is still its own.
    let killed = kill_process_group(group, Signal::KILL);
    master.wait()?;
    killed?;
    // The others are reaped by the system's first process.
    if wait_until(AFTERMATH, || !has_live_member(group)) {
        Ok(())
    } else {
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "processes of Dovecot are still there after they were killed",
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
pub(crate) fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
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
