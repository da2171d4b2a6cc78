//! Lists: complete or an error, whatever the registry does to its pages.

use super::fake::{Fake, options, reply, repository};
use crate::content::{ErrorKind, Source};
use crate::oci::{Digest, Tag, media_type};

fn tags(names: &[String]) -> String {
    serde_json::json!({ "name": "a/b", "tags": names }).to_string()
}

#[tokio::test]
async fn pages_are_followed_and_names_are_checked() {
    let registry = Fake::start(|seen| {
        if seen.target.contains("last=b") {
            return reply(200, &[], r#"{"tags":["c"]}"#);
        }
        let link = r#"</v2/a/b/tags/list?n=2&last=b>; rel="next""#;
        reply(200, &[("link", link)], r#"{"tags":["a","b","a","../x"]}"#)
    })
    .await;
    let found = registry
        .registry(options())
        .tags(&repository())
        .await
        .unwrap();
    let names: Vec<_> = found.iter().map(Tag::as_str).collect();
    assert_eq!(names, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_full_page_without_a_link_is_continued_behind_its_last_name() {
    let all: Vec<String> = (0..1500).map(|number| format!("v{number:04}")).collect();
    let registry = Fake::start(move |seen| {
        let from = match seen.target.split_once("last=") {
            Some((_, last)) => all.iter().position(|name| name == last).unwrap() + 1,
            None => 0,
        };
        reply(200, &[], tags(&all[from..all.len().min(from + 1000)]))
    })
    .await;
    let found = registry
        .registry(options())
        .tags(&repository())
        .await
        .unwrap();
    assert_eq!((found.len(), registry.log().len()), (1500, 2));
}

#[tokio::test]
async fn circles_and_other_hosts_are_refused() {
    for link in [
        "</v2/a/b/tags/list?n=1000>; rel=next",
        "<http://127.0.0.1:1/v2/>; rel=next",
    ] {
        let registry =
            Fake::start(move |_| reply(200, &[("link", link)], r#"{"tags":["a"]}"#)).await;
        let error = registry
            .registry(options())
            .tags(&repository())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{link}");
        assert_eq!(registry.log().len(), 1);
    }
}

#[tokio::test]
async fn a_missing_catalog_is_unsupported() {
    let registry = Fake::start(|_| reply(404, &[], "404 page not found")).await;
    let error = registry
        .registry(options())
        .repositories()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

fn index(entries: &str) -> String {
    format!(r#"{{"schemaVersion":2,"manifests":[{entries}]}}"#)
}

fn entry(name: &str) -> String {
    let digest = Digest::sha256(name.as_bytes());
    format!(r#"{{"mediaType":"m","digest":"{digest}","size":1,"artifactType":"x"}}"#)
}

const INDEX: (&str, &str) = ("content-type", media_type::OCI_INDEX);

#[tokio::test]
async fn referrers_come_from_the_api_page_by_page() {
    let registry = Fake::start(|seen| {
        if seen.target.contains("page=2") {
            return reply(200, &[INDEX], index(&entry("b")));
        }
        let link = ("link", "<?page=2>; rel=next");
        reply(200, &[INDEX, link], index(&entry("a")))
    })
    .await;
    let subject = Digest::sha256(b"subject");
    let found = registry
        .registry(options())
        .referrers(&repository(), &subject)
        .await
        .unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].artifact_type.as_deref(), Some("x"));
}

#[tokio::test]
async fn without_the_api_the_tag_is_read_and_the_api_not_asked_again() {
    let registry = Fake::start(|seen| {
        if seen.target.contains("/referrers/") {
            return reply(404, &[], "404 page not found");
        }
        reply(200, &[INDEX], index(&entry("a")))
    })
    .await;
    let client = registry.registry(options());
    for subject in [b"x", b"y"] {
        let found = client
            .referrers(&repository(), &Digest::sha256(subject))
            .await;
        assert_eq!(found.unwrap().len(), 1);
    }
    assert_eq!(registry.count("GET", "/referrers/"), 1);
    assert_eq!(registry.count("GET", "/manifests/sha256-"), 2);
}

#[tokio::test]
async fn an_unknown_repository_says_nothing_about_the_api() {
    let registry =
        Fake::start(|_| reply(404, &[], r#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#)).await;
    let client = registry.registry(options());
    for _ in 0..2 {
        let found = client.referrers(&repository(), &Digest::sha256(b"x")).await;
        assert_eq!(found.unwrap(), []);
    }
    assert_eq!(registry.count("GET", "/referrers/"), 2);
}

#[tokio::test]
async fn referrers_are_complete_or_an_error() {
    let many: Vec<String> = (0..1001).map(|number| entry(&number.to_string())).collect();
    let many = index(&many.join(","));
    let html = [("content-type", "text/html")];
    for (status, headers, body, kind) in [
        (403, vec![INDEX], String::new(), ErrorKind::Denied),
        (400, vec![INDEX], String::new(), ErrorKind::Refused),
        (200, html.to_vec(), index(""), ErrorKind::Failed),
        (
            200,
            vec![INDEX],
            index(r#"{"digest":"sha256:x"}"#),
            ErrorKind::Failed,
        ),
        (200, vec![INDEX], many, ErrorKind::Refused),
    ] {
        let registry = Fake::start(move |_| reply(status, &headers, body.clone())).await;
        let found = registry
            .registry(options())
            .referrers(&repository(), &Digest::sha256(b"x"))
            .await;
        assert_eq!(found.unwrap_err().kind(), kind, "{status}");
    }
}
