//! The fallback index of referrers at a target without the referrers API: a lookup table that many writers
//! share without a lock.
//!
//! A merge reads the index, adds one entry, writes it and reads it back; where somebody else has written
//! meanwhile, it starts over. Entries of others stay exactly as they are. In this process there is one
//! writer per subject at a time.
//!
//! Specification: distribution-spec, "Referrers Tag Schema".

use std::collections::BTreeMap;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::client::Client;
use super::error::{RegistryError, Result};
use super::manifests;
use super::referrers::{self, REFERRERS_MAX};
use super::turns::Turns;
use crate::content::{Document, MANIFEST_SIZE_MAX_BYTES, Referrer};
use crate::oci::{Digest, Pin, Repository, Tag, media_type};

const MERGES_MAX: usize = 8;
/// Makes `referrer` findable from `subject`.
pub(super) async fn link(
    client: &Client,
    turns: &Turns,
    repository: &Repository,
    subject: &Digest,
    referrer: &Referrer,
) -> Result<()> {
    let _turn = turns.of((repository, subject)).lock().await;
    if referrers::has_api(client, repository, subject).await? {
        return Ok(());
    }
    let pin = Pin::Tag(Tag::of_referrers(subject));
    let mut entry = None;
    let mut pauses = ExponentialBuilder::new()
        .with_min_delay(
            client
                .wire
                .options
                .retry_delay_min
                .min(Duration::from_millis(200)),
        )
        .with_max_times(MERGES_MAX)
        .with_jitter()
        .build();
    loop {
        let table = read(client, repository, &pin).await?;
        if table.as_ref().is_some_and(|table| table.lists(referrer)) {
            return Ok(());
        }
        let added = match &entry {
            Some(entry) => entry,
            None => entry.insert(new_entry(client, repository, referrer).await?),
        };
        let merged = table.unwrap_or_default().with(client, added)?;
        manifests::push(client, repository, &merged, &pin).await?;
        let written = read(client, repository, &pin).await?;
        if written.is_some_and(|table| table.lists(referrer)) {
            return Ok(());
        }
        let Some(pause) = pauses.next() else {
            let what = format!("others keep overwriting the index `{pin}`");
            return Err(RegistryError::malformed(client.host(), what));
        };
        tokio::time::sleep(pause).await;
    }
}

/// The index, each of its parts as the text that it was.
struct Table {
    fields: BTreeMap<String, Box<RawValue>>,
    entries: Vec<Box<RawValue>>,
}

impl Default for Table {
    fn default() -> Self {
        let raw = |text: String| {
            RawValue::from_string(text).expect("a quoted media type and a number are JSON")
        };
        let media_type = raw(format!("\"{}\"", media_type::OCI_INDEX));
        let fields = [
            ("schemaVersion", raw("2".to_owned())),
            ("mediaType", media_type),
        ];
        Self {
            fields: fields.map(|(name, value)| (name.to_owned(), value)).into(),
            entries: Vec::new(),
        }
    }
}

#[derive(Deserialize)]
struct EntryDigest {
    digest: Digest,
}

impl Table {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(bytes).ok()?;
        let entries = fields.remove("manifests");
        let entries = match &entries {
            Some(entries) => serde_json::from_str::<Option<_>>(entries.get()).ok()?,
            None => None,
        };
        Some(Self {
            fields,
            entries: entries.unwrap_or_default(),
        })
    }

    fn lists(&self, referrer: &Referrer) -> bool {
        self.entries.iter().any(|entry| {
            serde_json::from_str::<EntryDigest>(entry.get())
                .is_ok_and(|entry| entry.digest == referrer.descriptor.digest)
        })
    }

    fn with(mut self, client: &Client, entry: &RawValue) -> Result<Document> {
        self.entries.push(entry.to_owned());
        let refused = |what: String| RegistryError::refused(client.host(), what);
        if self.entries.len() > REFERRERS_MAX {
            return Err(refused(format!(
                "has an index of more than {REFERRERS_MAX} referrers"
            )));
        }
        let bytes = self.encode().map_err(|_| {
            RegistryError::malformed(client.host(), "its index of referrers cannot be written")
        })?;
        if bytes.len() as u64 > MANIFEST_SIZE_MAX_BYTES {
            return Err(refused("has an index of referrers above 4 MiB".to_owned()));
        }
        Ok(Document::of(media_type::OCI_INDEX, bytes))
    }

    fn encode(mut self) -> serde_json::Result<Vec<u8>> {
        let entries = to_raw_value(&self.entries)?;
        self.fields.insert("manifests".to_owned(), entries);
        serde_json::to_vec(&self.fields)
    }
}

