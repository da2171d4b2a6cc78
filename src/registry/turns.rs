//! One at a time for each of many things, without a lock for each.
//!
//! Things share a fixed number of locks, so that their number costs no memory. Two that share one wait for
//! each other without need, and that is all.

use std::hash::{DefaultHasher, Hash, Hasher};

use tokio::sync::Mutex;

const LOCKS: usize = 32;

#[derive(Default)]
pub(super) struct Turns([Mutex<()>; LOCKS]);

impl Turns {
    pub(super) fn of(&self, thing: impl Hash) -> &Mutex<()> {
        let mut hasher = DefaultHasher::new();
        thing.hash(&mut hasher);
        let index = hasher.finish() % LOCKS as u64;
        &self.0[usize::try_from(index).unwrap_or_default()]
    }
}
