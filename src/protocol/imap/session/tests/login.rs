//! From the greeting to the ready state.

use super::*;

#[test]
fn starttls_comes_before_anything_else_and_capabilities_are_asked_anew() {
    at_every_split(|step| {
        let mut rig = Rig::new(step, Protection::StartTls);
        rig.server("* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN SASL-IR] hi\r\n")
            .unwrap();
        assert_eq!(rig.client(), "M1 STARTTLS\r\n");
        rig.server("* BAD [ALERT] trust me\r\nM1 OK begin\r\n")
            .unwrap();
        assert_eq!(rig.take_said(), ["starttls"]);
        rig.turn().unwrap();
        assert_eq!(rig.client(), "M2 CAPABILITY\r\n");
        rig.server("* CAPABILITY IMAP4rev1 LOGINDISABLED AUTH=PLAIN\r\nM2 OK\r\n")
            .unwrap();
        assert_eq!(rig.client(), "M3 AUTHENTICATE PLAIN\r\n");
        rig.server("* OK wait\r\n+ \r\n").unwrap();
        assert_eq!(rig.client(), "AGFsaWNlAHNlY3JldA==\r\n");
        rig.server("M3 OK in\r\n").unwrap();
        assert_eq!(rig.client(), "M4 CAPABILITY\r\n");
        rig.server("* CAPABILITY IMAP4rev1\r\nM4 OK\r\n").unwrap();
        assert_eq!(rig.take_said(), ["ready"]);
    });
}

#[test]
fn what_comes_between_the_answer_to_starttls_and_the_handshake_is_an_attack() {
    let mut rig = Rig::new(usize::MAX, Protection::StartTls);
    rig.server("* OK hi\r\n").unwrap();
    let error = rig.server("M1 OK begin\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n");
    assert!(matches!(error, Err(Failure::Injected(35))), "{error:?}");
}

#[test]
fn no_password_goes_out_where_starttls_cannot_be_had() {
    for (greeting, answer) in [
        ("* OK hi\r\n", "M1 BAD what\r\n"),
        ("* OK hi\r\n", "M1 NO not now\r\n"),
        ("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\r\n", ""),
        ("* PREAUTH in\r\n", ""),
    ] {
        let mut rig = Rig::new(usize::MAX, Protection::StartTls);
        let result = rig.server(greeting).and_then(|()| rig.server(answer));
        let error = result.unwrap_err();
        assert!(
            matches!(error, Failure::NoStartTls | Failure::PreAuthBeforeTls),
            "{greeting} {answer}: {error}"
        );
        assert!(!rig.client().contains("AUTH"));
    }
}

#[test]
fn logindisabled_is_respected() {
    let mut rig = Rig::new(usize::MAX, Protection::Clear);
    let error = rig.server("* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] hi\r\n");
    assert!(matches!(error, Err(Failure::NoMechanism { .. })));
    assert_eq!(rig.client(), "");
}

#[test]
fn login_is_used_without_auth_plain() {
    let mut rig = Rig::new(usize::MAX, Protection::Clear);
    rig.server("* OK [CAPABILITY IMAP4rev1] hi\r\n").unwrap();
    assert_eq!(rig.client(), "M1 LOGIN alice secret\r\n");
    let error = rig
        .server("M1 NO [AUTHENTICATIONFAILED] no\r\n")
        .unwrap_err();
    assert!(matches!(error, Failure::Rejected { verb: "LOGIN", .. }));
}
