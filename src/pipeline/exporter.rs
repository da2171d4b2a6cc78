//! Exports planned bundles one after another: gives each its place in the pipeline, writes it, records it.
//!
//! `export` writes one bundle and knows no pipeline's past; here stands which bundles are there already, and
//! where the others go.
//!
//! **Invariants.** Exports of one pipeline that share a ledger exclude each other. What is unchanged takes no
//! sequence. Specification: design.md, "Sequence".

use super::export::{ExportReport, run_reserved};
use super::export_finish::Finishing;
use super::export_known::{Knowledge, KnownBundle, KnownPipeline, find_repeated, next_position};
use super::export_memory::{ExportMemory, Reservation, warn_of};
use super::export_plan::{ExportOptions, ExportPlan, PipelineRequest};
use super::export_room::{Room, names_standing};
use super::export_wait::wait_for;
use crate::bundle::SigningKey;
use crate::content::{ErrorKind, Result};
use crate::history::{ActiveRun, ExportPosition, Hold, PipelineId, RunPhase, RunStatus};
use crate::storage::StorageContainer;

/// What the bundles of one export have in common.
pub struct Exporter<'a> {
    pub options: &'a ExportOptions,
    pub container: &'a dyn StorageContainer,
    pub keys: &'a [SigningKey],
    pub memory: Option<&'a ExportMemory>,
}

