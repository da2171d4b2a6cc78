//! Objects written in parts: how large a part is, how many travel at once, and what has arrived.
//!
//! It knows no service: a `PartUpload` sends the parts.
//!
//! **Invariants.** A writer holds at most the part being filled and those in flight, about 48 MiB for usual sizes.
//! `uploaded` tells only of parts that the service has taken in, from the first byte on and without a gap.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use tokio::task::JoinSet;

use super::container::CreateOptions;
use crate::content::{Error, ErrorKind, ObjectWriter, Result, Uploaded, UploadedPart};

const MIB: u64 = 1 << 20;
const PART_MIN_BYTES: u64 = 8 * MIB;
/// The largest part that Azure takes; S3 takes 5 GiB.
const PART_MAX_BYTES: u64 = 4000 * MIB;
const WRITER_MEMORY_BYTES: u64 = 48 * MIB;
const IN_FLIGHT_MAX: u64 = 4;
/// How long parts under way may take when the writer ends early.
const LANDING: Duration = Duration::from_secs(10);

/// One object under construction at a service.
#[async_trait]
pub(super) trait PartUpload: Send + Sync + 'static {
    /// What the object is called in messages.
    fn shown(&self) -> &str;

    /// The service's name for the upload; `None` until it has one.
    fn upload_id(&self) -> Option<String>;

    /// Makes sure that the upload has its name.
    async fn begin(&self) -> Result<()> {
        Ok(())
    }

    /// Sends the part with this number, counted from zero.
    async fn put(&self, number: usize, bytes: Bytes) -> Result<UploadedPart>;

    /// Puts the parts together under the object's name.
    async fn complete(&self, parts: &[UploadedPart]) -> Result<()>;

    /// Whether an object smaller than a part is kept in memory until it is finished, and sent by `put_whole`.
    fn takes_whole(&self) -> bool {
        false
    }

    /// Sends a small object at once.
    async fn put_whole(&self, _bytes: Bytes) -> Result<()> {
        let message = format!("`{}` is written in parts", self.shown());
        Err(Error::new(ErrorKind::Unsupported, message))
    }

    /// Whether a later run that copies the same version finds the parts again.
    fn is_found_again(&self) -> bool {
        false
    }

    /// Removes the parts, as well as it can be done.
    async fn discard(&self);
}

/// How an object is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PartPlan {
    size_bytes: usize,
    in_flight: usize,
    count_max: usize,
}

impl PartPlan {
    /// Parts for an object of about `expected_bytes`, at a service that takes `count_max` of them.
    pub(super) fn choose(expected_bytes: u64, count_max: u32) -> Self {
        // The expectation may be a little too small.
        let expected = expected_bytes.saturating_add(expected_bytes / 20);
        let needed = expected.div_ceil(u64::from(count_max));
        let size = needed
            .div_ceil(MIB)
            .saturating_mul(MIB)
            .clamp(PART_MIN_BYTES, PART_MAX_BYTES);
        let in_flight = (WRITER_MEMORY_BYTES / size)
            .saturating_sub(1)
            .clamp(1, IN_FLIGHT_MAX);
        Self {
            size_bytes: usize::try_from(size).unwrap_or(usize::MAX),
            in_flight: usize::try_from(in_flight).unwrap_or(1),
            count_max: count_max as usize,
        }
    }
}

impl PartPlan {
    pub(super) fn part_size_bytes(self) -> u64 {
        self.size_bytes as u64
    }
}

/// Writes an object in parts.
pub(super) struct PartWriter {
    upload: Arc<dyn PartUpload>,
    plan: PartPlan,
    filling: BytesMut,
    /// Bytes that the service has already and that come again.
    skip_bytes: u64,
    parts: Vec<Option<UploadedPart>>,
    in_flight: JoinSet<(usize, Result<UploadedPart>)>,
}

impl PartWriter {
    pub(super) fn new(
        upload: Arc<dyn PartUpload>,
        plan: PartPlan,
        options: CreateOptions,
    ) -> Result<Self> {
        let (parts, skip_bytes) = match options.resume {
            None => (Vec::new(), 0),
            Some(resume) => {
                let size_bytes = resume.uploaded.size_bytes();
                let skipped = size_bytes.checked_sub(resume.start).ok_or_else(|| {
                    let message = format!("`{}` would be resumed with a gap", upload.shown());
                    Error::new(ErrorKind::Failed, message)
                })?;
                (resume.uploaded.parts, skipped)
            }
        };
        Ok(Self {
            upload,
            plan,
            filling: BytesMut::new(),
            skip_bytes,
            parts: parts.into_iter().map(Some).collect(),
            in_flight: JoinSet::new(),
        })
    }

