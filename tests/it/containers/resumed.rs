//! Exports into clouds that are interrupted and gone on with: what was brought there is neither read nor sent again.

use std::net::SocketAddr;

use airlift::content::{Document, Memory, Target};
use airlift::history::{Ledger, Upload};
use airlift::oci::Digest;
use airlift::pipeline::upload_place;
use airlift::storage::ContainerReference;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::open;

use crate::support::artifacts::{Dice, image};
use crate::support::clouds::{Azurite, Moto, account_key};
use crate::support::command::{Airlift, Output};
use crate::support::door::Door;
use crate::support::registry::{Fault, Registry, When};

pub(super) const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");
/// A little smaller than a part of an upload.
pub(super) const LAYER_BYTES: usize = 7 << 20;
pub(super) const LAYERS: usize = 9;
/// Requests, signatures, inventory, manifests.
const OVERHEAD_BYTES: u64 = 256 << 10;

/// A cloud behind a door, a registry with one image, and a state directory.
pub(super) struct Road {
    pub(super) source: Registry,
    pub(super) layers: Vec<Digest>,
    pub(super) door: Door,
    pub(super) container: String,
    secret: String,
    pub(super) state: TempDir,
}

impl Road {
    pub(super) async fn new(url: &str, server: SocketAddr, secret: &str) -> Self {
        Self::with_layers(&[LAYER_BYTES; LAYERS], url, server, secret).await
    }

    pub(super) async fn with_layers(
        sizes: &[usize],
        url: &str,
        server: SocketAddr,
        secret: &str,
    ) -> Self {
        let source = Registry::start();
        let layers = push_image(&source, sizes, 1).await;
        let door = Door::before(server);
        let join = if url.contains('?') { '&' } else { '?' };
        Self {
            container: format!("{}{join}credential=env:DROP", door.before_url(url, server)),
            source,
            layers,
            door,
            secret: secret.to_owned(),
            state: tempfile::tempdir().unwrap(),
        }
    }

    pub(super) fn airlift(&self, words: &[&str]) -> Airlift {
        Airlift::new(words)
            .env("DROP", &self.secret)
            .env("AIRLIFT_STATE", self.state.path().to_str().unwrap())
    }

    pub(super) fn export(&self, more: &[&str]) -> Airlift {
        let reference = format!("{}/apps/web:1", self.source.address());
        let key = format!("{FIXTURES}/keys/snakeoil-p256");
        let mut words = vec!["export", &reference, "--container", &self.container];
        words.extend(["--sign-key", &key, "--output", "json"]);
        words.extend(more);
        self.airlift(&words)
    }

    pub(super) async fn uploads(&self) -> Vec<Upload> {
        let ledger = Ledger::open(self.state.path()).await.unwrap();
        let reference: ContainerReference = self.container.parse().unwrap();
        let shown = upload_place(&reference);
        let mut uploads = ledger.list_uploads(&shown).await.unwrap();
        for upload in &mut uploads {
            let object = upload.upload.object.clone();
            *upload = ledger.find_upload(&shown, &object).await.unwrap().unwrap();
        }
        uploads
    }

    /// An export that ends because the source has lost the last layer but one.
    pub(super) fn interrupt(&self, more: &[&str]) {
        let lost = format!("/blobs/{}", self.layers[self.layers.len() - 2]);
        self.source
            .fault(When::get(&lost).always(), Fault::Status(404));
        let failed = self.export(more).run();
        assert_eq!(failed.code, Some(1), "{}", failed.stderr);
        self.source.heal();
        self.source.log().clear();
        self.door.wait_until_quiet();
    }

    pub(super) fn check_bundle(&self, document: &Value) {
        let trust = format!("{FIXTURES}/keys/snakeoil-p256.pub");
        let target = Registry::start();
        let words = ["import", &self.container, "--target", &target.address()];
        let words = [&words[..], &["--trust", &trust, "--check"]].concat();
        self.airlift(&words).run().assert_success();
        assert_eq!(target.missing_content(), [""; 0], "{document}");
        assert_eq!(target.snapshot(), self.source.snapshot());
    }
}

/// Noise in layers, tagged `1`.
pub(super) async fn push_image(source: &Registry, sizes: &[usize], seed: u64) -> Vec<Digest> {
    push_into("apps/web", source, sizes, seed).await
}

pub(super) async fn push_into(
    repository: &str,
    source: &Registry,
    sizes: &[usize],
    seed: u64,
) -> Vec<Digest> {
    let memory = Memory::default();
    let repository = repository.parse().unwrap();
    let mut dice = Dice::new(seed);
    let layers: Vec<Vec<u8>> = sizes.iter().map(|size| dice.noise(*size)).collect();
    let slices: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    let image: Document = image(&memory, &repository, "amd64", &slices);
    let tag = "1".parse().unwrap();
    memory.tag(&repository, &image, &tag).await.unwrap();
    source.seed(&memory);
    layers.iter().map(|layer| Digest::sha256(layer)).collect()
}