impl Exporter<'_> {
    /// Writes the bundles in their order; `told` hears of each that is done.
    pub async fn run(
        &self,
        plans: &mut [ExportPlan],
        mut told: impl FnMut(&ExportPlan, &ExportReport),
    ) -> Result<()> {
        let Some(request) = &self.options.pipeline else {
            for plan in plans {
                if !self.stands(plan).await? {
                    plan.thin(self.options, self.memory, None).await?;
                }
                let report = self.write(plan).await?;
                told(plan, &report);
            }
            return Ok(());
        };
        let _hold = match self.memory {
            Some(memory) => Some(self.hold(memory, request).await?),
            None => None,
        };
        let prepared = match self.finish(request, plans).await {
            Ok(()) => self.prepare(plans, request).await,
            Err(error) => Err(error),
        };
        if let (Err(error), Some(memory)) = (&prepared, self.memory) {
            memory.record_failure(self.options, error).await;
        }
        let (repeated, position) = prepared?;
        let count = repeated.len();
        for (plan, report) in plans.iter().zip(&repeated) {
            self.record_repeated(plan, report).await?;
            told(plan, report);
        }
        let Some(mut position) = position else {
            return Ok(());
        };
        if let Some(memory) = self.memory {
            let now = (memory.clock)();
            memory.ledger.remember_pipeline(&position, now).await?;
        }
        for plan in &mut plans[count..] {
            let thinned = plan.thin(self.options, self.memory, Some(&position));
            if let Err(error) = thinned.await {
                if let Some(memory) = self.memory {
                    memory.record_failure(self.options, &error).await;
                }
                return Err(error);
            }
            plan.place(position.clone(), self.options.naming())?;
            let report = self.write(plan).await?;
            told(plan, &report);
            position = after(position, &report);
        }
        Ok(())
    }

    /// Ends an export that selects nothing. What was left visible in part is finished all the same.
    pub async fn run_nothing(&self) -> Result<()> {
        let Some(memory) = self.memory else {
            return Ok(());
        };
        if let Some(request) = &self.options.pipeline {
            let _hold = self.hold(memory, request).await?;
            if let Err(error) = self.finish(request, &mut []).await {
                memory.record_failure(self.options, &error).await;
                return Err(error);
            }
        }
        memory.record_nothing(self.options).await
    }

    /// Waits until nobody else exports the pipeline.
    async fn hold(&self, memory: &ExportMemory, request: &PipelineRequest) -> Result<Hold> {
        let hold = memory.ledger.hold_pipeline(&request.name);
        let what = format!("is exporting the pipeline `{}`", request.name);
        wait_for(hold, &what, &self.options.events).await
    }

    /// What exports that were ended in the middle of their publication have left.
    async fn finish(&self, request: &PipelineRequest, plans: &mut [ExportPlan]) -> Result<()> {
        let Some(memory) = self.memory else {
            return Ok(());
        };
        let finishing = Finishing {
            memory,
            container: self.container,
            options: self.options,
            keys: self.keys,
        };
        finishing.finish(&request.name, plans).await
    }

    /// The plans, from the first, that are bundles already; and the place of the first that is not.
    async fn prepare(
        &self,
        plans: &mut [ExportPlan],
        request: &PipelineRequest,
    ) -> Result<(Vec<ExportReport>, Option<ExportPosition>)> {
        let known = self.knowledge().find(&request.name, plans.len()).await?;
        let repeated = self.find_repeated(plans, known.as_ref()).await?;
        let position = match repeated.len() == plans.len() {
            true => None,
            false => Some(next_position(
                request,
                known.as_ref(),
                self.memory.is_some(),
            )?),
        };
        Ok((repeated, position))
    }

    fn knowledge(&self) -> Knowledge<'_> {
        Knowledge {
            ledger: self.memory.map(|memory| &memory.ledger),
            container: Some(self.container),
            keys: self.keys,
        }
    }

    /// The plans, from the first, that are whole in the container as the newest bundles of the pipeline.
    async fn find_repeated(
        &self,
        plans: &mut [ExportPlan],
        known: Option<&KnownPipeline>,
    ) -> Result<Vec<ExportReport>> {
        let Some((request, known)) = self.options.pipeline.as_ref().zip(known) else {
            return Ok(Vec::new());
        };
        for count in counts_of_repeated(plans, request, known) {
            let bundles = known.bundles[..count].iter().rev();
            let mut reports = Vec::new();
            for (plan, bundle) in plans.iter_mut().zip(bundles) {
                place_at(plan, request, &known.id, bundle);
                reports.extend(self.find_whole(plan, bundle).await?);
            }
            if reports.len() == count {
                return Ok(reports);
            }
        }
        Ok(Vec::new())
    }

    /// Whether a one-off bundle is there already, so that its layers need not be taken apart.
    async fn stands(&self, plan: &ExportPlan) -> Result<bool> {
        let found = match self.options.thinning.leaves_out() {
            true => self.find_standing(plan).await?,
            false => None,
        };
        Ok(found.is_some())
    }

    async fn find_whole(
        &self,
        plan: &ExportPlan,
        bundle: &KnownBundle,
    ) -> Result<Option<ExportReport>> {
        let is_it = |report: &ExportReport| {
            let last = report.volumes.last().map(|last| &last.inventory_digest);
            bundle.inventory.is_none() || bundle.inventory.as_ref() == last
        };
        Ok(self.find_standing(plan).await?.filter(is_it))
    }

    async fn find_standing(&self, plan: &ExportPlan) -> Result<Option<ExportReport>> {
        let room = Room {
            export: plan,
            names: names_standing(plan, self.options, self.container).await?,
            options: self.options,
            container: self.container,
            keys: self.keys,
            uploads: None,
        };
        match room.find_unchanged().await {
            // What is left of it is no bundle; the new one has another name.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(None),
            found => found,
        }
    }

    async fn record_repeated(&self, plan: &ExportPlan, report: &ExportReport) -> Result<()> {
        let Some(memory) = self.memory else {
            return Ok(());
        };
        let run = memory.start(plan).await?;
        let bundle = (plan, &self.options.audience[..]);
        memory.adopt(run.id(), bundle, report).await?;
        memory.end(run, plan, report).await
    }

    async fn write(&self, plan: &mut ExportPlan) -> Result<ExportReport> {
        let Some(memory) = self.memory else {
            return run_reserved(plan, self.options, self.container, (self.keys, None)).await;
        };
        plan.past = memory.past_of(plan, self.options).await?;
        let run = memory.start(plan).await?;
        match self.write_recorded(plan, memory, &run).await {
            Ok(report) => {
                memory.end(run, plan, &report).await?;
                Ok(report)
            }
            Err(error) => {
                let failed = run.fail(RunStatus::Failed, &error).await;
                warn_of(&self.options.events, failed);
                Err(error)
            }
        }
    }

    async fn write_recorded(
        &self,
        plan: &ExportPlan,
        memory: &ExportMemory,
        run: &ActiveRun,
    ) -> Result<ExportReport> {
        let reservation = Reservation {
            memory,
            run: run.id(),
            overwrite: self.options.overwrite,
            audience: &self.options.audience,
        };
        let signing = (self.keys, Some(&reservation));
        let mut options = self.options.clone();
        options.events = run.events(&options.events, RunPhase::Moving);
        let report = tokio::select! {
            written = run_reserved(plan, &options, self.container, signing) => written?,
            error = run.cancelled() => return Err(error),
        };
        if plan.position.is_some() {
            let bundle = (plan, &self.options.audience[..]);
            memory.adopt(run.id(), bundle, &report).await?;
        }
        Ok(report)
    }
}

