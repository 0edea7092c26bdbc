//! The mechanisms of a real server: with the right password, with a wrong one, and in the order
//! in which they are chosen. Dovecot 2.3 has no -PLUS mechanism.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use mailpool::{
    Certainty, Credentials, Error, ErrorKind, ImapClientBuilder, Limits, SaslFailure,
    SaslMechanism, Security, Token,
};
use mailpool_test_dovecot::{Dovecot, User};

use super::{builder, credentials, until};

/// With a password, all of which are to be had in Dovecot 2.3.
const PASSWORD: [SaslMechanism; 5] = [
    SaslMechanism::ScramSha256,
    SaslMechanism::ScramSha1,
    SaslMechanism::CramMd5,
    SaslMechanism::Plain,
    SaslMechanism::Login,
];

fn all_mechanisms() -> Option<Dovecot> {
    Dovecot::builder()
        .mechanisms("plain login cram-md5 scram-sha-1 scram-sha-256 anonymous")
        .setting("auth_anonymous_username", "nobody-in-particular")
        // Any character.
        .setting("auth_username_chars", "")
        .start_or_skip()
}

/// The mechanism by which the server says that this user has logged in.
fn logged_method(dovecot: &Dovecot, user: &str) -> String {
    let find = || {
        let log = dovecot.log();
        let mut lines = log.lines().rev();
        let line = lines.find(|it| it.contains("Login: user=") && it.contains(user))?;
        let method = line.split_once("method=")?.1;
        Some(method.split([',', ' ']).next()?.to_owned())
    };
    // The log is written by a process of its own.
    until("the login is logged", || find().is_some());
    find().expect("a method")
}

fn refused(builder: ImapClientBuilder) -> Error {
    builder.connect().expect_err("the login is refused")
}

#[test]
fn each_mechanism_logs_in_with_the_right_password_and_not_with_a_wrong_one() {
    let Some(dovecot) = all_mechanisms() else {
        return;
    };
    for mechanism in PASSWORD {
        let user = dovecot.new_user(&mechanism.name().to_ascii_lowercase());
        let client = builder(&dovecot, &user)
            .sasl_mechanisms([mechanism])
            .connect()
            .unwrap_or_else(|error| panic!("{mechanism}: {error:?}"));
        client.mailbox("INBOX").select().unwrap();
        assert_eq!(logged_method(&dovecot, &user.name), mechanism.name());
        let wrong = User {
            password: format!("{}!", user.password),
            ..user.clone()
        };
        let stranger = User {
            name: "nobody-knows-me".to_owned(),
            ..user
        };
        for user in [wrong, stranger] {
            let error = refused(builder(&dovecot, &user).sasl_mechanisms([mechanism]));
            assert!(error.is_authentication(), "{mechanism}: {error:?}");
            assert_eq!(error.certainty(), Certainty::Rejected);
            assert!(!format!("{error:?} {error}").contains(&user.password));
        }
    }
}

/// Commas, equals signs, spaces, and what SASLprep changes or prohibits.
#[test]
fn odd_passwords_and_names_log_in_by_each_mechanism() {
    let Some(dovecot) = all_mechanisms() else {
        return;
    };
    for (number, password) in [
        "a,b=c=2C",
        " two  spaces ",
        "pässwörd €",
        "quote\"back\\slash",
        "{5}\u{7}bell",
    ]
    .iter()
    .enumerate()
    {
        let user = dovecot.add_user(&format!("odd={number},x"), password);
        for mechanism in PASSWORD {
            let builder = builder(&dovecot, &user).sasl_mechanisms([mechanism]);
            let client = builder
                .connect()
                .unwrap_or_else(|error| panic!("{mechanism} {password}: {error:?}"));
            client.noop().unwrap();
        }
    }
}

#[test]
fn the_strongest_mechanism_is_used_over_tls_and_in_clear() {
    let Some(dovecot) = all_mechanisms() else {
        return;
    };
    let user = dovecot.new_user("strongest");
    let client = builder(&dovecot, &user).connect().unwrap();
    client.noop().unwrap();
    assert_eq!(logged_method(&dovecot, &user.name), "SCRAM-SHA-256");
    // No permission is needed for what does not show the password.
    let user = dovecot.new_user("strongest-in-clear");
    let in_clear = || {
        mailpool::ImapClient::builder("127.0.0.1")
            .port(dovecot.port())
            .security(Security::None)
            .credentials(credentials(&user))
    };
    in_clear().connect().unwrap().noop().unwrap();
    assert_eq!(logged_method(&dovecot, &user.name), "SCRAM-SHA-256");
    let error = refused(in_clear().sasl_mechanisms([SaslMechanism::Plain, SaslMechanism::Login]));
    assert!(
        matches!(error.kind(), ErrorKind::CleartextPassword),
        "{error:?}"
    );
}

