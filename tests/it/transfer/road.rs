//! What travels and what stays.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use airlift::content::{ErrorKind, Event, OnError, describe};
use airlift::pipeline::{ObjectOutcome, ReadBackPolicy, SourcePolicy};
use airlift::storage::Overwrite;
use tempfile::tempdir;

use super::{Stock, contents, options, transfer, transfer_well};
use crate::bundle::road::trust;

#[test]
fn volumes_and_countersignatures_travel_in_order_and_once() {
    let (stock, target) = (Stock::new(), tempdir().unwrap());
    let mut options = options(stock.path(), target.path());
    options.policy = trust(&["snakeoil-ed25519"]);
    options.read_back = ReadBackPolicy::Verify;
    let report = transfer_well(&options);
    assert!(contents(target.path()) == contents(stock.path()));
    let large = report.bundles.iter().find(|bundle| bundle.name == "bundle");
    let names: Vec<&str> = large.unwrap().objects.iter().map(|o| &*o.0).collect();
    let volumes = stock.volumes();
    assert!(volumes.len() > 2, "several volumes: {volumes:?}");
    assert_eq!(names[..volumes.len()], volumes);
    assert_eq!(names.len(), volumes.len() + 1, "and a countersignature");
    assert_eq!(report.verified_objects, names.len() + 1);
    assert!(report.is_safe_to_remove);
    let again = transfer_well(&options);
    assert_eq!(again.total(ObjectOutcome::Streamed), (0, 0));
    assert_eq!(again.streamed_bytes, 0);
}

#[test]
fn other_content_under_the_name_is_refused_before_anything_moves() {
    let (stock, target) = (Stock::new(), tempdir().unwrap());
    fs::write(target.path().join("small.tar.zst"), "other").unwrap();
    let mut options = options(stock.path(), target.path());
    let refused = transfer(&options).unwrap();
    assert_eq!(refused.failures[0].error.kind(), ErrorKind::AlreadyExists);
    assert!(!refused.is_safe_to_remove);
    assert_eq!(contents(target.path()).len(), 1, "nothing was moved");
    options.on_error = OnError::Continue;
    let partly = transfer(&options).unwrap();
    assert_eq!((partly.failures.len(), partly.bundles.len()), (1, 1));
    options.overwrite = Overwrite::Replace;
    transfer_well(&options);
    assert!(contents(target.path()) == contents(stock.path()));
}

#[test]
fn damage_at_the_target_is_found_by_reading_back() {
    let (stock, target) = (Stock::new(), tempdir().unwrap());
    let mut options = options(stock.path(), target.path());
    transfer_well(&options);
    let path = target.path().join(&stock.volumes()[0]);
    let mut bytes = fs::read(&path).unwrap();
    bytes[1000] ^= 1;
    fs::write(&path, bytes).unwrap();
    options.read_back = ReadBackPolicy::Verify;
    let refused = transfer(&options).unwrap();
    let told = describe(&refused.failures[0].error);
    assert!(told.contains("it is damaged"), "{told}");
    options.overwrite = Overwrite::Replace;
    let mended = transfer_well(&options);
    assert_eq!(mended.total(ObjectOutcome::Streamed).0, 1);
    assert!(contents(target.path()) == contents(stock.path()));
}

#[test]
fn a_damaged_source_is_not_left_at_the_target_when_it_is_read_back() {
    let (stock, target) = (Stock::new(), tempdir().unwrap());
    let name = &stock.volumes()[0];
    let mut bytes = fs::read(stock.path().join(name)).unwrap();
    bytes[1000] ^= 1;
    fs::write(stock.path().join(name), bytes).unwrap();
    let mut options = options(stock.path(), target.path());
    options.read_back = ReadBackPolicy::Verify;
    options.source_policy = SourcePolicy::Delete;
    let report = transfer(&options).unwrap();
    assert_eq!(report.failures[0].error.kind(), ErrorKind::Unverified);
    assert!(!contents(target.path()).contains_key(name));
    assert!(
        contents(stock.path()).contains_key(name),
        "the source is kept"
    );
}

