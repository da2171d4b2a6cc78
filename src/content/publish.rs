//! Phase 2 of a copy: referrers become findable, and tags move last.
//!
//! **Invariants.** An artifact of which anything has failed keeps the tag that it had. What became of each is told as
//! soon as it is certain, so that whoever drops a copy, or sees it fail, knows what is visible.

use super::copy::{Run, at_target, describe};
use super::copy_options::{
    ArtifactOutcome, Existing, OnError, Overwriting, Replaced, TagOverwrite,
};
use super::event::Event;
use super::plan::{PlannedArtifact, PlannedManifest};
use super::{Error, ErrorKind, Referrer, Result};
use crate::oci::{Digest, Repository, Tag};

impl Run {
    /// Phase 2 for one artifact: referrers findable, cosign's tags, and its own tag last.
    pub(super) async fn publish(&self, position: usize) -> Result<()> {
        let artifact = &self.copy.plan.artifacts[position];
        let outcome = match self.failure_of(artifact) {
            Some(reason) => ArtifactOutcome::Failed(reason),
            None => match self.publish_tags(position).await {
                Ok(Pointed::Kept) => ArtifactOutcome::Kept,
                Ok(Pointed::Held(reason)) => ArtifactOutcome::Held(reason),
                Ok(Pointed::There) if !self.is_new(artifact) => ArtifactOutcome::Unchanged,
                Ok(_) => ArtifactOutcome::Delivered,
                Err(error) => {
                    self.settle_artifact(position, ArtifactOutcome::Failed(describe(&error)));
                    return match self.copy.options.on_error {
                        OnError::Stop => Err(error),
                        OnError::Continue => Ok(()),
                    };
                }
            },
        };
        self.settle_artifact(position, outcome);
        Ok(())
    }

    fn settle_artifact(&self, position: usize, outcome: ArtifactOutcome) {
        let replaced = {
            let report = &mut self.lock().report;
            report.outcomes[position] = Some(outcome.clone());
            report.replaced.get(&position).cloned()
        };
        (self.copy.options.events)(Event::Settled {
            artifact: position,
            outcome,
            replaced,
        });
    }

    fn is_new(&self, artifact: &PlannedArtifact) -> bool {
        let progress = self.lock();
        let manifests = self.copy.plan.manifests_of(artifact);
        manifests
            .iter()
            .any(|manifest| progress.new_manifests.contains(manifest))
    }

    fn failure_of(&self, artifact: &PlannedArtifact) -> Option<String> {
        let progress = self.lock();
        let failures = &progress.failures;
        let missing = self
            .copy
            .plan
            .find_missing(artifact, |digest| failures.contains_key(digest))?;
        failures.get(missing).cloned()
    }

    async fn publish_tags(&self, position: usize) -> Result<Pointed> {
        let artifact = &self.copy.plan.artifacts[position];
        let name = self.copy.name(artifact.repository);
        let mut pointed = Pointed::There;
        for (subject, manifest) in self.copy.plan.links_of(artifact) {
            let entry = Referrer {
                descriptor: manifest.descriptor.clone(),
                artifact_type: manifest.artifact_type.clone(),
            };
            let linked = self.copy.target.link_referrer(name, subject, &entry).await;
            linked.map_err(at_target)?;
        }
        for (tag, manifest) in self.attached_tags(artifact) {
            match self.point(name, manifest, tag).await? {
                Pointed::Moved(_) => pointed = Pointed::Moved(None),
                Pointed::There | Pointed::Held(_) => {}
                Pointed::Kept => (self.copy.options.events)(Event::Warning(format!(
                    "the target's own `{name}:{tag}` was kept; what the bundle attaches is not under that tag"
                ))),
            }
        }
        let Some(tag) = &artifact.tag else {
            return Ok(pointed);
        };
        let root = &self.copy.plan.manifests[artifact.root];
        match self.point_artifact(position, name, root, tag).await? {
            Pointed::There => Ok(pointed),
            other => Ok(other),
        }
    }

