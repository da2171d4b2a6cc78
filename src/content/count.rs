//! Numbers of things, as people say them.

use std::fmt::Display;

/// `1 artifact`, `2 artifacts`.
pub fn count<N: Copy + Display + PartialEq + From<u8>>(number: N, noun: &str) -> String {
    let plural = if number == N::from(1) { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_plural() {
        assert_eq!(count(1_u64, "artifact"), "1 artifact");
        assert_eq!(count(0_usize, "tag"), "0 tags");
        assert_eq!(count(2_u32, "tag"), "2 tags");
    }
}
