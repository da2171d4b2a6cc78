//! The selection applied to registries: which repositories there are, which of their tags are taken, and why.
//!
//! It hands over one repository after another in the order of the references and keeps none, so that a registry
//! with any number of tags is looked through in little memory. The rules themselves are in `selection`.
//!
//! **Invariants.** References with tag or digest are untouched by rules. Manifests are read only where the
//! evaluation asks for them, and what was judged is what is taken: its digest comes with the verdict.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::{Stream, StreamExt, stream};
use jiff::Timestamp;

use super::facts::{CONCURRENT_MANIFESTS, FactsReader};
use super::place::{Connections, SourceReference};
use super::select_named::{NamedReference, NamedReferences};
use crate::content::{AttachedTag, Error, OnError, ReferrerPolicy, Result, Source, describe};
use crate::oci::{Digest, Reference, Repository, Tag};
use crate::selection::{
    Candidate, Evaluation, Facts, Left, RepositoryPattern, RepositorySelection, Rules, Verdict,
    evaluate,
};

/// Repositories under way at once.
const CONCURRENT_REPOSITORIES: usize = 8;

/// What is asked of repositories and tags that were not named one by one.
#[derive(Clone)]
pub struct TagSelection {
    pub exclude_repositories: Vec<RepositoryPattern>,
    pub rules: Rules,
    /// Whether cosign's tags travel by themselves, where no rule was given and their subjects are not there.
    pub referrers: ReferrerPolicy,
    pub on_error: OnError,
    /// What ages are counted from.
    pub now: Timestamp,
}

impl TagSelection {
    /// Everything.
    pub fn all(referrers: ReferrerPolicy, on_error: OnError) -> Self {
        Self {
            exclude_repositories: Vec::new(),
            rules: Rules::default(),
            referrers,
            on_error,
            now: Timestamp::UNIX_EPOCH,
        }
    }

    fn candidate(&self, tag: Tag) -> Candidate {
        let is_referrer = match AttachedTag::parse(&tag) {
            Some(AttachedTag::ReferrersTable(_)) => true,
            Some(AttachedTag::Cosign(_)) => {
                self.referrers == ReferrerPolicy::Leave || !self.rules.is_empty()
            }
            None => false,
        };
        Candidate { tag, is_referrer }
    }
}

/// What a reference has come to.
pub enum Considered {
    Named(NamedReference),
    Layout { path: PathBuf, name: Option<String> },
    Repository(JudgedRepository),
}

/// The tags of one repository, sorted, each with its verdict.
pub struct JudgedRepository {
    pub registry: String,
    pub repository: Repository,
    pub tags: Vec<JudgedTag>,
    /// What could not be read and was left out: references and reasons.
    pub failures: Vec<(String, String)>,
}

impl JudgedRepository {
    pub fn taken(&self) -> impl Iterator<Item = &JudgedTag> {
        self.tags.iter().filter(|it| it.verdict.is_taken())
    }
}

pub struct JudgedTag {
    pub tag: Tag,
    pub verdict: Verdict,
    /// What it stood for when it was judged, where its manifest was read and it is taken.
    pub digest: Option<Digest>,
}

/// How much was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SelectionTotals {
    pub repositories: usize,
    pub tags: usize,
    pub taken: usize,
    pub manifests_read: usize,
}

impl SelectionTotals {
    pub fn count(&mut self, judged: &JudgedRepository) {
        self.repositories += 1;
        self.tags += judged.tags.len();
        self.taken += judged.taken().count();
    }
}

/// A selection under way.
pub struct Selecting {
    items: Vec<Item>,
    judge: Arc<Judge>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Item {
    Named(Reference),
    Layout {
        path: PathBuf,
        name: Option<String>,
    },
    Repository {
        registry: String,
        repository: Repository,
        /// By a person, not by a glob.
        is_named: bool,
    },
}

impl Item {
    fn registry(&self) -> Option<&str> {
        match self {
            Self::Named(reference) => Some(&reference.registry),
            Self::Repository { registry, .. } => Some(registry),
            Self::Layout { .. } => None,
        }
    }
}

impl Selecting {
    /// Finds the repositories that are looked into; catalogs are read only where a glob needs them.
    pub async fn start(
        references: &[SourceReference],
        connections: &Connections,
        selection: &TagSelection,
        named: NamedReferences,
    ) -> Result<Self> {
        let items = expand(references, connections, &selection.exclude_repositories).await?;
        let mut sources = HashMap::new();
        for registry in items.iter().filter_map(Item::registry) {
            let opened = connections.registry(registry);
            let opened = opened.map_err(|error| error.on_side("source"))?;
            sources.insert(registry.to_owned(), Arc::new(opened) as Arc<dyn Source>);
        }
        let judge = Judge {
            named,
            reader: FactsReader::new(&selection.rules),
            selection: selection.clone(),
            sources,
        };
        Ok(Self {
            items,
            judge: Arc::new(judge),
        })
    }