    /// Cosign's tags of the artifact's referrers.
    fn attached_tags<'a>(
        &'a self,
        artifact: &'a PlannedArtifact,
    ) -> impl Iterator<Item = (&'a Tag, &'a PlannedManifest)> {
        let manifests = &self.copy.plan.manifests;
        let referrers = artifact.referrers.iter();
        referrers
            .filter_map(|referrer| Some((referrer.tag.as_ref()?, &manifests[referrer.manifest])))
    }

    /// Decides before anything is moved: with `Fail` a tag that is taken ends the copy, or where it is to go on fails
    /// its artifact alone; with `Keep` the artifact whose tag is taken is left as it is.
    pub(super) async fn check_existing(&self, position: usize) -> Result<()> {
        let goes_on = self.copy.options.on_error == OnError::Continue;
        let outcome = match self.find_existing(position).await {
            Ok(Pointed::Kept) => ArtifactOutcome::Kept,
            Ok(_) => return Ok(()),
            Err(error) if goes_on && error.kind() == ErrorKind::AlreadyExists => {
                ArtifactOutcome::Failed(describe(&error))
            }
            Err(error) => return Err(error),
        };
        self.settle_artifact(position, outcome);
        Ok(())
    }

    /// What stands under the artifact's tag, once none of the tags that come with it is in the way.
    async fn find_existing(&self, position: usize) -> Result<Pointed> {
        let artifact = &self.copy.plan.artifacts[position];
        let name = self.copy.name(artifact.repository);
        if self.copy.options.existing == Existing::Fail {
            for (tag, manifest) in self.attached_tags(artifact) {
                self.find_taken(name, manifest, tag).await?;
            }
        }
        let Some(tag) = &artifact.tag else {
            return Ok(Pointed::There);
        };
        let root = &self.copy.plan.manifests[artifact.root];
        self.find_taken(name, root, tag).await
    }

    /// Whether the tag points to the manifest, to nothing, or to something that the policy keeps.
    async fn find_taken(
        &self,
        name: &Repository,
        manifest: &PlannedManifest,
        tag: &Tag,
    ) -> Result<Pointed> {
        let held = &self.copy.options.held;
        if !held.is_empty()
            && let Some(reason) = held.get(&(name.clone(), tag.clone()))
        {
            return Ok(Pointed::Held(reason.clone()));
        }
        let wanted = &manifest.descriptor.digest;
        let found = self
            .copy
            .target
            .resolve_tag(name, tag)
            .await
            .map_err(at_target)?;
        match (found, self.copy.options.existing) {
            (Some(found), _) if found == *wanted => Ok(Pointed::There),
            (found @ None, _) | (found, Existing::Overwrite) => Ok(Pointed::Moved(found)),
            (Some(_), Existing::Keep) => Ok(Pointed::Kept),
            (Some(found), Existing::Fail) => Err(Error::new(
                ErrorKind::AlreadyExists,
                format!(
                    "the target has `{name}:{tag}` already, as `{found}`, and `{wanted}` is to come"
                ),
            )),
        }
    }

    /// Moves a tag, unless it is there already or is to be kept. The policy is asked again: others may have
    /// pushed since the copy began.
    async fn point(
        &self,
        name: &Repository,
        manifest: &PlannedManifest,
        tag: &Tag,
    ) -> Result<Pointed> {
        let pointed = self.find_taken(name, manifest, tag).await?;
        if let Pointed::Moved(_) = pointed {
            self.move_tag(name, manifest, tag).await?;
        }
        Ok(pointed)
    }

    /// The same for the tag of an artifact, of which it is remembered what it replaces.
    async fn point_artifact(
        &self,
        position: usize,
        name: &Repository,
        root: &PlannedManifest,
        tag: &Tag,
    ) -> Result<Pointed> {
        let pointed = self.find_taken(name, root, tag).await?;
        let Pointed::Moved(replaced) = &pointed else {
            return Ok(pointed);
        };
        let mut left = None;
        if let Some(replaced) = replaced {
            let overwrite = TagOverwrite {
                artifact: position,
                repository: name,
                tag,
                replaced,
                new: &root.descriptor.digest,
            };
            match self.ask_to_overwrite(overwrite).await? {
                Overwriting::Hold(reason) => return Ok(Pointed::Held(reason)),
                Overwriting::Move { rollback_tag } => {
                    left = Some(Replaced {
                        digest: replaced.clone(),
                        rollback_tag,
                    });
                }
            }
        }
        self.move_tag(name, root, tag).await?;
        let report = &mut self.lock().report;
        report.replaced.extend(left.map(|left| (position, left)));
        Ok(pointed)
    }

    async fn ask_to_overwrite(&self, overwrite: TagOverwrite<'_>) -> Result<Overwriting> {
        match &self.copy.options.overwrites {
            Some(rules) => rules.decide(overwrite).await,
            None => Ok(Overwriting::Move { rollback_tag: None }),
        }
    }

    async fn move_tag(
        &self,
        name: &Repository,
        manifest: &PlannedManifest,
        tag: &Tag,
    ) -> Result<()> {
        let document = self.copy.document(manifest).await?;
        let tagged = self.copy.target.tag(name, &document, tag).await;
        tagged.map_err(at_target)?;
        self.lock().report.tags_moved += 1;
        (self.copy.options.events)(Event::Tagged(name.clone(), tag.clone()));
        Ok(())
    }
}

/// What became of a tag, or is to become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pointed {
    /// From this digest, where there was the tag.
    Moved(Option<Digest>),
    There,
    Kept,
    /// The caller of the copy leaves it alone, for this reason.
    Held(String),
}