pub(super) fn runtime() -> Runtime {
    Runtime::new().unwrap()
}

pub(super) fn bundle(output: &Output) -> Value {
    output.assert_success().json()["bundles"][0].clone()
}

pub(super) fn bytes(document: &Value, name: &str) -> u64 {
    document[name].as_u64().expect(name)
}

/// The second run reads and sends only the rest.
fn goes_on(road: &Road, runtime: &Runtime, least_resumed: u64, more: &[&str]) {
    road.interrupt(more);
    let before = road.door.entered_bytes();
    let document = bundle(&road.export(more).run());
    let sent = road.door.entered_bytes() - before;
    let (moved, resumed) = (
        bytes(&document, "movedBytes"),
        bytes(&document, "resumedBytes"),
    );
    assert!(resumed >= least_resumed, "{resumed}");
    let read = road.source.log().bytes_downloaded();
    // Manifests are moved and are no blobs; a layer that is cut may be read again for its last part.
    assert!(moved < read + 8192, "{read} of {moved}");
    let read_again = if document["volumes"][1].is_null() {
        0
    } else {
        20 << 20
    };
    assert!(read <= moved + read_again, "{read} of {moved}");
    // What lies behind the last finished entry, in the parts that are kept, is not sent again either.
    let total: u64 = document["volumes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| bytes(it, "sizeBytes"))
        .sum();
    assert!(
        sent < total - resumed + OVERHEAD_BYTES,
        "{sent} of {total}, {resumed}"
    );
    assert!(runtime.block_on(road.uploads()).is_empty());
    road.check_bundle(&document);
}

#[test]
fn an_interrupted_upload_to_azure_is_gone_on_with() {
    let Some(azurite) = Azurite::start_or_skip() else {
        return;
    };
    let runtime = runtime();
    let url = azurite.container("near", "drop");
    let key = account_key("near");
    let road = runtime.block_on(Road::new(&url, azurite.blobs, &key));
    goes_on(&road, &runtime, 6 * LAYER_BYTES as u64, &["--name", "one"]);
}

#[test]
fn an_interrupted_upload_to_s3_is_gone_on_with() {
    let Some(moto) = Moto::start_or_skip() else {
        return;
    };
    let runtime = runtime();
    let url = moto.bucket("drop");
    let road = runtime.block_on(Road::new(&url, moto.address, "some-id:some-secret"));
    goes_on(&road, &runtime, 6 * LAYER_BYTES as u64, &["--name", "one"]);
}

/// Layers that are cut by volumes: what is whole stays, and of a layer whose last part is not there the volumes
/// before keep theirs, though it is read again.
#[test]
fn interrupted_volumes_are_gone_on_with() {
    let Some(azurite) = Azurite::start_or_skip() else {
        return;
    };
    let runtime = runtime();
    let url = azurite.container("near", "drop");
    let key = account_key("near");
    let sizes = [20 << 20; 4];
    let road = runtime.block_on(Road::with_layers(&sizes, &url, azurite.blobs, &key));
    goes_on(
        &road,
        &runtime,
        34 << 20,
        &["--volume-size", "9MiB", "--pipeline", "plant"],
    );
}

#[test]
fn a_changed_plan_abandons_the_upload_of_its_pipeline() {
    let Some(azurite) = Azurite::start_or_skip() else {
        return;
    };
    let runtime = runtime();
    let url = azurite.container("near", "drop");
    let key = account_key("near");
    let road = runtime.block_on(Road::new(&url, azurite.blobs, &key));
    road.interrupt(&["--pipeline", "plant"]);
    let left = runtime.block_on(road.uploads());
    assert_eq!(left.len(), 1, "{left:?}");
    runtime.block_on(push_image(&road.source, &[LAYER_BYTES; 2], 2));
    let document = bundle(&road.export(&["--pipeline", "plant"]).run());
    assert_eq!(bytes(&document, "resumedBytes"), 0);
    assert!(runtime.block_on(road.uploads()).is_empty());
    let container = runtime.block_on(open(&url, Some(&key)));
    let uploads = runtime.block_on(container.list_uploads()).unwrap().unwrap();
    assert!(uploads.is_empty(), "{uploads:?}");
}

/// After a week, or by somebody else's hand.
#[test]
fn an_upload_that_the_store_has_lost_is_begun_anew() {
    let Some(azurite) = Azurite::start_or_skip() else {
        return;
    };
    let runtime = runtime();
    let url = azurite.container("near", "drop");
    let secret = account_key("near");
    let road = runtime.block_on(Road::new(&url, azurite.blobs, &secret));
    road.interrupt(&["--name", "one"]);
    let left = runtime.block_on(road.uploads()).remove(0);
    let container = runtime.block_on(open(&url, Some(&secret)));
    let uploaded = airlift::content::Uploaded {
        upload_id: left.upload.upload_id,
        parts: Vec::new(),
    };
    runtime
        .block_on(container.abandon(&left.upload.object, &uploaded))
        .unwrap();
    let document = bundle(&road.export(&["--name", "one"]).run());
    assert_eq!(bytes(&document, "resumedBytes"), 0);
    road.check_bundle(&document);
}

/// Where the kills strike depends on the machine; the end does not.
#[test]
fn an_upload_that_is_killed_ends_as_if_it_were_not() {
    let (Some(azurite), Some(moto)) = (Azurite::start_or_skip(), Moto::start_or_skip()) else {
        return;
    };
    let runtime = runtime();
    for (url, server, secret) in [
        (
            azurite.container("near", "drop"),
            azurite.blobs,
            account_key("near"),
        ),
        (
            moto.bucket("drop"),
            moto.address,
            "some-id:some-secret".to_owned(),
        ),
    ] {
        let road = runtime.block_on(Road::new(&url, server, &secret));
        let more = ["--volume-size", "33MiB", "--name", "one"];
        for millions in [20, 30, 40] {
            let goal = road.door.entered_bytes() + millions * 1_000_000;
            let running = road.export(&more).spawn();
            running.kill_when(|| road.door.entered_bytes() > goal);
            road.door.wait_until_quiet();
        }
        let document = bundle(&road.export(&more).run());
        assert!(runtime.block_on(road.uploads()).is_empty());
        road.check_bundle(&document);
    }
}

#[test]
fn what_a_bucket_cannot_tell_the_state_directory_does() {
    let Some(moto) = Moto::start_or_skip() else {
        return;
    };
    let runtime = runtime();
    let url = moto.bucket("drop");
    let road = runtime.block_on(Road::new(&url, moto.address, "some-id:some-secret"));
    road.interrupt(&["--name", "one"]);
    let container = |words: &[&str]| {
        let line = [&["container", words[0], &road.container], &words[1..]].concat();
        road.airlift(&line).run()
    };
    container(&["list"])
        .assert_success()
        .assert_stdout("one.tar.zst")
        .assert_stdout("open upload, not held");
    container(&["clean"])
        .assert_success()
        .assert_stdout("left: one.tar.zst")
        .assert_stdout("not old enough");
    container(&["clean", "--older-than", "0s"])
        .assert_success()
        .assert_stdout("removed: one.tar.zst")
        .assert_stdout("1 open upload, 1 removed");
    assert!(runtime.block_on(road.uploads()).is_empty());
    let document = bundle(&road.export(&["--name", "one"]).run());
    assert_eq!(bytes(&document, "resumedBytes"), 0);
    road.check_bundle(&document);
}

/// The store has the first half of a layer that cannot be read any more; zeros do not fit behind it.
#[test]
fn a_layer_that_was_brought_in_part_and_fails_now_makes_no_wrong_volume() {
    let Some(azurite) = Azurite::start_or_skip() else {
        return;
    };
    let runtime = runtime();
    let url = azurite.container("near", "drop");
    let key = account_key("near");
    let road = runtime.block_on(Road::new(&url, azurite.blobs, &key));
    runtime.block_on(push_into("apps/api", &road.source, &[1000; 2], 5));
    let other = format!("{}/apps/api:1", road.source.address());
    let more = ["--name", "one", "--continue-on-errors", &other];
    road.interrupt(&["--name", "one", &other]);
    let lost = format!("/blobs/{}", road.layers[LAYERS - 3]);
    road.source
        .fault(When::get(&lost).always(), Fault::Status(404));
    let output = road.export(&more).run();
    output.assert_code(3);
    let document = output.json()["bundles"][0].clone();
    assert_eq!(bytes(&document, "resumedBytes"), 0);
    assert_eq!(document["artifacts"].as_array().unwrap().len(), 1);
    let trust = format!("{FIXTURES}/keys/snakeoil-p256.pub");
    let object = document["volumes"][0]["path"].as_str().unwrap();
    let object = format!("{object}?credential=env:DROP");
    road.airlift(&["verify", &object, "--trust", &trust])
        .run()
        .assert_success();
    // What was left out is not there, and so the bundle is not the same.
    road.source.heal();
    let whole = bundle(
        &road
            .export(&[&more[..], &["--overwrite-blobs"]].concat())
            .run(),
    );
    assert_eq!(whole["unchanged"], false);
    assert_eq!(whole["artifacts"].as_array().unwrap().len(), 2);
    road.check_bundle(&whole);
}
