//! Carries a transfer out: looks, plans, copies object by object, reads back, and removes at the source.
//!
//! **Invariants.** Nothing moves before all of it is known to fit. A bundle is removed at the source only when
//! every volume and countersignature of it is at the target, proven where that was asked for, and only those
//! versions that were copied.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::TryStreamExt;

use super::compare::{Target, are_equal, prove_volume};
use super::options::{
    ObjectOutcome, ReadBackPolicy, SourcePolicy, TransferOptions, TransferReport, TransferredBundle,
};
use super::plan::{
    Piece, PlannedAction, PlannedBundle, PlannedObject, TransferFailure, TransferPlan, check_room,
    plan_bundle,
};
use super::stored::group;
use super::stream::{Passed, stream_object};
use super::survey::ContainerSurvey;
use crate::content::{Error, ErrorKind, Event, OnError, Result, Version, describe};
use crate::pipeline::open_bundles::countersigner;
use crate::storage::{Overwrite, ServiceCopy, StorageContainer, WantedCopy};

/// Looks at both sides and decides. The surveys remember what they read, for the next round of a watch.
pub async fn plan_transfer(
    options: &TransferOptions,
    source: &mut ContainerSurvey,
    target: &mut ContainerSurvey,
) -> Result<TransferPlan> {
    let container = &*options.source;
    let sight = source
        .look(container, &options.selection, &options.policy)
        .await
        .map_err(|error| error.on_side("source"))?;
    let (sets, ignored) = group(sight.volumes, sight.signatures);
    let sets = options.selection.apply(sets, options.demand)?;
    let size_max = options.target.object_size_max_bytes().await?;
    let mut target = Target::list(options, target).await?;
    let refused = sight.refused.into_iter().map(|(name, cause)| {
        let message = format!("cannot transfer `{}`", container.shown(&name));
        let error = Error::unverified(message).with_cause(cause);
        TransferFailure { name, error }
    });
    let mut plan = TransferPlan {
        ignored: [sight.ignored, ignored].concat(),
        refused: refused.collect(),
        arriving: sight.arriving,
        bundles: Vec::new(),
    };
    for set in sets {
        let present = target.find(&set).await?;
        let key = set.first().set_key.clone();
        let mut bundle = plan_bundle(set, &present, options.overwrite, size_max);
        if !bundle.missing_volumes.is_empty() {
            let there = target.volumes_of(&key).await?;
            bundle
                .missing_volumes
                .retain(|number| !there.contains(number));
        }
        plan.bundles.push(bundle);
    }
    Ok(plan)
}

/// Carries the plan out. What fails is in the report; `Err` means that nothing could be begun.
pub async fn run_transfer(options: &TransferOptions, plan: TransferPlan) -> Result<TransferReport> {
    check_room(
        &plan,
        options.target.free_bytes().await?,
        reclaimed_bytes(options, &plan).await?,
    )?;
    let contents = plan.objects_to_copy().count();
    if contents > 0 {
        let bytes = plan.bytes_to_copy();
        (options.events)(Event::Planned { contents, bytes });
        if options.read_back == ReadBackPolicy::Verify {
            (options.events)(Event::ReadingBack(plan.bytes_to_read_back()));
        }
    }
    let mut run = Run {
        options,
        passed: Passed::default(),
        is_refusal_told: false,
        report: TransferReport {
            ignored: plan.ignored,
            arriving: plan.arriving,
            failures: plan.refused,
            ..TransferReport::default()
        },
    };
    let mut accepted = Vec::new();
    for bundle in plan.bundles {
        match bundle.error() {
            Some(error) => run.note_failure(&bundle.name, error),
            None => accepted.push(bundle),
        }
    }
    // Without continue-on-errors one refusal means that nothing moves.
    let mut goes_on = run.may_go_on();
    for bundle in accepted {
        if !goes_on {
            break;
        }
        if let Err(error) = run.carry(&bundle).await {
            run.note_failure(&bundle.name, error);
        }
        goes_on = run.may_go_on();
    }
    run.report.is_safe_to_remove = options.target.is_removable() && run.report.failures.is_empty();
    run.report.streamed_bytes = run.passed.streamed_bytes.into_inner();
    run.report.resumed_bytes = run.passed.resumed_bytes.into_inner();
    Ok(run.report)
}

