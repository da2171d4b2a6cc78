//! The rules of sequences, in any order of arrival.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{digest, link};
use crate::history::{Decision, Link, judge, may_move_tag};

/// A target and what its lane remembers.
#[derive(Default)]
struct Lane {
    accepted: Vec<Link>,
    /// Tag to the bundle that it points to.
    tags: BTreeMap<u8, u64>,
    newest: BTreeMap<u8, u64>,
}

impl Lane {
    fn deliver(&mut self, link: &Link, tags: &[u8]) -> Decision {
        let decision = judge(&self.accepted, Some(link)).decision;
        if matches!(decision, Decision::New | Decision::Late { .. }) {
            for tag in tags {
                if may_move_tag(self.newest.get(tag).copied(), link.sequence) {
                    self.tags.insert(*tag, link.sequence);
                    self.newest.insert(*tag, link.sequence);
                }
            }
            self.accepted.push(link.clone());
        }
        decision
    }
}

/// The tags of each bundle, and an order with repetitions in which each arrives.
fn deliveries() -> impl Strategy<Value = (Vec<Vec<u8>>, Vec<usize>)> {
    prop::collection::vec(prop::collection::vec(0..5_u8, 0..4), 1..8).prop_flat_map(|bundles| {
        let count = bundles.len();
        let all: Vec<usize> = (0..count).collect();
        let order = prop::collection::vec(0..count, 0..6)
            .prop_map(move |again| [all.clone(), again].concat())
            .prop_shuffle();
        (Just(bundles), order)
    })
}

fn sequence_of(position: usize) -> u64 {
    u64::try_from(position).unwrap() + 1
}

proptest! {
    #[test]
    fn any_order_ends_as_the_right_one((bundles, order) in deliveries()) {
        let mut in_order = Lane::default();
        for (position, tags) in bundles.iter().enumerate() {
            prop_assert_eq!(in_order.deliver(&link(sequence_of(position)), tags), Decision::New);
        }
        let mut shuffled = Lane::default();
        for position in order {
            let link = link(sequence_of(position));
            let was_accepted = shuffled.accepted.contains(&link);
            let before = shuffled.tags.clone();
            let decision = shuffled.deliver(&link, &bundles[position]);
            prop_assert_eq!(decision == Decision::Replay, was_accepted);
            prop_assert!(!was_accepted || before == shuffled.tags);
        }
        prop_assert_eq!(in_order.tags, shuffled.tags);
    }

    #[test]
    fn two_of_one_sequence_are_never_both_accepted(
        place in 1..6_u64,
        order in Just((0..6_usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let mut chain: Vec<Link> = (1..6).map(link).collect();
        chain.push(Link { inventory: digest("other"), ..link(place) });
        let mut lane = Lane::default();
        let mut refused = 0;
        for position in order {
            let decision = lane.deliver(&chain[position], &[]);
            refused += usize::from(matches!(decision, Decision::Fork { .. }));
        }
        let same_place = lane.accepted.iter().filter(|link| link.sequence == place);
        prop_assert!(same_place.count() <= 1);
        prop_assert!(refused >= 1);
    }
}

#[test]
fn a_late_bundle_is_told_with_what_is_missing() {
    let judged = judge(&[link(2), link(7)], Some(&link(4)));
    assert_eq!(judged.decision, Decision::Late { newest: 7 });
    assert_eq!(judged.missing, [3..=3, 5..=6]);
}

#[test]
fn the_first_bundle_of_a_lane_misses_nothing() {
    let judged = judge(&[], Some(&link(7)));
    assert_eq!(judged.decision, Decision::New);
    assert!(judged.missing.is_empty());
}

#[test]
fn a_bundle_that_names_another_predecessor_is_a_fork() {
    let other = Link {
        previous: Some(digest("other")),
        ..link(3)
    };
    let fork = |accepted: &Link, bundle: &Link| {
        let judged = judge(std::slice::from_ref(accepted), Some(bundle));
        matches!(judged.decision, Decision::Fork { sequence: 2, .. })
    };
    assert!(fork(&link(2), &other));
    assert!(fork(&other, &link(2)));
}

#[test]
fn a_bundle_without_a_pipeline_is_one_off() {
    assert_eq!(judge(&[link(1)], None).decision, Decision::OneOff);
}
