//! Makes the volumes of a bundle visible, one after another, when all of them are sealed.
//!
//! **Invariants.** The one that carries the artifacts comes last. The ledger forgets none of the uploads before all
//! volumes are visible: until then it knows by their inventories which of them make one bundle. Where one cannot be
//! published, what is at the store is in the ledger, or it is removed. A bundle is reported only when all volumes are
//! still those that were published: not every store can refuse to replace one.

use super::export::ExportedVolume;
use super::export_memory::warn_of;
use super::export_plan::ExportPlan;
use super::export_uploads::Uploads;
use super::export_volume::Volume;
use crate::content::{Error, ErrorKind, Events, Result, Uploaded};
use crate::oci::Digest;
use crate::storage::{FoundObject, ServiceAnswer, StorageContainer};

/// How services say that they have not kept what they were brought.
const LOST_CODES: [&str; 3] = ["InvalidBlockList", "InvalidPart", "NoSuchUpload"];

/// A bundle that is about to become visible.
pub(super) struct Publication<'a> {
    pub export: &'a ExportPlan,
    pub container: &'a dyn StorageContainer,
    pub uploads: Option<&'a Uploads<'a>>,
    pub events: &'a Events,
    /// Whether an interrupted run has brought a part of it.
    pub has_resumed: bool,
}

/// An export that has ended without a bundle.
pub(super) struct GivenUp {
    pub error: Error,
    /// The same would be written without what was resumed, and may then succeed.
    pub must_begin_anew: bool,
}

impl From<Error> for GivenUp {
    fn from(error: Error) -> Self {
        Self {
            error,
            must_begin_anew: false,
        }
    }
}

/// A volume that has become visible.
struct Made<'a> {
    name: &'a str,
    inventory: Option<Digest>,
    /// As it was found then; `None` where nobody tells.
    object: Option<FoundObject>,
}

/// Whether something else has the name.
pub(super) fn is_taken(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::Changed)
}

impl Publication<'_> {
    pub(super) async fn publish(&self, written: Vec<Volume<'_>>) -> Result<Vec<ExportedVolume>> {
        let names = self.export.object_names();
        let mut records = Vec::new();
        let mut volumes = Vec::new();
        let mut left = names.iter().zip(written);
        while let Some((name, volume)) = left.next() {
            let uploaded = match &volume.record {
                Some(_) => None,
                None => volume.object.uploaded(),
            };
            if let Err(error) = volume.object.finish().await {
                let is_seen = !records.is_empty();
                self.leave(name, uploaded, left.map(|(_, volume)| volume))
                    .await;
                self.abandon_useless(&error, name, is_seen).await;
                return Err(error);
            }
            records.push(volume.record);
            volumes.push(Made {
                name,
                inventory: volume.inventory,
                object: self.container.find(name).await.ok().flatten(),
            });
        }
        for record in records.into_iter().flatten() {
            record.forget().await?;
        }
        let mut published = Vec::new();
        for made in volumes {
            published.extend(self.confirm(made).await?);
        }
        Ok(published)
    }

    /// The volume is what it was when it became visible. One that was taken away since has arrived somewhere.
    async fn confirm(&self, made: Made<'_>) -> Result<Option<ExportedVolume>> {
        let found = self.container.find(made.name).await?;
        if let (Some(object), Some(found)) = (&made.object, &found)
            && object.version != found.version
        {
            let shown = self.container.shown(made.name);
            let message = format!("`{shown}` was replaced while its bundle was published");
            return Err(Error::new(ErrorKind::Changed, message));
        }
        Ok(made.inventory.map(|inventory_digest| ExportedVolume {
            object: made.name.to_owned(),
            size_bytes: found.map_or(0, |object| object.size_bytes),
            inventory_digest,
        }))
    }

    /// Removes what no ledger remembers. A directory keeps what is sealed for the next run.
    async fn leave(
        &self,
        failed: &str,
        uploaded: Option<Uploaded>,
        others: impl Iterator<Item = Volume<'_>>,
    ) {
        if let Some(uploaded) = uploaded {
            let abandoned = self.container.abandon(failed, &uploaded).await;
            warn_of(self.events, abandoned.map(|_| ()));
        }
        for volume in others {
            if volume.record.is_none() && volume.object.uploaded().is_some() {
                volume.object.abort().await;
            }
        }
    }

    /// What was brought to the store of a volume and is lost there, or of a bundle whose names are taken, is not
    /// tried again. When a part of the bundle is visible nothing is given up: only the rest can make it whole.
    async fn abandon_useless(&self, error: &Error, object: &str, is_seen: bool) {
        let Some(uploads) = self.uploads.filter(|_| !is_seen) else {
            return;
        };
        if is_taken(error) {
            warn_of(self.events, uploads.abandon_all().await);
        } else if self.has_resumed && is_lost(error) {
            warn_of(self.events, uploads.abandon_volume(object).await);
        }
    }
}

/// Whether the store has said that it has not kept what it was brought. A proxy, or an answer that nobody knows, says
/// nothing about that.
pub(super) fn is_lost(error: &Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(answer) = error.downcast_ref::<ServiceAnswer>() {
            return answer.status == 404 || LOST_CODES.contains(&answer.code.as_str());
        }
        cause = error.source();
    }
    error.is_not_found()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_store_says_is_lost() {
        let error = Error::new(ErrorKind::Failed, "cannot finish `x`");
        assert!(!is_lost(&error));
        assert!(is_lost(&Error::not_found("the upload is gone")));
    }
}
