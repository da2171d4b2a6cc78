//! Claims: one holder at a time, stale ones change nothing, and many claimers lose and double nothing.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{at, digest, ledger, start};
use crate::content::{ErrorKind, Version};
use crate::history::{Blame, ClaimState, Decision, Ledger, Offered, RunOutcome, RunStatus};

const LEASE: SignedDuration = SignedDuration::from_secs(60);

#[tokio::test]
async fn what_is_done_is_due_again_once_for_each_change_of_the_rule() {
    let (_directory, ledger) = ledger().await;
    let (one, other) = (digest("one"), digest("other"));
    ledger.offer("a", at(0)).await.unwrap();
    assert!(
        !ledger.reopen_done("a", &other, at(0)).await.unwrap(),
        "it is due already"
    );
    let run = start(&ledger, at(0)).await;
    let claim = ledger.claim_object("a", "one", LEASE, at(1)).await.unwrap();
    let claim = claim.unwrap();
    ledger.note_rule(&claim, &one).await.unwrap();
    ledger.complete(&claim, &run).await.unwrap();
    assert!(!ledger.reopen_done("a", &one, at(2)).await.unwrap());
    assert!(ledger.reopen_done("a", &other, at(2)).await.unwrap());
    assert!(!ledger.reopen_done("a", &other, at(2)).await.unwrap());
    let again = ledger.claim_object("a", "two", LEASE, at(3)).await.unwrap();
    let again = again.unwrap();
    assert!(ledger.note_rule(&claim, &one).await.is_err(), "stale");
    ledger.note_rule(&again, &other).await.unwrap();
    ledger.complete(&again, &run).await.unwrap();
    assert!(!ledger.reopen_done("a", &other, at(4)).await.unwrap());
}