    /// `REGISTRY/REPOSITORY` of everything that will be judged.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.items.iter().filter_map(|item| match item {
            Item::Repository {
                registry,
                repository,
                ..
            } => Some(format!("{registry}/{repository}")),
            Item::Named(reference) => {
                Some(format!("{}/{}", reference.registry, reference.repository))
            }
            Item::Layout { .. } => None,
        })
    }

    /// What the references have come to, in their order.
    pub fn stream(&self) -> impl Stream<Item = Result<Considered>> + use<> {
        let judge = Arc::clone(&self.judge);
        stream::iter(self.items.clone())
            .map(move |item| {
                let judge = Arc::clone(&judge);
                async move { judge.consider(item).await }
            })
            .buffered(CONCURRENT_REPOSITORIES)
    }

    /// Manifests that were read so far.
    pub fn manifests_read(&self) -> usize {
        self.judge.reader.manifests_read()
    }
}

/// References with every glob replaced by what it stands for, each once.
async fn expand(
    references: &[SourceReference],
    connections: &Connections,
    exclude: &[RepositoryPattern],
) -> Result<Vec<Item>> {
    let mut catalogs: HashMap<&str, Vec<Repository>> = HashMap::new();
    let mut items = Vec::new();
    for reference in references {
        match reference {
            SourceReference::Registry(reference) => items.extend(item_of(reference, exclude)),
            SourceReference::Layout { path, name } => items.push(Item::Layout {
                path: path.clone(),
                name: name.clone(),
            }),
            SourceReference::Glob { registry, pattern } => {
                if !catalogs.contains_key(&**registry) {
                    let names = read_catalog(registry, pattern, connections).await?;
                    catalogs.insert(registry, names);
                }
                let selection = RepositorySelection {
                    include: vec![pattern.clone()],
                    exclude: exclude.to_vec(),
                };
                let names = catalogs[&**registry].iter();
                let taken = names.filter(|repository| selection.takes(repository));
                items.extend(taken.map(|repository| Item::Repository {
                    registry: registry.clone(),
                    repository: repository.clone(),
                    is_named: false,
                }));
            }
        }
    }
    Ok(each_once(items))
}

fn item_of(reference: &Reference, exclude: &[RepositoryPattern]) -> Option<Item> {
    if reference.tag.is_some() || reference.digest.is_some() {
        return Some(Item::Named(reference.clone()));
    }
    let repository = &reference.repository;
    let is_excluded = exclude.iter().any(|it| it.matches(repository));
    (!is_excluded).then(|| Item::Repository {
        registry: reference.registry.clone(),
        repository: repository.clone(),
        is_named: true,
    })
}

/// A repository that was named and is in a glob too is a named one.
fn each_once(mut items: Vec<Item>) -> Vec<Item> {
    let named: HashSet<Item> = items.iter().cloned().collect();
    for item in &mut items {
        let mut other = item.clone();
        if let Item::Repository { is_named, .. } = &mut other {
            *is_named = true;
        }
        if named.contains(&other) {
            *item = other;
        }
    }
    let mut seen = HashSet::new();
    items.retain(|item| seen.insert(item.clone()));
    items
}

async fn read_catalog(
    registry: &str,
    pattern: &RepositoryPattern,
    connections: &Connections,
) -> Result<Vec<Repository>> {
    let read = async { connections.registry(registry)?.repositories().await };
    let mut names = read.await.map_err(|error| {
        error.within(format!(
            "source: cannot look for `{registry}/{pattern}` in the registry's catalog; give the names of the repositories instead"
        ))
    })?;
    names.sort();
    Ok(names)
}

struct Judge {
    named: NamedReferences,
    selection: TagSelection,
    reader: FactsReader,
    sources: HashMap<String, Arc<dyn Source>>,
}

impl Judge {
    async fn consider(self: &Arc<Self>, item: Item) -> Result<Considered> {
        Ok(match item {
            Item::Named(reference) => {
                let source = &self.sources[&reference.registry];
                let on_error = self.selection.on_error;
                let named = self
                    .named
                    .look_up(reference, source, &self.reader, on_error);
                Considered::Named(named.await?)
            }
            Item::Layout { path, name } => Considered::Layout { path, name },
            Item::Repository {
                registry,
                repository,
                is_named,
            } => Considered::Repository(self.judge(registry, repository, is_named).await?),
        })
    }

    async fn judge(
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
                let name = format!("{}/{}", judged.registry, judged.repository);
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
        let candidates = tags.into_iter().map(|tag| self.selection.candidate(tag));
        let candidates: Vec<Candidate> = candidates.collect();
        let mut learning = Learning {
            judge: Arc::clone(self),
            source,
            place: format!("{}/{repository}", judged.registry),
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
    /// `REGISTRY/REPOSITORY`.
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
