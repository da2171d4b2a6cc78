//! What a selection has taken and left, for people and for programs, repository by repository as it is known.

use serde::Serialize;
use serde_json::json;

use super::output::{Output, pad};
use super::size::count;
use crate::content::escape_control;
use crate::oci::Digest;
use crate::pipeline::{
    Considered, JudgedRepository, NamedEntries, NamedEntry, NamedReference, SelectionTotals,
    SourceReference, TagSelection,
};
use crate::selection::{Left, Taken, Verdict};

const HEADS: [&str; 5] = ["REPOSITORY", "TAG", "TAKEN", "RULE", "REASON"];
/// The longest name of a rule has 14 letters.
const RULE_WIDTH: usize = 14;
/// Columns of a table that is told in parts can only grow; most tags fit this.
const TAG_WIDTH_MIN: usize = 16;
/// Tags that are longer, such as those of signatures, stick out and move no others.
const TAG_WIDTH_MAX: usize = 40;

/// One tag that was considered.
#[derive(Serialize)]
struct Row {
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
    taken: bool,
    rule: Option<&'static str>,
    reason: String,
}

/// Tells every tag with its reason, and keeps none.
pub(super) struct Explanation {
    output: Output,
    repository_width: usize,
    tag_width: usize,
    has_rows: bool,
}

impl Explanation {
    /// `names` are those of the repositories that will be told.
    pub(super) fn begin(output: Output, names: impl Iterator<Item = String>) -> Self {
        let widest = names.map(|name| name.chars().count()).max();
        let this = Self {
            output,
            repository_width: widest.unwrap_or(0).max(HEADS[0].len()),
            tag_width: TAG_WIDTH_MIN,
            has_rows: false,
        };
        match output.is_json() {
            true => Output::stream_line("{\"tags\": ["),
            false => Output::stream_line(&this.line(HEADS)),
        }
        this
    }

    pub(super) fn tell(&mut self, considered: &Considered) -> anyhow::Result<()> {
        let rows = match considered {
            Considered::Named(named) => vec![named_row(named)],
            Considered::Repository(judged) => judged_rows(judged),
            Considered::Layout(named) => entry_rows(named),
        };
        if rows.is_empty() {
            return Ok(());
        }
        let text = match self.output.is_json() {
            true => self.json_lines(&rows)?,
            false => self.table_lines(&rows),
        };
        Output::stream_line(&text);
        Ok(())
    }

    fn json_lines(&mut self, rows: &[Row]) -> anyhow::Result<String> {
        let mut lines = Vec::new();
        for row in rows {
            let comma = if self.has_rows { ", " } else { "  " };
            lines.push(format!("{comma}{}", serde_json::to_string(row)?));
            self.has_rows = true;
        }
        Ok(lines.join("\n"))
    }

