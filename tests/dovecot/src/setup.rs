//! What has to be there before Dovecot is started: programs, system users, files, ports.

use std::fs;
use std::io;
use std::path::Path;

use mailpool_test_daemon::{Identity, SystemUser, Unavailable, free_port};

use crate::NAME;
use crate::builder::{Builder, Service, User};
use crate::config::{Config, Ports};

/// System users that may own the mail; the first that exists is taken.
const OWNERS: [&str; 3] = ["mail", "nobody", "daemon"];

/// For `map_err`: the words for what was being done.
pub(crate) fn io_error(doing: &'static str) -> impl FnOnce(io::Error) -> Unavailable {
    Unavailable::io(NAME, doing)
}

/// Whether the machine has what it takes, and who will own the mail.
pub(crate) fn check_system(builder: &Builder) -> Result<SystemUser, Unavailable> {
    for &service in &builder.services {
        find_program(service)?;
    }
    Unavailable::check_root(NAME)?;
    Unavailable::check_user(NAME, &["dovenull"])?;
    Unavailable::check_user(NAME, &["dovecot"])?;
    Unavailable::check_user(NAME, &OWNERS)
}

/// Looks for Dovecot's programs where Debian puts them.
pub(crate) fn find_program(service: Service) -> Result<(), Unavailable> {
    Unavailable::check_program(NAME, "/usr/sbin/dovecot", "dovecot-core")?;
    Unavailable::check_program(NAME, "/usr/bin/doveadm", "dovecot-core")?;
    let program = format!("/usr/lib/dovecot/{}", service.name());
    Unavailable::check_program(NAME, &program, service.package())
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
