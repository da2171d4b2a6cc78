//! The terms of a shared access signature beside its permissions: from when, until when, over which protocols, from
//! which addresses.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// Whether a signature may travel unencrypted. Safe by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocols {
    #[default]
    HttpsOnly,
    HttpToo,
}

impl Protocols {
    /// As `spr` says it.
    pub(super) fn parameter(self) -> &'static str {
        match self {
            Self::HttpsOnly => "https",
            Self::HttpToo => "https,http",
        }
    }
}

impl fmt::Display for Protocols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HttpsOnly => "https only",
            Self::HttpToo => "https and http",
        })
    }
}

/// An address, or the first and the last one of a range. The service knows IPv4 only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpRange {
    pub first: Ipv4Addr,
    pub last: Ipv4Addr,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("expected an IPv4 address, or a range such as `192.0.2.1-192.0.2.9`; not `{0}`")]
pub struct InvalidIpRange(String);

impl FromStr for IpRange {
    type Err = InvalidIpRange;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidIpRange(text.to_owned());
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let parse = |address: &str| address.trim().parse::<Ipv4Addr>().map_err(|_| invalid());
        let range = Self {
            first: parse(first)?,
            last: parse(last)?,
        };
        if range.first > range.last {
            return Err(invalid());
        }
        Ok(range)
    }
}

/// As `sip` says it.
impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            return write!(f, "{}", self.first);
        }
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// As `st` and `se` say it: whole seconds.
pub(super) fn format_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A time as signatures have it: a date, or one with a time down to minutes, seconds or fractions.
pub(super) fn parse_time(text: &str) -> Option<Timestamp> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    let time = match text.strip_suffix('Z') {
        Some(time) => time.parse::<DateTime>().ok()?,
        None => text
            .parse::<Date>()
            .ok()?
            .to_datetime(jiff::civil::Time::midnight()),
    };
    let time = time.to_zoned(TimeZone::UTC).ok()?;
    Some(time.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_time_is_read() {
        let midnight: Timestamp = "2026-11-22T00:00:00Z".parse().unwrap();
        for text in [
            "2026-11-22",
            "2026-11-22T00:00Z",
            "2026-11-22T00:00:00Z",
            "2026-11-22T00:00:00.0000000Z",
            "2026-11-22T01:00:00+01:00",
        ] {
            assert_eq!(parse_time(text), Some(midnight), "{text}");
        }
        assert_eq!(format_time(midnight), "2026-11-22T00:00:00Z");
        for text in ["", "soon", "2026-13-01", "22.11.2026"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    #[test]
    fn addresses_are_one_or_a_range() {
        let parse = |text: &str| text.parse::<IpRange>().map(|range| range.to_string());
        assert_eq!(parse("192.0.2.1").unwrap(), "192.0.2.1");
        assert_eq!(parse("192.0.2.1-192.0.2.9").unwrap(), "192.0.2.1-192.0.2.9");
        for wrong in ["", "::1", "192.0.2.9-192.0.2.1", "192.0.2.0/24", "host"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
