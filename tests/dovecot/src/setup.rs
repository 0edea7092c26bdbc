//! What has to be there before Dovecot is started: programs, system users, a directory, ports.

use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::builder::{Builder, Service, User};
use crate::certificate::Identity;
use crate::config::{Config, MailOwner, Ports};
use crate::unavailable::Unavailable;

/// System users that may own the mail; the first that exists is taken.
const OWNERS: [&str; 3] = ["mail", "nobody", "daemon"];

/// Whether the machine has what it takes, and who will own the mail.
pub(crate) fn check_system(builder: &Builder) -> Result<MailOwner, Unavailable> {
    for &service in &builder.services {
        find_program(service)?;
    }
    let uid = rustix::process::geteuid().as_raw();
    if uid != 0 {
        return Err(Unavailable::NotRoot { uid });
    }
    let passwd = fs::read_to_string("/etc/passwd").map_err(Unavailable::io("reading users"))?;
    for name in ["dovenull", "dovecot"] {
        system_user(&passwd, name).ok_or_else(|| Unavailable::NoUser {
            names: name.to_owned(),
        })?;
    }
    let owner = OWNERS.iter().find_map(|name| system_user(&passwd, name));
    owner.ok_or_else(|| Unavailable::NoUser {
        names: OWNERS.join(" or "),
    })
}

/// Looks for Dovecot's programs where Debian puts them.
pub(crate) fn find_program(service: Service) -> Result<(), Unavailable> {
    let needed = [
        ("/usr/sbin/dovecot".to_owned(), "dovecot-core"),
        ("/usr/bin/doveadm".to_owned(), "dovecot-core"),
        (
            format!("/usr/lib/dovecot/{}", service.name()),
            service.package(),
        ),
    ];
    for (program, package) in needed {
        if !Path::new(&program).exists() {
            return Err(Unavailable::NotInstalled { program, package });
        }
    }
    Ok(())
}

fn system_user(passwd: &str, name: &str) -> Option<MailOwner> {
    let fields = passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.first() == Some(&name))?;
    Some(MailOwner {
        uid: fields.get(2)?.parse().ok()?,
        gid: fields.get(3)?.parse().ok()?,
    })
}

/// A directory that the mail owner may pass through, with a path short enough for the sockets
/// that Dovecot makes below it.
pub(crate) fn make_directory() -> io::Result<tempfile::TempDir> {
    let mut parent = std::env::temp_dir();
    if parent.as_os_str().len() > 50 {
        parent = PathBuf::from("/tmp");
    }
    tempfile::Builder::new()
        .prefix("mailpool-dovecot-")
        .permissions(fs::Permissions::from_mode(0o755))
        .tempdir_in(parent)
}

pub(crate) fn write_files(
    directory: &Path,
    config: &Config<'_>,
    identity: &Identity,
) -> io::Result<()> {
    fs::create_dir(directory.join("home"))?;
    fs::write(directory.join("certificate.pem"), &identity.certificate_pem)?;
    fs::write(directory.join("key.pem"), &identity.key_pem)?;
    fs::write(directory.join("authority.pem"), &identity.ca_pem)?;
    fs::create_dir(directory.join("users"))?;
    for user in &config.builder.users {
        write_user(directory, user)?;
    }
    fs::write(directory.join("dovecot.conf"), config.text())
}

/// Writes a user's password file. Hexadecimal, so that a password may contain anything.
pub(crate) fn write_user(directory: &Path, user: &User) -> io::Result<()> {
    let bytes = user.password.bytes();
    let hex: String = bytes.map(|byte| format!("{byte:02x}")).collect();
    let line = format!("{}:{{PLAIN.HEX}}{hex}\n", user.name);
    fs::write(directory.join("users").join(&user.name), line)
}

/// Finds ports below those that the system hands out by itself, two for each protocol.
pub(crate) fn free_ports(builder: &Builder) -> io::Result<Vec<Ports>> {
    let mut pairs = Vec::new();
    for &service in &builder.services {
        let plain = free_port(builder.address)?;
        let tls = free_port(builder.address)?;
        pairs.push(Ports {
            service,
            plain,
            tls,
        });
    }
    Ok(pairs)
}

fn free_port(address: IpAddr) -> io::Result<u16> {
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

/// Whether a server at the address says the expected greeting in its first line.
pub(crate) fn greets(address: SocketAddr, greeting: &str) -> bool {
    let first_line = || -> io::Result<String> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok(line)
    };
    first_line().is_ok_and(|line| line.contains(greeting))
}
