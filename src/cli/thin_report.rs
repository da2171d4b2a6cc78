//! What is told of a bundle that does not carry all that its artifacts need: what is assumed, what is made again.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use super::output::table;
use super::size::{count, show_size};
use crate::bundle::{AssumedRow, Inventory, RebuiltRow, Row, Volume};
use crate::oci::{Digest, media_type};

/// References that one line names.
const REFERENCES_SHOWN_MAX: usize = 3;

/// What a set of volumes carries, and what it leaves to the target.
pub(super) struct Thinness<'a> {
    inventory: &'a Inventory,
    /// Stored bytes by digest of what is carried.
    stored: HashMap<&'a Digest, u64>,
    carried: usize,
    carried_bytes: u64,
    derived_bytes: u64,
}

impl<'a> Thinness<'a> {
    /// `None` where the last volume, which tells it, is not here.
    pub(super) fn of(set: &'a [Volume]) -> Option<Self> {
        let inventory = set.last()?.inventory();
        if inventory.volume != inventory.volumes {
            return None;
        }
        let rows = || set.iter().flat_map(|volume| &volume.inventory().contents);
        let bytes = |row: &Row| row.stored().size;
        let mut stored: HashMap<&Digest, u64> = HashMap::new();
        for row in rows() {
            *stored.entry(&row.digest).or_default() += bytes(row);
        }
        Some(Self {
            inventory,
            carried: stored.len(),
            carried_bytes: rows().map(bytes).sum(),
            derived_bytes: rows().filter(|row| row.is_derived()).map(bytes).sum(),
            stored,
        })
    }

    /// Bytes of all that artifacts consist of. What only recipes refer to is none of it.
    fn needed_bytes(&self) -> u64 {
        let assumed = self.inventory.assumed.iter();
        let assumed = assumed.filter(|row| !is_reference_only(row));
        let rebuilt = self.inventory.rebuilt.iter().map(|row| row.size);
        let absent: u64 = assumed.map(|row| row.size).chain(rebuilt).sum();
        self.carried_bytes - self.derived_bytes + absent
    }

    /// Bytes that stand for a rebuilt content: its recipe and its segments.
    fn stand_in_bytes(&self, row: &RebuiltRow) -> u64 {
        let parts = row.segments.iter().chain([&row.recipe]);
        parts.filter_map(|digest| self.stored.get(digest)).sum()
    }

    /// Nothing of a bundle that carries all.
    pub(super) fn show(&self) -> String {
        let inventory = self.inventory;
        let mut text = String::new();
        if let Some(repairs) = &inventory.repairs {
            let (lane, sequence) = (&repairs.lane, repairs.sequence);
            text.push_str(&format!(
                "repairs    sequence {sequence}, of which lane `{lane}` lacks contents\n"
            ));
        }
        if inventory.assumed.is_empty() && inventory.rebuilt.is_empty() {
            return text;
        }
        text.push_str(&format!(
            "carried    {}, {} of the {} that its artifacts need\n",
            count(self.carried, "content"),
            show_size(self.carried_bytes),
            show_size(self.needed_bytes()),
        ));
        text.push_str(&self.show_assumed());
        text.push_str(&self.show_rebuilt());
        text.push_str(&format!(
            "spool      {} of room at an importer\n",
            show_size(inventory.spool_bytes())
        ));
        text
    }

    fn show_assumed(&self) -> String {
        let assumed = &self.inventory.assumed;
        if assumed.is_empty() {
            return String::new();
        }
        let mut by_sequence: BTreeMap<Option<u64>, usize> = BTreeMap::new();
        for row in assumed {
            *by_sequence.entry(row.sequence).or_default() += 1;
        }
        let origins = by_sequence
            .iter()
            .map(|(sequence, contents)| match sequence {
                Some(sequence) => format!("{contents} of sequence {sequence}"),
                None => format!("{contents} of no bundle"),
            });
        format!(
            "assumed    {} at the target, {}: {}\n",
            count(assumed.len(), "content"),
            show_size(assumed.iter().map(|row| row.size).sum()),
            origins.collect::<Vec<_>>().join(", "),
        )
    }

    fn show_rebuilt(&self) -> String {
        let rebuilt = &self.inventory.rebuilt;
        if rebuilt.is_empty() {
            return String::new();
        }
        let mut text = format!(
            "rebuilt    {}, {}, from {} of recipes and segments\n",
            count(rebuilt.len(), "content"),
            show_size(rebuilt.iter().map(|row| row.size).sum()),
            show_size(self.derived_bytes),
        );
        let heads = ["LAYER", "SIZE", "PLAIN", "CARRIED", "REFERENCES"];
        let mut rows = vec![heads.map(str::to_owned).to_vec()];
        rows.extend(rebuilt.iter().map(|row| {
            vec![
                row.digest.short(),
                show_size(row.size),
                show_size(row.plain_size),
                show_size(self.stand_in_bytes(row)),
                self.show_references(row),
            ]
        }));
        for line in table(&rows).lines() {
            text.push_str(&format!("  {line}\n"));
        }
        text
    }

    fn show_references(&self, row: &RebuiltRow) -> String {
        let is_assumed =
            |digest: &Digest| self.inventory.assumed.iter().any(|it| it.digest == *digest);
        let shown = row.references.iter().take(REFERENCES_SHOWN_MAX);
        let shown = shown.map(|digest| match is_assumed(digest) {
            true => format!("{} at the target", digest.short()),
            false => digest.short(),
        });
        let mut shown: Vec<String> = shown.collect();
        if let Some(rest @ 1..) = row.references.len().checked_sub(REFERENCES_SHOWN_MAX) {
            shown.push(format!("{rest} more"));
        }
        match shown.is_empty() {
            true => "-".to_owned(),
            false => shown.join(", "),
        }
    }

    /// Fields of the bundle's document.
    pub(super) fn fields(&self) -> [(&'static str, Value); 6] {
        let inventory = self.inventory;
        let assumed = inventory.assumed.iter();
        let assumed: Vec<Value> = assumed.map(|row| self.assumed_document(row)).collect();
        let rebuilt = inventory.rebuilt.iter();
        let rebuilt: Vec<Value> = rebuilt.map(|row| self.rebuilt_document(row)).collect();
        [
            ("carried", self.carried.into()),
            ("neededBytes", self.needed_bytes().into()),
            ("spoolBytes", inventory.spool_bytes().into()),
            ("assumed", assumed.into()),
            ("rebuilt", rebuilt.into()),
            ("repairs", json!(inventory.repairs)),
        ]
    }

    fn rebuilt_document(&self, row: &RebuiltRow) -> Value {
        json!({
            "digest": row.digest,
            "sizeBytes": row.size,
            "plainBytes": row.plain_size,
            "carriedBytes": self.stand_in_bytes(row),
            "references": row.references,
        })
    }

    fn assumed_document(&self, row: &AssumedRow) -> Value {
        let names = row.repositories.iter();
        let names: Vec<_> = names.map(|it| self.inventory.repository(*it)).collect();
        json!({
            "digest": row.digest,
            "sizeBytes": row.size,
            "plainBytes": row.plain_size,
            "sequence": row.sequence,
            "repositories": names,
        })
    }
}

/// Exporters give no other type to what is there for recipes alone.
fn is_reference_only(row: &AssumedRow) -> bool {
    row.plain_size.is_some() && &*row.media_type == media_type::OCTET_STREAM
}
