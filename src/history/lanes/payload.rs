//! What a bundle's target has once the bundle is imported, kept when its number is reserved.
//!
//! A content that many bundles in a row bring or count on is one row for all of them, so the table grows with what
//! changes and not with the number of bundles.

use std::collections::BTreeSet;

use crate::history::dialect::Transaction;
use crate::history::id::PipelineId;
use crate::history::ledger::number;
use crate::history::run::words;
use crate::oci::Digest;

words! {
    /// What a content is at a registry.
    ContentKind {
        Blob = "blob",
        Manifest = "manifest",
    }
}

/// What a bundle brings, and what it counts on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    /// The lanes that it is meant for; empty means any.
    pub audience: Vec<String>,
    /// Everything that its artifacts consist of: what it carries and what it assumes to be there.
    pub contents: Vec<PayloadContent>,
    /// What it did not have to carry because it is assumed to be there.
    pub saved_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadContent {
    pub digest: Digest,
    pub size_bytes: u64,
    pub kind: ContentKind,
    /// By their names at the source.
    pub repositories: BTreeSet<String>,
}

/// Records what the bundle with this number brings. Its row in `exported` is there.
pub(in crate::history) async fn record_payload(
    transaction: &mut Transaction,
    (pipeline, sequence): (&PipelineId, u64),
    payload: &Payload,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE exported SET audience = $3, saved_bytes = $4 WHERE pipeline = $1 AND sequence = $2",
    )
    .bind(pipeline.as_str())
    .bind(number(sequence))
    .bind(encode_names(&payload.audience))
    .bind(number(payload.saved_bytes))
    .execute(&mut **transaction)
    .await?;
    for content in &payload.contents {
        for repository in &content.repositories {
            let at = (pipeline, sequence, repository.as_str());
            record_content(transaction, at, content).await?;
        }
    }
    Ok(())
}

async fn record_content(
    transaction: &mut Transaction,
    (pipeline, sequence, repository): (&PipelineId, u64, &str),
    content: &PayloadContent,
) -> sqlx::Result<()> {
    let extended = sqlx::query(
        "UPDATE delivers SET last_sequence = $4
         WHERE pipeline = $1 AND digest = $2 AND repository = $3 AND last_sequence = $5",
    )
    .bind(pipeline.as_str())
    .bind(content.digest.to_string())
    .bind(repository)
    .bind(number(sequence))
    .bind(number(sequence.saturating_sub(1)))
    .execute(&mut **transaction)
    .await?;
    if extended.rows_affected() > 0 {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO delivers (pipeline, digest, repository, first_sequence, last_sequence, kind, size_bytes)
         VALUES ($1, $2, $3, $4, $4, $5, $6) ON CONFLICT DO NOTHING",
    )
    .bind(pipeline.as_str())
    .bind(content.digest.to_string())
    .bind(repository)
    .bind(number(sequence))
    .bind(content.kind.as_str())
    .bind(number(content.size_bytes))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// A list of names as one column.
fn encode_names(names: &[String]) -> String {
    // Texts cannot fail to be JSON.
    serde_json::to_string(names).unwrap_or_default()
}

/// Whether a bundle with this audience is meant for the lane. What was exported before that was kept was for any.
pub(super) fn is_meant_for(audience: Option<&str>, lane: &str) -> bool {
    let names: Vec<String> = audience
        .and_then(|names| serde_json::from_str(names).ok())
        .unwrap_or_default();
    names.is_empty() || names.iter().any(|name| name == lane)
}
