//! Manifests and indexes written by hand, field by field, in any form that is still legal JSON.

use airlift::content::{Document, Memory};
use airlift::oci::{Algorithm, Descriptor, Digest, Repository};
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// A descriptor as it stands in a manifest.
pub(crate) fn descriptor_json(descriptor: &Descriptor) -> Value {
    json!({
        "mediaType": &*descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size,
    })
}

/// Puts a blob under its SHA-256.
pub(crate) fn blob(
    memory: &Memory,
    repository: &Repository,
    media_type: &str,
    bytes: impl Into<Bytes>,
) -> Descriptor {
    let bytes = bytes.into();
    let digest = Digest::sha256(&bytes);
    memory.put_blob(repository, media_type, digest, bytes)
}

/// A manifest or index before it is written.
#[derive(Clone, Debug)]
pub(crate) struct ManifestText {
    media_type: String,
    fields: Map<String, Value>,
    spaced: bool,
}

impl ManifestText {
    /// With `schemaVersion` and `mediaType`, and nothing else yet.
    pub(crate) fn new(media_type: &str) -> Self {
        let fields = [
            ("schemaVersion".to_owned(), json!(2)),
            ("mediaType".to_owned(), json!(media_type)),
        ];
        Self {
            media_type: media_type.to_owned(),
            fields: fields.into_iter().collect(),
            spaced: false,
        }
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.fields.remove(name);
        self
    }

    pub(crate) fn config(self, config: &Descriptor) -> Self {
        self.with("config", descriptor_json(config))
    }

    pub(crate) fn layers(self, layers: &[Descriptor]) -> Self {
        let layers: Vec<Value> = layers.iter().map(descriptor_json).collect();
        self.with("layers", layers)
    }

    pub(crate) fn subject(self, subject: &Descriptor) -> Self {
        self.with("subject", descriptor_json(subject))
    }

    /// Written with line breaks, tabs and blanks where JSON allows them.
    pub(crate) fn spaced(mut self) -> Self {
        self.spaced = true;
        self
    }

    pub(crate) fn text(&self) -> String {
        if !self.spaced {
            return Value::Object(self.fields.clone()).to_string();
        }
        let pretty = serde_json::to_string_pretty(&self.fields).expect("JSON can be written");
        let lines: Vec<&str> = pretty.lines().collect();
        format!("\n {}\t\r\n\n", lines.join(" \r\n\t"))
    }

    pub(crate) fn document(&self, algorithm: Algorithm) -> Document {
        let bytes = Bytes::from(self.text());
        let digest = Digest::of(algorithm, &bytes);
        Document {
            descriptor: Descriptor::new(&self.media_type, digest, bytes.len() as u64),
            bytes,
        }
    }
}
