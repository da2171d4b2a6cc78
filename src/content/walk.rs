//! The walk: reads every manifest, index and referrer below the roots, and finds out what a copy must carry.
//!
//! Effects only; what is found is put in order by `plan`. Manifests are read once, whoever needs them.
//!
//! **Invariants.** A child that cannot be read is an error of its root, never left out silently: only
//! platforms that were not selected and foreign layers that the source does not hold are absent, and both
//! are listed. A referrer counts only if its own manifest names the subject.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{StreamExt, stream};
use tokio::sync::OnceCell;

use super::cosign::CosignTags;
use super::plan::{AbsentReason, FoundArtifact, FoundReferrer, Node, Place};
use super::{Error, ErrorKind, Result, Source, fetch_document};
use crate::oci::{
    Child, Descriptor, Digest, Manifest, ManifestKind, Pin, Platform, Tag, media_type,
};

/// Indexes in indexes, and referrers of referrers.
pub(super) const DEPTH_MAX: usize = 8;
pub(super) const REFERRERS_OF_A_SUBJECT_MAX: usize = 1000;
/// Manifest bytes that are kept from the walk to the copy; beyond it they are read again by digest.
const KEPT_MANIFESTS_MAX_BYTES: u64 = 8 << 20;
/// Requests of one walk in flight; the registry client has its own limit below.
const CONCURRENT_READS: usize = 8;

/// Where a walk begins.
#[derive(Clone, Debug)]
pub struct Root {
    pub place: Place,
    pub pin: Pin,
    pub tag: Option<Tag>,
}

/// Whether signatures, SBOMs and attestations travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReferrerPolicy {
    #[default]
    Carry,
    Leave,
}

/// What the walk goes into.
#[derive(Clone, Debug, Default)]
pub struct WalkOptions {
    /// Empty: all of them.
    pub platforms: Vec<Platform>,
    pub referrers: ReferrerPolicy,
    /// Children that an earlier walk left out, and that this source need not have.
    pub absent: HashMap<Digest, AbsentReason>,
}

/// A walk over one or more sources.
pub struct Walk {
    sources: Vec<Arc<dyn Source>>,
    options: WalkOptions,
    nodes: Mutex<HashMap<Digest, Arc<OnceCell<Arc<Node>>>>>,
    cosign_tags: Mutex<HashMap<Place, Arc<OnceCell<CosignTags>>>>,
    kept_bytes: AtomicU64,
}

impl Walk {
    pub fn new(sources: Vec<Arc<dyn Source>>, options: WalkOptions) -> Self {
        Self {
            sources,
            options,
            nodes: Mutex::default(),
            cosign_tags: Mutex::default(),
            kept_bytes: AtomicU64::new(0),
        }
    }

    /// Everything below one root, its referrers included.
    pub async fn find(&self, root: Root) -> Result<FoundArtifact> {
        let source = &*self.sources[root.place.source];
        let document = fetch_document(source, &root.place.repository, &root.pin).await?;
        let digest = document.descriptor.digest.clone();
        let mut branch = Branch {
            absent: Vec::new(),
            held_foreign: Vec::new(),
            referrers: Vec::new(),
            seen: HashSet::from([digest.clone()]),
            seen_foreign: HashSet::new(),
        };
        let cell = self.cell(&digest);
        let node = cell
            .get_or_try_init(|| async { self.make_node(document, &root.place) })
            .await?;
        let mut level = vec![Arc::clone(node)];
        for depth in 0.. {
            if level.is_empty() {
                break;
            }
            if depth > DEPTH_MAX {
                return Err(Error::new(
                    ErrorKind::Refused,
                    format!("`{}` is nested deeper than {DEPTH_MAX} levels", root.pin),
                ));
            }
            level = self.descend(&root.place, &level, &mut branch).await?;
        }
        // One index may leave out what another one of the same artifact carries.
        let carried = &branch.seen;
        branch
            .absent
            .retain(|(digest, _)| !carried.contains(digest));
        branch.absent.sort();
        branch.absent.dedup();
        Ok(FoundArtifact {
            place: root.place,
            tag: root.tag,
            root: digest,
            absent: branch.absent,
            held_foreign: branch.held_foreign,
            referrers: branch.referrers,
        })
    }

    /// The manifests that were read, for [`super::assemble()`].
    pub fn into_nodes(self) -> HashMap<Digest, Arc<Node>> {
        let nodes = self
            .nodes
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        nodes
            .into_iter()
            .filter_map(|(digest, cell)| Some((digest, Arc::clone(cell.get()?))))
            .collect()
    }

