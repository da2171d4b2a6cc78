//! Applies the rules to the tags of one repository, asking for facts only where they decide something.
//!
//! Called in rounds: it answers which tags it has to know more about, or with all verdicts. Tags are looked at from
//! the newest version down, so that `newest 3` by version reads three manifests where three hold.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::rules::{Facts, Newest, NewestBy, Rules};
use super::tag_version::TagVersion;
use super::verdict::{Judged, Left, Taken, Verdict};
use crate::oci::Tag;

/// A tag of the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub tag: Tag,
    pub role: TagRole,
}

/// What a tag is there for. Rules choose among those of artifacts alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagRole {
    Artifact,
    /// It is a referrer by its name, and its subject is known.
    Referrer,
    /// It keeps what another tag has left, to be put back.
    Rollback,
}

/// What one round has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evaluation {
    /// These have to be known first.
    Needs(Vec<Tag>),
    /// Verdicts in the order of the candidates.
    Decided(Vec<Judged>),
}

/// One round. `known` holds what was learned, and `None` for a tag that was gone.
pub fn evaluate(
    rules: &Rules,
    candidates: &[Candidate],
    known: &HashMap<Tag, Option<Facts>>,
    now: Timestamp,
) -> Evaluation {
    let mut round = Round::new(rules, candidates, known, now);
    round.walk();
    if !round.needs.is_empty() {
        return Evaluation::Needs(round.needs);
    }
    round.rank();
    let judged = candidates
        .iter()
        .zip(round.verdicts)
        .map(|(candidate, verdict)| Judged {
            tag: candidate.tag.clone(),
            verdict: verdict.unwrap_or(Verdict::Taken(Taken::ByRules)),
        });
    Evaluation::Decided(judged.collect())
}

struct Round<'a> {
    rules: &'a Rules,
    candidates: &'a [Candidate],
    known: &'a HashMap<Tag, Option<Facts>>,
    now: Timestamp,
    versions: Vec<Option<TagVersion>>,
    verdicts: Vec<Option<Verdict>>,
    /// Positions that passed every rule but `newest`, from the newest version down.
    passed: Vec<usize>,
    /// The first of each minor version that passed, or that has to be known first.
    minors: HashMap<(u64, u64), usize>,
    needs: Vec<Tag>,
}

impl<'a> Round<'a> {
    fn new(
        rules: &'a Rules,
        candidates: &'a [Candidate],
        known: &'a HashMap<Tag, Option<Facts>>,
        now: Timestamp,
    ) -> Self {
        let versions = candidates
            .iter()
            .map(|candidate| rules.version(&candidate.tag));
        Self {
            rules,
            candidates,
            known,
            now,
            versions: versions.collect(),
            verdicts: vec![None; candidates.len()],
            passed: Vec::new(),
            minors: HashMap::new(),
            needs: Vec::new(),
        }
    }

    fn walk(&mut self) {
        let mut order = Vec::new();
        for position in 0..self.candidates.len() {
            match self.judge_name(position) {
                Some(left) => self.verdicts[position] = Some(Verdict::Left(left)),
                None => order.push(position),
            }
        }
        let key = |position: &usize| (&self.versions[*position], &self.candidates[*position].tag);
        order.sort_by(|a, b| key(b).cmp(&key(a)));
        for position in order {
            match self.judge(position) {
                Step::Left(left) => self.verdicts[position] = Some(Verdict::Left(left)),
                Step::Passed => self.passed.push(position),
                Step::Needs => self.needs.push(self.candidates[position].tag.clone()),
                Step::Blocked => {}
            }
        }
    }

    /// What the name alone says.
    fn judge_name(&self, position: usize) -> Option<Left> {
        let candidate = &self.candidates[position];
        let (rules, tag) = (self.rules, &candidate.tag);
        match candidate.role {
            TagRole::Artifact => {}
            TagRole::Referrer => return Some(Left::Referrer),
            TagRole::Rollback => return Some(Left::KeptForRollback),
        }
        if let Some(pattern) = rules.tags.as_ref().filter(|it| !it.matches(tag)) {
            let pattern = pattern.to_string();
            return Some(Left::Unmatched { pattern });
        }
        if let Some(pattern) = rules.exclude_tags.as_ref().filter(|it| it.matches(tag)) {
            let pattern = pattern.to_string();
            return Some(Left::Excluded { pattern });
        }
        if let Some(Newest { count: 0, by }) = rules.newest {
            return Some(Left::NotNewest { count: 0, by });
        }
        let Some(version) = &self.versions[position] else {
            return self
                .rule_about_versions()
                .map(|rule| Left::NoVersion { rule });
        };
        let range = rules
            .versions
            .as_ref()
            .filter(|range| !range.contains(version))?;
        let range = range.to_string();
        Some(Left::OutOfRange { range })
    }

