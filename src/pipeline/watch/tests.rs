//! What is due and what is not, by the book.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::book::{Book, Changes, IncompleteSet, VolumePlace, delay_after};
use super::verdict::{Fault, Verdict};
use crate::content::Version;
use crate::storage::FoundObject;

const SETTLE_TIME: Duration = Duration::from_mins(1);

fn object(name: &str, version: &str) -> FoundObject {
    FoundObject {
        name: name.to_owned(),
        size_bytes: 1,
        version: Version::new(version),
        modified: None,
    }
}

fn place(set: &str, volume: u32, volumes: u32) -> VolumePlace {
    VolumePlace {
        set: set.to_owned(),
        volume,
        volumes,
        bundle: set.to_owned(),
        inventory: String::new(),
        order: (None, Timestamp::UNIX_EPOCH),
    }
}

fn list(book: &mut Book, objects: &[(&str, &str)], now: Instant) -> Changes {
    book.begin_listing();
    for (name, version) in objects {
        book.observe(object(name, version), now);
    }
    book.end_listing(now)
}

#[test]
fn each_version_is_opened_once() {
    let (mut book, now) = (Book::new(SETTLE_TIME), Instant::now());
    list(&mut book, &[("a.tar.zst", "1")], now);
    assert_eq!(book.to_open(now), ["a.tar.zst"]);
    book.opened("a.tar.zst", place("a", 1, 1));
    list(&mut book, &[("a.tar.zst", "1")], now);
    assert!(book.to_open(now).is_empty());
    list(&mut book, &[("a.tar.zst", "2")], now);
    assert_eq!(book.to_open(now), ["a.tar.zst"]);
}

#[test]
fn what_fails_is_read_again_when_it_has_settled_and_then_rests() {
    let (mut book, now) = (Book::new(SETTLE_TIME), Instant::now());
    list(&mut book, &[("a.tar.zst", "1")], now);
    book.judged("a.tar.zst", Verdict::Settle, now);
    assert!(book.to_open(now).is_empty());
    let later = now + SETTLE_TIME;
    assert_eq!(book.next_due(now), Some(later));
    assert_eq!(book.to_open(later), ["a.tar.zst"]);
    book.judged("a.tar.zst", Verdict::SetAside(Fault::Content), later);
    assert!(book.to_open(later + SETTLE_TIME).is_empty());
    list(&mut book, &[("a.tar.zst", "2")], later);
    assert_eq!(book.to_open(later), ["a.tar.zst"]);
}

#[test]
fn a_signature_opens_its_object_again() {
    let (mut book, now) = (Book::new(SETTLE_TIME), Instant::now());
    list(&mut book, &[("a.tar.zst", "1"), ("b.tar.zst", "1")], now);
    book.judged("a.tar.zst", Verdict::Wait, now);
    book.judged("b.tar.zst", Verdict::Wait, now);
    let signature = "a.tar.zst.0123456789abcdef.sig";
    list(
        &mut book,
        &[("a.tar.zst", "1"), ("b.tar.zst", "1"), (signature, "1")],
        now,
    );
    assert_eq!(book.to_open(now), ["a.tar.zst"]);
    assert_eq!(book.signatures_of("a.tar.zst"), [signature]);
}

#[test]
fn a_set_is_complete_with_all_its_volumes_in_any_order() {
    let (mut book, now) = (Book::new(SETTLE_TIME), Instant::now());
    list(
        &mut book,
        &[("2.tar", "1"), ("1.tar", "1"), ("1-copy.tar", "1")],
        now,
    );
    book.opened("2.tar", place("s", 2, 2));
    assert_eq!(
        book.sets(now).1,
        [IncompleteSet {
            set: "s".to_owned(),
            missing: vec![1],
            volumes: 2,
            last: Some(("s".to_owned(), String::new())),
        }]
    );
    book.opened("1.tar", place("s", 1, 2));
    book.opened("1-copy.tar", place("s", 1, 2));
    let (complete, incomplete) = book.sets(now);
    assert!(incomplete.is_empty());
    assert_eq!(complete[0].objects, ["1-copy.tar", "2.tar"]);
    assert_eq!(book.objects_of("s"), ["1-copy.tar", "1.tar", "2.tar"]);
    book.postpone("s", now + Duration::from_secs(9));
    assert!(book.sets(now).0.is_empty());
    assert_eq!(book.sets(now + Duration::from_secs(9)).0.len(), 1);
}

#[test]
fn what_is_gone_is_forgotten_and_foreign_objects_are_told_once() {
    let (mut book, now) = (Book::new(SETTLE_TIME), Instant::now());
    let changes = list(&mut book, &[("a.tar.zst", "1"), ("notes.txt", "1")], now);
    assert_eq!(changes.foreign, ["notes.txt"]);
    let changes = list(&mut book, &[("b.txt", "1"), ("notes.txt", "1")], now);
    assert_eq!(changes.foreign, ["b.txt"]);
    assert_eq!(changes.forgotten, ["a.tar.zst"]);
    assert_eq!(
        list(&mut book, &[("notes.txt", "1")], now),
        Changes::default()
    );
    assert!(book.to_open(now).is_empty());
    assert_eq!(book.waiting_count(), 0);
}

#[test]
fn pauses_grow_and_have_an_end() {
    let pauses: Vec<u64> = [1, 2, 3, 20].map(|n| delay_after(n).as_secs()).to_vec();
    assert_eq!(pauses, [1, 2, 4, 300]);
}

#[test]
fn a_copy_of_one_volume_of_a_delivered_set_lacks_nothing() {
    let (mut book, now) = (Book::new(SETTLE_TIME), Instant::now());
    let both = [("1.tar", "1"), ("2.tar", "1")];
    list(&mut book, &both, now);
    book.opened("1.tar", place("s", 1, 2));
    book.opened("2.tar", place("s", 2, 2));
    book.finish(&["1.tar".to_owned(), "2.tar".to_owned()]);
    assert!(book.sets(now).0.is_empty(), "it was delivered");
    list(&mut book, &[both[0], both[1], ("3.tar", "1")], now);
    book.opened("3.tar", place("s", 2, 2));
    let (complete, incomplete) = book.sets(now);
    assert!(incomplete.is_empty());
    assert_eq!(complete[0].objects, ["1.tar", "2.tar"]);
    assert_eq!(book.objects_of("s"), ["3.tar"]);
}
