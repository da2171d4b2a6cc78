//! Which artifacts of a bundle an import takes: the rules of a selection, applied to what the bundle holds.
//!
//! Repositories go by the names that they had at the source; what rules have to know is read from the bundle's own
//! manifests. What has no tag is taken where its repository is: rules are about tags.
//!
//! **Invariant.** Only signed content is looked at, and nothing is asked of the target.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::import_plan::name_artifact;
use super::judge_tags::Judge;
use super::select_tags::TagSelection;
use crate::bundle::Bundle;
use crate::content::{Result, Source};
use crate::oci::{Digest, Repository, Tag};
use crate::selection::{RepositoryPattern, Verdict};

/// Repositories of a bundle that are judged at once.
const CONCURRENT_REPOSITORIES: usize = 4;

/// What of every bundle is taken.
#[derive(Clone)]
pub struct PartSelection {
    /// Repositories to take; without any pattern all of them.
    pub repositories: Vec<RepositoryPattern>,
    pub tags: TagSelection,
}

/// An artifact of a bundle that is not delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftArtifact {
    /// `REPOSITORY:TAG` or `REPOSITORY@DIGEST` at the source.
    pub source: String,
    pub digest: Digest,
    /// The rule that left it, as flags and keys are called.
    pub rule: Option<&'static str>,
    pub reason: String,
}

/// What a selection has come to: positions in the inventory's list of artifacts, and what is left.
pub(super) struct Part {
    pub(super) taken: Vec<usize>,
    pub(super) left: Vec<LeftArtifact>,
}

impl Part {
    pub(super) fn everything(bundle: &Bundle) -> Self {
        Self {
            taken: (0..bundle.inventory().artifacts.len()).collect(),
            left: Vec::new(),
        }
    }
}

/// Why something is left: the rule and the reason.
type Why = (Option<&'static str>, String);

impl PartSelection {
    pub(super) async fn select(&self, bundle: &Arc<Bundle>) -> Result<Part> {
        let inventory = bundle.inventory();
        let verdicts = self.judge_tags(bundle).await?;
        let mut part = Part {
            taken: Vec::new(),
            left: Vec::new(),
        };
        for (position, artifact) in inventory.artifacts.iter().enumerate() {
            let repository = inventory.repository(artifact.repository);
            let why = self.why_left(repository).or_else(|| {
                let tag = artifact.tag.clone()?;
                let verdict = verdicts.get(&(repository.clone(), tag))?;
                (!verdict.is_taken()).then(|| (verdict.rule(), verdict.to_string()))
            });
            match why {
                None => part.taken.push(position),
                Some((rule, reason)) => part.left.push(LeftArtifact {
                    source: name_artifact(repository, artifact.tag.as_ref(), &artifact.root.digest),
                    digest: artifact.root.digest.clone(),
                    rule,
                    reason,
                }),
            }
        }
        Ok(part)
    }

    /// Why nothing of a repository is taken, if it is not.
    fn why_left(&self, repository: &Repository) -> Option<Why> {
        let matching = |patterns: &[RepositoryPattern]| {
            let found = patterns.iter().find(|it| it.matches(repository));
            found.map(ToString::to_string)
        };
        if !self.repositories.is_empty() && matching(&self.repositories).is_none() {
            let reason = "its repository is not among those to take";
            return Some((Some("repositories"), reason.to_owned()));
        }
        let pattern = matching(&self.tags.exclude_repositories)?;
        let reason = format!("its repository matches `{pattern}`");
        Some((Some("exclude-repositories"), reason))
    }

    async fn judge_tags(
        &self,
        bundle: &Arc<Bundle>,
    ) -> Result<HashMap<(Repository, Tag), Verdict>> {
        if self.tags.rules.is_empty() {
            return Ok(HashMap::new());
        }
        let name = bundle.inventory().name.clone();
        let source = Arc::clone(bundle) as Arc<dyn Source>;
        let judge = Arc::new(Judge::new(
            &self.tags,
            HashMap::from([(name.clone(), source)]),
        ));
        let repositories = bundle.inventory().repositories.iter();
        let wanted = repositories.filter(|it| self.why_left(it).is_none());
        let judged: Vec<_> = stream::iter(wanted.cloned().collect::<Vec<_>>())
            .map(|repository| {
                let (judge, name) = (Arc::clone(&judge), name.clone());
                async move { judge.judge(name, repository, false).await }
            })
            .buffered(CONCURRENT_REPOSITORIES)
            .try_collect()
            .await?;
        let verdicts = judged.into_iter().flat_map(|judged| {
            let repository = judged.repository;
            let tags = judged.tags.into_iter();
            tags.map(move |it| ((repository.clone(), it.tag), it.verdict))
        });
        Ok(verdicts.collect())
    }
}
