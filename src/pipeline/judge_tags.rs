//! The verdicts about the tags of one repository, wherever it is: the rules are asked, and what they have to know is
//! read for them.
//!
//! **Invariant.** Manifests are read only where the evaluation asks for them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::{StreamExt, stream};

use super::facts::{CONCURRENT_MANIFESTS, FactsReader};
use super::select_layout::{NamedEntries, layout_name, path_of, place_name};
use super::select_named::{NamedReference, NamedReferences};
use super::select_tags::{JudgedRepository, JudgedTag, TagSelection};
use crate::content::{Error, OnError, Result, Source, describe};
use crate::oci::{Digest, Reference, Repository, Tag};
use crate::selection::{Candidate, Evaluation, Facts, Left, Verdict, evaluate};

/// Judges the tags of repositories that the places of these names hold.
pub(super) struct Judge {
    selection: TagSelection,
    reader: FactsReader,
    sources: HashMap<String, Arc<dyn Source>>,
}

impl Judge {
    pub(super) fn new(selection: &TagSelection, sources: HashMap<String, Arc<dyn Source>>) -> Self {
        Self {
            reader: FactsReader::new(&selection.rules, selection.memory.as_ref()),
            selection: selection.clone(),
            sources,
        }
    }

    /// What a reference with a tag or digest stands for, as far as that is asked.
    pub(super) async fn look_up(
        &self,
        named: NamedReferences,
        reference: Reference,
    ) -> Result<NamedReference> {
        let source = &self.sources[&reference.registry];
        let on_error = self.selection.on_error;
        named
            .look_up(reference, source, &self.reader, on_error)
            .await
    }

    /// Writes what was learnt of artifacts to the ledger, where there is one.
    pub(super) async fn keep_facts(&self) -> Result<()> {
        self.reader.keep().await
    }

    /// Leaves entries out that are kept for rollback.
    pub(super) async fn leave_rollback_tags(&self, named: &mut NamedEntries) -> Result<()> {
        let layout = layout_name(&named.path);
        let mut kept: HashMap<Repository, HashSet<Tag>> = HashMap::new();
        for entry in &named.entries {
            if !kept.contains_key(&entry.repository) {
                let tags = self.rollback_tags(&layout, &entry.repository).await?;
                kept.insert(entry.repository.clone(), tags);
            }
        }
        named.entries.retain(|entry| {
            let is_kept = |tag| {
                kept.get(&entry.repository)
                    .is_some_and(|it| it.contains(tag))
            };
            !entry.tag.as_ref().is_some_and(is_kept)
        });
        Ok(())
    }

    /// Tags that the ledger knows to keep what another tag of the repository has left.
    async fn rollback_tags(&self, registry: &str, repository: &Repository) -> Result<HashSet<Tag>> {
        let Some(ledger) = &self.selection.memory else {
            return Ok(HashSet::new());
        };
        let absolute = path_of(registry).and_then(|path| std::path::absolute(path).ok());
        let registry = absolute.map_or(registry.to_owned(), |path| layout_name(&path));
        let place = place_name(&registry, repository);
        let tags = ledger.list_rollback_tags(&place).await?;
        Ok(tags.iter().filter_map(|tag| tag.parse().ok()).collect())
    }

    /// Manifests that were read so far.
    pub(super) fn manifests_read(&self) -> usize {
        self.reader.manifests_read()
    }

    pub(super) async fn judge(
        self: &Arc<Self>,
        registry: String,
        repository: Repository,
        is_named: bool,
    ) -> Result<JudgedRepository> {
        let mut judged = JudgedRepository {
            registry,
            repository,
            tags: Vec::new(),
            failures: Vec::new(),
        };
        let outcome = self.judge_into(&mut judged, is_named).await;
        match outcome {
            Err(error) if self.selection.on_error == OnError::Continue => {
                let name = judged.name();
                judged.failures.push((name, describe(&error)));
                Ok(judged)
            }
            outcome => outcome.map(|()| judged),
        }
    }

