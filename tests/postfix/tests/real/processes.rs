//! Who is still there.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The processes of a process group, zombies excluded, as paths in /proc.
pub(crate) fn processes_of(group: u32) -> Vec<PathBuf> {
    let processes = fs::read_dir("/proc").unwrap();
    let paths = processes.filter_map(|entry| Some(entry.ok()?.path()));
    paths
        .filter(|path| {
            let Ok(stat) = fs::read_to_string(path.join("stat")) else {
                return false;
            };
            // The name in parentheses may contain anything; state, parent and group follow.
            let mut fields = stat.rsplit(')').next().unwrap_or("").split_whitespace();
            let state = fields.next();
            state.is_some_and(|state| state != "Z")
                && fields.nth(1).and_then(|field| field.parse().ok()) == Some(group)
        })
        .collect()
}

/// Whether a process has the directory in its command line, as the watcher does, or works in it,
/// as most of Postfix's do.
pub(crate) fn in_use(directory: &Path) -> bool {
    let needle = directory.to_string_lossy().into_owned();
    let processes = fs::read_dir("/proc").unwrap();
    processes.filter_map(Result::ok).any(|entry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let place = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&needle) || place.starts_with(directory)
    })
}

/// Looks again and again, because nobody tells when a process of somebody else has ended.
#[allow(clippy::disallowed_methods, reason = "there is no event to wait for")]
pub(crate) fn wait_until(condition: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}
