//! Who wrote a member: the closed set of compressors that can be run again, and their names in a bundle.
//!
//! Names are part of the format of bundles and never change their meaning: a compressor whose output changes gets a
//! new name with the release that changed it.

use std::fmt;
use std::str::FromStr;

use crate::dense::deflate::DeflateEncoder;
use crate::dense::deflate::go::{self, GoEncoder};
use crate::dense::deflate::klauspost::{Family, KlauspostEncoder};
use crate::dense::deflate::pgzip::{BLOCK_BYTES, PgzipEncoder};
use crate::dense::deflate::zlib::ZlibEncoder;

use super::Error;
use super::limits::METHOD_NAME_BYTES_MAX;

/// Name of the method that brings corrections; the release is that of the crate whose form they have.
const CORRECTED_NAME: &str = "preflate-0.7";

/// The only level of klauspost/compress that is known here: its default.
const KLAUSPOST_LEVEL: u8 = 5;

/// How a member is made again from its plain text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// By an encoder whose output is the same as the writer's.
    Exact(Encoder),
    /// By a prediction of what an encoder of the zlib family does, and corrections of it.
    Corrected,
}

/// An encoder whose output is known byte for byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encoder {
    /// klauspost/pgzip at its default level and blocks of 1 MiB: buildah, podman, skopeo.
    Pgzip(Release),
    /// klauspost/compress at its default level, as one stream: `BuildKit`, kaniko.
    Klauspost(Release),
    /// Go's compress/flate, from release 1.19 to 1.26.
    Go(Level),
    /// C zlib, default window and memory level.
    Zlib(Level),
}

/// The releases of klauspost/compress since which its output is what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Release {
    /// 1.15.0 to 1.15.9.
    V1_15_0,
    /// 1.15.10 to 1.18.0.
    V1_15_10,
    /// 1.18.1 alone.
    V1_18_1,
    /// 1.18.2 and later.
    V1_18_2,
}

impl Release {
    const ALL: [Self; 4] = [Self::V1_15_10, Self::V1_18_2, Self::V1_18_1, Self::V1_15_0];

    pub(super) const fn family(self) -> Family {
        match self {
            Self::V1_15_0 => Family::From1_15_0,
            Self::V1_15_10 => Family::From1_15_10,
            Self::V1_18_1 => Family::Only1_18_1,
            Self::V1_18_2 => Family::From1_18_2,
        }
    }
}

/// A compression level from 1 to 9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(u8);

impl Level {
    /// A level, if it is from 1 to 9.
    pub const fn new(level: u8) -> Option<Self> {
        match level {
            1..=9 => Some(Self(level)),
            _ => None,
        }
    }

    /// All levels, those first that programs choose most.
    pub fn all() -> impl Iterator<Item = Self> {
        [6, 9, 1, 5, 4, 3, 2, 7, 8].into_iter().map(Self)
    }

    /// The number of the level.
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl Encoder {
    /// All encoders, those first that write most layers.
    pub fn all() -> Vec<Self> {
        let of_releases = Release::ALL
            .into_iter()
            .flat_map(|release| [Self::Pgzip(release), Self::Klauspost(release)]);
        let of_levels = Level::all().flat_map(|level| [Self::Go(level), Self::Zlib(level)]);
        of_releases.chain(of_levels).collect()
    }

    /// A fresh encoder of one plain deflate stream.
    pub(super) fn stream(self) -> Box<dyn DeflateEncoder> {
        match self {
            Self::Pgzip(release) => Box::new(PgzipEncoder::new(release.family(), BLOCK_BYTES)),
            Self::Klauspost(release) => Box::new(KlauspostEncoder::new(release.family())),
            Self::Go(Level(level)) => {
                let level = go::Level::new(level).expect("both have levels from 1 to 9");
                Box::new(GoEncoder::new(level))
            }
            Self::Zlib(level) => Box::new(ZlibEncoder::new(level.number())),
        }
    }

    /// The level that the writer was called with.
    pub(super) fn level(self) -> u8 {
        match self {
            Self::Pgzip(_) | Self::Klauspost(_) => KLAUSPOST_LEVEL,
            Self::Go(level) | Self::Zlib(level) => level.number(),
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1_15_0 => "klauspost-1.15.0",
            Self::V1_15_10 => "klauspost-1.15.10",
            Self::V1_18_1 => "klauspost-1.18.1",
            Self::V1_18_2 => "klauspost-1.18.2",
        })
    }
}

impl fmt::Display for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pgzip(release) => write!(f, "pgzip {release} {KLAUSPOST_LEVEL}"),
            Self::Klauspost(release) => write!(f, "{release} {KLAUSPOST_LEVEL}"),
            Self::Go(level) => write!(f, "go-1.19 {}", level.number()),
            Self::Zlib(level) => write!(f, "zlib {}", level.number()),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(encoder) => encoder.fmt(f),
            Self::Corrected => f.write_str(CORRECTED_NAME),
        }
    }
}

impl FromStr for Method {
    type Err = Error;

    /// Reads exactly the names that are printed.
    fn from_str(name: &str) -> Result<Self, Error> {
        if name == CORRECTED_NAME {
            return Ok(Self::Corrected);
        }
        let known = Encoder::all()
            .into_iter()
            .find(|encoder| encoder.to_string() == name);
        known.map(Self::Exact).ok_or_else(|| Error::UnknownMethod {
            name: name
                .chars()
                .take(METHOD_NAME_BYTES_MAX)
                .collect::<String>()
                .escape_default()
                .to_string(),
        })
    }
}
