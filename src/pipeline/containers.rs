//! Opens the containers that a person has named, with the secrets that their references name.
//!
//! **Invariant.** A shared access signature is judged by what the container is opened for, before any request.

use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;

use super::open_bundles::BundlePlace;
use crate::config::{
    AwsLogin, AwsProgram, ProgramKeys, entra_credential, find_aws_profile, resolve_secret,
};
use crate::content::{Error, ErrorKind, Result};
use crate::storage::{
    AzureQueue, AzureReference, ContainerReference, Credential, LoginSource, Missing, Purpose,
    QueueReference, S3Reference, StorageContainer, TemporaryLogin, check_sas, open_container,
};

/// Where somebody's identity comes from, if no secret is named.
#[derive(Clone, Copy)]
enum Identity {
    Entra,
    /// The URL has a signature, or the provider's own places are asked when the container is opened.
    Elsewhere,
}

impl Identity {
    fn of_azure(sas: Option<&SecretString>) -> Self {
        match sas {
            Some(_) => Self::Elsewhere,
            None => Self::Entra,
        }
    }
}

/// The secret that is named comes first.
async fn find_credential(secret: Option<&str>, identity: Identity) -> Result<Credential> {
    match (secret, identity) {
        (Some(secret), _) => Ok(Credential::Secret(resolve_secret(secret).await?)),
        (None, Identity::Entra) => Ok(Credential::Entra(entra_credential()?)),
        (None, Identity::Elsewhere) => Ok(Credential::None),
    }
}

/// What the ledger knows a container by: buckets of one name stand at different endpoints, and a directory is the
/// same wherever the command is run.
pub fn upload_place(reference: &ContainerReference) -> String {
    let endpoint = match reference {
        ContainerReference::Directory(path) => {
            return resolve_directory(path).display().to_string();
        }
        ContainerReference::S3(s3) => s3.endpoint.as_ref(),
        ContainerReference::Gcs(gcs) => gcs.endpoint.as_ref(),
        ContainerReference::Azure(_) => None,
    };
    match endpoint {
        Some(endpoint) => format!("{reference} at {endpoint}"),
        None => reference.to_string(),
    }
}

/// The one path of a directory, however it is written: without links, `..` and a `/` at its end. What does not exist
/// yet has no links, and keeps its path when it is made.
fn resolve_directory(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if let Ok(resolved) = absolute.canonicalize() {
        return resolved;
    }
    let mut clean = PathBuf::new();
    for component in absolute.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            other => clean.push(other),
        }
    }
    let resolve = |existing: &Path| {
        let rest = clean.strip_prefix(existing).ok()?;
        Some(existing.canonicalize().ok()?.join(rest))
    };
    let resolved = clean.ancestors().skip(1).find_map(resolve);
    resolved.unwrap_or(clean)
}

/// Opens a container for a purpose; `now` decides whether a signature still holds.
pub async fn connect_container(
    reference: &ContainerReference,
    missing: Missing,
    purpose: Purpose,
    now: Timestamp,
) -> Result<Arc<dyn StorageContainer>> {
    let identity = match reference {
        ContainerReference::Azure(azure) => Identity::of_azure(azure.sas.as_ref()),
        ContainerReference::S3(s3) if s3.credential.is_none() => {
            return connect_s3(s3.clone(), missing).await;
        }
        _ => Identity::Elsewhere,
    };
    let credential = find_credential(reference.credential(), identity).await?;
    check_sas(reference, credential.secret(), purpose, now)?;
    open_container(reference, credential, missing).await
}

/// Opens a bucket by a profile of `~/.aws`, or else by the places that are asked when it is opened.
async fn connect_s3(mut s3: S3Reference, missing: Missing) -> Result<Arc<dyn StorageContainer>> {
    let credential = match find_aws_profile().await? {
        Some(profile) => {
            s3.region = s3.region.take().or(profile.region);
            login_of(profile.login).await?
        }
        None => Credential::None,
    };
    let reference = ContainerReference::S3(s3);
    open_container(&reference, credential, missing).await
}

/// What this machine is for the services of AWS, where no secret is named.
pub(super) async fn find_aws_login() -> Result<Credential> {
    match find_aws_profile().await? {
        Some(profile) => login_of(profile.login).await,
        None => Ok(Credential::None),
    }
}

/// A program that cannot be used is told now, and not at the first request.
async fn login_of(login: AwsLogin) -> Result<Credential> {
    Ok(match login {
        AwsLogin::Keys(keys) => Credential::Secret(keys),
        AwsLogin::Program(program) => {
            let source = ProgramLogin {
                name: program.name(),
                first: Mutex::new(Some(program.run().await?)),
                program,
            };
            Credential::Renewed(Arc::new(source))
        }
    })
}

/// The program of a profile as a source of keys: what it has printed when it was tried first is used first.
struct ProgramLogin {
    name: String,
    program: AwsProgram,
    first: Mutex<Option<ProgramKeys>>,
}

#[async_trait]
impl LoginSource for ProgramLogin {
    fn name(&self) -> &str {
        &self.name
    }

    async fn login(&self) -> Result<TemporaryLogin> {
        let first = self
            .first
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let keys = match first {
            Some(keys) => keys,
            None => self.program.run().await?,
        };
        Ok(TemporaryLogin {
            secret: keys.secret,
            expires: keys.expires,
        })
    }
}

/// Opens a queue of notices about the objects of `container`; sends nothing yet.
pub async fn connect_queue(
    reference: &QueueReference,
    container: &AzureReference,
    now: Timestamp,
) -> Result<Arc<AzureQueue>> {
    let identity = Identity::of_azure(reference.sas.as_ref());
    let credential = find_credential(reference.credential.as_deref(), identity).await?;
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

#[cfg(test)]
mod tests {
    use std::fs::create_dir;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_directory_is_one_place_however_it_is_written() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        create_dir(root.join("drop")).unwrap();
        symlink(root.join("drop"), root.join("link")).unwrap();
        let place = |path: &str| upload_place(&ContainerReference::from(&*root.join(path)));
        let drop = place("drop");
        for path in ["drop/", "drop/../drop", "./drop/.", "link", "link/"] {
            assert_eq!(place(path), drop, "{path}");
        }
        // Before it is made and after.
        let written = ["link/new/", "drop/new", "drop/other/../new"];
        let before = written.map(place);
        assert!(before.iter().all(|it| *it == before[0]), "{before:?}");
        create_dir(root.join("drop/new")).unwrap();
        assert_eq!(place("drop/new"), before[0]);
    }
}
