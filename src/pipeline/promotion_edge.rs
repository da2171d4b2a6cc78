//! The edge that a promotion goes along: from below one prefix of a registry to below a prefix of another. Pure.
//!
//! **Invariants.** What is not below the source does not go along the edge, whatever it is called. The path below the
//! source is kept below the target, and is parsed again there, so that it cannot leave the target's prefix.
//! Specification: design.md, section 4, "Names".

use super::place::{SourceReference, TargetReference};
use crate::content::{Error, ErrorKind, Result};
use crate::oci::Repository;

/// Both ends are registries, and two different ones or two different prefixes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromotionEdge {
    source: TargetReference,
    target: TargetReference,
}

/// Two ends between which nothing can be promoted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEdge {
    #[error("`{0}` is no registry, and promotion goes from registry to registry")]
    NotARegistry(String),
    #[error("`{0}` cannot be promoted to itself")]
    Loop(String),
}

/// A reference that the edge does not begin at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{reference}` is not below `{edge_source}`")]
pub struct OutsideEdge {
    pub reference: String,
    pub edge_source: String,
}

impl PromotionEdge {
    pub fn new(source: TargetReference, target: TargetReference) -> Result<Self, InvalidEdge> {
        for end in [&source, &target] {
            if matches!(end, TargetReference::Layout { .. }) {
                return Err(InvalidEdge::NotARegistry(end.to_string()));
            }
        }
        match source == target {
            true => Err(InvalidEdge::Loop(source.to_string())),
            false => Ok(Self { source, target }),
        }
    }

    pub fn source(&self) -> &TargetReference {
        &self.source
    }

    pub fn target(&self) -> &TargetReference {
        &self.target
    }

    /// Whether both ends are in one registry, where blobs need not be moved to be elsewhere.
    pub fn stays_in_registry(&self) -> bool {
        host_of(&self.source) == host_of(&self.target)
    }

    /// Refuses a reference that stands for anything outside the source.
    pub fn check(&self, reference: &SourceReference) -> Result<(), OutsideEdge> {
        let (host, path) = match reference {
            SourceReference::Registry(it) => (it.registry.as_str(), it.repository.to_string()),
            SourceReference::Glob { registry, pattern } => (registry.as_str(), pattern.to_string()),
            SourceReference::Layout { .. } => ("", String::new()),
        };
        // A glob is text too: what is before its first wildcard is what all its matches begin with.
        let is_inside = host_of(&self.source) == Some(host) && self.path_below(&path).is_some();
        match is_inside {
            true => Ok(()),
            false => Err(OutsideEdge {
                reference: show_reference(reference),
                edge_source: self.source.to_string(),
            }),
        }
    }

    /// The target's name of a repository of the source.
    pub fn name_at_target(&self, repository: &Repository) -> Result<Repository> {
        let name = repository.to_string();
        let below = self.path_below(&name).ok_or_else(|| {
            let message = format!("`{name}` cannot be promoted");
            Error::new(ErrorKind::Denied, message).with_cause(OutsideEdge {
                reference: name.clone(),
                edge_source: self.source.to_string(),
            })
        })?;
        let below: Repository = below.parse().map_err(|cause| {
            let message = format!("`{name}` has no valid name below `{}`", self.source);
            Error::new(ErrorKind::Refused, message).with_cause(cause)
        })?;
        self.target.name_of(&below)
    }

    fn path_below<'p>(&self, path: &'p str) -> Option<&'p str> {
        let prefix = match &self.source {
            TargetReference::Registry { prefix, .. } => prefix.as_ref(),
            TargetReference::Layout { .. } => None,
        };
        let below = match prefix {
            None => path,
            Some(prefix) => path.strip_prefix(prefix.as_str())?.strip_prefix('/')?,
        };
        (!below.is_empty()).then_some(below)
    }
}

fn host_of(end: &TargetReference) -> Option<&str> {
    match end {
        TargetReference::Registry { host, .. } => Some(host),
        TargetReference::Layout { .. } => None,
    }
}

fn show_reference(reference: &SourceReference) -> String {
    match reference {
        SourceReference::Registry(reference) => reference.to_string(),
        SourceReference::Glob { registry, pattern } => format!("{registry}/{pattern}"),
        SourceReference::Layout { path, .. } => format!("oci:{}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(source: &str, target: &str) -> PromotionEdge {
        let end = |text: &str| text.parse().expect("an end");
        PromotionEdge::new(end(source), end(target)).expect("an edge")
    }

    fn goes(edge: &PromotionEdge, reference: &str) -> bool {
        edge.check(&reference.parse().expect("a reference")).is_ok()
    }

    #[test]
    fn only_what_is_below_the_source_goes_along() {
        let edge = edge("dev.example:5000/apps", "rc.example/team");
        assert!(goes(&edge, "dev.example:5000/apps/web:1.4"));
        assert!(goes(&edge, "dev.example:5000/apps/web/*"));
        for outside in [
            "dev.example:5000/apps:1",
            "dev.example:5000/apps2/web:1",
            "dev.example/apps/web:1",
            "rc.example/team/web:1",
            "dev.example:5000/ap*/web",
            "dev.example:5000/**",
            "oci:/srv/apps:web",
        ] {
            assert!(!goes(&edge, outside), "{outside}");
        }
    }

    #[test]
    fn the_path_below_the_source_is_kept_below_the_target() {
        let name = |edge: &PromotionEdge, repository: &str| {
            let repository = repository.parse().expect("a repository");
            edge.name_at_target(&repository)
                .map(|name| name.to_string())
        };
        let inner = edge("dev.example/apps", "rc.example/team/a");
        assert_eq!(name(&inner, "apps/x/web").expect("a name"), "team/a/x/web");
        let outside = name(&inner, "tools/web").expect_err("outside");
        assert_eq!(outside.kind(), ErrorKind::Denied);
        let whole = edge("dev.example", "rc.example");
        assert_eq!(name(&whole, "apps/web").expect("a name"), "apps/web");
        let long = format!("team/{}", "x".repeat(240));
        let deep = edge("dev.example/apps", &format!("rc.example/{long}"));
        assert!(
            name(&deep, "apps/web-with-a-long-name").is_err(),
            "too long"
        );
    }

    #[test]
    fn an_edge_has_two_registries_as_its_ends() {
        let end = |text: &str| text.parse::<TargetReference>().expect("an end");
        let refused = |source, target| PromotionEdge::new(end(source), end(target)).is_err();
        assert!(refused("oci:/srv/layout", "rc.example"));
        assert!(refused("dev.example", "oci:/srv/layout"));
        assert!(refused("dev.example/apps", "dev.example/apps"));
        assert!(edge("r.example/dev", "r.example/rc").stays_in_registry());
        assert!(!edge("a.example/dev", "b.example/dev").stays_in_registry());
    }
}
