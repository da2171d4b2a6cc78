//! The audit log in a real database: written with the end of a run, guarded, and missed where it is cut.

use futures_util::TryStreamExt;
use sqlx::sqlite::SqlitePool;

use super::{at, digest, import, ledger, start};
use crate::content::{ErrorKind, describe};
use crate::history::{
    ActiveRun, AuditEntry, AuditKind, AuditRecord, CarriedBundle, ChainCheck, HistoryOf, Ledger,
    NewerLedger, RefusedArtifact, RunOutcome, RunStatus,
};

const WEB: &str = "registry.example/mirror/web:1";

fn imported(content: &str, replaced: Option<&str>) -> AuditEntry {
    AuditEntry {
        source: Some("r.example/web:1".to_owned()),
        target: Some(WEB.to_owned()),
        digest: Some(digest(content)),
        replaced: replaced.map(digest),
        ..AuditEntry::new(AuditKind::Imported)
    }
}

async fn end_with(ledger: &Ledger, second: i64, entry: AuditEntry) {
    let run = start(ledger, at(second)).await;
    let mut outcome = RunOutcome::new(RunStatus::Done);
    outcome.inventory = Some(digest(&format!("inventory {second}")));
    outcome.events.push(entry);
    ledger.end_run(&run, &outcome, at(second)).await.unwrap();
}

async fn records(ledger: &Ledger) -> Vec<AuditRecord> {
    let read: Vec<Option<AuditRecord>> = ledger.read_audit(0).try_collect().await.unwrap();
    read.into_iter().map(Option::unwrap).collect()
}

async fn database(ledger: &Ledger) -> SqlitePool {
    let path = format!("sqlite://{}/ledger.db", ledger.shown());
    SqlitePool::connect(&path).await.unwrap()
}

#[tokio::test]
async fn records_outlive_their_runs_and_make_a_chain() {
    let (_directory, ledger) = ledger().await;
    end_with(&ledger, 1, imported("one", None)).await;
    end_with(&ledger, 2, imported("two", Some("one"))).await;
    end_with(&ledger, 3, imported("two", Some("two"))).await;
    assert_eq!(ledger.forget_runs(at(100)).await.unwrap(), 3);
    let records = records(&ledger).await;
    let mut check = ChainCheck::of_log(ledger.read_audit_head().unwrap().into_iter().collect());
    for record in &records {
        check.take(record).unwrap();
    }
    let checked = check.finish().unwrap();
    assert_eq!(checked.records, 3);
    assert_eq!(checked.head, ledger.read_audit_head().unwrap());
    assert_eq!(records[1].who, "ops (1000)");
    assert_eq!(records[1].inventory, Some(digest("inventory 2")));

    let moves = ledger.list_tag_moves("registry.example/mirror", "mirror/web:1");
    let moves = moves.await.unwrap();
    let digests: Vec<_> = moves.iter().map(|it| it.digest.clone()).collect();
    assert_eq!(digests, [digest("two"), digest("one")]);
    assert_eq!(moves[0].replaced, Some(digest("one")));
}

#[tokio::test]
async fn records_cannot_be_changed_by_accident() {
    let (_directory, ledger) = ledger().await;
    end_with(&ledger, 1, imported("one", None)).await;
    let pool = database(&ledger).await;
    for statement in ["UPDATE audit SET who = 'nobody'", "DELETE FROM audit"] {
        let refused = sqlx::query(sqlx::AssertSqlSafe(statement))
            .execute(&pool)
            .await
            .unwrap_err();
        assert!(refused.to_string().contains("are not"), "{refused}");
    }
}

#[tokio::test]
async fn a_tail_that_was_cut_off_stays_missed_when_others_follow() {
    let (_directory, ledger) = ledger().await;
    for second in 1..4 {
        end_with(&ledger, second, imported("one", None)).await;
    }
    let noted = ledger.read_audit_head().unwrap().unwrap();
    let pool = database(&ledger).await;
    let cut = "DROP TRIGGER audit_is_not_deleted; DELETE FROM audit WHERE number > 1";
    sqlx::raw_sql(sqlx::AssertSqlSafe(cut))
        .execute(&pool)
        .await
        .unwrap();
    for second in 4..8 {
        end_with(&ledger, second, imported("one", None)).await;
    }
    assert_eq!(ledger.read_audit_head().unwrap(), Some(noted.clone()));
    let mut check = ChainCheck::of_log(vec![noted]);
    let records = records(&ledger).await;
    let found = records.iter().try_for_each(|record| check.take(record));
    assert!(
        found
            .unwrap_err()
            .to_string()
            .starts_with("record 3 is not")
    );
}

