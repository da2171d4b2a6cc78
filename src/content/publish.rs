//! Phase 2 of a copy: referrers become findable, and tags move last.
//!
//! **Invariant.** An artifact of which anything has failed keeps the tag that it had.

use super::copy::{Run, at_target, describe};
use super::copy_options::{ArtifactOutcome, Existing, OnError};
use super::event::Event;
use super::plan::{PlannedArtifact, PlannedManifest};
use super::{Error, ErrorKind, Referrer, Result};
use crate::oci::{Repository, Tag};

impl Run {
    /// Phase 2 for one artifact: referrers findable, cosign's tags, and its own tag last.
    pub(super) async fn publish(&self, position: usize) -> Result<()> {
        let artifact = &self.copy.plan.artifacts[position];
        let outcome = match self.failure_of(artifact) {
            Some(reason) => ArtifactOutcome::Failed(reason),
            None => match self.publish_tags(artifact).await {
                Ok(Pointed::Kept) => ArtifactOutcome::Kept,
                Ok(Pointed::Held) => ArtifactOutcome::Held(self.why_held(artifact)),
                Ok(Pointed::There) if !self.is_new(artifact) => ArtifactOutcome::Unchanged,
                Ok(_) => ArtifactOutcome::Delivered,
                Err(error) if self.copy.options.on_error == OnError::Stop => return Err(error),
                Err(error) => ArtifactOutcome::Failed(describe(&error)),
            },
        };
        self.lock().report.outcomes[position] = Some(outcome);
        Ok(())
    }

    fn why_held(&self, artifact: &PlannedArtifact) -> String {
        let name = self.copy.name(artifact.repository).clone();
        let tag = artifact.tag.clone();
        let reason = tag.and_then(|tag| self.copy.options.held.get(&(name, tag)));
        reason.cloned().unwrap_or_default()
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

    async fn publish_tags(&self, artifact: &PlannedArtifact) -> Result<Pointed> {
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
                Pointed::Moved => pointed = Pointed::Moved,
                Pointed::There | Pointed::Held => {}
                Pointed::Kept => (self.copy.options.events)(Event::Warning(format!(
                    "the target's own `{name}:{tag}` was kept; what the bundle attaches is not under that tag"
                ))),
            }
        }
        let Some(tag) = &artifact.tag else {
            return Ok(pointed);
        };
        let root = &self.copy.plan.manifests[artifact.root];
        match self.point(name, root, tag).await? {
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

    /// Decides before anything is moved: with `Fail` a tag that is taken ends the copy, with `Keep` the
    /// artifact whose tag is taken is left as it is.
    pub(super) async fn check_existing(&self, position: usize) -> Result<()> {
        let artifact = &self.copy.plan.artifacts[position];
        let name = self.copy.name(artifact.repository);
        if self.copy.options.existing == Existing::Fail {
            for (tag, manifest) in self.attached_tags(artifact) {
                self.find_taken(name, manifest, tag).await?;
            }
        }
        let Some(tag) = &artifact.tag else {
            return Ok(());
        };
        let root = &self.copy.plan.manifests[artifact.root];
        if self.find_taken(name, root, tag).await? == Pointed::Kept {
            self.lock().report.outcomes[position] = Some(ArtifactOutcome::Kept);
        }
        Ok(())
    }

    /// Whether the tag points to the manifest, to nothing, or to something that the policy keeps.
    async fn find_taken(
        &self,
        name: &Repository,
        manifest: &PlannedManifest,
        tag: &Tag,
    ) -> Result<Pointed> {
        let held = &self.copy.options.held;
        if !held.is_empty() && held.contains_key(&(name.clone(), tag.clone())) {
            return Ok(Pointed::Held);
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
            (None, _) | (Some(_), Existing::Overwrite) => Ok(Pointed::Moved),
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
        if pointed == Pointed::Moved {
            let document = self.copy.document(manifest).await?;
            let tagged = self.copy.target.tag(name, &document, tag).await;
            tagged.map_err(at_target)?;
            self.lock().report.tags_moved += 1;
            (self.copy.options.events)(Event::Tagged(name.clone(), tag.clone()));
        }
        Ok(pointed)
    }
}

/// What became of a tag, or is to become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pointed {
    Moved,
    There,
    Kept,
    /// The caller of the copy leaves it alone.
    Held,
}