async fn read(client: &Client, repository: &Repository, pin: &Pin) -> Result<Option<Table>> {
    let document = match manifests::fetch(client, repository, pin).await {
        Ok(document) => document,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error),
    };
    let table = media_type::is_index(&document.media_type)
        .then(|| Table::parse(&document.bytes))
        .flatten();
    let malformed = || {
        let what = format!("what is tagged `{pin}` is not an index of referrers");
        RegistryError::malformed(client.host(), what)
    };
    table.map(Some).ok_or_else(malformed)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewEntry<'a> {
    media_type: &'a str,
    digest: &'a Digest,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Annotated {
    annotations: Option<Box<RawValue>>,
}

/// The entry of `referrer`, with the annotations of its manifest, which the target has already.
async fn new_entry(
    client: &Client,
    repository: &Repository,
    referrer: &Referrer,
) -> Result<Box<RawValue>> {
    let digest = &referrer.descriptor.digest;
    let pin = Pin::Digest(digest.clone());
    let document = manifests::fetch(client, repository, &pin).await?;
    if Digest::of(digest.algorithm(), &document.bytes) != *digest {
        let what = format!("gave other bytes for `{digest}`");
        return Err(RegistryError::unverified(client.host(), what));
    }
    let annotations = serde_json::from_slice::<Annotated>(&document.bytes)
        .ok()
        .and_then(|manifest| manifest.annotations);
    let entry = NewEntry {
        media_type: &referrer.descriptor.media_type,
        digest,
        size: referrer.descriptor.size,
        artifact_type: referrer.artifact_type.as_deref(),
        annotations,
    };
    to_raw_value(&entry).map_err(|_| {
        RegistryError::malformed(client.host(), "the entry of a referrer cannot be written")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Descriptor;

    #[test]
    fn entries_of_others_stay_as_they_are() {
        let digest = Digest::sha256(b"other");
        let other = format!(r#"{{"size": 1.0e0, "digest":"{digest}","x":[ 1 ]}}"#);
        let index = format!(r#"{{"manifests":[{other}],"y": {{ "z":1}}}}"#);
        let mut table = Table::parse(index.as_bytes()).unwrap();
        let ours = Referrer {
            descriptor: Descriptor::of(media_type::OCI_MANIFEST, b"ours"),
            artifact_type: None,
        };
        assert!(!table.lists(&ours));
        let entry = format!(r#"{{"digest":"{}"}}"#, ours.descriptor.digest);
        table.entries.push(RawValue::from_string(entry).unwrap());
        assert!(table.lists(&ours));
        let text = String::from_utf8(table.encode().unwrap()).unwrap();
        assert!(
            text.contains(&other) && text.contains(r#""y":{ "z":1}"#),
            "{text}"
        );
    }

    #[test]
    fn a_new_table_is_an_index() {
        let text = String::from_utf8(Table::default().encode().unwrap()).unwrap();
        assert_eq!(
            text,
            format!(
                r#"{{"manifests":[],"mediaType":"{}","schemaVersion":2}}"#,
                media_type::OCI_INDEX
            )
        );
        assert!(Table::parse(br#"{"manifests":null}"#).is_some());
        assert!(Table::parse(br#"{"manifests":{}}"#).is_none());
    }
}
