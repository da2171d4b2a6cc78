//! When a pipeline runs by itself: a cron expression of five fields in a time zone. Pure.
//!
//! Where the zone's clock is put forward, times that do not exist are left out; where it is put back, a time that comes
//! twice counts once, unless the expression means every hour. Specification: POSIX `crontab`, five fields; the IANA time zone database.

use cronexpr::{Crontab, MakeTimestamp, parse_crontab};
use jiff::{Timestamp, Zoned};

/// The zone of a schedule that names none.
pub const DEFAULT_ZONE: &str = "UTC";

#[derive(Clone, Debug)]
pub struct Schedule {
    crontab: Crontab,
    names_hours: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSchedule {
    #[error("expected five fields: minute, hour, day of the month, month, day of the week")]
    Fields,
    #[error("this is no time zone: expected a name such as `Europe/Berlin` or `UTC`")]
    Zone,
    #[error("{0}")]
    Expression(String),
    #[error("this time never comes")]
    Never,
}

impl Schedule {
    /// Reads a cron expression and the name of a time zone.
    pub fn parse(expression: &str, zone: &str) -> Result<Self, InvalidSchedule> {
        let fields: Vec<&str> = expression.split_whitespace().collect();
        if fields.len() != FIELDS {
            return Err(InvalidSchedule::Fields);
        }
        jiff::tz::TimeZone::get(zone).map_err(|_| InvalidSchedule::Zone)?;
        let text = format!("{} {zone}", fields.join(" "));
        let crontab = parse_crontab(&text).map_err(|error| {
            let text = error.to_string();
            let told = text.lines().last().unwrap_or_default().trim();
            InvalidSchedule::Expression(told.trim_start_matches(['^', ' ']).to_owned())
        })?;
        let schedule = Self {
            crontab,
            names_hours: !fields[1].starts_with('*'),
        };
        let comes = schedule.next_after(Timestamp::UNIX_EPOCH).is_some();
        comes.then_some(schedule).ok_or(InvalidSchedule::Never)
    }

    /// The first time after `moment` that it names.
    pub fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        let mut next = self.crontab.find_next(MakeTimestamp(moment)).ok()?;
        while self.names_hours && is_repetition(&next) {
            next = self
                .crontab
                .find_next(MakeTimestamp(next.timestamp()))
                .ok()?;
        }
        Some(next.timestamp())
    }
}

const FIELDS: usize = 5;

/// Whether the clock has shown this time before, on the same day.
fn is_repetition(time: &Zoned) -> bool {
    let first = time.time_zone().to_timestamp(time.datetime());
    first.is_ok_and(|first| first < time.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(expression: &str, zone: &str, after: &str) -> String {
        let schedule = Schedule::parse(expression, zone).expect("the schedule is valid");
        let after = after.parse().expect("a time");
        let next = schedule.next_after(after).expect("it comes");
        next.to_string()
    }

    #[test]
    fn a_time_is_meant_in_its_zone() {
        let after = "2026-01-10T00:00:00Z";
        assert_eq!(next("30 3 * * *", "UTC", after), "2026-01-10T03:30:00Z");
        assert_eq!(
            next("30 3 * * *", "Europe/Berlin", after),
            "2026-01-10T02:30:00Z"
        );
        assert_eq!(
            next("0 8 * * 1", "Asia/Tokyo", after),
            "2026-01-11T23:00:00Z"
        );
    }

    #[test]
    fn an_hour_that_is_skipped_or_repeated_gives_one_run_a_day() {
        // In Berlin 2026-03-29 has no 02:30, and 2026-10-25 has two.
        let spring = next("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z");
        assert!(
            spring.starts_with("2026-03-29") || spring.starts_with("2026-03-30"),
            "{spring}"
        );
        let first = next("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z");
        assert!(first.starts_with("2026-10-25"), "{first}");
        let second = next("30 2 * * *", "Europe/Berlin", &first);
        assert!(
            second.starts_with("2026-10-26"),
            "after {first} came {second}"
        );
    }

    #[test]
    fn what_is_wrong_is_told() {
        let fault = |expression, zone| Schedule::parse(expression, zone).expect_err("invalid");
        assert_eq!(fault("30 3 * *", "UTC"), InvalidSchedule::Fields);
        assert_eq!(fault("30 3 * * *", "Europe/Berln"), InvalidSchedule::Zone);
        assert_eq!(fault("0 0 30 2 *", "UTC"), InvalidSchedule::Never);
        assert!(matches!(
            fault("61 3 * * *", "UTC"),
            InvalidSchedule::Expression(_)
        ));
    }
}
