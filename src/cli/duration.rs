//! Lengths of time as people type them: `30s`, `5m`, `8h`, `7d`.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

/// `90s`, `5m`, `1h30m`, `7d`; a day has 24 hours.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    match parse_age(text) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err(EXPECTED.to_owned()),
    }
}

/// The same, and `0s`.
pub(super) fn parse_age(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<Span>().ok();
    let span = parsed.and_then(|span| {
        span.to_duration(SpanRelativeTo::days_are_24_hours())
            .ok()?
            .try_into()
            .ok()
    });
    span.ok_or_else(|| EXPECTED.to_owned())
}

const EXPECTED: &str = "expected a length of time, such as `30s`, `5m`, `8h`, `7d`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_as_typed() {
        for (text, seconds) in [
            ("30s", 30),
            ("5m", 300),
            ("8h", 28_800),
            ("7d", 604_800),
            ("1h30m", 5_400),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_secs(seconds)),
                "{text}"
            );
        }
        for text in ["", "30", "0s", "-5s", "soon", "2 months"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert_eq!(parse_age("0s"), Ok(Duration::ZERO));
        assert!(parse_age("-5s").is_err());
    }
}
