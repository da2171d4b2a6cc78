//! From references as typed to the roots of a walk: a repository or glob is those of its tags that the selection
//! takes, without rules all.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use futures_util::StreamExt;

use super::place::{Connections, SourceReference};
use super::select_layout::{NamedEntries, layout_name, open_layout, path_of};
use super::select_named::NamedReferences;
use super::select_tags::{Considered, JudgedRepository, Selecting, SelectionTotals, TagSelection};
use crate::content::{Place, Result, Root, Source};
use crate::oci::{Pin, Reference, Repository, Tag};

/// The places and roots that references stand for.
#[derive(Default)]
pub struct Selected {
    pub sources: Vec<Arc<dyn Source>>,
    /// What the source of the same position is called: a registry's host, or `oci`.
    pub source_names: Vec<String>,
    pub roots: Vec<Root>,
    /// What could not be read and was left out: references and reasons.
    pub failures: Vec<(String, String)>,
    pub totals: SelectionTotals,
}

/// Turns references into roots, in their order and each once.
pub async fn select(
    references: &[SourceReference],
    connections: &Connections,
    selection: &TagSelection,
) -> Result<Selected> {
    let later = NamedReferences::Later;
    let selecting = Selecting::start(references, connections, selection, later).await?;
    let mut collecting = Collecting::default();
    let mut considered = std::pin::pin!(selecting.stream());
    while let Some(considered) = considered.next().await {
        match considered? {
            Considered::Named(named) => collecting.add_named(&named.reference, connections)?,
            Considered::Repository(judged) => collecting.add_judged(judged, connections)?,
            Considered::Layout(named) => collecting.add_entries(named)?,
        }
    }
    let mut selected = collecting.selected;
    let mut seen = HashSet::new();
    selected
        .roots
        .retain(|root| seen.insert((root.place.clone(), root.pin.to_string(), root.tag.clone())));
    selected.totals.manifests_read = selecting.manifests_read();
    Ok(selected)
}

#[derive(Default)]
struct Collecting {
    selected: Selected,
    /// What two references to the same place have in common; one for each source.
    keys: Vec<String>,
}

impl Collecting {
    fn source(&mut self, key: &str, name: &str, open: impl FnOnce() -> Arc<dyn Source>) -> usize {
        if let Some(position) = self.keys.iter().position(|known| known == key) {
            return position;
        }
        self.keys.push(key.to_owned());
        self.selected.sources.push(open());
        self.selected.source_names.push(name.to_owned());
        self.keys.len() - 1
    }

    fn registry(&mut self, host: &str, connections: &Connections) -> Result<usize> {
        let registry = connections
            .registry(host)
            .map_err(|error| error.on_side("source"))?;
        Ok(self.source(host, host, || Arc::new(registry)))
    }

    fn layout(&mut self, path: &Path) -> Result<usize> {
        let layout = open_layout(path)?;
        Ok(self.source(&layout_name(path), "oci", || layout as Arc<dyn Source>))
    }

    /// What a selection calls so.
    fn place(&mut self, name: &str, connections: &Connections) -> Result<usize> {
        match path_of(name) {
            Some(path) => self.layout(path),
            None => self.registry(name, connections),
        }
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

    fn add_named(&mut self, reference: &Reference, connections: &Connections) -> Result<()> {
        let source = self.registry(&reference.registry, connections)?;
        let tag = reference.tag.clone();
        let pin = match &reference.digest {
            Some(digest) => Some(Pin::Digest(digest.clone())),
            None => tag.clone().map(Pin::Tag),
        };
        if let Some(pin) = pin {
            self.push(source, &reference.repository, pin, tag);
        }
        Ok(())
    }

    /// A tag whose manifest was read is taken as what it was then: rules were applied to that.
    fn add_judged(&mut self, judged: JudgedRepository, connections: &Connections) -> Result<()> {
        self.selected.totals.count(&judged);
        for taken in judged.taken() {
            let source = self.place(&judged.registry, connections)?;
            let tag = taken.tag.clone();
            let pin = match &taken.digest {
                Some(digest) => Pin::Digest(digest.clone()),
                None => Pin::Tag(tag.clone()),
            };
            self.push(source, &judged.repository, pin, Some(tag));
        }
        self.selected.failures.extend(judged.failures);
        Ok(())
    }

    fn add_entries(&mut self, named: NamedEntries) -> Result<()> {
        let source = self.layout(&named.path)?;
        for entry in named.entries {
            self.push(
                source,
                &entry.repository,
                Pin::Digest(entry.digest),
                entry.tag,
            );
        }
        Ok(())
    }
}
