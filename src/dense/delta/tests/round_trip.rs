//! Whatever was edited, the delta gives the same bytes, and its own bytes give the same delta.

use proptest::prelude::*;

use super::super::{Delta, Options};
use super::{Made, apply, make, noise, sizes};

/// One change of a layer; places are shares of its length, in 1/65536.
#[derive(Clone, Debug)]
enum Edit {
    Insert { at: u16, seed: u64, length: usize },
    Delete { at: u16, length: usize },
    Overwrite { at: u16, seed: u64, length: usize },
    Move { from: u16, length: usize, to: u16 },
    Repeat { from: u16, length: usize, to: u16 },
}

fn edits() -> impl Strategy<Value = Edit> {
    let length = prop_oneof![1..40usize, 400..600usize, 1..30_000usize];
    (0..5, any::<u16>(), any::<u16>(), any::<u64>(), length).prop_map(
        |(kind, at, to, seed, length)| match kind {
            0 => Edit::Insert { at, seed, length },
            1 => Edit::Delete { at, length },
            2 => Edit::Overwrite { at, seed, length },
            3 => Edit::Move {
                from: at,
                length,
                to,
            },
            _ => Edit::Repeat {
                from: at,
                length,
                to,
            },
        },
    )
}

fn place(share: u16, length: usize) -> usize {
    length * usize::from(share) / 65536
}

fn edit(mut layer: Vec<u8>, edit: &Edit) -> Vec<u8> {
    let stretch = |layer: &Vec<u8>, at: u16, length: usize| {
        let start = place(at, layer.len());
        start..(start + length).min(layer.len())
    };
    match *edit {
        Edit::Insert { at, seed, length } => {
            let start = place(at, layer.len());
            layer.splice(start..start, noise(seed, length));
        }
        Edit::Delete { at, length } => {
            let range = stretch(&layer, at, length);
            layer.drain(range);
        }
        Edit::Overwrite { at, seed, length } => {
            let range = stretch(&layer, at, length);
            let fresh = noise(seed, range.len());
            layer.splice(range, fresh);
        }
        Edit::Move { from, length, to } => {
            let range = stretch(&layer, from, length);
            let moved: Vec<u8> = layer.drain(range).collect();
            let start = place(to, layer.len());
            layer.splice(start..start, moved);
        }
        Edit::Repeat { from, length, to } => {
            let range = stretch(&layer, from, length);
            let repeated = layer[range].to_vec();
            let start = place(to, layer.len());
            layer.splice(start..start, repeated);
        }
    }
    layer
}

/// A layer of stretches that are noise, zeros or the like of text.
fn layers() -> impl Strategy<Value = Vec<u8>> {
    let stretch =
        (0..4, any::<u64>(), 1..40_000usize).prop_map(|(kind, seed, length)| match kind {
            0 => vec![0; length],
            1 => noise(seed, length)
                .iter()
                .map(|byte| b"etaoin shrdlu\n\0x"[usize::from(byte & 15)])
                .collect(),
            _ => noise(seed, length),
        });
    prop::collection::vec(stretch, 0..6).prop_map(|stretches| stretches.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn an_edited_layer_comes_back(
        references in prop::collection::vec(layers(), 0..3),
        base in 0..3usize,
        changes in prop::collection::vec(edits(), 0..12),
    ) {
        let base = references.get(base).cloned().unwrap_or_default();
        let new = changes.iter().fold(base, edit);
        let made = make(&new, &references, Options::default());
        let recipe = made.delta.to_bytes().expect("a recipe can be compressed");
        let read = Delta::from_bytes(&recipe, &sizes(&references)).expect("what was made is accepted");
        prop_assert_eq!(&read, &made.delta);
        let read = Made { delta: read, segments: made.segments };
        prop_assert!(apply(&read, &references).expect("what was made can be applied") == new);
    }

    #[test]
    fn a_damaged_delta_is_refused_or_keeps_to_its_length(
        old in layers(),
        changes in prop::collection::vec(edits(), 1..6),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        hits_the_segments in any::<bool>(),
    ) {
        let references = [old];
        let new = changes.iter().fold(references[0].clone(), edit);
        let mut made = make(&new, &references, Options::default());
        let mut recipe = made.delta.to_plain_bytes();
        let hit = match made.segments.first_mut() {
            Some(segment) if hits_the_segments => segment,
            _ => &mut recipe,
        };
        for (at, byte) in damage {
            let at = at.index(hit.len());
            hit[at] = byte;
        }
        if let Ok(delta) = Delta::from_plain_bytes(&recipe, &sizes(&references)) {
            let plain_bytes = delta.plain_bytes();
            let damaged = Made { segments: { made.segments.resize(delta.segments().len(), Vec::new()); made.segments }, delta };
            if let Ok(output) = apply(&damaged, &references) {
                prop_assert_eq!(output.len() as u64, plain_bytes);
            }
        }
    }
}
