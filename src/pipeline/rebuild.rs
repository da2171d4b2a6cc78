//! Makes an index of the carried platforms only, for targets that refuse a sparse one.
//!
//! This is the one place where a manifest is written anew, and only because somebody asked for it: the
//! digest changes, so what was signed is no longer what is delivered, and that is said.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use serde_json::Value;

use crate::content::{Error, ErrorKind, Plan, Result, Source, fetch_document};
use crate::oci::{Descriptor, Digest, Pin};

/// What to do with an index of which not every platform was carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlatformIndex {
    /// It arrives as it is, with its digest; some registries refuse it.
    #[default]
    Sparse,
    /// An index of the carried platforms takes its place, under another digest.
    Rebuild,
}

/// Rebuilds the sparse indexes of a plan. Says for people what has changed.
pub(super) async fn rebuild_sparse_indexes(
    plan: &mut Plan,
    source: &dyn Source,
) -> Result<Vec<String>> {
    let mut rebuilt: HashMap<Digest, Descriptor> = HashMap::new();
    // Children stand before parents, so an index of rebuilt indexes is rebuilt after them.
    for position in 0..plan.manifests.len() {
        let manifest = &plan.manifests[position];
        let children = manifest
            .children
            .iter()
            .map(|child| &plan.manifests[*child].descriptor.digest);
        let carried: HashSet<Digest> = children.cloned().collect();
        let has_rebuilt_child = rebuilt.values().any(|new| carried.contains(&new.digest));
        if !manifest.is_sparse && !has_rebuilt_child {
            continue;
        }
        let old = manifest.descriptor.clone();
        let pin = Pin::Digest(old.digest.clone());
        let document = fetch_document(source, &manifest.place.repository, &pin).await?;
        let bytes = rebuild(&document.bytes, &carried, &rebuilt).map_err(|cause| {
            let message = format!("cannot rebuild the index `{}`", old.digest);
            Error::new(ErrorKind::Refused, message).with_cause(cause)
        })?;
        let new = Descriptor::of(&old.media_type, &bytes);
        rebuilt.insert(old.digest, new.clone());
        let manifest = &mut plan.manifests[position];
        manifest.descriptor = new;
        manifest.bytes = Some(bytes);
        manifest.is_sparse = false;
    }
    Ok(drop_orphans(plan, &rebuilt))
}

/// The index with the carried children only, under their new digests where they have some.
fn rebuild(
    bytes: &[u8],
    carried: &HashSet<Digest>,
    rebuilt: &HashMap<Digest, Descriptor>,
) -> Result<Bytes, serde_json::Error> {
    let mut index: Value = serde_json::from_slice(bytes)?;
    if let Some(children) = index.get_mut("manifests").and_then(Value::as_array_mut) {
        children.retain_mut(|child| {
            let digest = child
                .get("digest")
                .and_then(Value::as_str)
                .and_then(|text| text.parse().ok());
            let Some(digest): Option<Digest> = digest else {
                return false;
            };
            if let Some(new) = rebuilt.get(&digest) {
                child["digest"] = new.digest.to_string().into();
                child["size"] = new.size.into();
                return true;
            }
            carried.contains(&digest)
        });
    }
    serde_json::to_vec(&index).map(Bytes::from)
}

/// What referred to an index that was rebuilt refers to nothing at the target.
fn drop_orphans(plan: &mut Plan, rebuilt: &HashMap<Digest, Descriptor>) -> Vec<String> {
    let mut said: Vec<String> = rebuilt
        .iter()
        .map(|(old, new)| {
            let new = &new.digest;
            format!("the index `{old}` was rebuilt for the carried platforms and is now `{new}`")
        })
        .collect();
    said.sort();
    for artifact in &mut plan.artifacts {
        let before = artifact.referrers.len();
        artifact
            .referrers
            .retain(|referrer| !rebuilt.contains_key(&referrer.subject));
        let dropped = before - artifact.referrers.len();
        if dropped > 0 {
            said.push(match dropped {
                1 => "a signature or other referrer of it no longer applies and is left out"
                    .to_owned(),
                _ => format!(
                    "{dropped} signatures or other referrers of it no longer apply and are left out"
                ),
            });
        }
    }
    said
}
