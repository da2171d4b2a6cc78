//! The bit stream of deflate (RFC 1951, section 3.1.1): bits fill bytes from the least significant end.
//!
//! The writer holds only the bits that do not yet fill four bytes; everything else goes straight to the caller's
//! buffer, which is why that buffer is given to each call.

use super::huffman::Code;

/// Bits that wait for more bits before they become bytes. Fewer than 32 wait between calls.
#[derive(Debug, Default)]
pub struct BitWriter {
    pending: u64,
    pending_bits: u32,
}

impl BitWriter {
    /// Appends the low `count` bits of `value`, least significant first. `count` is at most 32, and `value` has
    /// nothing above them.
    #[inline]
    pub fn put(&mut self, value: u32, count: u32, output: &mut Vec<u8>) {
        debug_assert!(count <= 32 && u64::from(value) >> count == 0);
        self.pending |= u64::from(value) << self.pending_bits;
        self.pending_bits += count;
        if self.pending_bits >= 32 {
            output.extend_from_slice(&self.pending.to_le_bytes()[..4]);
            self.pending >>= 32;
            self.pending_bits -= 32;
        }
    }

    /// Appends a code of a symbol that occurs.
    #[inline]
    pub fn put_code(&mut self, code: Code, output: &mut Vec<u8>) {
        self.put(u32::from(code.bits), u32::from(code.length), output);
    }

    /// Appends a code, then the low `extra_bits` bits of `extra`, which are at most 16.
    #[inline]
    pub fn put_code_and_extra(
        &mut self,
        code: Code,
        extra: u16,
        extra_bits: u8,
        output: &mut Vec<u8>,
    ) {
        let value = u32::from(code.bits) | u32::from(extra) << code.length;
        self.put(value, u32::from(code.length + extra_bits), output);
    }

    /// Fills the last byte with zero bits and hands out everything that waits.
    pub fn align(&mut self, output: &mut Vec<u8>) {
        let bytes = self.pending_bits.div_ceil(8) as usize;
        output.extend_from_slice(&self.pending.to_le_bytes()[..bytes]);
        self.pending = 0;
        self.pending_bits = 0;
    }

    /// Writes a stored block (RFC 1951, section 3.2.4): its header, then `bytes`, of which there are at most 65,535.
    pub fn put_stored_block(&mut self, is_final: bool, bytes: &[u8], output: &mut Vec<u8>) {
        let length = u16::try_from(bytes.len()).expect("a stored block has a length of 16 bits");
        self.put(u32::from(is_final), 3, output);
        self.align(output);
        output.extend_from_slice(&length.to_le_bytes());
        output.extend_from_slice(&(!length).to_le_bytes());
        output.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_fill_bytes_from_the_least_significant_end() {
        let (mut writer, mut output) = (BitWriter::default(), Vec::new());
        for (value, count) in [
            (0b1, 1),
            (0b10, 2),
            (0b1_1111, 5),
            (0xabc, 12),
            (0, 0),
            (0xffff_ffff, 32),
        ] {
            writer.put(value, count, &mut output);
        }
        writer.align(&mut output);
        assert_eq!(output, [0b1111_1101, 0xbc, 0xfa, 0xff, 0xff, 0xff, 0x0f]);
    }

    #[test]
    fn a_stored_block_begins_on_a_byte() {
        let (mut writer, mut output) = (BitWriter::default(), Vec::new());
        writer.put(0b11, 2, &mut output);
        writer.put_stored_block(true, b"ab", &mut output);
        assert_eq!(output, [0b111, 2, 0, 0xfd, 0xff, b'a', b'b']);
    }
}
