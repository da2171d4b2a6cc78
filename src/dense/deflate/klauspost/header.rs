//! The header of a block with codes of its own (RFC 1951, section 3.2.7).
//!
//! The lengths of all codes stand there as runs, under a code for those runs: how runs are cut is a free choice, which
//! is made here as Go's `compress/flate` and its descendants make it.

use crate::dense::deflate::alphabet::{CODE_LENGTH_ORDER, CODE_LENGTH_SYMBOLS, FIRST_LENGTH};
use crate::dense::deflate::bits::BitWriter;
use crate::dense::deflate::huffman::{Code, CodeBuilder, encoded_bits};

/// The longest code for a run, in bits.
const LONGEST_RUN_CODE: usize = 7;
/// The symbol that repeats the length before it three to six times.
const REPEAT: usize = 16;
/// The symbol for three to ten zeros.
const ZEROS: usize = 17;
/// The symbol for eleven to 138 zeros.
const MANY_ZEROS: usize = 18;
/// Four lengths of codes for runs are always written.
const FEWEST_RUN_CODES: usize = 4;

/// One symbol of the code for runs, with its extra bits.
struct Run {
    symbol: usize,
    extra: u32,
}

/// A header, ready to be written.
pub(super) struct Header {
    literal_codes: usize,
    distance_codes: usize,
    runs: Vec<Run>,
    run_codes: [Code; CODE_LENGTH_SYMBOLS],
    written_run_codes: usize,
    frequencies: [u32; CODE_LENGTH_SYMBOLS],
}

impl Header {
    /// The header for these codes, all of which it mentions: 257 or more for literals, one or more for distances.
    pub(super) fn new(literals: &[Code], distances: &[Code], builder: &mut CodeBuilder) -> Self {
        let lengths: Vec<u8> = literals
            .iter()
            .chain(distances)
            .map(|code| code.length)
            .collect();
        let mut runs = Vec::with_capacity(lengths.len());
        for run in lengths.chunk_by(|left, right| left == right) {
            push_runs(usize::from(run[0]), run.len(), &mut runs);
        }
        let mut frequencies = [0; CODE_LENGTH_SYMBOLS];
        for run in &runs {
            frequencies[run.symbol] += 1;
        }
        let mut run_codes = [Code::default(); CODE_LENGTH_SYMBOLS];
        builder.build(&frequencies, LONGEST_RUN_CODE, &mut run_codes);
        let last = CODE_LENGTH_ORDER
            .iter()
            .rposition(|symbol| frequencies[*symbol] > 0);
        let written_run_codes = last.map_or(0, |last| last + 1).max(FEWEST_RUN_CODES);
        Self {
            literal_codes: literals.len(),
            distance_codes: distances.len(),
            runs,
            run_codes,
            written_run_codes,
            frequencies,
        }
    }

    /// How many bits it takes.
    pub(super) fn bits(&self) -> usize {
        let extra: usize = [REPEAT, ZEROS, MANY_ZEROS]
            .iter()
            .map(|symbol| self.frequencies[*symbol] as usize * extra_bits(*symbol) as usize)
            .sum();
        3 + 5
            + 5
            + 4
            + 3 * self.written_run_codes
            + encoded_bits(&self.run_codes, &self.frequencies)
            + extra
    }

    /// Writes it as the beginning of a block that is not the last one.
    pub(super) fn write(&self, bits: &mut BitWriter, output: &mut Vec<u8>) {
        bits.put(0b100, 3, output);
        bits.put(small(self.literal_codes - FIRST_LENGTH), 5, output);
        bits.put(small(self.distance_codes - 1), 5, output);
        bits.put(small(self.written_run_codes - FEWEST_RUN_CODES), 4, output);
        for symbol in &CODE_LENGTH_ORDER[..self.written_run_codes] {
            bits.put(u32::from(self.run_codes[*symbol].length), 3, output);
        }
        for run in &self.runs {
            let code = self.run_codes[run.symbol];
            bits.put(u32::from(code.bits), u32::from(code.length), output);
            bits.put(run.extra, extra_bits(run.symbol), output);
        }
    }
}

/// Cuts a run of equal lengths into symbols: as long as possible first, and what is too short for those one by one.
fn push_runs(length: usize, mut times: usize, runs: &mut Vec<Run>) {
    if length > 0 {
        runs.push(Run {
            symbol: length,
            extra: 0,
        });
        times -= 1;
    }
    let kinds: &[(usize, usize, usize)] = if length > 0 {
        &[(REPEAT, 3, 6)]
    } else {
        &[(MANY_ZEROS, 11, 138), (ZEROS, 3, 10)]
    };
    for (symbol, shortest, longest) in kinds {
        while times >= *shortest {
            let piece = times.min(*longest);
            runs.push(Run {
                symbol: *symbol,
                extra: small(piece - shortest),
            });
            times -= piece;
        }
    }
    runs.extend((0..times).map(|_| Run {
        symbol: length,
        extra: 0,
    }));
}

fn extra_bits(symbol: usize) -> u32 {
    match symbol {
        REPEAT => 2,
        ZEROS => 3,
        MANY_ZEROS => 7,
        _ => 0,
    }
}

fn small(number: usize) -> u32 {
    u32::try_from(number).expect("the numbers of a header are small")
}
