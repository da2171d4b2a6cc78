//! Calls and jumps of x86 in literals, made comparable.
//!
//! A call says how far it is to its target, so that the calls of one function differ from place to place. With the target
//! in place of the distance they are alike, and zstd finds them. It does not disassemble: what looks like a branch is
//! taken for one, and nothing depends on whether it is. Specification: DELTA.md, "Branches".
//!
//! **Invariant.** [`restore_distances`] undoes [`put_targets`], whatever the bytes are: both find the same places, since
//! neither changes the byte that starts a branch, nor whether what follows is one, and no byte follows two of them.

use memchr::memchr2;

/// The bytes that start a call and a jump with a distance of 32 bits.
const CALL: u8 = 0xe8;
const JUMP: u8 = 0xe9;

/// The length of a branch: its first byte, and the distance from its end, the lowest byte first.
const BRANCH_BYTES: usize = 5;

/// Distances have this many bits, with their sign: few real ones have more, and few other bytes look like less.
const DISTANCE_BITS: u32 = 25;

/// From one branch in so many bytes on there is code. What is compressed already looks like a quarter of that.
const SPACING_MAX_BYTES: usize = 4096;

/// Puts targets in place of distances; leaves `bytes` as they are, and says so, where that serves nothing.
pub(super) fn put_targets(bytes: &mut [u8]) -> bool {
    let branches = for_each_branch(bytes, i32::wrapping_add);
    let is_code = branches > bytes.len() / SPACING_MAX_BYTES;
    if !is_code {
        restore_distances(bytes);
    }
    is_code
}

/// Undoes [`put_targets`] where it has changed `bytes`.
pub(super) fn restore_distances(bytes: &mut [u8]) {
    for_each_branch(bytes, i32::wrapping_sub);
}

/// Has `change` make each distance a target or the reverse, by the place where the branch ends; gives their number.
fn for_each_branch(bytes: &mut [u8], change: impl Fn(i32, i32) -> i32) -> usize {
    let mut branches = 0;
    let mut at = 0;
    while let Some(found) = memchr2(CALL, JUMP, &bytes[at..]) {
        let start = at + found;
        let end = start + BRANCH_BYTES;
        let Some(&[_, a, b, c, d]) = bytes.get(start..end) else {
            break;
        };
        let value = i32::from_le_bytes([a, b, c, d]);
        at = end;
        if value == wrap(value) {
            // A segment has at most 8 MiB.
            let place = i32::try_from(end).unwrap_or(0);
            let changed = wrap(change(value, place));
            bytes[start + 1..end].copy_from_slice(&changed.to_le_bytes());
            branches += 1;
        }
    }
    branches
}

/// The number of [`DISTANCE_BITS`] that is the same as `value` in its lowest bits.
fn wrap(value: i32) -> i32 {
    const UNUSED_BITS: u32 = i32::BITS - DISTANCE_BITS;
    value << UNUSED_BITS >> UNUSED_BITS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Calls of one function from many places.
    fn calls(target: i32) -> Vec<u8> {
        let call = |place: i32| {
            let distance = target - (5 * place + 5);
            [&[CALL][..], &distance.to_le_bytes()].concat()
        };
        (0..1000).flat_map(call).collect()
    }

    #[test]
    fn calls_of_one_function_become_alike() {
        let plain = calls(70_000);
        let mut bytes = plain.clone();
        assert!(put_targets(&mut bytes));
        let expected = [&[CALL][..], &70_000_i32.to_le_bytes()].concat();
        assert_eq!(bytes, expected.repeat(1000));
        restore_distances(&mut bytes);
        assert_eq!(bytes, plain);
    }

    /// What bundles have that were written: these bytes stay for ever.
    #[test]
    fn targets_wrap_at_25_bits_and_follow_no_other_branch() {
        let mut bytes = [CALL, 0xff, 0xff, 0xff, 0, JUMP, 0xf6, 0xff, 0xff, 0xff];
        assert!(put_targets(&mut bytes));
        assert_eq!(bytes, [CALL, 4, 0, 0, 0xff, JUMP, 0, 0, 0, 0]);
        let mut nested = [CALL, 0, JUMP, 0, 1, 0, 0, CALL, 1, 0, 0, 0, CALL, 0, 0, 0];
        assert!(put_targets(&mut nested));
        assert_eq!(
            nested,
            [CALL, 0, JUMP, 0, 1, 0, 0, CALL, 13, 0, 0, 0, CALL, 0, 0, 0]
        );
    }

    #[test]
    fn distances_that_are_too_long_stay() {
        let plain = [CALL, 0, 0, 0, 1, JUMP, 255, 255, 255, 0x7f].repeat(100);
        let mut bytes = plain.clone();
        assert!(!put_targets(&mut bytes));
        assert_eq!(bytes, plain);
    }

    #[test]
    fn a_few_branches_among_other_bytes_stay() {
        let plain = [&calls(7)[..10], &[1; 10_000]].concat();
        let mut bytes = plain.clone();
        assert!(!put_targets(&mut bytes));
        assert_eq!(bytes, plain);
    }

    /// Bytes among which branches are common, also within each other and at the end.
    fn any_code() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            Just(CALL),
            Just(JUMP),
            Just(0),
            Just(1),
            Just(0xfe),
            Just(0xff),
            any::<u8>()
        ];
        prop::collection::vec(byte, 0..2000)
    }

    proptest! {
        #[test]
        fn distances_come_back(plain in any_code()) {
            let mut bytes = plain.clone();
            if put_targets(&mut bytes) {
                restore_distances(&mut bytes);
            }
            prop_assert_eq!(bytes, plain);
        }
    }
}
