use imap_codec::IdleDoneCodec;
use imap_codec::decode::Decoder;
use imap_codec::imap_types::IntoStatic;
use imap_codec::imap_types::command::CommandBody;
use imap_codec::imap_types::core::NString;
use imap_codec::imap_types::extensions::enable::CapabilityEnable;

use super::{bytes, read, text};
use crate::protocol::imap::command::*;

#[test]
fn commands_without_arguments() {
    assert_eq!(read(capability()), CommandBody::Capability);
    assert_eq!(read(noop()), CommandBody::Noop);
    assert_eq!(read(idle()), CommandBody::Idle);
    assert_eq!(read(logout()), CommandBody::Logout);
    assert_eq!(read(starttls()), CommandBody::StartTLS);
    assert_eq!(read(close()), CommandBody::Close);
    assert_eq!(read(unselect()), CommandBody::Unselect);
    assert_eq!(read(expunge()), CommandBody::Expunge);
    assert_eq!(read(namespace()), CommandBody::Namespace);
}

#[test]
fn the_end_of_idle_is_read_back() {
    let line = [&done()[..], b"\r\n"].concat();
    let (rest, _done) = IdleDoneCodec::default().decode(&line).unwrap();
    assert_eq!(rest, b"");
}

#[test]
fn login_gives_user_and_password_and_is_secret() {
    for (user, password) in [
        ("alice", "secret"),
        ("", ""),
        ("a b", "\"\\\""),
        ("NIL", "{10}"),
        ("é", "a\r\nA2 DELETE INBOX"),
        ("alice@example.org", "(\\Seen) %*]"),
    ] {
        let line = login(user.as_bytes(), password.as_bytes()).unwrap();
        assert_eq!(format!("{line:?}"), "LOGIN ...");
        match read(line) {
            CommandBody::Login {
                username,
                password: read,
            } => {
                assert_eq!(bytes(&username), user.as_bytes());
                assert_eq!(bytes(read.declassify()), password.as_bytes());
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(login(b"a\0", b"b").is_err() && login(b"a", b"\0").is_err());
}

#[test]
fn authenticate_has_an_initial_response_where_one_is_given() {
    assert_eq!(text(authenticate("PLAIN", None)), "AUTHENTICATE PLAIN");
    assert_eq!(
        text(authenticate("EXTERNAL", Some("="))),
        "AUTHENTICATE EXTERNAL ="
    );
    for (response, expected) in [
        (None, None),
        (Some("="), Some(&b""[..])),
        (Some("AGFsaWNlAHNlY3JldA=="), Some(b"\0alice\0secret")),
    ] {
        let line = authenticate("PLAIN", response).unwrap();
        assert_eq!(format!("{line:?}"), "AUTHENTICATE ...");
        match read(line) {
            CommandBody::Authenticate {
                mechanism,
                initial_response,
            } => {
                assert_eq!(mechanism.to_string(), "PLAIN");
                let read = initial_response.as_ref().map(|read| &**read.declassify());
                assert_eq!(read, expected);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(authenticate("PLAIN\r\nA2", None).is_err());
    assert!(authenticate("", None).is_err());
}

#[test]
fn enable_names_capabilities() {
    match read(enable(&["CONDSTORE", "X-Other"])) {
        CommandBody::Enable { capabilities } => {
            let read: Vec<_> = capabilities
                .as_ref()
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(read, ["CONDSTORE", "X-Other"]);
            assert_eq!(
                capabilities.as_ref()[0],
                CapabilityEnable::CondStore.into_static()
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(enable::<&str>(&[]).is_err());
    assert!(enable(&["A B"]).is_err());
}

#[test]
fn id_keeps_to_the_limits_of_its_rfc() {
    assert_eq!(text(id::<&str, &str>(&[])), "ID NIL");
    assert_eq!(
        read(id::<&str, &str>(&[])),
        CommandBody::Id { parameters: None }
    );
    let fields = [
        ("name", "mailpool"),
        ("vendor", "a \"b\" (c)"),
        ("os", "é\r\n"),
        ("date", ""),
    ];
    match read(id(&fields)) {
        CommandBody::Id {
            parameters: Some(parameters),
        } => {
            assert_eq!(parameters.len(), fields.len());
            for ((field, value), (given_field, given_value)) in parameters.iter().zip(fields) {
                assert_eq!(field.as_ref(), given_field.as_bytes());
                match value {
                    NString(Some(value)) => assert_eq!(value.as_ref(), given_value.as_bytes()),
                    NString(None) => panic!("NIL for {given_value:?}"),
                }
            }
        }
        other => panic!("{other:?}"),
    }
    let many: Vec<_> = (0..31).map(|n| (n.to_string(), "x")).collect();
    assert!(id(&many[..30]).is_ok() && id(&many).is_err());
    assert!(id(&[("a".repeat(31), "")]).is_err());
    assert!(id(&[("a", "b".repeat(1024))]).is_ok());
    assert!(id(&[("a", "b".repeat(1025))]).is_err());
    assert!(id(&[("a", ""), ("A", "")]).is_err());
    assert!(id(&[("a\0", "")]).is_err() && id(&[("a", "\0")]).is_err());
}