#[test]
fn the_source_is_emptied_only_when_the_whole_set_is_there() {
    let (stock, target) = (Stock::new(), tempdir().unwrap());
    let all = contents(stock.path());
    let first = stock.volumes()[0].clone();
    let aside = tempdir().unwrap();
    fs::rename(stock.path().join(&first), aside.path().join(&first)).unwrap();
    let mut options = options(stock.path(), target.path());
    options.source_policy = SourcePolicy::Delete;
    options.selection.bundles = vec!["bundle".to_owned()];
    let report = transfer_well(&options);
    assert_eq!(report.bundles[0].missing_volumes, [1]);
    assert_eq!(
        contents(stock.path()).len(),
        all.len() - 1,
        "nothing was removed"
    );
    let mut rest = super::options(aside.path(), target.path());
    rest.source_policy = SourcePolicy::Delete;
    let report = transfer_well(&rest);
    assert!(report.bundles[0].is_removed_at_source);
    assert!(contents(aside.path()).is_empty());
    transfer_well(&options);
    let left = contents(stock.path());
    assert_eq!(left.keys().collect::<Vec<_>>(), ["small.tar.zst"]);
    options.selection.bundles.clear();
    transfer_well(&options);
    assert!(contents(target.path()) == all);
    assert!(contents(stock.path()).is_empty());
}

#[test]
fn one_volume_travels_alone_with_its_countersignatures() {
    let (stock, target) = (Stock::new(), tempdir().unwrap());
    let volumes = stock.volumes();
    let mut options = options(stock.path(), target.path());
    options.selection.volume = Some(u32::try_from(volumes.len()).unwrap());
    assert!(transfer(&options).is_err(), "which bundle?");
    options.selection.bundles = vec!["bundle".to_owned()];
    transfer_well(&options);
    let names: Vec<String> = contents(target.path()).into_keys().collect();
    assert_eq!(names.len(), 2);
    assert!(
        names
            .iter()
            .all(|name| name.starts_with(volumes.last().unwrap()))
    );
}

#[test]
fn foreign_files_stay_and_are_told() {
    let (stock, target) = (Stock::new(), tempdir().unwrap());
    let all = contents(stock.path());
    for name in [
        "readme.txt",
        "noise.tar.zst",
        "gone.tar.zst.0123456789abcdef.sig",
    ] {
        fs::write(stock.path().join(name), "x".repeat(600)).unwrap();
    }
    let whole = fs::read(stock.path().join("small.tar.zst")).unwrap();
    fs::write(stock.path().join("cut.tar.zst"), &whole[..whole.len() / 2]).unwrap();
    std::os::unix::fs::symlink("small.tar.zst", stock.path().join("link.tar.zst")).unwrap();
    fs::create_dir(stock.path().join("folder.tar")).unwrap();
    let report = transfer_well(&options(stock.path(), target.path()));
    let mut ignored: Vec<&str> = report.ignored.iter().map(|object| &*object.name).collect();
    ignored.sort_unstable();
    let foreign = [
        "folder.tar",
        "gone.tar.zst.0123456789abcdef.sig",
        "link.tar.zst",
        "noise.tar.zst",
        "readme.txt",
    ];
    assert_eq!(ignored, foreign);
    assert_eq!(report.arriving, ["cut.tar.zst"]);
    assert!(contents(target.path()) == all);
}

#[test]
fn a_bundle_of_strangers_stops_a_transfer_that_trusts() {
    let (stock, target) = (Stock::new(), tempdir().unwrap());
    let mut options = options(stock.path(), target.path());
    options.policy = trust(&["snakeoil-p256-other"]);
    let report = transfer(&options).unwrap();
    assert_eq!(report.failures[0].error.kind(), ErrorKind::Unverified);
    assert!(contents(target.path()).is_empty());
}

#[test]
fn progress_reaches_its_end_when_the_target_is_read_back() {
    let (stock, target) = (Stock::new(), tempdir().unwrap());
    let mut options = options(stock.path(), target.path());
    options.read_back = ReadBackPolicy::Verify;
    let (expected, settled) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (length, position) = (Arc::clone(&expected), Arc::clone(&settled));
    options.events = Arc::new(move |event| {
        let (number, bytes) = match event {
            Event::Planned { bytes, .. } | Event::ReadingBack(bytes) => (&length, bytes),
            Event::Moved(bytes) | Event::Spared(bytes) => (&position, bytes),
            _ => return,
        };
        number.fetch_add(bytes, Ordering::Relaxed);
        assert!(position.load(Ordering::Relaxed) <= length.load(Ordering::Relaxed));
    });
    // The second finds everything there, and reads it back.
    for _ in 0..2 {
        transfer_well(&options);
        let told = expected.swap(0, Ordering::Relaxed);
        assert!(told > 0);
        assert_eq!(settled.swap(0, Ordering::Relaxed), told);
    }
}
