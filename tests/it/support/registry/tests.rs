//! The fake registry itself: right when it should be, wrong where it was told, seen by `reqwest` and by
//! `skopeo`, which share nothing with it.

use airlift::content::Document;
use airlift::oci::{Digest, media_type};
use reqwest::{Certificate, Client, Response, StatusCode, redirect};

use super::*;
use crate::support::artifacts::{LAYER, SIGNATURE, five_nodes, referrer_of};
use crate::support::real::{run, tool_or_skip};

const BLOB: &[u8] = b"0123456789";

fn client() -> Client {
    let builder = Client::builder().no_proxy();
    let builder = builder.redirect(redirect::Policy::none());
    builder.build().unwrap()
}

fn home() -> Repository {
    "apps/web".parse().unwrap()
}

/// A registry with one blob, and the blob's URL.
fn with_blob() -> (Registry, String) {
    let registry = Registry::start();
    let descriptor = registry.put_blob(&home(), LAYER, BLOB);
    let url = format!("{}/v2/apps/web/blobs/{}", registry.url(), descriptor.digest);
    (registry, url)
}

async fn get(url: &str) -> Response {
    client().get(url).send().await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    let value = response.headers().get(name);
    value.map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn blobs_are_served_with_ranges() {
    let (registry, url) = with_blob();
    let request = client().get(&url).header("range", "bytes=2-4");
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(header(&response, "content-range"), "bytes 2-4/10");
    assert_eq!(response.bytes().await.unwrap(), "234");
    let head = client().head(&url).send().await.unwrap();
    assert_eq!(header(&head, "content-length"), "10");
    registry.behave(|behaviour| behaviour.ranges = false);
    let request = client().get(&url).header("range", "bytes=2-4");
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(registry.log().ranges("/blobs/"), ["bytes=2-4"; 2]);
    assert_eq!(registry.log().count("GET", "/v2/apps/web/blobs/"), 2);
}

#[tokio::test]
async fn a_download_is_cut_where_the_test_says() {
    let (registry, url) = with_blob();
    registry.fault(When::get("/blobs/"), Fault::CutDownload(4));
    let mut response = get(&url).await;
    assert_eq!(header(&response, "content-length"), "10");
    assert_eq!(response.chunk().await.unwrap().unwrap(), "0123");
    response.chunk().await.unwrap_err();
    assert_eq!(registry.log().bytes_downloaded(), 4);
    assert_eq!(get(&url).await.bytes().await.unwrap(), BLOB);
}

#[tokio::test]
async fn bytes_can_be_wrong() {
    let (registry, url) = with_blob();
    let cases: [(Fault, &[u8]); 3] = [
        (Fault::FlipByte(12), b"0133456789"),
        (Fault::Longer(2), b"0123456789++"),
        (Fault::Shorter(1), b"012345678"),
    ];
    for (fault, expected) in cases {
        registry.fault(When::get("/blobs/"), fault);
        assert_eq!(get(&url).await.bytes().await.unwrap(), expected);
    }
}

#[tokio::test]
async fn refusals_carry_their_envelope_and_pass() {
    let (registry, url) = with_blob();
    let busy = Fault::Busy(429, RetryAfter::Seconds(7));
    registry.fault(When::any("/blobs/").times(2), busy);
    for _ in 0..2 {
        let response = get(&url).await;
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(header(&response, "retry-after"), "7");
        let text = response.text().await.unwrap();
        assert!(text.contains("TOOMANYREQUESTS"), "{text}");
    }
    assert_eq!(get(&url).await.status(), StatusCode::OK);
    for fault in [Fault::Cut, Fault::CutReply] {
        registry.fault(When::get("/blobs/").after(1), fault);
        assert_eq!(get(&url).await.status(), StatusCode::OK);
        client().get(&url).send().await.unwrap_err();
    }
    let last = registry.log().all().pop().unwrap();
    assert_eq!(last.status, None);
}

#[tokio::test]
async fn a_cut_upload_goes_on_where_it_was_cut() {
    let registry = Registry::start();
    let client = client();
    let start = format!("{}/v2/apps/web/blobs/uploads/", registry.url());
    let opened = client.post(&start).send().await.unwrap();
    assert_eq!(opened.status(), StatusCode::ACCEPTED);
    let session = header(&opened, "location").to_owned();
    registry.fault(When::patch("/uploads/"), Fault::CutUpload(4));
    client.patch(&session).body(BLOB).send().await.unwrap_err();
    let status = client.get(&session).send().await.unwrap();
    assert_eq!(status.status(), StatusCode::NO_CONTENT);
    assert_eq!(header(&status, "range"), "0-3");
    let wrong = client.patch(&session).header("content-range", "6-9");
    let wrong = wrong.body(&BLOB[6..]).send().await.unwrap();
    assert_eq!(wrong.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    let digest = Digest::sha256(BLOB);
    let last = client.put(format!("{session}?digest={digest}"));
    let last = last.body(&BLOB[4..]).send().await.unwrap();
    assert_eq!(last.status(), StatusCode::CREATED);
    assert_eq!(registry.snapshot().1[&(home(), digest)], BLOB);
    assert_eq!(registry.open_sessions(), 0);
}

#[tokio::test]
async fn tags_come_in_pages() {
    let example = five_nodes();
    let registry = Registry::with(|behaviour| behaviour.page_size_max = 2);
    for tag in ["a", "b", "c"] {
        let tag = tag.parse().unwrap();
        registry.put_manifest(&home(), example.m0.clone(), Some(&tag));
    }
    let first = get(&format!("{}/v2/apps/web/tags/list", registry.url())).await;
    let link = header(&first, "link").to_owned();
    assert_eq!(link, "</v2/apps/web/tags/list?n=2&last=b>; rel=\"next\"");
    let next = link.trim_start_matches('<').split('>').next().unwrap();
    let second = get(&format!("{}{next}", registry.url())).await;
    assert_eq!(header(&second, "link"), "");
    let text = second.text().await.unwrap();
    assert!(text.contains(r#"["c"]"#), "{text}");
}

#[tokio::test]
async fn a_bearer_token_opens_what_it_was_asked_for() {
    let (registry, url) = with_blob();
    let login = Login::new("robot", "secret");
    registry.behave(|behaviour| behaviour.auth = Auth::Bearer(Bearer::of(login)));
    let refused = get(&url).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let challenge = header(&refused, "www-authenticate");
    let scope = r#"scope="repository:apps/web:pull""#;
    assert!(challenge.contains(scope), "{challenge}");
    let asked = format!("{}/token?scope=repository:apps/web:pull", registry.url());
    assert_eq!(get(&asked).await.status(), StatusCode::UNAUTHORIZED);
    let request = client().get(&asked).basic_auth("robot", Some("secret"));
    let reply: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
    let token = reply["token"].as_str().unwrap();
    let found = client().get(&url).bearer_auth(token).send().await.unwrap();
    assert_eq!(found.status(), StatusCode::OK);
    let push = format!("{}/v2/apps/web/blobs/uploads/", registry.url());
    let push = client().post(push).bearer_auth(token).send().await.unwrap();
    let challenge = header(&push, "www-authenticate");
    assert!(challenge.contains("insufficient_scope"), "{challenge}");
    let last = registry.log().all().pop().unwrap();
    assert_eq!(last.authorization, Authorization::Bearer);
}

#[tokio::test]
async fn incomplete_content_is_refused_and_seen() {
    let example = five_nodes();
    let registry = Registry::start();
    let url = format!("{}/v2/apps/web/manifests/1.4", registry.url());
    let put = |document: &Document| {
        let request = client().put(&url).body(document.bytes.clone());
        request.header("content-type", &*document.descriptor.media_type)
    };
    let refused = put(&example.m0).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    registry.assert_no_violation();
    registry.behave(|behaviour| behaviour.checks_children = false);
    let taken = put(&example.m0).send().await.unwrap();
    assert_eq!(taken.status(), StatusCode::CREATED);
    assert_eq!(registry.violations().len(), 2, "one for each platform");
}

#[tokio::test]
async fn referrers_are_listed_until_there_is_no_such_thing() {
    let example = five_nodes();
    let registry = Registry::start();
    registry.seed(&example.memory);
    let subject = &example.m0.descriptor;
    let other = referrer_of(&example.memory, &home(), subject, "text/other");
    registry.put_manifest(&home(), other, None);
    let url = format!(
        "{}/v2/apps/web/referrers/{}",
        registry.url(),
        subject.digest
    );
    let filtered = format!("{url}?artifactType={SIGNATURE}");
    for (url, count) in [(&url, 2), (&filtered, 1)] {
        let reply: serde_json::Value = get(url).await.json().await.unwrap();
        assert_eq!(reply["mediaType"], media_type::OCI_INDEX);
        assert_eq!(reply["manifests"].as_array().unwrap().len(), count);
    }
    registry.behave(|behaviour| behaviour.referrers = Referrers::Unsupported);
    assert_eq!(get(&url).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn it_speaks_tls_with_its_own_authority() {
    let registry = Registry::start_tls();
    let url = format!("{}/v2/", registry.url());
    client().get(&url).send().await.unwrap_err();
    let authority = Certificate::from_pem(registry.authority_pem().as_bytes()).unwrap();
    let builder = Client::builder().no_proxy();
    let client = builder.tls_certs_only([authority]).build().unwrap();
    let response = client.get(&url).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[test]
fn it_serves_tests_without_a_runtime_and_ends_when_dropped() {
    let registry = Registry::start();
    let address = registry.address();
    assert!(std::net::TcpStream::connect(&address).is_ok());
    drop(registry);
    crate::support::wait::until("the port is closed", || {
        std::net::TcpStream::connect(&address).is_err()
    });
}

/// An independent client takes it for a registry, with and without authentication.
#[test]
fn skopeo_copies_from_one_fake_to_another() {
    let Some(skopeo) = tool_or_skip("skopeo") else {
        return;
    };
    let example = five_nodes();
    let source = Registry::start();
    source.seed(&example.memory);
    let target = Registry::start();
    let login = Login::new("robot", "secret");
    target.behave(|behaviour| behaviour.auth = Auth::Bearer(Bearer::of(login)));
    let [from, to] =
        [&source, &target].map(|end| format!("docker://{}/apps/web:1.4", end.address()));
    let arguments = "copy --all --preserve-digests --src-tls-verify=false --dest-tls-verify=false";
    let mut arguments: Vec<&str> = arguments.split(' ').collect();
    arguments.extend(["--dest-creds", "robot:secret", &from, &to]);
    run(&skopeo, &arguments);
    let tag = &example.tag;
    assert_eq!(target.tag(&home(), tag), Some(example.m0.descriptor.digest));
    assert_eq!(target.missing_content(), [""; 0]);
    target.assert_no_violation();
}