    /// Reads the next level: children of indexes, and referrers of everything.
    async fn descend(
        &self,
        place: &Place,
        level: &[Arc<Node>],
        branch: &mut Branch,
    ) -> Result<Vec<Arc<Node>>> {
        let mut wanted = Vec::new();
        for node in level {
            self.check_foreign_layers(place, &node.manifest, branch)
                .await?;
            for child in self.carried_children(&node.manifest, branch)? {
                if branch.seen.insert(child.digest.clone()) {
                    wanted.push(child);
                }
            }
        }
        let mut next = self.read_all(place, wanted).await?;
        if self.options.referrers == ReferrerPolicy::Carry {
            next.extend(self.find_referrers(place, level, branch).await?);
        }
        Ok(next)
    }

    async fn read_all(&self, place: &Place, wanted: Vec<Descriptor>) -> Result<Vec<Arc<Node>>> {
        let reads = wanted.iter().map(|descriptor| self.read(place, descriptor));
        let reads: Vec<_> = reads.collect();
        let mut nodes = stream::iter(reads).buffered(CONCURRENT_READS);
        let mut read = Vec::with_capacity(wanted.len());
        while let Some(node) = nodes.next().await {
            read.push(node?);
        }
        Ok(read)
    }

    fn cell(&self, digest: &Digest) -> Arc<OnceCell<Arc<Node>>> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(nodes.entry(digest.clone()).or_default())
    }

    async fn read(&self, place: &Place, descriptor: &Descriptor) -> Result<Arc<Node>> {
        let cell = self.cell(&descriptor.digest);
        let read = || async {
            let pin = Pin::Digest(descriptor.digest.clone());
            let source = &*self.sources[place.source];
            let mut document = fetch_document(source, &place.repository, &pin).await?;
            if document.descriptor.size != descriptor.size {
                return Err(Error::unverified(format!(
                    "manifest `{}` should be {} bytes long, and is {}",
                    descriptor.digest, descriptor.size, document.descriptor.size
                )));
            }
            if descriptor.is_manifest() {
                document.descriptor.media_type = Arc::clone(&descriptor.media_type);
            }
            self.make_node(document, place)
        };
        let node = cell.get_or_try_init(read).await?;
        Ok(Arc::clone(node))
    }

    fn make_node(&self, document: super::Document, place: &Place) -> Result<Arc<Node>> {
        let mut descriptor = document.descriptor;
        let manifest =
            Manifest::parse(&document.bytes, &descriptor.media_type).map_err(|cause| {
                Error::new(
                    ErrorKind::Refused,
                    format!("cannot carry `{}@{}`", place.repository, descriptor.digest),
                )
                .with_cause(cause)
            })?;
        descriptor.media_type = manifest.media_type.as_str().into();
        let kept = self
            .kept_bytes
            .fetch_add(descriptor.size, Ordering::Relaxed);
        let is_kept = kept + descriptor.size <= KEPT_MANIFESTS_MAX_BYTES;
        Ok(Arc::new(Node {
            descriptor,
            manifest,
            place: place.clone(),
            bytes: is_kept.then_some(document.bytes),
        }))
    }

    /// The children of an index that travel; the others are noted as absent.
    fn carried_children(
        &self,
        manifest: &Manifest,
        branch: &mut Branch,
    ) -> Result<Vec<Descriptor>> {
        let selected = select_platforms(&manifest.children, &self.options.platforms);
        let mut carried = Vec::new();
        for (child, is_selected) in manifest.children.iter().zip(selected) {
            let digest = &child.descriptor.digest;
            if let Some(reason) = self.options.absent.get(digest) {
                branch.absent.push((digest.clone(), *reason));
            } else if is_selected {
                carried.push(child.descriptor.clone());
            } else {
                branch.absent.push((digest.clone(), AbsentReason::Platform));
            }
        }
        let offers_platforms = manifest
            .children
            .iter()
            .any(|child| child.platform.is_some());
        if manifest.kind == ManifestKind::Index && carried.is_empty() && offers_platforms {
            return Err(no_platform(&manifest.children));
        }
        Ok(carried)
    }

    /// Foreign layers may be outside the registry; whether they are is asked, not guessed.
    async fn check_foreign_layers(
        &self,
        place: &Place,
        manifest: &Manifest,
        branch: &mut Branch,
    ) -> Result<()> {
        for layer in &manifest.layers {
            if !media_type::is_foreign(&layer.media_type)
                || !branch.seen_foreign.insert(layer.digest.clone())
            {
                continue;
            }
            let is_absent = match self.options.absent.get(&layer.digest) {
                Some(reason) => *reason == AbsentReason::Foreign,
                None => {
                    !self.sources[place.source]
                        .has(&place.repository, layer)
                        .await?
                }
            };
            if is_absent {
                branch
                    .absent
                    .push((layer.digest.clone(), AbsentReason::Foreign));
            } else {
                branch.held_foreign.push(layer.digest.clone());
            }
        }
        Ok(())
    }

    /// Reads the referrers of every manifest of a level.
    async fn find_referrers(
        &self,
        place: &Place,
        level: &[Arc<Node>],
        branch: &mut Branch,
    ) -> Result<Vec<Arc<Node>>> {
        let lists: Vec<_> = level
            .iter()
            .map(|node| self.list_referrers(place, node))
            .collect();
        let mut lists = stream::iter(lists).buffered(CONCURRENT_READS);
        let mut found = Vec::new();
        let mut unread = Vec::new();
        while let Some(list) = lists.next().await {
            for (referrer, node) in list? {
                if branch.seen.insert(referrer.digest.clone()) {
                    unread.push(node);
                }
                found.push(referrer);
            }
        }
        branch.referrers.extend(found);
        Ok(unread)
    }

    /// The referrers of one manifest, in the order of their digests, each with its manifest.
    async fn list_referrers(
        &self,
        place: &Place,
        subject: &Node,
    ) -> Result<Vec<(FoundReferrer, Arc<Node>)>> {
        let digest = &subject.descriptor.digest;
        let source = &*self.sources[place.source];
        let mut listed = source.referrers(&place.repository, digest).await?;
        if listed.len() > REFERRERS_OF_A_SUBJECT_MAX {
            return Err(Error::new(
                ErrorKind::Refused,
                format!("`{digest}` has more than {REFERRERS_OF_A_SUBJECT_MAX} referrers"),
            ));
        }
        listed.sort_by(|a, b| a.descriptor.digest.cmp(&b.descriptor.digest));
        listed.dedup_by(|a, b| a.descriptor.digest == b.descriptor.digest);
        let mut found = Vec::new();
        for referrer in listed {
            let node = self.read(place, &referrer.descriptor).await?;
            let named = node
                .manifest
                .subject
                .as_ref()
                .map(|subject| &subject.digest);
            if named != Some(digest) {
                tracing::warn!(
                    referrer = %referrer.descriptor.digest, subject = %digest,
                    "a listed referrer is left out: its manifest does not name this subject"
                );
                continue;
            }
            found.push((describe_referrer(digest, &node, None), node));
        }
        for tag in self.cosign_tags(place).await?.of(digest) {
            let document =
                fetch_document(source, &place.repository, &Pin::Tag(tag.clone())).await?;
            let node = self.read(place, &document.descriptor).await?;
            found.push((describe_referrer(digest, &node, Some(tag.clone())), node));
        }
        Ok(found)
    }

    /// The cosign tags of a repository, listed once.
    async fn cosign_tags(&self, place: &Place) -> Result<CosignTags> {
        let cell = {
            let mut tags = self
                .cosign_tags
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            Arc::clone(tags.entry(place.clone()).or_default())
        };
        let source = &*self.sources[place.source];
        let list = || async {
            match source.tags(&place.repository).await {
                Ok(tags) => Ok(CosignTags::among(tags)),
                // A repository with manifests and no tag may be unknown to the list.
                Err(error) if error.is_not_found() => Ok(CosignTags::default()),
                Err(error) => Err(error),
            }
        };
        cell.get_or_try_init(list).await.cloned()
    }
}

