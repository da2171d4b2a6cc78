//! What is due: the schedule of a pipeline, what the ledger remembers of it, and the clock. Pure.
//!
//! However many times were missed, the last of them stands for all. What is new in the file, or scheduled otherwise,
//! has missed nothing. A clock that is put back repeats nothing; one that was wrong by more than
//! [`CLOCK_ALLOWANCE`] is not believed afterwards, and times count from now.
//!
//! **Invariant.** Between two records of one schedule the remembered time never goes back, so no time comes twice.
//! Specification: design.md, section 5.

use jiff::{SignedDuration, Timestamp};

use super::schedule::Schedule;
use crate::history::{DueProgress, DueRecord};

/// How far the remembered time may lie ahead of the clock.
pub(super) const CLOCK_ALLOWANCE: SignedDuration = SignedDuration::from_hours(24);

/// What is to be done about a pipeline now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing is known of this schedule: its times count from now.
    Anew,
    /// A time has come; of several that were missed it is the last one.
    Run(Timestamp),
    /// What was begun for this time was interrupted: it is done once more.
    Repeat(Timestamp),
    /// Nothing before this time, where there is one.
    Wait(Option<Timestamp>),
}

/// Judges by the record of the pipeline, which is of the same `expression` where it counts.
pub(super) fn judge_due(
    schedule: &Schedule,
    expression: &str,
    record: Option<&DueRecord>,
    now: Timestamp,
) -> Due {
    let is_believable = |record: &&DueRecord| {
        record.expression == expression && record.last_due.duration_since(now) <= CLOCK_ALLOWANCE
    };
    let Some(record) = record.filter(is_believable) else {
        return Due::Anew;
    };
    if let Some(time) = last_between(schedule, record.last_due, now) {
        return Due::Run(time);
    }
    match record.progress {
        DueProgress::Begun => Due::Repeat(record.last_due),
        DueProgress::Repeated | DueProgress::Ended => {
            Due::Wait(schedule.next_after(record.last_due.max(now)))
        }
    }
}

/// The last time after `after` that has come at `until`. It is searched by halves: a year of minutes is long.
fn last_between(schedule: &Schedule, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
    let come_after = |moment| schedule.next_after(moment).filter(|time| *time <= until);
    let mut last = come_after(after)?;
    // Nothing comes between `none_after` and `until`.
    let mut none_after = until;
    loop {
        let span = none_after.duration_since(last);
        if span <= SignedDuration::from_secs(1) {
            return Some(come_after(last).unwrap_or(last));
        }
        let Ok(middle) = last.checked_add(span / 2) else {
            return Some(last);
        };
        match come_after(middle) {
            Some(later) => last = later,
            None => none_after = middle,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EXPRESSIONS: [&str; 6] = [
        "* * * * *",
        "*/7 * * * *",
        "30 3 * * *",
        "0 8 * * 1",
        "15,45 9-17 * * 1-5",
        "0 0 31 * *",
    ];

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_780_000_000 + seconds).expect("a time")
    }

    fn parse(expression: &str) -> Schedule {
        Schedule::parse(expression, "Europe/Berlin").expect("a schedule")
    }

    fn record(expression: &str, last_due: Timestamp) -> DueRecord {
        DueRecord {
            expression: expression.to_owned(),
            last_due,
            progress: DueProgress::Ended,
        }
    }

    /// One by one.
    fn naive_last(schedule: &Schedule, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let mut last = None;
        let mut from = after;
        while let Some(next) = schedule.next_after(from).filter(|next| *next <= until) {
            last = Some(next);
            from = next;
        }
        last
    }

    #[test]
    fn what_is_new_or_scheduled_otherwise_has_missed_nothing() {
        let schedule = parse("* * * * *");
        assert_eq!(judge_due(&schedule, "* * * * *", None, at(0)), Due::Anew);
        let other = record("0 8 * * 1", at(-1_000_000));
        let due = judge_due(&schedule, "* * * * *", Some(&other), at(0));
        assert_eq!(due, Due::Anew);
    }

    #[test]
    fn what_was_interrupted_is_repeated_once_and_a_newer_time_stands_for_it() {
        let schedule = parse("30 3 * * *");
        let begun = DueRecord {
            progress: DueProgress::Begun,
            ..record("30 3 * * *", at(0))
        };
        let judge = |record: &DueRecord, now| judge_due(&schedule, "30 3 * * *", Some(record), now);
        assert_eq!(judge(&begun, at(60)), Due::Repeat(at(0)));
        let repeated = DueRecord {
            progress: DueProgress::Repeated,
            ..begun.clone()
        };
        assert!(matches!(judge(&repeated, at(60)), Due::Wait(Some(_))));
        assert!(matches!(judge(&begun, at(200_000)), Due::Run(_)));
    }

    #[test]
    fn a_clock_that_was_years_ahead_does_not_stop_the_schedule_for_years() {
        let schedule = parse("30 3 * * *");
        let judge = |ahead| {
            let record = record("30 3 * * *", at(ahead));
            judge_due(&schedule, "30 3 * * *", Some(&record), at(0))
        };
        assert!(matches!(judge(3600), Due::Wait(Some(_))));
        assert_eq!(judge(90_000), Due::Anew);
    }

    proptest! {
        #[test]
        fn of_all_that_was_missed_the_last_is_run(
            which in 0..EXPRESSIONS.len(),
            start in 0..10_000_000_i64,
            stopped in 0..400_000_i64,
        ) {
            let schedule = parse(EXPRESSIONS[which]);
            let (after, until) = (at(start), at(start + stopped));
            let found = last_between(&schedule, after, until);
            prop_assert_eq!(found, naive_last(&schedule, after, until));
        }

        #[test]
        fn after_a_stop_of_any_length_one_run_is_made_up(
            which in 0..EXPRESSIONS.len(),
            start in 0..10_000_000_i64,
            stopped in 0..100_000_000_i64,
        ) {
            let expression = EXPRESSIONS[which];
            let schedule = parse(expression);
            let now = at(start + stopped);
            let was = record(expression, at(start));
            if let Due::Run(time) = judge_due(&schedule, expression, Some(&was), now) {
                prop_assert!(time <= now && time > at(start));
                let is = record(expression, time);
                let again = judge_due(&schedule, expression, Some(&is), now);
                prop_assert!(matches!(again, Due::Wait(_)), "{again:?}");
            }
        }

        #[test]
        fn no_time_is_run_twice_whatever_the_clock_does(
            which in 0..EXPRESSIONS.len(),
            steps in prop::collection::vec(-40_000..90_000_i64, 1..60),
        ) {
            let expression = EXPRESSIONS[which];
            let schedule = parse(expression);
            let mut remembered = record(expression, at(0));
            let (mut clock, mut newest) = (0, 0);
            for step in steps {
                // What puts it back by more than a day in all is a clock that was wrong.
                clock = (clock + step).max(newest - 86_400);
                newest = newest.max(clock);
                match judge_due(&schedule, expression, Some(&remembered), at(clock)) {
                    Due::Run(time) => {
                        prop_assert!(time > remembered.last_due && time <= at(clock));
                        remembered.last_due = time;
                    }
                    Due::Wait(next) => prop_assert!(next.is_none_or(|next| next > at(clock))),
                    other => prop_assert!(false, "{other:?}"),
                }
            }
        }
    }
}
