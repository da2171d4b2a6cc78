//! The selection applied to registries and layouts: which repositories there are, which of their tags are taken, and why.
//!
//! It hands over one repository after another in the order of the references and keeps none, so that a registry
//! with any number of tags is looked through in little memory. The rules themselves are in `selection`.
//!
//! **Invariants.** References with tag or digest are untouched by rules, and tags that are kept for rollback are taken
//! by them alone. Manifests are read only where the
//! evaluation asks for them, and what was judged is what is taken: its digest comes with the verdict.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::{Stream, StreamExt, stream};
use jiff::Timestamp;

use super::judge_tags::Judge;
use super::place::{Connections, SourceReference};
use super::select_layout::{
    NamedEntries, find_entries, layout_name, open_layout, path_of, place_name, tagged_repositories,
};
use super::select_named::{NamedReference, NamedReferences};
use crate::content::{AttachedTag, OnError, ReferrerPolicy, Result, Source};
use crate::history::Ledger;
use crate::oci::{Digest, Reference, Repository, Tag};
use crate::selection::{
    Candidate, RepositoryPattern, RepositorySelection, Rules, TagRole, Verdict,
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
    /// What earlier runs have learnt of artifacts, and which tags are kept for rollback.
    pub memory: Option<Ledger>,
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
            memory: None,
        }
    }

    /// Whether anything is asked of repositories or tags.
    fn looks_at_tags(&self) -> bool {
        !self.rules.is_empty() || !self.exclude_repositories.is_empty()
    }

    /// `kept` are the repository's tags that are kept for rollback.
    pub(super) fn candidate(&self, tag: Tag, kept: &HashSet<Tag>) -> Candidate {
        let is_referrer = match AttachedTag::parse(&tag) {
            Some(AttachedTag::ReferrersTable(_)) => true,
            Some(AttachedTag::Cosign(_)) => {
                self.referrers == ReferrerPolicy::Leave || !self.rules.is_empty()
            }
            None => false,
        };
        let role = match is_referrer {
            true => TagRole::Referrer,
            false if kept.contains(&tag) => TagRole::Rollback,
            false => TagRole::Artifact,
        };
        Candidate { tag, role }
    }
}

/// What a reference has come to.
pub enum Considered {
    Named(NamedReference),
    Layout(NamedEntries),
    Repository(JudgedRepository),
}

/// The tags of one repository, sorted, each with its verdict.
pub struct JudgedRepository {
    /// A registry's host, or `oci:DIR`.
    pub registry: String,
    pub repository: Repository,
    pub tags: Vec<JudgedTag>,
    /// What could not be read and was left out: references and reasons.
    pub failures: Vec<(String, String)>,
}

impl JudgedRepository {
    /// `REGISTRY/REPOSITORY` or `oci:DIR:REPOSITORY`.
    pub fn name(&self) -> String {
        place_name(&self.registry, &self.repository)
    }

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
    named: NamedReferences,
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
        let items = expand(references, connections, (selection, named)).await?;
        let mut sources = HashMap::new();
        for registry in items.iter().filter_map(Item::registry) {
            let opened = open_place(registry, connections)?;
            sources.insert(registry.to_owned(), opened);
        }
        let judge = Arc::new(Judge::new(selection, sources));
        Ok(Self {
            items,
            judge,
            named,
        })
    }

    /// `REGISTRY/REPOSITORY` of everything that will be judged.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.items.iter().filter_map(|item| match item {
            Item::Repository {
                registry,
                repository,
                ..
            } => Some(place_name(registry, repository)),
            Item::Named(reference) => Some(place_name(&reference.registry, &reference.repository)),
            Item::Layout { .. } => None,
        })
    }

    /// What the references have come to, in their order. Whoever has had all of it has what was learnt in the ledger.
    pub fn stream(&self) -> impl Stream<Item = Result<Considered>> + use<> {
        let (judge, named) = (Arc::clone(&self.judge), self.named);
        let learnt = Arc::clone(&self.judge);
        let keeping = stream::once(async move { learnt.keep_facts().await });
        let failures = keeping.filter_map(|kept| std::future::ready(kept.err().map(Err)));
        stream::iter(self.items.clone())
            .map(move |item| {
                let judge = Arc::clone(&judge);
                async move { consider(&judge, named, item).await }
            })
            .buffered(CONCURRENT_REPOSITORIES)
            .chain(failures)
    }

    /// Manifests that were read so far.
    pub fn manifests_read(&self) -> usize {
        self.judge.manifests_read()
    }
}

/// What a selection calls so.
fn open_place(name: &str, connections: &Connections) -> Result<Arc<dyn Source>> {
    if let Some(path) = path_of(name) {
        return Ok(open_layout(path)?);
    }
    let registry = connections.registry(name);
    Ok(Arc::new(registry.map_err(|error| error.on_side("source"))?))
}

/// References with every glob replaced by what it stands for, each once.
async fn expand(
    references: &[SourceReference],
    connections: &Connections,
    (selection, named): (&TagSelection, NamedReferences),
) -> Result<Vec<Item>> {
    let exclude = &selection.exclude_repositories;
    let mut catalogs: HashMap<&str, Vec<Repository>> = HashMap::new();
    let mut items = Vec::new();
    for reference in references {
        match reference {
            SourceReference::Registry(reference) => items.extend(item_of(reference, exclude)),
            SourceReference::Layout { path, name } => {
                let tagged = match (
                    name,
                    selection.looks_at_tags() || named == NamedReferences::Check,
                ) {
                    (None, true) => tagged_repositories(path).await?,
                    _ => Vec::new(),
                };
                if tagged.is_empty() && (name.is_some() || !selection.looks_at_tags()) {
                    items.push(Item::Layout {
                        path: path.clone(),
                        name: name.clone(),
                    });
                }
                let is_excluded = |it: &Repository| exclude.iter().any(|no| no.matches(it));
                let tagged = tagged.into_iter().filter(|it| !is_excluded(it));
                items.extend(tagged.map(|repository| Item::Repository {
                    registry: layout_name(path),
                    repository,
                    is_named: false,
                }));
            }
            SourceReference::Glob { registry, pattern } => {
                if !catalogs.contains_key(&**registry) {
                    let names = read_catalog(registry, pattern, connections).await?;
                    catalogs.insert(registry, names);
                }
                let selection = RepositorySelection {
                    include: vec![pattern.clone()],
                    exclude: exclude.clone(),
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

async fn consider(judge: &Arc<Judge>, named: NamedReferences, item: Item) -> Result<Considered> {
    Ok(match item {
        Item::Named(reference) => Considered::Named(judge.look_up(named, reference).await?),
        Item::Layout { path, name } => {
            let mut entries = find_entries(path, name.as_deref()).await?;
            if name.is_none() {
                judge.leave_rollback_tags(&mut entries).await?;
            }
            Considered::Layout(entries)
        }
        Item::Repository {
            registry,
            repository,
            is_named,
        } => Considered::Repository(judge.judge(registry, repository, is_named).await?),
    })
}
