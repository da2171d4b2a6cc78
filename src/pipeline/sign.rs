//! Countersigning: a second person looks at a bundle and adds a signature beside it.
//!
//! The whole volume is verified before it is signed, so nobody signs what they have not proven.

use crate::bundle::{KeyId, SignaturePolicy, SigningKey, Volume, verify_volume};
use crate::content::{Error, ErrorKind, Events, Result};
use crate::oci::Digest;
use crate::storage::{Overwrite, StorageContainer, write_small};

use super::BundlePlace;

pub struct CountersignOptions {
    pub place: BundlePlace,
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
    /// The object that holds the new signature, as people write it.
    pub signature: String,
}

/// Verifies the volume and puts `<object>.<key id>.sig` beside it.
pub async fn countersign(options: &CountersignOptions, key: &SigningKey) -> Result<Countersigned> {
    let place = &options.place;
    let shown = place.shown();
    let (volumes, refused) =
        super::open_volumes(std::slice::from_ref(place), &options.policy).await?;
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
    let Some(object) = &place.object else {
        return Err(Error::new(
            ErrorKind::Refused,
            format!("`{shown}` is a container; sign each object by its name"),
        ));
    };
    let signature = write_signature(&*place.container, object, volume, key).await?;
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
    container: &dyn StorageContainer,
    object: &str,
    volume: &Volume,
    key: &SigningKey,
) -> Result<String> {
    let signature = key.sign(volume.inventory_bytes()).map_err(|cause| {
        Error::new(ErrorKind::Failed, "cannot sign the inventory").with_cause(cause)
    })?;
    let name = format!("{object}.{}.sig", key.public().id());
    write_small(container, &name, signature.into(), Overwrite::Refuse).await?;
    Ok(container.shown(&name))
}
