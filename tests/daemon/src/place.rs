//! Where a server lives: its directory, its ports, the users of the system.

use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A directory that is removed when this is dropped.
pub type Directory = tempfile::TempDir;

/// A user of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemUser {
    /// Its name.
    pub name: &'static str,
    /// The user id.
    pub uid: u32,
    /// The id of its first group.
    pub gid: u32,
}

/// Looks up a user in `/etc/passwd`; none if there is no user of that name.
///
/// # Errors
/// If the file cannot be read.
pub fn system_user(name: &'static str) -> io::Result<Option<SystemUser>> {
    let passwd = fs::read_to_string("/etc/passwd")?;
    let mut users = passwd.lines().map(|line| line.split(':'));
    Ok(users.find_map(|mut fields| {
        if fields.next() != Some(name) {
            return None;
        }
        Some(SystemUser {
            name,
            uid: fields.nth(1)?.parse().ok()?,
            gid: fields.next()?.parse().ok()?,
        })
    }))
}

/// A directory that other users may pass through, with a path short enough for sockets below it.
///
/// # Errors
/// If it cannot be made.
pub fn make_directory(prefix: &str) -> io::Result<Directory> {
    let mut parent = std::env::temp_dir();
    if parent.as_os_str().len() > 50 {
        parent = PathBuf::from("/tmp");
    }
    make_directory_in(&parent, prefix)
}

/// The same in memory, where the system has a file system for that.
///
/// # Errors
/// If it cannot be made.
pub fn make_directory_in_memory(prefix: &str) -> io::Result<Directory> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        make_directory_in(memory, prefix)
    } else {
        make_directory(prefix)
    }
}

fn make_directory_in(parent: &Path, prefix: &str) -> io::Result<Directory> {
    tempfile::Builder::new()
        .prefix(prefix)
        .permissions(fs::Permissions::from_mode(0o755))
        .tempdir_in(parent)
}

/// What a Maildir's files are sorted by to have the oldest first: the seconds and microseconds that
/// Postfix and Dovecot put into their names. The time of the file itself is too coarse for mail
/// that comes in quick succession.
pub fn maildir_order(file_name: &str) -> (u64, u64) {
    let number = |text: &str| {
        let end = text.find(|character: char| !character.is_ascii_digit());
        text.get(..end.unwrap_or(text.len()))
            .and_then(|digits| digits.parse().ok())
            .unwrap_or(0)
    };
    let (seconds, rest) = file_name.split_once('.').unwrap_or((file_name, ""));
    let microseconds = rest.split_once('M').map_or("", |(_, after)| after);
    (number(seconds), number(microseconds))
}

/// Finds a port below those that the system hands out by itself. No two calls in one process
/// return the same one, as long as there are others.
///
/// # Errors
/// If all are taken.
pub fn free_port(address: IpAddr) -> io::Result<u16> {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    static NEXT: OnceLock<AtomicUsize> = OnceLock::new();
    // Test processes that run side by side begin at different places.
    let next = NEXT.get_or_init(|| AtomicUsize::new(std::process::id() as usize * 97));
    for _ in 0..COUNT {
        let offset = next.fetch_add(1, Ordering::Relaxed) % usize::from(COUNT);
        let port = FIRST + u16::try_from(offset).unwrap_or(0);
        if TcpListener::bind((address, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::Error::from(io::ErrorKind::AddrInUse))
}

/// The first line that a server at the address says, its line end included.
///
/// # Errors
/// If nobody listens, or says nothing within five seconds.
pub fn first_line(address: SocketAddr) -> io::Result<String> {
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::maildir_order;

    #[test]
    fn files_of_a_maildir_are_ordered_by_their_microseconds() {
        let postfix = "1795277185.Vfe00I9cc10fM631116.host";
        let dovecot = "1795277185.M38287P15079.host,S=267,W=277:2,S";
        assert_eq!(maildir_order(postfix), (1_795_277_185, 631_116));
        assert_eq!(maildir_order(dovecot), (1_795_277_185, 38_287));
        assert_eq!(maildir_order("odd"), (0, 0));
        assert_eq!(maildir_order("7.M"), (7, 0));
    }
}
