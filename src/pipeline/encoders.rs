//! Which encoder wrote each layer of artifacts: the layers are taken apart as for a dense bundle, and nothing is kept.
//!
//! **Invariants.** Every byte of every layer is read and checked against its digest. What is said of an encoder was
//! proven byte for byte. Nothing is written anywhere. Specification: src/dense/gzip/RECOMPRESSION.md.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read, Seek};
use std::num::NonZeroUsize;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::content_reader::{ContentReader, read_content};
use super::select::Selected;
use crate::content::{
    Content, Error, ErrorKind, Event, Events, Node, Plan, ReferrerPolicy, Result, Source, Walk,
    WalkOptions, assemble,
};
use crate::dense::gzip::{self, Corrector, Method, Share, take_apart};
use crate::oci::{Descriptor, Digest, Repository, media_type};

/// Layers under way at once, where there are processors: each takes some memory.
const CONCURRENT_LAYERS_MAX: usize = 4;
const CONCURRENT_ROOTS: usize = 8;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A layer, and how a dense bundle carries it.
#[derive(Clone, Debug)]
pub struct EncodedLayer {
    pub descriptor: Descriptor,
    pub encoding: LayerEncoding,
}

/// What was found in a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerEncoding {
    /// Not compressed, as far as it says itself.
    Plain,
    /// Gzip that is made again; each method with what it does.
    Gzip(Vec<Share>),
    Verbatim(VerbatimReason),
}

/// Why a layer is carried as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerbatimReason {
    /// Compressed by zstd.
    Zstd,
    /// It calls itself compressed, and is no gzip.
    NotGzip,
    /// Damaged gzip, or of an encoder that is unknown here and too far from those that are known.
    Unproven,
}

/// The kinds of carriage by which bytes are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    Exact,
    Corrected,
    Plain,
    Verbatim,
}

impl EncodedLayer {
    pub fn carried(&self) -> Carried {
        match &self.encoding {
            LayerEncoding::Plain => Carried::Plain,
            LayerEncoding::Verbatim(_) => Carried::Verbatim,
            LayerEncoding::Gzip(shares) => {
                match shares.iter().any(|it| it.method == Method::Corrected) {
                    true => Carried::Corrected,
                    false => Carried::Exact,
                }
            }
        }
    }

    /// Bytes without compression, where that could be undone.
    pub fn plain_bytes(&self) -> Option<u64> {
        match &self.encoding {
            LayerEncoding::Plain => Some(self.descriptor.size),
            LayerEncoding::Gzip(shares) => Some(shares.iter().map(|it| it.plain_bytes).sum()),
            LayerEncoding::Verbatim(_) => None,
        }
    }
}

/// Takes the layers of what was selected apart: each once, in the order in which artifacts name them.
pub async fn find_encoders(
    selected: Selected,
    corrector: &Corrector,
    events: &Events,
) -> Result<Vec<EncodedLayer>> {
    let layers = find_layers(&selected).await?;
    events(Event::TakingApart {
        layers: layers.len(),
        bytes: layers.iter().map(|it| it.descriptor().size).sum(),
    });
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let found = layers
        .into_iter()
        .map(|layer| find_encoder(layer, (threads, corrector.clone()), events));
    let found = stream::iter(found).buffered(threads.get().min(CONCURRENT_LAYERS_MAX));
    found.try_collect().await
}

async fn find_layers(selected: &Selected) -> Result<Vec<Content>> {
    let options = WalkOptions {
        referrers: ReferrerPolicy::Leave,
        ..WalkOptions::default()
    };
    let walk = Walk::new(selected.sources.clone(), options);
    let roots = selected.roots.iter().cloned();
    let found = stream::iter(roots.map(|root| walk.find(root))).buffered(CONCURRENT_ROOTS);
    let found: Result<Vec<_>> = found.try_collect().await;
    let found = found.map_err(|error| error.on_side("source"))?;
    let nodes = walk.into_nodes();
    let plan = assemble(&nodes, found);
    Ok(layers_of(&plan, &nodes, &selected.sources))
}

/// The blobs that are layers of a manifest.
fn layers_of(
    plan: &Plan,
    nodes: &HashMap<Digest, Arc<Node>>,
    sources: &[Arc<dyn Source>],
) -> Vec<Content> {
    let mut seen = HashSet::new();
    let mut layers = Vec::new();
    for manifest in &plan.manifests {
        let node = &nodes[&manifest.descriptor.digest].manifest;
        let own: HashSet<&Digest> = node.layers.iter().map(|it| &it.digest).collect();
        for position in &manifest.blobs {
            let blob = &plan.blobs[*position];
            if own.contains(&blob.descriptor.digest) && seen.insert(*position) {
                let source = Arc::clone(&sources[blob.place.source]);
                let repository: Repository = blob.place.repository.clone();
                layers.push(Content::new(source, repository, blob.descriptor.clone()));
            }
        }
    }
    layers
}

async fn find_encoder(
    layer: Content,
    with: (NonZeroUsize, Corrector),
    events: &Events,
) -> Result<EncodedLayer> {
    let descriptor = layer.descriptor().clone();
    let media_type = Arc::clone(&descriptor.media_type);
    let (mut reader, feeding) = read_content(layer);
    let reading = tokio::task::spawn_blocking(move || {
        let found = find_encoding(&mut reader, &media_type, &with);
        (found, reader.take_error())
    });
    let ((), read) = tokio::join!(feeding, reading);
    let failed = |cause: io::Error| {
        let message = format!("cannot take the layer `{}` apart", descriptor.digest);
        Error::new(ErrorKind::Failed, message).with_cause(cause)
    };
    let encoding = match read {
        Ok((_, Some(error))) => return Err(error.on_side("source")),
        Ok((Ok(encoding), None)) => encoding,
        Ok((Err(cause), None)) => return Err(failed(cause)),
        Err(cause) => return Err(failed(io::Error::other(cause))),
    };
    events(Event::Moved(descriptor.size));
    Ok(EncodedLayer {
        descriptor,
        encoding,
    })
}

/// What stands in a layer; all of it has then been read.
fn find_encoding(
    reader: &mut ContentReader,
    media_type: &str,
    (threads, corrector): &(NonZeroUsize, Corrector),
) -> io::Result<LayerEncoding> {
    let mut magic = Vec::new();
    reader
        .by_ref()
        .take(ZSTD_MAGIC.len() as u64)
        .read_to_end(&mut magic)?;
    reader.rewind()?;
    let encoding = match magic.starts_with(&GZIP_MAGIC) {
        true => match take_apart(reader, &mut io::sink(), *threads, corrector) {
            Ok(Some(recompression)) => LayerEncoding::Gzip(recompression.shares()),
            Ok(None) if !media_type::is_compressed(media_type) => LayerEncoding::Plain,
            Ok(None) => LayerEncoding::Verbatim(VerbatimReason::Unproven),
            Err(gzip::Error::Io(cause)) => return Err(cause),
            Err(other) => return Err(io::Error::other(other)),
        },
        false if !media_type::is_compressed(media_type) => LayerEncoding::Plain,
        false if magic == ZSTD_MAGIC => LayerEncoding::Verbatim(VerbatimReason::Zstd),
        false => LayerEncoding::Verbatim(VerbatimReason::NotGzip),
    };
    reader.read_out()?;
    Ok(encoding)
}
