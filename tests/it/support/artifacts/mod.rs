//! Artifacts for tests: made by hand when a test is about one of them, at random when it is about all.
//!
//! Everything is deterministic: the same arguments give the same bytes and digests.

mod dice;
mod document;
mod examples;
mod graph;
mod layers;
mod mix;

#[cfg(test)]
mod tests;

pub(crate) use dice::Dice;
pub(crate) use document::{ManifestText, blob, descriptor_json};
pub(crate) use examples::{
    FiveNodes, HELM_CONFIG, LAYER, SIGNATURE, dated_image, five_nodes, helm_chart, image, index,
    referrer_of,
};
pub(crate) use graph::{Graph, Root, arbitrary_graph, arbitrary_graph_of, graphs};
pub(crate) use layers::{edit, gzip, tar_of};
pub(crate) use mix::Mix;
