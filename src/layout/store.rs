//! The layout directory itself: reading and writing its files.

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tokio::sync::Mutex;

use super::files::{read_small, stream_file, write_small};
use super::index::Index;
use super::proof::{self, Proven};
use crate::content::{
    BlobOutcome, Content, Document, Error, ErrorKind, FileSink, MANIFEST_SIZE_MAX_BYTES,
    RawDocument, RawStream, Referrer, Result, RootedDirectory, Source, Target,
};
use crate::oci::{Descriptor, Digest, Manifest, Pin, Repository, Tag};

const LAYOUT_FILE: &str = "oci-layout";
const LAYOUT_PARTIAL: &str = "oci-layout.partial";
const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
const INDEX_FILE: &str = "index.json";
const INDEX_PARTIAL: &str = "index.json.partial";
const INDEX_SIZE_MAX_BYTES: u64 = 64 << 20;

/// An OCI image layout directory.
pub struct Layout {
    directory: Arc<RootedDirectory>,
    index: Mutex<Index>,
    /// The manifests of `index.json` by the digest of their subject; filled when first asked for.
    subjects: Mutex<Option<HashMap<Digest, Vec<Referrer>>>>,
    proven: Proven,
    /// Held for as long as this process may write.
    _lock: Option<File>,
}

/// Why a layout cannot be written to now.
#[derive(Debug, thiserror::Error)]
#[error("it holds the layout's lock")]
pub struct LayoutInUse;

fn explain_lock(errno: Errno, path: &Path) -> Error {
    let path = path.display();
    if errno != Errno::WOULDBLOCK {
        return Error::io(format!("cannot lock the layout `{path}`"), errno.into());
    }
    let kind = ErrorKind::Temporary { retry_after: None };
    let message = format!("another process is writing to `{path}`");
    Error::new(kind, message).with_cause(LayoutInUse)
}

impl Layout {
    /// Opens an existing layout for reading.
    pub fn open(path: &Path) -> Result<Self> {
        let directory = RootedDirectory::open(path)?;
        let index = read_small(&directory, INDEX_FILE, INDEX_SIZE_MAX_BYTES).map_err(|error| {
            let shown = path.display();
            error.within(format!("`{shown}` is not an OCI image layout directory"))
        })?;
        Self::with_index(directory, &index, None)
    }

