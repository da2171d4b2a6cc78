//! Recompressions of encoders that nobody knows, and with numbers that lie.

use super::{Attack, in_parts};
use crate::dense::parts::{Parts, plain, put, recompression};

pub(super) const ATTACKS: &[Attack] = &[
    in_parts("encoder-that-nobody-knows", |parts| {
        of_first(parts, "zopfli \u{1b}[2J 15", &[plain(2).len() as u64], b"");
    }),
    in_parts("encoder-of-another-level", |parts| {
        of_first(parts, "zlib 1", &[plain(2).len() as u64], b"");
    }),
    in_parts("encoder-name-of-65-bytes", |parts| {
        of_first(parts, &"z".repeat(65), &[plain(2).len() as u64], b"");
    }),
    in_parts("members-of-u64-max", |parts| {
        of_first(parts, "zlib 6", &[u64::MAX], b"");
    }),
    in_parts("members-that-overflow-together", |parts| {
        of_first(parts, "zlib 6", &[u64::MAX / 2, u64::MAX / 2, 3], b"");
    }),
    in_parts("members-that-are-too-long", |parts| {
        of_first(parts, "zlib 6", &[plain(2).len() as u64 + 1], b"");
    }),
    in_parts("no-members", |parts| of_first(parts, "zlib 6", &[], b"")),
    in_parts("more-members-than-the-limit", |parts| {
        of_first(parts, "zlib 6", &vec![0; (1 << 18) + 1], b"");
    }),
    in_parts("bytes-behind-the-last-member", |parts| {
        let length = plain(2).len() as u64;
        of_first(parts, "zlib 6", &[length], &[0; 512]);
    }),
    in_parts("too-many-bytes-behind-the-last-member", |parts| {
        let length = plain(2).len() as u64;
        of_first(parts, "zlib 6", &[length], &vec![0; (64 << 10) + 1]);
    }),
    in_parts("header-that-is-none", |parts| {
        parts.first.header = b"no header".to_vec();
        of_first(parts, "zlib 6", &[plain(2).len() as u64], b"");
    }),
    in_parts("form-that-nobody-knows", |parts| {
        parts.first.recompression[0] = 2;
    }),
    in_parts("recompression-with-bytes-behind-it", |parts| {
        parts.first.recompression.push(0);
    }),
    in_parts("recompression-that-is-cut-off", |parts| {
        parts.first.recompression.pop();
    }),
    in_parts("runs-of-u64-max", |parts| {
        let mut bytes = vec![1];
        put(&mut bytes, u64::MAX);
        parts.first.recompression = bytes;
    }),
    in_parts("recompression-where-there-is-no-gzip", |parts| {
        parts.first.recompression.clear();
    }),
    in_parts("corrections-that-are-noise", |parts| {
        let mut bytes = vec![1, 1, 10];
        bytes.extend(&parts.first.header);
        bytes.push(12);
        bytes.extend(b"preflate-0.7");
        put(&mut bytes, 1);
        put(&mut bytes, plain(2).len() as u64);
        bytes.push(40);
        bytes.extend([0xa5; 40]);
        bytes.push(0);
        parts.first.recompression = bytes;
    }),
];

fn of_first(parts: &mut Parts, name: &str, members: &[u64], trailing: &[u8]) {
    parts.first.recompression = recompression(&parts.first.header, name, members, trailing);
}