    /// The first rule that takes versions only.
    fn rule_about_versions(&self) -> Option<&'static str> {
        let by_version = |newest: Newest| newest.by == NewestBy::Version;
        match self.rules {
            rules if rules.versions.is_some() => Some("versions"),
            rules if rules.takes_newest_patch_only => Some("newest-patch"),
            rules if rules.newest.is_some_and(by_version) => Some("newest"),
            _ => None,
        }
    }

    fn judge(&mut self, position: usize) -> Step {
        if let Some(Newest {
            count,
            by: by @ NewestBy::Version,
        }) = self.rules.newest
        {
            let missing = (count as usize).saturating_sub(self.passed.len());
            if missing == 0 && self.needs.is_empty() {
                return Step::Left(Left::NotNewest { count, by });
            }
            if missing == 0 || self.needs.len() >= missing.max(self.ahead()) {
                return Step::Blocked;
            }
        }
        let minor = self.versions[position].as_ref().map(TagVersion::minor);
        let minor = minor.filter(|_| self.rules.takes_newest_patch_only);
        if let Some(first) = minor.and_then(|minor| self.minors.get(&minor)) {
            let tag = &self.candidates[*first].tag;
            let is_open = self.rules.need_facts() && !self.known.contains_key(tag);
            if !is_open || self.needs.len() >= self.ahead() {
                let tag = tag.clone();
                return Step::Left(Left::NewerPatch { tag });
            }
        }
        let step = self.judge_facts(position);
        if let (Some(minor), Step::Passed | Step::Needs) = (minor, &step) {
            self.minors.entry(minor).or_insert(position);
        }
        step
    }

    /// How many are asked for at once though fewer may do: where many were left already, rounds have to grow, so
    /// that a hundred thousand tags take a few dozen of them.
    fn ahead(&self) -> usize {
        self.known.len() / 2
    }

    fn judge_facts(&self, position: usize) -> Step {
        if !self.rules.need_facts() {
            return Step::Passed;
        }
        match self.known.get(&self.candidates[position].tag) {
            None => Step::Needs,
            Some(None) => Step::Left(Left::Gone),
            Some(Some(facts)) => match find_left(self.rules, facts, self.now) {
                Some(left) => Step::Left(left),
                None => Step::Passed,
            },
        }
    }

    /// Applies `newest`, and says of everything that passed what took it.
    fn rank(&mut self) {
        let mut passed = std::mem::take(&mut self.passed);
        if let Some(Newest {
            by: NewestBy::Created,
            ..
        }) = self.rules.newest
        {
            // Stable: of two that were created together the newer version comes first.
            passed.sort_by_key(|position| std::cmp::Reverse(self.created(*position)));
        }
        for (index, position) in passed.into_iter().enumerate() {
            self.verdicts[position] = Some(self.verdict_of_passed(index, position));
        }
    }

    fn created(&self, position: usize) -> Option<Timestamp> {
        let facts = self.known.get(&self.candidates[position].tag)?.as_ref()?;
        facts.plausible_created()
    }

    fn verdict_of_passed(&self, index: usize, position: usize) -> Verdict {
        let minor = self.versions[position].as_ref().map(TagVersion::minor);
        let rank = u32::try_from(index + 1).unwrap_or(u32::MAX);
        match (self.rules.newest, minor) {
            (Some(Newest { count, by }), _) if rank > count => {
                Verdict::Left(Left::NotNewest { count, by })
            }
            (Some(Newest { count, by }), _) => Verdict::Taken(Taken::Newest { rank, count, by }),
            (None, Some(minor)) if self.rules.takes_newest_patch_only => {
                Verdict::Taken(Taken::NewestPatch { minor })
            }
            _ if self.rules.is_empty() => Verdict::Taken(Taken::All),
            _ => Verdict::Taken(Taken::ByRules),
        }
    }
}

/// What one tag has come to in this round.
enum Step {
    Left(Left),
    Passed,
    Needs,
    /// It depends on one that has to be known first.
    Blocked,
}

/// The first rule about the artifact itself that leaves it.
fn find_left(rules: &Rules, facts: &Facts, now: Timestamp) -> Option<Left> {
    let is_selected = |found| rules.platforms.iter().any(|wanted| wanted.selects(found));
    if !rules.platforms.is_empty() && !facts.platforms.iter().any(is_selected) {
        let found: HashSet<String> = facts.platforms.iter().map(ToString::to_string).collect();
        let mut found: Vec<String> = found.into_iter().collect();
        found.sort();
        return Some(Left::WrongPlatform { found });
    }
    let found = facts.artifact_type.as_ref();
    if !rules.artifact_types.is_empty()
        && !found.is_some_and(|it| rules.artifact_types.contains(it))
    {
        return Some(Left::WrongType {
            found: found.cloned(),
        });
    }
    find_left_by_age(rules, facts, now)
}

fn find_left_by_age(rules: &Rules, facts: &Facts, now: Timestamp) -> Option<Left> {
    if !rules.need_created() {
        return None;
    }
    let Some(created) = facts.plausible_created() else {
        let rule = match rules {
            rules if rules.min_age.is_some() => "min-age",
            rules if rules.max_age.is_some() => "max-age",
            _ => "newest",
        };
        return Some(Left::CreatedUnknown { rule });
    };
    let age = now.duration_since(created);
    let bound = |age| SignedDuration::try_from(age).unwrap_or(SignedDuration::MAX);
    if rules.min_age.is_some_and(|least| age < bound(least)) {
        return Some(Left::TooYoung { created });
    }
    if rules.max_age.is_some_and(|most| age > bound(most)) {
        return Some(Left::TooOld { created });
    }
    None
}
