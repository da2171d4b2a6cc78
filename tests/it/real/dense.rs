//! Dense bundles and deltas between real registries, of layers that skopeo has compressed.

use std::fs;
use std::path::{Path, PathBuf};

use airlift::bundle::{Inventory, Profile};
use airlift::oci::{Digest, media_type};
use airlift::pipeline::open_volumes;
use serde_json::json;
use tempfile::TempDir;

use super::holdings::holdings;
use super::{Ends, fixture, text};
use crate::bundle::road::{names_in, trust};
use crate::support::artifacts::{Dice, edit, tar_of};
use crate::support::command::Airlift;
use crate::support::containers::places;
use crate::support::real::run;

const LAYERS: u64 = 3;
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// Writes a layout of layers that are not compressed; skopeo does that on their way into a registry.
fn write_layout(directory: &Path, version: u64) -> PathBuf {
    let layout = directory.join(format!("near-{version}"));
    fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    let put = |bytes: &[u8], kind: &str| {
        let digest = Digest::sha256(bytes);
        fs::write(layout.join("blobs/sha256").join(digest.hex()), bytes).unwrap();
        json!({"mediaType": kind, "digest": digest, "size": bytes.len()})
    };
    let plain = (1..=LAYERS).map(|number| {
        let mut plain = tar_of(&mut Dice::new(number), 30, 40_000);
        for version in 1..=version {
            edit(&mut Dice::new(number << 8 | version), &mut plain);
        }
        plain
    });
    let plain: Vec<Vec<u8>> = plain.collect();
    let ids: Vec<Digest> = plain.iter().map(|layer| Digest::sha256(layer)).collect();
    let layers: Vec<_> = plain
        .iter()
        .map(|layer| put(layer, "application/vnd.oci.image.layer.v1.tar"))
        .collect();
    let config = json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": ids}});
    let config = put(config.to_string().as_bytes(), CONFIG);
    let manifest = json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config, "layers": layers});
    let mut manifest = put(manifest.to_string().as_bytes(), media_type::OCI_MANIFEST);
    manifest["annotations"] = json!({"org.opencontainers.image.ref.name": "web"});
    let index = json!({"schemaVersion": 2, "manifests": [manifest]});
    fs::write(layout.join("index.json"), index.to_string()).unwrap();
    fs::write(
        layout.join("oci-layout"),
        "{\"imageLayoutVersion\":\"1.0.0\"}",
    )
    .unwrap();
    layout
}

struct Lane {
    ends: Ends,
    home: TempDir,
}

impl Lane {
    fn start_or_skip() -> Option<Self> {
        Some(Self {
            ends: Ends::start_or_skip()?,
            home: tempfile::tempdir().unwrap(),
        })
    }

    fn path(&self, name: &str) -> String {
        text(&self.home.path().join(name))
    }

    /// Has skopeo compress the layers of this version into the source.
    fn push(&self, version: u64) {
        let layout = write_layout(self.home.path(), version);
        let from = format!("oci:{}:web", layout.display());
        let to = format!("docker://{}/apps/web:1.4", self.ends.source.address());
        let arguments = ["--insecure-policy", "copy", "--quiet"];
        let more = ["--dest-tls-verify=false", &from, &to];
        run(&self.ends.skopeo, &[&arguments[..], &more].concat());
    }

    fn run(&self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let airlift = Airlift::new(&words).directory(self.home.path());
        airlift.run().assert_success();
    }

    fn export(&self, more: &str) {
        let reference = format!("{}/apps/web:1.4", self.ends.source.address());
        let key = text(&fixture("keys/snakeoil-p256"));
        self.run(&format!(
            "export {reference} --container usb --sign-key {key} --spool spool {more}"
        ));
    }

    fn import(&self, prefix: &str, more: &str) {
        let target = format!("{}{prefix}", self.ends.target.address());
        let key = text(&fixture("keys/snakeoil-p256.pub"));
        self.run(&format!(
            "import usb --target {target} --trust {key} --spool spool --check {more}"
        ));
    }

    /// Exports against what the lane has confirmed, delivers, and brings the answer home.
    fn travel(&self) {
        let answering = text(&fixture("keys/snakeoil-ed25519"));
        let trusted = text(&fixture("keys/snakeoil-ed25519.pub"));
        self.export("--delta --pipeline plant --audience north --state near");
        self.import(
            "",
            &format!("--lane north --state far --receipt-key {answering}"),
        );
        self.run(&format!(
            "receipts import far/receipts --trust north={trusted} --state near"
        ));
    }

    /// Size and inventory of the only bundle, which is taken away.
    async fn take_bundle(&self) -> (u64, Inventory) {
        let usb = self.home.path().join("usb");
        let names = names_in(&usb);
        assert_eq!(names.len(), 1, "{names:?}");
        let policy = trust(&["snakeoil-p256"]);
        let (volumes, _) = open_volumes(&places(&usb).await.unwrap(), &policy)
            .await
            .unwrap();
        let inventory = volumes[0].inventory().clone();
        let path = usb.join(&names[0]);
        let size = fs::metadata(&path).unwrap().len();
        fs::remove_file(path).unwrap();
        (size, inventory)
    }

    async fn assert_same_ends(&self) {
        let source = holdings(&self.ends.source.address()).await;
        let target = holdings(&self.ends.target.address()).await;
        assert!(source == target, "{:?}\n{:?}", source.0, target.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn layers_that_skopeo_wrote_travel_as_a_delta() {
    let Some(lane) = Lane::start_or_skip() else {
        return;
    };
    lane.push(0);
    lane.travel();
    lane.assert_same_ends().await;
    let (whole, first) = lane.take_bundle().await;
    assert_eq!(first.profile, Profile::Dense);
    assert_eq!(first.rebuilt.len() as u64, LAYERS, "each is made again");
    lane.push(1);
    lane.travel();
    lane.assert_same_ends().await;
    let (delta, second) = lane.take_bundle().await;
    let is_assumed = |digest: &Digest| second.assumed.iter().any(|row| row.digest == *digest);
    assert_eq!(second.rebuilt.len() as u64, LAYERS);
    for row in &second.rebuilt {
        assert!(row.references.iter().any(is_assumed), "{row:?}");
    }
    assert!(delta * 5 < whole, "{delta} of {whole} bytes");
    let spool = lane.home.path().join("spool");
    assert_eq!(names_in(&spool), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dense_bundle_stands_by_itself_and_is_smaller() {
    let Some(lane) = Lane::start_or_skip() else {
        return;
    };
    lane.push(0);
    lane.export("--profile dense");
    lane.import("", "");
    lane.assert_same_ends().await;
    let (dense, _) = lane.take_bundle().await;
    lane.export("--profile plain");
    let (plain, _) = lane.take_bundle().await;
    assert!(dense < plain, "{dense} of {plain} bytes");
    let layout = lane.path("unpacked");
    lane.export("--profile dense");
    let key = text(&fixture("keys/snakeoil-p256.pub"));
    lane.run(&format!("unpack usb oci:{layout} --trust {key}"));
    let back = format!("docker://{}/back/web:1.4", lane.ends.target.address());
    lane.ends
        .skopeo_copy(&format!("oci:{layout}:apps/web:1.4"), &back);
}
