//! Compares the target with what is to travel: what is there already, and whether it is the same.
//!
//! Sizes and tails are compared, so nothing is read twice over a slow road. Where the target is to be read
//! back, what is there already is proven before it is left as it is.

use std::collections::HashMap;

use futures_util::TryStreamExt;

use super::options::{ReadBackPolicy, TransferOptions};
use super::plan::Presence;
use super::stored::{StoredSet, StoredSignature, StoredVolume};
use super::survey::{ContainerSurvey, Reading};
use crate::bundle::{SignaturePolicy, Volume, verify_volume};
use crate::content::{Error, Event, Result};
use crate::pipeline::open_bundles::is_volume_name;
use crate::storage::FoundObject;

/// The target as it was listed.
pub(super) struct Target<'a> {
    options: &'a TransferOptions,
    survey: &'a mut ContainerSurvey,
    objects: HashMap<String, FoundObject>,
}

impl<'a> Target<'a> {
    pub(super) async fn list(
        options: &'a TransferOptions,
        survey: &'a mut ContainerSurvey,
    ) -> Result<Target<'a>> {
        let listed: Vec<FoundObject> = options
            .target
            .list("")
            .try_collect()
            .await
            .map_err(|error| error.on_side("target"))?;
        let objects = listed
            .into_iter()
            .map(|object| (object.name.clone(), object));
        Ok(Self {
            objects: objects.collect(),
            options,
            survey,
        })
    }

    /// What the target has under the names of the set's objects.
    pub(super) async fn find(&mut self, set: &StoredSet) -> Result<HashMap<String, Presence>> {
        let mut present = HashMap::new();
        for volume in &set.volumes {
            if let Some(found) = self.objects.get(&volume.object).cloned() {
                let presence = self.compare_volume(volume, &found).await?;
                present.insert(volume.object.clone(), presence);
            }
        }
        for signature in &set.signatures {
            if let Some(found) = self.objects.get(&signature.object) {
                let presence = self.compare_signature(signature, found).await?;
                present.insert(signature.object.clone(), presence);
            }
        }
        Ok(present)
    }

    async fn compare_volume(
        &mut self,
        volume: &StoredVolume,
        found: &FoundObject,
    ) -> Result<Presence> {
        let different = |how: &str| Ok(Presence::Different(how.to_owned()));
        if found.size_bytes != volume.size_bytes {
            let sizes = format!("{} bytes, not {}", found.size_bytes, volume.size_bytes);
            return different(&sizes);
        }
        let target = &*self.options.target;
        let anybody = SignaturePolicy::AcceptUnsigned;
        match self
            .survey
            .read(target, found, &[], &anybody)
            .await
            .map_err(|error| error.on_side("target"))?
        {
            Reading::Volume(there) if there.equals(volume) => {}
            Reading::Volume(_) => return different("another inventory"),
            Reading::Foreign => return different("it is not a bundle"),
            Reading::Arriving => return different("it is incomplete"),
            Reading::Refused(_) => return different("it is damaged"),
        }
        if self.options.read_back == ReadBackPolicy::Skip {
            return Ok(Presence::Equal);
        }
        (self.options.events)(Event::ReadingBack(volume.stream_bytes));
        match prove_volume(self.options, volume).await {
            Ok(()) => Ok(Presence::Equal),
            Err(error) if error.kind() == crate::content::ErrorKind::Unverified => {
                different("it is damaged")
            }
            Err(error) => Err(error),
        }
    }

    async fn compare_signature(
        &self,
        signature: &StoredSignature,
        found: &FoundObject,
    ) -> Result<Presence> {
        if found.size_bytes == signature.size_bytes && are_equal(self.options, signature).await? {
            return Ok(Presence::Equal);
        }
        Ok(Presence::Different("another signature".to_owned()))
    }

    /// Numbers of the volumes of a set that the target has under whatever name.
    pub(super) async fn volumes_of(&mut self, set_key: &str) -> Result<Vec<u32>> {
        let anybody = SignaturePolicy::AcceptUnsigned;
        let mut numbers = Vec::new();
        for object in self.objects.values().filter(|o| is_volume_name(&o.name)) {
            let target = &*self.options.target;
            if let Reading::Volume(volume) = self.survey.read(target, object, &[], &anybody).await?
                && volume.set_key == set_key
            {
                numbers.push(volume.volume);
            }
        }
        Ok(numbers)
    }
}

/// Reads the volume back from the target and proves every byte.
pub(super) async fn prove_volume(options: &TransferOptions, volume: &StoredVolume) -> Result<()> {
    let target = &*options.target;
    let name = target.shown(&volume.object);
    let not_right =
        |what: String| Error::unverified(format!("target: `{name}` is not right: {what}"));
    target.flush(std::slice::from_ref(&volume.object)).await?;
    let object = target.open(&volume.object).await?;
    let anybody = SignaturePolicy::AcceptUnsigned;
    let there = Volume::open(object, Vec::new(), &anybody)
        .await
        .map_err(|error| Error::from(error).on_side("target"))?;
    if there.inventory_digest() != &volume.inventory_digest {
        return Err(not_right("it has another inventory".to_owned()));
    }
    let on_bytes = |bytes| (options.events)(Event::Moved(bytes));
    match verify_volume(&there, &on_bytes).await?.faults.first() {
        Some(fault) => Err(not_right(format!("`{}`: {}", fault.place, fault.what))),
        None => Ok(()),
    }
}

/// Whether the countersignature is the same on both sides.
pub(super) async fn are_equal(
    options: &TransferOptions,
    signature: &StoredSignature,
) -> Result<bool> {
    let length = usize::try_from(signature.size_bytes).unwrap_or(usize::MAX);
    let here = options.source.open(&signature.object).await?;
    let there = options.target.open(&signature.object).await?;
    if here.size_bytes() != there.size_bytes() || here.version() != &signature.version {
        return Ok(false);
    }
    Ok(here.read(0, length).await? == there.read(0, length).await?)
}