    async fn judge_into(
        self: &Arc<Self>,
        judged: &mut JudgedRepository,
        is_named: bool,
    ) -> Result<()> {
        let repository = judged.repository.clone();
        let source = Arc::clone(&self.sources[&judged.registry]);
        let mut tags = match source.tags(&repository).await {
            Ok(tags) => tags,
            // Catalogs go on to list repositories whose last tag was removed.
            Err(error) if error.is_not_found() && !is_named => Vec::new(),
            Err(error) => return Err(error.on_side("source")),
        };
        tags.sort();
        let kept = self.rollback_tags(&judged.registry, &repository).await?;
        let selection = &self.selection;
        let candidates = tags.into_iter().map(|tag| selection.candidate(tag, &kept));
        let candidates: Vec<Candidate> = candidates.collect();
        let mut learning = Learning {
            judge: Arc::clone(self),
            source,
            place: judged.name(),
            repository,
            known: HashMap::new(),
            digests: HashMap::new(),
            failed: HashMap::new(),
        };
        learning.decide(&candidates, judged).await?;
        let has_nothing = judged.taken().next().is_none() && self.selection.rules.is_empty();
        if is_named && (judged.tags.is_empty() || has_nothing) {
            let repository = &judged.repository;
            return Err(Error::not_found(format!(
                "source: `{repository}` has no tags"
            )));
        }
        Ok(())
    }
}

/// What was learned of the tags of one repository.
struct Learning {
    judge: Arc<Judge>,
    source: Arc<dyn Source>,
    repository: Repository,
    /// `REGISTRY/REPOSITORY` or `oci:DIR:REPOSITORY`.
    place: String,
    known: HashMap<Tag, Option<Facts>>,
    digests: HashMap<Tag, Digest>,
    /// Reasons, where what cannot be read is left out.
    failed: HashMap<Tag, String>,
}

impl Learning {
    async fn decide(
        &mut self,
        candidates: &[Candidate],
        judged: &mut JudgedRepository,
    ) -> Result<()> {
        loop {
            let TagSelection { rules, now, .. } = &self.judge.selection;
            let verdicts = match evaluate(rules, candidates, &self.known, *now) {
                Evaluation::Decided(verdicts) => verdicts,
                Evaluation::Needs(tags) => {
                    self.learn(tags).await?;
                    continue;
                }
            };
            for decided in verdicts {
                let mut verdict = decided.verdict;
                if let Some(reason) = self.failed.remove(&decided.tag) {
                    let reference = format!("{}:{}", self.place, decided.tag);
                    judged.failures.push((reference, reason.clone()));
                    verdict = Verdict::Left(Left::Unreadable { reason });
                }
                let digest = self.digests.remove(&decided.tag);
                judged.tags.push(JudgedTag {
                    digest: digest.filter(|_| verdict.is_taken()),
                    tag: decided.tag,
                    verdict,
                });
            }
            return Ok(());
        }
    }

    async fn learn(&mut self, tags: Vec<Tag>) -> Result<()> {
        let (judge, source) = (Arc::clone(&self.judge), Arc::clone(&self.source));
        let repository = self.repository.clone();
        let mut reads = stream::iter(tags)
            .map(move |tag| {
                let (judge, source) = (Arc::clone(&judge), Arc::clone(&source));
                let repository = repository.clone();
                async move {
                    let read = judge.reader.read(&source, &repository, &tag).await;
                    (tag, read)
                }
            })
            .buffer_unordered(CONCURRENT_MANIFESTS);
        while let Some((tag, read)) = reads.next().await {
            let facts = match read {
                Ok(Some((digest, facts))) => {
                    self.digests.insert(tag.clone(), digest);
                    Some(facts)
                }
                Ok(None) => None,
                Err(error) if self.judge.selection.on_error == OnError::Continue => {
                    self.failed.insert(tag.clone(), describe(&error));
                    None
                }
                Err(error) => {
                    let place = &self.place;
                    return Err(error.within(format!("source: cannot read `{place}:{tag}`")));
                }
            };
            self.known.insert(tag, facts);
        }
        Ok(())
    }
}
