//! Finishes bundles of a pipeline whose export was ended between the reservation of the number and the last volume.
//!
//! What is visible in part is finished whatever the next export has to carry. What is sealed and not visible at all
//! becomes visible under its number where the next export would write the same again; else the number stays a gap.
//!
//! **Invariants.** Only whole volumes of the bundle that the ledger has reserved are published, in their order, into
//! the container that they were written for, and nothing is replaced that its export would not have replaced.
//! Specification: src/history/SCHEMA.md, "Crash story".

use std::collections::BTreeMap;

use futures_util::TryStreamExt;

use super::export_inventory::frame_of;
use super::export_known::pass_over;
use super::export_left::{LeftBundle, Rest};
use super::export_memory::ExportMemory;
use super::export_name::name_objects;
use super::export_plan::{ExportOptions, ExportPlan};
use super::export_room::{is_final, is_whole_part, policy_of};
use super::export_uploads::abandon;
use super::export_wait::wait_for;
use super::open_bundles::{is_volume_name, open_volume};
use crate::bundle::{SignaturePolicy, SigningKey, Volume};
use crate::content::{Event, Result, describe};
use crate::history::{ExportPosition, ExportedBundle, PipelineId};
use crate::storage::{Overwrite, StorageContainer};

/// An export of a pipeline, before it has found its place.
pub(super) struct Finishing<'a> {
    pub memory: &'a ExportMemory,
    pub container: &'a dyn StorageContainer,
    pub options: &'a ExportOptions,
    pub keys: &'a [SigningKey],
}

/// A bundle that nobody has seen to its end.
struct Unfinished {
    pipeline: PipelineId,
    name: String,
    bundle: ExportedBundle,
    is_newest: bool,
}

