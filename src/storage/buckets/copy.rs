//! Copies from one bucket to another that the service makes by itself: small objects in one request, others in
//! parts. No byte of the object passes through this process.
//!
//! Only within one service and under one login: it is nobody else's business what a login may read, and no credential
//! is handed over. The version is a condition of every request. Create only is kept as for everything else in buckets:
//! one request is conditional, and an object in parts is looked for before and after. The parts of a copy that was
//! interrupted are not gone on with.
//!
//! Google's copies are not asked for: `object_store` makes them within one bucket only, and of whatever version is
//! there.

use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::BucketContainer;
use super::service::{SignedBucket, encode_source};
use super::upload::{PARTS_MAX, PartsOfUpload};
use crate::content::{Error, ErrorKind, Result, UploadedPart, Version};
use crate::storage::container::{CopySource, Overwrite, ServiceCopy, StorageContainer, WantedCopy};
use crate::storage::parts::PartUpload;
use crate::storage::xml::element;

/// What is copied with one request; the service would take 5 GiB, and be silent for too long.
const WHOLE_MAX_BYTES: u64 = 64 << 20;
const PART_MIN_BYTES: u64 = 64 << 20;
const PARTS_AHEAD: usize = 4;

/// The object as this service would read it.
pub(super) async fn offer(
    container: &BucketContainer,
    object: &str,
    version: &Version,
) -> Result<Option<CopySource>> {
    let Some(signed) = takes_copies(container) else {
        return Ok(None);
    };
    let Some(found) = container.find(object).await? else {
        return Ok(None);
    };
    if found.version != *version {
        return Err(changed(container, object));
    }
    if version.as_str().is_empty() {
        return Ok(None);
    }
    Ok(Some(CopySource::Bucket {
        service: signed.service.clone(),
        bucket: signed.bucket.clone(),
        key: container.path(object)?.to_string(),
        version: version.clone(),
        size_bytes: found.size_bytes,
    }))
}

fn takes_copies(container: &BucketContainer) -> Option<&SignedBucket> {
    let signed = container.signed.as_deref();
    signed.filter(|signed| signed.place.takes_copies)
}

/// Lets the service copy, if it is the source's too.
pub(super) async fn fetch(
    container: &BucketContainer,
    wanted: WantedCopy<'_>,
) -> Result<ServiceCopy> {
    let WantedCopy {
        object,
        source,
        overwrite,
        on_bytes,
    } = wanted;
    let (
        Some(signed),
        CopySource::Bucket {
            service,
            bucket,
            key,
            version,
            size_bytes,
        },
    ) = (takes_copies(container), source)
    else {
        return Ok(ServiceCopy::Apart);
    };
    if *service != signed.service {
        return Ok(ServiceCopy::Apart);
    }
    let path = container.path(object)?;
    let upload = PartsOfUpload::new(container.clone(), object, path, None, overwrite);
    upload.check_free().await?;
    let arrived = AtomicU64::new(0);
    let request = CopyRequest {
        signed,
        upload: &upload,
        source: encode_source(bucket, key),
        version,
        arrived: &arrived,
        on_bytes,
        message: format!("cannot let the service copy to `{}`", upload.shown()),
    };
    let copied = match *size_bytes <= WHOLE_MAX_BYTES {
        true => request.copy_whole(overwrite, *size_bytes).await,
        false => request.copy_parts(*size_bytes).await,
    };
    let Err(error) = copied else {
        return Ok(ServiceCopy::Done);
    };
    upload.discard().await;
    match error.kind() {
        // One condition failed, of two.
        ErrorKind::Changed => upload
            .check_free()
            .await
            .and(Err(changed(container, object))),
        ErrorKind::AlreadyExists => Err(error),
        _ if arrived.into_inner() > 0 => Err(error),
        _ => Ok(ServiceCopy::Refused(error)),
    }
}

fn changed(container: &BucketContainer, object: &str) -> Error {
    let message = format!("`{}` was replaced meanwhile", container.shown(object));
    Error::new(ErrorKind::Changed, message)
}

struct CopyRequest<'a> {
    signed: &'a SignedBucket,
    upload: &'a PartsOfUpload,
    source: String,
    version: &'a Version,
    arrived: &'a AtomicU64,
    on_bytes: &'a (dyn Fn(u64) + Send + Sync),
    message: String,
}

impl CopyRequest<'_> {
    fn headers(&self) -> Vec<(&'static str, String)> {
        vec![
            ("x-amz-copy-source", self.source.clone()),
            (
                "x-amz-copy-source-if-match",
                self.version.as_str().to_owned(),
            ),
        ]
    }

    fn note(&self, size_bytes: u64) {
        self.arrived.fetch_add(size_bytes, Ordering::Relaxed);
        (self.on_bytes)(size_bytes);
    }

    async fn copy_whole(&self, overwrite: Overwrite, size_bytes: u64) -> Result<()> {
        let mut headers = self.headers();
        if overwrite == Overwrite::Refuse {
            headers.push(("if-none-match", "*".to_owned()));
        }
        let path = self.upload.path();
        let answer = self.signed.put(path, &[], &headers, &self.message).await?;
        self.note(size_bytes);
        let etag = element(&answer, "ETag");
        self.upload.check_is_ours(size_bytes, etag.as_deref()).await
    }

    async fn copy_parts(&self, size_bytes: u64) -> Result<()> {
        let upload_id = self.upload.begun().await?.clone();
        let part = PART_MIN_BYTES.max(size_bytes.div_ceil(u64::from(PARTS_MAX)));
        let parts = stream::iter(0..size_bytes.div_ceil(part)).map(|number| {
            let start = number * part;
            self.copy_part(&upload_id, number + 1, start, part.min(size_bytes - start))
        });
        let parts: Vec<UploadedPart> = parts.buffered(PARTS_AHEAD).try_collect().await?;
        self.upload.complete(&parts).await
    }

    async fn copy_part(
        &self,
        upload_id: &str,
        number: u64,
        start: u64,
        size_bytes: u64,
    ) -> Result<UploadedPart> {
        let mut headers = self.headers();
        let range = format!("bytes={start}-{}", start + size_bytes - 1);
        headers.push(("x-amz-copy-source-range", range));
        let number = number.to_string();
        let query = [("partNumber", &*number), ("uploadId", upload_id)];
        let path = self.upload.path();
        let answer = self
            .signed
            .put(path, &query, &headers, &self.message)
            .await?;
        let id = element(&answer, "ETag").ok_or_else(|| {
            let cause = "the service names no part in its answer";
            Error::new(ErrorKind::Failed, &*self.message).with_cause(cause)
        })?;
        self.note(size_bytes);
        Ok(UploadedPart { id, size_bytes })
    }
}
