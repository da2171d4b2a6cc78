//! Countersigning: a second person looks at a bundle and adds a signature beside it.
//!
//! The whole volume is verified before it is signed, so nobody signs what they have not proven.

use std::path::PathBuf;

use crate::bundle::{KeyId, SignaturePolicy, SigningKey, Volume, verify_volume};
use crate::content::{Error, ErrorKind, Events, Result};
use crate::oci::Digest;
use crate::storage::DirectoryContainer;

pub struct CountersignOptions {
    pub path: PathBuf,
    /// Whose signatures must be there already.
    pub policy: SignaturePolicy,
    /// The digest of the inventory that the signer has been told.
    pub expect: Option<Digest>,
    pub events: Events,
}

/// What was signed.
pub struct Countersigned {
    pub inventory_digest: Digest,
    pub signers: Vec<KeyId>,
    pub signature: PathBuf,
}

/// Verifies the volume and puts `<object>.<key id>.sig` beside it.
pub async fn countersign(options: &CountersignOptions, key: &SigningKey) -> Result<Countersigned> {
    let path = &options.path;
    let shown = path.display();
    let (volumes, refused) =
        super::open_volumes(std::slice::from_ref(path), &options.policy).await?;
    if let Some(refused) = refused.into_iter().next() {
        return Err(Error::from(refused.error).within(format!("cannot sign `{shown}`")));
    }
    let [volume] = volumes.as_slice() else {
        return Err(Error::new(
            ErrorKind::Refused,
            format!("`{shown}` is not one volume; sign each object by its name"),
        ));
    };
    check_expected(volume, options.expect.as_ref())?;
    let events = options.events.clone();
    let on_bytes = move |bytes| events(crate::content::Event::Moved(bytes));
    let verified = verify_volume(volume, &on_bytes);
    if let Some(fault) = verified.await?.faults.first() {
        return Err(Error::unverified(format!(
            "cannot sign `{shown}`: `{}`: {}",
            fault.place, fault.what
        )));
    }
    let signature = write_signature(path, volume, key).await?;
    Ok(Countersigned {
        inventory_digest: volume.inventory_digest().clone(),
        signers: volume
            .signatures()
            .iter()
            .map(|s| s.key_id.clone())
            .collect(),
        signature,
    })
}

fn check_expected(volume: &Volume, expect: Option<&Digest>) -> Result<()> {
    match expect {
        Some(expected) if expected != volume.inventory_digest() => Err(Error::unverified(format!(
            "`{}` has the inventory `{}`, expected `{expected}`",
            volume.name(),
            volume.inventory_digest()
        ))),
        _ => Ok(()),
    }
}

async fn write_signature(
    path: &std::path::Path,
    volume: &Volume,
    key: &SigningKey,
) -> Result<PathBuf> {
    let signature = key.sign(volume.inventory_bytes()).map_err(|cause| {
        Error::new(ErrorKind::Failed, "cannot sign the inventory").with_cause(cause)
    })?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let container = DirectoryContainer::open(folder.unwrap_or(std::path::Path::new(".")))?;
    let object = path.file_name().unwrap_or_default().to_string_lossy();
    let name = format!("{object}.{}.sig", key.public().id());
    container.write_small(&name, signature.into()).await?;
    Ok(container.path().join(name))
}
