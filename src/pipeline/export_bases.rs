//! Which layers of the target new ones are described by: chosen before any of them is read, by what the ledger tells.
//!
//! It is pure. An update changes the size of a layer little, so for each new layer those of the nearest size are taken,
//! and the newest of a similar size, each from the repositories that need the new one. What is chosen is only a guess:
//! a layer that nothing is like costs a reading, and recipes do not name it.

use std::cmp::Reverse;
use std::collections::HashSet;

use super::export_plan::ExportPlan;
use super::export_thin::KnownContents;
use crate::history::Known;
use crate::oci::Digest;

/// Nothing is gained by taking smaller contents apart.
pub(super) const LAYER_MIN_BYTES: u64 = 4 << 10;
/// The references of one export, as far as recipes can name them.
pub(super) const REFERENCES_MAX: usize = 256;
/// Layers of the nearest size that are taken for each new one.
const NEAREST_PER_LAYER: usize = 2;
/// From this ratio on the sizes of two layers are not similar.
const SIMILAR_RATIO: u64 = 2;

/// Layers that the target has, with the source that may have them too: a few for each new layer, the newest first, so
/// that of equal bytes those are referred to.
pub(super) fn choose_bases(export: &ExportPlan, known: &KnownContents) -> Vec<(usize, Digest)> {
    let mut chosen = Vec::new();
    let mut seen = HashSet::new();
    for position in &export.carriage.blobs {
        let blob = &export.plan.blobs[*position];
        let size_bytes = blob.descriptor.size;
        if size_bytes < LAYER_MIN_BYTES {
            continue;
        }
        for repository in &blob.repositories {
            let name = export.plan.repositories[*repository].as_str();
            let there = known
                .iter()
                .filter(|(_, it)| it.repositories.contains(name));
            for digest in choose_for(size_bytes, there.collect()) {
                if seen.insert(digest) {
                    chosen.push((blob.place.source, digest));
                }
            }
        }
    }
    chosen.truncate(REFERENCES_MAX);
    chosen.sort_by_key(|(_, digest)| (Reverse(known[*digest].sequence), *digest));
    let owned = chosen.into_iter();
    owned
        .map(|(source, digest)| (source, digest.clone()))
        .collect()
}

/// The bases of one new layer of `size_bytes`.
fn choose_for<'a>(
    size_bytes: u64,
    mut candidates: Vec<(&'a Digest, &'a Known)>,
) -> Vec<&'a Digest> {
    candidates.retain(|(_, it)| it.size_bytes >= LAYER_MIN_BYTES);
    candidates.sort_by_key(|(digest, it)| {
        let difference = it.size_bytes.abs_diff(size_bytes);
        (difference, Reverse(it.sequence), *digest)
    });
    let is_similar =
        |other: u64| size_bytes.max(other) < size_bytes.min(other).saturating_mul(SIMILAR_RATIO);
    let similar = candidates
        .iter()
        .filter(|(_, it)| is_similar(it.size_bytes));
    // Of equally new ones the first, which is the nearest.
    let newest = similar.min_by_key(|(_, it)| Reverse(it.sequence)).copied();
    candidates.truncate(NEAREST_PER_LAYER);
    candidates.extend(newest);
    candidates.into_iter().map(|(digest, _)| digest).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::history::{ContentKind, Why};

    const MB: u64 = 1_000_000;

    fn known(layers: &[(&str, u64, u64)]) -> BTreeMap<Digest, Known> {
        let entry = |&(name, size_bytes, sequence): &(&str, u64, u64)| {
            let known = Known {
                size_bytes,
                kind: ContentKind::Blob,
                repositories: BTreeSet::from(["apps/web".to_owned()]),
                sequence,
                why: Why::Sent,
            };
            (Digest::sha256(name.as_bytes()), known)
        };
        layers.iter().map(entry).collect()
    }

    fn chosen(size_bytes: u64, layers: &[(&str, u64, u64)]) -> BTreeSet<Digest> {
        let known = known(layers);
        let chosen = choose_for(size_bytes, known.iter().collect());
        chosen.into_iter().cloned().collect()
    }

    fn digests(names: &[&str]) -> BTreeSet<Digest> {
        names
            .iter()
            .map(|name| Digest::sha256(name.as_bytes()))
            .collect()
    }

    #[test]
    fn the_smallest_layer_of_an_image_finds_its_old_version() {
        let image = [
            ("base", 40 * MB, 1),
            ("runtime", 35 * MB, 1),
            ("app", 9 * MB, 1),
        ];
        let expected = digests(&["app", "runtime"]);
        assert_eq!(chosen(9 * MB + 1, &image), expected);
    }

    #[test]
    fn the_newest_of_a_similar_size_is_taken_beside_the_nearest() {
        let layers = [
            ("base", 40 * MB, 9),
            ("app of long ago", 9 * MB, 1),
            ("app before that", 9 * MB + 2, 2),
            ("app of late", 10 * MB, 8),
        ];
        let expected = digests(&["app of long ago", "app before that", "app of late"]);
        assert_eq!(chosen(9 * MB, &layers), expected);
    }

    #[test]
    fn contents_that_are_no_layers_are_no_bases() {
        assert_eq!(
            chosen(9 * MB, &[("config", LAYER_MIN_BYTES - 1, 1)]),
            digests(&[])
        );
    }
}
