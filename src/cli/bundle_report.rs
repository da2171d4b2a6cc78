//! What is told of a bundle that was looked at: for people, and for programs.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::output::table;
use super::size::{count, show_size};
use super::thin_report::Thinness;
use crate::bundle::{Artifact, Inventory, Profile, Row, Volume};
use crate::oci::media_type;

/// An artifact that says no type of its own has that of its config: these are images.
const IMAGE_CONFIGS: [&str; 2] = [
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
];

/// What one bundle holds, of which these volumes are here.
pub(super) fn show_set(set: &[Volume], is_checked: bool) -> String {
    let last = &set[set.len() - 1];
    let inventory = last.inventory();
    let mut text = format!("bundle     {}\n", inventory.name);
    text.push_str(&format!("inventory  {}\n", last.inventory_digest()));
    text.push_str(&format!(
        "created    {} by {}\n",
        inventory.created, inventory.writer
    ));
    text.push_str(&format!("profile    {}\n", profile_name(inventory)));
    if let (Some(pipeline), Some(sequence)) = (&inventory.pipeline, inventory.sequence) {
        text.push_str(&format!(
            "pipeline   {} ({}), sequence {sequence}\n",
            pipeline.name, pipeline.id
        ));
    }
    if !inventory.audience.is_empty() {
        text.push_str(&format!("audience   {}\n", inventory.audience.join(", ")));
    }
    if let Some(expires) = inventory.expires {
        text.push_str(&format!("expires    {expires}\n"));
    }
    text.push_str(&show_past(inventory));
    text.push_str(&format!("signed by  {}\n", show_signers(last, is_checked)));
    text.push_str(&show_volumes(set));
    text.push_str(&Thinness::of(set).map_or_else(String::new, |it| it.show()));
    text.push_str(&show_artifacts(set));
    text.push_str(&show_voids(set));
    text
}

/// Who says that the bundle was exported, and how much it tells of what was before.
fn show_past(inventory: &Inventory) -> String {
    let Some(past) = &inventory.past else {
        return String::new();
    };
    let mut text = String::new();
    if let Some(who) = &past.who {
        text.push_str(&format!("exported   by {who}\n"));
    }
    if let Some(comment) = &past.comment {
        text.push_str(&format!("comment    {comment}\n"));
    }
    if !past.events.is_empty() {
        let events = count(past.events.len(), "event");
        text.push_str(&format!(
            "past       {events} before it, told by the exporter\n"
        ));
    }
    text
}

fn profile_name(inventory: &Inventory) -> &'static str {
    match inventory.profile {
        Profile::Plain => "plain (.tar.zst)",
        Profile::Guard => "guard (.tar)",
        Profile::Dense => "dense (.tar.zst, layers are made again at the target)",
    }
}

fn signer_ids(volume: &Volume) -> Vec<String> {
    let mut ids: Vec<String> = volume
        .signatures()
        .iter()
        .map(|s| s.key_id.to_string())
        .collect();
    ids.dedup();
    ids
}

fn show_signers(volume: &Volume, is_checked: bool) -> String {
    let ids = signer_ids(volume);
    match (ids.is_empty(), is_checked) {
        (true, _) => "nobody".to_owned(),
        (false, true) => format!("{} (at least one is trusted, and holds)", ids.join(", ")),
        (false, false) => format!("{} (not checked)", ids.join(", ")),
    }
}

fn show_volumes(set: &[Volume]) -> String {
    let of = set[0].inventory().volumes;
    let mut text = format!("volumes    {} of {of} here\n", set.len());
    for volume in set {
        let inventory = volume.inventory();
        text.push_str(&format!(
            "  {}/{of}  {}  {}  {}\n",
            inventory.volume,
            volume.name(),
            show_size(volume.size_bytes()),
            count(inventory.contents.len(), "content"),
        ));
    }
    text
}

/// Sizes of contents, each counted once, and how many repositories share them.
struct Sharing {
    bytes: u64,
    shared_bytes: u64,
    shared_contents: usize,
}

fn rows(set: &[Volume]) -> impl Iterator<Item = &Row> {
    set.iter().flat_map(|volume| &volume.inventory().contents)
}

fn sharing(set: &[Volume]) -> Sharing {
    let mut sharing = Sharing {
        bytes: 0,
        shared_bytes: 0,
        shared_contents: 0,
    };
    for row in rows(set) {
        let size = row.stored().size;
        sharing.bytes += size;
        if row.repositories.len() > 1 {
            sharing.shared_bytes += size;
            sharing.shared_contents += 1;
        }
    }
    sharing
}

