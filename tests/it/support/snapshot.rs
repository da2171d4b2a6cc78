//! Everything that a place holds, as two plain maps, and their comparison.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use airlift::oci::{Digest, Repository, Tag};
use bytes::Bytes;

pub(crate) type Tags = BTreeMap<(Repository, Tag), Digest>;
pub(crate) type Contents = BTreeMap<(Repository, Digest), Bytes>;
/// What `content::Memory::snapshot` gives, and the fake registry too.
pub(crate) type Snapshot = (Tags, Contents);

/// Fails with the names that differ, and never with the bytes.
#[track_caller]
pub(crate) fn assert_same(found: &Snapshot, expected: &Snapshot) {
    let mut differences = differences(&found.0, &expected.0);
    differences.extend(self::differences(&found.1, &expected.1));
    assert!(
        differences.is_empty(),
        "the two places differ:\n  {}",
        differences.join("\n  ")
    );
}

/// Fails when `found` lacks something of `expected`, or holds other bytes for it.
#[track_caller]
pub(crate) fn assert_contains(found: &Snapshot, expected: &Snapshot) {
    let tags = differences(&restricted(&found.0, &expected.0), &expected.0);
    let contents = differences(&restricted(&found.1, &expected.1), &expected.1);
    let missing = [tags, contents].concat();
    assert!(missing.is_empty(), "missing:\n  {}", missing.join("\n  "));
}

fn restricted<K: Ord + Clone, V: Clone>(
    found: &BTreeMap<K, V>,
    to: &BTreeMap<K, V>,
) -> BTreeMap<K, V> {
    let mut found = found.clone();
    found.retain(|key, _| to.contains_key(key));
    found
}

fn differences<K: Ord + Debug, V: PartialEq>(
    found: &BTreeMap<K, V>,
    expected: &BTreeMap<K, V>,
) -> Vec<String> {
    let keys: BTreeSet<&K> = found.keys().chain(expected.keys()).collect();
    keys.into_iter()
        .filter_map(|key| match (found.get(key), expected.get(key)) {
            (None, _) => Some(format!("missing: {key:?}")),
            (_, None) => Some(format!("unexpected: {key:?}")),
            (found, expected) if found != expected => Some(format!("different: {key:?}")),
            _ => None,
        })
        .collect()
}

/// `snapshot` without the lookup tables of the referrers tag schema, which are no content.
pub(crate) fn without_lookup_tables((tags, contents): &Snapshot) -> Snapshot {
    let (tables, tags): (Tags, Tags) = tags
        .clone()
        .into_iter()
        .partition(|((_, tag), _)| is_lookup_table(tag.as_str()));
    let mut contents = contents.clone();
    contents.retain(|(repository, digest), _| {
        let is_table = tables
            .iter()
            .any(|((home, _), table)| home == repository && table == digest);
        let is_tagged = tags
            .iter()
            .any(|((home, _), tagged)| home == repository && tagged == digest);
        !is_table || is_tagged
    });
    (tags, contents)
}

fn is_lookup_table(tag: &str) -> bool {
    let hex = tag
        .strip_prefix("sha256-")
        .or_else(|| tag.strip_prefix("sha512-"));
    hex.is_some_and(|hex| hex.len() >= 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}
