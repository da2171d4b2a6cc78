//! Every way to tamper with a log is found and named; what is joined to a history.

use std::collections::BTreeSet;

use jiff::Timestamp;
use proptest::prelude::*;

use super::record::{AuditKind, AuditRecord, PastEvent};
use super::timeline::join;
use super::{AuditHead, ChainBreak, ChainCheck, CheckedChain, reference_at};
use crate::oci::Digest;

fn digest(text: &str) -> Digest {
    Digest::sha256(text.as_bytes())
}

fn unsealed(number: u64) -> AuditRecord {
    AuditRecord {
        number,
        time: Timestamp::from_second(i64::try_from(number).unwrap()).unwrap(),
        kind: AuditKind::Imported,
        run: Some(format!("{number:012x}")),
        who: "ops (1000)".to_owned(),
        comment: Some("a \"quoted\" reason, with a \\ and an ü".to_owned()),
        trigger: "manual".to_owned(),
        pipeline: None,
        source: Some("r.example/apps/web:1.4".to_owned()),
        target: Some("registry.local:5000/apps/web:1.4".to_owned()),
        digest: Some(digest("web")),
        replaced: None,
        rollback_tag: None,
        bundle: Some("web-1".to_owned()),
        inventory: Some(digest("inventory")),
        sequence: Some(number),
        reason: None,
        artifacts: Vec::new(),
        past: Vec::new(),
        previous: None,
        hash: None,
    }
}

/// A log of so many records.
fn log(records: u64) -> Vec<AuditRecord> {
    let mut log: Vec<AuditRecord> = Vec::new();
    for number in 1..=records {
        let previous = log.last().and_then(|last| last.hash.clone());
        let record = AuditRecord {
            previous,
            ..unsealed(number)
        };
        log.push(record.seal());
    }
    log
}

fn check(mut check: ChainCheck, records: &[AuditRecord]) -> Result<CheckedChain, ChainBreak> {
    for record in records {
        check.take(record)?;
    }
    check.finish()
}

fn check_log(records: &[AuditRecord]) -> Result<CheckedChain, ChainBreak> {
    check(ChainCheck::of_log(Vec::new()), records)
}

fn head_of(records: &[AuditRecord]) -> AuditHead {
    check_log(records).unwrap().head.unwrap()
}

/// One field of a record, changed.
fn change(record: &mut AuditRecord, field: usize) {
    match field {
        0 => record.time = Timestamp::UNIX_EPOCH,
        1 => record.kind = AuditKind::Promoted,
        2 => record.run = None,
        3 => record.who.push('x'),
        4 => record.comment = None,
        5 => record.trigger.push('x'),
        6 => record.pipeline = Some("p".to_owned()),
        7 => record.source = None,
        8 => record.target = record.source.clone(),
        9 => record.digest = Some(digest("other")),
        10 => record.replaced = Some(digest("other")),
        11 => record.rollback_tag = Some("old".to_owned()),
        12 => record.bundle = None,
        13 => record.inventory = Some(digest("other")),
        14 => record.sequence = None,
        15 => record.reason = Some("no reason".to_owned()),
        16 => record.previous = Some(digest("other")),
        17 => record.hash = Some(digest("other")),
        _ => record.hash = None,
    }
}

proptest! {
    #[test]
    fn a_whole_log_is_right_and_so_is_every_part_of_it(count in 0..12_u64, cut in 0..12_usize) {
        let records = log(count);
        let checked = check_log(&records).unwrap();
        prop_assert_eq!(checked.records, count);
        let part = &records[cut.min(records.len())..];
        prop_assert!(check(ChainCheck::of_part(Vec::new()), part).is_ok());
    }

    #[test]
    fn a_changed_record_is_found_and_named(count in 1..12_u64, at in 0..12_usize, field in 0..19_usize) {
        let mut records = log(count);
        let at = at % records.len();
        change(&mut records[at], field);
        let named = u64::try_from(at).unwrap() + 1;
        prop_assert_eq!(check_log(&records), Err(ChainBreak::Changed(named)));
    }

    /// Whoever changes a record and makes its hash anew is found at the next one.
    #[test]
    fn a_record_that_was_replaced_is_found(count in 2..12_u64, at in 0..12_usize, field in 0..17_usize) {
        let mut records = log(count);
        let at = at % (records.len() - 1);
        change(&mut records[at], field);
        records[at] = records[at].clone().seal();
        let named = u64::try_from(at).unwrap() + 1;
        let expected = match (field, named) {
            // A link that is wrong shows at the record itself; the first has none.
            (16, 1) => ChainBreak::Changed(1),
            (16, named) => ChainBreak::Unlinked(named),
            (_, named) => ChainBreak::Unlinked(named + 1),
        };
        prop_assert_eq!(check_log(&records), Err(expected));
    }

    #[test]
    fn a_missing_record_is_found_and_named(count in 2..12_u64, at in 0..12_usize) {
        let mut records = log(count);
        let at = at % (records.len() - 1);
        records.remove(at);
        let number = u64::try_from(at).unwrap() + 1;
        let missing = ChainBreak::Missing { first: number, last: number };
        prop_assert_eq!(check_log(&records), Err(missing));
    }

    #[test]
    fn reordered_and_inserted_records_are_found(count in 2..12_u64, one in 0..12_usize, other in 0..12_usize) {
        let records = log(count);
        let (one, other) = (one % records.len(), other % records.len());
        let mut doubled = records.clone();
        doubled.insert(other, records[one].clone());
        prop_assert!(check_log(&doubled).is_err());
        let mut swapped = records;
        swapped.swap(one, other);
        prop_assert_eq!(check_log(&swapped).is_err(), one != other);
    }

    /// A tail that was cut off, and a log that was written anew from some record on, need a head.
    #[test]
    fn a_noted_head_finds_what_the_chain_cannot(count in 2..12_u64, at in 1..12_usize) {
        let records = log(count);
        let head = head_of(&records);
        let at = (at % records.len()).max(1);
        let cut = &records[..at];
        prop_assert!(check_log(cut).is_ok());
        let checked = check(ChainCheck::of_log(vec![head.clone()]), cut);
        let first = u64::try_from(at).unwrap() + 1;
        prop_assert_eq!(checked, Err(ChainBreak::CutOff { first, last: count }));

        let mut anew = records.clone();
        anew[at - 1].who = "nobody".to_owned();
        for position in at - 1..anew.len() {
            anew[position].previous = match position {
                0 => None,
                _ => anew[position - 1].hash.clone(),
            };
            anew[position] = anew[position].clone().seal();
        }
        prop_assert!(check_log(&anew).is_ok());
        let checked = check(ChainCheck::of_log(vec![head]), &anew);
        prop_assert_eq!(checked, Err(ChainBreak::NotAsNoted(count)));
    }
}

