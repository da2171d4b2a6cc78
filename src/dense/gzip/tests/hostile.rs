//! Recompressions that somebody made up: refused by name, or without effect, and never a panic.

use proptest::prelude::*;

use super::super::{Error, Recompression};
use super::{apart, fixture};

const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// Parameters of a prediction that ends.
const PARAMETERS: [u8; 21] = [
    0, 0, 4, 15, 0, 4, 128, 0, 255, 127, 1, 4, 0, 0, 4, 128, 4, 3, 3, 0, 0,
];

fn number(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).expect("seven bits") | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).expect("seven bits"));
    bytes
}

fn counted(bytes: &[u8]) -> Vec<u8> {
    [number(bytes.len() as u64), bytes.to_vec()].concat()
}

/// A run up to its members.
fn run(header: &[u8], method: &[u8]) -> Vec<u8> {
    [counted(header), counted(method)].concat()
}

/// A recompression of these runs, with nothing behind.
fn form(runs: &[Vec<u8>]) -> Vec<u8> {
    [vec![1], number(runs.len() as u64), runs.concat(), vec![0]].concat()
}

fn exact(method: &[u8], lengths: &[u64]) -> Vec<u8> {
    let lengths = [&[lengths.len() as u64], lengths].concat();
    [
        run(&HEADER, method),
        lengths.into_iter().flat_map(number).collect(),
    ]
    .concat()
}

fn refusal(bytes: &[u8]) -> String {
    Recompression::from_bytes(bytes)
        .expect_err("it is refused")
        .to_string()
}

#[test]
fn reads_what_holds() {
    let bytes = form(&[exact(b"zlib 6", &[3, 1 << 40])]);
    let read = Recompression::from_bytes(&bytes).expect("it holds");
    assert_eq!((read.members(), read.plain_bytes()), (2, (1 << 40) + 3));
    assert_eq!(read.to_bytes(), bytes);
}

#[test]
fn names_the_limit_that_is_broken() {
    let with_limit = |bytes: &[u8], what: &str| {
        let refusal = refusal(bytes);
        assert!(
            refusal.contains(what) && refusal.contains("limit"),
            "{refusal}"
        );
    };
    let huge = number(u64::MAX);
    let corrected = |rest: &[u8]| form(&[[run(&HEADER, b"preflate-0.7"), rest.to_vec()].concat()]);
    with_limit(&[vec![1], huge.clone()].concat(), "runs");
    with_limit(&[vec![1, 1], huge.clone()].concat(), "bytes in a header");
    with_limit(
        &[vec![1, 1], counted(&HEADER), huge.clone()].concat(),
        "name of a method",
    );
    with_limit(
        &[vec![1, 1], run(&HEADER, b"zlib 6"), huge.clone()].concat(),
        "members",
    );
    with_limit(&form(&[exact(b"zlib 6", &[u64::MAX])]), "plain bytes");
    with_limit(
        &form(&[exact(b"zlib 6", &[1 << 62, 1 << 62])]),
        "plain bytes",
    );
    with_limit(
        &corrected(&[vec![1], number(17 << 20)].concat()),
        "plain bytes in a chunk",
    );
    with_limit(
        &corrected(&[vec![1, 9], huge].concat()),
        "corrections in a chunk",
    );
    let chunk = [number(16 << 20), counted(&PARAMETERS)].concat();
    let chunks = [number(2000), chunk.repeat(2000)].concat();
    with_limit(&corrected(&chunks), "bytes in a corrected member");
    let mut behind = form(&[exact(b"zlib 6", &[3])]);
    behind.pop();
    with_limit(&[behind, number(65_537)].concat(), "behind its last member");
}

#[test]
fn refuses_another_spelling_of_the_same() {
    let [one, two] = [[3], [4]].map(|lengths| exact(b"zlib 6", &lengths));
    assert!(refusal(&form(&[one.clone(), two])).contains("two runs should be one"));
    assert!(refusal(&[form(&[one]), vec![0]].concat()).contains("behind its end"));
    assert!(refusal(&[1, 0x81, 0]).contains("shortest form"));
    assert!(refusal(&[vec![1], vec![0xff; 9], vec![2]].concat()).contains("shortest form"));
    assert!(refusal(&[2, 0]).contains("form is unknown"));
    assert!(refusal(&form(&[])).contains("no member"));
    assert!(refusal(&form(&[exact(b"zlib 6", &[])])).contains("no member"));
    assert!(
        refusal(&form(&[[run(&HEADER, b"preflate-0.7"), vec![0]].concat()])).contains("no chunk")
    );
    assert!(refusal(&form(&[run(&HEADER[1..], b"zlib 6")])).contains("a header is none"));
    assert!(
        refusal(&form(&[run(&[&HEADER[..], b"x"].concat(), b"zlib 6")]))
            .contains("a header is none")
    );
}

#[test]
fn refuses_an_unknown_method_by_name() {
    for name in [
        "zlib 0",
        "zlib 06",
        "zlib 10",
        "Zlib 6",
        "stored",
        "",
        "\u{1b}[31m",
        "preflate-0.8",
    ] {
        let bytes = form(&[exact(name.as_bytes(), &[3])]);
        let error = Recompression::from_bytes(&bytes).expect_err("it is refused");
        assert!(matches!(error, Error::UnknownMethod { .. }), "{error}");
        assert!(
            error
                .to_string()
                .contains(&name.escape_default().to_string()),
            "{error}"
        );
    }
}

#[test]
fn refuses_what_is_cut_anywhere() {
    let (recompression, _) = apart(&fixture("gzip/large.6.gz")).expect("it can be made again");
    let bytes = recompression.to_bytes();
    for end in 0..bytes.len() {
        assert!(
            Recompression::from_bytes(&bytes[..end]).is_err(),
            "cut at {end}"
        );
    }
}

#[test]
fn refuses_parameters_with_which_a_prediction_would_not_end() {
    let with_parameters = |at: usize, bytes: &[u8]| {
        let mut corrections = PARAMETERS.to_vec();
        corrections.splice(at..at + bytes.len(), bytes.iter().copied());
        let member = [
            run(&HEADER, b"preflate-0.7"),
            vec![1, 9],
            counted(&corrections),
        ]
        .concat();
        Recompression::from_bytes(&form(&[member]))
            .map(drop)
            .map_err(|error| error.to_string())
    };
    assert_eq!(with_parameters(0, &[]), Ok(()));
    assert!(
        with_parameters(8, &[0, 0]).is_err_and(|error| error.contains("blocks without tokens"))
    );
    assert!(
        with_parameters(14, &[1, 255, 255, 255, 255])
            .is_err_and(|error| error.contains("links in a chain"))
    );
    assert!(with_parameters(16, &[4, 0]).is_err_and(|error| error.contains("parameters")));
    assert!(with_parameters(18, &[9]).is_err_and(|error| error.contains("parameters")));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_refused_or_written_the_same(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(read) = Recompression::from_bytes(&bytes) {
            prop_assert_eq!(read.to_bytes(), bytes);
        }
    }

    #[test]
    fn changed_bytes_are_refused_or_written_the_same(at in 0_usize..100, change in 1_u8..) {
        let mut bytes = form(&[exact(b"zlib 6", &[3, 70_000, 5]), exact(b"go-1.19 9", &[0])]);
        let at = at % bytes.len();
        bytes[at] ^= change;
        if let Ok(read) = Recompression::from_bytes(&bytes) {
            prop_assert_eq!(read.to_bytes(), bytes);
        }
    }
}
