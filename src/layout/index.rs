//! `index.json` as a list of named descriptors, edited without touching what is not ours.
//!
//! Pure. Specification: image-spec, image-layout.md, "index.json file"; annotations.md.

use serde_json::{Map, Value, json};

use crate::content::Referrer;
use crate::oci::{Descriptor, Digest, Reference, Repository, Tag, media_type};

const REF_NAME: &str = "org.opencontainers.image.ref.name";
const IMAGE_NAME: &str = "io.containerd.image.name";

/// A parsed `index.json`.
#[derive(Clone, Debug)]
pub(super) struct Index {
    document: Map<String, Value>,
    /// What stands for the repository where an entry names none.
    default_repository: Option<Repository>,
}

/// One entry: what it points to, and what it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) descriptor: Descriptor,
    pub(super) repository: Option<Repository>,
    pub(super) tag: Option<Tag>,
}

impl Index {
    pub(super) fn empty(default_repository: Option<Repository>) -> Self {
        let document = json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_INDEX,
            "manifests": [],
        });
        let document = match document {
            Value::Object(document) => document,
            _ => Map::new(),
        };
        Self {
            document,
            default_repository,
        }
    }

    pub(super) fn parse(
        bytes: &[u8],
        default_repository: Option<Repository>,
    ) -> Result<Self, serde_json::Error> {
        Ok(Self {
            document: serde_json::from_slice(bytes)?,
            default_repository,
        })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        Value::Object(self.document.clone())
            .to_string()
            .into_bytes()
    }

    fn manifests(&self) -> &[Value] {
        let manifests = self.document.get("manifests").and_then(Value::as_array);
        manifests.map_or(&[], Vec::as_slice)
    }

    fn manifests_mut(&mut self) -> Option<&mut Vec<Value>> {
        let manifests = self
            .document
            .entry("manifests")
            .or_insert_with(|| json!([]));
        manifests.as_array_mut()
    }

    /// The entries that are descriptors; others are kept and not looked at.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> {
        self.manifests().iter().filter_map(|value| {
            let text = |key: &str| value.get(key).and_then(Value::as_str);
            let digest: Digest = text("digest")?.parse().ok()?;
            let size = value.get("size").and_then(Value::as_u64)?;
            let media_type = text("mediaType").unwrap_or(media_type::OCTET_STREAM);
            let (repository, tag) = name_of(value, self.default_repository.as_ref());
            Some(Entry {
                descriptor: Descriptor::new(media_type, digest, size),
                repository,
                tag,
            })
        })
    }

    pub(super) fn find(&self, repository: &Repository, tag: &Tag) -> Option<Entry> {
        self.entries().find(|entry| {
            entry.repository.as_ref() == Some(repository) && entry.tag.as_ref() == Some(tag)
        })
    }

    /// Points `repository:tag` to `descriptor`. However others have written that name, no entry keeps it:
    /// a reader takes the first that has it.
    pub(super) fn set_tag(&mut self, repository: &Repository, tag: &Tag, descriptor: &Descriptor) {
        let default_repository = self.default_repository.clone();
        let is_named = |value: &Value| {
            let (found, found_tag) = name_of(value, default_repository.as_ref());
            found.as_ref() == Some(repository) && found_tag.as_ref() == Some(tag)
        };
        let entry = json!({
            "mediaType": &*descriptor.media_type,
            "digest": descriptor.digest.to_string(),
            "size": descriptor.size,
            "annotations": { REF_NAME: format!("{repository}:{tag}") },
        });
        let Some(manifests) = self.manifests_mut() else {
            return;
        };
        let first = manifests.iter().position(is_named);
        manifests.retain(|value| !is_named(value));
        // Nothing before the first was removed, so its place is still its own.
        manifests.insert(first.unwrap_or(manifests.len()), entry);
    }

    /// Lists a referrer without a name, unless it is listed. Says whether anything changed.
    pub(super) fn add_referrer(&mut self, referrer: &Referrer) -> bool {
        let digest = referrer.descriptor.digest.to_string();
        let is_listed =
            |value: &Value| value.get("digest").and_then(Value::as_str) == Some(&digest);
        let mut entry = json!({
            "mediaType": &*referrer.descriptor.media_type,
            "digest": digest,
            "size": referrer.descriptor.size,
        });
        if let Some(artifact_type) = &referrer.artifact_type {
            entry["artifactType"] = json!(artifact_type);
        }
        match self.manifests_mut() {
            Some(manifests) if !manifests.iter().any(is_listed) => {
                manifests.push(entry);
                true
            }
            _ => false,
        }
    }
}

