//! The private Dovecot starts, serves, and leaves nothing behind, looked at over plain sockets.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::processes::{in_use, processes_of, wait_until};
use crate::raw::Raw;
use mailpool_test_dovecot::{Dovecot, Format, Message, Service, Unavailable, WITHOUT_DOVECOT};

#[test]
fn mail_that_was_delivered_is_served_with_its_flags_date_and_bytes() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let user = dovecot.new_user("bytes");
    let served = dovecot.deliver(
        &user.name,
        "INBOX",
        [
            Message::new(b"Subject: one\n\nfirst\n".to_vec()),
            Message::new(b"Subject: two\r\n\r\nsecond, without an end".to_vec())
                .flags(&["\\Seen", "\\Flagged"]),
        ],
    );
    let mut client = Raw::login(dovecot, &user);
    let selected = client.command("SELECT INBOX").ok();
    assert!(selected.text().contains("* 2 EXISTS"), "{selected:?}");
    let fetched = client
        .command("UID FETCH 1:* (FLAGS RFC822.SIZE INTERNALDATE BODY.PEEK[])")
        .ok();
    assert_eq!(fetched.literals, served);
    let text = fetched.text();
    assert!(
        text.contains("UID 2 FLAGS (\\Flagged \\Seen \\Recent)"),
        "{text}"
    );
    assert!(text.contains("01-Jan-2024 "), "{text}");
    for message in &served {
        let size = format!("RFC822.SIZE {} ", message.len());
        assert!(text.contains(&size), "{text}");
    }
}

#[test]
fn a_wrong_password_is_refused_and_an_odd_one_works() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let user = dovecot.add_user("odd", "pass:word {7} ü");
    let (mut client, _) = Raw::connect(dovecot);
    let refused = client.command("LOGIN odd wrong");
    assert!(
        refused.tagged.starts_with("NO [AUTHENTICATIONFAILED]"),
        "{refused:?}"
    );
    let login = format!("LOGIN {}", user.name);
    client
        .command_with_literal(&login, user.password.as_bytes())
        .ok();
}

#[test]
fn mail_delivered_to_a_selected_mailbox_is_announced() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let user = dovecot.new_user("announced");
    let mut client = Raw::login(dovecot, &user);
    client.command("SELECT INBOX").ok();
    dovecot.deliver(&user.name, "INBOX", [b"Subject: new\n\n".to_vec()]);
    let noop = client.command("NOOP").ok();
    assert!(noop.text().contains("* 1 EXISTS"), "{noop:?}");
}

#[test]
fn tls_is_offered_on_both_ports_with_a_certificate_of_the_servers_authority() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let user = dovecot.new_user("tls");
    let login = format!("LOGIN {} {}", user.name, user.password);

    let (mut client, greeting) = Raw::connect(dovecot);
    assert!(greeting.starts_with("* OK [CAPABILITY "), "{greeting}");
    assert!(greeting.contains(" STARTTLS "), "{greeting}");
    client.command("STARTTLS").ok();
    let mut client = client.start_tls(dovecot);
    client.command(&login).ok();

    let (mut client, greeting) = Raw::connect_tls(dovecot);
    assert!(!greeting.contains("STARTTLS"), "{greeting}");
    client.command(&login).ok();
}

#[test]
fn a_server_that_refuses_plaintext_disables_login_until_starttls() {
    let builder = Dovecot::builder()
        .user("alice", "secret")
        .refuse_plaintext();
    let Some(dovecot) = builder.start_or_skip() else {
        return;
    };
    let (mut client, greeting) = Raw::connect(&dovecot);
    assert!(greeting.contains(" LOGINDISABLED"), "{greeting}");
    let refused = client.command("LOGIN alice secret");
    assert!(refused.tagged.starts_with("NO "), "{refused:?}");
    client.command("STARTTLS").ok();
    let mut client = client.start_tls(&dovecot);
    client.command("LOGIN alice secret").ok();
}

#[test]
fn the_limit_of_connections_per_user_is_enforced_and_counted() {
    let builder = Dovecot::builder()
        .user("alice", "secret")
        .max_connections_per_user(2);
    let Some(dovecot) = builder.start_or_skip() else {
        return;
    };
    let connect = || {
        let (mut client, _) = Raw::connect(&dovecot);
        let answer = client.command("LOGIN alice secret");
        (client, answer)
    };
    let first = connect();
    let second = connect();
    let third = connect();
    assert!(first.1.tagged.starts_with("OK "), "{:?}", first.1);
    assert!(second.1.tagged.starts_with("OK "), "{:?}", second.1);
    assert!(third.1.tagged.starts_with("NO "), "{:?}", third.1);
    assert!(third.1.tagged.contains("Maximum number of connections"));
    assert_eq!(dovecot.connections("alice"), 2);
}

#[test]
fn sessions_that_are_kicked_get_a_bye_and_killed_ones_just_end() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let user = dovecot.new_user("kicked");
    let bystander = dovecot.new_user("bystander");
    let mut other = Raw::login(dovecot, &bystander);

    let mut kicked = Raw::login(dovecot, &user);
    kicked.command("SELECT INBOX").ok();
    assert_eq!(dovecot.connections(&user.name), 1);
    dovecot.kick(&user.name);
    let bye = kicked.line();
    assert!(bye.starts_with("* BYE "), "{bye:?}");

    let mut killed = Raw::login(dovecot, &user);
    killed.command("SELECT INBOX").ok();
    dovecot.kill_sessions(&user.name);
    assert_eq!(killed.line(), "");
    assert_eq!(dovecot.connections(&user.name), 0);

    other.command("NOOP").ok();
    Raw::login(dovecot, &user).command("NOOP").ok();
}