    /// Goes on behind the parts that the service has.
    pub(super) fn behind(
        upload: Arc<dyn PartUpload>,
        plan: PartPlan,
        parts: Vec<UploadedPart>,
    ) -> Self {
        Self {
            upload,
            plan,
            filling: BytesMut::new(),
            skip_bytes: 0,
            parts: parts.into_iter().map(Some).collect(),
            in_flight: JoinSet::new(),
        }
    }

    async fn take(&mut self, mut piece: Bytes) -> Result<()> {
        let again = usize::try_from(self.skip_bytes).map_or(piece.len(), |n| n.min(piece.len()));
        self.skip_bytes -= again as u64;
        let _ = piece.split_to(again);
        while !piece.is_empty() {
            if self.filling.is_empty() {
                self.filling.reserve(self.plan.size_bytes);
            }
            let room = self.plan.size_bytes - self.filling.len();
            let fitting = piece.split_to(room.min(piece.len()));
            self.filling.extend_from_slice(&fitting);
            if self.filling.len() == self.plan.size_bytes {
                self.launch().await?;
            }
        }
        Ok(())
    }

    /// Sends what was filled, as soon as fewer parts are under way than may be.
    async fn launch(&mut self) -> Result<()> {
        while self.in_flight.len() >= self.plan.in_flight {
            self.land().await?;
        }
        let number = self.parts.len();
        if number >= self.plan.count_max {
            let message = format!(
                "`{}` needs more than {} parts",
                self.upload.shown(),
                self.plan.count_max
            );
            return Err(Error::new(ErrorKind::Refused, message));
        }
        let bytes = std::mem::take(&mut self.filling).freeze();
        let upload = Arc::clone(&self.upload);
        self.parts.push(None);
        self.in_flight
            .spawn(async move { (number, upload.put(number, bytes).await) });
        Ok(())
    }

    /// Waits for one part; `false` when none is under way.
    async fn land(&mut self) -> Result<bool> {
        let Some(landed) = self.in_flight.join_next().await else {
            return Ok(false);
        };
        self.note(landed)?;
        Ok(true)
    }

    fn note(
        &mut self,
        landed: Result<(usize, Result<UploadedPart>), tokio::task::JoinError>,
    ) -> Result<()> {
        let (number, part) = landed.map_err(|cause| {
            let message = format!("cannot write `{}`", self.upload.shown());
            Error::new(ErrorKind::Failed, message).with_cause(cause)
        })?;
        self.parts[number] = Some(part?);
        Ok(())
    }

    fn landed(&self) -> Vec<UploadedPart> {
        self.parts.iter().map_while(Clone::clone).collect()
    }
}

#[async_trait]
impl ObjectWriter for PartWriter {
    async fn begin(&mut self) -> Result<()> {
        self.upload.begin().await
    }

    async fn write(&mut self, pieces: Vec<Bytes>) -> Result<()> {
        for piece in pieces {
            self.take(piece).await?;
        }
        while let Some(landed) = self.in_flight.try_join_next() {
            self.note(landed)?;
        }
        Ok(())
    }

    fn uploaded(&self) -> Option<Uploaded> {
        Some(Uploaded {
            upload_id: self.upload.upload_id()?,
            parts: self.landed(),
        })
    }

    async fn settle(&mut self) -> Result<()> {
        while self.land().await? {}
        Ok(())
    }

    async fn seal(&mut self) -> Result<()> {
        if self.skip_bytes > 0 {
            let message = format!("`{}` was resumed and is shorter now", self.upload.shown());
            return Err(Error::new(ErrorKind::Changed, message));
        }
        let is_begun = !self.parts.is_empty() || !self.upload.takes_whole();
        if is_begun && !self.filling.is_empty() {
            self.launch().await?;
        }
        self.settle().await
    }

    async fn finish(mut self: Box<Self>) -> Result<()> {
        self.seal().await?;
        if self.parts.is_empty() && self.upload.takes_whole() {
            let bytes = std::mem::take(&mut self.filling).freeze();
            return self.upload.put_whole(bytes).await;
        }
        let parts = self.landed();
        if parts.len() == self.parts.len() {
            return self.upload.complete(&parts).await;
        }
        let message = format!("not every part of `{}` was written", self.upload.shown());
        Err(Error::new(ErrorKind::Failed, message))
    }

    async fn abort(mut self: Box<Self>) {
        self.in_flight.shutdown().await;
        self.upload.discard().await;
    }

    async fn leave(mut self: Box<Self>) {
        if !self.upload.is_found_again() {
            return self.abort().await;
        }
        let landed = async { while !matches!(self.land().await, Ok(false)) {} };
        if tokio::time::timeout(LANDING, landed).await.is_err() {
            tracing::debug!("parts that were under way are sent again by the next run");
        }
    }
}
