//! The texts of the configuration files, and the directories that Postfix wants to find.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::time::{Duration, SystemTime};

use mailpool_test_daemon::{Identity, SystemUser};

use crate::builder::Builder;

/// Directories of the queue that only Postfix itself looks into.
const QUEUES: [&str; 10] = [
    "incoming", "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "saved",
    "trace",
];

/// Everything that goes into the files.
pub(crate) struct Config<'a> {
    pub(crate) builder: &'a Builder,
    pub(crate) directory: &'a Path,
    /// Whom Postfix runs as.
    pub(crate) postfix: SystemUser,
    /// The user that owns the mail.
    pub(crate) owner: SystemUser,
    pub(crate) plain: u16,
    pub(crate) tls: u16,
    /// Says in the greeting which server this is.
    pub(crate) greeting: &'a str,
}

impl Config<'_> {
    /// Makes the directories and writes the files.
    pub(crate) fn write(&self, identity: &Identity) -> io::Result<()> {
        let directory = self.directory;
        let queue = directory.join("queue");
        fs::create_dir(&queue)?;
        for name in QUEUES {
            make_directory(&queue.join(name), 0o700, self.postfix)?;
        }
        make_directory(&queue.join("private"), 0o700, self.postfix)?;
        make_directory(&queue.join("public"), 0o700, self.postfix)?;
        make_directory(&queue.join("maildrop"), 0o700, self.postfix)?;
        fs::create_dir(queue.join("pid"))?;
        make_directory(&directory.join("data"), 0o700, self.postfix)?;
        make_directory(&directory.join("mail"), 0o755, self.owner)?;
        fs::create_dir(directory.join("seen"))?;

        fs::write(directory.join("certificate.pem"), &identity.certificate_pem)?;
        fs::write(directory.join("key.pem"), &identity.key_pem)?;
        let configuration = directory.join("etc");
        fs::create_dir(&configuration)?;
        write_file(&configuration.join("recipients"), &self.recipients())?;
        write_file(&configuration.join("main.cf"), &self.main())?;
        write_file(&configuration.join("master.cf"), &self.master())
    }

    /// The replies to RCPT, the first match counts.
    fn recipients(&self) -> String {
        let mut text = String::new();
        for (pattern, reply) in &self.builder.rules {
            let pattern = pattern.replace('/', "\\/");
            line(&mut text, format_args!("/{pattern}/ {reply}"));
        }
        text.push_str("/^refused/ 550 5.1.1 no such mailbox here\n");
        text.push_str("/^later/ 450 4.2.1 this mailbox is busy\n");
        text
    }

    fn main(&self) -> String {
        let mut text = String::new();
        self.places(&mut text);
        self.addresses(&mut text);
        self.sessions(&mut text);
        for (key, value) in &self.builder.settings {
            line(&mut text, format_args!("{key} = {value}"));
        }
        text
    }

    fn places(&self, text: &mut String) {
        line(
            text,
            format_args!(
                "compatibility_level = 3.6\n\
                 queue_directory = {directory}/queue\n\
                 data_directory = {directory}/data\n\
                 maillog_file = {directory}/log\n\
                 maillog_file_prefixes = {directory}\n\
                 inet_interfaces = 127.0.0.1\n\
                 inet_protocols = ipv4\n\
                 multi_instance_enable = no\n\
                 default_process_limit = 300",
                directory = self.directory.display(),
            ),
        );
    }

    /// All domains are virtual ones of this server and all mail goes into one Maildir, where the
    /// envelope is in the headers; so nothing is ever relayed, and an address needs no account.
    fn addresses(&self, text: &mut String) {
        // No pause when mail comes in faster than it is delivered; nobody to tell of trouble.
        line(
            text,
            format_args!(
                "myhostname = mail.mailpool.test\n\
                 mydomain = mailpool.test\n\
                 myorigin = mailpool.test\n\
                 mydestination =\n\
                 mynetworks = 127.0.0.0/8\n\
                 alias_maps =\n\
                 alias_database =\n\
                 local_recipient_maps =\n\
                 relay_domains =\n\
                 default_transport = error:nothing is relayed\n\
                 relay_transport = error:nothing is relayed\n\
                 smtp_dns_support_level = disabled\n\
                 virtual_mailbox_domains = static:all\n\
                 virtual_mailbox_base = {directory}/mail\n\
                 virtual_mailbox_maps = static:all/\n\
                 virtual_minimum_uid = 1\n\
                 virtual_uid_maps = static:{uid}\n\
                 virtual_gid_maps = static:{gid}\n\
                 virtual_mailbox_limit = 0\n\
                 virtual_alias_maps =\n\
                 virtual_alias_domains =\n\
                 in_flow_delay = 0\n\
                 notify_classes =",
                directory = self.directory.display(),
                uid = self.owner.uid,
                gid = self.owner.gid,
            ),
        );
    }

    fn sessions(&self, text: &mut String) {
        // Local clients are exempt from much that Postfix does to strangers, and their headers
        // are completed; here they are treated like strangers, but not slowed down.
        line(
            text,
            format_args!(
                "smtpd_banner = {greeting}\n\
                 smtpd_peername_lookup = no\n\
                 smtpd_relay_restrictions = reject_unauth_destination\n\
                 smtpd_recipient_restrictions = check_recipient_access regexp:{directory}/etc/recipients\n\
                 smtpd_client_event_limit_exceptions = static:all\n\
                 smtpd_error_sleep_time = 0\n\
                 smtpd_forbid_bare_newline = {bare_newline}\n\
                 smtpd_forbid_bare_newline_exclusions =\n\
                 smtpd_tls_security_level = may\n\
                 smtpd_tls_cert_file = {directory}/certificate.pem\n\
                 smtpd_tls_key_file = {directory}/key.pem\n\
                 local_header_rewrite_clients =\n\
                 remote_header_rewrite_domain =\n\
                 message_drop_headers =\n\
                 header_size_limit = 10000000\n\
                 message_size_limit = {limit}",
                directory = self.directory.display(),
                greeting = self.greeting,
                bare_newline = self.builder.bare_newline.value(),
                limit = self.builder.message_size_limit,
            ),
        );
    }

    /// What runs: the columns are service, type, private, unprivileged, chroot, wake-up,
    /// process limit, command. The logger comes behind the ports: what goes wrong with those is
    /// written to the log by the master itself only as long as there is no logger to be.
    fn master(&self) -> String {
        format!(
            "127.0.0.1:{plain} inet n - n - - smtpd\n\
             127.0.0.1:{tls} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes\n\
             postlog unix-dgram n - n - 1 postlogd\n\
             cleanup unix n - n - 0 cleanup\n\
             qmgr unix n - n 300 1 qmgr\n\
             tlsmgr unix - - n 1000? 1 tlsmgr\n\
             rewrite unix - - n - - trivial-rewrite\n\
             bounce unix - - n - 0 bounce\n\
             defer unix - - n - 0 bounce\n\
             trace unix - - n - 0 bounce\n\
             proxymap unix - - n - - proxymap\n\
             error unix - - n - - error\n\
             retry unix - - n - - error\n\
             virtual unix - n n - - virtual\n\
             anvil unix - - n - 1 anvil\n",
            plain = self.plain,
            tls = self.tls,
        )
    }
}

/// Writes a file that looks a minute old. Postfix reads a younger one again and again until it is
/// sure that nobody is still writing, which takes it a second or two.
fn write_file(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text.as_bytes())?;
    let a_minute = Duration::from_secs(60);
    file.set_modified(SystemTime::now() - a_minute)
}

fn make_directory(path: &Path, mode: u32, owner: SystemUser) -> io::Result<()> {
    fs::create_dir(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    chown(path, Some(owner.uid), Some(owner.gid))
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{arguments}");
}
