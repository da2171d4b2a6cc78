//! Storage containers: where bundles live, in a directory or in a cloud.
//!
//! It knows objects by name and nothing of what is in them.
//!
//! **Invariants.** An object is visible under its name only when it is complete and durable. Creating replaces
//! nothing unless asked to. Nothing outside the container is read or written, and no link is followed. What is
//! shown never holds a credential.

mod answer;
mod azure;
mod buckets;
mod container;
mod credential;
mod directory;
mod failure;
mod file_object;
mod file_writer;
mod http;
mod partial_file;
mod partial_record;
mod parts;
mod reference;
pub mod sas;
mod xml;

use std::sync::Arc;

use object_store::aws::AwsCredentialProvider;

pub use self::answer::ServiceAnswer;
use self::azure::AzureContainer;
pub use self::azure::{
    AzureQueue, InvalidQueue, MESSAGES_MAX, Notice, QueueMessage, QueueReference,
    VISIBILITY_TIMEOUT,
};
use self::buckets::BucketContainer;
pub use container::{
    Abandonment, BegunCopy, BucketService, CopySource, CreateOptions, FoundObject, OpenUpload,
    Origin, Overwrite, Resume, ServiceCopy, StorageContainer, WantedCopy, write_small,
};
pub use credential::{Credential, LoginSource, TemporaryLogin};
pub use directory::DirectoryContainer;
pub use reference::{
    AzureReference, ContainerReference, GcsReference, InvalidContainer, S3Reference, S3Style,
};
pub use sas::{Purpose, UnfitSas, check_sas};

use crate::content::Result;

/// Whether a directory that does not exist is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    Refuse,
    Create,
}

/// The keys of AWS that `credential` stands for, or that this machine has where it stands for none.
pub fn find_aws_keys(credential: &Credential) -> Result<AwsCredentialProvider> {
    buckets::find_keys(credential)
}

/// Opens the container.
pub async fn open_container(
    reference: &ContainerReference,
    credential: impl Into<Credential>,
    missing: Missing,
) -> Result<Arc<dyn StorageContainer>> {
    let credential = credential.into();
    match (reference, missing) {
        (ContainerReference::Directory(path), Missing::Refuse) => {
            Ok(Arc::new(DirectoryContainer::open(path)?))
        }
        (ContainerReference::Directory(path), Missing::Create) => {
            Ok(Arc::new(DirectoryContainer::create(path)?))
        }
        (ContainerReference::Azure(azure), _) => {
            Ok(Arc::new(AzureContainer::open(azure, credential)?))
        }
        (ContainerReference::S3(s3), _) => {
            let bucket = BucketContainer::open_s3(s3, &credential)?;
            Ok(Arc::new(bucket))
        }
        (ContainerReference::Gcs(gcs), _) => {
            let bucket = BucketContainer::open_gcs(gcs, credential.secret())?;
            Ok(Arc::new(bucket))
        }
    }
}
