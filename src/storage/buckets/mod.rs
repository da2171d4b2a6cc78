//! Buckets of S3, of what speaks its protocol, and of Google Cloud Storage, as storage containers.
//!
//! A version is an `ETag`, which every ranged read names. What these services cannot do in one step is done in
//! several, and said here:
//!
//! - *Create only*: an object smaller than a part is created by one conditional request, and one in parts is put
//!   together by one, as S3 can. Google cannot, and services that only speak S3's protocol may not know the condition
//!   or pass over it: there an object in parts is looked for before the first part and again before they are put
//!   together, and looked at again after. Who loses a race is told, but may have replaced the other's object.
//! - *Remove one version*: the version is compared, then the object is removed.
//! - *List uploads*: S3 is asked by requests of our own. Google is not, nor who may not list them: a run's ledger
//!   knows its own, and others are found by a lifecycle rule of the bucket.

mod copy;
mod object;
mod open;
mod renewal;
mod service;
mod upload;
mod uploads;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use jiff::Timestamp;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use self::object::BucketObject;
pub(in crate::storage) use self::open::find_keys;
use self::service::SignedBucket;
use self::upload::{PARTS_MAX, PartsOfUpload};
use super::container::{
    Abandonment, CopySource, CreateOptions, FoundObject, OpenUpload, Overwrite, ServiceCopy,
    StorageContainer, WantedCopy,
};
use super::failure;
use super::parts::{PartPlan, PartWriter};
use crate::content::{Error, ErrorKind, ObjectWriter, RangedRead, Result, Uploaded, Version};

/// What both services can do.
pub(super) trait Bucket: ObjectStore + MultipartStore + PaginatedListStore {}

impl<T: ObjectStore + MultipartStore + PaginatedListStore> Bucket for T {}

/// A bucket, or a part of one.
#[derive(Clone)]
pub(super) struct BucketContainer {
    store: Arc<dyn Bucket>,
    /// The same, and all that it asks is asked under the condition that nothing has the name. `None` where the service
    /// knows no such condition for objects in parts.
    creating: Option<Arc<dyn Bucket>>,
    name: String,
    /// With a `/` at its end, unless it is empty.
    prefix: String,
    /// For what is asked by requests of our own, where it is.
    signed: Option<Arc<SignedBucket>>,
}

impl BucketContainer {
    fn new(
        store: Arc<dyn Bucket>,
        name: String,
        prefix: &str,
        signed: Option<SignedBucket>,
    ) -> Self {
        let prefix = match prefix {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        Self {
            store,
            creating: None,
            name,
            prefix,
            signed: signed.map(Arc::new),
        }
    }

    fn path(&self, object: &str) -> Result<Path> {
        Path::parse(format!("{}{object}", self.prefix)).map_err(|error| {
            let message = format!("`{}` is no name of an object", self.shown(object));
            failure::from_object_store(message, &error.into())
        })
    }

    fn listed(&self, meta: &ObjectMeta) -> Option<FoundObject> {
        let name = meta.location.as_ref().strip_prefix(&self.prefix)?;
        (!name.is_empty()).then(|| describe(name, meta))
    }

    async fn page(
        &self,
        prefix: &str,
        token: Option<String>,
    ) -> Result<(Vec<FoundObject>, Option<String>)> {
        let prefix = format!("{}{prefix}", self.prefix);
        let prefix = (!prefix.is_empty()).then_some(prefix.as_str());
        let options = PaginatedListOptions {
            page_token: token,
            ..PaginatedListOptions::default()
        };
        let listed = self.store.list_paginated(prefix, options).await;
        let listed = listed.map_err(|error| {
            failure::from_object_store(format!("cannot list `{}`", self.name), &error)
        })?;
        let objects = listed.result.objects.iter();
        Ok((
            objects.filter_map(|meta| self.listed(meta)).collect(),
            listed.page_token,
        ))
    }
}

fn describe(name: &str, meta: &ObjectMeta) -> FoundObject {
    FoundObject {
        name: name.to_owned(),
        size_bytes: meta.size,
        version: Version::new(meta.e_tag.as_deref().unwrap_or_default()),
        modified: Timestamp::from_second(meta.last_modified.timestamp()).ok(),
    }
}

/// Where a listing goes on.
enum Next {
    First,
    Page(String),
}

#[async_trait]
impl StorageContainer for BucketContainer {
    fn name(&self) -> &str {
        &self.name
    }

