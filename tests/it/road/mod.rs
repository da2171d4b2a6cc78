//! The road in process: fake registry → bundle in a directory → fake registry, by the library's own entry
//! points. What arrives is compared with what set out; how it travelled is read from the request logs.
//!
//! The binary is not run here (`kill`, `real`, `cli`), and bundles are not attacked here (`hostile`).

mod content;
mod downloads;
mod interrupted;
mod journey;
mod logins;
mod pace;
mod referrers;
mod round_trip;
mod unchanged;
mod uploads;

pub(crate) use interrupted::credulous;
pub(crate) use journey::{Journey, references, text_of, trust};
pub(crate) use round_trip::{source_of, without_tables};
