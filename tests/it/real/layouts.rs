//! Layout directories between skopeo and us, in both directions.

use std::fs;

use airlift::oci::Digest;

use super::holdings::holdings;
use super::{Ends, fixture, text};
use crate::support::snapshot::assert_contains;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_skopeo_wrote_is_exported() {
    let Some(ends) = Ends::start_or_skip() else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let layout = text(&directory.path().join("web"));
    for tag in ["1.0", "1.1"] {
        let from = format!("oci:{}:{tag}", text(&fixture("foreign/skopeo-oci")));
        ends.skopeo_copy(&from, &format!("oci:{layout}:{tag}"));
    }
    ends.travel(&[format!("oci:{layout}")]);
    let arrived = holdings(&ends.target.address()).await;
    let tags: Vec<String> = arrived
        .0
        .keys()
        .map(|(name, tag)| format!("{name}:{tag}"))
        .collect();
    assert_eq!(tags, ["web:1.0", "web:1.1"], "named as the directory");
    for digest in arrived.0.values() {
        let path = format!("{layout}/blobs/sha256/{}", digest.hex());
        assert!(fs::exists(path).unwrap(), "{digest}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn skopeo_reads_a_directory_that_we_wrote() {
    let Some(ends) = Ends::start_or_skip() else {
        return;
    };
    let multi = format!("oci:{}:1.0", text(&fixture("foreign/buildah-multiarch")));
    let address = ends.source.address();
    ends.skopeo_copy(&multi, &format!("docker://{address}/apps/multi:1.0"));
    ends.export(&[&format!("{address}/apps/multi:1.0")])
        .assert_success();
    let directory = tempfile::tempdir().unwrap();
    let layout = text(&directory.path().join("layout"));
    ends.import(&format!("oci:{layout}")).assert_success();
    let back = format!("docker://{}/apps/multi:1.0", ends.target.address());
    ends.skopeo_copy(&format!("oci:{layout}:apps/multi:1.0"), &back);
    assert_contains(
        &holdings(&ends.target.address()).await,
        &holdings(&address).await,
    );
}

/// Unpacked with our own command, the bundle is a layout that skopeo reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn skopeo_reads_an_unpacked_bundle() {
    let Some(ends) = Ends::start_or_skip() else {
        return;
    };
    let layout = format!("oci:{}:1.1", text(&fixture("foreign/skopeo-oci")));
    let address = ends.source.address();
    ends.skopeo_copy(&layout, &format!("docker://{address}/apps/web:1.1"));
    ends.export(&[&format!("{address}/apps/web:1.1")])
        .assert_success();
    let mut objects = fs::read_dir(ends.container.path()).unwrap();
    let object = objects.next().unwrap().unwrap().path();
    let tar = crate::support::real::tool_or_skip("tar");
    let zstd = crate::support::real::tool_or_skip("zstd");
    let (Some(tar), Some(_)) = (tar, zstd) else {
        return;
    };
    let unpacked = tempfile::tempdir().unwrap();
    let into = text(unpacked.path());
    crate::support::real::run(&tar, &["--zstd", "-xf", &text(&object), "-C", &into]);
    let out = tempfile::tempdir().unwrap();
    let from = format!("oci:{into}:apps/web:1.1");
    ends.skopeo_copy(&from, &format!("dir:{}", text(out.path())));
    let read = Digest::sha256(&fs::read(out.path().join("manifest.json")).unwrap());
    let sent = holdings(&address).await;
    assert!(sent.0.values().any(|digest| *digest == read), "{read}");
}
