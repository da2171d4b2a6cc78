//! Phase 2 of a copy: referrers become findable, and tags move last.
//!
//! **Invariant.** An artifact of which anything has failed keeps the tag that it had.

use super::copy::{Run, at_target, describe};
use super::copy_options::{ArtifactOutcome, OnError};
use super::event::Event;
use super::plan::{PlannedArtifact, PlannedManifest};
use super::{Referrer, Result};
use crate::oci::{Repository, Tag};

impl Run {
    /// Phase 2 for one artifact: referrers findable, cosign's tags, and its own tag last.
    pub(super) async fn publish(&self, position: usize) -> Result<()> {
        let artifact = &self.copy.plan.artifacts[position];
        let outcome = match self.failure_of(artifact) {
            Some(reason) => ArtifactOutcome::Failed(reason),
            None => match self.publish_tags(artifact).await {
                Ok(has_moved) if has_moved || self.is_new(artifact) => ArtifactOutcome::Delivered,
                Ok(_) => ArtifactOutcome::Unchanged,
                Err(error) if self.copy.options.on_error == OnError::Stop => return Err(error),
                Err(error) => ArtifactOutcome::Failed(describe(&error)),
            },
        };
        self.lock().report.outcomes[position] = Some(outcome);
        Ok(())
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

    async fn publish_tags(&self, artifact: &PlannedArtifact) -> Result<bool> {
        let name = self.copy.name(artifact.repository);
        let mut has_moved = false;
        for (subject, manifest) in self.copy.plan.links_of(artifact) {
            let entry = Referrer {
                descriptor: manifest.descriptor.clone(),
                artifact_type: manifest.artifact_type.clone(),
            };
            let linked = self.copy.target.link_referrer(name, subject, &entry).await;
            linked.map_err(at_target)?;
        }
        for referrer in &artifact.referrers {
            if let Some(tag) = &referrer.tag {
                let manifest = &self.copy.plan.manifests[referrer.manifest];
                has_moved |= self.point(name, manifest, tag).await?;
            }
        }
        if let Some(tag) = &artifact.tag {
            has_moved |= self
                .point(name, &self.copy.plan.manifests[artifact.root], tag)
                .await?;
        }
        Ok(has_moved)
    }

    /// Moves a tag, unless it is there already.
    async fn point(
        &self,
        name: &Repository,
        manifest: &PlannedManifest,
        tag: &Tag,
    ) -> Result<bool> {
        let target = &self.copy.target;
        let found = target.resolve_tag(name, tag).await.map_err(at_target)?;
        if found.as_ref() == Some(&manifest.descriptor.digest) {
            return Ok(false);
        }
        let document = self.copy.document(manifest).await?;
        target.tag(name, &document, tag).await.map_err(at_target)?;
        self.lock().report.tags_moved += 1;
        (self.copy.options.events)(Event::Tagged(name.clone(), tag.clone()));
        Ok(true)
    }
}
