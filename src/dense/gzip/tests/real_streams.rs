//! Streams that real programs wrote: who is recognised, and that each comes back byte for byte.

use std::collections::BTreeMap;

use flate2::Crc;

use crate::dense::deflate::DeflateEncoder;
use crate::dense::deflate::klauspost::{Family, KlauspostEncoder};

use super::{apart, fixture, methods, round_trip, text};

#[test]
fn names_the_level_of_zlib_that_python_wrote_with() {
    assert_eq!(methods(&fixture("python/layer.6.gz")), ["zlib 6"]);
    assert_eq!(methods(&fixture("python/layer.9.gz")), ["zlib 9"]);
}

#[test]
fn names_the_release_of_pgzip_that_buildah_wrote_with() {
    assert_eq!(
        methods(&fixture("pgzip/buildah.gz")),
        ["pgzip klauspost-1.15.10 5"]
    );
}

/// The layer of a registry's copy of a plain klauspost stream is not at hand, so that it is made here.
#[test]
fn names_the_release_of_a_plain_klauspost_stream() {
    let plain = text(1_500_000);
    let mut encoder = KlauspostEncoder::new(Family::From1_15_10);
    let mut stream = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    encoder.encode(&plain, &mut stream);
    encoder.finish(&mut stream);
    let mut crc = Crc::new();
    crc.update(&plain);
    stream.extend([crc.sum().to_le_bytes(), crc.amount().to_le_bytes()].concat());
    assert_eq!(methods(&stream), ["klauspost-1.15.10 5"]);
}

#[test]
fn names_the_level_that_go_wrote_with() {
    for level in [1, 6, 9] {
        let stream = fixture(&format!("go/tar-small.{level}.gz"));
        assert_eq!(methods(&stream), [format!("go-1.19 {level}")]);
    }
}

#[test]
fn corrects_gzip_and_pigz_where_they_differ_from_zlib() {
    for path in ["gzip/large.6.gz", "pigz/layer.6.p2.gz"] {
        let stream = fixture(path);
        let recompression = round_trip(&stream).expect("it can be made again");
        let [share] = recompression.shares()[..] else {
            panic!("{path} has one method")
        };
        assert_eq!(share.method.to_string(), "preflate-0.7", "{path}");
        assert!(
            share.corrections_bytes * 500 < stream.len() as u64,
            "{path}: {}",
            share.corrections_bytes
        );
    }
}

#[test]
fn keeps_the_name_and_time_of_a_header() {
    let stream = fixture("gzip/named.gz");
    assert!(stream.windows(9).any(|bytes| bytes == b"layer.tar"));
    assert_eq!(methods(&stream), ["zlib 6"]);
}

#[test]
fn takes_several_members_an_empty_one_and_padding() {
    let members = |path: &str| {
        round_trip(&fixture(path))
            .expect("it can be made again")
            .members()
    };
    assert_eq!(members("several/members.gz"), 3);
    assert_eq!(members("several/empty.gz"), 1);
    assert_eq!(members("several/padded.gz"), 1);
}

#[test]
fn takes_a_few_bytes_for_each_member_of_estargz() {
    let recompression = round_trip(&fixture("several/estargz.gz")).expect("it can be made again");
    assert_eq!(recompression.members(), 41);
    assert!(
        recompression.to_bytes().len() < 41 * 3 + 80,
        "{}",
        recompression.to_bytes().len()
    );
}

#[test]
fn lets_other_things_go_as_they_are() {
    for path in ["others/layer.zst", "others/truncated.gz", "README.md"] {
        assert!(apart(&fixture(path)).is_none(), "{path}");
    }
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "the bytes by method are to be read in the log of the tests"
)]
fn prints_the_bytes_by_method() {
    let mut bytes_by_method = BTreeMap::<String, (usize, usize)>::new();
    for path in [
        "pgzip/buildah.gz",
        "go/tar-small.1.gz",
        "go/tar-small.6.gz",
        "go/tar-small.9.gz",
        "gzip/large.6.gz",
        "gzip/small.1.gz",
        "gzip/small.9.gz",
        "gzip/named.gz",
        "pigz/layer.6.p2.gz",
        "pigz/layer.11.gz",
        "pigz/small.6.gz",
        "python/layer.6.gz",
        "python/layer.9.gz",
        "several/members.gz",
        "several/estargz.gz",
    ] {
        let stream = fixture(path);
        let (method, kept) = match round_trip(&stream) {
            Some(recompression) => {
                let methods = recompression
                    .shares()
                    .iter()
                    .map(|share| share.method.to_string())
                    .collect::<Vec<_>>();
                (methods.join(" and "), recompression.to_bytes().len())
            }
            None => ("verbatim".to_owned(), stream.len()),
        };
        let (compressed, all_kept) = bytes_by_method.entry(method).or_default();
        *compressed += stream.len();
        *all_kept += kept;
    }
    for (method, (compressed, kept)) in bytes_by_method {
        println!("{method}: {compressed} compressed bytes, {kept} kept beside the plain text");
    }
}
