//! The text of the configuration file.

use std::fmt::Write as _;
use std::path::Path;

use mailpool_test_daemon::SystemUser;

use crate::builder::{Builder, Format, Service};

/// The ports of one protocol.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) service: Service,
    /// Without TLS at first.
    pub(crate) plain: u16,
    /// TLS from the first byte.
    pub(crate) tls: u16,
}

/// Everything that goes into the file.
pub(crate) struct Config<'a> {
    pub(crate) builder: &'a Builder,
    pub(crate) directory: &'a Path,
    /// The user that owns the mail.
    pub(crate) owner: SystemUser,
    pub(crate) ports: &'a [Ports],
    /// Says in the greeting which server this is.
    pub(crate) greeting: &'a str,
}

impl Service {
    /// Dovecot's word for the protocol.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
            Self::Submission => "submission",
            Self::Lmtp => "lmtp",
        }
    }

    /// The Debian package that brings it.
    pub(crate) fn package(self) -> &'static str {
        match self {
            Self::Imap => "dovecot-imapd",
            Self::Pop3 => "dovecot-pop3d",
            Self::Submission => "dovecot-submissiond",
            Self::Lmtp => "dovecot-lmtpd",
        }
    }
}

impl Config<'_> {
    /// The configuration as Dovecot 2.3 reads it.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        self.general(&mut text);
        self.mail(&mut text);
        self.users(&mut text);
        for ports in self.ports {
            match ports.service {
                Service::Lmtp => lmtp(&mut text, ports),
                _ => service(&mut text, ports),
            }
        }
        self.relay(&mut text);
        if self.builder.client_certificates {
            line(
                &mut text,
                format_args!(
                    "ssl_ca = <{directory}/authority.pem\n\
                     ssl_verify_client_cert = yes\n\
                     ssl_require_crl = no\n\
                     auth_ssl_username_from_cert = yes\n\
                     passdb {{\n  driver = static\n  mechanisms = external\n  args = nopassword=y\n}}",
                    directory = self.directory.display(),
                ),
            );
        }
        for (key, value) in &self.builder.settings {
            line(&mut text, format_args!("{key} = {value}"));
        }
        for block in &self.builder.blocks {
            line(&mut text, format_args!("{block}"));
        }
        text
    }

    fn general(&self, text: &mut String) {
        let directory = self.directory.display();
        let protocols: Vec<&str> = self.ports.iter().map(|p| p.service.name()).collect();
        line(
            text,
            format_args!(
                "protocols = {protocols}\n\
                 listen = {address}\n\
                 base_dir = {directory}/run\n\
                 state_dir = {directory}/state\n\
                 log_path = {directory}/dovecot.log\n\
                 hostname = dovecot.mailpool.test\n\
                 login_greeting = {greeting}\n\
                 default_login_user = dovenull\n\
                 default_internal_user = dovecot\n\
                 default_internal_group = dovecot\n\
                 ssl = {ssl}\n\
                 ssl_cert = <{directory}/certificate.pem\n\
                 ssl_key = <{directory}/key.pem",
                protocols = protocols.join(" "),
                address = self.builder.address,
                greeting = self.greeting,
                ssl = if self.builder.plaintext_allowed {
                    "yes"
                } else {
                    "required"
                },
            ),
        );
    }

    fn mail(&self, text: &mut String) {
        let location = match self.builder.format {
            Format::Maildir => "maildir:~/Maildir",
            Format::SdBox => "sdbox:~/sdbox",
        };
        line(
            text,
            format_args!(
                "mail_location = {location}\n\
                 mail_fsync = never\n\
                 mail_max_userip_connections = {limit}\n\
                 first_valid_uid = {uid}\n\
                 first_valid_gid = {gid}\n\
                 namespace inbox {{\n  inbox = yes\n  separator = {separator}\n  prefix = {prefix}\n}}",
                limit = self.builder.max_connections_per_user,
                uid = self.owner.uid,
                gid = self.owner.gid,
                separator = self.builder.separator,
                prefix = self.builder.prefix,
            ),
        );
    }

    fn relay(&self, text: &mut String) {
        if let Some(relay) = self.builder.relay {
            line(
                text,
                format_args!(
                    "submission_relay_host = {host}\nsubmission_relay_port = {port}",
                    host = relay.ip(),
                    port = relay.port(),
                ),
            );
        }
    }

    fn users(&self, text: &mut String) {
        let directory = self.directory.display();
        // A file per user: Dovecot looks only once a second whether a password file has changed.
        // Failed logins are answered within half a second: the longer delay and the penalty per
        // address protect a server on the internet, and only slow tests down.
        line(
            text,
            format_args!(
                "disable_plaintext_auth = {disable}\n\
                 auth_mechanisms = {mechanisms}\n\
                 auth_failure_delay = 0\n\
                 service auth {{\n  client_limit = 8192\n}}\n\
                 service anvil {{\n  client_limit = 8192\n  unix_listener anvil-auth-penalty {{\n    mode = 0\n  }}\n}}\n\
                 passdb {{\n  driver = passwd-file\n  args = {directory}/users/%u\n}}\n\
                 userdb {{\n  driver = static\n  \
                 args = uid={uid} gid={gid} home={directory}/home/%u\n}}",
                disable = if self.builder.plaintext_allowed {
                    "no"
                } else {
                    "yes"
                },
                mechanisms = self.builder.mechanisms,
                uid = self.owner.uid,
                gid = self.owner.gid,
            ),
        );
    }
}

/// One login service with its two listeners, and the mail service behind it.
fn service(text: &mut String, ports: &Ports) {
    let name = ports.service.name();
    // Login processes serve many clients (service_count = 0), mail processes many clients one
    // after the other: a connection costs no new process.
    line(
        text,
        format_args!(
            "service {name}-login {{\n  service_count = 0\n  process_min_avail = 1\n  \
             inet_listener {name} {{\n    port = {plain}\n  }}\n  \
             inet_listener {name}s {{\n    port = {tls}\n    ssl = yes\n  }}\n}}\n\
             service {name} {{\n  service_count = 1000\n  process_min_avail = 1\n}}",
            plain = ports.plain,
            tls = ports.tls,
        ),
    );
}

/// LMTP, which knows no login: its processes listen for themselves.
fn lmtp(text: &mut String, ports: &Ports) {
    line(
        text,
        format_args!(
            "service lmtp {{\n  service_count = 1000\n  process_min_avail = 1\n  \
             inet_listener lmtp {{\n    port = {plain}\n  }}\n  \
             inet_listener lmtps {{\n    port = {tls}\n    ssl = yes\n  }}\n}}\n\
             protocol lmtp {{\n  auth_username_format = %Ln\n}}",
            plain = ports.plain,
            tls = ports.tls,
        ),
    );
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{arguments}");
}
