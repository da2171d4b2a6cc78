//! Puts an overwritten tag of a target back to what it was before, by what the ledger knows of it.
//!
//! Not an undo of a delivery: contents stay, other tags stay, and a newer bundle moves the tag on again. What a tag
//! is put back to must still be at the target, for nothing is fetched from anywhere.
//!
//! **Invariants.** Without a destination that was named, a tag goes back only from what is known to have been put
//! there. It is planned before a run begins, and a run that begins is recorded.

use jiff::Timestamp;

use super::place::{Place, TargetReference};
use crate::content::{Document, Error, ErrorKind, Result, fetch_document};
use crate::history::{
    ActiveRun, ArtifactCounts, AuditEntry, AuditKind, Ledger, LogEvent, NewRun, RepositoryCounts,
    RunId, RunKind, RunLink, RunOutcome, RunStatus, TagMove, Trigger, reference_at,
};
use crate::oci::{Digest, Pin, Repository, Tag};

/// A tag that is to be put back.
#[derive(Clone, Debug)]
pub struct RollbackRequest {
    /// As the ledger calls it, without a prefix.
    pub target: TargetReference,
    pub repository: Repository,
    pub tag: Tag,
    /// Where to; `None` is what it was before.
    pub to: Option<Pin>,
}

/// What would be done. Nothing has been.
pub struct RollbackPlan {
    pub request: RollbackRequest,
    /// What the tag stands for now, where it is there.
    pub from: Option<Digest>,
    pub to: Digest,
    /// The run that had put there what goes.
    pub undoes: Option<RunId>,
    document: Document,
}

/// Who puts it back, and why.
pub struct RollbackAuthor {
    pub who: String,
    pub comment: String,
    pub clock: fn() -> Timestamp,
}

impl RollbackRequest {
    /// `REPOSITORY:TAG`.
    fn name(&self) -> String {
        format!("{}:{}", self.repository, self.tag)
    }

    /// The whole reference, as the audit log has it.
    pub fn reference(&self) -> String {
        reference_at(&self.target.to_string(), &self.name())
    }
}

impl RollbackPlan {
    /// Whether the tag is where it is to be already.
    pub fn is_unchanged(&self) -> bool {
        self.from.as_ref() == Some(&self.to)
    }
}

/// Finds out what the tag stands for, and what it is to stand for again.
pub async fn plan_rollback(
    request: RollbackRequest,
    place: &Place,
    ledger: &Ledger,
) -> Result<RollbackPlan> {
    let reference = request.reference();
    let (source, target) = (place.as_source(), place.as_target());
    let found = target.resolve_tag(&request.repository, &request.tag).await;
    let from = found.map_err(|error| error.on_side("target"))?;
    let target_name = request.target.to_string();
    let moves = ledger.list_tag_moves(&target_name, &request.name()).await?;
    let to = match &request.to {
        Some(pin) => pin.clone(),
        None => Pin::Digest(find_before(&reference, &moves, from.as_ref())?),
    };
    let document = fetch_document(&*source, &request.repository, &to).await;
    let document = document.map_err(|error| match error.is_not_found() {
        true => Error::not_found(format!(
            "target: `{}` at `{to}` is no longer there, so `{reference}` cannot go back to it",
            request.repository
        )),
        false => error.within(format!("target: cannot read what `{reference}` is to be")),
    })?;
    let undone = moves.iter().find(|it| Some(&it.digest) == from.as_ref());
    Ok(RollbackPlan {
        from,
        to: document.descriptor.digest.clone(),
        undoes: undone.and_then(|it| it.run.clone()),
        document,
        request,
    })
}

/// What the tag was before it was made what it is: step by step, for what was put back counts as not having moved.
fn find_before(reference: &str, moves: &[TagMove], now: Option<&Digest>) -> Result<Digest> {
    let refuse = |reason: String| Error::new(ErrorKind::Refused, reason);
    let Some(now) = now else {
        return Err(refuse(format!(
            "there is no `{reference}` at the target, so it is not known from where to go back"
        )));
    };
    let made = moves
        .iter()
        .find(|it| it.digest == *now && it.kind != AuditKind::RolledBack);
    let before = made.and_then(|it| it.replaced.clone());
    before.ok_or_else(|| {
        let known = match made {
            Some(_) => "and stood for nothing before that is known",
            None => "and nothing is known of how that came there",
        };
        refuse(format!("`{reference}` stands for `{now}`, {known}"))
    })
}

/// Moves the tag, and records it.
pub async fn run_rollback(
    plan: &RollbackPlan,
    place: &Place,
    ledger: &Ledger,
    author: &RollbackAuthor,
) -> Result<RunId> {
    let said = (author.who.clone(), author.comment.clone());
    let described = describe_rollback(plan.request.target.to_string(), said);
    let run = ActiveRun::begin(ledger, &described, author.clock).await?;
    let id = run.id().clone();
    let reference = plan.request.reference();
    let RollbackRequest {
        repository, tag, ..
    } = &plan.request;
    let tagged = match plan.is_unchanged() {
        true => Ok(()),
        false => place.as_target().tag(repository, &plan.document, tag).await,
    };
    if let Err(error) = tagged {
        let error = error.within(format!("target: cannot put `{reference}` back"));
        run.fail(RunStatus::Failed, &error).await?;
        return Err(error);
    }
    let event = match plan.is_unchanged() {
        true => LogEvent::Unchanged,
        false => LogEvent::Delivered,
    };
    run.tell(event, format!("{reference}: {}", plan.to));
    run.end(&outcome_of(plan)).await?;
    Ok(id)
}

/// The record of a rollback at `target`, a place or a reference, by somebody who has said why.
pub fn describe_rollback(target: String, (who, comment): (String, String)) -> NewRun {
    NewRun {
        kind: RunKind::Rollback,
        pipeline: None,
        trigger: Trigger::Manual,
        who,
        comment: Some(comment),
        container: None,
        target: Some(target),
        bundle: None,
        set: None,
        inventory: None,
        sequence: None,
        link: RunLink::default(),
    }
}

fn outcome_of(plan: &RollbackPlan) -> RunOutcome {
    let is_moved = u64::from(!plan.is_unchanged());
    let artifacts = ArtifactCounts {
        total: 1,
        delivered: is_moved,
        unchanged: 1 - is_moved,
        ..ArtifactCounts::default()
    };
    let entry = AuditEntry {
        target: Some(plan.request.reference()),
        digest: Some(plan.to.clone()),
        replaced: plan.from.clone(),
        ..AuditEntry::new(AuditKind::RolledBack)
    };
    RunOutcome {
        artifacts,
        repositories: vec![RepositoryCounts {
            repository: plan.request.repository.to_string(),
            artifacts,
        }],
        events: match plan.is_unchanged() {
            true => Vec::new(),
            false => vec![entry],
        },
        ..RunOutcome::new(RunStatus::Done)
    }
}