/// What an entry is called, where `default_repository` stands for a repository that it does not name.
fn name_of(
    value: &Value,
    default_repository: Option<&Repository>,
) -> (Option<Repository>, Option<Tag>) {
    let annotation = |key: &str| value.get("annotations")?.get(key)?.as_str();
    let from_ref = annotation(REF_NAME).and_then(parse_full_name);
    let from_image = annotation(IMAGE_NAME).and_then(parse_full_name);
    if let Some((repository, tag)) = from_ref.or(from_image) {
        return (Some(repository), tag);
    }
    let tag = annotation(REF_NAME).and_then(|name| name.parse().ok());
    (default_repository.cloned(), tag)
}

/// `[REGISTRY/]REPOSITORY:TAG`, or a full name without a tag.
fn parse_full_name(name: &str) -> Option<(Repository, Option<Tag>)> {
    if let Ok(reference) = name.parse::<Reference>() {
        return Some((reference.repository, reference.tag));
    }
    let (repository, tag) = name.rsplit_once(':')?;
    Some((repository.parse().ok()?, Some(tag.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry_of(annotations: &Value) -> Entry {
        let digest = Digest::sha256(b"x").to_string();
        let text = json!({"manifests": [
            {"mediaType": "m", "digest": digest, "size": 1, "annotations": annotations}
        ]})
        .to_string();
        let index = Index::parse(text.as_bytes(), "folder".parse().ok()).unwrap();
        index.entries().next().unwrap()
    }

    fn name(entry: &Entry) -> (String, String) {
        let text = |part: Option<String>| part.unwrap_or_default();
        (
            text(entry.repository.as_ref().map(ToString::to_string)),
            text(entry.tag.as_ref().map(ToString::to_string)),
        )
    }

    #[test]
    fn names_of_other_tools_are_understood() {
        let cases = [
            (json!({REF_NAME: "apps/web:1.4"}), "apps/web", "1.4"),
            (
                json!({REF_NAME: "r.example/apps/web:1.4"}),
                "apps/web",
                "1.4",
            ),
            (
                json!({REF_NAME: "1.4", IMAGE_NAME: "docker.io/library/web:1.4"}),
                "library/web",
                "1.4",
            ),
            (json!({REF_NAME: "1.4"}), "folder", "1.4"),
            (json!({}), "folder", ""),
        ];
        for (annotations, repository, tag) in cases {
            let found = name(&entry_of(&annotations));
            assert_eq!(
                found,
                (repository.to_owned(), tag.to_owned()),
                "{annotations}"
            );
        }
    }

    #[test]
    fn foreign_entries_survive_an_edit() {
        let text = r#"{"x":1,"manifests":[{"odd":true},{"digest":"sha1:aa"}]}"#;
        let mut index = Index::parse(text.as_bytes(), None).unwrap();
        let descriptor = Descriptor::of("m", b"x");
        index.set_tag(&"a".parse().unwrap(), &"1".parse().unwrap(), &descriptor);
        index.set_tag(&"a".parse().unwrap(), &"1".parse().unwrap(), &descriptor);
        let after: Value = serde_json::from_slice(&index.encode()).unwrap();
        assert_eq!(after["x"], 1);
        assert_eq!(after["manifests"][0]["odd"], true);
        assert_eq!(after["manifests"].as_array().unwrap().len(), 3);
    }
}
