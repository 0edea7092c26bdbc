//! Which mechanism is used: the strongest one, and no second one after a failure.

use super::account::Account;
use super::plain::Plain;
use crate::types::sasl::SaslMechanism;
use crate::types::secret::Proof;

/// What a server and its connection offer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer<'a> {
    /// The names of the mechanisms, in any case.
    pub mechanisms: &'a [&'a str],
    /// The protocol has a command of its own that takes a user name and a password.
    pub login_command: bool,
    /// The connection is encrypted.
    pub secure: bool,
    /// `tls-server-end-point` of the connection.
    pub end_point: Option<&'a [u8]>,
}

/// How to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Chosen {
    Mechanism(SaslMechanism),
    /// The protocol's own command. It counts as LOGIN.
    LoginCommand,
}

/// Why there is no way to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoChoice {
    /// There is one, but it would send the password or token in clear.
    Cleartext,
    /// Nothing in common.
    NothingInCommon {
        offered: Vec<String>,
        /// What the credentials, the transport and the settings allow.
        possible: Vec<SaslMechanism>,
    },
}

/// Chooses the strongest mechanism that the server offers, the credentials fit, the settings
/// allow and the transport protects.
pub(crate) fn choose(account: &Account, offer: &Offer<'_>) -> Result<Chosen, NoChoice> {
    let fitting = || {
        let all = SaslMechanism::ALL.into_iter();
        all.filter(|one| account.allows(*one) && fits(account, *one))
            .filter(|one| !one.binds_channel() || offer.end_point.is_some())
    };
    let is_safe =
        |one: SaslMechanism| offer.secure || account.allow_cleartext || !one.reveals_secret();
    let is_offered = |one: SaslMechanism| {
        let mut offered = offer.mechanisms.iter();
        offered.any(|name| name.eq_ignore_ascii_case(one.name()))
    };
    if let Some(chosen) = fitting().find(|one| is_offered(*one) && is_safe(*one)) {
        return Ok(Chosen::Mechanism(chosen));
    }
    let by_command = offer.login_command
        && matches!(account.credentials.proof(), Proof::Password(_))
        && account.allows(SaslMechanism::Login)
        && account.credentials.authorization_identity().is_none();
    if by_command && is_safe(SaslMechanism::Login) {
        return Ok(Chosen::LoginCommand);
    }
    if by_command || fitting().any(is_offered) {
        return Err(NoChoice::Cleartext);
    }
    Err(NoChoice::NothingInCommon {
        offered: offer.mechanisms.iter().map(|it| (*it).to_owned()).collect(),
        possible: fitting().filter(|one| is_safe(*one)).collect(),
    })
}

