//! Tests of the whole program, from the content contract to the built binary.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on says so by panicking, and a skipped one by printing"
)]

mod auditor;
mod bundle;
mod cli;
mod conformance;
mod containers;
mod dense;
mod frozen;
mod hostile;
mod identities;
mod kill;
mod models;
mod real;
mod road;
#[allow(
    dead_code,
    unused_imports,
    reason = "each test takes the part of the support it needs"
)]
mod support;
mod tidy;
mod transfer;
mod volumes;
mod watch;
