//! What rules have to know of an artifact, read from a source: no more than they ask for, and each digest once; where
//! there is a ledger, once for all runs.
//!
//! Not the walk: nothing is planned here, and what is read is bounded and forgotten but for a few fields.
//!
//! **Invariants.** Only a definitive *not found* means that something is gone; a failure is never remembered.
//! So many manifests are under way at once, over all repositories, and no more.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::{OnceCell, Semaphore};

use super::describe::{is_image_config, read_config};
use super::kept_facts::KeptFacts;
use crate::content::{Content, Document, Error, ErrorKind, Result, Source, fetch_document};
use crate::history::Ledger;
use crate::oci::{
    Child, Descriptor, Digest, Manifest, ManifestKind, Pin, Platform, Repository, Tag,
};
use crate::selection::{Facts, Rules};

/// Manifests under way at once.
pub(super) const CONCURRENT_MANIFESTS: usize = 8;
/// Digests that are remembered; beyond it the memory begins anew.
const REMEMBERED_MAX: usize = 20_000;
/// An index may be sparse: so many children are looked for until one is there.
const CHILDREN_TRIED_MAX: usize = 8;

/// What has to be known.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub(super) created: bool,
    pub(super) platforms: bool,
}

/// What was read of a manifest, and whether that is all that anybody could know of it.
pub(super) struct Learnt {
    pub(super) facts: Facts,
    pub(super) has_created: bool,
    pub(super) has_platforms: bool,
}

/// The config of the first image of an index, and whether images before it are not there: elsewhere they may be.
struct ChildConfig {
    config: Option<Descriptor>,
    is_of_first: bool,
}

/// Reads facts within one run.
pub(super) struct FactsReader {
    /// What earlier runs have read.
    kept: Option<KeptFacts>,
    wanted: Wanted,
    turns: Semaphore,
    by_digest: Mutex<HashMap<Digest, Arc<OnceCell<Facts>>>>,
    manifests_read: AtomicUsize,
}

impl FactsReader {
    /// With a ledger it asks there first, and keeps there what it reads.
    pub(super) fn new(rules: &Rules, ledger: Option<&Ledger>) -> Self {
        let wanted = Wanted {
            created: rules.need_created(),
            platforms: !rules.platforms.is_empty(),
        };
        Self {
            kept: ledger
                .filter(|_| rules.need_facts())
                .map(|ledger| KeptFacts::new(ledger, wanted)),
            wanted,
            turns: Semaphore::new(CONCURRENT_MANIFESTS),
            by_digest: Mutex::default(),
            manifests_read: AtomicUsize::new(0),
        }
    }

    /// One that reads creation times alone.
    pub(super) fn of_created() -> Self {
        let mut reader = Self::new(&Rules::default(), None);
        reader.wanted.created = true;
        reader
    }

    /// Writes what was learnt to the ledger, where there is one.
    pub(super) async fn keep(&self) -> Result<()> {
        match &self.kept {
            Some(kept) => kept.write().await,
            None => Ok(()),
        }
    }

    pub(super) fn manifests_read(&self) -> usize {
        self.manifests_read.load(Ordering::Relaxed)
    }

