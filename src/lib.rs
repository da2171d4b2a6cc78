//! airlift carries container images and other OCI artifacts between registries that never see each other.
#![doc = include_str!("ARCHITECTURE.md")]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        reason = "a test that cannot go on should end there"
    )
)]

pub mod bundle;
pub mod cli;
pub mod config;
pub mod content;
pub mod dense;
pub mod history;
pub mod http;
pub mod layout;
pub mod oci;
pub mod pipeline;
pub mod registry;
pub mod selection;
pub mod storage;
