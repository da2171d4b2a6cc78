//! The two kinds of targets: what of them may be killed at, and what must hold in them whenever nobody is at work.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::kill::layouts;
use crate::kill::moment::Changes;
use crate::support::registry::Registry;
use crate::support::snapshot::assert_same;
use crate::watch::{Station, names};

/// What a moment is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Microseconds since the start.
    Time,
    /// Requests to the target, of which the last is never answered.
    Request,
    /// Changes in the state directory.
    Ledger,
    /// Changes in the target's directory.
    Content,
    /// Objects that are removed from the watched directory.
    Removal,
}

impl Kind {
    /// What it is counted by, where that is on disk.
    pub(super) fn changes(self, station: &Station) -> Option<Changes> {
        match self {
            Self::Time | Self::Request => None,
            Self::Ledger => Some(Changes::below(&made(station, "state"))),
            Self::Content => Some(Changes::below(&made(station, "far"))),
            Self::Removal => Some(Changes::removals_below(&station.path("drop"))),
        }
    }
}

/// Where the bundles of a station go.
pub(super) enum Far {
    /// Bundles stay in the watched directory.
    Registry(Registry),
    /// The layout `far` of the station. What was delivered is removed from the watched directory.
    Layout,
}

impl Far {
    pub(super) fn target(&self, station: &Station) -> String {
        match self {
            Self::Registry(registry) => registry.address(),
            Self::Layout => format!("oci:{}", station.text("far")),
        }
    }

    pub(super) fn options(&self) -> &'static [&'static str] {
        match self {
            Self::Registry(_) => &[],
            Self::Layout => &["--delete-source"],
        }
    }

    /// A target of the same kind for another station.
    pub(super) fn another(&self) -> Self {
        match self {
            Self::Registry(_) => Self::Registry(Registry::start()),
            Self::Layout => Self::Layout,
        }
    }

    /// The kinds of moments, each with a first guess of how much of it a life has.
    pub(super) fn kinds(&self) -> BTreeMap<Kind, u64> {
        let kinds: &[(Kind, u64)] = match self {
            Self::Registry(_) => &[
                (Kind::Time, 300_000),
                (Kind::Request, 30),
                (Kind::Ledger, 60),
            ],
            Self::Layout => &[
                (Kind::Time, 300_000),
                (Kind::Ledger, 60),
                (Kind::Content, 60),
                (Kind::Removal, 6),
            ],
        };
        kinds.iter().copied().collect()
    }

    /// No name leads to what is not there.
    pub(super) fn assert_sound(&self, station: &Station) {
        match self {
            Self::Registry(registry) => {
                registry.assert_no_violation();
                assert_eq!(registry.missing_content(), [""; 0]);
            }
            Self::Layout => layouts::assert_sound(&station.path("far")),
        }
    }

    /// Both hold the same, and nothing else; the watched directories too.
    pub(super) fn assert_same(&self, station: &Station, calm: &Self, calm_station: &Station) {
        match (self, calm) {
            (Self::Registry(found), Self::Registry(expected)) => {
                assert_same(&found.snapshot(), &expected.snapshot());
            }
            _ => layouts::assert_same(&station.path("far"), &calm_station.path("far")),
        }
        assert_eq!(
            names(&station.path("drop")),
            names(&calm_station.path("drop"))
        );
    }
}

fn made(station: &Station, name: &str) -> PathBuf {
    let path = station.path(name);
    std::fs::create_dir_all(&path).unwrap();
    path
}
