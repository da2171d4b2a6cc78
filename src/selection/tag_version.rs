//! Versions in tags, which are written more freely than Semantic Versioning 2.0.0 allows.
//!
//! Two numbers are enough, a `v` may stand before them and zeros may lead; what follows a `-` is a pre-release by
//! the rules of that specification. One number alone is no version: `3` moves, and `20260101` is a date.

use std::cmp::Ordering;

use semver::{BuildMetadata, Prerelease, Version};

/// A version that a tag stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagVersion {
    version: Version,
    /// How many numbers were written: `1.25` usually moves, `1.25.0` does not.
    numbers: usize,
}

impl TagVersion {
    /// `None` where the text is no version.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let (core, pre) = text.split_once('-').unwrap_or((text, ""));
        let numbers: Vec<u64> = core.split('.').map(parse_number).collect::<Option<_>>()?;
        let (major, minor, patch) = match numbers[..] {
            [major, minor] => (major, minor, 0),
            [major, minor, patch] => (major, minor, patch),
            _ => return None,
        };
        let pre = match text.contains('-') {
            true => Prerelease::new(pre).ok().filter(|pre| !pre.is_empty())?,
            false => Prerelease::EMPTY,
        };
        Some(Self {
            version: Version {
                major,
                minor,
                patch,
                pre,
                build: BuildMetadata::EMPTY,
            },
            numbers: numbers.len(),
        })
    }

    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The minor version that it belongs to.
    pub fn minor(&self) -> (u64, u64) {
        (self.version.major, self.version.minor)
    }
}

fn parse_number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

impl Ord for TagVersion {
    /// Of two that are equal the one that says more comes last.
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |it: &Self| (it.version.clone(), it.numbers);
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for TagVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_tags() {
        for (tag, expected) in [
            ("1.25.3", Some("1.25.3")),
            ("v1.25.3", Some("1.25.3")),
            ("1.25", Some("1.25.0")),
            ("22.04", Some("22.4.0")),
            ("1.25.3-alpine", Some("1.25.3-alpine")),
            ("1.25.3-rc.1", Some("1.25.3-rc.1")),
            ("2.0-beta", Some("2.0.0-beta")),
            ("latest", None),
            ("3", None),
            ("20260101", None),
            ("1.2.3.4", None),
            ("1.25.3-", None),
            ("1.25.3_1", None),
            ("1..3", None),
            ("vv1.2.3", None),
            ("1.99999999999999999999.0", None),
        ] {
            let found = TagVersion::parse(tag).map(|it| it.version().to_string());
            assert_eq!(found.as_deref(), expected, "{tag}");
        }
    }

    #[test]
    fn versions_have_an_order() {
        let tags = [
            "1.9",
            "1.10-rc.2",
            "1.10-rc.10",
            "1.10",
            "1.10.0",
            "v1.10.1",
            "2.0.0",
        ];
        let versions: Vec<_> = tags.iter().map(|tag| TagVersion::parse(tag)).collect();
        assert!(versions.is_sorted(), "{versions:?}");
    }
}
