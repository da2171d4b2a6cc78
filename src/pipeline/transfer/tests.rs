//! Decisions of a transfer: order, selection, and what stands against it.

use std::collections::HashMap;

use super::plan::{PlannedAction, PlannedObject, Presence, TransferPlan, check_room, plan_bundle};
use super::refusal::CannotTransfer;
use super::selection::{Demand, Extent, Selection};
use super::stored::{StoredSet, StoredSignature, StoredVolume, group};
use crate::content::Version;
use crate::oci::Digest;
use crate::storage::Overwrite;

/// Volume `volume` of `volumes` of a bundle: `march` is a one-off, `nightly-7` the seventh of a pipeline.
fn volume(bundle: &str, volume: u32, volumes: u32) -> StoredVolume {
    let inventory = |number: u32| Digest::sha256(format!("{bundle} {number}").as_bytes());
    let numbered = bundle.split_once('-');
    let sequence = numbered.and_then(|(_, number)| number.parse().ok());
    let seconds = sequence.map_or(1000, |sequence: u64| 5000 - sequence);
    StoredVolume {
        object: format!("{bundle}.v{volume}.tar.zst"),
        size_bytes: 100,
        version: Version::new("1"),
        set_key: bundle.to_owned(),
        bundle: bundle.to_owned(),
        pipeline: numbered.map(|(pipeline, _)| pipeline.to_owned()),
        sequence,
        created: jiff::Timestamp::from_second(i64::try_from(seconds).unwrap()).unwrap(),
        volume,
        volumes,
        inventory_digest: inventory(volume),
        volume_inventories: match volume == volumes {
            true => (1..volumes).map(inventory).collect(),
            false => Vec::new(),
        },
        tail_digest: inventory(volume),
        stream_bytes: 1000,
        refusal: None,
    }
}

fn signature(of: &str) -> StoredSignature {
    StoredSignature {
        object: format!("{of}.0123456789abcdef.sig"),
        size_bytes: 70,
        version: Version::new("1"),
        of: of.to_owned(),
    }
}

fn sets(volumes: Vec<StoredVolume>) -> Vec<StoredSet> {
    group(volumes, Vec::new()).0
}

fn names(sets: &[StoredSet]) -> Vec<&str> {
    sets.iter().map(|set| &*set.first().bundle).collect()
}

fn stock() -> Vec<StoredSet> {
    sets(vec![
        volume("nightly-10", 1, 1),
        volume("march", 2, 2),
        volume("nightly-9", 1, 1),
        volume("weekly-2", 1, 1),
        volume("march", 1, 2),
    ])
}

#[test]
fn bundles_go_by_sequence_and_volumes_by_number() {
    let stock = stock();
    assert_eq!(
        names(&stock),
        ["march", "weekly-2", "nightly-9", "nightly-10"]
    );
    assert_eq!(stock[0].numbers(), [1, 2]);
}

#[test]
fn the_newest_is_that_of_each_pipeline_and_of_the_one_offs() {
    let newest = Selection {
        extent: Extent::Newest,
        ..Selection::default()
    };
    let taken = newest.apply(stock(), Demand::Now).unwrap();
    assert_eq!(names(&taken), ["march", "weekly-2", "nightly-10"]);
    let nightly = Selection {
        pipeline: Some("nightly".to_owned()),
        ..newest
    };
    assert_eq!(
        names(&nightly.apply(stock(), Demand::Now).unwrap()),
        ["nightly-10"]
    );
}

#[test]
fn what_is_named_must_be_there_unless_it_is_waited_for() {
    let named = |name: &str| Selection {
        bundles: vec![name.to_owned()],
        ..Selection::default()
    };
    let by_object = named("march.v1.tar.zst").apply(stock(), Demand::Now);
    assert_eq!(names(&by_object.unwrap()), ["march"]);
    assert!(named("april").apply(stock(), Demand::Now).is_err());
    assert!(
        named("april")
            .apply(stock(), Demand::WhenItComes)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn countersignatures_come_after_all_volumes() {
    let volumes = vec![volume("march", 1, 2), volume("march", 2, 2)];
    let signatures = vec![signature("march.v1.tar.zst"), signature("gone.tar.zst")];
    let (mut sets, ignored) = group(volumes, signatures);
    assert_eq!(ignored.len(), 1);
    let plan = plan_bundle(sets.remove(0), &HashMap::new(), Overwrite::Refuse, None);
    let order: Vec<&str> = plan.objects.iter().map(PlannedObject::name).collect();
    let signature = "march.v1.tar.zst.0123456789abcdef.sig";
    assert_eq!(order, ["march.v1.tar.zst", "march.v2.tar.zst", signature]);
}

#[test]
fn the_same_volume_under_two_names_travels_once_and_another_one_is_refused() {
    let mut copy = volume("march", 1, 1);
    copy.object = "renamed.tar.zst".to_owned();
    let (sets, ignored) = group(vec![copy.clone(), volume("march", 1, 1)], Vec::new());
    assert_eq!((sets[0].volumes.len(), ignored.len()), (1, 1));
    copy.tail_digest = Digest::sha256(b"other");
    let (sets, _) = group(vec![copy, volume("march", 1, 1)], Vec::new());
    assert!(matches!(
        sets[0].check(),
        Err(CannotTransfer::Foreign { .. })
    ));
    let mut first = volume("march", 1, 2);
    first.inventory_digest = Digest::sha256(b"other");
    let (sets, _) = group(vec![first, volume("march", 2, 2)], Vec::new());
    assert!(matches!(
        sets[0].check(),
        Err(CannotTransfer::Foreign { .. })
    ));
}

#[test]
fn what_is_there_decides_what_is_done() {
    let plan = |presence: Option<Presence>, overwrite, limit| {
        let present = presence.map(|presence| ("march.v1.tar.zst".to_owned(), presence));
        let set = sets(vec![volume("march", 1, 1)]).remove(0);
        plan_bundle(set, &present.into_iter().collect(), overwrite, limit)
    };
    let different = || Some(Presence::Different("other".to_owned()));
    let kept = plan(Some(Presence::Equal), Overwrite::Refuse, Some(1));
    assert_eq!(
        (kept.objects[0].action, kept.refusal),
        (PlannedAction::Keep, None)
    );
    let refused = plan(different(), Overwrite::Refuse, None);
    assert!(matches!(
        refused.refusal,
        Some(CannotTransfer::OtherContent { .. })
    ));
    let replaced = plan(different(), Overwrite::Replace, Some(100));
    assert_eq!(replaced.objects[0].action, PlannedAction::Replace);
    let large = plan(None, Overwrite::Refuse, Some(99));
    assert!(matches!(
        large.refusal,
        Some(CannotTransfer::TooLarge { .. })
    ));
    let plan = TransferPlan {
        bundles: vec![replaced],
        ..TransferPlan::default()
    };
    assert!(check_room(&plan, Some(99), 0).is_err());
    assert!(check_room(&plan, Some(99), 1).is_ok());
    assert!(check_room(&plan, None, 0).is_ok());
}