/// Whether the mechanism can carry the account's credentials.
fn fits(account: &Account, mechanism: SaslMechanism) -> bool {
    let credentials = &account.credentials;
    let identity = credentials.authorization_identity();
    match (credentials.proof(), mechanism) {
        (
            Proof::Password(_),
            SaslMechanism::ScramSha512Plus
            | SaslMechanism::ScramSha256Plus
            | SaslMechanism::ScramSha1Plus
            | SaslMechanism::ScramSha512
            | SaslMechanism::ScramSha256
            | SaslMechanism::ScramSha1,
        ) => true,
        (Proof::Password(_), SaslMechanism::CramMd5 | SaslMechanism::Login) => identity.is_none(),
        (Proof::Password(password), SaslMechanism::Plain) => Plain::carries(
            identity.unwrap_or_default(),
            credentials.user(),
            password.expose(),
        ),
        (
            Proof::Token(_) | Proof::Provider(_),
            SaslMechanism::OAuthBearer | SaslMechanism::XOAuth2,
        )
        | (Proof::External, SaslMechanism::External) => true,
        (Proof::Anonymous(_), SaslMechanism::Anonymous) => identity.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::secret::Credentials;

    fn account() -> Account {
        Account::new(Credentials::password("alice", "secret"))
    }

    const EVERYTHING: [&str; 16] = [
        "anonymous",
        "PLAIN",
        "LOGIN",
        "CRAM-MD5",
        "DIGEST-MD5",
        "GSSAPI",
        "EXTERNAL",
        "SCRAM-SHA-1",
        "SCRAM-SHA-1-PLUS",
        "SCRAM-SHA-256",
        "Scram-SHA-256-Plus",
        "SCRAM-SHA-512",
        "SCRAM-SHA-512-PLUS",
        "OAUTHBEARER",
        "XOAUTH2",
        "",
    ];

    fn tls<'a>(mechanisms: &'a [&'a str]) -> Offer<'a> {
        Offer {
            mechanisms,
            login_command: true,
            secure: true,
            end_point: Some(b"hash"),
        }
    }

    fn name(chosen: Result<Chosen, NoChoice>) -> String {
        match chosen {
            Ok(Chosen::Mechanism(mechanism)) => mechanism.to_string(),
            Ok(Chosen::LoginCommand) => "command".to_owned(),
            Err(NoChoice::Cleartext) => "cleartext".to_owned(),
            Err(NoChoice::NothingInCommon { .. }) => "nothing".to_owned(),
        }
    }

    /// Takes what was chosen off the list, until nothing is left.
    fn order(account: &Account, mut offer: Offer<'_>) -> Vec<String> {
        let mut names = offer.mechanisms.to_vec();
        let mut order = Vec::new();
        loop {
            offer.mechanisms = &[];
            let offer = Offer {
                mechanisms: &names,
                ..offer
            };
            let chosen = name(choose(account, &offer));
            let before = names.len();
            names.retain(|one| !one.eq_ignore_ascii_case(&chosen));
            let is_last = names.len() == before;
            order.push(chosen);
            if is_last {
                return order;
            }
        }
    }

    #[test]
    fn the_strongest_comes_first() {
        assert_eq!(
            order(&account(), tls(&EVERYTHING)),
            [
                "SCRAM-SHA-512-PLUS",
                "SCRAM-SHA-256-PLUS",
                "SCRAM-SHA-1-PLUS",
                "SCRAM-SHA-512",
                "SCRAM-SHA-256",
                "SCRAM-SHA-1",
                "CRAM-MD5",
                "PLAIN",
                "LOGIN",
                "command"
            ]
        );
        let token = Account::new(Credentials::token("alice", "t"));
        let expected = ["OAUTHBEARER", "XOAUTH2", "nothing"];
        assert_eq!(order(&token, tls(&EVERYTHING)), expected);
        let external = Account::new(Credentials::external().acting_as("bob"));
        assert_eq!(order(&external, tls(&EVERYTHING)), ["EXTERNAL", "nothing"]);
        let anonymous = Account::new(Credentials::anonymous("x"));
        assert_eq!(
            order(&anonymous, tls(&EVERYTHING)),
            ["ANONYMOUS", "nothing"]
        );
    }

    #[test]
    fn without_a_binding_there_is_no_plus() {
        let offer = Offer {
            end_point: None,
            ..tls(&EVERYTHING)
        };
        assert_eq!(name(choose(&account(), &offer)), "SCRAM-SHA-512");
    }

    #[test]
    fn nothing_goes_in_clear_without_permission() {
        let clear = Offer {
            secure: false,
            end_point: None,
            ..tls(&EVERYTHING)
        };
        assert_eq!(
            order(&account(), clear),
            [
                "SCRAM-SHA-512",
                "SCRAM-SHA-256",
                "SCRAM-SHA-1",
                "CRAM-MD5",
                "cleartext"
            ]
        );
        let token = Account::new(Credentials::token("alice", "t"));
        assert_eq!(name(choose(&token, &clear)), "cleartext");
        let allowed = Account {
            allow_cleartext: true,
            ..token
        };
        assert_eq!(name(choose(&allowed, &clear)), "OAUTHBEARER");
    }

    #[test]
    fn only_what_the_settings_name_is_used() {
        let only = |mechanisms: &[SaslMechanism]| Account {
            mechanisms: Some(mechanisms.to_vec()),
            ..account()
        };
        let offer = tls(&EVERYTHING);
        let plain = [SaslMechanism::Plain, SaslMechanism::CramMd5];
        assert_eq!(name(choose(&only(&plain), &offer)), "CRAM-MD5");
        assert_eq!(name(choose(&only(&plain[..1]), &offer)), "PLAIN");
        let nothing = tls(&["GSSAPI"]);
        assert_eq!(name(choose(&only(&plain), &nothing)), "nothing");
        assert_eq!(
            name(choose(&only(&[SaslMechanism::Login]), &nothing)),
            "command"
        );
        assert_eq!(name(choose(&only(&[]), &offer)), "nothing");
    }

    #[test]
    fn what_cannot_carry_the_credentials_is_passed_over() {
        let offer = Offer {
            login_command: true,
            ..tls(&["PLAIN", "LOGIN", "CRAM-MD5"])
        };
        let acting = Account::new(Credentials::password("alice", "secret").acting_as("bob"));
        assert_eq!(order(&acting, offer), ["PLAIN", "nothing"]);
        let nul = Account::new(Credentials::password("alice", "sec\0ret"));
        assert_eq!(order(&nul, offer), ["CRAM-MD5", "LOGIN", "command"]);
    }

    #[test]
    fn an_error_says_what_would_have_been_possible() {
        let offer = Offer {
            login_command: false,
            secure: false,
            end_point: None,
            mechanisms: &["GSSAPI", "NTLM"],
        };
        let Err(NoChoice::NothingInCommon { offered, possible }) = choose(&account(), &offer)
        else {
            panic!("a choice");
        };
        assert_eq!(offered, ["GSSAPI", "NTLM"]);
        assert_eq!(
            possible,
            [
                SaslMechanism::ScramSha512,
                SaslMechanism::ScramSha256,
                SaslMechanism::ScramSha1,
                SaslMechanism::CramMd5
            ]
        );
    }
}