#[tokio::test]
async fn a_refused_bundle_is_recorded_once_with_what_it_would_have_brought() {
    let (_directory, ledger) = ledger().await;
    let run = ActiveRun::begin(&ledger, &import(), || at(5))
        .await
        .unwrap();
    let artifact = RefusedArtifact {
        target: WEB.to_owned(),
        digest: digest("bad"),
    };
    let error = crate::content::Error::unverified("cannot import `web`: a fork");
    run.refuse(&error, vec![artifact]).await.unwrap();
    let records = records(&ledger).await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].kind, AuditKind::Refused);
    assert_eq!(records[0].source.as_deref(), Some("/mnt/usb"));
    assert_eq!(
        records[0].reason.as_deref(),
        Some("cannot import `web`: a fork")
    );
    for of in [
        HistoryOf::Digest(digest("bad")),
        HistoryOf::Reference(WEB.to_owned()),
        HistoryOf::Reference("registry.example/mirror/web".to_owned()),
    ] {
        let events = ledger.find_history(&of).await.unwrap();
        assert_eq!(events.len(), 1, "{of:?}");
    }
    let other = HistoryOf::Reference("registry.example/mirror/we_".to_owned());
    assert!(ledger.find_history(&other).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_run_that_was_refused_is_in_the_log_without_being_told() {
    let (_directory, ledger) = ledger().await;
    let run = start(&ledger, at(1)).await;
    let outcome = RunOutcome::new(RunStatus::Refused).because("a replay");
    ledger.end_run(&run, &outcome, at(1)).await.unwrap();
    assert_eq!(
        records(&ledger).await[0].reason.as_deref(),
        Some("a replay")
    );
}

#[tokio::test]
async fn a_bundle_that_was_carried_belongs_to_the_history_of_what_is_in_it() {
    let (_directory, ledger) = ledger().await;
    end_with(&ledger, 1, imported("one", None)).await;
    let carried = |inventory: &str| CarriedBundle {
        name: "web-1".to_owned(),
        inventory: digest(inventory),
        sequence: Some(1),
    };
    let entry = AuditEntry::transferred(carried("inventory 1"));
    end_with(&ledger, 2, entry).await;
    let other = AuditEntry::transferred(carried("another"));
    end_with(&ledger, 3, other).await;
    let events = ledger
        .find_history(&HistoryOf::Digest(digest("one")))
        .await
        .unwrap();
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["imported", "transferred"]);
    assert_eq!(events[1].source.as_deref(), Some("/mnt/usb"));
    assert_eq!(events[1].inventory, Some(digest("inventory 1")));
}

#[tokio::test]
async fn a_reference_has_the_history_of_all_that_it_stood_for() {
    let (_directory, ledger) = ledger().await;
    end_with(&ledger, 1, imported("one", None)).await;
    end_with(&ledger, 2, imported("two", Some("one"))).await;
    let elsewhere = AuditEntry {
        target: Some("registry.example/other:1".to_owned()),
        ..imported("one", None)
    };
    end_with(&ledger, 3, elsewhere).await;
    let times = async |of: HistoryOf| -> Vec<i64> {
        let events = ledger.find_history(&of).await.unwrap();
        events.iter().map(|event| event.time.as_second()).collect()
    };
    assert_eq!(times(HistoryOf::Reference(WEB.to_owned())).await, [1, 2, 3]);
    let repository = WEB.trim_end_matches(":1").to_owned();
    assert_eq!(times(HistoryOf::Reference(repository)).await, [1, 2, 3]);
    assert_eq!(times(HistoryOf::Digest(digest("two"))).await, [2]);
    assert_eq!(times(HistoryOf::Digest(digest("one"))).await, [1, 3]);
}

#[tokio::test]
async fn a_ledger_of_a_newer_version_is_refused_by_name() {
    let (_directory, ledger) = ledger().await;
    let pool = database(&ledger).await;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'later', TRUE, x'00', 0)",
    )
    .execute(&pool)
    .await
    .unwrap();
    let directory = ledger.shown();
    drop(ledger);
    let error = Ledger::open(directory.as_ref()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let cause = std::error::Error::source(&error).unwrap();
    let newer = cause.downcast_ref::<NewerLedger>().unwrap();
    assert_eq!(newer.version, 9999);
    assert!(describe(&error).contains("ledger.db`"), "{error}");
}
