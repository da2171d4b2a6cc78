//! Times as people type them: absolute, or a while from another.

use jiff::{SignedDuration, Timestamp};

use super::duration::parse_duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    At(Timestamp),
    After(SignedDuration),
}

/// `8h`, `7d`, `30m`, `2w`, or a time such as `2027-01-31T00:00:00Z`.
pub(super) fn parse_moment(text: &str) -> Result<Moment, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(Moment::At(time));
    }
    let expected = "expected `30m`, `8h`, `7d`, `2w`, or a time such as `2027-01-31T00:00:00Z`";
    let span = parse_duration(text).map_err(|_| expected)?;
    let span = SignedDuration::try_from(span).map_err(|_| expected)?;
    Ok(Moment::After(span))
}

impl Moment {
    /// The time that is meant, where a while begins at `from`; `None` where no calendar has it.
    pub(super) fn counted_from(self, from: Timestamp) -> Option<Timestamp> {
        match self {
            Self::At(time) => Some(time),
            Self::After(span) => from.checked_add(span).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_a_unit_and_a_time_has_a_zone() {
        let hours = |hours| Ok(Moment::After(SignedDuration::from_hours(hours)));
        assert_eq!(parse_moment("8h"), hours(8));
        assert_eq!(parse_moment("7d"), hours(168));
        assert_eq!(parse_moment("120m"), hours(2));
        assert_eq!(parse_moment("1w"), hours(168));
        let time = "2027-01-31T00:00:00Z";
        assert_eq!(parse_moment(time), Ok(Moment::At(time.parse().unwrap())));
        for wrong in [
            "",
            "8",
            "h",
            "-8h",
            "0h",
            "8hh",
            "tomorrow",
            "9223372036854775807w",
        ] {
            assert!(parse_moment(wrong).is_err(), "{wrong}");
        }
    }
}
