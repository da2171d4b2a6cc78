//! What `flate` of klauspost/compress writes at its default level, 5: the plain stream of `BuildKit` and kaniko, and the
//! blocks of pgzip.
//!
//! The input is cut into segments of 65,535 bytes. Each is searched by itself, with the segments before it as history,
//! and written as one block or as the next part of an open one. The stream ends with an empty block.
//!
//! It is not the other levels, and not the Go standard library, from which that package once came. Fixtures hold it:
//! see `fixtures/encoders`.

mod blocks;
mod matcher;
#[cfg(test)]
mod tests;
mod tokens;
mod window;

use self::blocks::BlockWriter;
use self::matcher::{Matcher, SEGMENT_BYTES};
use self::tokens::Tokens;
use super::DeflateEncoder;

/// Releases of klauspost/compress that write the same bytes at level 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// 1.15.0 to 1.15.9: as the next, but a match that is suggested by where another ends has to begin where that one
    /// begins.
    From1_15_0,
    /// 1.15.10 to 1.18.0: the header of a block that stays open names all codes that there could be.
    From1_15_10,
    /// 1.18.1 alone: no header names codes after the last one that is used.
    Only1_18_1,
    /// 1.18.2 and later: moreover the end of the block is part of what a segment is expected to take, though it may
    /// not be written with it.
    From1_18_2,
}

/// A segment that must be written and is shorter than this is not searched.
const SHORTEST_SEARCHED: usize = 128;
/// A segment that must be written and is no longer than this is stored.
const LONGEST_STORED: usize = 32;

/// A stream of level 5.
pub struct KlauspostEncoder {
    matcher: Matcher,
    tokens: Tokens,
    blocks: BlockWriter,
    /// What has come of the next segment.
    segment: Vec<u8>,
}

impl KlauspostEncoder {
    /// An encoder without a dictionary.
    pub fn new(family: Family) -> Self {
        Self {
            matcher: Matcher::new(family),
            tokens: Tokens::new(),
            blocks: BlockWriter::new(family),
            segment: Vec::with_capacity(SEGMENT_BYTES),
        }
    }

    /// Begins a new stream that may refer to the bytes of `dictionary`, of which there are at most 32,768. Nothing may
    /// be left over of a stream before: it has been finished or flushed, and all its output taken.
    pub(super) fn restart(&mut self, dictionary: &[u8]) {
        self.matcher.reset();
        self.matcher.tokenize(dictionary, &mut self.tokens);
        self.tokens.clear();
    }

    /// Writes everything that has come, and ends on a whole byte with an empty stored block, as a sync flush does.
    pub(super) fn flush(&mut self, output: &mut Vec<u8>) {
        self.write_last_segment(output);
        self.blocks.write_stored(&[], output);
    }

    fn write_segment(&mut self, segment: &[u8], ends: bool, output: &mut Vec<u8>) {
        self.matcher.tokenize(segment, &mut self.tokens);
        if self.tokens.is_empty() {
            self.blocks.write_stored(segment, output);
        } else if self.tokens.symbols() > segment.len() - segment.len() / 16 {
            self.blocks.write_literals(segment, ends, output);
        } else {
            self.blocks
                .write_tokens(&mut self.tokens, segment, ends, output);
        }
        self.tokens.clear();
    }

    /// Writes the segment that has come so far, after which its block has ended.
    fn write_last_segment(&mut self, output: &mut Vec<u8>) {
        let segment = std::mem::take(&mut self.segment);
        match segment.len() {
            0 => {}
            1..SHORTEST_SEARCHED => {
                if segment.len() <= LONGEST_STORED {
                    self.blocks.write_stored(&segment, output);
                } else {
                    self.blocks.write_literals(&segment, true, output);
                }
                self.matcher.reset();
            }
            _ => self.write_segment(&segment, true, output),
        }
        self.segment = segment;
        self.segment.clear();
    }
}

impl DeflateEncoder for KlauspostEncoder {
    fn encode(&mut self, mut input: &[u8], output: &mut Vec<u8>) {
        // A full segment waits for one more byte: if none comes, it is the last one and ends its block.
        while self.segment.len() + input.len() > SEGMENT_BYTES {
            let (taken, rest) = input.split_at(SEGMENT_BYTES - self.segment.len());
            input = rest;
            if self.segment.is_empty() {
                self.write_segment(taken, false, output);
            } else {
                self.segment.extend_from_slice(taken);
                let mut segment = std::mem::take(&mut self.segment);
                self.write_segment(&segment, false, output);
                segment.clear();
                self.segment = segment;
            }
        }
        self.segment.extend_from_slice(input);
    }

    fn finish(&mut self, output: &mut Vec<u8>) {
        self.write_last_segment(output);
        self.blocks.write_end(output);
    }
}