/// Ten connections of one client: the keys are derived once, and work for all of them.
#[test]
fn many_connections_log_in_by_scram() {
    let Some(dovecot) = all_mechanisms() else {
        return;
    };
    let user = dovecot.new_user("many");
    let client = builder(&dovecot, &user)
        .max_connections_per_server(10)
        .sasl_mechanisms([SaslMechanism::ScramSha256])
        .connect()
        .unwrap();
    let barrier = std::sync::Barrier::new(9);
    std::thread::scope(|threads| {
        for _ in 0..9 {
            threads.spawn(|| {
                let _connection = client.create_connection().unwrap();
                client.mailbox("INBOX").select().unwrap();
                barrier.wait();
            });
        }
    });
    assert_eq!(client.stats().opened, 10);
}

/// Dovecot asks for 4,096 rounds where it knows the password.
#[test]
fn the_bound_on_iterations_is_the_users() {
    let Some(dovecot) = all_mechanisms() else {
        return;
    };
    let user = dovecot.new_user("rounds");
    let base = || builder(&dovecot, &user).sasl_mechanisms([SaslMechanism::ScramSha1]);
    let error = refused(base().limits(Limits::default().min_scram_iterations(4097)));
    let expected = SaslFailure::Iterations {
        count: 4096,
        minimum: 4097,
        maximum: 1_000_000,
    };
    match error.kind() {
        ErrorKind::Sasl { mechanism, failure } => {
            assert_eq!((*mechanism, failure), (SaslMechanism::ScramSha1, &expected));
        }
        other => panic!("{other:?}"),
    }
    base()
        .limits(Limits::default().max_scram_iterations(4096))
        .connect()
        .unwrap();
}

#[test]
fn anonymous_logs_in_as_nobody_in_particular() {
    let Some(dovecot) = all_mechanisms() else {
        return;
    };
    let user = dovecot.new_user("unused");
    let client = builder(&dovecot, &user)
        .credentials(Credentials::anonymous("trace@example.org"))
        .connect()
        .unwrap();
    client.noop().unwrap();
    assert_eq!(logged_method(&dovecot, "nobody-in-particular"), "ANONYMOUS");
}

#[test]
fn what_the_server_lacks_is_named() {
    let Some(dovecot) = all_mechanisms() else {
        return;
    };
    let user = dovecot.new_user("lacks");
    let error = refused(builder(&dovecot, &user).credentials(Credentials::token("a", "t")));
    let ErrorKind::NoMechanism { offered, possible } = error.kind() else {
        panic!("{error:?}");
    };
    assert!(
        offered.iter().any(|name| name == "SCRAM-SHA-256"),
        "{offered:?}"
    );
    assert_eq!(
        possible,
        &[SaslMechanism::OAuthBearer, SaslMechanism::XOAuth2]
    );
}

/// The master user logs in with his own password and acts as another user.
#[test]
fn an_identity_to_act_as_is_carried() {
    let dovecot = Dovecot::builder()
        .mechanisms("plain login scram-sha-256 cram-md5")
        .block("passdb {\n driver = static\n master = yes\n args = password=master-secret\n}")
        .start_or_skip();
    let Some(dovecot) = dovecot else { return };
    let user = dovecot.new_user("acting");
    let master = Credentials::password("master", "master-secret").acting_as(&user.name);
    for (mechanism, fits) in [
        (SaslMechanism::Plain, true),
        (SaslMechanism::ScramSha256, true),
        (SaslMechanism::CramMd5, false),
        (SaslMechanism::Login, false),
    ] {
        let result = builder(&dovecot, &user)
            .credentials(master.clone())
            .sasl_mechanisms([mechanism])
            .connect();
        match (fits, result) {
            (true, Ok(client)) => {
                client.noop().unwrap();
                assert_eq!(logged_method(&dovecot, &user.name), mechanism.name());
            }
            (false, Err(error)) => {
                assert!(
                    matches!(error.kind(), ErrorKind::NoMechanism { .. }),
                    "{error:?}"
                );
            }
            (_, other) => panic!("{mechanism}: {other:?}"),
        }
    }
}

