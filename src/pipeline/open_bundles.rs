//! Finds the bundles of a container, or those that were named, and puts their volumes together.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::TryStreamExt;

use crate::bundle::{
    Bundle, BundleError, KeyId, SIGNATURE_SIZE_MAX_BYTES, SIGNATURES_MAX, Signature,
    SignaturePolicy, Volume,
};
use crate::content::{Error, ErrorKind, Result};
use crate::storage::StorageContainer;

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

/// A container, or one object in it, that a person has named.
#[derive(Clone)]
pub struct BundlePlace {
    pub container: Arc<dyn StorageContainer>,
    pub object: Option<String>,
}

impl BundlePlace {
    /// The volumes that the place stands for, and the countersignatures beside them.
    async fn list(&self) -> Result<Found> {
        let prefix = self.object.as_deref().unwrap_or_default();
        let mut found = Found::default();
        let mut objects = self.container.list(prefix);
        while let Some(object) = objects.try_next().await? {
            if is_signature_name(&object.name) {
                found.signatures.push(object.name);
            } else if self.object.is_none() && is_volume_name(&object.name) {
                found.volumes.push(object.name);
            }
        }
        // What was named is opened whatever it is called, so that it is told why it cannot be.
        found.volumes.extend(self.object.clone());
        found.volumes.sort();
        Ok(found)
    }

    pub fn shown(&self) -> String {
        match &self.object {
            Some(object) => self.container.shown(object),
            None => self.container.name().to_owned(),
        }
    }
}

#[derive(Default)]
struct Found {
    volumes: Vec<String>,
    signatures: Vec<String>,
}

/// Whether an object with this name may be a volume of a bundle.
pub fn is_volume_name(name: &str) -> bool {
    name.ends_with(".tar.zst") || name.ends_with(".tar")
}

/// Whether an object with this name may be a countersignature.
pub fn is_signature_name(name: &str) -> bool {
    name.ends_with(".sig")
}

/// The countersigning key that the name `<object>.<key id>.sig` tells, where it is one of this object.
pub(super) fn countersigner(name: &str, object: &str) -> Option<KeyId> {
    let rest = name.strip_prefix(object)?;
    rest.strip_prefix('.')?.strip_suffix(".sig")?.parse().ok()
}

/// Opens one object as a volume, with those of `signatures` that are its own.
pub(super) async fn open_volume(
    container: &dyn StorageContainer,
    name: &str,
    signatures: &[String],
    policy: &SignaturePolicy,
) -> Result<Volume, BundleError> {
    let mut own = Vec::new();
    for object in signatures {
        let Some(key_id) = countersigner(object, name) else {
            continue;
        };
        let file = match container.open(object).await {
            Ok(file) => file,
            // Gone meanwhile, or no file at all: it signs nothing, and hides nothing either.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Refused) => {
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let size = file.size_bytes();
        if size > SIGNATURE_SIZE_MAX_BYTES || own.len() == SIGNATURES_MAX {
            continue;
        }
        let bytes = file.read(0, usize::try_from(size).unwrap_or(0)).await?;
        own.push(Signature {
            key_id,
            bytes: bytes.to_vec(),
        });
    }
    Volume::open(container.open(name).await?, own, policy).await
}

/// Opens every volume that the places stand for. What cannot be read is told, not left out.
pub async fn open_volumes(
    places: &[BundlePlace],
    policy: &SignaturePolicy,
) -> Result<(Vec<Volume>, Vec<RefusedObject>)> {
    let mut volumes = Vec::new();
    let mut refused = Vec::new();
    for place in places {
        let found = place.list().await?;
        if found.volumes.is_empty() {
            return Err(Error::not_found(format!(
                "`{}` holds no bundle (`*.tar.zst` or `*.tar`)",
                place.shown()
            )));
        }
        for name in found.volumes {
            match open_volume(&*place.container, &name, &found.signatures, policy).await {
                Ok(volume) => volumes.push(volume),
                Err(error) => refused.push(RefusedObject {
                    name: place.container.shown(&name),
                    error,
                }),
            }
        }
    }
    Ok((volumes, refused))
}

/// Opens the bundles that the places stand for, oldest first. One object or set that cannot be used is an
/// error: a person who imports by hand has named it.
pub async fn open_bundles(
    places: &[BundlePlace],
    policy: &SignaturePolicy,
) -> Result<Vec<OpenedBundle>> {
    let (volumes, refused) = open_volumes(places, policy).await?;
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
        // What completes another bundle comes before that.
        let completed = inventory.repairs.as_ref().map(|it| it.sequence);
        (
            completed.or(inventory.sequence),
            completed.is_none(),
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
pub(super) fn key_of_set(volume: &Volume) -> String {
    let inventory = volume.inventory();
    if inventory.volumes == 1 {
        return volume.inventory_digest().to_string();
    }
    format!(
        "{} {} {} {}",
        inventory.set, inventory.volumes, inventory.created, inventory.name
    )
}
