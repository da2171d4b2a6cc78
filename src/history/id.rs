//! Identifiers that this program makes: of runs, ordered by time, and of pipelines, random.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use jiff::Timestamp;

use crate::content::{Error, ErrorKind, Result};

/// A run's id: 12 hex digits of milliseconds, and 80 random bits. Sorts by time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(String);

impl RunId {
    pub fn generate(now: Timestamp) -> Result<Self> {
        let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
        Ok(Self(format!("{millis:012x}{}", random_hex::<10>()?)))
    }

    pub(super) fn from_ledger(text: String) -> Self {
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A pipeline's random 128-bit number, in hex. The name is for people, this is for rules.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PipelineId(String);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no pipeline id: expected 32 hex digits")]
pub struct InvalidPipelineId(String);

impl PipelineId {
    pub fn generate() -> Result<Self> {
        random_hex::<16>().map(Self)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PipelineId {
    type Err = InvalidPipelineId;

    fn from_str(text: &str) -> Result<Self, InvalidPipelineId> {
        let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        match text.len() == 32 && text.bytes().all(is_hex) {
            true => Ok(Self(text.to_owned())),
            false => Err(InvalidPipelineId(text.to_owned())),
        }
    }
}

impl fmt::Display for PipelineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(super) fn random_hex<const N: usize>() -> Result<String> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Error::new(ErrorKind::Failed, "the system gives no random numbers"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
