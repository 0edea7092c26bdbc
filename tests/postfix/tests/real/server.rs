//! The private Postfix starts, and leaves nothing behind.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mailpool_test_postfix::{Postfix, Unavailable, WITHOUT_POSTFIX};

use crate::processes::{in_use, processes_of, wait_until};
use crate::raw::Raw;

#[test]
fn it_announces_all_that_postfix_can() {
    let Some(postfix) = Postfix::shared() else {
        return;
    };
    let (mut client, greeting) = Raw::connect(postfix.address());
    assert!(
        greeting.text.starts_with("220 mail.mailpool.test ESMTP"),
        "{greeting:?}"
    );
    let announced = client.command("EHLO client.example").is(250);
    assert_eq!(
        announced.lines(),
        [
            "mail.mailpool.test",
            "PIPELINING",
            "SIZE 200000000",
            "VRFY",
            "ETRN",
            "STARTTLS",
            "ENHANCEDSTATUSCODES",
            "8BITMIME",
            "DSN",
            "SMTPUTF8",
            "CHUNKING",
        ]
    );
    let mut client = client.start_tls(postfix.ca_pem());
    let again = client.command("EHLO client.example").is(250);
    assert!(!again.lines().contains(&"STARTTLS"), "{again:?}");

    let (mut client, greeting) = Raw::connect_tls(postfix.tls_address(), postfix.ca_pem());
    greeting.is(220);
    let again = client.command("EHLO client.example").is(250);
    assert!(!again.lines().contains(&"STARTTLS"), "{again:?}");
}

#[test]
fn two_servers_side_by_side_do_not_see_each_others_mail() {
    let first = Postfix::builder()
        .message_size_limit(10_000)
        .start_or_skip();
    let Some(first) = first else {
        return;
    };
    let second = Postfix::builder()
        .setting("smtpd_discard_ehlo_keywords", "pipelining, chunking")
        .in_memory()
        .start()
        .unwrap();
    let memory = Path::new("/dev/shm");
    assert!(!first.directory().starts_with(memory));
    assert_eq!(second.directory().starts_with(memory), memory.exists());
    let recipient = "somebody@mailpool.test";
    Raw::hello(first.address()).send_message(recipient, b"Subject: first\r\n\r\n");
    Raw::hello(second.address()).send_message(recipient, b"Subject: second\r\n\r\n");
    assert_eq!(
        first.arrived(recipient, 1)[0].message(),
        b"Subject: first\r\n\r\n"
    );
    assert_eq!(
        second.arrived(recipient, 1)[0].message(),
        b"Subject: second\r\n\r\n"
    );
    assert_eq!(first.settled().get(recipient), Some(&1));
    assert_eq!(second.settled().get(recipient), Some(&1));

    let announced = Raw::hello(first.address()).command("EHLO client.example");
    assert!(announced.lines().contains(&"SIZE 10000"), "{announced:?}");
    let announced = Raw::hello(second.address()).command("EHLO client.example");
    assert!(!announced.lines().contains(&"PIPELINING"), "{announced:?}");
}

#[test]
fn a_server_that_is_dropped_leaves_no_process_and_no_directory() {
    let Some(postfix) = Postfix::builder().start_or_skip() else {
        return;
    };
    let (group, directory) = (postfix.process_group(), postfix.directory().to_owned());
    let mut client = Raw::hello(postfix.address());
    client.send_message("somebody@mailpool.test", b"Subject: x\r\n\r\n");
    postfix.arrived("somebody@mailpool.test", 1);
    assert!(processes_of(group).len() > 3);
    assert!(directory.exists());
    drop(postfix);
    assert_eq!(processes_of(group), Vec::<PathBuf>::new());
    assert!(!directory.exists());
    assert!(!in_use(&directory));
}

#[test]
fn a_server_that_is_stopped_reports_success_and_leaves_nothing() {
    let Some(postfix) = Postfix::builder().start_or_skip() else {
        return;
    };
    let (group, directory) = (postfix.process_group(), postfix.directory().to_owned());
    postfix.stop().unwrap();
    assert_eq!(processes_of(group), Vec::<PathBuf>::new());
    assert!(!directory.exists());
    assert!(!in_use(&directory));
}

/// Runs itself in a process of its own, which starts a server and aborts.
#[test]
fn a_server_ends_with_the_process_that_started_it_even_if_that_aborts() {
    const NAME: &str = "server::a_server_ends_with_the_process_that_started_it_even_if_that_aborts";
    const ABORTS: &str = "MAILPOOL_TEST_ABORTS";
    if std::env::var_os(ABORTS).is_some() {
        start_and_abort();
    }
    if Postfix::shared().is_none() {
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
    let postfix = Postfix::builder().start().unwrap();
    // Its other processes start with the first message.
    let mut client = Raw::hello(postfix.address());
    client.send_message("somebody@mailpool.test", b"Subject: x\r\n\r\n");
    postfix.arrived("somebody@mailpool.test", 1);
    println!(
        "server: {} {}",
        postfix.process_group(),
        postfix.directory().display()
    );
    std::process::abort();
}

/// Runs itself in a process of its own, which owns a server and fails.
#[test]
fn a_test_that_fails_shows_the_log_of_its_server() {
    const NAME: &str = "server::a_test_that_fails_shows_the_log_of_its_server";
    const FAILS: &str = "MAILPOOL_TEST_FAILS";
    if std::env::var_os(FAILS).is_some() {
        let postfix = Postfix::builder().start().unwrap();
        // The log is written by a process of its own.
        assert!(wait_until(|| postfix.log().contains("daemon started")));
        Raw::hello(postfix.address())
            .command("RCPT TO:<nobody>")
            .is(250);
    }
    if Postfix::shared().is_none() {
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME])
        .env(FAILS, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("--- log of Postfix:"), "{text}");
    assert!(text.contains("daemon started"), "{text}");
}

#[test]
fn a_server_that_cannot_start_is_reported_with_its_log() {
    let Some(_) = Postfix::shared() else {
        return;
    };
    let failed = Postfix::builder()
        .setting("message_size_limit", "a-lot")
        .start();
    let Err(Unavailable::Failed { log, .. }) = failed else {
        panic!("{failed:?}");
    };
    assert!(log.contains("message_size_limit"), "{log}");
}

#[test]
fn without_postfix_a_test_is_skipped_audibly() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "server::it_announces_all_that_postfix_can"])
        .env(WITHOUT_POSTFIX, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr);
    let line = "skipped without Postfix (1): server::it_announces_all_that_postfix_can\n";
    assert!(text.contains(line), "{output:?}");
}
