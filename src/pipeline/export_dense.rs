//! Takes the layers of a planned bundle apart: what can be made again at the target is carried as recipe and segments.
//!
//! **Invariants.** What does not come out byte for byte, or is not smaller, is carried as it is. References are layers
//! that the target is assumed to have, read here with the source's own credentials, and layers of the bundle before.
//! The same plan over the same knowledge gives the same recipes. Specification: FORMAT.md, "Version 2".

use std::collections::HashSet;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;

use super::encoder_threads::count_encoder_threads;
use super::export_bases::{LAYER_MIN_BYTES, REFERENCES_MAX, choose_bases};
use super::export_plan::ExportPlan;
use super::export_stock::{Stock, StockSource};
use super::export_thin::{Dense, KnownContents, References};
use super::layer::{DescribedLayer, PlainLayer, describe_layer, plain_layer, take_layer_apart};
use super::spool::{Spool, SpooledFile};
use super::spooling::{Unread, spool_apart, spool_content, spool_plain};
use crate::bundle::RebuiltRow;
use crate::content::{
    Content, Error, ErrorKind, Event, Events, Place, PlannedBlob, Result, describe,
};
use crate::dense::delta::AnchorIndex;
use crate::history::Known;
use crate::oci::{Descriptor, Digest, media_type};

/// Deflate cannot expand more; what a layer of the target would come to is not known before it is read.
const EXPANSION_MAX: u64 = 1_100;

/// A layer that recipes may copy from.
struct Reference {
    digest: Digest,
    plain: SpooledFile,
    /// What is known of it, where it is not of this bundle.
    known: Option<Known>,
}

/// What layers are described with, and what comes of it. It is handed to a thread and back.
struct Bench {
    stock: Stock,
    index: AnchorIndex,
    references: Vec<Reference>,
}

struct Workshop<'a> {
    dense: &'a Dense,
    known: &'a KnownContents,
    spool: Spool,
    threads: NonZeroUsize,
    bench: Bench,
    events: &'a Events,
}

/// Takes apart what can be; the plan's carriage says afterwards what is carried.
pub(super) async fn densify(
    export: &mut ExportPlan,
    (dense, known): (&Dense, &KnownContents),
    events: &Events,
) -> Result<()> {
    let spool = Spool::open(&dense.spool)?;
    let mut workshop = Workshop {
        bench: Bench {
            stock: Stock::new(&spool).map_err(|cause| spool.failed(cause))?,
            index: AnchorIndex::default(),
            references: Vec::new(),
        },
        dense,
        known,
        spool,
        threads: count_encoder_threads(),
        events,
    };
    events(Event::TakingApart {
        layers: export.carriage.blobs.len(),
        bytes: export.carried_bytes(),
    });
    if dense.references == References::Target {
        workshop.open_bases(export).await?;
    }
    let mut carried = Vec::new();
    let mut made = Vec::new();
    for position in std::mem::take(&mut export.carriage.blobs) {
        let blob = export.plan.blobs[position].clone();
        match workshop.take_apart(export, &blob).await? {
            Some((layer, described)) => {
                let row = workshop.row_of(export, &blob, (&layer, &described));
                let anchors = described.anchors;
                workshop.add_layer(row.digest.clone(), layer.file, &anchors);
                export.carriage.rebuilt.push(row);
                made.extend(described.segments);
                made.push(described.recipe);
            }
            None => carried.push(position),
        }
        events(Event::Moved(blob.descriptor.size));
    }
    export.carriage.blobs = carried;
    stow(
        export,
        made,
        StockSource::new(workshop.bench.stock, workshop.spool),
    );
    Ok(())
}

fn content_of(export: &ExportPlan, blob: &PlannedBlob) -> Content {
    let source = Arc::clone(&export.sources[blob.place.source]);
    Content::new(
        source,
        blob.place.repository.clone(),
        blob.descriptor.clone(),
    )
}

/// Adds recipes and segments to what is carried.
fn stow(export: &mut ExportPlan, made: Vec<Descriptor>, stock: StockSource) {
    let Some(repository) = export.plan.repositories.first().cloned() else {
        return;
    };
    let place = Place {
        source: export.sources.len(),
        repository,
    };
    export.sources.push(Arc::new(stock));
    export.source_names.push(String::new());
    let mut seen = HashSet::new();
    for descriptor in made {
        if seen.insert(descriptor.digest.clone()) {
            export.carriage.blobs.push(export.plan.blobs.len());
            export.plan.blobs.push(PlannedBlob {
                descriptor,
                place: place.clone(),
                repositories: Vec::new(),
            });
        }
    }
}

