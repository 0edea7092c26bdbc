//! Python's smtplib and curl, as somebody else's clients. Where the machine does not have them,
//! their tests say so and are left out.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use mailpool_test_server::{Security, Server};

use crate::client::SECOND;
use crate::smtp_client::{kinds, lmtp, smtp};

/// What Python delivers: dots at the beginning of lines, and beyond ASCII.
const MESSAGE: &[u8] = b"Subject: dots\r\n\r\n.\r\n..\r\n.x\r\n\xc3\xa9\r\nend\r\n";

fn available(program: &str, arguments: &[&str], wanted: &str) -> bool {
    let output = Command::new(program).args(arguments).output();
    let there = output.is_ok_and(|output| {
        output.status.success() && String::from_utf8_lossy(&output.stdout).contains(wanted)
    });
    if !there {
        eprintln!("left out: there is no {program} here that knows {wanted}");
    }
    there
}

/// Runs a program with this input. One that never ends loses its connection.
#[track_caller]
fn run(program: &str, arguments: &[&str], input: &[u8], server: &Server) {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let (ended, end) = std::sync::mpsc::channel();
    let waiting = std::thread::spawn(move || {
        let output = child.wait_with_output();
        let _ = ended.send(());
        output
    });
    if end.recv_timeout(4 * SECOND).is_err() {
        server.reset_all();
    }
    let Output {
        status,
        stdout,
        stderr,
    } = waiting.join().unwrap().unwrap();
    assert!(
        status.success(),
        "{}{}",
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr)
    );
}

fn python(script: &str, server: &Server, input: &[u8]) {
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, server.ca_pem()).unwrap();
    let port = server.port().to_string();
    let ca = ca.to_str().unwrap();
    run("python3", &["-c", script, &port, ca], input, server);
}

fn has_smtplib() -> bool {
    available(
        "python3",
        &["-c", "import smtplib, ssl; print('smtplib')"],
        "smtplib",
    )
}

#[test]
fn smtplib_delivers() {
    const SCRIPT: &str = r#"
import smtplib, sys
message = sys.stdin.buffer.read()
with smtplib.SMTP("127.0.0.1", int(sys.argv[1]), timeout=20) as smtp:
    refused = smtp.sendmail("from@b.example", ["alice@b.example", "no@b.example", "bob@b.example"],
        message, mail_options=["BODY=8BITMIME"], rcpt_options=["NOTIFY=NEVER"])
    assert list(refused) == ["no@b.example"], refused
    assert refused["no@b.example"] == (550, b"5.1.1 No such user"), refused
    assert smtp.noop()[0] == 250
    assert smtp.verify("alice")[0] == 250
"#;
    if !has_smtplib() {
        return;
    }
    let server = smtp()
        .refuse_recipient("no@b.example", "550 5.1.1 No such user")
        .start()
        .unwrap();
    python(SCRIPT, &server, MESSAGE);
    let delivery = server.deliveries().pop().unwrap();
    assert_eq!(delivery.bytes().unwrap(), MESSAGE);
    let addresses: Vec<&str> = delivery.addresses().collect();
    assert_eq!(addresses, ["alice@b.example", "bob@b.example"]);
    assert_eq!(delivery.reverse_path.parameter("BODY"), Some("8BITMIME"));
    assert_eq!(delivery.recipients[0].parameter("NOTIFY"), Some("NEVER"));
    assert_eq!(kinds(&server), []);
}

#[test]
fn smtplib_logs_in_over_starttls() {
    const SCRIPT: &str = r#"
import smtplib, ssl, sys
message = sys.stdin.buffer.read()
with smtplib.SMTP("localhost", int(sys.argv[1]), timeout=20) as smtp:
    smtp.starttls(context=ssl.create_default_context(cafile=sys.argv[2]))
    try:
        smtp.login("alice", "wrong")
        raise SystemExit("logged in")
    except smtplib.SMTPAuthenticationError as error:
        assert error.smtp_code == 535
    smtp.login("alice", "secret")
    smtp.sendmail("from@b.example", "alice@b.example", message, mail_options=["SMTPUTF8"])
"#;
    if !has_smtplib() {
        return;
    }
    let server = smtp()
        .security(Security::StartTls)
        .require_login()
        .start()
        .unwrap();
    python(SCRIPT, &server, MESSAGE);
    let delivery = server.deliveries().pop().unwrap();
    assert_eq!(delivery.bytes().unwrap(), MESSAGE);
    assert!(delivery.tls);
    assert_eq!(delivery.user.as_deref(), Some("alice"));
    assert_eq!(kinds(&server), []);
}

#[test]
fn smtplib_delivers_by_lmtp() {
    const SCRIPT: &str = r#"
import smtplib, sys
message = sys.stdin.buffer.read()
with smtplib.LMTP("127.0.0.1", int(sys.argv[1])) as lmtp:
    lmtp.sendmail("from@b.example", "alice@b.example", message, mail_options=["BODY=8BITMIME"])
"#;
    if !has_smtplib() {
        return;
    }
    let server = lmtp().start().unwrap();
    python(SCRIPT, &server, MESSAGE);
    let inbox = server.store().messages("alice", "INBOX");
    assert_eq!(inbox[0].bytes(), MESSAGE);
    assert_eq!(kinds(&server), []);
}

#[test]
fn curl_delivers() {
    const TEXT: &[u8] = b"Subject: dots\r\n\r\n.\r\n..\r\n.x\r\nend\r\n";
    if !available("curl", &["--version"], "smtp") {
        return;
    }
    let server = smtp().start().unwrap();
    let url = format!("smtp://127.0.0.1:{}/client.example", server.port());
    let arguments = [
        "--silent",
        "--show-error",
        "--noproxy",
        "*",
        "--mail-from",
        "from@b.example",
        "--mail-rcpt",
        "alice@b.example",
        "--user",
        "alice:secret",
        "--upload-file",
        "-",
        &url,
    ];
    run("curl", &arguments, TEXT, &server);
    let delivery = server.deliveries().pop().unwrap();
    assert_eq!(delivery.bytes().unwrap(), TEXT);
    assert_eq!(delivery.user.as_deref(), Some("alice"));
    assert_eq!(kinds(&server), []);
}
