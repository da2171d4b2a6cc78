//! One file for each command: its arguments, one call into `pipeline`, and how its report is told.

pub(super) mod audit;
pub(super) mod completions;
pub(super) mod config;
pub(super) mod container;
pub(super) mod export;
pub(super) mod history;
pub(super) mod import;
pub(super) mod inspect;
pub(super) mod key;
pub(super) mod lanes;
pub(super) mod list;
pub(super) mod manual;
pub(super) mod mirror_config;
pub(super) mod promote;
pub(super) mod receipts;
pub(super) mod rollback;
pub(super) mod run;
pub(super) mod runs;
pub(super) mod sas;
pub(super) mod select;
pub(super) mod serve;
pub(super) mod sign;
pub(super) mod transfer;
pub(super) mod unpack;
pub(super) mod verify;
pub(super) mod watch;
