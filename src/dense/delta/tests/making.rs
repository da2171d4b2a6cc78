//! What a made delta looks like: small where the layers are alike, the same whatever the threads, within its limits.

use super::super::limits::{MAX_PREFIX_BYTES, MAX_SEGMENT_BYTES, MIN_SEGMENT_BYTES};
use super::super::{AnchorIndex, Delta, Op, Options, make_delta};
use super::{Made, apply, as_layers, index_of, make, make_in, noise};

fn recipe_bytes(made: &Made) -> usize {
    made.delta
        .to_bytes()
        .expect("a recipe can be compressed")
        .len()
}

#[test]
fn an_equal_layer_is_one_copy() {
    let references = [noise(1, 300_000)];
    let made = make(&references[0], &references, Options::default());
    let ops: Vec<Op> = made
        .delta
        .ops()
        .map(|op| op.expect("it was just made"))
        .collect();
    assert_eq!(
        ops,
        [Op::Copy {
            reference: 0,
            offset: 0,
            length: 300_000
        }]
    );
    assert!(made.segments.is_empty());
    assert!(recipe_bytes(&made) < 40);
}

#[test]
fn an_empty_layer_needs_nothing() {
    let made = make(&Vec::new(), &[], Options::default());
    assert_eq!(apply(&made, &[]).expect("it was just made"), b"");
}

/// A tar of many small files of which only the times changed: the headers become literals, the bodies do not.
#[test]
fn changed_headers_cost_little() {
    let tar = |time: u64| -> Vec<u8> {
        let file = |i: u64| {
            let mut header = noise(i, 512);
            header[136..148].copy_from_slice(&noise(time + i, 12));
            [header, noise(i + 1000, 4096)].concat()
        };
        (0..100).flat_map(file).collect()
    };
    let references = [tar(5)];
    let made = make(&tar(6), &references, Options::default());
    assert!(
        made.segment_bytes() < 3000,
        "{} bytes of segments",
        made.segment_bytes()
    );
    assert!(
        recipe_bytes(&made) < 2000,
        "{} bytes of recipe",
        recipe_bytes(&made)
    );
}

/// Every 200th byte differs, so that nothing is long enough for a copy: the prefix has to do it.
#[test]
fn a_changed_file_is_compressed_against_its_old_version() {
    let old = noise(1, 400_000);
    let mut new = old.clone();
    for byte in new[100_000..300_000].iter_mut().step_by(60) {
        *byte ^= 1;
    }
    let made = make(&new, &[old], Options::default());
    let literal_bytes: usize = made
        .delta
        .segments()
        .iter()
        .map(|segment| segment.plain_bytes)
        .sum();
    assert!(literal_bytes > 199_000);
    assert!(
        made.segment_bytes() < literal_bytes / 4,
        "{} bytes",
        made.segment_bytes()
    );
}

#[test]
fn what_the_layer_has_twice_is_carried_once() {
    let new = [noise(1, 200_000), noise(2, 100_000), noise(1, 200_000)].concat();
    let made = make(&new, &[], Options::default());
    assert!(
        made.segment_bytes() < 301_000,
        "{} bytes",
        made.segment_bytes()
    );
    assert!(apply(&made, &[]).expect("it was just made") == new);
}

#[test]
fn a_period_is_not_copied_out_of_itself() {
    let new = noise(1, 30_000).repeat(20);
    let made = make(&new, &[], Options::default());
    assert!(
        made.segment_bytes() < 31_000,
        "{} bytes",
        made.segment_bytes()
    );
    assert!(apply(&made, &[]).expect("it was just made") == new);
}

/// Literals of several segments, each a changed version of what the reference has.
fn several_segments() -> (Vec<u8>, [Vec<u8>; 1]) {
    let old = noise(1, 5 * MIN_SEGMENT_BYTES / 2);
    let mut new = old.clone();
    for byte in new.iter_mut().step_by(50) {
        *byte ^= 1;
    }
    (new, [old])
}

#[test]
fn threads_change_no_byte_and_segments_keep_their_limits() {
    let (new, references) = several_segments();
    let with = |threads| make_in(MIN_SEGMENT_BYTES, &new, &references, threads);
    let made = with(1);
    assert!(made == with(3));
    assert_eq!(made.segments.len(), 3);
    for segment in made.delta.segments() {
        let prefix_bytes: usize = segment.places.iter().map(|place| place.length).sum();
        assert!(prefix_bytes <= MAX_PREFIX_BYTES);
        assert!(!segment.places.is_empty());
        assert!(segment.plain_bytes <= MAX_SEGMENT_BYTES);
    }
    assert!(
        made.segment_bytes() < new.len() / 4,
        "{} bytes",
        made.segment_bytes()
    );
    assert!(apply(&made, &references).expect("it was just made") == new);
}

#[test]
fn a_full_index_thins_out_and_still_finds() {
    let reference = noise(1, 1 << 20);
    let mut index = AnchorIndex::with_capacity(50);
    index
        .add(0, &reference)
        .expect("bytes in memory can be read");
    assert!(index.len() <= 50);
    let new = [noise(2, 1000), reference.clone()].concat();
    let (delta, _) = make_delta(&new, &index, &[&reference], Options::default(), &mut |_| {
        Ok(())
    })
    .expect("a delta of bytes in memory can be made");
    assert_eq!(delta.ops().count(), 2);
}

#[test]
fn a_sink_that_fails_ends_the_making() {
    let new = noise(1, 5000);
    let references: [Vec<u8>; 0] = [];
    let made = make_delta(
        &new,
        &index_of(&references),
        &as_layers(&references),
        Options::default(),
        &mut |_| Err(std::io::ErrorKind::StorageFull.into()),
    );
    assert!(matches!(
        made,
        Err(super::super::Error::Write {
            what: "a segment",
            ..
        })
    ));
}

/// Functions of other bytes each, which call the same few ones.
#[test]
fn calls_are_compressed_by_their_targets() {
    let mut new: Vec<u8> = Vec::new();
    for i in 0..4000_u32 {
        new.extend(noise(u64::from(i), 12));
        let end = u32::try_from(new.len() + 5).expect("it is short");
        let distance = (100_000 * (i % 5)).wrapping_sub(end);
        new.push(0xe8);
        new.extend(distance.to_le_bytes());
    }
    let made = make(&new, &[], Options::default());
    assert!(made.delta.segments()[0].has_targets);
    // 12 bytes of each are noise, and four of five distances would be.
    assert!(
        made.segment_bytes() < 4000 * 14,
        "{} bytes",
        made.segment_bytes()
    );
    let bytes = made.delta.to_bytes().expect("it was just made");
    let delta = Delta::from_bytes(&bytes, &[]).expect("it was just made");
    let read = Made { delta, ..made };
    assert!(apply(&read, &[]).expect("it was just made") == new);
}

#[test]
fn what_was_just_written_is_copied_in_short_pieces() {
    let mut new = noise(1, 400_000);
    for i in 0..4000 {
        let length = 200 + i % 1800;
        let back = [length, 5000, 20_000, 300_000][i % 4];
        let start = new.len() - back;
        new.extend_from_within(start..start + length);
        new.extend(noise(i as u64, 40));
    }
    let made = make(&new, &[], Options::default());
    assert!(
        made.segment_bytes() < 800_000,
        "{} bytes",
        made.segment_bytes()
    );
    assert!(apply(&made, &[]).expect("it was just made") == new);
}
