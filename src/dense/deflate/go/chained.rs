//! Levels 2 to 9: a buffer of two windows, in which matches are looked for along [`Chains`] of places.
//!
//! The buffer is filled, searched until no more than a longest match is left ahead, and slid by one window. A match
//! cannot reach before the buffer's first byte, so that after each slide the oldest 261 bytes of the window are out of
//! reach for a while: *when* the buffer slides shows in the output. It slides here when it is full, as in a `Writer`
//! that is fed in large or aligned pieces. Go slides it at the end of any call of `Write` that leaves less than 262
//! bytes of room ahead of the search, so that its output depends, if rarely, on how the input was cut into calls.
//!
//! A block ends after 16,384 tokens. When the window has slid past its first byte, it cannot be stored.

use super::super::alphabet::{MAX_MATCH_BYTES, WINDOW_BYTES};
use super::super::token::Token;
use super::block::BlockWriter;
use super::chains::{Chains, Choice, Effort, LEAST_MATCH_BYTES, Match};

const BUFFER_BYTES: usize = 2 * WINDOW_BYTES;
/// While there is more input, a search has at least this much ahead.
const LOOKAHEAD_BYTES: usize = LEAST_MATCH_BYTES + MAX_MATCH_BYTES;
const BLOCK_TOKENS: usize = 1 << 14;

/// Finds the tokens of a stream with one level's [`Effort`].
#[derive(Debug)]
pub(super) struct ChainedEncoder {
    effort: Effort,
    chains: Chains,
    buffer: Box<[u8]>,
    /// Up to where the buffer is filled.
    end: usize,
    /// What is searched next.
    position: usize,
    /// Where the current block begins, if the buffer still has it.
    block_start: Option<usize>,
    tokens: Vec<Token>,
    /// The match at the byte before, which a longer one here would replace.
    held_match: Option<Match>,
    /// Whether the byte before is not a token yet.
    holds_literal: bool,
}

impl ChainedEncoder {
    pub(super) fn new(effort: Effort) -> Self {
        Self::with_chains(effort, Chains::new())
    }

    /// Begins with `chains`, which remember nothing yet.
    pub(super) fn with_chains(effort: Effort, chains: Chains) -> Self {
        Self {
            effort,
            chains,
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            end: 0,
            position: 0,
            block_start: Some(0),
            tokens: Vec::with_capacity(BLOCK_TOKENS),
            held_match: None,
            holds_literal: false,
        }
    }

    pub(super) fn encode(
        &mut self,
        mut input: &[u8],
        blocks: &mut BlockWriter,
        output: &mut Vec<u8>,
    ) {
        while !input.is_empty() {
            if self.end == BUFFER_BYTES {
                self.search(LOOKAHEAD_BYTES, blocks, output);
                self.slide();
            }
            let taken_bytes = input.len().min(BUFFER_BYTES - self.end);
            let (taken, rest) = input.split_at(taken_bytes);
            self.buffer[self.end..][..taken_bytes].copy_from_slice(taken);
            self.end += taken_bytes;
            input = rest;
        }
    }

    pub(super) fn finish(&mut self, blocks: &mut BlockWriter, output: &mut Vec<u8>) {
        self.search(1, blocks, output);
        self.push_held_literal();
        if !self.tokens.is_empty() {
            self.write_block(self.position, blocks, output);
        }
    }

    /// Makes tokens while at least so many bytes are ahead.
    fn search(&mut self, least_ahead_bytes: usize, blocks: &mut BlockWriter, output: &mut Vec<u8>) {
        while self.end - self.position >= least_ahead_bytes {
            match self.effort.choice {
                Choice::First { remembered_bytes } => self.take_first(remembered_bytes),
                Choice::Longer { sought_below_bytes } => self.take_longer(sought_below_bytes),
            }
            if self.tokens.len() == BLOCK_TOKENS {
                let held_bytes = usize::from(self.holds_literal);
                self.write_block(self.position - held_bytes, blocks, output);
            }
        }
    }

    /// Makes one token of what is ahead: a match if there is one, else a byte.
    fn take_first(&mut self, remembered_bytes: usize) {
        let Some(found) = self
            .remember(self.position)
            .and_then(|newest| self.find_longest(newest))
        else {
            self.tokens.push(Token::literal(self.buffer[self.position]));
            self.position += 1;
            return;
        };
        self.tokens.push(Token::back(found.length, found.distance));
        let match_end = self.position + found.length;
        if found.length <= remembered_bytes {
            self.remember_all(self.position + 1, match_end);
        }
        self.position = match_end;
    }

    /// Looks whether a longer match than the one at the byte before begins here, and makes one of the two, or that
    /// byte, a token.
    fn take_longer(&mut self, sought_below_bytes: usize) {
        let newest = self.remember(self.position);
        let held = self.held_match.take();
        let held_bytes = held.map_or(0, |held| held.length);
        let is_sought = held_bytes < sought_below_bytes && held_bytes < self.end - self.position;
        let found = newest
            .filter(|_| is_sought)
            .and_then(|newest| self.find_longest(newest));
        if let Some(held) =
            held.filter(|held| found.is_none_or(|found| found.length <= held.length))
        {
            self.tokens.push(Token::back(held.length, held.distance));
            let match_end = self.position - 1 + held.length;
            self.remember_all(self.position + 1, match_end);
            self.position = match_end;
            self.holds_literal = false;
        } else {
            self.push_held_literal();
            self.held_match = found;
            self.holds_literal = true;
            self.position += 1;
        }
    }

    fn find_longest(&self, newest: usize) -> Option<Match> {
        self.chains
            .find_longest(&self.buffer[..self.end], self.position, newest, self.effort)
    }

    /// Remembers a position and gives the newest one before it, unless fewer than four bytes are ahead.
    #[inline]
    fn remember(&mut self, position: usize) -> Option<usize> {
        let has_all_bytes = position + LEAST_MATCH_BYTES <= self.end;
        has_all_bytes
            .then(|| self.chains.insert(&self.buffer[..], position))
            .flatten()
    }

    fn remember_all(&mut self, from: usize, to: usize) {
        for position in from..to.min(self.end.saturating_sub(LEAST_MATCH_BYTES - 1)) {
            self.chains.insert(&self.buffer[..], position);
        }
    }

    fn push_held_literal(&mut self) {
        if std::mem::take(&mut self.holds_literal) {
            self.tokens
                .push(Token::literal(self.buffer[self.position - 1]));
        }
    }

    /// Writes what the tokens stand for, which ends before `end`.
    fn write_block(&mut self, end: usize, blocks: &mut BlockWriter, output: &mut Vec<u8>) {
        let source = self.block_start.map(|start| &self.buffer[start..end]);
        blocks.write_smallest(&self.tokens, source, output);
        self.block_start = Some(end);
        self.tokens.clear();
    }

    /// Drops the older half of the buffer.
    fn slide(&mut self) {
        self.buffer.copy_within(WINDOW_BYTES.., 0);
        self.position -= WINDOW_BYTES;
        self.end -= WINDOW_BYTES;
        self.block_start = self
            .block_start
            .and_then(|start| start.checked_sub(WINDOW_BYTES));
        self.chains.slide();
    }
}
