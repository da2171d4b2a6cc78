//! The rule of an import as a digest: what of a bundle is taken, what it is called, and what becomes of tags that are
//! there. Two rules with one digest make the same of a bundle, but for its age.
//!
//! Pure. What says nothing about the result is no part of it: trust, limits, what is read back.

use super::import::Tailoring;
use super::overwrite::MovesBack;
use super::part::PartSelection;
use super::rebuild::PlatformIndex;
use crate::content::Existing;
use crate::oci::Digest;
use crate::selection::Rules;

/// The rule as lines of a key and a value; texts of people have no line breaks.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn push(&mut self, key: &str, value: &str) {
        let value = value.escape_debug();
        self.0.push_str(&format!("{key} {value}\n"));
    }

    fn push_some(&mut self, key: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.push(key, &value.to_string());
        }
    }

    /// A list whose order means nothing.
    fn push_set(&mut self, key: &str, values: impl Iterator<Item = impl ToString>) {
        let mut values: Vec<String> = values.map(|value| value.to_string()).collect();
        values.sort();
        values.dedup();
        for value in values {
            self.push(key, &value);
        }
    }

    fn push_part(&mut self, part: &PartSelection) {
        self.push_set("repositories", part.repositories.iter());
        let excluded = &part.tags.exclude_repositories;
        self.push_set("exclude-repositories", excluded.iter());
        self.push_rules(&part.tags.rules);
    }

    fn push_rules(&mut self, rules: &Rules) {
        let Rules {
            tags,
            exclude_tags,
            versions,
            platforms,
            artifact_types,
            min_age,
            max_age,
            takes_newest_patch_only,
            newest,
        } = rules;
        self.push_some("tags", tags.as_ref());
        self.push_some("exclude-tags", exclude_tags.as_ref());
        self.push_some("versions", versions.as_ref());
        self.push_set("platforms", platforms.iter());
        self.push_set("artifact-types", artifact_types.iter());
        self.push_some("min-age", min_age.map(|age| age.as_millis()));
        self.push_some("max-age", max_age.map(|age| age.as_millis()));
        self.push("newest-patch", &takes_newest_patch_only.to_string());
        let newest = newest.map(|newest| format!("{} by {}", newest.count, newest.by));
        self.push_some("newest", newest);
    }
}

/// The digest of the rule.
pub(super) fn digest_rule(
    tailoring: &Tailoring,
    (existing, moves_back): (Existing, MovesBack),
) -> Digest {
    let Tailoring {
        part,
        renames,
        platform_index,
    } = tailoring;
    let mut lines = Lines::default();
    if let Some(part) = part {
        lines.push_part(part);
    }
    // The first that matches decides, so their order is a part of the rule.
    for rename in renames.iter() {
        lines.push("rename", &rename.to_string());
    }
    lines.push(
        "platform-index",
        match platform_index {
            PlatformIndex::Sparse => "sparse",
            PlatformIndex::Rebuild => "rebuild",
        },
    );
    lines.push(
        "existing",
        match existing {
            Existing::Overwrite => "overwrite",
            Existing::Keep => "keep",
            Existing::Fail => "fail",
        },
    );
    lines.push(
        "tag-moves-back",
        match moves_back {
            MovesBack::Allow => "allow",
            MovesBack::Refuse => "refuse",
        },
    );
    Digest::sha256(lines.0.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{OnError, ReferrerPolicy};
    use crate::pipeline::select_tags::TagSelection;
    use crate::selection::{Newest, NewestBy, RenameRule, RenameRules};

    fn digest(tailoring: &Tailoring) -> Digest {
        digest_rule(tailoring, (Existing::Overwrite, MovesBack::Allow))
    }

    fn taking(repositories: &[&str], rules: Rules) -> Tailoring {
        let everything = TagSelection::all(ReferrerPolicy::Carry, OnError::Stop);
        Tailoring {
            part: Some(Box::new(PartSelection {
                repositories: repositories.iter().map(|it| it.parse().unwrap()).collect(),
                tags: TagSelection {
                    rules,
                    ..everything
                },
            })),
            ..Tailoring::default()
        }
    }

    fn renaming(rules: &[&str]) -> Tailoring {
        let rules = rules.iter().map(|it| it.parse::<RenameRule>().unwrap());
        Tailoring {
            renames: RenameRules::new(rules.collect()),
            ..Tailoring::default()
        }
    }

    #[test]
    fn every_change_of_a_rule_is_seen() {
        let newest = |count| Rules {
            newest: Some(Newest {
                count,
                by: NewestBy::Created,
            }),
            ..Rules::default()
        };
        let rebuilding = Tailoring {
            platform_index: PlatformIndex::Rebuild,
            ..Tailoring::default()
        };
        let everything = Tailoring::default();
        let digests = [
            digest(&everything),
            digest(&rebuilding),
            digest_rule(&everything, (Existing::Keep, MovesBack::Allow)),
            digest_rule(&everything, (Existing::Overwrite, MovesBack::Refuse)),
            digest(&taking(&["a/*"], Rules::default())),
            digest(&taking(&["a/*", "b/*"], Rules::default())),
            digest(&taking(&["a/*"], newest(3))),
            digest(&taking(&["a/*"], newest(4))),
            digest(&renaming(&["a/=b/"])),
            digest(&renaming(&["a/=b/", "b/=a/"])),
            digest(&renaming(&["b/=a/", "a/=b/"])),
        ];
        for (position, one) in digests.iter().enumerate() {
            assert!(!digests[position + 1..].contains(one), "{position}");
        }
    }

    #[test]
    fn the_order_of_a_list_and_the_time_are_no_part_of_the_rule() {
        let mut later = taking(&["b/*", "a/*"], Rules::default());
        if let Some(part) = &mut later.part {
            part.tags.now = jiff::Timestamp::MAX;
        }
        assert_eq!(
            digest(&later),
            digest(&taking(&["a/*", "b/*"], Rules::default()))
        );
    }
}
