//! Cosign's tags: `sha256-<hex>.sig`, `.att` and `.sbom`, by which it finds what it attached to a digest.
//!
//! Pure. Specification: sigstore/cosign, "Signature Spec", naming of signature objects; and the tag of the
//! referrers tag schema, which is a lookup table and never content (distribution-spec, "Referrers Tag Schema").

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::oci::{Digest, Tag};

const SUFFIXES: [&str; 3] = ["sig", "att", "sbom"];

/// What a tag of the form `sha256-<hex>…` stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttachedTag {
    /// Something that cosign attached to the digest.
    Cosign(Digest),
    /// The lookup table of the digest's referrers.
    ReferrersTable(Digest),
}

impl AttachedTag {
    pub fn parse(tag: &Tag) -> Option<Self> {
        let (stem, suffix) = match tag.as_str().split_once('.') {
            Some((stem, suffix)) => (stem, Some(suffix)),
            None => (tag.as_str(), None),
        };
        let digest: Digest = stem.replacen('-', ":", 1).parse().ok()?;
        match suffix {
            None => Some(Self::ReferrersTable(digest)),
            Some(suffix) if SUFFIXES.contains(&suffix) => Some(Self::Cosign(digest)),
            Some(_) => None,
        }
    }
}

/// The cosign tags of a repository by the digest that they are attached to.
#[derive(Clone, Debug, Default)]
pub(super) struct CosignTags {
    by_subject: Arc<BTreeMap<Digest, Vec<Tag>>>,
}

impl CosignTags {
    pub(super) fn among(tags: Vec<Tag>) -> Self {
        let mut by_subject: BTreeMap<Digest, Vec<Tag>> = BTreeMap::new();
        for tag in tags {
            if let Some(AttachedTag::Cosign(subject)) = AttachedTag::parse(&tag) {
                by_subject.entry(subject).or_default().push(tag);
            }
        }
        for tags in by_subject.values_mut() {
            tags.sort();
        }
        Self {
            by_subject: Arc::new(by_subject),
        }
    }

    /// The tags attached to `subject`, sorted.
    pub(super) fn of(&self, subject: &Digest) -> Vec<Tag> {
        self.by_subject.get(subject).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attached_tags_are_told_apart() {
        let digest = Digest::sha256(b"x");
        let parse = |suffix: &str| {
            AttachedTag::parse(&format!("sha256-{}{suffix}", digest.hex()).parse().unwrap())
        };
        assert_eq!(parse(".sig"), Some(AttachedTag::Cosign(digest.clone())));
        assert_eq!(parse(""), Some(AttachedTag::ReferrersTable(digest.clone())));
        assert_eq!(parse(".other"), None);
        assert_eq!(AttachedTag::parse(&"1.4".parse().unwrap()), None);
    }
}
