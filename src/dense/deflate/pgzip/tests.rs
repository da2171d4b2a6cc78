use std::io::{Cursor, ErrorKind};

use proptest::prelude::*;

use super::super::inputs;
use super::super::testing::{any_input, compare_with, encode, inflate};
use super::*;

/// What skopeo wrote.
const STREAMS: &str = include_str!("../../../../fixtures/encoders/pgzip/streams.txt");
/// A layer that buildah wrote.
const LAYER: &[u8] = include_bytes!("../../../../fixtures/encoders/pgzip/buildah.gz");

const FAMILY: Family = Family::From1_15_10;

fn encode_on_one(input: &[u8], block_size_bytes: usize) -> Vec<u8> {
    encode(&mut PgzipEncoder::new(FAMILY, block_size_bytes), input, [])
}

fn encode_on(threads: usize, mut input: &[u8], block_size_bytes: usize) -> Vec<u8> {
    let threads = NonZeroUsize::new(threads).expect("a thread");
    let (input_bytes, mut output) = (input.len() as u64, Vec::new());
    let read = encode_pgzip(&mut input, &mut output, FAMILY, block_size_bytes, threads);
    assert_eq!(read.expect("nothing fails"), input_bytes);
    output
}

fn compare(names: &[&str]) {
    compare_with(STREAMS, names, |input| encode_on(2, input, BLOCK_BYTES));
}

#[test]
fn short_streams_are_those_of_skopeo() {
    compare(&[
        "text-0",
        "text-32",
        "text-127",
        "text-300",
        "noise",
        "few-values",
        "tar",
    ]);
}

#[test]
fn streams_of_whole_blocks_are_those_of_skopeo() {
    compare(&["one-byte-value", "mixed-2097152"]);
}

#[test]
fn streams_whose_last_block_is_short_are_those_of_skopeo() {
    compare(&["mixed-1048596", "mixed-1048676", "mixed-1060000"]);
}

#[test]
fn a_stream_of_several_blocks_is_that_of_skopeo() {
    compare(&["mixed-3400000"]);
}

#[test]
fn the_layer_that_buildah_wrote_is_written_anew() {
    let theirs = &LAYER[10..LAYER.len() - 8];
    let ours = encode_on_one(&inflate(theirs), BLOCK_BYTES);
    let same_bytes = ours
        .iter()
        .zip(theirs)
        .take_while(|(ours, theirs)| ours == theirs)
        .count();
    assert!(ours == theirs, "it differs after {same_bytes} bytes");
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let input = inputs::named("mixed-300000");
    let expected = encode_on_one(&input, 40_000);
    for threads in [1, 2, 3, 16] {
        assert!(
            encode_on(threads, &input, 40_000) == expected,
            "{threads} threads"
        );
    }
}

#[test]
fn blocks_that_are_hardly_larger_than_their_tail_are_kept_apart() {
    let input = &inputs::named("tar")[..100_000];
    let stream = encode_on_one(input, TAIL_BYTES + 1);
    assert!(inflate(&stream) == input);
    assert!(stream == encode_on(2, input, TAIL_BYTES + 1));
}

/// Fails after some bytes, on either side.
struct Failing<T>(T, usize);

impl<T: Read> Read for Failing<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(self.1);
        let read = self.0.read(&mut buffer[..room])?;
        self.1 -= read;
        if read == 0 {
            Err(ErrorKind::ConnectionReset.into())
        } else {
            Ok(read)
        }
    }
}

impl<T> Write for Failing<T> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = buffer.len().min(self.1);
        self.1 -= written;
        if written == 0 {
            Err(ErrorKind::StorageFull.into())
        } else {
            Ok(written)
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_failure_on_either_side_is_returned() {
    let input = inputs::named("mixed-300000");
    for threads in [1, 2].map(NonZeroUsize::new).into_iter().flatten() {
        let mut broken = Failing(Cursor::new(&input), 200_000);
        let error = encode_pgzip(&mut broken, &mut io::sink(), FAMILY, 40_000, threads)
            .expect_err("the input fails");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let mut full = Failing((), 60_000);
        let error = encode_pgzip(&mut input.as_slice(), &mut full, FAMILY, 40_000, threads)
            .expect_err("the output fails");
        assert_eq!(error.kind(), ErrorKind::StorageFull);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn every_stream_inflates_to_its_input_however_that_was_cut(
        input in any_input(),
        block_size_bytes in prop_oneof![Just(TAIL_BYTES + 1), 20_000..150_000_usize],
        cuts in prop::collection::vec(0..70_000_usize, 0..8),
    ) {
        let stream = encode_on_one(&input, block_size_bytes);
        prop_assert!(inflate(&stream) == input);
        let cut_stream = encode(&mut PgzipEncoder::new(FAMILY, block_size_bytes), &input, cuts);
        prop_assert!(cut_stream == stream);
        prop_assert!(encode_on(2, &input, block_size_bytes) == stream);
    }
}