impl Finishing<'_> {
    /// Finishes what exports of the pipeline have left in this container, and tells what is left in others. `plans`
    /// are what is to be exported now.
    pub(super) async fn finish(&self, name: &str, plans: &mut [ExportPlan]) -> Result<()> {
        let ledger = &self.memory.ledger;
        let Some(known) = ledger.find_pipeline(name).await? else {
            return Ok(());
        };
        let newest = known.newest.map(|newest| newest.sequence);
        for bundle in ledger.list_unfinished(&known.id).await? {
            let unfinished = Unfinished {
                pipeline: known.id.clone(),
                name: name.to_owned(),
                is_newest: Some(bundle.sequence) == newest,
                bundle,
            };
            match &unfinished.bundle.container {
                Some(container) if *container != self.memory.upload_place => {
                    self.tell_of_elsewhere(&unfinished, container).await?;
                }
                _ => self.finish_here(&unfinished, plans).await?,
            }
        }
        Ok(())
    }

    /// What is at another place is told as long as it is news, or something is known to be there.
    async fn tell_of_elsewhere(&self, unfinished: &Unfinished, container: &str) -> Result<()> {
        let bundle = &unfinished.bundle;
        let uploads = self.memory.ledger.list_uploads(container).await?;
        let sealed: Vec<&str> = uploads
            .iter()
            .filter(|it| it.upload.set == bundle.set)
            .map(|it| it.upload.object.as_str())
            .collect();
        let left = match sealed.is_empty() {
            true if !unfinished.is_newest => return Ok(()),
            true => "a part of it may be there".to_owned(),
            false => format!(
                "`{}` are uploaded to their end or in part",
                sealed.join("`, `")
            ),
        };
        let (number, name) = (bundle.sequence, &unfinished.name);
        (self.options.events)(Event::Warning(format!(
            "the export of `{}`, number {number} of the pipeline `{name}`, was ended before it was seen whole in \
             `{container}`: {left}; the next export of the pipeline into that container publishes what is missing, \
             and `airlift container clean` with this `--state` gives it up",
            bundle.bundle,
        )));
        Ok(())
    }

    async fn finish_here(&self, unfinished: &Unfinished, plans: &mut [ExportPlan]) -> Result<()> {
        let bundle = &unfinished.bundle;
        let ledger = &self.memory.ledger;
        let hold = ledger.hold_upload(&self.memory.upload_place, &bundle.set);
        let _hold = wait_for(hold, "is writing this bundle", &self.options.events).await?;
        let visible = self.find_visible(unfinished).await?;
        let is_finished = match visible.values().next() {
            Some(first) => {
                let inventory = first.inventory();
                let (profile, of) = (inventory.profile, inventory.volumes as usize);
                let names = name_objects(&bundle.bundle, profile, of);
                self.publish_rest(unfinished, names, visible).await?
            }
            // Nothing is known of what will be exported next.
            None if unfinished.is_newest && plans.is_empty() => return Ok(()),
            None => self.publish_unseen(unfinished, plans).await?,
        };
        let (now, sequence) = ((self.memory.clock)(), bundle.sequence);
        match is_finished {
            true => {
                self.record(unfinished).await?;
                ledger
                    .confirm_sequence(&unfinished.pipeline, sequence, now)
                    .await
            }
            false => {
                ledger
                    .give_up_sequence(&unfinished.pipeline, sequence, now)
                    .await
            }
        }
    }

    /// Records the export of a bundle of which every volume is visible now.
    async fn record(&self, unfinished: &Unfinished) -> Result<()> {
        let visible = self.find_visible(unfinished).await?;
        let inventory = &unfinished.bundle.inventory;
        let last = visible
            .values()
            .find(|volume| volume.inventory_digest() == inventory);
        match last {
            Some(last) => self.memory.record_finished(last).await,
            // It was there a moment ago: whoever has taken it away knows of it.
            None => Ok(()),
        }
    }

    /// The volumes of the bundle that are visible, by name.
    async fn find_visible(&self, unfinished: &Unfinished) -> Result<BTreeMap<String, Volume>> {
        let policy = SignaturePolicy::AcceptUnsigned;
        let mut visible = BTreeMap::new();
        let mut objects = self.container.list(&unfinished.bundle.bundle);
        while let Some(object) = objects.try_next().await? {
            if !is_volume_name(&object.name) {
                continue;
            }
            match open_volume(self.container, &object.name, &[], &policy).await {
                Ok(volume) if unfinished.has(&volume) => {
                    visible.insert(object.name, volume);
                }
                Ok(_) => {}
                Err(error) => pass_over(error.into())?,
            }
        }
        Ok(visible)
    }

    /// Makes a bundle whole of which some volumes are visible; `false` where that cannot be done any more.
    async fn publish_rest(
        &self,
        unfinished: &Unfinished,
        names: Vec<String>,
        visible: BTreeMap<String, Volume>,
    ) -> Result<bool> {
        let policy = SignaturePolicy::AcceptUnsigned;
        let left = self.left_bundle(unfinished, &policy, names, visible);
        let rest = left.find_rest(|volume| unfinished.has(volume)).await?;
        if let Some(rest) = rest.filter(|rest| unfinished.is_reserved_as(rest))
            && self.publish(&left, rest).await?
        {
            return Ok(true);
        }
        let present: Vec<&str> = left.visible.keys().map(String::as_str).collect();
        (self.options.events)(Event::Warning(format!(
            "`{}` of `{}` will never be a whole bundle: the rest of it is lost; remove it",
            present.join("`, `"),
            self.container.name(),
        )));
        Ok(false)
    }

    /// Makes a bundle visible of which nothing is, where a plan would write the same again with another number.
    async fn publish_unseen(
        &self,
        unfinished: &Unfinished,
        plans: &mut [ExportPlan],
    ) -> Result<bool> {
        let bundle = &unfinished.bundle;
        let plan = plans.iter_mut().find(|plan| plan.set == bundle.set);
        let Some(plan) = plan.filter(|_| unfinished.is_newest) else {
            return Ok(false);
        };
        plan.name.clone_from(&bundle.bundle);
        plan.position = Some(self.position_of(unfinished).await?);
        let plan = &*plan;
        let policy = policy_of(self.keys);
        let left = self.left_bundle(unfinished, &policy, plan.object_names(), BTreeMap::new());
        let Some(rest) = left.find_rest(|volume| is_whole_part(plan, volume)).await? else {
            return Ok(false);
        };
        let (with, number) = ((self.options, self.keys), plan.volumes.len());
        let frame_of = |before: &[_], created| frame_of(plan, with, number, (before, created));
        let is_same = unfinished.is_reserved_as(&rest)
            && self.options.created.admits(rest.created)
            && rest.is_whole(frame_of)?;
        Ok(is_same && self.publish(&left, rest).await?)
    }

    async fn position_of(&self, unfinished: &Unfinished) -> Result<ExportPosition> {
        let ledger = &self.memory.ledger;
        let newest = ledger.list_exported(&unfinished.pipeline, 2).await?;
        Ok(ExportPosition {
            pipeline: unfinished.pipeline.clone(),
            name: unfinished.name.clone(),
            sequence: unfinished.bundle.sequence,
            previous: newest.into_iter().nth(1).map(|before| before.inventory),
        })
    }

    fn left_bundle<'a>(
        &'a self,
        unfinished: &'a Unfinished,
        policy: &'a SignaturePolicy,
        names: Vec<String>,
        visible: BTreeMap<String, Volume>,
    ) -> LeftBundle<'a> {
        LeftBundle {
            container: self.container,
            memory: Some(self.memory),
            set: &unfinished.bundle.set,
            policy,
            overwrite: match unfinished.bundle.may_replace {
                true => Overwrite::Replace,
                false => Overwrite::Refuse,
            },
            names,
            visible,
        }
    }

    /// `false` where the store has not kept what was sealed, or something else has its name.
    async fn publish(&self, left: &LeftBundle<'_>, rest: Rest) -> Result<bool> {
        let error = match left.publish(rest).await {
            Ok(()) => return Ok(true),
            Err(error) if is_final(&error) => error,
            Err(error) => return Err(error),
        };
        let events = &self.options.events;
        events(Event::Warning(describe(&error)));
        for upload in left.list_uploads().await? {
            abandon(self.memory, self.container, &upload, events).await?;
        }
        Ok(false)
    }
}

impl Unfinished {
    fn has(&self, volume: &Volume) -> bool {
        let inventory = volume.inventory();
        let id = inventory.pipeline.as_ref().map(|pipeline| &*pipeline.id);
        id == Some(self.pipeline.as_str())
            && inventory.sequence == Some(self.bundle.sequence)
            && inventory.set == self.bundle.set
            && inventory.name == self.bundle.bundle
    }

    /// Whether the ledger has the number for this very bundle.
    fn is_reserved_as(&self, rest: &Rest) -> bool {
        rest.inventory() == Some(&self.bundle.inventory)
    }
}
