//! What every storage container can do: the contract of directories and clouds.
//!
//! **Invariants.** An object is seen whole or not at all. A reader reads one version, and a replaced object is
//! an error, never a mixture. Names are object names relative to the container's prefix, without a leading `/`.
//! No error and no name holds a credential.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use secrecy::SecretString;

use crate::content::{Error, ObjectWriter, RangedRead, Result, Uploaded, Version};
use crate::oci::Digest;

/// An object as a listing tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundObject {
    pub name: String,
    pub size_bytes: u64,
    pub version: Version,
    /// By the container's clock.
    pub modified: Option<Timestamp>,
}

/// Whether a new object may replace one of the same name. Safe by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overwrite {
    #[default]
    Refuse,
    Replace,
}

/// How a new object is begun.
#[derive(Clone, Debug, Default)]
pub struct CreateOptions {
    pub overwrite: Overwrite,
    /// About how large the object becomes; parts are cut so that it fits.
    pub expected_bytes: u64,
    pub resume: Option<Resume>,
}

/// An interrupted upload that is gone on with.
#[derive(Clone, Debug)]
pub struct Resume {
    pub uploaded: Uploaded,
    /// The offset in the object of the first byte that the writer will be given. What it is given before the end
    /// of `uploaded` has been uploaded already and is dropped.
    pub start: u64,
}

/// The version of an object that a new one is to be equal to.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Tells it from other objects, as well as the caller can; without credentials.
    pub name: String,
    /// As far as it lasts: see `StorageContainer::lasting_version`.
    pub version: Version,
    pub size_bytes: u64,
}

impl Origin {
    /// The same for every run that copies this version, and for no other version.
    pub fn digest(&self) -> Digest {
        let Self {
            name,
            version,
            size_bytes,
        } = self;
        Digest::sha256(format!("{name}\n{version}\n{size_bytes}").as_bytes())
    }
}

/// An object that is being made equal to another one.
pub struct BegunCopy {
    /// Wants the bytes from `present_bytes` on.
    pub writer: Box<dyn ObjectWriter>,
    /// What an interrupted run has brought of the same version, as far as it is proven.
    pub present_bytes: u64,
}

/// One version of an object, and what a service needs to read it by itself.
#[derive(Clone, Debug)]
pub enum CopySource {
    Azure {
        /// With a signature that may read; it is never shown.
        url: SecretString,
        version: Version,
        size_bytes: u64,
    },
    /// For the same service under the same login, which then needs nothing more.
    Bucket {
        service: BucketService,
        bucket: String,
        key: String,
        version: Version,
        size_bytes: u64,
    },
}

/// A service that speaks S3's protocol, and who is logged in there. Equal ones can copy from each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketService {
    /// `None` is Amazon's own.
    pub endpoint: Option<String>,
    /// Of the login that was given; `None` is what the machine offers.
    pub login: Option<Digest>,
}

/// What a service is asked to copy.
#[derive(Clone, Copy)]
pub struct WantedCopy<'a> {
    /// The name that it gets.
    pub object: &'a str,
    pub source: &'a CopySource,
    pub overwrite: Overwrite,
    /// Hears of bytes that have arrived.
    pub on_bytes: &'a (dyn Fn(u64) + Send + Sync),
}

/// What came of asking a service to copy.
#[derive(Debug)]
pub enum ServiceCopy {
    Done,
    /// The two places have nothing to do with each other.
    Apart,
    /// The service does not do it, and has copied nothing.
    Refused(Error),
}

/// A place that holds objects.
#[async_trait]
pub trait StorageContainer: Send + Sync {
    /// The container as people write it; without credentials.
    fn name(&self) -> &str;

    /// An object as people write it; without credentials.
    fn shown(&self, object: &str) -> String;

    /// The objects whose names begin with `prefix`, page by page, in no promised order. What is under construction
    /// is not an object.
    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, Result<FoundObject>>;

    /// The object as it is now; `None` is a definitive answer.
    async fn find(&self, object: &str) -> Result<Option<FoundObject>>;

    /// Opens the version that the object has now.
    async fn open(&self, object: &str) -> Result<Arc<dyn RangedRead>>;

    /// Begins a new object.
    async fn create(&self, object: &str, options: CreateOptions) -> Result<Box<dyn ObjectWriter>>;

