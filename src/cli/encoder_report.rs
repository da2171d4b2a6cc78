//! What is told of the encoders of layers: for people, and for programs.

use serde_json::{Value, json};

use super::output::table;
use super::size::{count, show_size};
use crate::dense::gzip::{Encoder, Method, Release, Share};
use crate::pipeline::{Carried, EncodedLayer, LayerEncoding, VerbatimReason};

const ALL_CARRIED: [Carried; 4] = [
    Carried::Exact,
    Carried::Corrected,
    Carried::Plain,
    Carried::Verbatim,
];

/// A line for each layer, and what each method has of all bytes.
pub(super) fn show_encoders(layers: &[EncodedLayer]) -> String {
    let mut rows = vec![
        ["LAYER", "SIZE", "PLAIN", "ENCODER", "METHOD"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for layer in layers {
        let plain = layer.plain_bytes();
        rows.push(vec![
            layer.descriptor.digest.short(),
            show_size(layer.descriptor.size),
            plain.map_or_else(|| "-".to_owned(), show_size),
            show_encoding(&layer.encoding),
            name_of(layer.carried()).to_owned(),
        ]);
    }
    let totals: Vec<Total> = totals(layers).collect();
    let mut lines = vec![["METHOD", "LAYERS", "SIZE"].map(str::to_owned).to_vec()];
    for total in &totals {
        let name = name_of(total.carried).to_owned();
        lines.push(vec![
            name,
            total.layers.to_string(),
            show_size(total.size_bytes),
        ]);
    }
    let in_all = show_size(totals.iter().map(|it| it.size_bytes).sum());
    lines.push(vec!["in all".to_owned(), layers.len().to_string(), in_all]);
    format!("{}\n\n{}", table(&rows).trim_end(), table(&lines))
}

pub(super) fn encoders_document(layers: &[EncodedLayer]) -> Value {
    let documents: Vec<Value> = layers.iter().map(layer_document).collect();
    let methods: Vec<Value> = totals(layers)
        .map(|total| {
            json!({
                "method": name_of(total.carried),
                "layers": total.layers,
                "sizeBytes": total.size_bytes,
            })
        })
        .collect();
    json!({ "layers": documents, "methods": methods })
}

fn layer_document(layer: &EncodedLayer) -> Value {
    let (shares, reason) = match &layer.encoding {
        LayerEncoding::Gzip(shares) => (shares.as_slice(), None),
        LayerEncoding::Verbatim(reason) => (&[][..], Some(show_reason(*reason))),
        LayerEncoding::Plain => (&[][..], None),
    };
    let encoders: Vec<Value> = shares
        .iter()
        .map(|share| {
            json!({
                "name": share.method.to_string(),
                "description": show_method(share.method),
                "members": share.members,
                "plainBytes": share.plain_bytes,
                "correctionsBytes": share.corrections_bytes,
            })
        })
        .collect();
    json!({
        "digest": layer.descriptor.digest,
        "mediaType": layer.descriptor.media_type,
        "sizeBytes": layer.descriptor.size,
        "plainBytes": layer.plain_bytes(),
        "method": name_of(layer.carried()),
        "encoders": encoders,
        "reason": reason,
    })
}

/// What one method has of all layers.
struct Total {
    carried: Carried,
    layers: usize,
    size_bytes: u64,
}

/// Methods that no layer has are left out.
fn totals(layers: &[EncodedLayer]) -> impl Iterator<Item = Total> {
    let total = |carried| {
        let sizes = layers.iter().filter(move |it| it.carried() == carried);
        let sizes = sizes.map(|it| it.descriptor.size);
        Total {
            carried,
            layers: sizes.clone().count(),
            size_bytes: sizes.sum(),
        }
    };
    ALL_CARRIED
        .into_iter()
        .map(total)
        .filter(|total| total.layers > 0)
}

fn name_of(carried: Carried) -> &'static str {
    match carried {
        Carried::Exact => "exact",
        Carried::Corrected => "corrected",
        Carried::Plain => "plain",
        Carried::Verbatim => "verbatim",
    }
}

fn show_encoding(encoding: &LayerEncoding) -> String {
    match encoding {
        LayerEncoding::Plain => "not compressed".to_owned(),
        LayerEncoding::Verbatim(reason) => show_reason(*reason).to_owned(),
        LayerEncoding::Gzip(shares) => {
            let shares: Vec<String> = shares.iter().map(show_share).collect();
            shares.join(", ")
        }
    }
}

fn show_share(share: &Share) -> String {
    let method = show_method(share.method);
    match usize::try_from(share.members) {
        Ok(1) => method,
        members => {
            let members = count(members.unwrap_or(usize::MAX), "member");
            format!("{method}, {members}")
        }
    }
}

fn show_method(method: Method) -> String {
    match method {
        Method::Corrected => "zlib family, with corrections".to_owned(),
        Method::Exact(Encoder::Pgzip(release)) => {
            format!("pgzip 5 (klauspost {})", show_releases(release))
        }
        Method::Exact(Encoder::Klauspost(release)) => {
            format!("klauspost flate 5 ({})", show_releases(release))
        }
        Method::Exact(Encoder::Go(level)) => format!("Go flate {}", level.number()),
        Method::Exact(Encoder::Zlib(level)) => format!("zlib {}", level.number()),
    }
}

fn show_releases(release: Release) -> &'static str {
    match release {
        Release::V1_15_0 => "1.15.0–1.15.9",
        Release::V1_15_10 => "1.15.10–1.18.0",
        Release::V1_18_1 => "1.18.1",
        Release::V1_18_2 => "1.18.2 and later",
    }
}

fn show_reason(reason: VerbatimReason) -> &'static str {
    match reason {
        VerbatimReason::Zstd => "zstd",
        VerbatimReason::NotGzip => "not gzip",
        VerbatimReason::Unproven => "unknown encoder, or damaged gzip",
    }
}
