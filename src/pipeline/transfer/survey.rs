//! Looks at a container: what in it are volumes and countersignatures, and what is not.
//!
//! Of every volume the tail is read, once for each version: a survey remembers what it has read, so that a
//! watch costs one listing. What is remembered of a volume is small and does not grow with its content.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::TryStreamExt;

use super::selection::Selection;
use super::stored::{IgnoredObject, StoredSignature, StoredVolume};
use crate::bundle::{BundleError, SIGNATURE_SIZE_MAX_BYTES, SignaturePolicy, Volume};
use crate::content::{Error, ErrorKind, Result, Version, describe};
use crate::oci::{Digest, Hasher};
use crate::pipeline::open_bundles::{
    countersigner, is_signature_name, is_volume_name, key_of_set, open_volume,
};
use crate::storage::{FoundObject, StorageContainer};

/// What an object turned out to be.
#[derive(Clone)]
pub(super) enum Reading {
    Volume(Box<StoredVolume>),
    Foreign,
    /// It ends before its end, or changes while it is read.
    Arriving,
    Refused(Arc<BundleError>),
}

/// What was read of the objects of one container so far, by name and version.
#[derive(Default)]
pub struct ContainerSurvey {
    known: HashMap<String, Known>,
}

struct Known {
    /// Of the volume and the countersignatures beside it: a new one is a reason to look again.
    versions: Vec<Version>,
    reading: Reading,
}

/// Everything in a container, told apart.
#[derive(Default)]
pub(super) struct Sight {
    pub volumes: Vec<StoredVolume>,
    pub signatures: Vec<StoredSignature>,
    pub ignored: Vec<IgnoredObject>,
    pub refused: Vec<(String, Arc<BundleError>)>,
    pub arriving: Vec<String>,
}

impl ContainerSurvey {
    /// Lists the container and reads the tails that are new.
    pub(super) async fn look(
        &mut self,
        container: &dyn StorageContainer,
        selection: &Selection,
        policy: &SignaturePolicy,
    ) -> Result<Sight> {
        let mut sight = Sight::default();
        let (mut candidates, mut signatures) = (Vec::new(), Vec::new());
        let mut objects = container.list("");
        while let Some(object) = objects.try_next().await? {
            if is_signature_name(&object.name) {
                signatures.push(object);
            } else if is_volume_name(&object.name) {
                candidates.push(object);
            } else {
                sight.ignore(object.name, "not a bundle by its name");
            }
        }
        candidates.sort_by(|a, b| a.name.cmp(&b.name));
        signatures.sort_by(|a, b| a.name.cmp(&b.name));
        self.known
            .retain(|name, _| candidates.iter().any(|object| object.name == *name));
        for object in candidates {
            let own = signatures_of(&object.name, &signatures);
            let reading = self.read(container, &object, &own, policy).await?;
            sight.sort_in(object.name, reading, selection);
        }
        for signature in signatures {
            sight.sort_in_signature(signature);
        }
        Ok(sight)
    }

    /// What the object is; read only where this version of it is new.
    pub(super) async fn read(
        &mut self,
        container: &dyn StorageContainer,
        object: &FoundObject,
        signatures: &[&FoundObject],
        policy: &SignaturePolicy,
    ) -> Result<Reading> {
        let all = std::iter::once(&object).chain(signatures);
        let versions: Vec<Version> = all.map(|object| object.version.clone()).collect();
        if let Some(known) = self.known.get(&object.name)
            && known.versions == versions
        {
            return Ok(known.reading.clone());
        }
        let names: Vec<String> = signatures.iter().map(|s| s.name.clone()).collect();
        let read = open_volume(container, &object.name, &names, policy).await;
        let reading = match read {
            Ok(volume) if volume.stream().object().version() == &object.version => {
                Reading::Volume(Box::new(describe_volume(object, &volume, policy)))
            }
            Ok(_) | Err(BundleError::Incomplete) => return Ok(Reading::Arriving),
            Err(BundleError::NotABundle) => Reading::Foreign,
            Err(BundleError::Content(error)) => return judge(error),
            Err(error) => Reading::Refused(Arc::new(error)),
        };
        let known = Known {
            versions,
            reading: reading.clone(),
        };
        self.known.insert(object.name.clone(), known);
        Ok(reading)
    }
}