/// Pieces that earlier runs have left of objects that are written anew.
async fn reclaimed_bytes(options: &TransferOptions, plan: &TransferPlan) -> Result<u64> {
    if options.target.free_bytes().await?.is_none() {
        return Ok(0);
    }
    let uploads = options.target.list_uploads().await?.unwrap_or_default();
    let left = uploads.iter().filter(|upload| {
        !upload.is_held
            && plan
                .objects_to_copy()
                .any(|object| object.name() == upload.object)
    });
    Ok(left.filter_map(|upload| upload.size_bytes).sum())
}

struct Run<'a> {
    options: &'a TransferOptions,
    passed: Passed,
    /// That the services do not copy by themselves is told once.
    is_refusal_told: bool,
    report: TransferReport,
}

impl Run<'_> {
    fn note_failure(&mut self, bundle: &str, error: Error) {
        self.report.failures.push(TransferFailure {
            name: bundle.to_owned(),
            error,
        });
    }

    fn may_go_on(&self) -> bool {
        self.options.on_error == OnError::Continue || self.report.failures.is_empty()
    }

    /// Brings one bundle over. What was done before a failure stays in the report.
    async fn carry(&mut self, bundle: &PlannedBundle) -> Result<()> {
        let position = self.report.bundles.len();
        self.report.bundles.push(TransferredBundle {
            name: bundle.name.clone(),
            pipeline: bundle.pipeline.clone(),
            sequence: bundle.sequence,
            inventory: bundle.inventory.clone(),
            objects: Vec::new(),
            missing_volumes: bundle.missing_volumes.clone(),
            is_removed_at_source: false,
        });
        for object in &bundle.objects {
            let outcome = self.copy(object).await?;
            let told = (object.name().to_owned(), object.size_bytes(), outcome);
            self.report.bundles[position].objects.push(told);
        }
        let names: Vec<String> = bundle.objects.iter().map(|o| o.name().to_owned()).collect();
        let flushed = self.options.target.flush(&names).await;
        flushed.map_err(|error| error.on_side("target"))?;
        if self.options.source_policy == SourcePolicy::Delete && bundle.missing_volumes.is_empty() {
            let is_removed = self.remove_at_source(bundle).await?;
            self.report.bundles[position].is_removed_at_source = is_removed;
        }
        Ok(())
    }

    async fn copy(&mut self, object: &PlannedObject) -> Result<ObjectOutcome> {
        let overwrite = match object.action {
            PlannedAction::Keep => {
                // It was proven when it was compared.
                let is_proven = self.options.read_back == ReadBackPolicy::Verify;
                self.report.verified_objects += usize::from(is_proven);
                return Ok(ObjectOutcome::Kept);
            }
            PlannedAction::Copy => Overwrite::Refuse,
            PlannedAction::Replace => Overwrite::Replace,
        };
        let mut outcome = ObjectOutcome::CopiedByService;
        if !self.copy_by_service(object, overwrite).await? {
            stream_object(self.options, object, overwrite, &self.passed).await?;
            outcome = ObjectOutcome::Streamed;
        }
        if self.options.read_back == ReadBackPolicy::Verify {
            self.read_back(object).await?;
            self.report.verified_objects += 1;
        }
        Ok(outcome)
    }

    /// `false` where the bytes have to go through this process.
    async fn copy_by_service(
        &mut self,
        object: &PlannedObject,
        overwrite: Overwrite,
    ) -> Result<bool> {
        let (options, name) = (self.options, object.name());
        let heard = AtomicU64::new(0);
        let on_bytes = |bytes| {
            heard.fetch_add(bytes, Ordering::Relaxed);
            (options.events)(Event::Moved(bytes));
        };
        loop {
            let offered = options.source.offer(name, object.version()).await;
            let Some(source) = offered.map_err(|error| error.on_side("source"))? else {
                return Ok(false);
            };
            let before = heard.load(Ordering::Relaxed);
            let copied = options.target.copy_from(WantedCopy {
                object: name,
                source: &source,
                overwrite,
                on_bytes: &on_bytes,
            });
            match copied.await {
                Ok(ServiceCopy::Done) => {
                    let rest = object.size_bytes().saturating_sub(heard.into_inner());
                    (options.events)(Event::Spared(rest));
                    return Ok(true);
                }
                Ok(ServiceCopy::Apart) => return Ok(false),
                Ok(ServiceCopy::Refused(error)) => {
                    self.tell_refusal(&error);
                    return Ok(false);
                }
                // What the service reads with is short-lived; another one goes on where this one has ended. One
                // that has to begin anew each time comes to an end too.
                Err(error) if error.kind() == ErrorKind::Denied => {
                    let now = heard.load(Ordering::Relaxed);
                    if now == before || now >= object.size_bytes() {
                        return Err(error.on_side("target"));
                    }
                }
                Err(error) => return Err(error.on_side("target")),
            }
        }
    }

    fn tell_refusal(&mut self, error: &Error) {
        if !std::mem::replace(&mut self.is_refusal_told, true) {
            let reason = describe(error);
            let text = format!(
                "the service does not copy by itself, so the bytes go through this machine: {reason}"
            );
            (self.options.events)(Event::Warning(text));
        }
    }

    /// What this run has written and is not right does not stay.
    async fn read_back(&self, object: &PlannedObject) -> Result<()> {
        let target = &*self.options.target;
        let proven = match &object.piece {
            Piece::Volume(volume) => prove_volume(self.options, volume).await,
            Piece::Signature(signature) => match are_equal(self.options, signature).await? {
                true => Ok(()),
                false => Err(Error::unverified(format!(
                    "target: `{}` is not what the source has",
                    target.shown(&signature.object)
                ))),
            },
        };
        if proven.is_err()
            && let Some(found) = target.find(object.name()).await?
        {
            target.remove(object.name(), Some(&found.version)).await?;
        }
        proven
    }

    /// Removes the versions that were copied, each volume after its countersignatures. `false` where a new
    /// countersignature has come, which the next run brings over first.
    async fn remove_at_source(&self, bundle: &PlannedBundle) -> Result<bool> {
        let source = &*self.options.source;
        let objects = bundle.objects.iter();
        let versions: HashMap<&str, &Version> = objects
            .map(|object| (object.name(), object.version()))
            .collect();
        let mut removals: Vec<Vec<&str>> = Vec::new();
        for object in &bundle.objects {
            let Piece::Volume(volume) = &object.piece else {
                continue;
            };
            let signatures = signatures_beside(source, &volume.object).await?;
            let known = signatures
                .iter()
                .map(|name| versions.get_key_value(name.as_str()));
            let Some(mut names) = known
                .map(|known| known.map(|(name, _)| *name))
                .collect::<Option<Vec<&str>>>()
            else {
                return Ok(false);
            };
            names.push(&volume.object);
            removals.push(names);
        }
        for name in removals.iter().flatten() {
            let removed = source.remove(name, versions.get(name).copied()).await;
            removed.map_err(|error| error.on_side("source"))?;
        }
        Ok(true)
    }
}

async fn signatures_beside(source: &dyn StorageContainer, object: &str) -> Result<Vec<String>> {
    let listed: Vec<_> = source.list(object).try_collect().await?;
    let names = listed.into_iter().map(|found| found.name);
    Ok(names
        .filter(|name| countersigner(name, object).is_some())
        .collect())
}
