//! Deflate encoders whose output is the same, byte for byte, as that of the programs that write most layers.
//!
//! The output of a compressor is a pure function of its input and level; what these programs do (hash tables, match
//! rules, block splitting, construction of codes) is written here in our own words, and held by streams that the real
//! programs wrote (`fixtures/encoders`).

pub mod alphabet;
pub mod bits;
mod code_lengths;
mod codes;
pub mod go;
pub mod huffman;
#[cfg(test)]
mod inputs;
pub mod klauspost;
pub mod pgzip;
#[cfg(test)]
mod testing;
mod token;
pub mod zlib;

/// A deflate encoder that is fed a stream and gives the same bytes however the input is cut into calls.
pub trait DeflateEncoder: Send {
    /// Takes more input and appends what is complete of the output.
    fn encode(&mut self, input: &[u8], output: &mut Vec<u8>);

    /// Ends the stream with its final block. An encoder that has ended must not be fed again.
    fn finish(&mut self, output: &mut Vec<u8>);
}