#[tokio::test]
async fn work_is_claimed_once_and_again_when_its_lease_is_over() {
    let (_directory, ledger) = ledger().await;
    assert_eq!(ledger.offer("a", at(0)).await.unwrap(), Offered::New);
    let known = Offered::Known(ClaimState::Waiting);
    assert_eq!(ledger.offer("a", at(1)).await.unwrap(), known);
    let mut first = ledger
        .claim_next("one", LEASE, at(1))
        .await
        .unwrap()
        .unwrap();
    assert!(
        ledger
            .claim_next("two", LEASE, at(2))
            .await
            .unwrap()
            .is_none()
    );
    ledger.renew(&mut first, LEASE, at(30)).await.unwrap();
    assert!(
        ledger
            .claim_next("two", LEASE, at(80))
            .await
            .unwrap()
            .is_none()
    );
    let second = ledger
        .claim_next("two", LEASE, at(90))
        .await
        .unwrap()
        .unwrap();
    assert!(second.fence > first.fence);
    assert_eq!(second.attempts, 2);
    let run = start(&ledger, at(90)).await;
    let stale = ledger.complete(&first, &run).await.unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::Changed);
    assert!(ledger.set_aside(&first, "no", &Blame::Rule).await.is_err());
    assert!(ledger.renew(&mut first, LEASE, at(91)).await.is_err());
    ledger.complete(&second, &run).await.unwrap();
    let done = ledger.find_claim("a").await.unwrap().unwrap();
    assert_eq!((done.state, done.run), (ClaimState::Done, Some(run)));
    assert!(
        ledger
            .claim_next("one", LEASE, at(999))
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn work_is_postponed_set_aside_and_brought_back() {
    let (_directory, ledger) = ledger().await;
    ledger.offer("a", at(0)).await.unwrap();
    let claim = ledger
        .claim_object("a", "one", LEASE, at(0))
        .await
        .unwrap()
        .unwrap();
    ledger
        .postpone(&claim, at(100), "the registry is away")
        .await
        .unwrap();
    assert!(
        ledger
            .claim_next("one", LEASE, at(99))
            .await
            .unwrap()
            .is_none()
    );
    let claim = ledger
        .claim_next("one", LEASE, at(100))
        .await
        .unwrap()
        .unwrap();
    let damaged = Blame::Content {
        versions: vec!["1".to_owned(), "2".to_owned()],
    };
    ledger
        .set_aside(&claim, "it is damaged\u{1b}", &damaged)
        .await
        .unwrap();
    assert!(
        ledger
            .claim_next("one", LEASE, at(9_999))
            .await
            .unwrap()
            .is_none()
    );
    let aside = &ledger.list_claims().await.unwrap()[0];
    assert_eq!(aside.state, ClaimState::SetAside);
    assert_eq!(aside.reason.as_deref(), Some("it is damaged\\u{1b}"));
    assert!(ledger.retry("a", at(200)).await.unwrap());
    assert!(!ledger.retry("b", at(200)).await.unwrap());
    let again = ledger
        .claim_next("one", LEASE, at(200))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(again.attempts, 1);
    assert!(again.fence > claim.fence);
}

/// Takes jobs until none is left, and tells which.
async fn work(ledger: Ledger, holder: String) -> Vec<String> {
    let mut done = Vec::new();
    let now = Timestamp::now();
    while let Some(claim) = ledger.claim_next(&holder, LEASE, now).await.unwrap() {
        let run = start(&ledger, now).await;
        ledger.complete(&claim, &run).await.unwrap();
        let outcome = RunOutcome::new(RunStatus::Done);
        ledger.end_run(&run, &outcome, now).await.unwrap();
        done.push(claim.object);
    }
    done
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_claimers_double_nothing_and_lose_nothing() {
    const JOBS: usize = 200;
    let (directory, first) = ledger().await;
    let second = Ledger::open(&directory.path().join("state")).await.unwrap();
    for job in 0..JOBS {
        first.offer(&format!("job-{job:03}"), at(0)).await.unwrap();
    }
    let tasks = (0..8).map(|task| {
        let ledger = if task % 2 == 0 { &first } else { &second };
        tokio::spawn(work(ledger.clone(), format!("task-{task}")))
    });
    let tasks: Vec<_> = tasks.collect();
    let mut done = Vec::new();
    for task in tasks {
        done.extend(task.await.unwrap());
    }
    assert_eq!(done.len(), JOBS);
    assert_eq!(done.iter().collect::<BTreeSet<_>>().len(), JOBS);
}

#[tokio::test]
async fn the_ledger_says_since_when_a_version_could_not_be_read() {
    let (_directory, ledger) = ledger().await;
    let note = async |version: &str, second| {
        let version = Version::new(version);
        let since = ledger.note_failed_reading("/mnt", "a.tar", &version, at(second));
        since.await.unwrap()
    };
    assert_eq!(note("1", 5).await, at(5));
    assert_eq!(note("1", 60).await, at(5));
    assert_eq!(note("2", 70).await, at(70), "another version begins anew");
    assert_eq!(
        ledger.list_failed_readings("/mnt").await.unwrap(),
        ["a.tar"]
    );
    ledger.forget_failed_reading("/mnt", "a.tar").await.unwrap();
    assert!(
        ledger
            .list_failed_readings("/mnt")
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn what_was_set_aside_says_whose_fault_it_is() {
    let (_directory, ledger) = ledger().await;
    let damaged = Blame::Content {
        versions: vec!["1".to_owned(), "2".to_owned()],
    };
    for (name, blame) in [("a", Blame::Rule), ("b", Blame::Trust), ("c", damaged)] {
        ledger.offer(name, at(0)).await.unwrap();
        let claim = ledger.claim_object(name, "one", LEASE, at(0)).await;
        let claim = claim.unwrap().unwrap();
        ledger.note_decision(&claim, &Decision::New).await.unwrap();
        ledger.set_aside(&claim, "no", &blame).await.unwrap();
        let known = ledger.find_claim(name).await.unwrap().unwrap();
        assert_eq!(
            (known.blame, known.decision.as_deref()),
            (Some(blame), Some("new"))
        );
        assert!(ledger.retry(name, at(1)).await.unwrap());
        assert_eq!(ledger.find_claim(name).await.unwrap().unwrap().blame, None);
    }
}
