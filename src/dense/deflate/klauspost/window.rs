//! The bytes that a search sees, and what can be asked of two places in them.
//!
//! Everything here is plain comparison; which places are compared is the business of the matcher.

/// Lengths are compared up to this limit while candidates are weighed.
const WEIGHED_LENGTH: u32 = 258;
/// A match under consideration, in indices of the window.
#[derive(Clone, Copy)]
pub(super) struct Match {
    pub(super) at: u32,
    pub(super) from: u32,
    pub(super) length: u32,
}

/// The bytes that a search sees.
pub(super) struct Window<'a> {
    pub(super) bytes: &'a [u8],
    /// No search begins at or after this index.
    pub(super) search_end: u32,
}

impl Window<'_> {
    /// The eight bytes from `at` on.
    #[inline]
    pub(super) fn word(&self, at: u32) -> u64 {
        let bytes = self.bytes[at as usize..]
            .first_chunk()
            .expect("the search ends before the last eight bytes");
        u64::from_le_bytes(*bytes)
    }

    /// Whether the four bytes at `at` are the first ones of `word`.
    #[inline]
    pub(super) fn has(&self, at: u32, word: u64) -> bool {
        let bytes = self.bytes[at as usize..]
            .first_chunk()
            .expect("a place of the tables has four bytes");
        u64::from(u32::from_le_bytes(*bytes)) == word & 0xFFFF_FFFF
    }

    /// How many bytes are the same at `at` and `from`, up to `limit`.
    #[inline]
    pub(super) fn common(&self, at: u32, from: u32, limit: u32) -> u32 {
        let ahead = &self.bytes[at as usize..];
        let ahead = &ahead[..ahead.len().min(limit as usize)];
        let behind = &self.bytes[from as usize..][..ahead.len()];
        let (ahead_words, ahead_rest) = ahead.as_chunks();
        let (behind_words, behind_rest) = behind.as_chunks();
        let mut length = 0;
        for (left, right) in ahead_words.iter().zip(behind_words) {
            let difference = u64::from_le_bytes(*left) ^ u64::from_le_bytes(*right);
            if difference != 0 {
                return length + difference.trailing_zeros() / 8;
            }
            length += 8;
        }
        let same = ahead_rest
            .iter()
            .zip(behind_rest)
            .take_while(|(left, right)| left == right);
        length + index(same.count())
    }

    /// The length of a match of which four bytes are known, up to [`WEIGHED_LENGTH`].
    #[inline]
    pub(super) fn weighed(&self, at: u32, from: u32) -> u32 {
        4 + self.common(at + 4, from + 4, WEIGHED_LENGTH - 4)
    }

    /// The match of which four bytes are known, in its full length.
    #[inline]
    pub(super) fn measured(&self, at: u32, from: u32) -> Match {
        Match {
            at,
            from,
            length: 4 + self.common(at + 4, from + 4, u32::MAX),
        }
    }

    /// A match that was cut off while it was weighed, in its full length.
    #[inline]
    pub(super) fn completed(&self, found: Match) -> Match {
        let Match { at, from, length } = found;
        let rest = if length == WEIGHED_LENGTH {
            self.common(at + length, from + length, u32::MAX)
        } else {
            0
        };
        Match {
            length: length + rest,
            ..found
        }
    }

    /// The match with the bytes before it that are the same, down to `pending`.
    #[inline]
    pub(super) fn widen(&self, found: Match, pending: u32) -> Match {
        let before = &self.bytes[pending as usize..found.at as usize];
        let source = &self.bytes[..found.from as usize];
        let more = before
            .iter()
            .rev()
            .zip(source.iter().rev())
            .take_while(|(left, right)| left == right);
        let more = index(more.count());
        Match {
            at: found.at - more,
            from: found.from - more,
            length: found.length + more,
        }
    }
}

/// A length or place in the window as the tables have it.
#[inline]
pub(super) fn index(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("the window is smaller than 4 GiB")
}
