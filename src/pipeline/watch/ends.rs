//! The two ends of a watch: opened at its start, and opened anew with the credentials of now.
//!
//! A daemon that starts before its network, its share or its registry is there waits for it and says so; what no
//! waiting mends ends the watch. A single round waits for nothing.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::book::delay_after;
use super::event::{Teller, WatchEvent};
use super::known_directory::KnownDirectory;
use super::verdict::may_come;
use super::watched::Watched;
use super::{Until, WatchOptions};
use crate::content::{Error, ErrorKind, Result, describe};
use crate::pipeline::place::{Place, TargetReference};

/// What makes a directory a layout. Specification: image-spec, "OCI Image Layout".
const OCI_LAYOUT_FILE: &str = "oci-layout";

/// Opens an end, with the credentials that its references name at that time.
pub type Opener<T> = Arc<dyn Fn() -> BoxFuture<'static, Result<T>> + Send + Sync>;

/// The target, and whether its login is to be looked up again.
pub(super) struct TargetEnd {
    pub(super) place: Place,
    open: Opener<Place>,
    /// The directory of a layout, as it was opened.
    directory: Option<KnownDirectory>,
    is_doubted: bool,
}

impl TargetEnd {
    /// It has refused us. A directory has no login, and is held open for this process alone.
    pub(super) fn doubt(&mut self) {
        self.is_doubted = matches!(self.place, Place::Registry(_));
    }

    /// Opens the target anew where that is due. Where a login fails the old one is left, and will say why it does not
    /// do; a layout that is away is an error, or a bundle would go to where nobody looks.
    pub(super) async fn renew(&mut self) -> Result<()> {
        if std::mem::take(&mut self.is_doubted)
            && let Ok(place) = (self.open)().await
        {
            self.place = place;
        }
        let known = self.directory.as_ref();
        let Some(other) = known.and_then(KnownDirectory::find_other) else {
            return Ok(());
        };
        let path = other.path();
        // What has no layout in it is the place where one was mounted.
        if !path.join(OCI_LAYOUT_FILE).is_file() {
            let path = path.display();
            let message = format!("target: the layout in `{path}` is not there now");
            return Err(Error::new(ErrorKind::Failed, message));
        }
        self.place = (self.open)().await?;
        self.directory = Some(other);
        Ok(())
    }
}

/// Opens container and target. `None` where the watch was stopped meanwhile.
pub(super) async fn open_ends(
    options: &WatchOptions,
    teller: &mut Teller,
    stop: &CancellationToken,
) -> Result<Option<(Watched, TargetEnd)>> {
    let mut patience = Patience {
        until: options.until,
        teller,
        stop,
    };
    let unreachable = |reason| WatchEvent::Unreachable { reason };
    let longest = options.interval;
    let is_directory = options.directory.is_some();
    let opened = patience.open(&options.open_container, is_directory, unreachable, longest);
    let Some((container, _)) = opened.await? else {
        return Ok(None);
    };
    let unusable = |reason| WatchEvent::TargetUnreachable { reason };
    let layout = match &options.target {
        TargetReference::Layout { path } => Some(path),
        TargetReference::Registry { .. } => None,
    };
    let is_directory = layout.is_some();
    let opened = patience.open(&options.open_target, is_directory, unusable, Duration::MAX);
    let Some((place, failures)) = opened.await? else {
        return Ok(None);
    };
    if failures > 0 {
        teller.tell(WatchEvent::TargetReachable);
    }
    let target = TargetEnd {
        place,
        open: Arc::clone(&options.open_target),
        directory: layout.map(|path| KnownDirectory::new(path)),
        is_doubted: false,
    };
    Ok(Some((Watched::new(container, options), target)))
}

struct Patience<'a> {
    until: Until,
    teller: &'a mut Teller,
    stop: &'a CancellationToken,
}

impl Patience<'_> {
    /// Opens an end, with growing pauses, and says how often that failed.
    async fn open<T>(
        &mut self,
        open: &Opener<T>,
        is_directory: bool,
        told: impl Fn(String) -> WatchEvent,
        longest: Duration,
    ) -> Result<Option<(T, u32)>> {
        let mut failures = 0;
        loop {
            let opened = tokio::select! {
                opened = open() => opened,
                () = self.stop.cancelled() => return Ok(None),
            };
            match opened {
                Ok(opened) => return Ok(Some((opened, failures))),
                Err(error) => {
                    if self.until == Until::Once || !may_come(&error, is_directory) {
                        return Err(error);
                    }
                    failures += 1;
                    self.teller.tell(told(describe(&error)));
                    self.teller.tell(WatchEvent::Tried);
                }
            }
            tokio::select! {
                () = tokio::time::sleep(delay_after(failures).min(longest)) => {}
                () = self.stop.cancelled() => return Ok(None),
            }
        }
    }
}