#[test]
fn a_part_is_anchored_by_the_head_before_it() {
    let records = log(5);
    let before = head_of(&records[..2]);
    let part = &records[2..];
    assert!(check(ChainCheck::of_part(vec![before.clone()]), part).is_ok());
    let other = AuditHead {
        hash: digest("other"),
        ..before
    };
    assert_eq!(
        check(ChainCheck::of_part(vec![other]), part),
        Err(ChainBreak::NotAsNoted(2))
    );
}

#[test]
fn the_canonical_bytes_are_those_of_the_specification() {
    let record = log(1).remove(0);
    let bytes = String::from_utf8(record.canonical_bytes()).unwrap();
    let web = digest("web");
    let inventory = digest("inventory");
    assert_eq!(
        bytes,
        format!(
            r#"{{"number":1,"time":"1970-01-01T00:00:01Z","kind":"imported","run":"000000000001","who":"ops (1000)","comment":"a \"quoted\" reason, with a \\ and an ü","trigger":"manual","source":"r.example/apps/web:1.4","target":"registry.local:5000/apps/web:1.4","digest":"{web}","bundle":"web-1","inventory":"{inventory}","sequence":1}}"#
        )
    );
    assert_eq!(record.hash, Some(Digest::sha256(bytes.as_bytes())));
}

#[test]
fn a_head_is_read_as_it_is_printed() {
    let head = head_of(&log(3));
    assert_eq!(head.to_string().parse(), Ok(head));
    for wrong in ["", "3", "3:", "sha256:00", "x:sha256:00"] {
        assert!(wrong.parse::<AuditHead>().is_err(), "{wrong}");
    }
}

#[test]
fn a_reference_at_a_target_has_its_host_and_not_its_prefix_twice() {
    for (target, name, reference) in [
        ("r.local:5000", "apps/web:1", "r.local:5000/apps/web:1"),
        ("r.local/mirror", "mirror/web:1", "r.local/mirror/web:1"),
        ("oci:/srv/far", "web:1", "oci:/srv/far:web:1"),
    ] {
        assert_eq!(reference_at(target, name), reference);
    }
}

/// A bundle says in whole seconds when it was made, and so seems older than what it tells.
#[test]
fn within_a_second_what_was_told_keeps_its_order() {
    let event = |kind, time: &str| PastEvent {
        kind,
        time: time.parse().unwrap(),
        who: None,
        comment: None,
        pipeline: None,
        source: None,
        target: None,
        bundle: None,
        inventory: None,
    };
    let record = AuditRecord {
        time: "2026-11-22T13:52:17.950Z".parse().unwrap(),
        past: vec![
            event(AuditKind::Imported, "2026-11-22T13:52:17.902Z"),
            event(AuditKind::Exported, "2026-11-22T13:52:17Z"),
        ],
        ..unsealed(1)
    };
    let events = join(&[record], &BTreeSet::from([digest("web")]));
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["imported", "exported", "imported"]);
}

#[test]
fn what_bundles_tell_is_told_once_and_in_the_order_of_time() {
    let exported = PastEvent {
        kind: AuditKind::Exported,
        time: Timestamp::from_second(1).unwrap(),
        who: None,
        comment: None,
        pipeline: None,
        source: Some("r.example/apps/web:1.4".to_owned()),
        target: None,
        bundle: Some("web-1".to_owned()),
        inventory: Some(digest("inventory")),
    };
    let promoted = PastEvent {
        kind: AuditKind::Promoted,
        time: Timestamp::UNIX_EPOCH,
        ..exported.clone()
    };
    let told = AuditRecord {
        past: vec![exported, promoted],
        ..unsealed(2)
    };
    let again = AuditRecord {
        number: 3,
        ..told.clone()
    };
    let digests = BTreeSet::from([digest("web")]);
    let events = join(&[told.clone(), again.clone()], &digests);
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["promoted", "exported", "imported", "imported"]);
    assert_eq!(events[0].told_by, Some(digest("inventory")));
    assert_eq!((events[0].number, events[2].number), (None, Some(2)));
    // The ledger of the exporter knows better.
    let own = AuditRecord {
        kind: AuditKind::Exported,
        target: Some("/mnt/usb".to_owned()),
        ..unsealed(1)
    };
    let events = join(&[own, told], &digests);
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["promoted", "exported", "imported"]);
    assert_eq!(events[1].number, Some(1));
}
