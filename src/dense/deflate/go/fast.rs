//! Level 1: one place is remembered for each hash of four bytes, and a match that is found is taken.
//!
//! The stream is cut into blocks of 65,535 bytes. Matches reach back into the block before, end with their own block,
//! and are not looked for in its last 15 bytes. Where nothing matches, the steps between lookups grow. What is left
//! at the end is written without matches when it is below 128 bytes, and stored when it is at most 16.
//!
//! Places are counted in 32 bits; long before they run out, they are counted anew, which changes no output since
//! only the distance between two places, and that it is within the window, is ever looked at.

use super::super::alphabet::{MAX_MATCH_BYTES, WINDOW_BYTES};
use super::super::token::Token;
use super::block::{BlockWriter, MAX_STORED_BYTES};
use super::chains::{common_bytes, four_bytes};
use super::new_table;

const BLOCK_BYTES: usize = MAX_STORED_BYTES;
const TABLE_BITS: u32 = 14;
/// Matches are looked for by this many bytes.
const HASHED_BYTES: usize = 4;
/// The bytes at the end of a block where no match begins.
const MARGIN_BYTES: usize = 15;
/// What remains at the end of a stream has no matches below this.
const LEAST_MATCHED_BYTES: usize = 128;
/// What remains at the end of a stream is stored up to this.
const MOST_STORED_BYTES: usize = 16;
/// Where places begin to be counted: what the table holds at first is then out of reach.
const FIRST_PLACE: u32 = WINDOW_BYTES as u32 + 1;
/// Places are counted anew when a block could begin behind this one.
pub(super) const LAST_PLACE: u32 = u32::MAX - 2 * (BLOCK_BYTES + WINDOW_BYTES) as u32;

/// Four bytes, and the place where they were last seen.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    bytes: u32,
    place: u32,
}

/// Cuts a stream into blocks and finds the matches of level 1.
#[derive(Debug)]
pub(super) struct FastEncoder {
    table: Box<[Seen; 1 << TABLE_BITS]>,
    /// The last of the block before, as far as matches reach, then what there is of the current block.
    buffer: Vec<u8>,
    /// Where in the buffer the current block begins.
    block_start: usize,
    /// The place of the first byte of the buffer.
    first_place: u32,
    tokens: Vec<Token>,
}

impl FastEncoder {
    pub(super) fn new() -> Self {
        Self::starting_at(FIRST_PLACE)
    }

    /// Counts places from `first_place`, which is [`FIRST_PLACE`] or more.
    pub(super) fn starting_at(first_place: u32) -> Self {
        Self {
            table: new_table(),
            buffer: Vec::with_capacity(WINDOW_BYTES + BLOCK_BYTES),
            block_start: 0,
            first_place,
            tokens: Vec::with_capacity(BLOCK_BYTES),
        }
    }

    pub(super) fn encode(
        &mut self,
        mut input: &[u8],
        blocks: &mut BlockWriter,
        output: &mut Vec<u8>,
    ) {
        while !input.is_empty() {
            if self.block().len() == BLOCK_BYTES {
                self.write_block(blocks, output);
            }
            let room_bytes = BLOCK_BYTES - self.block().len();
            let (taken, rest) = input.split_at(room_bytes.min(input.len()));
            self.buffer.extend_from_slice(taken);
            input = rest;
        }
    }

    pub(super) fn finish(&mut self, blocks: &mut BlockWriter, output: &mut Vec<u8>) {
        match self.block().len() {
            0 => {}
            bytes if bytes <= MOST_STORED_BYTES => blocks.write_stored(self.block(), output),
            bytes if bytes < LEAST_MATCHED_BYTES => blocks.write_literals(self.block(), output),
            _ => self.write_block(blocks, output),
        }
    }

    fn block(&self) -> &[u8] {
        &self.buffer[self.block_start..]
    }

    /// Writes the current block and makes room for the next.
    fn write_block(&mut self, blocks: &mut BlockWriter, output: &mut Vec<u8>) {
        self.tokens.clear();
        self.find_tokens();
        let block = &self.buffer[self.block_start..];
        if self.tokens.len() > block.len() - (block.len() >> 4) {
            blocks.write_literals(block, output);
        } else {
            blocks.write_dynamic(&self.tokens, block, output);
        }
        let gone_bytes = self.buffer.len().saturating_sub(WINDOW_BYTES);
        self.buffer.drain(..gone_bytes);
        self.block_start = self.buffer.len();
        self.first_place += gone_bytes as u32;
        if self.first_place > LAST_PLACE {
            self.count_places_anew();
        }
    }

    /// Turns the current block into tokens.
    fn find_tokens(&mut self) {
        // Bytes before this one are tokens already.
        let mut written = self.block_start;
        let mut position = self.block_start;
        while let Some((found, mut source)) = self.find_next(position) {
            self.push_literals(written, found);
            position = found;
            loop {
                let limit = (self.buffer.len() - position).min(MAX_MATCH_BYTES);
                let length = HASHED_BYTES
                    + common_bytes(
                        &self.buffer[..position + limit],
                        position + HASHED_BYTES,
                        source + HASHED_BYTES,
                    );
                self.tokens.push(Token::back(length, position - source));
                position += length;
                written = position;
                if position >= self.search_end() {
                    break;
                }
                self.look_up(position - 1);
                let Some(next_source) = self.look_up(position) else {
                    position += 1;
                    break;
                };
                source = next_source;
            }
        }
        self.push_literals(written, self.buffer.len());
    }

    /// Looks for four bytes that were seen before, with steps that grow by a byte every 32 lookups or so. Gives where
    /// they are and where they were.
    #[inline]
    fn find_next(&mut self, start: usize) -> Option<(usize, usize)> {
        let search_end = self.search_end();
        let mut position = start;
        let mut step_times_32 = 32;
        loop {
            let step = step_times_32 >> 5;
            step_times_32 += step;
            if position + step > search_end {
                return None;
            }
            if let Some(source) = self.look_up(position) {
                return Some((position, source));
            }
            position += step;
        }
    }

    /// From here on, no match begins in the current block.
    #[inline]
    fn search_end(&self) -> usize {
        self.buffer.len() - MARGIN_BYTES
    }

    /// Remembers the four bytes at a position, and gives where they were seen before, if that is within the window.
    #[inline]
    fn look_up(&mut self, position: usize) -> Option<usize> {
        let bytes = u32::from_le_bytes(four_bytes(&self.buffer, position));
        let place = self.first_place + position as u32;
        let seen = &mut self.table[(bytes.wrapping_mul(0x1e35_a7bd) >> (32 - TABLE_BITS)) as usize];
        let before = std::mem::replace(seen, Seen { bytes, place });
        let is_near = place - before.place <= WINDOW_BYTES as u32;
        (is_near && before.bytes == bytes).then(|| (before.place - self.first_place) as usize)
    }

    fn push_literals(&mut self, from: usize, to: usize) {
        self.tokens.extend(
            self.buffer[from..to]
                .iter()
                .map(|byte| Token::literal(*byte)),
        );
    }

    /// Counts places from the first one again, and forgets those that are out of reach.
    fn count_places_anew(&mut self) {
        let excess = self.first_place - FIRST_PLACE;
        for seen in self.table.iter_mut() {
            seen.place = seen.place.saturating_sub(excess);
        }
        self.first_place = FIRST_PLACE;
    }
}
