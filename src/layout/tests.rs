//! A layout that others have written to before us.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::Layout;
use crate::content::{Content, Document, Memory, Source, Target};
use crate::oci::{Descriptor, Digest, Pin, Repository, Tag, media_type};

const REF_NAME: &str = "org.opencontainers.image.ref.name";
const IMAGE_NAME: &str = "io.containerd.image.name";

fn repository() -> Repository {
    "mine".parse().unwrap()
}

fn manifest(name: &str) -> Document {
    let text = json!({"schemaVersion": 2, "annotations": {"name": name}}).to_string();
    Document::of(media_type::OCI_MANIFEST, text)
}

fn tag() -> Tag {
    "1.4".parse().unwrap()
}

/// A layout in a directory called `mine` whose index has entries with these annotations.
fn layout_with(annotations: &[Value]) -> (TempDir, Layout) {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("mine");
    drop(Layout::create(&path).unwrap());
    let old = manifest("old").descriptor;
    let entries: Vec<Value> = annotations
        .iter()
        .map(|annotations| {
            json!({
                "mediaType": &*old.media_type,
                "digest": old.digest,
                "size": old.size,
                "annotations": annotations,
            })
        })
        .collect();
    let index = json!({"schemaVersion": 2, "manifests": entries});
    fs::write(path.join("index.json"), index.to_string()).unwrap();
    let layout = Layout::create(&path).unwrap();
    (parent, layout)
}

fn names(path: &Path) -> Vec<String> {
    let bytes = fs::read(path.join("index.json")).unwrap();
    let index: Value = serde_json::from_slice(&bytes).unwrap();
    let entries = index["manifests"].as_array().unwrap().iter();
    entries
        .map(|entry| entry["annotations"][REF_NAME].as_str().unwrap().to_owned())
        .collect()
}

/// A tag that others had written in their way was not found when it was to move: the import said
/// "delivered", and the name still led to what it had led to before.
#[tokio::test]
async fn a_tag_in_the_words_of_another_tool_kept_its_old_digest() {
    for foreign in [
        json!({REF_NAME: "1.4"}),
        json!({REF_NAME: "r.example/mine:1.4"}),
        json!({REF_NAME: "1.4", IMAGE_NAME: "r.example/mine:1.4"}),
    ] {
        let other = json!({REF_NAME: "1.5"});
        let ours = json!({REF_NAME: "mine:1.4"});
        let (_directory, layout) = layout_with(&[other, foreign.clone(), ours]);
        let new = manifest("new");
        layout.push_manifest(&repository(), &new).await.unwrap();
        layout.tag(&repository(), &new, &tag()).await.unwrap();
        let resolved = layout.resolve_tag(&repository(), &tag()).await.unwrap();
        assert_eq!(resolved, Some(new.descriptor.digest), "{foreign}");
        let read = layout.manifest(&repository(), &Pin::Tag(tag())).await;
        assert_eq!(read.unwrap().bytes, new.bytes);
        assert_eq!(names(layout.path()), ["1.5", "mine:1.4"]);
    }
}

/// Larger than what is hashed in one step.
const LAYER_BYTES: usize = 9 << 20;

fn layer() -> Content {
    let bytes = vec![7; LAYER_BYTES];
    let memory = Memory::new();
    let digest = Digest::sha256(&bytes);
    let descriptor = memory.put_blob(&repository(), media_type::OCTET_STREAM, digest, bytes);
    Content::new(Arc::new(memory), repository(), descriptor)
}

fn file_of(layout: &Layout, descriptor: &Descriptor) -> PathBuf {
    let name = format!("blobs/sha256/{}", descriptor.digest.hex());
    layout.path().join(name)
}

/// Changes the last byte.
fn corrupt(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(path, bytes).unwrap();
}

/// A layer of the right size was taken for there, and tags were set above it.
#[tokio::test]
async fn a_corrupted_layer_of_the_right_size_passed_for_the_layer() {
    let (directory, layout) = layout_with(&[]);
    let layer = layer();
    let pushed = layout.push_blob(&repository(), &layer, None).await;
    pushed.unwrap();
    let file = file_of(&layout, layer.descriptor());
    drop(layout);
    let open = || Layout::create(&directory.path().join("mine")).unwrap();
    let exists = async |layout: &Layout| layout.exists(&repository(), layer.descriptor()).await;
    assert!(exists(&open()).await.unwrap(), "found as it was written");
    corrupt(&file);
    let layout = open();
    assert!(!exists(&layout).await.unwrap());
    let pushed = layout.push_blob(&repository(), &layer, None).await;
    pushed.unwrap();
    assert!(exists(&layout).await.unwrap());
    assert_eq!(
        Digest::sha256(&fs::read(file).unwrap()),
        layer.descriptor().digest
    );
}

/// The same for a manifest, even one that was sound a moment ago.
#[tokio::test]
async fn a_corrupted_manifest_of_the_right_size_passed_for_the_manifest() {
    let (_directory, layout) = layout_with(&[]);
    let document = manifest("new");
    let exists = async || layout.exists(&repository(), &document.descriptor).await;
    layout
        .push_manifest(&repository(), &document)
        .await
        .unwrap();
    assert!(exists().await.unwrap());
    corrupt(&file_of(&layout, &document.descriptor));
    assert!(!exists().await.unwrap());
}

/// What this process has hashed, it does not hash again.
#[tokio::test]
async fn a_layer_is_read_once() {
    let (directory, layout) = layout_with(&[]);
    let layer = layer();
    let pushed = layout.push_blob(&repository(), &layer, None).await;
    pushed.unwrap();
    drop(layout);
    let layout = Layout::create(&directory.path().join("mine")).unwrap();
    let exists = async || layout.exists(&repository(), layer.descriptor()).await;
    assert!(exists().await.unwrap());
    corrupt(&file_of(&layout, layer.descriptor()));
    assert!(exists().await.unwrap());
}
