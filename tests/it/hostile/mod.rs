//! Bundles that somebody has made, or changed, to harm: every one is refused, and nothing is published.

mod anatomy;
mod flips;
mod forge;