fn describe_referrer(subject: &Digest, node: &Node, tag: Option<Tag>) -> FoundReferrer {
    FoundReferrer {
        subject: subject.clone(),
        digest: node.descriptor.digest.clone(),
        artifact_type: node.manifest.artifact_type.clone(),
        tag,
    }
}

/// What has been seen below one root.
struct Branch {
    absent: Vec<(Digest, AbsentReason)>,
    held_foreign: Vec<Digest>,
    referrers: Vec<FoundReferrer>,
    seen: HashSet<Digest>,
    seen_foreign: HashSet<Digest>,
}

/// For each child, whether the selection takes it. Children without platform are taken: they cannot be
/// told apart. An index may list one manifest for several platforms, and any of them takes it. Attestations follow the manifest that they attest.
fn select_platforms(children: &[Child], selection: &[Platform]) -> Vec<bool> {
    let is_selected = |child: &Child| match &child.platform {
        _ if selection.is_empty() => true,
        None => true,
        Some(platform) => selection.iter().any(|selected| selected.selects(platform)),
    };
    let selected: HashSet<&Digest> = children
        .iter()
        .filter(|child| is_selected(child))
        .map(|child| &child.descriptor.digest)
        .collect();
    children
        .iter()
        .map(|child| match &child.attests {
            Some(attested) => selection.is_empty() || selected.contains(attested),
            None => selected.contains(&child.descriptor.digest),
        })
        .collect()
}

fn no_platform(children: &[Child]) -> Error {
    let offered: Vec<String> = children
        .iter()
        .filter_map(|child| child.platform.as_ref())
        .filter(|platform| !platform.is_unknown())
        .map(ToString::to_string)
        .collect();
    Error::not_found(format!(
        "none of the selected platforms is in the index, which has: {}",
        offered.join(", ")
    ))
}