    /// Opens a layout for writing, making it first where it is missing. One process at a time may write.
    pub fn create(path: &Path) -> Result<Self> {
        let directory = RootedDirectory::create(path)?;
        if !directory.exists(LAYOUT_FILE)? {
            // A run that was killed at its very beginning leaves this and nothing else.
            if directory.names()?.iter().any(|name| name != LAYOUT_PARTIAL) {
                return Err(Error::new(
                    ErrorKind::Refused,
                    format!(
                        "`{}` is neither empty nor an OCI image layout",
                        path.display()
                    ),
                ));
            }
            write_small(&directory, LAYOUT_PARTIAL, LAYOUT_FILE, LAYOUT)?;
        }
        let lock = directory.open_file(LAYOUT_FILE)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|errno| explain_lock(errno, path))?;
        directory.create_folder("blobs")?;
        let index = match read_small(&directory, INDEX_FILE, INDEX_SIZE_MAX_BYTES) {
            Err(error) if error.is_not_found() => Index::empty(None).encode(),
            other => other?,
        };
        Self::with_index(directory, &index, Some(lock))
    }

    fn with_index(directory: RootedDirectory, index: &[u8], lock: Option<File>) -> Result<Self> {
        let path = directory.path();
        let index = Index::parse(index, repository_of(path)).map_err(|cause| {
            let file = path.join(INDEX_FILE);
            Error::new(
                ErrorKind::Refused,
                format!("cannot read `{}`", file.display()),
            )
            .with_cause(cause)
        })?;
        Ok(Self {
            directory: Arc::new(directory),
            index: Mutex::new(index),
            subjects: Mutex::default(),
            proven: Proven::default(),
            _lock: lock,
        })
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The names in `index.json`: repository, and tag where there is one, or the digest where there is none.
    pub async fn named(&self) -> Vec<(Repository, Option<Tag>, Digest)> {
        let index = self.index.lock().await;
        let entries = index.entries();
        entries
            .filter_map(|entry| Some((entry.repository?, entry.tag, entry.descriptor.digest)))
            .collect()
    }

    fn absent(&self, repository: &Repository, what: &dyn std::fmt::Display) -> Error {
        let path = self.path().display();
        Error::not_found(format!(
            "the layout `{path}` has no `{repository}` at `{what}`"
        ))
    }

    fn find_file(&self, repository: &Repository, digest: &Digest) -> Result<File> {
        self.directory
            .open_file(&blob_path(digest))
            .map_err(|error| {
                if error.is_not_found() {
                    self.absent(repository, digest)
                } else {
                    error
                }
            })
    }

    /// What messages call the file of `digest`.
    fn shown(&self, digest: &Digest) -> String {
        let path = self.path().join(blob_path(digest));
        path.display().to_string()
    }

    async fn read_subjects(&self) -> Result<HashMap<Digest, Vec<Referrer>>> {
        let mut subjects: HashMap<Digest, Vec<Referrer>> = HashMap::new();
        let entries: Vec<_> = self.index.lock().await.entries().collect();
        for entry in entries {
            let descriptor = entry.descriptor;
            if !descriptor.is_manifest() || descriptor.size > MANIFEST_SIZE_MAX_BYTES {
                continue;
            }
            let bytes = match read_small(
                &self.directory,
                &blob_path(&descriptor.digest),
                MANIFEST_SIZE_MAX_BYTES,
            ) {
                Err(error) if error.is_not_found() => continue,
                other => other?,
            };
            let Ok(manifest) = Manifest::parse(&bytes, &descriptor.media_type) else {
                continue;
            };
            if let Some(subject) = manifest.subject {
                let referrers = subjects.entry(subject.digest).or_default();
                referrers.push(Referrer {
                    descriptor,
                    artifact_type: manifest.artifact_type,
                });
            }
        }
        Ok(subjects)
    }

    /// Changes `index.json` in one step.
    async fn edit_index(&self, edit: impl FnOnce(&mut Index) -> bool + Send) -> Result<()> {
        let mut index = self.index.lock().await;
        let mut edited = index.clone();
        if edit(&mut edited) {
            write_small(&self.directory, INDEX_PARTIAL, INDEX_FILE, &edited.encode())?;
            *index = edited;
            *self.subjects.lock().await = None;
        }
        Ok(())
    }

    async fn write_content(
        &self,
        digest: &Digest,
        mut pieces: impl futures_util::Stream<Item = Result<Bytes>> + Unpin + Send,
    ) -> Result<()> {
        let name = blob_path(digest);
        let partial = format!("{name}.partial");
        self.directory
            .create_folder(&format!("blobs/{}", digest.algorithm().name()))?;
        // We hold the lock, so a partial file is what an interrupted run has left.
        self.directory.remove(&partial)?;
        let file = self.directory.create_file(&partial)?;
        let mut sink = FileSink::new(file, self.path().join(&partial).display().to_string());
        let written = async {
            while let Some(piece) = pieces.next().await {
                sink.write(vec![piece?]).await?;
            }
            sink.finish().await
        };
        match written.await {
            Ok(_) => self.directory.replace(&partial, &name),
            Err(error) => {
                self.directory.remove(&partial)?;
                Err(error)
            }
        }
    }
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

/// The directory's own name as a repository, for layouts that name only tags.
fn repository_of(path: &Path) -> Option<Repository> {
    let path = path.canonicalize().ok()?;
    path.file_name()?.to_str()?.to_lowercase().parse().ok()
}

#[async_trait]
impl Source for Layout {
    async fn manifest(&self, repository: &Repository, pin: &Pin) -> Result<RawDocument> {
        let index = self.index.lock().await;
        let listed = match pin {
            Pin::Tag(tag) => {
                let entry = index.find(repository, tag);
                Some(
                    entry
                        .ok_or_else(|| self.absent(repository, pin))?
                        .descriptor,
                )
            }
            Pin::Digest(digest) => index
                .entries()
                .map(|entry| entry.descriptor)
                .find(|descriptor| descriptor.digest == *digest),
        };
        drop(index);
        let digest = match (pin, &listed) {
            (Pin::Digest(digest), _) => digest.clone(),
            (Pin::Tag(_), Some(descriptor)) => descriptor.digest.clone(),
            (Pin::Tag(_), None) => return Err(self.absent(repository, pin)),
        };
        let read = read_small(
            &self.directory,
            &blob_path(&digest),
            MANIFEST_SIZE_MAX_BYTES,
        );
        let bytes = read.map_err(|error| {
            if error.is_not_found() {
                self.absent(repository, pin)
            } else {
                error
            }
        })?;
        // Only named manifests stand in the index; the others say themselves what they are.
        let media_type = match listed {
            Some(descriptor) => descriptor.media_type.to_string(),
            None => Manifest::parse(&bytes, "").map_or_else(|_| String::new(), |m| m.media_type),
        };
        Ok(RawDocument {
            bytes: bytes.into(),
            media_type,
            claimed: Some(digest),
        })
    }

    async fn open(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        range: Range<u64>,
    ) -> Result<RawStream> {
        let file = self.find_file(repository, &descriptor.digest)?;
        Ok(stream_file(file, range, self.shown(&descriptor.digest)))
    }

    async fn has(&self, _: &Repository, descriptor: &Descriptor) -> Result<bool> {
        match self.directory.file_size(&blob_path(&descriptor.digest)) {
            Ok(size) => Ok(size == descriptor.size),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn tags(&self, repository: &Repository) -> Result<Vec<Tag>> {
        let index = self.index.lock().await;
        let here: Vec<_> = index
            .entries()
            .filter(|entry| entry.repository.as_ref() == Some(repository))
            .collect();
        if here.is_empty() {
            return Err(self.absent(repository, &"any tag"));
        }
        Ok(here.into_iter().filter_map(|entry| entry.tag).collect())
    }

    async fn repositories(&self) -> Result<Vec<Repository>> {
        let index = self.index.lock().await;
        let mut names: Vec<_> = index
            .entries()
            .filter_map(|entry| entry.repository)
            .collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    async fn referrers(&self, _: &Repository, subject: &Digest) -> Result<Vec<Referrer>> {
        let mut subjects = self.subjects.lock().await;
        if subjects.is_none() {
            *subjects = Some(self.read_subjects().await?);
        }
        Ok(subjects
            .as_ref()
            .and_then(|map| map.get(subject))
            .cloned()
            .unwrap_or_default())
    }
}

#[async_trait]
impl Target for Layout {
    /// Something else under its name is not there: it will be replaced.
    async fn exists(&self, repository: &Repository, descriptor: &Descriptor) -> Result<bool> {
        if !self.has(repository, descriptor).await? {
            return Ok(false);
        }
        // Manifests cost nothing to read, and everything hangs on them.
        if !descriptor.is_manifest() && self.proven.holds(&descriptor.digest) {
            return Ok(true);
        }
        let file = self.find_file(repository, &descriptor.digest)?;
        let name = self.shown(&descriptor.digest);
        let is_content = proof::is_content(file, descriptor, &name).await?;
        if is_content {
            self.proven.add(&descriptor.digest);
        } else {
            tracing::warn!(file = name, "not what its name says; it will be replaced");
        }
        Ok(is_content)
    }

    async fn push_blob(
        &self,
        _: &Repository,
        content: &Content,
        _: Option<&Repository>,
    ) -> Result<BlobOutcome> {
        let stream = content.open(0).await?;
        let digest = &content.descriptor().digest;
        self.write_content(digest, stream).await?;
        self.proven.add(digest);
        Ok(BlobOutcome::Pushed)
    }

    async fn push_manifest(&self, _: &Repository, document: &Document) -> Result<()> {
        let pieces = stream::iter([Ok(document.bytes.clone())]);
        self.write_content(&document.descriptor.digest, pieces)
            .await
    }

    async fn resolve_tag(&self, repository: &Repository, tag: &Tag) -> Result<Option<Digest>> {
        let entry = self.index.lock().await.find(repository, tag);
        Ok(entry.map(|entry| entry.descriptor.digest))
    }

    async fn tag(&self, repository: &Repository, document: &Document, tag: &Tag) -> Result<()> {
        self.edit_index(|index| {
            index.set_tag(repository, tag, &document.descriptor);
            true
        })
        .await
    }

    async fn link_referrer(&self, _: &Repository, _: &Digest, referrer: &Referrer) -> Result<()> {
        self.edit_index(|index| index.add_referrer(referrer)).await
    }
}
