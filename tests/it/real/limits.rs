//! What Debian's registry refuses: one clear error that names the side and the artifact, and no tag.

use airlift::content::Source;
use airlift::oci::{Algorithm, Repository, media_type};

use super::{export, import};
use crate::road::Journey;
use crate::support::artifacts::{ManifestText, blob, five_nodes};
use crate::support::real::DockerRegistry;
use crate::support::registry::Registry;

fn errors_in(stderr: &str) -> usize {
    stderr
        .lines()
        .filter(|line| line.starts_with("error: "))
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manifest_addressed_by_sha512_is_refused_by_name() {
    let Some(target) = DockerRegistry::start_or_skip() else {
        return;
    };
    let (source, container) = (Registry::start(), tempfile::tempdir().unwrap());
    let memory = airlift::content::Memory::new();
    let repository: Repository = "apps/wide".parse().unwrap();
    let config = blob(&memory, &repository, "application/json", "{}");
    let text = ManifestText::new(media_type::OCI_MANIFEST)
        .config(&config)
        .layers(&[]);
    let document = text.document(Algorithm::Sha512);
    let digest = document.descriptor.digest.to_string();
    memory.put_manifest(&repository, document, "1".parse().ok().as_ref());
    source.seed(&memory);
    let reference = format!("{}/apps/wide:1", source.address());
    export(&[&reference], container.path())
        .run()
        .assert_success();
    let output = import(container.path(), &target.address()).run();
    output
        .assert_code(1)
        .assert_stderr("target: ")
        .assert_stderr(&digest);
    output.assert_stderr("apps/wide");
    assert_eq!(errors_in(&output.stderr), 1, "{}", output.stderr);
    assert_no_tag(&target, &repository).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sparse_index_is_refused_with_the_way_round() {
    let Some(target) = DockerRegistry::start_or_skip() else {
        return;
    };
    let (source, container) = (Registry::start(), tempfile::tempdir().unwrap());
    let five = five_nodes();
    source.seed(&five.memory);
    let reference = format!("{}/apps/web:1.4", source.address());
    let key = super::text(&super::fixture("keys/snakeoil-p256"));
    let path = super::text(container.path());
    let arguments = [
        "export",
        &reference,
        "--container",
        &path,
        "--sign-key",
        &key,
    ];
    let arguments = [&arguments[..], &["--platform", "linux/arm64"]].concat();
    crate::support::command::airlift(&arguments).assert_success();
    let output = import(container.path(), &target.address()).run();
    output.assert_code(1).assert_stderr("target: ");
    output.assert_stderr(&five.m0.descriptor.digest.to_string());
    output
        .assert_stderr("hint: ")
        .assert_stderr("--platform-index rebuild");
    assert_eq!(errors_in(&output.stderr), 1, "{}", output.stderr);
    assert_no_tag(&target, &five.repository).await;
}

async fn assert_no_tag(target: &DockerRegistry, repository: &Repository) {
    let connections = Journey::new().connections();
    let registry = connections.registry(&target.address()).unwrap();
    let tags = registry.tags(repository).await;
    assert!(tags.is_err() || tags.unwrap().is_empty());
}

#[test]
fn a_registry_that_is_not_there_is_named_with_its_side() {
    let Some(mut registry) = DockerRegistry::start_or_skip() else {
        return;
    };
    registry.stop();
    let container = tempfile::tempdir().unwrap();
    let reference = format!("{}/apps/web:1", registry.address());
    let output = export(&[&reference], container.path()).run();
    output
        .assert_code(1)
        .assert_stderr("source: ")
        .assert_stderr(&registry.address());
}

#[test]
fn a_missing_tag_is_named_with_its_side() {
    let Some(registry) = DockerRegistry::start_or_skip() else {
        return;
    };
    let container = tempfile::tempdir().unwrap();
    let reference = format!("{}/apps/web:1", registry.address());
    let output = export(&[&reference], container.path()).run();
    output
        .assert_code(1)
        .assert_stderr("source: ")
        .assert_stderr(&reference);
}