#[test]
fn mailboxes_can_be_made_with_any_name_and_other_namespaces() {
    let builder = Dovecot::builder()
        .user("alice", "secret")
        .separator('.')
        .prefix("INBOX.");
    let Some(dovecot) = builder.start_or_skip() else {
        return;
    };
    dovecot.deliver("alice", "INBOX.Entwürfe.R&D", [b"Subject: x\n\n".to_vec()]);
    dovecot.create_mailbox("alice", "INBOX.b \"c\" \\d");
    let (mut client, _) = Raw::connect(&dovecot);
    client.command("LOGIN alice secret").ok();
    let namespace = client.command("NAMESPACE").ok().text();
    assert!(namespace.contains(r#"(("INBOX." "."))"#));
    let listed = client.command("LIST \"\" *").ok().text();
    assert!(listed.contains("INBOX.Entw&APw-rfe.R&-D"), "{listed}");
    let selected = client.command("SELECT \"INBOX.Entw&APw-rfe.R&-D\"").ok();
    assert!(selected.text().contains("* 1 EXISTS"), "{selected:?}");
}

#[test]
fn dovecots_own_mail_format_can_be_delivered_to_as_well() {
    let builder = Dovecot::builder()
        .user("alice", "secret")
        .format(Format::SdBox);
    let Some(dovecot) = builder.start_or_skip() else {
        return;
    };
    let served = dovecot.deliver("alice", "Sub/Box", [b"Subject: one\n\nfirst\n".to_vec()]);
    let (mut client, _) = Raw::connect(&dovecot);
    client.command("LOGIN alice secret").ok();
    client.command("SELECT Sub/Box").ok();
    let fetched = client.command("UID FETCH 1:* BODY.PEEK[]").ok();
    assert_eq!(fetched.literals, served);
}

#[test]
fn pop3_is_served_beside_imap_where_it_is_installed() {
    let Some(dovecot) = Dovecot::shared() else {
        return;
    };
    let installed = Path::new("/usr/lib/dovecot/pop3").exists();
    assert_eq!(dovecot.offers(Service::Pop3), installed);
    if installed {
        let port = dovecot.port_of(Service::Pop3);
        let stream = TcpStream::connect((dovecot.address(), port)).unwrap();
        let mut greeting = String::new();
        BufReader::new(stream).read_line(&mut greeting).unwrap();
        assert!(greeting.starts_with("+OK "), "{greeting}");
    }
}

#[test]
fn a_server_that_is_dropped_leaves_no_process_and_no_directory() {
    let Some(dovecot) = Dovecot::builder().user("alice", "secret").start_or_skip() else {
        return;
    };
    let (group, directory) = (dovecot.process_group(), dovecot.directory().to_owned());
    let (mut client, _) = Raw::connect(&dovecot);
    client.command("LOGIN alice secret").ok();
    assert!(processes_of(group).len() > 3);
    assert!(directory.exists());
    drop(dovecot);
    assert_eq!(processes_of(group), Vec::<PathBuf>::new());
    assert!(!directory.exists());
    assert!(!in_use(&directory));
}

#[test]
fn a_server_that_is_stopped_reports_success_and_leaves_nothing() {
    let Some(dovecot) = Dovecot::builder().start_or_skip() else {
        return;
    };
    let (group, directory) = (dovecot.process_group(), dovecot.directory().to_owned());
    dovecot.stop().unwrap();
    assert_eq!(processes_of(group), Vec::<PathBuf>::new());
    assert!(!directory.exists());
}

/// Runs itself in a process of its own, which starts a server and aborts.
#[test]
fn a_server_ends_with_the_process_that_started_it_even_if_that_aborts() {
    const NAME: &str = "server::a_server_ends_with_the_process_that_started_it_even_if_that_aborts";
    const ABORTS: &str = "MAILPOOL_TEST_ABORTS";
    if std::env::var_os(ABORTS).is_some() {
        start_and_abort();
    }
    if Dovecot::shared().is_none() {
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(ABORTS, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text
        .lines()
        .find_map(|line| line.split_once("server: ").map(|(_, rest)| rest))
        .unwrap_or_else(|| panic!("{output:?}"));
    let (group, directory) = line.split_once(' ').unwrap();
    let (group, directory) = (group.parse().unwrap(), Path::new(directory));
    // The watcher removes the directory last.
    let gone = wait_until(|| processes_of(group).is_empty() && !directory.exists());
    assert!(gone, "{:?} {directory:?}", processes_of(group));
    assert!(wait_until(|| !in_use(directory)));
}

fn start_and_abort() -> ! {
    let dovecot = Dovecot::builder().start().unwrap();
    println!(
        "server: {} {}",
        dovecot.process_group(),
        dovecot.directory().display()
    );
    std::process::abort();
}

#[test]
fn a_server_that_cannot_start_is_reported_with_its_log() {
    let Some(_) = Dovecot::shared() else {
        return;
    };
    let failed = Dovecot::builder().setting("no_such_setting", "yes").start();
    let Err(Unavailable::Failed { log, .. }) = failed else {
        panic!("{failed:?}");
    };
    assert!(log.contains("no_such_setting"), "{log}");
}

#[test]
fn without_dovecot_a_test_is_skipped_audibly() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "server::pop3_is_served_beside_imap_where_it_is_installed",
        ])
        .env(WITHOUT_DOVECOT, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr);
    let line =
        "skipped without Dovecot (1): server::pop3_is_served_beside_imap_where_it_is_installed\n";
    assert!(text.contains(line), "{output:?}");
}