/// Gives the plans the places that an export would give them now; nothing is written or recorded.
pub async fn preview_exports(
    plans: &mut [ExportPlan],
    options: &ExportOptions,
    container: Option<&dyn StorageContainer>,
    keys: &[SigningKey],
    memory: Option<&ExportMemory>,
) -> Result<()> {
    let Some(request) = &options.pipeline else {
        for plan in plans {
            plan.thin(options, memory, None).await?;
        }
        return Ok(());
    };
    let knowledge = Knowledge {
        ledger: memory.map(|memory| &memory.ledger),
        container,
        keys,
    };
    let known = knowledge.find(&request.name, plans.len()).await?;
    let repeated = match (&known, container) {
        (Some(known), Some(container)) => {
            preview_repeated((plans, request), (known, options), container).await?
        }
        _ => 0,
    };
    if repeated == plans.len() {
        return Ok(());
    }
    let mut position = next_position(request, known.as_ref(), memory.is_some())?;
    for plan in &mut plans[repeated..] {
        plan.thin(options, memory, Some(&position)).await?;
        plan.place(position.clone(), options.naming())?;
        position.sequence += 1;
        position.previous = None;
    }
    Ok(())
}

async fn preview_repeated(
    (plans, request): (&mut [ExportPlan], &PipelineRequest),
    (known, options): (&KnownPipeline, &ExportOptions),
    container: &dyn StorageContainer,
) -> Result<usize> {
    for count in counts_of_repeated(plans, request, known) {
        let mut are_there = true;
        for (plan, bundle) in plans.iter_mut().zip(known.bundles[..count].iter().rev()) {
            place_at(plan, request, &known.id, bundle);
            for name in names_standing(plan, options, container).await? {
                are_there &= container.find(&name).await?.is_some();
            }
        }
        if are_there {
            return Ok(count);
        }
    }
    Ok(0)
}

/// A number that is asked for and above everything known means that something newer is not known here.
fn counts_of_repeated(
    plans: &[ExportPlan],
    request: &PipelineRequest,
    known: &KnownPipeline,
) -> Vec<usize> {
    // An importer takes no bundle twice, and what was missing may be missing again.
    if plans.iter().any(|plan| plan.repairs.is_some()) {
        return Vec::new();
    }
    let newest = known.bundles.first().map_or(0, |newest| newest.sequence);
    if request.sequence.is_some_and(|asked| asked > newest) {
        return Vec::new();
    }
    let sets: Vec<&str> = plans.iter().map(|plan| &*plan.set).collect();
    find_repeated(&sets, &known.bundles)
}

/// Takes the place and the name of a bundle that was made before.
fn place_at(
    plan: &mut ExportPlan,
    request: &PipelineRequest,
    id: &PipelineId,
    bundle: &KnownBundle,
) {
    plan.name.clone_from(&bundle.name);
    plan.position = Some(ExportPosition {
        pipeline: id.clone(),
        name: request.name.clone(),
        sequence: bundle.sequence,
        previous: None,
    });
}

fn after(position: ExportPosition, report: &ExportReport) -> ExportPosition {
    let last = report.volumes.last();
    ExportPosition {
        sequence: position.sequence.saturating_add(1),
        previous: last.map(|volume| volume.inventory_digest.clone()),
        ..position
    }
}
