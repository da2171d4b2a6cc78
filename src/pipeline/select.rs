//! From references as typed to the roots of a walk: a repository without a tag is all its tags.

use std::collections::HashSet;
use std::sync::Arc;

use super::place::{Connections, SourceReference};
use crate::content::{AttachedTag, Error, ErrorKind, Place, ReferrerPolicy, Result, Root, Source};
use crate::layout::Layout;
use crate::oci::{Digest, Pin, Reference, Repository, Tag};

/// The places and roots that references stand for.
pub struct Selected {
    pub sources: Vec<Arc<dyn Source>>,
    /// What the source of the same position is called: a registry's host, or `oci`.
    pub source_names: Vec<String>,
    pub roots: Vec<Root>,
}

/// Turns references into roots, in their order and each once.
pub async fn select(
    references: &[SourceReference],
    connections: &Connections,
    referrers: ReferrerPolicy,
) -> Result<Selected> {
    let mut selection = Selection {
        selected: Selected {
            sources: Vec::new(),
            source_names: Vec::new(),
            roots: Vec::new(),
        },
        keys: Vec::new(),
        referrers,
    };
    for reference in references {
        match reference {
            SourceReference::Registry(reference) => {
                selection.add_registry(reference, connections).await?;
            }
            SourceReference::Layout { path, name } => {
                let layout = Connections::layout(path).map_err(|error| error.on_side("source"))?;
                selection
                    .add_layout(&layout, name.as_deref(), &reference_key(reference))
                    .await?;
            }
        }
    }
    let mut seen = HashSet::new();
    let selected = &mut selection.selected;
    selected
        .roots
        .retain(|root| seen.insert((root.place.clone(), root.pin.to_string(), root.tag.clone())));
    Ok(selection.selected)
}

/// What two references to the same place have in common.
fn reference_key(reference: &SourceReference) -> String {
    match reference {
        SourceReference::Registry(reference) => reference.registry.clone(),
        SourceReference::Layout { path, .. } => format!("oci:{}", path.display()),
    }
}

struct Selection {
    selected: Selected,
    /// One for each source.
    keys: Vec<String>,
    referrers: ReferrerPolicy,
}

impl Selection {
    fn source(&mut self, key: &str, name: &str, open: impl FnOnce() -> Arc<dyn Source>) -> usize {
        if let Some(position) = self.keys.iter().position(|known| known == key) {
            return position;
        }
        self.keys.push(key.to_owned());
        self.selected.sources.push(open());
        self.selected.source_names.push(name.to_owned());
        self.keys.len() - 1
    }

    fn push(&mut self, source: usize, repository: &Repository, pin: Pin, tag: Option<Tag>) {
        self.selected.roots.push(Root {
            place: Place {
                source,
                repository: repository.clone(),
            },
            pin,
            tag,
        });
    }

    async fn add_registry(
        &mut self,
        reference: &Reference,
        connections: &Connections,
    ) -> Result<()> {
        let host = &reference.registry;
        let registry = connections
            .registry(host)
            .map_err(|error| error.on_side("source"))?;
        let source = self.source(host, host, || Arc::new(registry.clone()));
        let repository = &reference.repository;
        match (&reference.digest, &reference.tag) {
            (Some(digest), tag) => {
                self.push(source, repository, Pin::Digest(digest.clone()), tag.clone());
            }
            (None, Some(tag)) => {
                self.push(source, repository, Pin::Tag(tag.clone()), Some(tag.clone()));
            }
            (None, None) => {
                let tags = registry.tags(repository).await;
                let tags = tags.map_err(|error| error.on_side("source"))?;
                self.add_all_tags(source, repository, tags)?;
            }
        }
        Ok(())
    }

    fn add_all_tags(
        &mut self,
        source: usize,
        repository: &Repository,
        mut tags: Vec<Tag>,
    ) -> Result<()> {
        tags.sort();
        let before = self.selected.roots.len();
        for tag in tags {
            let is_artifact = match AttachedTag::parse(&tag) {
                Some(AttachedTag::ReferrersTable(_)) => false,
                Some(AttachedTag::Cosign(_)) => self.referrers == ReferrerPolicy::Carry,
                None => true,
            };
            if is_artifact {
                self.push(source, repository, Pin::Tag(tag.clone()), Some(tag));
            }
        }
        if self.selected.roots.len() == before {
            return Err(Error::not_found(format!(
                "source: `{repository}` has no tags"
            )));
        }
        Ok(())
    }

    async fn add_layout(
        &mut self,
        layout: &Arc<Layout>,
        name: Option<&str>,
        key: &str,
    ) -> Result<()> {
        let source = self.source(key, "oci", || Arc::clone(layout) as Arc<dyn Source>);
        let named = layout.named().await;
        let chosen = choose_named(&named, name);
        if chosen.is_empty() {
            let path = layout.path().display();
            let what = name.map_or("no named manifest".to_owned(), |name| {
                format!("no `{name}`")
            });
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("source: the layout `{path}` has {what}"),
            ));
        }
        for (repository, tag, digest) in chosen {
            let is_table = tag.as_ref().is_some_and(|tag| {
                matches!(
                    AttachedTag::parse(tag),
                    Some(AttachedTag::ReferrersTable(_))
                )
            });
            if !is_table {
                self.push(source, &repository, Pin::Digest(digest), tag);
            }
        }
        Ok(())
    }
}

type Named = (Repository, Option<Tag>, Digest);

/// The entries that `name` selects: `REPOSITORY:TAG`, a tag, a digest, or without a name everything that
/// has a tag, and in a layout without tags everything.
fn choose_named(named: &[Named], name: Option<&str>) -> Vec<Named> {
    let is_chosen = |(repository, tag, digest): &&Named| match (name, tag) {
        (None, tag) => tag.is_some(),
        (Some(name), Some(tag)) => {
            tag.as_str() == name
                || format!("{repository}:{tag}") == name
                || digest.to_string() == name
        }
        (Some(name), None) => digest.to_string() == name,
    };
    let chosen: Vec<Named> = named.iter().filter(is_chosen).cloned().collect();
    if chosen.is_empty() && name.is_none() {
        return named.to_vec();
    }
    chosen
}
