//! Sizes as people type and read them.

pub(super) use crate::content::count;

/// The largest file of FAT32, and discs by the capacity that burning programs count with.
const NAMED_SIZES: [(&str, u64); 3] = [
    ("fat32", 4_294_967_295),
    ("dvd", 4_700_372_992),
    ("bd25", 25_025_314_816),
];

const UNITS: [(&str, u64); 8] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// `4700000000`, `700MB`, `4GiB`, `fat32`, `dvd`, `bd25` in bytes.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let named = NAMED_SIZES
        .iter()
        .find(|(name, _)| text.eq_ignore_ascii_case(name));
    if let Some((_, size)) = named {
        return Ok(*size);
    }
    let has_unit = |(unit, _): &&(&str, u64)| text.to_lowercase().ends_with(&unit.to_lowercase());
    let (number, factor) = match UNITS.iter().find(has_unit) {
        Some((unit, factor)) => (&text[..text.len() - unit.len()], *factor),
        None => (text, 1),
    };
    let number: u64 = number.trim().parse().map_err(|_| {
        "expected a number with `KiB`, `MiB`, `GiB`, `MB`, `GB`, or `fat32`, `dvd`, `bd25`"
            .to_owned()
    })?;
    number
        .checked_mul(factor)
        .ok_or_else(|| "the size is too large".to_owned())
}

/// Bytes with a unit, as in `456.5 MB`; exact below a thousand.
pub(super) fn show_size(bytes: u64) -> String {
    const NAMES: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < NAMES.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", NAMES[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_typed() {
        let cases = [
            ("10", 10),
            ("700MB", 700_000_000),
            ("4 GiB", 4 << 30),
            ("DVD", 4_700_372_992),
        ];
        for (text, size) in cases {
            assert_eq!(parse_size(text), Ok(size), "{text}");
        }
        for bad in ["", "MB", "-1", "1.5GB", "99999999999TB"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_shown_with_one_decimal() {
        assert_eq!(show_size(999), "999 B");
        assert_eq!(show_size(456_500_000), "456.5 MB");
        assert_eq!(show_size(999_999), "1.0 MB");
    }
}
