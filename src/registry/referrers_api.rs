//! Whether there is the referrers API: remembered for each repository, because one host may hand its
//! repositories to different registries by their path.
//!
//! **Invariant.** While the first question about a repository is under way, no second one is asked.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::turns::Turns;
use crate::oci::Repository;

/// What is known of the API in one repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReferrersApi {
    Unknown,
    Present,
    Missing,
}

/// What is known of the API, by repository: a name and a byte for each that was asked.
#[derive(Default)]
pub(super) struct ReferrersApis {
    known: Mutex<HashMap<Repository, ReferrersApi>>,
    first_questions: Turns,
}

impl ReferrersApis {
    fn lock(&self) -> MutexGuard<'_, HashMap<Repository, ReferrersApi>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn of(&self, repository: &Repository) -> ReferrersApi {
        let known = self.lock().get(repository).copied();
        known.unwrap_or(ReferrersApi::Unknown)
    }

    pub(super) fn set(&self, repository: &Repository, api: ReferrersApi) {
        self.lock().insert(repository.clone(), api);
    }

    /// Waits while somebody else asks for the first time; whoever gets a turn is the first.
    pub(super) async fn first_question(
        &self,
        repository: &Repository,
    ) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        if self.lock().contains_key(repository) {
            return None;
        }
        let turn = self.first_questions.of(repository).lock().await;
        (!self.lock().contains_key(repository)).then_some(turn)
    }

    /// An answer that says nothing about the API is one too: it ends the waiting of the others.
    pub(super) fn note_asked(&self, repository: &Repository) {
        let mut known = self.lock();
        if !known.contains_key(repository) {
            known.insert(repository.clone(), ReferrersApi::Unknown);
        }
    }
}
