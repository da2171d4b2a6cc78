//! Streams made here: long ones, cut ones, changing ones, and any bytes at all.

use std::io::{self, Cursor, ErrorKind, Read, Seek, SeekFrom, Write};
use std::num::NonZeroUsize;

use flate2::write::GzEncoder;
use flate2::{Compress, Compression, Crc, FlushCompress, GzBuilder};
use proptest::prelude::*;

use super::super::{Error, put_together, take_apart};
use super::child::corrector;
use super::{ONE, apart, fixture, methods, round_trip, text, together};

fn gzip(plain: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(plain).expect("memory does not fail");
    encoder.finish().expect("memory does not fail")
}

#[test]
fn proves_a_member_that_is_longer_than_its_sample() {
    let plain = text(1_700_000);
    let stream = gzip(&plain, 6);
    assert_eq!(methods(&stream), ["zlib 6"]);
    let (_, inflated) = apart(&stream).expect("it can be made again");
    assert!(inflated == plain);
}

/// The sample names level 6; later the stream was flushed, which only corrections can tell.
#[test]
fn begins_again_when_the_encoder_that_was_named_does_not_hold() {
    let plain = text(1_800_000);
    let (before, behind) = plain.split_at(1_400_000);
    let mut deflate = Vec::with_capacity(plain.len());
    let mut stream = Compress::new(Compression::new(6), false);
    stream
        .compress_vec(before, &mut deflate, FlushCompress::Sync)
        .expect("zlib takes it");
    stream
        .compress_vec(behind, &mut deflate, FlushCompress::Finish)
        .expect("zlib takes it");
    let mut crc = Crc::new();
    crc.update(&plain);
    let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let trailer = [crc.sum().to_le_bytes(), crc.amount().to_le_bytes()].concat();
    let compressed = [&header[..], &deflate, &trailer].concat();

    assert_eq!(methods(&compressed), ["preflate-0.7"]);
    let (_, inflated) = apart(&compressed).expect("it can be made again");
    assert!(inflated == plain);
}

#[test]
fn keeps_every_field_of_a_header() {
    let builder = GzBuilder::new()
        .filename("layer.tar")
        .comment("by hand")
        .extra(vec![7; 300])
        .mtime(3);
    let mut encoder = builder.write(Vec::new(), Compression::new(9));
    encoder
        .write_all(b"something")
        .expect("memory does not fail");
    let stream = encoder.finish().expect("memory does not fail");
    assert!(round_trip(&stream).is_some());
}

#[test]
fn lets_a_stream_go_that_is_cut_or_changed_anywhere() {
    let stream = fixture("python/layer.6.gz");
    for end in (0..stream.len())
        .step_by(977)
        .chain(stream.len() - 9..stream.len())
    {
        assert!(apart(&stream[..end]).is_none(), "cut at {end}");
    }
    for at in [0, 2, 3, 500, 9_000, stream.len() - 8, stream.len() - 1] {
        let mut changed = stream.clone();
        changed[at] ^= 0x81;
        assert!(apart(&changed).is_none(), "changed at {at}");
    }
}

#[test]
fn keeps_little_behind_the_last_member_and_no_more() {
    let member = gzip(b"a layer", 6);
    let followed = |behind: &[u8]| [&member, behind].concat();
    assert!(round_trip(&followed(&vec![0; 65_536])).is_some());
    assert!(round_trip(&followed(&vec![0; 65_537])).is_none());
    assert!(round_trip(&followed(&member[..12])).is_some());
    assert!(round_trip(&followed(b"\x1f\x8b and so on")).is_some());
}

#[test]
fn is_the_same_whatever_the_number_of_threads() {
    let stream = gzip(&text(1_300_000), 1);
    let forms = [1, 2, 5].map(|threads| {
        let threads = NonZeroUsize::new(threads).expect("it is not zero");
        let recompression = take_apart(
            &mut Cursor::new(&stream),
            &mut io::sink(),
            threads,
            &corrector(),
        );
        recompression
            .expect("memory does not fail")
            .expect("it can be made again")
            .to_bytes()
    });
    assert!(forms.iter().all(|form| *form == forms[0]));
}

/// A file that fails after some bytes.
struct Failing(Cursor<Vec<u8>>, u64);

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.1.saturating_sub(self.0.position())).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        match length {
            0 => Err(ErrorKind::ConnectionReset.into()),
            _ => self.0.read(&mut buffer[..length]),
        }
    }
}

impl Seek for Failing {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

impl Write for Failing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.position() < self.1 {
            true => self.0.write(bytes),
            false => Err(ErrorKind::StorageFull.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn says_why_a_file_could_not_be_read_or_written() {
    let stream = gzip(&text(1_500_000), 6);
    let length = stream.len() as u64;
    for count in [0, 5, length / 2, length - 9] {
        let mut source = Failing(Cursor::new(stream.clone()), count);
        let error = take_apart(&mut source, &mut io::sink(), ONE, &corrector())
            .expect_err("the file fails");
        assert!(
            matches!(&error, Error::Io(error) if error.kind() == ErrorKind::ConnectionReset),
            "{error}"
        );

        let mut sink = Failing(Cursor::new(Vec::new()), count);
        let error = take_apart(&mut Cursor::new(&stream), &mut sink, ONE, &corrector())
            .expect_err("the file fails");
        assert!(
            matches!(&error, Error::Io(error) if error.kind() == ErrorKind::StorageFull),
            "{error}"
        );

        let (recompression, plain) = apart(&stream).expect("it can be made again");
        let mut sink = Failing(Cursor::new(Vec::new()), count);
        let error = put_together(
            &recompression,
            &mut plain.as_slice(),
            &mut sink,
            ONE,
            &corrector(),
        )
        .expect_err("the file fails");
        assert!(
            matches!(&error, Error::Io(error) if error.kind() == ErrorKind::StorageFull),
            "{error}"
        );
    }
}

#[test]
fn tells_plain_text_of_another_length() {
    for path in ["python/layer.6.gz", "gzip/large.6.gz"] {
        let (recompression, mut plain) = apart(&fixture(path)).expect("it can be made again");
        let put = |plain: &[u8]| {
            put_together(
                &recompression,
                &mut &*plain,
                &mut io::sink(),
                ONE,
                &corrector(),
            )
        };
        assert!(matches!(put(&plain[1..]), Err(Error::Damaged { .. })));
        plain.push(0);
        assert!(matches!(put(&plain), Err(Error::Damaged { .. })));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_come_back_or_go_as_they_are(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        round_trip(&bytes);
        let mut begun = vec![0x1f, 0x8b, 8, bytes.first().copied().unwrap_or_default() & 0x1f];
        begun.extend(bytes);
        round_trip(&begun);
    }

    #[test]
    fn any_members_come_back(
        parts in prop::collection::vec((0_usize..6000, 0_usize..2000, 1_u32..=9), 1..5),
        behind in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let all = text(8000);
        let mut stream = Vec::new();
        let mut plain = Vec::new();
        for (from, length, level) in parts {
            stream.extend(gzip(&all[from..from + length], level));
            plain.extend(&all[from..from + length]);
        }
        stream.extend(behind);
        let (recompression, inflated) = apart(&stream).expect("zlib wrote it");
        prop_assert!(inflated == plain);
        prop_assert!(together(&recompression, &plain) == stream);
    }

    #[test]
    fn a_changed_stream_comes_back_or_goes_as_it_is(at in 0_usize..3_900, change in 1_u8..) {
        let mut stream = fixture("gzip/named.gz");
        stream[at] ^= change;
        round_trip(&stream);
    }
}
