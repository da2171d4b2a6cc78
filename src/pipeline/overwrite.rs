//! What is done before a tag of the target leaves other content: whether it would move back is judged and told, and
//! what it leaves is given a rollback tag.
//!
//! The copy asks only where a tag is really about to move, so none of this costs anything otherwise.
//!
//! **Invariants.** A rollback tag stands before the tag moves, and never takes the place of another tag. Where it
//! cannot be told that a tag moves back, it does not.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::facts::FactsReader;
use super::place::Place;
use crate::content::{
    Error, ErrorKind, Event, Events, OverwriteRules, Overwriting, Plan, Result, Source,
    TagOverwrite, fetch_document,
};
use crate::history::Ledger;
use crate::oci::{Digest, Pin, Repository, Tag};
use crate::selection::{Overwritten, RollbackTag};

/// What to do with a tag that would go back to what it was, or to what is older.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MovesBack {
    /// It is told, and the tag moves.
    #[default]
    Allow,
    /// It is told, and the tag stays where it is.
    Refuse,
}

/// What is done about tags that leave other content.
#[derive(Clone, Debug, Default)]
pub struct TagRules {
    pub moves_back: MovesBack,
    /// How what they leave is called afterwards; without a template it has no tag.
    pub rollback: Option<RollbackTag>,
}

/// The rules at work, within one import.
pub(super) struct Overwrites {
    pub(super) rules: TagRules,
    pub(super) plan: Arc<Plan>,
    pub(super) source: Arc<dyn Source>,
    pub(super) target: Place,
    /// The run that the tags are moved by.
    pub(super) run: String,
    pub(super) now: Timestamp,
    pub(super) events: Events,
    /// What is known of the target's past, and how it is called there.
    pub(super) past: Option<TagPast>,
}

/// The past of a target's tags.
#[derive(Clone)]
pub struct TagPast {
    pub ledger: Ledger,
    /// The target, as the ledger calls it.
    pub target: String,
}

#[async_trait]
impl OverwriteRules for Overwrites {
    async fn decide(&self, overwrite: TagOverwrite<'_>) -> Result<Overwriting> {
        let TagOverwrite {
            repository, tag, ..
        } = overwrite;
        if let Some(reason) = self.find_way_back(overwrite).await? {
            let warning = match self.rules.moves_back {
                MovesBack::Allow => format!("`{repository}:{tag}` moves back: {reason}"),
                MovesBack::Refuse => {
                    format!("`{repository}:{tag}` would move back, and stays: {reason}")
                }
            };
            (self.events)(Event::Warning(warning));
            if self.rules.moves_back == MovesBack::Refuse {
                return Ok(Overwriting::Hold(format!("it would move back: {reason}")));
            }
        }
        let rollback_tag = self.keep_findable(overwrite).await?;
        Ok(Overwriting::Move { rollback_tag })
    }
}

impl Overwrites {
    /// Why the tag would move back, if it would.
    async fn find_way_back(&self, overwrite: TagOverwrite<'_>) -> Result<Option<String>> {
        if let Some(reason) = self.look_back(overwrite).await? {
            return Ok(Some(reason));
        }
        let compared = self.compare_times(overwrite).await;
        match (compared, self.rules.moves_back) {
            (Ok(reason), _) => Ok(reason),
            // Nobody asked for the answer, and the tag moves whatever it is.
            (Err(_), MovesBack::Allow) => Ok(None),
            (Err(error), MovesBack::Refuse) => Err(error),
        }
    }

    /// By the ledger: what the tag has stood for before, and has left.
    async fn look_back(&self, overwrite: TagOverwrite<'_>) -> Result<Option<String>> {
        let Some(past) = &self.past else {
            return Ok(None);
        };
        let reference = format!("{}:{}", overwrite.repository, overwrite.tag);
        let moves = past.ledger.list_tag_moves(&past.target, &reference).await?;
        let left = moves
            .iter()
            .find(|it| it.replaced.as_ref() == Some(overwrite.new));
        Ok(left.map(|left| {
            let (new, then) = (overwrite.new.short(), &left.digest.short());
            format!(
                "it stood for {new} until {:.0}, and then for {then}",
                left.time
            )
        }))
    }

    /// By creation time, where both say when that was.
    async fn compare_times(&self, overwrite: TagOverwrite<'_>) -> Result<Option<String>> {
        let artifact = &self.plan.artifacts[overwrite.artifact];
        let at_source = &self.plan.repositories[artifact.repository];
        let reader = FactsReader::of_created();
        let Some(new) = reader
            .read_created(&self.source, at_source, overwrite.new)
            .await?
        else {
            return Ok(None);
        };
        let target = self.target.as_source();
        let replaced = reader
            .read_created(&target, overwrite.repository, overwrite.replaced)
            .await
            .map_err(|error| error.on_side("target"))?;
        Ok(replaced.filter(|replaced| new < *replaced).map(|replaced| {
            format!("what is to come was created {new:.0}, and what is there {replaced:.0}")
        }))
    }

    /// Gives what is replaced its rollback tag.
    async fn keep_findable(&self, overwrite: TagOverwrite<'_>) -> Result<Option<Tag>> {
        let Some(template) = &self.rules.rollback else {
            return Ok(None);
        };
        let TagOverwrite {
            repository,
            tag,
            replaced,
            ..
        } = overwrite;
        let rollback_tag = self.render(template, repository, tag, replaced)?;
        let target = self.target.as_target();
        let found = target.resolve_tag(repository, &rollback_tag).await;
        match found.map_err(|error| error.on_side("target"))? {
            Some(found) if found == *replaced => return Ok(Some(rollback_tag)),
            Some(found) => {
                return Err(Error::new(
                    ErrorKind::Refused,
                    format!(
                        "target: `{repository}:{rollback_tag}` is to be the rollback tag of `{replaced}`, and stands for `{found}`"
                    ),
                ));
            }
            None => {}
        }
        let keep = async {
            let pin = Pin::Digest(replaced.clone());
            let document = fetch_document(&*self.target.as_source(), repository, &pin).await?;
            target.tag(repository, &document, &rollback_tag).await
        };
        keep.await.map_err(|error| {
            error.within(format!(
                "target: cannot give what `{repository}:{tag}` stands for the rollback tag `{rollback_tag}`"
            ))
        })?;
        Ok(Some(rollback_tag))
    }

    fn render(
        &self,
        template: &RollbackTag,
        repository: &Repository,
        tag: &Tag,
        replaced: &Digest,
    ) -> Result<Tag> {
        let overwritten = Overwritten {
            tag,
            run: &self.run,
            digest: replaced,
            now: self.now,
        };
        template.render(overwritten).map_err(|cause| {
            let message = format!("`{repository}:{tag}` can have no rollback tag `{template}`");
            Error::new(ErrorKind::Refused, message).with_cause(cause)
        })
    }

    /// Refuses, before anything moves, a template that some tag is too long for.
    pub(super) fn check(&self, names: &[Repository]) -> Result<()> {
        let Some(template) = &self.rules.rollback else {
            return Ok(());
        };
        for artifact in &self.plan.artifacts {
            let Some(tag) = &artifact.tag else { continue };
            let digest = &self.plan.manifests[artifact.root].descriptor.digest;
            self.render(template, &names[artifact.repository], tag, digest)?;
        }
        Ok(())
    }
}
