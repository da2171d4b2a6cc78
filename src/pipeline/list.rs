//! Looks at a place: its repositories, or its tags with digest, platforms and creation time.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use futures_util::{StreamExt, stream};

use super::describe::read_config;
use super::place::{Connections, SourceReference};
use super::select::select;
use super::select_tags::TagSelection;
use crate::content::{
    Content, Document, Error, ErrorKind, OnError, ReferrerPolicy, Result, Root, Source, describe,
    fetch_document,
};
use crate::oci::{Digest, InvalidReference, Manifest, Platform, Reference, Repository};

const CONCURRENT_TAGS: usize = 8;
const CONFIG_SIZE_MAX_BYTES: u64 = 1 << 20;

/// What can be listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListTarget {
    Repositories { host: String },
    Tags(Reference),
    Layout { path: PathBuf },
}

impl FromStr for ListTarget {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        if let Some(path) = text.strip_prefix("oci:") {
            return Ok(Self::Layout { path: path.into() });
        }
        let text = text.trim_end_matches('/');
        if text.contains('/') {
            return text.parse().map(Self::Tags);
        }
        // The grammar of hosts is that of references; any repository serves to ask it.
        let parsed = format!("{text}/x").parse::<Reference>();
        parsed.map_err(|_| InvalidReference::NoRegistry(text.escape_default().to_string()))?;
        Ok(Self::Repositories {
            host: text.to_owned(),
        })
    }
}

/// One tag, and what it points to or why that is not known.
pub struct ListedTag {
    pub name: String,
    pub found: Result<FoundTag, String>,
}

pub struct FoundTag {
    pub digest: Digest,
    pub media_type: String,
    pub platforms: Vec<Platform>,
    pub created: Option<String>,
}

pub async fn list_repositories(host: &str, connections: &Connections) -> Result<Vec<Repository>> {
    let mut names = connections.registry(host)?.repositories().await?;
    names.sort();
    Ok(names)
}

/// The tags of a repository or layout, by name.
pub async fn list_tags(target: &ListTarget, connections: &Connections) -> Result<Vec<ListedTag>> {
    let reference = match target {
        ListTarget::Tags(reference) => SourceReference::Registry(reference.clone()),
        ListTarget::Layout { path } => SourceReference::Layout {
            path: path.clone(),
            name: None,
        },
        ListTarget::Repositories { .. } => {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "a registry has repositories, not tags",
            ));
        }
    };
    let everything = TagSelection::all(ReferrerPolicy::Carry, OnError::Stop);
    let selected = select(&[reference], connections, &everything).await?;
    let Some(source) = selected.sources.first() else {
        return Ok(Vec::new());
    };
    let mut roots = selected.roots;
    roots.sort_by(|one, other| {
        let key = |root: &Root| (root.place.repository.clone(), root.tag.clone());
        key(one).cmp(&key(other))
    });
    let looks: Vec<_> = roots
        .into_iter()
        .map(|root| look(Arc::clone(source), root))
        .collect();
    Ok(stream::iter(looks)
        .buffered(CONCURRENT_TAGS)
        .collect()
        .await)
}

async fn look(source: Arc<dyn Source>, root: Root) -> ListedTag {
    let name = match &root.tag {
        Some(tag) => format!("{}:{tag}", root.place.repository),
        None => format!("{}@{}", root.place.repository, root.pin),
    };
    let found = find(source, &root).await.map_err(|error| describe(&error));
    ListedTag { name, found }
}

async fn find(source: Arc<dyn Source>, root: &Root) -> Result<FoundTag> {
    let repository = &root.place.repository;
    let document = fetch_document(&*source, repository, &root.pin).await?;
    let manifest = parse(&document, repository)?;
    let mut platforms: Vec<Platform> = manifest
        .children
        .iter()
        .filter_map(|child| child.platform.clone())
        .filter(|platform| !platform.is_unknown())
        .collect();
    let mut created = manifest.created.clone();
    let config = config_of(&*source, repository, &manifest).await?;
    if let Some(config) = config.filter(|config| config.size <= CONFIG_SIZE_MAX_BYTES) {
        let content = Content::new(source, repository.clone(), config);
        let (platform, config_created) = read_config(&content.open(0).await?.into_bytes().await?);
        if manifest.children.is_empty() {
            platforms.extend(platform);
        }
        created = created.or(config_created);
    }
    Ok(FoundTag {
        digest: document.descriptor.digest,
        media_type: manifest.media_type,
        platforms,
        created,
    })
}

fn parse(document: &Document, repository: &Repository) -> Result<Manifest> {
    Manifest::parse(&document.bytes, &document.descriptor.media_type).map_err(|cause| {
        let digest = &document.descriptor.digest;
        Error::new(
            ErrorKind::Refused,
            format!("cannot read `{repository}@{digest}`"),
        )
        .with_cause(cause)
    })
}

/// The config of an image, or of the first image of an index: it says when the image was made.
async fn config_of(
    source: &dyn Source,
    repository: &Repository,
    manifest: &Manifest,
) -> Result<Option<crate::oci::Descriptor>> {
    let Some(child) = manifest.children.first() else {
        return Ok(manifest.config.clone());
    };
    let pin = crate::oci::Pin::Digest(child.descriptor.digest.clone());
    match fetch_document(source, repository, &pin).await {
        Ok(document) => Ok(parse(&document, repository)?.config),
        // A sparse index is legal; its age is then unknown.
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