/// What a failure to read says of the object; a failure that may pass ends the survey.
fn judge(error: Error) -> Result<Reading> {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::Changed | ErrorKind::Incomplete => Ok(Reading::Arriving),
        ErrorKind::Refused => Ok(Reading::Foreign),
        ErrorKind::Temporary { .. } => Err(error),
        _ => Ok(Reading::Refused(Arc::new(BundleError::Content(error)))),
    }
}

impl Sight {
    fn ignore(&mut self, name: String, reason: &'static str) {
        self.ignored.push(IgnoredObject { name, reason });
    }

    fn sort_in(&mut self, name: String, reading: Reading, selection: &Selection) {
        match reading {
            Reading::Volume(volume) => self.volumes.push(*volume),
            Reading::Foreign => self.ignore(name, "not a bundle by its content"),
            _ if !selection.may_take(&name) => {}
            Reading::Arriving => self.arriving.push(name),
            Reading::Refused(error) => self.refused.push((name, error)),
        }
    }

    fn sort_in_signature(&mut self, object: FoundObject) {
        let owner = self
            .volumes
            .iter()
            .find(|volume| countersigner(&object.name, &volume.object).is_some());
        match owner {
            _ if object.size_bytes > SIGNATURE_SIZE_MAX_BYTES => {
                self.ignore(object.name, "too long for a countersignature");
            }
            None => self.ignore(object.name, "a countersignature without its bundle"),
            Some(owner) => {
                let of = owner.object.clone();
                self.signatures.push(StoredSignature {
                    object: object.name,
                    size_bytes: object.size_bytes,
                    version: object.version,
                    of,
                });
            }
        }
    }
}

/// The countersignatures that are named for the object.
pub(super) fn signatures_of<'a>(object: &str, all: &'a [FoundObject]) -> Vec<&'a FoundObject> {
    let begin = all.partition_point(|signature| signature.name.as_str() < object);
    let near = all[begin..].iter();
    near.take_while(|signature| signature.name.starts_with(object))
        .filter(|signature| countersigner(&signature.name, object).is_some())
        .collect()
}

fn describe_volume(
    object: &FoundObject,
    volume: &Volume,
    policy: &SignaturePolicy,
) -> StoredVolume {
    let inventory = volume.inventory();
    // The threshold is for the volume that names the others.
    let is_last = inventory.volume == inventory.volumes;
    let admitted = match is_last {
        true => volume.admit(policy).map(drop),
        false => Ok(()),
    };
    StoredVolume {
        object: object.name.clone(),
        size_bytes: volume.size_bytes(),
        version: object.version.clone(),
        set_key: key_of_set(volume),
        bundle: inventory.name.clone(),
        pipeline: inventory.pipeline.as_ref().map(|p| p.name.clone()),
        sequence: inventory.sequence,
        created: inventory.created,
        volume: inventory.volume,
        volumes: inventory.volumes,
        inventory_digest: volume.inventory_digest().clone(),
        volume_inventories: inventory.volume_inventories.clone(),
        tail_digest: tail_digest(volume),
        stream_bytes: volume.stream().size(),
        refusal: admitted.err().map(|error| describe(&error)),
    }
}

fn tail_digest(volume: &Volume) -> Digest {
    let tail = volume.tail();
    let mut hasher = Hasher::new(crate::oci::Algorithm::Sha256);
    hasher.update(&tail.inventory);
    for signature in &tail.signatures {
        hasher.update(signature.key_id.to_string().as_bytes());
        hasher.update(&signature.bytes);
    }
    hasher.finish()
}
