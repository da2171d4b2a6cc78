//! The inputs of the fixtures, made as `fixtures/encoders/go-gzip.go` makes them.

/// The input of that name.
pub(super) fn named(name: &str) -> Vec<u8> {
    match name {
        "zeros-65535" => vec![0; 65_535],
        "zeros-65536" => vec![0; 65_536],
        "one-byte-value" => vec![b'x'; 1 << 20],
        "noise" => Generator::seeded(3).noise(100_000, 0xff).output,
        "few-values" => Generator::seeded(4).noise(150_000, 0x3f).output,
        "tar-small" => Generator::seeded(5).tar(50_000).output,
        "tar" => Generator::seeded(6).tar(400_000).output,
        "mixed" => Generator::seeded(7).mixed(400_000).output,
        _ => {
            let (kind, length) = name.split_once('-').expect("a kind and a length");
            let length = length.parse().expect("a length");
            let mut input = match kind {
                "text" => Generator::seeded(8).text(65_535 + 200).output,
                "mixed" => Generator::seeded(9).mixed(length).output,
                _ => panic!("no input has the name {name}"),
            };
            input.truncate(length);
            input
        }
    }
}

/// A source of numbers, Marsaglia's xorshift of 32 bits, and what was made with it.
struct Generator {
    state: u32,
    output: Vec<u8>,
}

impl Generator {
    fn seeded(seed: u32) -> Self {
        Self {
            state: seed.wrapping_mul(0x9e37_79b9),
            output: Vec::new(),
        }
    }

    fn below(&mut self, limit: u32) -> u32 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 17;
        self.state ^= self.state << 5;
        self.state % limit
    }

    fn length_below(&mut self, limit: u32) -> usize {
        self.below(limit) as usize
    }

    fn byte(&mut self) -> u8 {
        self.below(256).to_le_bytes()[0]
    }

    fn pad_to(&mut self, end: usize) {
        self.output.resize(end, 0);
    }

    fn noise(mut self, length: usize, mask: u8) -> Self {
        for _ in 0..length {
            let byte = self.below(1 << 16).to_le_bytes()[1];
            self.output.push(byte & mask);
        }
        self
    }

    fn word(&mut self) {
        // The smaller of two numbers is small more often: a few words are common.
        let index = self.below(3000).min(self.below(3000));
        for letter in 0..2 + index * 7 % 9 {
            let step = (index * 31 + letter * letter * 17 + index / 7 * letter) % 26;
            self.output.push(b'a' + step.to_le_bytes()[0]);
        }
    }

    fn text(mut self, length: usize) -> Self {
        let end = self.output.len() + length;
        while self.output.len() < end {
            self.word();
            let separator = b" \n. ,"[self.length_below(5)];
            self.output.push(separator);
        }
        self.output.truncate(end);
        self
    }

    /// Records of eight bytes, most of which are like the one before.
    fn records(mut self, length: usize) -> Self {
        let end = self.output.len() + length;
        let mut address = self.below(1 << 20);
        while self.output.len() < end {
            address += 4 * (1 + self.below(9));
            let operation = [0x48, 0x8b, 0xe8, 0x0f][self.length_below(4)];
            let register = self.below(7).to_le_bytes()[0];
            self.output.extend([operation, register]);
            self.output.extend(&address.to_le_bytes()[..3]);
            let flags = self.byte() & self.byte();
            self.output.extend([0, flags, 0xff]);
        }
        self.output.truncate(end);
        self
    }

    /// Bytes that were there before, anywhere in the window or somewhat further back.
    fn again(mut self, length: usize) -> Self {
        for _ in 0..length.div_ceil(200) {
            let run = 3 + self.length_below(400);
            let distance = 1 + self.length_below(34_000);
            for _ in 0..run {
                self.output.push(self.output[self.output.len() - distance]);
            }
            let byte = self.byte();
            self.output.push(byte);
        }
        self
    }

    fn tar(mut self, length: usize) -> Self {
        while self.output.len() < length {
            let (start, size) = (self.output.len(), self.length_below(9000));
            self.output.extend(b"usr/share/");
            self.word();
            self.pad_to(start + 100);
            let fields = format!("0000644\00000000\00000000\0{size:011o}\014371573000\0");
            self.output.extend(fields.as_bytes());
            let checksum = format!("{:06o}\0 0", self.below(1 << 15));
            self.output.extend(checksum.as_bytes());
            self.pad_to(start + 257);
            self.output.extend(b"ustar\x0000root");
            self.pad_to(start + 512);
            self = match self.below(3) {
                0 => self.records(size),
                _ => self.text(size),
            };
            self.pad_to((start + 512 + size).next_multiple_of(512));
        }
        self
    }

    fn mixed(mut self, length: usize) -> Self {
        self = self.text(40_000);
        while self.output.len() < length {
            let part = 1000 + self.length_below(30_000);
            self = match self.below(6) {
                0 => self.text(part),
                1 => self.records(part),
                2 => self.noise(part, 0xff),
                3 => self.noise(part, 0x0f),
                4 => {
                    self.pad_to(self.output.len() + 3 * part);
                    self
                }
                _ => self.again(part),
            };
        }
        self
    }
}
