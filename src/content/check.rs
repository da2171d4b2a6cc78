//! Reads a copy back from its target: every tag, every manifest, every blob, every referrer.

use std::sync::Arc;

use futures_util::TryStreamExt;

use super::concurrent::for_each;
use super::plan::Plan;
use super::{Content, Error, Event, Events, Result, Source, fetch_document};
use crate::oci::{Pin, Repository};

/// Positions of a content and of a repository that has it.
type Placed = (usize, usize);

/// What is to be read back, and from where.
pub struct ReadBack {
    pub plan: Arc<Plan>,
    /// The target's names, by position in [`Plan::repositories`].
    pub names: Vec<Repository>,
    pub target: Arc<dyn Source>,
    /// Positions of the artifacts that were delivered.
    pub artifacts: Vec<usize>,
    pub concurrency: usize,
    pub events: Events,
}

impl ReadBack {
    /// The number of contents that were read back; the first one that is not right is the error.
    pub async fn run(self) -> Result<usize> {
        let this = Arc::new(self);
        let (blobs, manifests) = this.contents();
        let count = blobs.len() + manifests.len();
        let plan = &this.plan;
        let blob_sizes = blobs
            .iter()
            .map(|(blob, _)| plan.blobs[*blob].descriptor.size);
        let manifest_sizes = manifests
            .iter()
            .map(|(m, _)| plan.manifests[*m].descriptor.size);
        (this.events)(Event::Planned {
            contents: count,
            bytes: blob_sizes.chain(manifest_sizes).sum(),
        });
        let limit = this.concurrency;
        let run = Arc::clone(&this);
        for_each(blobs, limit, move |(blob, name)| {
            let run = Arc::clone(&run);
            async move { run.read_blob(blob, &run.names[name]).await }
        })
        .await?;
        let run = Arc::clone(&this);
        for_each(manifests, limit, move |(manifest, name)| {
            let run = Arc::clone(&run);
            async move {
                let descriptor = &run.plan.manifests[manifest].descriptor;
                let pin = Pin::Digest(descriptor.digest.clone());
                fetch_document(&*run.target, &run.names[name], &pin).await?;
                (run.events)(Event::Moved(descriptor.size));
                Ok(())
            }
        })
        .await?;
        let run = Arc::clone(&this);
        for_each(this.artifacts.clone(), limit, move |artifact| {
            let run = Arc::clone(&run);
            async move { run.check_names(artifact).await }
        })
        .await?;
        Ok(count)
    }

    /// Blobs and manifests of the artifacts, each with the name of a repository that has it.
    fn contents(&self) -> (Vec<Placed>, Vec<Placed>) {
        let mut blobs = Vec::new();
        let mut manifests = Vec::new();
        for position in &self.artifacts {
            let artifact = &self.plan.artifacts[*position];
            for manifest in self.plan.manifests_of(artifact) {
                manifests.push((manifest, artifact.repository));
                let below = &self.plan.manifests[manifest].blobs;
                blobs.extend(below.iter().map(|blob| (*blob, artifact.repository)));
            }
        }
        // A plan of blobs alone is about them.
        if self.plan.artifacts.is_empty() {
            let all = self.plan.blobs.iter().enumerate();
            blobs.extend(all.flat_map(|(blob, planned)| {
                let names = planned.repositories.iter();
                names.map(move |name| (blob, *name))
            }));
        }
        for list in [&mut blobs, &mut manifests] {
            list.sort_unstable();
            list.dedup();
        }
        (blobs, manifests)
    }

    async fn read_blob(&self, blob: usize, name: &Repository) -> Result<()> {
        let descriptor = self.plan.blobs[blob].descriptor.clone();
        let content = Content::new(Arc::clone(&self.target), name.clone(), descriptor)
            .with_events(Arc::clone(&self.events));
        let mut stream = content.open(0).await?;
        while stream.try_next().await?.is_some() {}
        (self.events)(Event::ContentDone(content.descriptor().digest.clone()));
        Ok(())
    }

    async fn check_names(&self, position: usize) -> Result<()> {
        let artifact = &self.plan.artifacts[position];
        let name = &self.names[artifact.repository];
        let tags = artifact.tag.iter().map(|tag| (tag, artifact.root));
        let attached = artifact
            .referrers
            .iter()
            .filter_map(|r| Some((r.tag.as_ref()?, r.manifest)));
        for (tag, manifest) in tags.chain(attached) {
            let expected = &self.plan.manifests[manifest].descriptor.digest;
            let found = fetch_document(&*self.target, name, &Pin::Tag(tag.clone())).await?;
            if found.descriptor.digest != *expected {
                return Err(Error::unverified(format!(
                    "`{name}:{tag}` should be `{expected}` and is `{}`",
                    found.descriptor.digest
                )));
            }
        }
        for (subject, manifest) in self.plan.links_of(artifact) {
            let digest = &manifest.descriptor.digest;
            let listed = self.target.referrers(name, subject).await?;
            if listed
                .iter()
                .all(|entry| entry.descriptor.digest != *digest)
            {
                return Err(Error::unverified(format!(
                    "`{name}` does not list `{digest}` as a referrer of `{subject}`"
                )));
            }
        }
        Ok(())
    }
}
