//! Facts of the ledger for those who select: what earlier runs have read of a manifest is not read again.
//!
//! Gathered in memory and written in a few transactions. Whoever has no rule that needs facts makes none of these, and
//! neither asks nor writes anything.
//!
//! **Invariants.** What was not looked for is not taken for absent: facts count only where all that is wanted is known.
//! A ledger that cannot be asked leaves no tag out: its manifest is read.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::OnceCell;

use super::facts::{Learnt, Wanted};
use crate::content::{Result, describe};
use crate::history::{Ledger, ManifestFacts};
use crate::oci::Digest;
use crate::selection::Facts;

/// Facts that are gathered before they are written.
const GATHERED_MAX: usize = 500;

pub(super) struct KeptFacts {
    ledger: Ledger,
    wanted: Wanted,
    is_any: OnceCell<bool>,
    gathered: Mutex<Gathered>,
}

#[derive(Default)]
struct Gathered {
    learnt: Vec<ManifestFacts>,
    used: HashSet<Digest>,
}

impl KeptFacts {
    pub(super) fn new(ledger: &Ledger, wanted: Wanted) -> Self {
        Self {
            ledger: ledger.clone(),
            wanted,
            is_any: OnceCell::new(),
            gathered: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there was anything to be found when that was asked first. Where there was not, nobody has to be asked
    /// for digests that are then unknown.
    pub(super) async fn is_any(&self) -> bool {
        let asked = self.is_any.get_or_try_init(|| self.ledger.has_facts());
        forgive(asked.await).is_some_and(|is_any| *is_any)
    }

    /// What is known of the manifest with this digest, where that is all that is wanted.
    pub(super) async fn find(&self, digest: &Digest) -> Option<Facts> {
        let known = forgive(self.ledger.find_facts(digest).await).flatten();
        let is_enough = |known: &ManifestFacts| {
            (known.has_created || !self.wanted.created)
                && (known.has_platforms || !self.wanted.platforms)
        };
        let known = known.filter(is_enough)?;
        self.lock().used.insert(known.digest);
        Some(Facts {
            created: known.created,
            platforms: known.platforms,
            artifact_type: known.artifact_type,
        })
    }

    /// Keeps what was read of a manifest.
    pub(super) async fn learn(&self, digest: &Digest, learnt: &Learnt) {
        let is_full = {
            let mut gathered = self.lock();
            gathered.learnt.push(ManifestFacts {
                digest: digest.clone(),
                created: learnt.facts.created,
                platforms: learnt.facts.platforms.clone(),
                artifact_type: learnt.facts.artifact_type.clone(),
                has_created: learnt.has_created,
                has_platforms: learnt.has_platforms,
            });
            gathered.learnt.len() >= GATHERED_MAX
        };
        if is_full {
            forgive(self.write().await);
        }
    }

    /// Writes what was gathered.
    pub(super) async fn write(&self) -> Result<()> {
        let Gathered { learnt, used } = std::mem::take(&mut *self.lock());
        if learnt.is_empty() && used.is_empty() {
            return Ok(());
        }
        let used: Vec<Digest> = used.into_iter().collect();
        let now = Timestamp::now();
        self.ledger.keep_facts(&learnt, &used, now).await
    }
}

/// Without the ledger everything is read from the source.
fn forgive<T>(asked: Result<T>) -> Option<T> {
    if let Err(error) = &asked {
        tracing::warn!(error = describe(error), "facts of artifacts are read anew");
    }
    asked.ok()
}
