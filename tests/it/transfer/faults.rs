//! Transfers that cannot go on: limits of the device, a source that changes, writes that fail half way.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use airlift::content::{ErrorKind, Event, describe};
use airlift::pipeline::SourcePolicy;
use proptest::prelude::*;
use tempfile::tempdir;

use super::limited::Limited;
use super::{Stock, contents, options, transfer, transfer_well};
use crate::support::artifacts::Dice;

#[test]
fn everything_must_fit_before_anything_moves() {
    let (stock, target) = (Stock::new(), tempdir().unwrap());
    let needed: usize = contents(stock.path()).values().map(Vec::len).sum();
    let mut options = options(stock.path(), target.path());
    let mut limited = Limited::new(target.path());
    limited.free_bytes = Some(needed as u64 - 1);
    options.target = Arc::new(limited);
    let error = transfer(&options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace);
    let told = describe(&error);
    assert!(
        told.contains(&format!("{needed} bytes are needed")),
        "{told}"
    );
    assert!(contents(target.path()).is_empty());
    // What an interrupted run has left is replaced, and gives its room back.
    fs::write(target.path().join("small.tar.zst.partial"), "x").unwrap();
    transfer_well(&options);
}

#[test]
fn a_file_that_the_device_cannot_hold_is_named_before_anything_moves() {
    let (stock, target) = (Stock::new(), tempdir().unwrap());
    let mut options = options(stock.path(), target.path());
    let mut limited = Limited::new(target.path());
    limited.size_max_bytes = Some(super::VOLUME_BYTES);
    options.target = Arc::new(limited);
    let report = transfer(&options).unwrap();
    let told = describe(&report.failures[0].error);
    assert!(told.contains("`small.tar.zst` has"), "{told}");
    assert!(contents(target.path()).is_empty());
}

#[test]
fn an_object_that_is_replaced_while_it_is_read_is_not_published() {
    let (stock, target) = (Stock::new(), tempdir().unwrap());
    for in_place in [false, true] {
        let mut options = options(stock.path(), target.path());
        options.selection.bundles = vec!["small".to_owned()];
        options.source_policy = SourcePolicy::Delete;
        let path = stock.path().join("small.tar.zst");
        let whole = fs::read(&path).unwrap();
        let replaced = path.clone();
        options.events = Arc::new(move |event| {
            if matches!(event, Event::Moved(_)) {
                let other = replaced.with_extension("new");
                let written = if in_place { &replaced } else { &other };
                fs::write(written, "another").unwrap();
                if !in_place {
                    fs::rename(&other, &replaced).unwrap();
                }
            }
        });
        let report = transfer(&options).unwrap();
        assert_eq!(report.failures[0].error.kind(), ErrorKind::Changed);
        assert!(contents(target.path()).is_empty(), "nothing is visible");
        assert_eq!(fs::read(&path).unwrap(), b"another", "nothing is removed");
        fs::write(&path, whole).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any part of the stock, and a device that fails again and again: in the end both sides are equal, and at
    /// no time is anything half visible.
    #[test]
    fn a_transfer_that_is_repeated_ends_in_equality(seed in any::<u64>()) {
        let stock = Stock::shared();
        let (source, target) = (tempdir().unwrap(), tempdir().unwrap());
        let mut dice = Dice::new(seed);
        let mut chosen: BTreeMap<String, Vec<u8>> = contents(stock.path());
        chosen.retain(|name, _| name.ends_with(".sig") || !dice.once_in(4));
        for (name, bytes) in &chosen {
            fs::write(source.path().join(name), bytes).unwrap();
        }
        let owners: Vec<String> = chosen.keys().filter(|n| n.ends_with(".zst")).cloned().collect();
        chosen.retain(|name, _| owners.iter().any(|owner| name.starts_with(owner.as_str())));
        let mut options = options(source.path(), target.path());
        let limited = Arc::new(Limited::new(target.path()));
        options.target = limited.clone();
        let total: usize = chosen.values().map(Vec::len).sum();
        loop {
            limited.budget.store(dice.below(total as u64 * 2), Ordering::Relaxed);
            let report = transfer(&options).unwrap();
            for (name, bytes) in contents(target.path()) {
                if name.ends_with(".partial") || name.starts_with('.') {
                    continue;
                }
                prop_assert!(chosen.get(&name) == Some(&bytes), "`{}` is not whole", name);
            }
            if report.failures.is_empty() {
                break;
            }
        }
        prop_assert!(contents(target.path()) == chosen);
    }
}
