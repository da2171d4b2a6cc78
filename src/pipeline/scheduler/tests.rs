//! Schedules with a clock of our own: nothing waits, and the clock may be put back.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Mutex;

use futures_util::FutureExt;

use super::*;

/// A clock that is where it is waited for at once, until its end: then nothing comes any more.
struct Hands {
    now: Mutex<Timestamp>,
    end: Timestamp,
}

#[async_trait]
impl Clock for Hands {
    fn now(&self) -> Timestamp {
        *self.now.lock().expect("one thread")
    }

    async fn wait(&self, until: Option<Timestamp>) {
        let until = until.filter(|until| *until <= self.end);
        match until {
            Some(until) => *self.now.lock().expect("one thread") = until,
            None => std::future::pending().await,
        }
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

const DAILY: &str = "30 3 * * *";

struct Bench {
    _directory: tempfile::TempDir,
    ledger: Ledger,
    schedule: Schedule,
    ran: Rc<RefCell<Vec<Occasion>>>,
    told: RefCell<Vec<ScheduleEvent>>,
}

impl Bench {
    async fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self {
            ledger: Ledger::open(directory.path()).await.expect("a ledger"),
            _directory: directory,
            schedule: Schedule::parse(DAILY, "UTC").expect("a schedule"),
            ran: Rc::default(),
            told: RefCell::default(),
        }
    }

    /// From one time to another, as a process that is then stopped.
    async fn serve(&self, from: &str, to: &str, end: RunEnd) {
        let clock = Hands {
            now: Mutex::new(at(from)),
            end: at(to),
        };
        let scheduled = Scheduled {
            section: "export.nightly",
            schedule: &self.schedule,
            expression: DAILY,
            ledger: &self.ledger,
            who: "serve",
            clock: &clock,
        };
        let retired = CancellationToken::new();
        let ran = Rc::clone(&self.ran);
        let run = |occasion| {
            ran.borrow_mut().push(occasion);
            async move { end }.boxed_local()
        };
        let ended = async {
            // Nothing is left to be done when the clock has come to its end.
            let done = || {
                self.told
                    .borrow()
                    .iter()
                    .rev()
                    .any(|event| is_beyond(event, to))
            };
            while !done() {
                tokio::task::yield_now().await;
            }
            retired.cancel();
        };
        let tell = |event| self.told.borrow_mut().push(event);
        self.told.borrow_mut().clear();
        tokio::select! {
            () = scheduled.keep(&retired, &run, tell) => {}
            () = ended => {}
        }
    }

    fn ran(&self) -> Vec<Occasion> {
        self.ran.borrow_mut().drain(..).collect()
    }
}

fn is_beyond(event: &ScheduleEvent, end: &str) -> bool {
    matches!(event, ScheduleEvent::Next(Some(next)) if *next > at(end))
}

#[tokio::test]
async fn a_pipeline_runs_at_its_times_and_never_for_those_before_it_was_known() {
    let bench = Bench::new().await;
    bench
        .serve(
            "2026-03-01T12:00:00Z",
            "2026-03-03T12:00:00Z",
            RunEnd::Ended,
        )
        .await;
    let times = ["2026-03-02T03:30:00Z", "2026-03-03T03:30:00Z"];
    assert_eq!(bench.ran(), times.map(|time| Occasion::Time(at(time))));
}

#[tokio::test]
async fn after_a_stop_of_months_one_run_is_made_up() {
    let bench = Bench::new().await;
    bench
        .serve(
            "2026-03-01T12:00:00Z",
            "2026-03-01T13:00:00Z",
            RunEnd::Ended,
        )
        .await;
    bench
        .serve(
            "2026-07-01T12:00:00Z",
            "2026-07-01T13:00:00Z",
            RunEnd::Ended,
        )
        .await;
    let last = Occasion::Time(at("2026-07-01T03:30:00Z"));
    assert_eq!(bench.ran(), [last]);
    // The clock is put back by half a day, and comes to the same time again.
    bench
        .serve(
            "2026-07-01T01:00:00Z",
            "2026-07-01T13:00:00Z",
            RunEnd::Ended,
        )
        .await;
    assert_eq!(bench.ran(), []);
}

#[tokio::test]
async fn what_a_stop_has_interrupted_is_done_again_and_what_was_killed_once() {
    let bench = Bench::new().await;
    let (from, to) = ("2026-03-01T12:00:00Z", "2026-03-02T12:00:00Z");
    let time = at("2026-03-02T03:30:00Z");
    bench.serve(from, to, RunEnd::Interrupted).await;
    assert_eq!(bench.ran(), [Occasion::Time(time)]);
    bench.serve(to, to, RunEnd::Interrupted).await;
    bench.serve(to, to, RunEnd::Ended).await;
    assert_eq!(bench.ran(), [Occasion::Again(time); 2]);
    bench.serve(to, to, RunEnd::Ended).await;
    assert_eq!(bench.ran(), []);
    let killed_twice = DueRecord {
        expression: DAILY.to_owned(),
        last_due: time,
        progress: DueProgress::Repeated,
    };
    let recorded = bench.ledger.record_due("export.nightly", &killed_twice);
    recorded.await.expect("it is recorded");
    bench.serve(to, to, RunEnd::Ended).await;
    assert_eq!(bench.ran(), [], "it could kill us for ever");
}

#[tokio::test]
async fn a_time_that_comes_while_the_pipeline_runs_elsewhere_is_run_once_afterwards() {
    let bench = Bench::new().await;
    bench
        .serve(
            "2026-03-01T12:00:00Z",
            "2026-03-01T13:00:00Z",
            RunEnd::Ended,
        )
        .await;
    let clock = Hands {
        now: Mutex::new(at("2026-03-02T03:29:00Z")),
        end: at("2026-03-04T03:29:00Z"),
    };
    let scheduled = Scheduled {
        section: "export.nightly",
        schedule: &bench.schedule,
        expression: DAILY,
        ledger: &bench.ledger,
        who: "serve",
        clock: &clock,
    };
    let held = bench.ledger.try_hold_run_of("export.nightly", "ops (1000)");
    let RunHold::Ours(hold) = held.expect("a lock") else {
        panic!("nobody else has it");
    };
    let hold = RefCell::new(Some(hold));
    let told = RefCell::new(Vec::new());
    let tell = |event| {
        if matches!(&event, ScheduleEvent::Busy { holder } if holder == "ops (1000)") {
            // Two of its times pass before the other one ends.
            *clock.now.lock().expect("one thread") = at("2026-03-03T12:00:00Z");
            hold.take();
        }
        told.borrow_mut().push(event);
    };
    let retired = CancellationToken::new();
    let run = |occasion| {
        bench.ran.borrow_mut().push(occasion);
        retired.cancel();
        async { RunEnd::Ended }.boxed_local()
    };
    scheduled.keep(&retired, &run, tell).await;
    let last = Occasion::Time(at("2026-03-03T03:30:00Z"));
    assert_eq!(bench.ran(), [last]);
    let is_busy = |event: &&ScheduleEvent| matches!(event, ScheduleEvent::Busy { .. });
    assert_eq!(told.borrow().iter().filter(is_busy).count(), 1);
}

#[tokio::test]
async fn a_schedule_that_is_new_takes_the_pipeline_from_nobody() {
    let bench = Bench::new().await;
    let held = bench.ledger.try_hold_run_of("export.nightly", "ops (1000)");
    let (from, to) = ("2026-03-01T12:00:00Z", "2026-03-01T13:00:00Z");
    bench.serve(from, to, RunEnd::Ended).await;
    let known = bench.ledger.find_due("export.nightly").await;
    let known = known.expect("the ledger").expect("a record");
    assert_eq!(known.last_due, at(from));
    drop(held);
    // Another file's schedule is another one, and what comes late from the same one changes nothing.
    let late = DueRecord {
        last_due: at("2026-01-01T00:00:00Z"),
        ..known.clone()
    };
    let begun = bench.ledger.begin_schedule("export.nightly", &late, at(to));
    begun.await.expect("the ledger");
    let found = bench.ledger.find_due("export.nightly").await;
    assert_eq!(found.expect("the ledger"), Some(known));
}
