//! Who wrote a member: the closed set of compressors that can be run again, and their names in a bundle.
//!
//! Names are part of the format of bundles and never change their meaning: a compressor whose output changes gets a
//! new name with the release that changed it.

use std::fmt;
use std::str::FromStr;

use crate::dense::deflate::DeflateEncoder;
use crate::dense::deflate::go::{self, GoEncoder};
use crate::dense::deflate::zlib::ZlibEncoder;

use super::Error;
use super::limits::METHOD_NAME_BYTES_MAX;

/// Name of the method that brings corrections; the release is that of the crate whose form they have.
const CORRECTED_NAME: &str = "preflate-0.7";

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
    /// Go's compress/flate, from release 1.19 to 1.26.
    Go(Level),
    /// C zlib, default window and memory level.
    Zlib(Level),
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
        Level::all()
            .flat_map(|level| [Self::Go(level), Self::Zlib(level)])
            .collect()
    }

    /// A fresh encoder of one plain deflate stream.
    pub(super) fn stream(self) -> Box<dyn DeflateEncoder> {
        match self {
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
            Self::Go(level) | Self::Zlib(level) => level.number(),
        }
    }
}

impl fmt::Display for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
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