impl Workshop<'_> {
    /// Reads layers that the target has and that new ones may resemble.
    async fn open_bases(&mut self, export: &ExportPlan) -> Result<()> {
        for (source, digest) in choose_bases(export, self.known) {
            let known = &self.known[&digest];
            let Some(repository) = known.repositories.iter().find_map(|it| it.parse().ok()) else {
                continue;
            };
            let blob = PlannedBlob {
                descriptor: Descriptor::new("", digest.clone(), known.size_bytes),
                place: Place { source, repository },
                repositories: Vec::new(),
            };
            if let Some(plain) = self.open_base(export, &blob).await? {
                self.add_base(digest, plain, known.clone()).await?;
            }
        }
        Ok(())
    }

    /// `None` where the source does not give it any more, or where it is nothing to copy from.
    async fn open_base(
        &self,
        export: &ExportPlan,
        blob: &PlannedBlob,
    ) -> Result<Option<SpooledFile>> {
        let size_max = blob.descriptor.size.saturating_mul(EXPANSION_MAX);
        match spool_plain(content_of(export, blob), &self.spool, size_max).await {
            Ok(plain) => Ok(Some(plain)),
            Err(Unread::Content(_)) => Ok(None),
            Err(Unread::Spool(error)) => Err(error),
            Err(Unread::Source(error)) => self.pass_over(&blob.descriptor.digest, error),
        }
    }

    fn pass_over<T>(&self, digest: &Digest, error: Error) -> Result<Option<T>> {
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::Denied | ErrorKind::Unverified => {
                let why = describe(&error);
                let text = format!("source: `{digest}` is no base of a delta: {why}");
                (self.events)(Event::Warning(text));
                Ok(None)
            }
            _ => Err(error.on_side("source")),
        }
    }

    /// Does what takes a processor on a thread that may be kept.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(io::Error::other)?
    }

    /// Makes a layer of the bundle a reference of those after it.
    fn add_layer(&mut self, digest: Digest, plain: SpooledFile, anchors: &AnchorIndex) {
        let number = self.bench.references.len();
        if number < REFERENCES_MAX {
            self.bench.index.absorb(number, anchors);
            self.bench.references.push(Reference {
                digest,
                plain,
                known: None,
            });
        }
    }

    /// Makes a layer that the target has a reference of those of the bundle.
    async fn add_base(&mut self, digest: Digest, plain: SpooledFile, known: Known) -> Result<()> {
        let number = self.bench.references.len();
        if number == REFERENCES_MAX {
            return Ok(());
        }
        let mut index = std::mem::take(&mut self.bench.index);
        let layer = plain.clone();
        let indexed = self.work(move || {
            let added = index.add(number, &layer);
            added.map(|()| index).map_err(io::Error::other)
        });
        self.bench.index = indexed.await.map_err(|cause| self.spool.failed(cause))?;
        self.bench.references.push(Reference {
            digest,
            plain,
            known: Some(known),
        });
        Ok(())
    }

    /// `None`: the content is carried as it is. Where it cannot be read that is found again, and told, when it is
    /// written.
    async fn take_apart(
        &mut self,
        export: &ExportPlan,
        blob: &PlannedBlob,
    ) -> Result<Option<(PlainLayer, DescribedLayer)>> {
        if blob.descriptor.size < LAYER_MIN_BYTES {
            return Ok(None);
        }
        let content = content_of(export, blob);
        let taken = match media_type::is_compressed(&blob.descriptor.media_type) {
            true => {
                let with = (self.threads, self.dense.corrector.clone());
                spool_apart(content, &self.spool, with).await
            }
            false => self.take_plain(content).await.map(Some),
        };
        match taken {
            Ok(Some(layer)) => self.describe(layer, blob).await,
            Ok(None) | Err(Unread::Source(_) | Unread::Content(_)) => Ok(None),
            Err(Unread::Spool(error)) => Err(error),
        }
    }

    /// What does not call itself compressed may be so all the same.
    async fn take_plain(&self, content: Content) -> Result<PlainLayer, Unread> {
        let file = spool_content(content, &self.spool).await?;
        let (reader, spool, threads) = (file.reader(), self.spool.clone(), self.threads);
        let corrector = self.dense.corrector.clone();
        let taken = self
            .work(move || take_layer_apart(&mut { reader }, &spool, (threads, &corrector)))
            .await;
        let taken = taken.map_err(|cause| Unread::Spool(self.spool.failed(cause)))?;
        Ok(taken.unwrap_or_else(|| plain_layer(file)))
    }

    async fn describe(
        &mut self,
        layer: PlainLayer,
        blob: &PlannedBlob,
    ) -> Result<Option<(PlainLayer, DescribedLayer)>> {
        let failed = |cause| {
            let message = format!("the layer `{}` cannot be described", blob.descriptor.digest);
            Error::io(message, cause)
        };
        let empty = Bench {
            stock: Stock::new(&self.spool).map_err(failed)?,
            index: AnchorIndex::default(),
            references: Vec::new(),
        };
        let mut bench = std::mem::replace(&mut self.bench, empty);
        let (size_bytes, how) = (blob.descriptor.size, (self.dense.level, self.threads));
        let described = self.work(move || {
            let plains = bench.references.iter();
            let plains: Vec<SpooledFile> = plains.map(|it| it.plain.clone()).collect();
            let with = (&bench.index, &*plains);
            let described = describe_layer(&layer, size_bytes, with, how, &mut bench.stock)
                .map_err(io::Error::other)?;
            Ok((bench, described.map(|described| (layer, described))))
        });
        let (bench, described) = described.await.map_err(failed)?;
        self.bench = bench;
        Ok(described)
    }

    /// The inventory's row, and the references that it leads to in the target.
    fn row_of(
        &self,
        export: &mut ExportPlan,
        blob: &PlannedBlob,
        (layer, described): (&PlainLayer, &DescribedLayer),
    ) -> RebuiltRow {
        let used = described.references.iter();
        let used: Vec<&Reference> = used.map(|it| &self.bench.references[*it]).collect();
        for reference in &used {
            if let Some(known) = &reference.known {
                export.refer(&reference.digest, known, reference.plain.size_bytes);
            }
        }
        let positions = blob.repositories.iter();
        let segments = described.segments.iter();
        RebuiltRow {
            media_type: Arc::clone(&blob.descriptor.media_type),
            digest: blob.descriptor.digest.clone(),
            size: blob.descriptor.size,
            repositories: positions.filter_map(|it| u32::try_from(*it).ok()).collect(),
            plain_size: layer.file.size_bytes,
            recipe: described.recipe.digest.clone(),
            segments: segments.map(|it| it.digest.clone()).collect(),
            references: used.iter().map(|it| it.digest.clone()).collect(),
        }
    }
}