    /// What the tag stands for now, and what is to be known of it; `None` where it is gone, or a part of it that
    /// has to be read.
    pub(super) async fn read(
        &self,
        source: &Arc<dyn Source>,
        repository: &Repository,
        tag: &Tag,
    ) -> Result<Option<(Digest, Facts)>> {
        let _turn = self.turns.acquire().await;
        match self.learn(source, repository, tag).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// When what has this digest was created, where it is there and says so.
    pub(super) async fn read_created(
        &self,
        source: &Arc<dyn Source>,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<Timestamp>> {
        let pin = Pin::Digest(digest.clone());
        let read = async {
            let document = self.fetch(source, repository, &pin).await?;
            self.read_facts(source, repository, &document).await
        };
        match read.await {
            Ok(learnt) => Ok(learnt.facts.plausible_created()),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The digest of what the reference stands for now; an error where it is not there.
    pub(super) async fn resolve(
        &self,
        source: &Arc<dyn Source>,
        repository: &Repository,
        pin: &Pin,
    ) -> Result<Digest> {
        let _turn = self.turns.acquire().await;
        let document = self.fetch(source, repository, pin).await?;
        Ok(document.descriptor.digest)
    }

    async fn learn(
        &self,
        source: &Arc<dyn Source>,
        repository: &Repository,
        tag: &Tag,
    ) -> Result<(Digest, Facts)> {
        if let Some(kept) = &self.kept
            && let Some(found) = self.recall(kept, source, repository, tag).await
        {
            return Ok(found);
        }
        let document = self
            .fetch(source, repository, &Pin::Tag(tag.clone()))
            .await?;
        let digest = document.descriptor.digest.clone();
        let cell = self.cell(&digest);
        let facts = cell
            .get_or_try_init(|| self.read_and_keep(source, repository, &document))
            .await?;
        Ok((digest, facts.clone()))
    }

    /// What is known already of what the tag stands for now. Where the place does not tell what that is, its manifest
    /// says it, or why it cannot be had.
    async fn recall(
        &self,
        kept: &KeptFacts,
        source: &Arc<dyn Source>,
        repository: &Repository,
        tag: &Tag,
    ) -> Option<(Digest, Facts)> {
        if !kept.is_any().await {
            return None;
        }
        let digest = source.claimed_digest(repository, tag).await.ok()??;
        let facts = match self.peek(&digest) {
            Some(facts) => facts,
            None => kept.find(&digest).await?,
        };
        Some((digest, facts))
    }

    /// What this run has read of the digest.
    fn peek(&self, digest: &Digest) -> Option<Facts> {
        let cells = self
            .by_digest
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        cells.get(digest)?.get().cloned()
    }

    async fn read_and_keep(
        &self,
        source: &Arc<dyn Source>,
        repository: &Repository,
        document: &Document,
    ) -> Result<Facts> {
        let digest = &document.descriptor.digest;
        if let Some(kept) = &self.kept
            && let Some(facts) = kept.find(digest).await
        {
            return Ok(facts);
        }
        let learnt = self.read_facts(source, repository, document).await?;
        if let Some(kept) = &self.kept {
            kept.learn(digest, &learnt).await;
        }
        Ok(learnt.facts)
    }

    /// Tags of one manifest wait here for the first of them. It counts once, however many tags it has.
    fn cell(&self, digest: &Digest) -> Arc<OnceCell<Facts>> {
        let mut cells = self
            .by_digest
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if cells.len() >= REMEMBERED_MAX && !cells.contains_key(digest) {
            cells.clear();
        }
        let cell = cells.entry(digest.clone()).or_insert_with(|| {
            self.manifests_read.fetch_add(1, Ordering::Relaxed);
            Arc::default()
        });
        Arc::clone(cell)
    }

    async fn fetch(
        &self,
        source: &Arc<dyn Source>,
        repository: &Repository,
        pin: &Pin,
    ) -> Result<Document> {
        let document = fetch_document(&**source, repository, pin).await?;
        self.cell(&document.descriptor.digest);
        Ok(document)
    }

    async fn read_facts(
        &self,
        source: &Arc<dyn Source>,
        repository: &Repository,
        document: &Document,
    ) -> Result<Learnt> {
        let manifest = parse(document, repository)?;
        let is_index = manifest.kind == ManifestKind::Index;
        let mut facts = Facts {
            created: manifest.created.as_deref().and_then(parse_created),
            platforms: platforms_of(&manifest.children),
            artifact_type: manifest.artifact_type.clone(),
        };
        let misses_created = self.wanted.created && facts.created.is_none();
        let misses_platform = self.wanted.platforms && !is_index;
        if !misses_created && !misses_platform {
            return Ok(Learnt {
                has_created: facts.created.is_some(),
                has_platforms: is_index,
                facts,
            });
        }
        let ChildConfig {
            config,
            is_of_first,
        } = match is_index {
            true => self.config_of_child(source, repository, &manifest).await?,
            false => ChildConfig {
                config: manifest.config,
                is_of_first: true,
            },
        };
        let Some(config) = config.filter(is_image_config) else {
            return Ok(Learnt {
                facts,
                has_created: is_of_first,
                has_platforms: true,
            });
        };
        let content = Content::new(Arc::clone(source), repository.clone(), config);
        let (platform, created) = read_config(&content.open(0).await?.into_bytes().await?);
        facts.created = facts
            .created
            .or_else(|| created.as_deref().and_then(parse_created));
        if !is_index {
            facts.platforms.extend(platform);
        }
        Ok(Learnt {
            facts,
            has_created: is_of_first,
            has_platforms: true,
        })
    }

    /// The config of the first image of an index that is there.
    async fn config_of_child(
        &self,
        source: &Arc<dyn Source>,
        repository: &Repository,
        index: &Manifest,
    ) -> Result<ChildConfig> {
        let images = index.children.iter().filter(|child| is_image(child));
        let mut is_of_first = true;
        for child in images.take(CHILDREN_TRIED_MAX) {
            let pin = Pin::Digest(child.descriptor.digest.clone());
            match self.fetch(source, repository, &pin).await {
                Ok(document) => {
                    return Ok(ChildConfig {
                        config: parse(&document, repository)?.config,
                        is_of_first,
                    });
                }
                Err(error) if error.is_not_found() => is_of_first = false,
                Err(error) => return Err(error),
            }
        }
        Ok(ChildConfig {
            config: None,
            is_of_first,
        })
    }
}

/// Attestations are children of an index too.
fn is_image(child: &Child) -> bool {
    child.attests.is_none() && !child.platform.as_ref().is_some_and(Platform::is_unknown)
}

fn platforms_of(children: &[Child]) -> Vec<Platform> {
    let platforms = children.iter().filter_map(|child| child.platform.clone());
    platforms.filter(|it| !it.is_unknown()).collect()
}

fn parse_created(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

fn parse(document: &Document, repository: &Repository) -> Result<Manifest> {
    let bytes = &document.bytes;
    Manifest::parse(bytes, &document.descriptor.media_type).map_err(|cause| {
        let digest = &document.descriptor.digest;
        let action = format!("cannot read `{repository}@{digest}`");
        Error::new(ErrorKind::Refused, action).with_cause(cause)
    })
}