fn show_artifacts(set: &[Volume]) -> String {
    let inventory = set[set.len() - 1].inventory();
    let sharing = sharing(set);
    let mut text = format!(
        "contents   {}; {} in {} are shared by several repositories\n",
        show_size(sharing.bytes),
        show_size(sharing.shared_bytes),
        count(sharing.shared_contents, "content"),
    );
    if inventory.volume != inventory.volumes {
        text.push_str("artifacts  in the last volume, which is not here\n");
        return text;
    }
    let mut table_rows = vec![
        [
            "ARTIFACT",
            "DIGEST",
            "TYPE",
            "PLATFORMS",
            "REFERRERS",
            "CREATED",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    for artifact in &inventory.artifacts {
        table_rows.push(vec![
            artifact_name(inventory, artifact),
            artifact.root.digest.short(),
            kind_of(artifact),
            platforms(artifact).join(","),
            artifact.referrers.len().to_string(),
            artifact.created.clone().unwrap_or_default(),
        ]);
    }
    text.push_str(&format!("artifacts  {}\n", inventory.artifacts.len()));
    for line in table(&table_rows).lines() {
        text.push_str(&format!("  {line}\n"));
    }
    text
}

fn kind_of(artifact: &Artifact) -> String {
    if media_type::is_index(&artifact.root.media_type) {
        return "index".to_owned();
    }
    match artifact.artifact_type.as_deref() {
        None => "manifest".to_owned(),
        Some(config) if IMAGE_CONFIGS.contains(&config) => "image".to_owned(),
        Some(other) => other.to_owned(),
    }
}

fn platforms(artifact: &Artifact) -> Vec<String> {
    artifact.platforms.iter().map(ToString::to_string).collect()
}

fn artifact_name(inventory: &Inventory, artifact: &Artifact) -> String {
    let repository = inventory.repository(artifact.repository);
    match &artifact.tag {
        Some(tag) => format!("{}/{repository}:{tag}", artifact.source),
        None => format!("{}/{repository}@{}", artifact.source, artifact.root.digest),
    }
}

fn show_voids(set: &[Volume]) -> String {
    let voids = set.iter().flat_map(|volume| &volume.inventory().voids);
    voids
        .map(|void| format!("void       {}: {}\n", void.digest, void.reason))
        .collect()
}

pub(super) fn set_document(set: &[Volume], is_checked: bool) -> Value {
    let last = &set[set.len() - 1];
    let inventory = last.inventory();
    let sharing = sharing(set);
    let volumes: Vec<Value> = set
        .iter()
        .map(|volume| {
            json!({
                "path": volume.name(),
                "volume": volume.inventory().volume,
                "sizeBytes": volume.size_bytes(),
                "inventoryDigest": volume.inventory_digest(),
                "contents": volume.inventory().contents.len(),
                "voids": volume.inventory().voids,
            })
        })
        .collect();
    let artifacts: Vec<Value> = inventory
        .artifacts
        .iter()
        .map(|artifact| artifact_document(inventory, artifact))
        .collect();
    let types: HashMap<&str, usize> = rows(set).fold(HashMap::new(), |mut types, row| {
        *types.entry(&*row.media_type).or_default() += 1;
        types
    });
    let mut document = json!({
        "name": inventory.name,
        "inventoryDigest": last.inventory_digest(),
        "writer": inventory.writer,
        "created": inventory.created,
        "expires": inventory.expires,
        "profile": inventory.profile,
        "pipeline": inventory.pipeline,
        "sequence": inventory.sequence,
        "audience": inventory.audience,
        "past": inventory.past,
        "signers": signer_ids(last),
        "signersChecked": is_checked,
        "volumesTotal": inventory.volumes,
        "volumes": volumes,
        "contentBytes": sharing.bytes,
        "sharedBytes": sharing.shared_bytes,
        "mediaTypes": types,
        "repositories": inventory.repositories,
        "artifacts": artifacts,
    });
    if let Some(thinness) = Thinness::of(set) {
        for (name, value) in thinness.fields() {
            document[name] = value;
        }
    }
    document
}

fn artifact_document(inventory: &Inventory, artifact: &Artifact) -> Value {
    json!({
        "reference": artifact_name(inventory, artifact),
        "digest": artifact.root.digest,
        "mediaType": artifact.root.media_type,
        "artifactType": artifact.artifact_type,
        "platforms": artifact.platforms,
        "created": artifact.created,
        "referrers": artifact.referrers,
        "absent": artifact.absent,
    })
}