    fn shown(&self, object: &str) -> String {
        format!("{}/{object}", self.name)
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, Result<FoundObject>> {
        stream::try_unfold(Some(Next::First), move |next| async move {
            let token = match next {
                None => return Ok(None),
                Some(Next::First) => None,
                Some(Next::Page(token)) => Some(token),
            };
            let (objects, token) = self.page(prefix, token).await?;
            let objects = stream::iter(objects.into_iter().map(Ok::<_, Error>));
            Ok::<_, Error>(Some((objects, token.map(Next::Page))))
        })
        .try_flatten()
        .boxed()
    }

    async fn find(&self, object: &str) -> Result<Option<FoundObject>> {
        match self.store.head(&self.path(object)?).await {
            Ok(meta) => Ok(Some(describe(object, &meta))),
            Err(error) => {
                let message = format!("cannot inspect `{}`", self.shown(object));
                match failure::from_object_store(message, &error) {
                    error if error.is_not_found() => Ok(None),
                    error => Err(error),
                }
            }
        }
    }

    async fn open(&self, object: &str) -> Result<Arc<dyn RangedRead>> {
        let name = self.shown(object);
        let Some(found) = self.find(object).await? else {
            return Err(Error::not_found(format!("`{name}` does not exist")));
        };
        Ok(Arc::new(BucketObject {
            store: Arc::clone(&self.store),
            path: self.path(object)?,
            name,
            size_bytes: found.size_bytes,
            version: found.version,
        }))
    }

    async fn create(&self, object: &str, options: CreateOptions) -> Result<Box<dyn ObjectWriter>> {
        let resumed = options.resume.as_ref();
        let upload = PartsOfUpload::new(
            self.clone(),
            object,
            self.path(object)?,
            resumed.map(|resume| resume.uploaded.upload_id.clone()),
            options.overwrite,
        );
        upload.check_free().await?;
        if let Some(resume) = resumed {
            upload.check_resumed(&resume.uploaded).await?;
        }
        let plan = PartPlan::choose(options.expected_bytes, PARTS_MAX);
        let writer = PartWriter::new(Arc::new(upload), plan, options)?;
        Ok(Box::new(writer))
    }

    async fn remove(&self, object: &str, version: Option<&Version>) -> Result<()> {
        if let Some(expected) = version {
            match self.find(object).await? {
                None => return Ok(()),
                Some(found) if found.version == *expected => {}
                Some(_) => {
                    let message = format!("`{}` was replaced meanwhile", self.shown(object));
                    return Err(Error::new(ErrorKind::Changed, message));
                }
            }
        }
        let removed = self.store.delete(&self.path(object)?).await;
        let told = |error| {
            let message = format!("cannot remove `{}`", self.shown(object));
            failure::from_object_store(message, &error)
        };
        match removed.map_err(told) {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    async fn abandon(&self, object: &str, uploaded: &Uploaded) -> Result<Abandonment> {
        let upload_id = Some(uploaded.upload_id.clone());
        let path = self.path(object)?;
        PartsOfUpload::new(self.clone(), object, path, upload_id, Overwrite::Refuse)
            .remove_parts()
            .await
    }

    async fn find_uploaded(&self, object: &str, uploaded: Uploaded) -> Result<Option<Uploaded>> {
        uploads::find_uploaded(self, object, uploaded).await
    }

    async fn list_uploads(&self) -> Result<Option<Vec<OpenUpload>>> {
        uploads::list(self).await
    }

    async fn offer(&self, object: &str, version: &Version) -> Result<Option<CopySource>> {
        copy::offer(self, object, version).await
    }

    async fn copy_from(&self, copy: WantedCopy<'_>) -> Result<ServiceCopy> {
        copy::fetch(self, copy).await
    }

    async fn free_bytes(&self) -> Result<Option<u64>> {
        Ok(None)
    }
}