    /// What of a version is still the same when the place was away for a while, and nobody has written to the object.
    fn lasting_version(&self, version: &Version) -> Version {
        version.clone()
    }

    /// Removes an object, and only this version of it where one is named; `Changed` where it has another one.
    /// An object that is not there is fine.
    async fn remove(&self, object: &str, version: Option<&Version>) -> Result<()>;

    /// What an interrupted upload has left that a later run does not need: removes it.
    async fn abandon(&self, object: &str, uploaded: &Uploaded) -> Result<Abandonment>;

    /// What the container still has of an interrupted upload: its parts from the first on, as long as they are what
    /// was recorded; `None` where it has lost the upload. Where nobody can tell, what was recorded is believed.
    async fn find_uploaded(&self, _object: &str, uploaded: Uploaded) -> Result<Option<Uploaded>> {
        Ok(Some(uploaded))
    }

    /// What is under construction here, or was left by runs that ended early; `None` where nobody tells us.
    async fn list_uploads(&self) -> Result<Option<Vec<OpenUpload>>>;

    /// Bytes that may still be written; `None` where there is no such limit.
    async fn free_bytes(&self) -> Result<Option<u64>>;

    /// The largest object that fits, where that is known to be small.
    async fn object_size_max_bytes(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    /// Whether the container can be taken away, and is complete only when its device says that it is.
    fn is_removable(&self) -> bool {
        false
    }

    /// What a service needs to read this version of the object by itself; `None` where nobody else can.
    async fn offer(&self, _object: &str, _version: &Version) -> Result<Option<CopySource>> {
        Ok(None)
    }

    /// Lets the service of this container fetch an object, past this process. Where it does not, nothing is visible, and the bytes have to be carried. An error after
    /// some of it has arrived leaves that for the next run, where the service lets it be found again.
    async fn copy_from(&self, _copy: WantedCopy<'_>) -> Result<ServiceCopy> {
        Ok(ServiceCopy::Apart)
    }

    /// Begins an object that is to be equal to `origin`, or goes on with what an interrupted run has brought of the
    /// same version. Only what is proven counts: by a digest that was noted when it arrived, or by the service.
    async fn create_equal(
        &self,
        object: &str,
        overwrite: Overwrite,
        origin: &Origin,
    ) -> Result<BegunCopy> {
        let options = CreateOptions {
            overwrite,
            expected_bytes: origin.size_bytes,
            ..CreateOptions::default()
        };
        Ok(BegunCopy {
            writer: self.create(object, options).await?,
            present_bytes: 0,
        })
    }

    /// Waits until the objects, whoever has written them, are on the device. What is read of them afterwards is
    /// read from there.
    async fn flush(&self, _objects: &[String]) -> Result<()> {
        Ok(())
    }

    /// A whole object that a run has sealed and, ended in that moment, has not published; where objects are sealed
    /// and published in two steps.
    async fn open_left(&self, _object: &str) -> Result<Option<Arc<dyn RangedRead>>> {
        Ok(None)
    }

    /// Publishes such an object.
    async fn publish_left(&self, object: &str, _overwrite: Overwrite) -> Result<()> {
        Err(Error::not_found(format!(
            "nothing is left of `{}`",
            self.shown(object)
        )))
    }
}

/// What came of giving up an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abandonment {
    Removed,
    /// Nothing of it was there any more.
    Gone,
    /// It cannot be removed alone; the service does that in time.
    Left,
}

/// An upload that was begun and neither finished nor removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenUpload {
    pub object: String,
    /// Empty where it is not of one run of this program, and cannot be removed alone.
    pub upload_id: String,
    pub size_bytes: Option<u64>,
    /// By the container's clock; `None` where it does not tell.
    pub modified: Option<Timestamp>,
    /// A running process holds it.
    pub is_held: bool,
}

/// A small object at once.
pub async fn write_small(
    container: &dyn StorageContainer,
    object: &str,
    bytes: Bytes,
    overwrite: Overwrite,
) -> Result<()> {
    let options = CreateOptions {
        overwrite,
        expected_bytes: bytes.len() as u64,
        resume: None,
    };
    let mut writer = container.create(object, options).await?;
    writer.write(vec![bytes]).await?;
    writer.finish().await
}