/// The certificate says who it is; no password is involved.
#[test]
fn a_client_certificate_logs_in_by_external() {
    let dovecot = Dovecot::builder().client_certificates().start_or_skip();
    let Some(dovecot) = dovecot else { return };
    let user = dovecot.new_user("certified");
    let (chain, key) = dovecot.client_certificate(&user.name);
    let base = || builder(&dovecot, &user).credentials(Credentials::external());
    let client = base()
        .client_certificate_pem(chain.clone(), key.clone())
        .connect()
        .unwrap();
    client.mailbox("INBOX").select().unwrap();
    assert_eq!(logged_method(&dovecot, &user.name), "EXTERNAL");
    // Without a certificate the server does not know who it is.
    let error = refused(base());
    assert!(
        error.is_authentication() || matches!(error.kind(), ErrorKind::NoMechanism { .. }),
        "{error:?}"
    );
    // One that cannot be read is an error before anything is sent.
    let error = refused(base().client_certificate_pem("no certificate", key));
    assert!(matches!(error.kind(), ErrorKind::Tls { .. }), "{error:?}");
    let error = refused(base().client_certificate_pkcs12(chain, "no password"));
    assert!(matches!(error.kind(), ErrorKind::Tls { .. }), "{error:?}");
}

/// A token as an OAuth server would issue it (RFC 7519), signed with the key that Dovecot knows.
fn signed_token(user: &str, key: &[u8], valid: bool) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use hmac::{Hmac, KeyInit as _, Mac as _};

    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let expires = if valid { now + 3600 } else { now - 3600 };
    let issued = now - 7200;
    let header = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"HS256"}"#);
    let body = URL_SAFE_NO_PAD.encode(format!(
        r#"{{"sub":"{user}","iat":{issued},"nbf":{issued},"exp":{expires}}}"#
    ));
    let text = format!("{header}.{body}");
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    format!("{text}.{signature}")
}

/// Dovecot checks the signature by itself; no OAuth server is needed.
#[test]
fn tokens_are_taken_refused_and_replaced_by_a_real_server() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    const KEY: &[u8] = b"a key that the authority and the server share";
    let directory = tempfile::Builder::new()
        .permissions(fs::Permissions::from_mode(0o755))
        .tempdir_in("/tmp")
        .unwrap();
    let keys = directory.path().join("keys/default/HS256");
    fs::create_dir_all(&keys).unwrap();
    fs::write(keys.join("default"), STANDARD.encode(KEY)).unwrap();
    let settings = directory.path().join("oauth2.conf");
    let text = format!(
        "introspection_mode = local\nusername_attribute = sub\n\
         local_validation_key_dict = fs:posix:prefix={}/keys/\n",
        directory.path().display()
    );
    fs::write(&settings, text).unwrap();
    let dovecot = Dovecot::builder()
        .mechanisms("plain xoauth2 oauthbearer")
        .block(format!(
            "passdb {{\n driver = oauth2\n mechanisms = xoauth2 oauthbearer\n args = {}\n}}",
            settings.display()
        ))
        .start_or_skip();
    let Some(dovecot) = dovecot else { return };
    for mechanism in [SaslMechanism::OAuthBearer, SaslMechanism::XOAuth2] {
        let user = dovecot.new_user("token");
        let base = |credentials| {
            builder(&dovecot, &user)
                .credentials(credentials)
                .sasl_mechanisms([mechanism])
        };
        let good = signed_token(&user.name, KEY, true);
        let old = signed_token(&user.name, KEY, false);
        let client = base(Credentials::token(&user.name, good.as_str()))
            .connect()
            .unwrap_or_else(|error| panic!("{mechanism}: {error:?}\n{}", dovecot.log()));
        client.mailbox("INBOX").select().unwrap();
        assert_eq!(logged_method(&dovecot, &user.name), mechanism.name());
        let error = refused(base(Credentials::token(&user.name, old.as_str())));
        assert!(error.is_authentication(), "{mechanism}: {error:?}");
        assert!(!format!("{error:?} {error}").contains(&old));
        // The first token has expired; the second one is good.
        let calls = AtomicU64::new(0);
        let provider = Credentials::token_provider(&user.name, move || {
            let is_first = calls.fetch_add(1, Ordering::SeqCst) == 0;
            let token = if is_first { &old } else { &good };
            Ok::<_, std::io::Error>(Token::new(token.as_str()))
        });
        base(provider).connect().unwrap().noop().unwrap();
    }
}
