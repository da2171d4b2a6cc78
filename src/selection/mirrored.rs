//! Where an image is found by its old name: rename rules as whole names and prefixes, the most special first to count.
//!
//! Pure. Whoever pulls by old names can be told prefixes and nothing else, so a rule that is a regular expression is
//! left out, by name.
//!
//! **Invariant.** For every repository that no rule left out matches, the longest entry that fits it gives the name
//! that the rules give it, but for a repository below one that has a rule for itself alone.

use super::rename::{Kind, RenameRule, RenameRules};

/// Which old names an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything below the prefix; an empty one is the whole registry.
    Below,
    /// This repository.
    One,
}

/// One old name or prefix, and what stands in its place. Without slashes at the ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirroredName {
    pub scope: Scope,
    pub from: String,
    pub to: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mirrored {
    /// In the order of the rules; one for the whole registry is always there.
    pub names: Vec<MirroredName>,
    /// Rules that cannot be told, as they were written.
    pub left_out: Vec<String>,
}

impl RenameRules {
    /// The rules as prefixes. What an earlier rule takes from a later one is not told.
    pub fn mirrored(&self) -> Mirrored {
        let mut mirrored = Mirrored::default();
        for rule in self.iter() {
            mirrored.add(rule);
        }
        if !mirrored.covers("") {
            mirrored.names.push(below("", ""));
        }
        mirrored
    }
}

fn below(from: &str, to: &str) -> MirroredName {
    MirroredName {
        scope: Scope::Below,
        from: from.trim_end_matches('/').to_owned(),
        to: to.trim_end_matches('/').to_owned(),
    }
}

impl Mirrored {
    fn add(&mut self, rule: &RenameRule) {
        match rule.kind() {
            Kind::Regex { .. } => self.left_out.push(rule.to_string()),
            Kind::Prefix { from, .. } if self.covers(from) => {}
            Kind::Prefix { from, to } => self.names.push(below(from, to)),
            Kind::Name { from, .. } if self.covers(from.as_str()) => {}
            Kind::Name { from, to } => self.names.push(MirroredName {
                scope: Scope::One,
                from: from.to_string(),
                to: to.to_string(),
            }),
        }
    }

    /// Whether an earlier entry decides about the name, or about everything below the prefix.
    fn covers(&self, name: &str) -> bool {
        self.names.iter().any(|it| match it.scope {
            Scope::Below if it.from.is_empty() => true,
            Scope::Below => name
                .strip_prefix(it.from.as_str())
                .is_some_and(|rest| rest.starts_with('/')),
            Scope::One => name == it.from,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::oci::Repository;

    fn rules(texts: &[String]) -> RenameRules {
        let rules = texts.iter().map(|text| text.parse().expect("a rule"));
        RenameRules::new(rules.collect())
    }

    /// As podman does it: the longest that fits.
    fn look_up(mirrored: &Mirrored, name: &str) -> Option<String> {
        let fits = mirrored.names.iter().filter_map(|it| {
            let rest = match it.from.is_empty() {
                true => format!("/{name}"),
                false => name.strip_prefix(it.from.as_str())?.to_owned(),
            };
            let is_whole = rest.is_empty() && it.scope == Scope::One;
            let is_below = rest.starts_with('/') && it.scope == Scope::Below;
            (is_whole || is_below).then_some((it, rest))
        });
        let (it, rest) = fits.max_by_key(|(it, _)| it.from.len())?;
        let joined = format!("{}{rest}", it.to);
        Some(joined.trim_start_matches('/').to_owned())
    }

    fn rule() -> impl Strategy<Value = String> {
        let path = prop::sample::select(vec!["", "a/", "b/", "a/b/", "a/b/c/"]);
        let to = prop::sample::select(vec!["", "x/", "y/z/"]);
        let prefix = (path, to).prop_map(|(from, to)| format!("{from}={to}"));
        let name = prop::sample::select(vec!["a/b/c=p", "b/c=q/r", "c=s"]);
        prop_oneof![prefix, name.prop_map(str::to_owned)]
    }

    proptest! {
        #[test]
        fn the_longest_entry_gives_the_name_that_the_rules_give(
            texts in prop::collection::vec(rule(), 0..5),
            parts in prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..5),
        ) {
            let name = parts.join("/");
            let repository: Repository = name.parse().expect("a repository");
            let rules = rules(&texts);
            let renamed = rules.apply(&repository).expect("it can be renamed");
            let found = look_up(&rules.mirrored(), &name);
            prop_assert_eq!(found.as_deref(), Some(renamed.as_str()), "{:?}", texts);
        }
    }

    #[test]
    fn a_regular_expression_is_left_out_by_name() {
        let texts = [
            "~team-(.*)/(.*)=$1/$2".to_owned(),
            "library/=hub/".to_owned(),
        ];
        let mirrored = rules(&texts).mirrored();
        assert_eq!(mirrored.left_out, texts[..1]);
        assert_eq!(mirrored.names, [below("library", "hub"), below("", "")]);
    }
}
