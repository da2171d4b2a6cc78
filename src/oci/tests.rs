use super::*;

fn is_repository(text: &str) -> bool {
    text.parse::<Repository>().is_ok()
}

#[test]
fn repositories_follow_the_grammar() {
    for good in [
        "a",
        "library/debian",
        "a.b/c_d/e__f/g---h",
        "0/1",
        &"a".repeat(255),
    ] {
        assert!(is_repository(good), "{good}");
    }
    for bad in [
        "",
        "/a",
        "a/",
        "a//b",
        "A",
        "a..b",
        "a___b",
        "-a",
        "a-",
        "../a",
        "a/../b",
        "a b",
        "a\0",
        "a._b",
        "a:b",
        &"a".repeat(256),
    ] {
        assert!(!is_repository(bad), "{bad}");
    }
}

#[test]
fn a_reference_keeps_tag_and_digest() {
    let digest = Digest::sha256(b"x");
    let text = format!("localhost:5000/a/b:1.4@{digest}");
    let reference: Reference = text.parse().unwrap();
    assert_eq!(reference.registry, "localhost:5000");
    assert_eq!(reference.repository.as_str(), "a/b");
    assert_eq!(reference.tag.as_ref().unwrap().as_str(), "1.4");
    assert_eq!(reference.digest, Some(digest));
    assert_eq!(reference.to_string(), text);
}

#[test]
fn a_reference_guesses_nothing() {
    assert_eq!("r.example/web".parse::<Reference>().unwrap().tag, None);
    for bad in [
        "debian",
        "library/debian:12",
        "r.example",
        "r.example/",
        "r.example/a:",
        "r.example/A:1",
    ] {
        assert!(bad.parse::<Reference>().is_err(), "{bad}");
    }
}

#[test]
fn digests_are_lower_case_hex_of_a_known_algorithm() {
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let digest = Digest::of(algorithm, b"abc");
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        assert!(digest.to_string().to_uppercase().parse::<Digest>().is_err());
    }
    assert_eq!(
        Digest::sha256(b"abc").hex(),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    assert!(matches!(
        "sha1:aa".parse::<Digest>(),
        Err(InvalidDigest::UnknownAlgorithm(_))
    ));
}

#[test]
fn platforms_select_by_what_was_said() {
    let arm: Platform = "linux/arm".parse().unwrap();
    let v7: Platform = "linux/arm/v7".parse().unwrap();
    assert!(arm.selects(&v7) && !v7.selects(&arm));
    for bad in ["linux", "linux/", "a/b/c/d", "linux/arm/", "/a/b", "a//b"] {
        assert!(bad.parse::<Platform>().is_err(), "{bad}");
    }
}

#[test]
fn a_manifest_lists_config_then_layers() {
    let blob = Digest::sha256(b"blob");
    let text = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"c","digest":"{blob}","size":4}},
        "layers":[{{"mediaType":"l","digest":"{blob}","size":4,"data":"YmxvYg==","urls":["http://x"]}}],"unknown":1}}"#
    );
    let manifest = Manifest::parse(text.as_bytes(), media_type::DOCKER_MANIFEST).unwrap();
    let types: Vec<_> = manifest
        .blobs()
        .map(|blob| blob.media_type.to_string())
        .collect();
    assert_eq!(types, ["c", "l"]);
    assert_eq!(manifest.artifact_type.as_deref(), Some("c"));
}

#[test]
fn empty_lists_null_lists_and_missing_media_types_are_read() {
    let index = Manifest::parse(br#"{"schemaVersion":2,"manifests":[]}"#, "application/json");
    assert_eq!(index.unwrap().media_type, media_type::OCI_INDEX);
    let null = Manifest::parse(
        br#"{"schemaVersion":2,"layers":null,"config":null}"#,
        media_type::OCI_MANIFEST,
    );
    assert_eq!(null.unwrap().blobs().count(), 0);
}

#[test]
fn schema_1_and_disagreeing_types_are_refused() {
    assert!(matches!(
        Manifest::parse(br#"{"schemaVersion":1}"#, media_type::OCI_MANIFEST),
        Err(InvalidManifest::Schema1)
    ));
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}"}}"#,
        media_type::OCI_INDEX
    );
    assert!(matches!(
        Manifest::parse(index.as_bytes(), media_type::OCI_MANIFEST),
        Err(InvalidManifest::MediaTypeDiffers { .. })
    ));
}
