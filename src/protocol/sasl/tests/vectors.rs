//! Exchanges that are published, byte for byte.

use std::sync::Arc;

use crate::protocol::sasl::Mechanism;
use crate::protocol::sasl::scram::{Binding, Hash, Scram, Settings};
use crate::types::sasl::SaslFailure;

fn scram(hash: Hash, binding: Binding, nonce: &str) -> Scram {
    let settings = Settings {
        hash,
        binding,
        authorization: None,
        user: "user",
        password: b"pencil",
        iterations: (4096, 4096),
        keys: Arc::default(),
    };
    Scram::with_nonce(settings, nonce.to_owned()).unwrap()
}

struct Transcript {
    hash: Hash,
    nonce: &'static str,
    server_first: &'static str,
    client_final: &'static str,
    server_final: &'static str,
}

const TRANSCRIPTS: [Transcript; 3] = [
    // RFC 5802 §5.
    Transcript {
        hash: Hash::Sha1,
        nonce: "fyko+d2lbbFgONRv9qkxdawL",
        server_first: "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        client_final: "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,\
                       p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        server_final: "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    },
    // RFC 7677 §3.
    Transcript {
        hash: Hash::Sha256,
        nonce: "rOprNGfwEbeRWgbNEkqO",
        server_first: "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                       s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        client_final: "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                       p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        server_final: "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    },
    // No RFC has one; this is the one that the tests of Apache Qpid and others share.
    Transcript {
        hash: Hash::Sha512,
        nonce: "rOprNGfwEbeRWgbNEkqO",
        server_first: "r=rOprNGfwEbeRWgbNEkqO02431b08-2f89-4bad-a4e6-80c0564ec865,\
                       s=Yin2FuHTt/M0kJWb0t9OI32n2VmOGi3m+JfjOvuDF88=,i=4096",
        client_final: "c=biws,r=rOprNGfwEbeRWgbNEkqO02431b08-2f89-4bad-a4e6-80c0564ec865,\
                       p=Hc5yec3NmCD7t+kFRw4/3yD6/F3SQHc7AVYschRja+Bc3sbdjlA0eH1OjJc0DD4ghn1tnX\
                       N5/Wr6qm9xmaHt4A==",
        server_final: "v=BQuhnKHqYDwQWS5jAw4sZed+C9KFUALsbrq81bB0mh+bcUUbbMPNNmBIupnS2AmyyDnG5CTB\
                       QtkjJ9kyY4kzmw==",
    },
];

#[test]
fn the_published_scram_exchanges() {
    for transcript in &TRANSCRIPTS {
        let mut scram = scram(transcript.hash, Binding::Unsupported, transcript.nonce);
        let first = format!("n,,n=user,r={}", transcript.nonce);
        assert_eq!(scram.initial().unwrap(), first.as_bytes());
        let proof = scram.respond(transcript.server_first.as_bytes()).unwrap();
        assert_eq!(
            String::from_utf8(proof).unwrap(),
            transcript.client_final,
            "{:?}",
            transcript.hash
        );
        assert!(matches!(
            scram.finish(),
            Err(SaslFailure::ServerNotAuthenticated(_))
        ));
        let last = transcript.server_final.as_bytes();
        assert_eq!(scram.respond(last).unwrap(), b"");
        assert_eq!(scram.finish(), Ok(()));
    }
}

/// Each bit of the signature counts.
#[test]
fn a_signature_that_differs_in_one_bit_is_refused() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    for transcript in &TRANSCRIPTS {
        let signature = STANDARD.decode(&transcript.server_final[2..]).unwrap();
        for at in [0, signature.len() / 2, signature.len() - 1] {
            let mut wrong = signature.clone();
            wrong[at] ^= 1;
            for wrong in [&wrong[..], &signature[..at], &[]] {
                let mut scram = scram(transcript.hash, Binding::Unsupported, transcript.nonce);
                scram.initial();
                scram.respond(transcript.server_first.as_bytes()).unwrap();
                let last = format!("v={}", STANDARD.encode(wrong));
                assert!(matches!(
                    scram.respond(last.as_bytes()),
                    Err(SaslFailure::ServerNotAuthenticated(_))
                ));
                assert!(scram.finish().is_err());
            }
        }
    }
}

/// The header and the data of a binding stand in `c=` (RFC 5802 §7).
#[test]
fn what_the_client_says_about_channel_binding() {
    for (binding, first, bound) in [
        (Binding::Unsupported, "n,,n=user", "c=biws,"),
        (Binding::NotOffered, "y,,n=user", "c=eSws,"),
        (
            Binding::EndPoint(b"\x01\x02".to_vec()),
            "p=tls-server-end-point,,n=user",
            "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsAQI=,",
        ),
    ] {
        let transcript = &TRANSCRIPTS[0];
        let mut scram = scram(transcript.hash, binding, transcript.nonce);
        assert!(scram.initial().unwrap().starts_with(first.as_bytes()));
        let answer = scram.respond(transcript.server_first.as_bytes()).unwrap();
        assert!(answer.starts_with(bound.as_bytes()));
    }
}

/// The published outputs of PBKDF2-HMAC-SHA-512, which other implementations agree on.
#[test]
fn stretching_with_sha_512() {
    use crate::protocol::sasl::scram::stretch_for_tests;

    let hex =
        |bytes: Vec<u8>| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    assert_eq!(
        hex(stretch_for_tests(Hash::Sha512, b"password", b"salt", 1)),
        "867f70cf1ade02cff3752599a3a53dc4af34c7a669815ae5d513554e1c8cf252\
         c02d470a285a0501bad999bfe943c08f050235d7d68b1da55e63f73b60a57fce"
    );
    // RFC 6070.
    assert_eq!(
        hex(stretch_for_tests(Hash::Sha1, b"password", b"salt", 4096)),
        "4b007901b765489abead49d926f721d065a429c1"
    );
}
