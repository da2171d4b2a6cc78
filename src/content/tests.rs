//! The walk and the plan, on small graphs in memory.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::oci::{Digest, InvalidManifest, Manifest, Pin, Platform, Repository, Tag, media_type};

struct World {
    memory: Arc<Memory>,
    repository: Repository,
}

impl World {
    fn new() -> Self {
        Self {
            memory: Arc::new(Memory::new()),
            repository: "apps/web".parse().unwrap(),
        }
    }

    fn image(&self, name: &str) -> Document {
        let blob = |text: String| {
            let digest = Digest::sha256(text.as_bytes());
            let size = text.len();
            let bytes = text.into_bytes();
            self.memory
                .put_blob(&self.repository, "x", digest.clone(), bytes);
            json!({"mediaType": "x", "digest": digest.to_string(), "size": size})
        };
        let manifest = json!({
            "schemaVersion": 2,
            "config": blob(format!("{name} config")),
            "layers": [blob(format!("{name} layer"))],
        });
        self.put(media_type::OCI_MANIFEST, &manifest)
    }

    fn index(&self, children: &[(&Document, Option<&str>)]) -> Document {
        let entries: Vec<Value> = children
            .iter()
            .map(|(child, architecture)| {
                let descriptor = &child.descriptor;
                let mut entry = json!({
                    "mediaType": &*descriptor.media_type,
                    "digest": descriptor.digest.to_string(),
                    "size": descriptor.size,
                });
                if let Some(architecture) = architecture {
                    entry["platform"] = json!({"os": "linux", "architecture": architecture});
                }
                entry
            })
            .collect();
        let index = json!({"schemaVersion": 2, "manifests": entries, "annotations": {"n": children.len().to_string()}});
        self.put(media_type::OCI_INDEX, &index)
    }

    fn put(&self, media_type: &str, value: &Value) -> Document {
        let document = Document::of(media_type, value.to_string().into_bytes());
        self.memory
            .put_manifest(&self.repository, document.clone(), None);
        document
    }

    fn plan(&self, platform: &str, roots: &[&Document]) -> Plan {
        let options = WalkOptions {
            platforms: vec![platform.parse::<Platform>().unwrap()],
            ..WalkOptions::default()
        };
        let walk = Walk::new(vec![Arc::clone(&self.memory) as Arc<dyn Source>], options);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let found = roots.iter().map(|root| {
            let root = Root {
                place: Place {
                    source: 0,
                    repository: self.repository.clone(),
                },
                pin: Pin::Digest(root.descriptor.digest.clone()),
                tag: None,
            };
            runtime.block_on(walk.find(root)).unwrap()
        });
        let found: Vec<_> = found.collect();
        assemble(&walk.into_nodes(), found)
    }
}

fn carries(plan: &Plan, document: &Document) -> bool {
    let mut manifests = plan.manifests.iter();
    manifests.any(|manifest| manifest.descriptor == document.descriptor)
}

/// `two` was delivered without the child that `one` left out.
#[test]
fn what_one_artifact_leaves_out_and_another_carries_is_carried_for_both() {
    let world = World::new();
    let [amd64, shared] = ["amd64", "shared"].map(|name| world.image(name));
    let one = world.index(&[(&amd64, Some("amd64")), (&shared, Some("arm64"))]);
    let two = world.index(&[(&shared, None)]);
    for roots in [[&one, &two], [&two, &one]] {
        let plan = world.plan("linux/amd64", &roots);
        assert!(carries(&plan, &shared));
        assert!(
            plan.artifacts
                .iter()
                .all(|artifact| artifact.absent.is_empty())
        );
        assert!(plan.manifests.iter().all(|manifest| !manifest.is_sparse));
    }
    let alone = world.plan("linux/amd64", &[&one]);
    assert!(!carries(&alone, &shared));
    assert_eq!(alone.artifacts[0].absent.len(), 1);
}

/// The entry of the other platform made the child absent that was selected by the first.
#[test]
fn a_child_that_is_listed_for_two_platforms_is_taken_for_either() {
    let world = World::new();
    let [both, other] = ["both", "other"].map(|name| world.image(name));
    let entries = [
        (&both, Some("arm")),
        (&both, Some("arm64")),
        (&other, Some("amd64")),
    ];
    let plan = world.plan("linux/arm", &[&world.index(&entries)]);
    assert!(carries(&plan, &both) && !carries(&plan, &other));
    assert_eq!(plan.artifacts[0].absent.len(), 1);
}

/// Sums of such sizes ended the program in a debug build, and wrapped in a release build.
#[test]
fn sizes_that_no_content_has_are_refused() {
    let digest = Digest::sha256(b"");
    let text = format!(r#"{{"layers":[{{"digest":"{digest}","size":18446744073709551615}}]}}"#);
    let parsed = Manifest::parse(text.as_bytes(), media_type::OCI_MANIFEST);
    assert!(matches!(parsed, Err(InvalidManifest::SizeTooLarge(_))));
}

/// `keep` left the artifact's tag alone and still moved the tag of its signature.
#[test]
fn keep_and_fail_hold_for_the_tags_of_signatures() {
    let world = World::new();
    let image = world.image("app");
    let tag = |name: &str| name.parse::<Tag>().unwrap();
    let attached = tag(&format!("sha256-{}.sig", image.descriptor.digest.hex()));
    world
        .memory
        .put_manifest(&world.repository, image.clone(), Some(&tag("1")));
    let signature = world.image("signature");
    world
        .memory
        .put_manifest(&world.repository, signature, Some(&attached));
    let plan = Arc::new(world.plan("linux/amd64", &[&image]));
    assert_eq!(plan.artifacts[0].referrers.len(), 1);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for existing in [Existing::Keep, Existing::Fail] {
        let target = World::new();
        let own = target.image("own signature");
        target
            .memory
            .put_manifest(&target.repository, own.clone(), Some(&attached));
        let copy = Copy {
            plan: Arc::clone(&plan),
            sources: vec![Arc::clone(&world.memory) as Arc<dyn Source>],
            target: Arc::clone(&target.memory) as Arc<dyn Target>,
            names: plan.repositories.clone(),
            mounts: MountSources::Filled,
            options: CopyOptions {
                existing,
                on_error: OnError::Stop,
                held: std::sync::Arc::default(),
                overwrites: None,
                concurrency: 2,
                events: ignore_events(),
            },
        };
        let done = runtime.block_on(copy.run());
        assert_eq!(done.is_err(), existing == Existing::Fail);
        let found = runtime.block_on(target.memory.resolve_tag(&target.repository, &attached));
        assert_eq!(found.unwrap(), Some(own.descriptor.digest));
    }
}
