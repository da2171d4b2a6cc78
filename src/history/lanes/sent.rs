//! What was sent to lanes before, content by content: what a repair may bring.

use std::collections::BTreeSet;

use super::payload::{ContentKind, PayloadContent};
use crate::content::Result;
use crate::history::id::PipelineId;
use crate::history::ledger::{Ledger, count};
use crate::oci::Digest;

impl Ledger {
    /// The content as bundles of the pipeline have brought it, or as a lane has confirmed it; `None` where neither is.
    pub async fn find_sent(
        &self,
        (pipeline, lane): (&PipelineId, &str),
        digest: &Digest,
    ) -> Result<Option<PayloadContent>> {
        let rows: Vec<(String, String, i64)> = sqlx::query_as(
            "SELECT repository, kind, size_bytes FROM delivers WHERE pipeline = $1 AND digest = $2
             UNION
             SELECT repository, kind, size_bytes FROM confirmed
             WHERE pipeline = $1 AND digest = $2 AND lane = $3",
        )
        .bind(pipeline.as_str())
        .bind(digest.to_string())
        .bind(lane)
        .fetch_all(self.pool())
        .await
        .map_err(self.failed("cannot read what was sent"))?;
        let Some((_, kind, size_bytes)) = rows.first() else {
            return Ok(None);
        };
        let kind = ContentKind::parse(kind).ok_or_else(|| self.damaged("a kind of content"))?;
        let names: BTreeSet<String> = rows.iter().map(|(name, ..)| name.clone()).collect();
        Ok(Some(PayloadContent {
            digest: digest.clone(),
            size_bytes: count(*size_bytes),
            kind,
            repositories: names,
        }))
    }
}
