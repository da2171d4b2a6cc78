//! What manifests say of artifacts, by digest: read once, and known for ever.
//!
//! A digest says what its bytes are, so these rows never grow old and belong to no registry. They are the one part of
//! the ledger that is a cache: without them everything is read again.
//!
//! **Invariants.** At most [`FACTS_MAX`] rows stay, those that were used last. A row that cannot be read is none.

use jiff::Timestamp;
use sqlx::Row as _;

use super::dialect::{Row, Transaction};
use super::ledger::{Ledger, millis, number};
use crate::content::Result;
use crate::oci::{Digest, Platform};

/// Rows that are kept; one is about 200 bytes.
const FACTS_MAX: u64 = 200_000;

/// What is known of one manifest, or index, and what lies below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestFacts {
    pub digest: Digest,
    pub created: Option<Timestamp>,
    pub platforms: Vec<Platform>,
    pub artifact_type: Option<String>,
    /// Everything was read that may say when it was created; where not, nobody knows yet.
    pub has_created: bool,
    /// The same of what says for which platforms it is.
    pub has_platforms: bool,
}

impl Ledger {
    /// Whether anything is known of any manifest.
    pub async fn has_facts(&self) -> Result<bool> {
        let found: Option<(i64,)> = sqlx::query_as("SELECT 1 FROM fact LIMIT 1")
            .fetch_optional(self.pool())
            .await
            .map_err(self.failed("cannot read what is known of artifacts"))?;
        Ok(found.is_some())
    }

    /// What is known of the manifest with this digest.
    pub async fn find_facts(&self, digest: &Digest) -> Result<Option<ManifestFacts>> {
        let row = sqlx::query("SELECT * FROM fact WHERE digest = $1")
            .bind(digest.to_string())
            .fetch_optional(self.pool())
            .await
            .map_err(self.failed("cannot read what is known of artifacts"))?;
        Ok(row.and_then(|row| facts_of(&row, digest)))
    }

    /// Keeps what was learnt, and which digests were of use; what was used longest ago goes where there is too much.
    pub async fn keep_facts(
        &self,
        learnt: &[ManifestFacts],
        used: &[Digest],
        now: Timestamp,
    ) -> Result<()> {
        self.keep_facts_within(FACTS_MAX, (learnt, used), now).await
    }

    pub(super) async fn keep_facts_within(
        &self,
        facts_max: u64,
        (learnt, used): (&[ManifestFacts], &[Digest]),
        now: Timestamp,
    ) -> Result<()> {
        let kept = async {
            let mut transaction = self.begin().await?;
            for facts in learnt {
                insert(&mut transaction, facts, now).await?;
            }
            for digest in used {
                sqlx::query("UPDATE fact SET used_ms = $2 WHERE digest = $1")
                    .bind(digest.to_string())
                    .bind(millis(now))
                    .execute(&mut *transaction)
                    .await?;
            }
            remove_beyond(&mut transaction, facts_max).await?;
            transaction.commit().await
        };
        kept.await
            .map_err(self.failed("cannot keep what was learnt of artifacts"))
    }
}

/// What is known of the same digest already stays known, where this has not looked for it.
async fn insert(
    transaction: &mut Transaction,
    facts: &ManifestFacts,
    now: Timestamp,
) -> sqlx::Result<()> {
    let platforms = serde_json::to_string(&facts.platforms).unwrap_or_default();
    sqlx::query(
        "INSERT INTO fact (digest, created, platforms, artifact_type, has_created, has_platforms, used_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (digest) DO UPDATE SET
            created = CASE WHEN excluded.has_created THEN excluded.created ELSE fact.created END,
            platforms = CASE WHEN excluded.has_platforms THEN excluded.platforms ELSE fact.platforms END,
            artifact_type = excluded.artifact_type,
            has_created = excluded.has_created OR fact.has_created,
            has_platforms = excluded.has_platforms OR fact.has_platforms,
            used_ms = excluded.used_ms",
    )
    .bind(facts.digest.to_string())
    // As text: two of one millisecond are still one after the other.
    .bind(facts.created.map(|created| created.to_string()))
    .bind(platforms)
    .bind(&facts.artifact_type)
    .bind(facts.has_created)
    .bind(facts.has_platforms)
    .bind(millis(now))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn remove_beyond(transaction: &mut Transaction, facts_max: u64) -> sqlx::Result<()> {
    let (count,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM fact")
        .fetch_one(&mut **transaction)
        .await?;
    let excess = count - number(facts_max);
    if excess <= 0 {
        return Ok(());
    }
    sqlx::query(
        "DELETE FROM fact WHERE digest IN (SELECT digest FROM fact ORDER BY used_ms, digest LIMIT $1)",
    )
    .bind(excess)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

fn facts_of(row: &Row, digest: &Digest) -> Option<ManifestFacts> {
    let created: Option<String> = row.try_get("created").ok()?;
    let platforms: String = row.try_get("platforms").ok()?;
    Some(ManifestFacts {
        digest: digest.clone(),
        created: created.map(|text| text.parse()).transpose().ok()?,
        platforms: serde_json::from_str(&platforms).ok()?,
        artifact_type: row.try_get("artifact_type").ok()?,
        has_created: row.try_get("has_created").ok()?,
        has_platforms: row.try_get("has_platforms").ok()?,
    })
}