    fn table_lines(&mut self, rows: &[Row]) -> String {
        let widths = rows.iter().map(|row| shown_tag(row).chars().count());
        let widest = widths.filter(|width| *width <= TAG_WIDTH_MAX).max();
        self.tag_width = self.tag_width.max(widest.unwrap_or(0));
        let line = |row: &Row| {
            let taken = if row.taken { "yes" } else { "no" };
            let tag = shown_tag(row);
            let rule = row.rule.unwrap_or("-");
            self.line([&row.repository, &tag, taken, rule, &row.reason])
        };
        rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    fn line(&self, [repository, tag, taken, rule, reason]: [&str; 5]) -> String {
        let cells = [
            pad(repository, self.repository_width),
            pad(tag, self.tag_width),
            pad(taken, HEADS[2].len()),
            pad(rule, RULE_WIDTH),
            escape_control(reason),
        ];
        cells.join("  ").trim_end().to_owned()
    }

    pub(super) fn end(
        self,
        totals: &SelectionTotals,
        failures: &[(String, String)],
    ) -> anyhow::Result<()> {
        if self.output.is_json() {
            let totals = serde_json::to_string(&totals_document(totals))?;
            let failures = serde_json::to_string(&failures_document(failures))?;
            Output::stream_line(&format!(
                "], \"totals\": {totals}, \"failures\": {failures}}}"
            ));
        }
        Ok(())
    }
}

fn shown_tag(row: &Row) -> String {
    match (&row.tag, &row.digest) {
        (Some(tag), _) => tag.clone(),
        (None, Some(digest)) => format!("@{}", digest.short()),
        (None, None) => String::new(),
    }
}

fn named_row(named: &NamedReference) -> Row {
    let NamedReference {
        reference,
        digest,
        failure,
    } = named;
    let verdict = match failure.clone() {
        None => Verdict::Taken(Taken::Named),
        Some(reason) => Verdict::Left(Left::Unreadable { reason }),
    };
    Row {
        repository: format!("{}/{}", reference.registry, reference.repository),
        tag: reference.tag.as_ref().map(ToString::to_string),
        digest: reference.digest.clone().or_else(|| digest.clone()),
        taken: verdict.is_taken(),
        rule: verdict.rule(),
        reason: verdict.to_string(),
    }
}

fn entry_rows(named: &NamedEntries) -> Vec<Row> {
    let verdict = Verdict::Taken(Taken::Named);
    let row = |entry: &NamedEntry| Row {
        repository: format!("oci:{}:{}", named.path.display(), entry.repository),
        tag: entry.tag.as_ref().map(ToString::to_string),
        digest: Some(entry.digest.clone()),
        taken: true,
        rule: verdict.rule(),
        reason: verdict.to_string(),
    };
    named.entries.iter().map(row).collect()
}

fn judged_rows(judged: &JudgedRepository) -> Vec<Row> {
    let repository = judged.name();
    let rows = judged.tags.iter().map(|it| Row {
        repository: repository.clone(),
        tag: Some(it.tag.to_string()),
        digest: it.digest.clone(),
        taken: it.verdict.is_taken(),
        rule: it.verdict.rule(),
        reason: it.verdict.to_string(),
    });
    rows.collect()
}

/// References that an export takes.
pub(super) fn taken_references(considered: &Considered) -> Vec<String> {
    match considered {
        Considered::Named(named) if named.failure.is_some() => Vec::new(),
        Considered::Named(named) => vec![named.reference.to_string()],
        Considered::Repository(judged) => {
            let name = judged.name();
            let reference = |tag| format!("{name}:{tag}");
            judged.taken().map(|it| reference(&it.tag)).collect()
        }
        Considered::Layout(named) => named.references().collect(),
    }
}

pub(super) fn totals_document(totals: &SelectionTotals) -> serde_json::Value {
    json!({
        "repositories": totals.repositories,
        "tags": totals.tags,
        "taken": totals.taken,
        "manifestsRead": totals.manifests_read,
    })
}

pub(super) fn failures_document(failures: &[(String, String)]) -> Vec<serde_json::Value> {
    let document = |(reference, reason): &(String, String)| json!({ "reference": reference, "reason": reason });
    failures.iter().map(document).collect()
}

/// Tells how much an export takes of what it was not asked for by name.
pub(super) fn tell_selected(
    references: &[SourceReference],
    selection: &TagSelection,
    totals: &SelectionTotals,
) {
    let is_glob = |it: &SourceReference| matches!(it, SourceReference::Glob { .. });
    let has_rules = !selection.rules.is_empty() && totals.repositories > 0;
    if has_rules || references.iter().any(is_glob) {
        tell_totals(selection, totals);
    }
}

/// How much was looked at and is taken, on standard error.
pub(super) fn tell_totals(selection: &TagSelection, totals: &SelectionTotals) {
    if totals.tags == 0 && totals.repositories == 0 {
        return Output::note("nothing selected: there is no repository that is meant");
    }
    let repositories = match totals.repositories {
        1 => "1 repository".to_owned(),
        number => format!("{number} repositories"),
    };
    let newest = selection.rules.newest;
    let by = newest.map(|newest| format!("; newest by {}", newest.by));
    let read = match totals.manifests_read {
        0 => String::new(),
        read => format!("; {} read", count(read, "manifest")),
    };
    let (tags, by) = (count(totals.tags, "tag"), by.unwrap_or_default());
    Output::note(&match totals.taken {
        0 => format!("nothing selected: none of {tags} in {repositories}{by}{read}"),
        taken => format!("{taken} of {tags} in {repositories} selected{by}{read}"),
    });
}
