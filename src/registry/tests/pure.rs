//! Decisions that need no server.

use std::error::Error as _;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{StatusCode, Url};

use crate::content::ErrorKind;
use crate::registry::addresses::{AddressGuard, is_private};
use crate::registry::download::content_range;
use crate::registry::listing::next_target;
use crate::registry::transport::{Wire, base};
use crate::registry::{Answer, PrivateAddresses, Registry, RegistryOptions, Transport, retry};

fn headers(name: &'static str, value: &str) -> HeaderMap {
    let value = HeaderValue::from_str(value).unwrap();
    HeaderMap::from_iter([(HeaderName::from_static(name), value)])
}

fn answer(status: u16, body: &str) -> Answer {
    let status = StatusCode::from_u16(status).unwrap();
    Answer::new("r.example", status, &HeaderMap::new(), body.as_bytes())
}

fn envelope(code: &str) -> String {
    format!(r#"{{"errors":[{{"code":"{code}","message":"m"}}]}}"#)
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    let wait = |text: &str| retry::retry_after(&headers("retry-after", text), now);
    assert_eq!(wait("7"), Some(Duration::from_secs(7)));
    let date = httpdate::fmt_http_date(now + Duration::from_secs(90));
    assert_eq!(wait(&date), Some(Duration::from_secs(90)));
    let past = httpdate::fmt_http_date(now - Duration::from_secs(90));
    assert_eq!(wait(&past), Some(Duration::ZERO));
    assert_eq!(wait("soon"), None);
}

#[test]
fn answers_are_sorted_by_what_can_be_done() {
    let temporary = ErrorKind::Temporary { retry_after: None };
    for (status, body, kind) in [
        (401, String::new(), ErrorKind::Denied),
        (403, envelope("DENIED"), ErrorKind::Denied),
        (404, envelope("NAME_UNKNOWN"), ErrorKind::NotFound),
        (404, envelope("MANIFEST_BLOB_UNKNOWN"), ErrorKind::Refused),
        (400, envelope("MANIFEST_INVALID"), ErrorKind::Refused),
        (413, String::new(), ErrorKind::Refused),
        (405, envelope("UNSUPPORTED"), ErrorKind::Unsupported),
        (408, String::new(), temporary),
        (429, envelope("TOOMANYREQUESTS"), temporary),
        (500, "oops".to_owned(), temporary),
        (502, String::new(), temporary),
        (507, String::new(), ErrorKind::NoSpace),
        (
            500,
            r#"{"errors":[{"code":"UNKNOWN","detail":{"Err":28}}]}"#.to_owned(),
            ErrorKind::NoSpace,
        ),
        (
            503,
            "write: no space left on device".to_owned(),
            ErrorKind::NoSpace,
        ),
        (505, String::new(), ErrorKind::Failed),
    ] {
        assert_eq!(answer(status, &body).kind(), kind, "{status} {body}");
    }
}

#[test]
fn what_a_registry_writes_is_bounded_escaped_and_introduced() {
    let text = answer(400, "\u{1b}[31mred\u{202e}").to_string();
    assert_eq!(
        text,
        r"`r.example` answered 400 Bad Request; the registry says: \u{1b}[31mred\u{202e}"
    );
    assert!(answer(400, &"x".repeat(100_000)).to_string().len() < 600);
}

#[test]
fn links_are_read_by_their_relation() {
    for (header, target) in [
        (
            r#"</v2/a/tags/list?n=2&last=b>; rel="next""#,
            Some("/v2/a/tags/list?n=2&last=b"),
        ),
        (
            r#"<x>; rel=prev, <y,z>; title="a; b"; REL="other Next""#,
            Some("y,z"),
        ),
        ("<x>; rel=prev", None),
        ("<x>", None),
        ("<x; rel=next", None),
        ("", None),
    ] {
        assert_eq!(next_target(header).as_deref(), target, "{header}");
    }
}

#[test]
fn ranges_are_read_strictly() {
    assert_eq!(content_range("bytes 0-9/100"), Some((0..10, Some(100))));
    assert_eq!(content_range("bytes 5-5/*"), Some((5..6, None)));
    for bad in [
        "",
        "bytes */100",
        "bytes 9-0/100",
        "0-9/100",
        "bytes 0-9",
        "bytes 0-18446744073709551615/*",
    ] {
        assert_eq!(content_range(bad), None, "{bad}");
    }
}

#[test]
fn addresses_that_are_not_everybodys_are_private() {
    for private in [
        "127.0.0.1",
        "127.9.9.9",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "::1",
        "::",
        "fe80::1",
        "fd00::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
    ] {
        assert!(is_private(private.parse().unwrap()), "{private}");
    }
    for public in [
        "93.184.216.34",
        "100.128.0.1",
        "172.32.0.1",
        "2606:4700::1",
        "::ffff:8.8.8.8",
    ] {
        assert!(!is_private(public.parse().unwrap()), "{public}");
    }
}

fn url(text: &str) -> Url {
    text.parse().unwrap()
}

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn a_public_registry_does_not_lead_inside() {
    let guard = AddressGuard::new(&url("https://r.example/"), PrivateAddresses::Refuse);
    assert!(
        guard
            .permitted("r.example", addresses(&["93.184.216.34"]))
            .is_ok()
    );
    for inside in [
        "https://127.0.0.1/",
        "https://[::1]:8/",
        "https://LOCALHOST./",
        "https://a.localhost/",
        "https://2130706433/",
    ] {
        assert!(guard.admit(&url(inside)).is_err(), "{inside}");
    }
    guard.admit(&url("https://cdn.example/")).unwrap();
    assert!(
        guard
            .permitted("cdn.example", addresses(&["10.0.0.1"]))
            .is_err()
    );
    let mixed = guard.permitted("cdn.example", addresses(&["10.0.0.1", "8.8.8.8"]));
    assert_eq!(mixed.unwrap(), addresses(&["8.8.8.8"]));
    // Its own name, once public, does not become a private one; a proxy's name is nobody's business.
    assert!(
        guard
            .permitted("r.example", addresses(&["127.0.0.1"]))
            .is_err()
    );
    assert!(
        guard
            .permitted("proxy.corp", addresses(&["10.0.0.1"]))
            .is_ok()
    );
}

#[test]
fn a_private_registry_and_a_permission_lead_anywhere() {
    let private = AddressGuard::new(&url("https://r.corp/"), PrivateAddresses::Refuse);
    private
        .permitted("r.corp", addresses(&["10.0.0.1"]))
        .unwrap();
    private.admit(&url("https://10.0.0.2/")).unwrap();
    let allowed = AddressGuard::new(&url("https://r.example/"), PrivateAddresses::Allow);
    allowed.admit(&url("https://10.0.0.2/")).unwrap();
}

#[test]
fn plain_http_is_for_this_machine_or_on_request() {
    let scheme = |host: &str, options: &RegistryOptions| base(host, options).unwrap().to_string();
    let safe = RegistryOptions::default();
    assert_eq!(scheme("127.0.0.1:5000", &safe), "http://127.0.0.1:5000/");
    assert_eq!(scheme("[::1]:5000", &safe), "http://[::1]:5000/");
    assert_eq!(scheme("r.example", &safe), "https://r.example/");
    assert_eq!(scheme("docker.io", &safe), "https://registry-1.docker.io/");
    let plain = RegistryOptions {
        transport: Transport::PlainHttpAllowed,
        ..RegistryOptions::default()
    };
    assert_eq!(scheme("r.example:80", &plain), "http://r.example/");
    for bad in ["", "a/b", "u:p@h", "h?x", "h#x", "a b", "h:99999"] {
        assert!(
            Registry::new(bad, RegistryOptions::default()).is_err(),
            "{bad}"
        );
    }
}

#[test]
fn nobody_is_sent_from_tls_to_plain_http() {
    let wire = Wire::new("r.example", RegistryOptions::default()).unwrap();
    let from = url("https://r.example/v2/");
    let admit = |to: &str| wire.admit(&from, url(to), "redirects to");
    assert!(admit("http://cdn.example/x").is_err());
    assert!(admit("file:///etc/passwd").is_err());
    let clean = admit("https://user:secret@cdn.example/x?y=z#f").unwrap();
    assert_eq!(clean.as_str(), "https://cdn.example/x?y=z");
    let error = admit("https://10.0.0.1/x?sig=secret").unwrap_err();
    assert_eq!(
        error.to_string(),
        "`r.example` redirects to `10.0.0.1` on a loopback, link-local or private address, which is refused"
    );
    assert!(
        wire.require_confidential(&url("http://r.example/token"))
            .is_err()
    );
}

#[test]
fn a_certificate_authority_must_be_one() {
    let options = RegistryOptions {
        certificate_authorities: vec![b"not a certificate".to_vec()],
        ..RegistryOptions::default()
    };
    let error = Registry::new("r.example", options).err().unwrap();
    assert!(error.to_string().contains("not a PEM certificate"));
    assert!(error.source().is_none());
}
