//! Layout directories in a selection: which entries a reference means, and how the repositories in there are called.
//!
//! In a selection a layout stands where a registry does, under the name `oci:DIR`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::place::Connections;
use crate::content::{AttachedTag, Error, ErrorKind, Result};
use crate::layout::Layout;
use crate::oci::{Digest, Repository, Tag};

const SCHEME: &str = "oci:";

/// Entries of a layout that were named, or all of them where no rule asks for tags.
pub struct NamedEntries {
    pub path: PathBuf,
    /// Without lookup tables of referrers, which are no content.
    pub entries: Vec<NamedEntry>,
}

/// One entry of a layout.
#[derive(Clone)]
pub struct NamedEntry {
    pub repository: Repository,
    pub tag: Option<Tag>,
    pub digest: Digest,
}

/// What a layout is called in a selection.
pub(super) fn layout_name(path: &Path) -> String {
    format!("{SCHEME}{}", path.display())
}

/// The path of the layout that is called so; `None` for a registry.
pub(super) fn path_of(name: &str) -> Option<&Path> {
    name.strip_prefix(SCHEME).map(Path::new)
}

/// `REGISTRY/REPOSITORY` or `oci:DIR:REPOSITORY`, as references begin.
pub(super) fn place_name(registry: &str, repository: &Repository) -> String {
    match path_of(registry) {
        Some(_) => format!("{registry}:{repository}"),
        None => format!("{registry}/{repository}"),
    }
}

pub(super) fn open_layout(path: &Path) -> Result<Arc<Layout>> {
    Connections::layout(path).map_err(|error| error.on_side("source"))
}

/// The repositories of a layout that have a tag, sorted.
pub(super) async fn tagged_repositories(path: &Path) -> Result<Vec<Repository>> {
    let named = open_layout(path)?.named().await;
    let tagged = named.into_iter().filter(|(_, tag, _)| tag.is_some());
    let mut names: Vec<Repository> = tagged.map(|(repository, ..)| repository).collect();
    names.sort();
    names.dedup();
    Ok(names)
}

/// What `name` means: `REPOSITORY:TAG`, a tag, a digest, or without a name everything that has a tag, and in a layout
/// without tags everything.
pub(super) async fn find_entries(path: PathBuf, name: Option<&str>) -> Result<NamedEntries> {
    let layout = open_layout(&path)?;
    let named = layout.named().await.into_iter();
    let named: Vec<NamedEntry> = named
        .map(|(repository, tag, digest)| NamedEntry {
            repository,
            tag,
            digest,
        })
        .collect();
    let mut entries = choose(&named, name);
    if entries.is_empty() {
        let path = layout.path().display();
        let what = name.map_or("no named manifest".to_owned(), |name| {
            format!("no `{name}`")
        });
        let message = format!("source: the layout `{path}` has {what}");
        return Err(Error::new(ErrorKind::NotFound, message));
    }
    entries.retain(|entry| !entry.is_table());
    Ok(NamedEntries { path, entries })
}

fn choose(named: &[NamedEntry], name: Option<&str>) -> Vec<NamedEntry> {
    let is_chosen = |entry: &&NamedEntry| match (name, &entry.tag) {
        (None, tag) => tag.is_some(),
        (Some(name), Some(tag)) => {
            tag.as_str() == name
                || format!("{}:{tag}", entry.repository) == name
                || entry.digest.to_string() == name
        }
        (Some(name), None) => entry.digest.to_string() == name,
    };
    let chosen: Vec<NamedEntry> = named.iter().filter(is_chosen).cloned().collect();
    if chosen.is_empty() && name.is_none() {
        return named.to_vec();
    }
    chosen
}

impl NamedEntry {
    fn is_table(&self) -> bool {
        let attached = self.tag.as_ref().and_then(AttachedTag::parse);
        matches!(attached, Some(AttachedTag::ReferrersTable(_)))
    }
}

impl NamedEntries {
    /// `oci:DIR:REPOSITORY:TAG`, or the digest where there is no tag: references that mean the same.
    pub fn references(&self) -> impl Iterator<Item = String> {
        let name = layout_name(&self.path);
        self.entries.iter().map(move |entry| match &entry.tag {
            Some(tag) => format!("{name}:{}:{tag}", entry.repository),
            None => format!("{name}:{}", entry.digest),
        })
    }
}
