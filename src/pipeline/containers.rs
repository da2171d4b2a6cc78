//! Opens the containers that a person has named, with the secrets that their references name.
//!
//! **Invariant.** A shared access signature is judged by what the container is opened for, before any request.

use std::sync::Arc;

use jiff::Timestamp;

use super::open_bundles::BundlePlace;
use crate::config::resolve_secret;
use crate::content::{Error, ErrorKind, Result};
use crate::storage::{
    AzureQueue, AzureReference, ContainerReference, Missing, Purpose, QueueReference,
    StorageContainer, check_sas, open_container,
};

/// Opens a container for a purpose; `now` decides whether a signature still holds.
pub async fn connect_container(
    reference: &ContainerReference,
    missing: Missing,
    purpose: Purpose,
    now: Timestamp,
) -> Result<Arc<dyn StorageContainer>> {
    let credential = match reference.credential() {
        Some(secret) => Some(resolve_secret(secret).await?),
        None => None,
    };
    check_sas(reference, credential.as_ref(), purpose, now)?;
    open_container(reference, credential, missing).await
}

/// Opens a queue of notices about the objects of `container`; sends nothing yet.
pub async fn connect_queue(
    reference: &QueueReference,
    container: &AzureReference,
    now: Timestamp,
) -> Result<Arc<AzureQueue>> {
    let credential = match &reference.credential {
        Some(secret) => Some(resolve_secret(secret).await?),
        None => None,
    };
    let queue = AzureQueue::open(reference, credential, container, now)?;
    Ok(Arc::new(queue))
}

/// Opens the container or object that was named: a file is an object of its directory.
pub async fn locate_bundles(
    reference: &ContainerReference,
    purpose: Purpose,
    now: Timestamp,
) -> Result<BundlePlace> {
    let (container, object) = match reference {
        ContainerReference::Directory(path) if !path.is_dir() => {
            let no_name = || {
                let message = format!("`{}` is not a name that can be opened", path.display());
                Error::new(ErrorKind::Refused, message)
            };
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.ok_or_else(no_name)?.to_owned();
            let folder = path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(std::path::Path::new("."));
            (ContainerReference::from(folder), Some(name))
        }
        other => other.split_object(),
    };
    let container = connect_container(&container, Missing::Refuse, purpose, now).await?;
    if let Some(object) = &object
        && container.find(object).await?.is_none()
    {
        return Err(Error::not_found(format!("cannot open `{reference}`"))
            .with_cause("there is no such object"));
    }
    Ok(BundlePlace { container, object })
}
