//! A good bundle flipped, cut, spliced and shuffled at random: no panic, and no other content.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use airlift::bundle::{Bundle, SignaturePolicy, Volume, verify_volume};
use airlift::content::{Memory, MemoryObject, Result};
use airlift::pipeline::OpenedBundle;
use proptest::prelude::*;
use tokio::runtime::Builder;

use super::flips::KEYS;
use super::forge::Forge;
use crate::bundle::road::{deliver, plan_opened, trust};
use crate::support::snapshot::{Snapshot, assert_contains};

static PLAIN: LazyLock<Vec<u8>> = LazyLock::new(|| Forge::image().write(&KEYS));
static GUARD: LazyLock<Vec<u8>> = LazyLock::new(|| Forge::image().guard().write(&KEYS));

#[derive(Clone, Debug)]
enum Mutation {
    Flip(usize, u8),
    Cut(usize, usize),
    /// Copies bytes over others.
    Splice(usize, usize, usize),
    Swap(usize, usize, usize),
    Insert(usize, Vec<u8>),
}

impl Mutation {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let size = bytes.len().max(1);
        let piece = |at: &usize, length: &usize| {
            let at = at % size;
            at..(at + length % 600).min(bytes.len())
        };
        match self {
            Self::Flip(at, bits) => {
                if let Some(byte) = bytes.get_mut(at % size) {
                    *byte ^= bits;
                }
            }
            Self::Cut(at, length) => bytes.drain(piece(at, length)).for_each(drop),
            Self::Splice(from, to, length) => {
                let copied = bytes[piece(from, length)].to_vec();
                let target = piece(to, &copied.len());
                bytes.splice(target, copied).for_each(drop);
            }
            Self::Swap(one, other, length) => {
                for offset in 0..length % 600 {
                    let (one, other) = ((one + offset) % size, (other + offset) % size);
                    if one < bytes.len() && other < bytes.len() {
                        bytes.swap(one, other);
                    }
                }
            }
            Self::Insert(at, extra) => {
                bytes
                    .splice(at % size..at % size, extra.clone())
                    .for_each(drop);
            }
        }
    }
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let place = 0_usize..40_000;
    prop_oneof![
        (place.clone(), 1_u8..).prop_map(|(at, bits)| Mutation::Flip(at, bits)),
        (place.clone(), place.clone()).prop_map(|(at, length)| Mutation::Cut(at, length)),
        (place.clone(), place.clone(), place.clone())
            .prop_map(|(from, to, length)| Mutation::Splice(from, to, length)),
        (place.clone(), place.clone(), place.clone())
            .prop_map(|(one, other, length)| Mutation::Swap(one, other, length)),
        (place, proptest::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(at, extra)| Mutation::Insert(at, extra)),
    ]
}

/// Reads the object in every way, and says what an import of it publishes.
async fn published(bytes: &[u8], policy: &SignaturePolicy) -> Result<Snapshot> {
    let object = MemoryObject::new(bytes.to_vec());
    let volume = Volume::open(Arc::new(object), Vec::new(), policy).await?;
    // What it finds is another test's business; here it must come to an end.
    let _ = verify_volume(&volume, &|_| {}).await;
    let signers = volume.admit(policy)?;
    let bundle = Bundle::assemble(vec![volume])?;
    let plans = plan_opened(vec![OpenedBundle { bundle, signers }]).await?;
    let memory = Arc::new(Memory::new());
    // A failure in the middle must have published nothing wrong either.
    let delivered = deliver(&plans[0], &memory).await;
    let snapshot = memory.snapshot();
    assert!(
        delivered.is_ok() || snapshot.0.is_empty(),
        "a tag was moved"
    );
    Ok(snapshot)
}

fn check(original: &[u8], mutations: &[Mutation], policy: &SignaturePolicy) {
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let whole = runtime
        .block_on(published(original, policy))
        .expect("a good bundle");
    let mut bytes = original.to_vec();
    for mutation in mutations {
        mutation.apply(&mut bytes);
    }
    let found = runtime.block_on(published(&bytes, policy));
    let (tags, contents) = found.unwrap_or((BTreeMap::new(), BTreeMap::new()));
    assert_contains(&whole, &(tags, contents));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_bundle_publishes_nothing_else(
        mutations in proptest::collection::vec(mutation(), 1..4),
        is_guard in any::<bool>(),
    ) {
        let original = if is_guard { &*GUARD } else { &*PLAIN };
        check(original, &mutations, &trust(&KEYS));
    }

    /// Without signatures the parsers behind them meet everything.
    #[test]
    fn parsers_behind_the_signatures_do_not_panic(
        mutations in proptest::collection::vec(mutation(), 1..4),
        is_guard in any::<bool>(),
    ) {
        let mut bytes = if is_guard { GUARD.clone() } else { PLAIN.clone() };
        for mutation in &mutations {
            mutation.apply(&mut bytes);
        }
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        // Anything may come of it but a panic.
        let _ = runtime.block_on(published(&bytes, &SignaturePolicy::AcceptUnsigned));
    }
}
