//! Finds the bundles of a container, or those that were named, and puts their volumes together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::bundle::{
    Bundle, BundleError, KeyId, SIGNATURE_SIZE_MAX_BYTES, SIGNATURES_MAX, Signature,
    SignaturePolicy, Volume,
};
use crate::content::{Error, ErrorKind, Result};
use crate::storage::DirectoryContainer;

/// A complete bundle, and the trusted keys that admit it.
pub struct OpenedBundle {
    pub bundle: Bundle,
    pub signers: Vec<KeyId>,
}

/// An object that is not a volume that may be read, and why.
#[derive(Debug)]
pub struct RefusedObject {
    pub name: String,
    pub error: BundleError,
}

/// The container and the objects in it that a path stands for: a directory is all its objects.
fn resolve(path: &Path) -> Result<(DirectoryContainer, Vec<String>)> {
    let status = std::fs::metadata(path)
        .map_err(|cause| Error::io(format!("cannot open `{}`", path.display()), cause))?;
    if status.is_dir() {
        let container = DirectoryContainer::open(path)?;
        let names = container.names()?.into_iter();
        let volumes = names.filter(|name| name.ends_with(".tar.zst") || name.ends_with(".tar"));
        return Ok((container, volumes.collect()));
    }
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .map(str::to_owned);
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    match name {
        Some(name) => Ok((
            DirectoryContainer::open(folder.unwrap_or(Path::new(".")))?,
            vec![name],
        )),
        None => Err(Error::new(
            ErrorKind::Refused,
            format!("`{}` is not a name that can be opened", path.display()),
        )),
    }
}

/// Opens one object as a volume, with the countersignatures that lie beside it.
pub(super) async fn open_volume(
    container: &DirectoryContainer,
    name: &str,
    policy: &SignaturePolicy,
) -> Result<Volume, BundleError> {
    let signatures = read_countersignatures(container, name).await?;
    Volume::open(container.read(name)?, signatures, policy).await
}

/// The files `<object>.<key id>.sig`.
async fn read_countersignatures(
    container: &DirectoryContainer,
    name: &str,
) -> Result<Vec<Signature>, BundleError> {
    let mut signatures = Vec::new();
    for object in container.names()? {
        let key_id = object
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('.')?.strip_suffix(".sig")?.parse().ok());
        let Some(key_id) = key_id else { continue };
        let file = container.read(&object)?;
        let size = file.size_bytes();
        if size > SIGNATURE_SIZE_MAX_BYTES || signatures.len() == SIGNATURES_MAX {
            continue;
        }
        let bytes = file.read(0, usize::try_from(size).unwrap_or(0)).await?;
        signatures.push(Signature {
            key_id,
            bytes: bytes.to_vec(),
        });
    }
    Ok(signatures)
}

/// Opens every volume that the paths stand for. What cannot be read is told, not left out.
pub async fn open_volumes(
    paths: &[PathBuf],
    policy: &SignaturePolicy,
) -> Result<(Vec<Volume>, Vec<RefusedObject>)> {
    let mut volumes = Vec::new();
    let mut refused = Vec::new();
    for path in paths {
        let (container, names) = resolve(path)?;
        if names.is_empty() {
            return Err(Error::not_found(format!(
                "`{}` holds no bundle (`*.tar.zst` or `*.tar`)",
                path.display()
            )));
        }
        for name in names {
            match open_volume(&container, &name, policy).await {
                Ok(volume) => volumes.push(volume),
                Err(error) => refused.push(RefusedObject {
                    name: container.path().join(&name).display().to_string(),
                    error,
                }),
            }
        }
    }
    Ok((volumes, refused))
}

/// Opens the bundles that the paths stand for, oldest first. One object or set that cannot be used is an
/// error: a person who imports by hand has named it.
pub async fn open_bundles(
    paths: &[PathBuf],
    policy: &SignaturePolicy,
) -> Result<Vec<OpenedBundle>> {
    let (volumes, refused) = open_volumes(paths, policy).await?;
    if let Some(first) = refused.into_iter().next() {
        let name = first.name;
        return Err(refuse(first.error.into(), format!("cannot use `{name}`")));
    }
    let mut bundles = Vec::new();
    for volumes in sets_of(volumes) {
        let name = volumes[0].name().to_owned();
        let bundle = Bundle::assemble(volumes)
            .map_err(|error| error.within(format!("cannot use `{name}`")))?;
        let signers = bundle.last().admit(policy).map_err(|error| {
            Error::from(error).within(format!("cannot use `{}`", bundle.last().name()))
        })?;
        bundles.push(OpenedBundle { bundle, signers });
    }
    bundles.sort_by_key(|opened| {
        let inventory = opened.bundle.inventory();
        (
            inventory.sequence,
            inventory.created,
            inventory.name.clone(),
        )
    });
    Ok(bundles)
}

/// What is no regular file is refused like what is no bundle.
fn refuse(error: Error, message: String) -> Error {
    match error.kind() {
        ErrorKind::Refused => Error::unverified(message).with_cause(error),
        _ => error.within(message),
    }
}

/// Puts volumes that say they belong together into one list each, in their order.
pub fn sets_of(volumes: Vec<Volume>) -> Vec<Vec<Volume>> {
    let mut sets: BTreeMap<String, Vec<Volume>> = BTreeMap::new();
    for volume in volumes {
        sets.entry(key_of_set(&volume)).or_default().push(volume);
    }
    for set in sets.values_mut() {
        set.sort_by_key(|volume| volume.inventory().volume);
    }
    sets.into_values().collect()
}

/// One bundle of one volume stands alone; volumes of a set are found by what they say of it.
fn key_of_set(volume: &Volume) -> String {
    let inventory = volume.inventory();
    if inventory.volumes == 1 {
        return volume.inventory_digest().to_string();
    }
    format!(
        "{} {} {} {}",
        inventory.set, inventory.volumes, inventory.created, inventory.name
    )
}
