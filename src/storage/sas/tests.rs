//! Signatures: what is made is what was asked for, and every gap is seen.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use secrecy::{ExposeSecret, SecretString};

use super::fitness::Gap::{
    Expired, HttpRefused, NoEnd, NoObjects, NotAllowed, NotForBlobs, NotForType, NotYetValid,
    OneObject,
};
use super::*;
use crate::content::ErrorKind;
use crate::storage::reference::ContainerReference;

const ACCOUNT_KEY: &str =
    "bm90IGEgcmVhbCBrZXksIG9ubHkgZm9yIHRoZSB0ZXN0cyBvZiBzaWduYXR1cmVzLCA2NCBieXRlcyBsb25nWFg=";
const NOW: &str = "2026-11-22T12:00:00Z";

fn secret(text: &str) -> SecretString {
    SecretString::from(text.to_owned())
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn token(query: &str) -> SasToken {
    SasToken::parse(&secret(&format!("{query}&sig=SECRET"))).unwrap()
}

fn request(permissions: &str) -> SasRequest {
    SasRequest {
        account: "acme".to_owned(),
        container: "drop".to_owned(),
        object: None,
        permissions: permissions.parse().unwrap(),
        start: None,
        expires: time("2026-11-29T00:00:00Z"),
        protocols: Protocols::HttpsOnly,
        ip: None,
    }
}

fn sign(request: &SasRequest) -> String {
    let signed = sign_with_account_key(request, &secret(ACCOUNT_KEY)).unwrap();
    signed.expose_secret().to_owned()
}

/// The signatures were computed by `openssl dgst -sha256 -mac HMAC` from the sixteen lines.
#[test]
fn signatures_are_those_of_openssl() {
    let mut container = request("rl");
    container.start = Some(time("2026-11-22T00:00:00Z"));
    container.ip = Some("192.0.2.1-192.0.2.9".parse().unwrap());
    assert_eq!(
        sign(&container),
        "sv=2024-11-04&sr=c&sp=rl&st=2026-11-22T00%3A00%3A00Z&se=2026-11-29T00%3A00%3A00Z&spr=https&sip=192.0.2.1-192.0.2.9&sig=fakarqEWap%2BZv2X8OUbTlxlLxg5q%2BMG4qqgmEQ6TVFY%3D"
    );
    let mut object = request("r");
    object.object = Some("ship 7/march.tar.zst".to_owned());
    object.protocols = Protocols::HttpToo;
    assert_eq!(
        sign(&object),
        "sv=2024-11-04&sr=b&sp=r&se=2026-11-29T00%3A00%3A00Z&spr=https%2Chttp&sig=iWxTGXCU8wSi%2F%2Foj5TcGyNjPKvMT99ZpCf0lCx2XvX4%3D"
    );
}

#[test]
fn what_cannot_be_signed_is_told_without_the_key() {
    let wrong = sign_with_account_key(&request("r"), &secret("SECRET is no key"));
    let error = wrong.unwrap_err();
    assert_eq!(error, CannotSign::AccountKey);
    assert!(!error.to_string().contains("SECRET"));
    let mut object = request("rl");
    object.object = Some("march.tar.zst".to_owned());
    let key = secret(ACCOUNT_KEY);
    assert_eq!(
        sign_with_account_key(&object, &key).unwrap_err(),
        CannotSign::NotForObjects(Permission::List)
    );
    let mut reversed = request("r");
    reversed.start = Some(reversed.expires);
    assert!(sign_with_account_key(&reversed, &key).is_err());
    assert!(sign_with_account_key(&request("ro"), &key).is_err());
}

proptest! {
    #[test]
    fn what_is_read_is_what_was_asked_for(
        letters in "[racwdxyltmei]{1,8}",
        start in proptest::option::of(1_700_000_000_i64..1_800_000_000),
        life in 1_i64..100_000_000,
        http in any::<bool>(),
        ip in proptest::option::of(any::<[u8; 4]>()),
        object in proptest::option::of("[a-z0-9 %&+=?#-]{1,20}"),
    ) {
        let mut request = request(&letters);
        request.object = object.filter(|_| !request.permissions.contains(Permission::List));
        request.start = start.map(|start| Timestamp::from_second(start).unwrap());
        request.expires =
            Timestamp::from_second(start.unwrap_or(1_700_000_000) + life).unwrap();
        request.protocols = if http { Protocols::HttpToo } else { Protocols::HttpsOnly };
        request.ip = ip.map(|ip| IpRange { first: ip.into(), last: ip.into() });
        let token = SasToken::parse(&secret(&format!("?{}", sign(&request)))).unwrap();
        let scope = if request.object.is_some() { Scope::Object } else { Scope::Container };
        prop_assert_eq!(token.signer, Signer::AccountKey);
        prop_assert_eq!(&token.scope, &scope);
        prop_assert_eq!(token.permissions.as_ref(), Some(&request.permissions));
        prop_assert_eq!(token.start, request.start);
        prop_assert_eq!(token.expires, Some(request.expires));
        prop_assert_eq!(token.protocols, request.protocols);
        prop_assert_eq!(token.ip_range(), request.ip);
    }

    #[test]
    fn no_text_is_shown_and_none_breaks_the_reader(text in "(s[vprigt]|[a-z=&?%+ ]|SECRET){0,20}") {
        match SasToken::parse(&secret(&format!("{text}&sig=TOPSECRET"))) {
            Ok(token) => {
                let shown = format!("{token:?}");
                prop_assert!(!shown.contains("TOPSECRET"));
            }
            Err(error) => prop_assert!(!error.to_string().contains("TOPSECRET")),
        }
    }
}

#[test]
fn every_kind_of_signature_is_read() {
    let account = token("sv=2022-11-02&ss=bfqt&srt=sco&sp=rwdlacupiytfx&se=2026-12-01");
    assert_eq!(
        account.scope,
        Scope::Account {
            services: "bfqt".to_owned(),
            types: "sco".to_owned()
        }
    );
    assert_eq!(account.protocols, Protocols::HttpToo);
    let delegated = token(
        "sr=c&sp=rl&se=2026-12-01T00:00Z&skoid=o&sktid=t&skt=2026-11-01&ske=2026-11-25&sks=b",
    );
    assert_eq!(delegated.ends(), Some(time("2026-11-25T00:00:00Z")));
    let by_policy = token("sr=c&si=partners");
    assert_eq!((by_policy.permissions, by_policy.expires), (None, None));
    assert_eq!(by_policy.policy.as_deref(), Some("partners"));
    let parse = |text: &str| SasToken::parse(&secret(text)).unwrap_err();
    assert_eq!(parse("sr=c&sp=r"), InvalidSas::NoSignature);
    assert_eq!(parse("sp=r&sig=x"), InvalidSas::NoScope);
    assert_eq!(parse("sr=c&se=soon&sig=x"), InvalidSas::Time("se"));
    assert_eq!(
        parse("sr=c&sp=r&sp=rw&sig=x"),
        InvalidSas::Twice("sp".to_owned())
    );
}

fn missing(query: &str, purpose: Purpose) -> Vec<Gap> {
    missing_for(&token(query), purpose, None, time(NOW))
}

#[test]
fn every_purpose_needs_its_permissions() {
    use Permission::{Delete, List, Read, Write};
    let (write, read) = (NotAllowed(Write), NotAllowed(Read));
    let list = NotAllowed(List);
    let cases: [(Purpose, &str, Vec<Gap>); 15] = [
        (Purpose::Export, "rwl", vec![]),
        (Purpose::Export, "rcl", vec![write.clone()]),
        (Purpose::Export, "w", vec![read.clone(), list.clone()]),
        (Purpose::TransferSource, "rl", vec![]),
        (Purpose::TransferSource, "r", vec![list.clone()]),
        (Purpose::TransferTarget, "rwl", vec![]),
        (Purpose::TransferTarget, "rl", vec![write.clone()]),
        (Purpose::Import, "rl", vec![]),
        (Purpose::Import, "w", vec![read, list]),
        (Purpose::Sign, "rl", vec![write]),
        (Purpose::Look, "rl", vec![]),
        (Purpose::Clean, "rwdl", vec![]),
        (Purpose::Clean, "rwl", vec![NotAllowed(Delete)]),
        (Purpose::DeleteSource, "d", vec![]),
        (Purpose::DeleteSource, "rwl", vec![NotAllowed(Delete)]),
    ];
    for (purpose, letters, gaps) in cases {
        let query = format!("sr=c&sp={letters}&se=2026-12-01");
        assert_eq!(missing(&query, purpose), gaps, "{purpose} with {letters}");
        // What a purpose asks for is enough for it.
        let asked = format!("sr=c&sp={}&se=2026-12-01", purpose.letters());
        assert_eq!(missing(&asked, purpose), []);
    }
}

#[test]
fn times_are_held_against_the_clock() {
    let end = time("2026-11-22T12:00:00Z");
    assert_eq!(
        missing("sr=c&sp=rl&se=2026-11-22T12:00:00Z", Purpose::Import),
        [Expired(end)]
    );
    assert_eq!(missing("sr=c&sp=rl", Purpose::Import), [NoEnd]);
    let start = |start: &str| {
        missing(
            &format!("sr=c&sp=rl&st={start}&se=2026-12-01"),
            Purpose::Import,
        )
    };
    assert_eq!(start("2026-11-22T12:04:00Z"), [], "a clock may be behind");
    let late = time(NOW) + CLOCK_ALLOWANCE + SignedDuration::from_secs(1);
    assert_eq!(start(&late.to_string()), [NotYetValid(late)]);
}

#[test]
fn scopes_and_protocols_are_held_against_the_use() {
    let ends = "sp=rlc&se=2026-12-01";
    let missing = |scope: &str| missing(&format!("{scope}&{ends}"), Purpose::Import);
    assert_eq!(missing("sr=b"), [OneObject]);
    assert_eq!(missing("sr=d&sdd=1"), []);
    assert_eq!(missing("sr=s"), [NoObjects]);
    assert_eq!(missing("ss=b&srt=co"), []);
    assert_eq!(missing("ss=q&srt=co"), [NotForBlobs]);
    assert_eq!(missing("ss=b&srt=s"), [NotForType('c'), NotForType('o')]);
    let https = token(&format!("sr=c&spr=https&{ends}"));
    let judge = |url: &str| {
        missing_for(
            &https,
            Purpose::Import,
            Some(&url.parse().unwrap()),
            time(NOW),
        )
    };
    assert_eq!(judge("http://127.0.0.1:10000/acme/"), [HttpRefused]);
    assert_eq!(judge("https://acme.blob.core.windows.net/"), []);
}

#[test]
fn a_stored_policy_is_given_the_benefit_of_the_doubt() {
    assert_eq!(missing("sr=c&si=partners", Purpose::Export), []);
}

#[test]
fn a_container_is_refused_in_words_without_its_signature() {
    let parse = |text: &str| text.parse::<ContainerReference>().unwrap();
    let url = "https://acme.blob.core.windows.net/drop";
    let query = "sr=c&sp=r&se=2026-11-01&sig=SECRET";
    let typed = parse(&format!("{url}?{query}"));
    let named = parse(&format!("{url}?credential=env:DROP"));
    let value = secret(query);
    for (reference, credential) in [(&typed, None), (&named, Some(&value))] {
        let error = check_sas(reference, credential, Purpose::Import, time(NOW)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied);
        let cause = std::error::Error::source(&error).unwrap();
        let told = format!("{error}: {cause}");
        assert_eq!(
            told,
            "the shared access signature for `https://acme.blob.core.windows.net/drop` is not enough for import: it does not allow `list` (l); it expired at 2026-11-01T00:00:00Z"
        );
        assert!(!format!("{error:?}").contains("SECRET"));
    }
    let key = secret(ACCOUNT_KEY);
    assert!(check_sas(&named, Some(&key), Purpose::Import, time(NOW)).is_ok());
    assert!(check_sas(&parse("/mnt/usb"), None, Purpose::Import, time(NOW)).is_ok());
    let no_signature = parse(&format!("{url}?sp=rl"));
    assert!(check_sas(&no_signature, None, Purpose::Import, time(NOW)).is_err());
}
