//! What is kept of a gzip stream beside its plain text: enough to make it again.
//!
//! Members in a row that share a header and an encoder are one run, so that a stream of a hundred thousand members
//! (estargz) takes three bytes for each. Their trailers are not here: they follow from the plain text.

use super::limits::{CORRECTIONS_BYTES_MAX, HEADERS_BYTES_MAX, MEMBERS_MAX};
use super::method::{Encoder, Method};

/// How to make a gzip stream again from its plain text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recompression {
    pub(super) runs: Vec<Run>,
    /// Bytes behind the last member.
    pub(super) trailing: Vec<u8>,
}

/// Members in a row with the same header and the same encoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// The header of every member of the run, all of its bytes.
    pub(super) header: Vec<u8>,
    pub(super) members: Members,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Members {
    /// As an encoder writes them; at least one.
    Exact {
        encoder: Encoder,
        /// Bytes of plain text of each member.
        plain_bytes: Vec<u64>,
    },
    /// One member, as it is predicted and corrected; at least one chunk.
    Corrected { chunks: Vec<Chunk> },
}

/// A part of a corrected member, cut at a boundary of deflate blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) plain_bytes: u64,
    pub(super) corrections: Vec<u8>,
}

/// What one method has done in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Who writes these members again.
    pub method: Method,
    /// How many members.
    pub members: u64,
    /// Their plain text, in bytes.
    pub plain_bytes: u64,
    /// Their corrections, in bytes.
    pub corrections_bytes: u64,
}

impl Run {
    pub(super) fn method(&self) -> Method {
        match self.members {
            Members::Exact { encoder, .. } => Method::Exact(encoder),
            Members::Corrected { .. } => Method::Corrected,
        }
    }

    /// True if the members of `next` belong into this run.
    pub(super) fn could_take(&self, next: &Self) -> bool {
        self.header == next.header
            && self.method() == next.method()
            && self.method() != Method::Corrected
    }

    fn share(&self) -> Share {
        match &self.members {
            Members::Exact {
                encoder,
                plain_bytes,
            } => Share {
                method: Method::Exact(*encoder),
                members: plain_bytes.len() as u64,
                plain_bytes: plain_bytes.iter().sum(),
                corrections_bytes: 0,
            },
            Members::Corrected { chunks } => Share {
                method: Method::Corrected,
                members: 1,
                plain_bytes: chunks.iter().map(|chunk| chunk.plain_bytes).sum(),
                corrections_bytes: chunks
                    .iter()
                    .map(|chunk| chunk.corrections.len() as u64)
                    .sum(),
            },
        }
    }
}

impl Recompression {
    /// What each method has done, in the order of their first member.
    pub fn shares(&self) -> Vec<Share> {
        let mut shares: Vec<Share> = Vec::new();
        for share in self.runs.iter().map(Run::share) {
            match shares.iter_mut().find(|known| known.method == share.method) {
                Some(known) => {
                    known.members += share.members;
                    known.plain_bytes += share.plain_bytes;
                    known.corrections_bytes += share.corrections_bytes;
                }
                None => shares.push(share),
            }
        }
        shares
    }

    /// The whole plain text of the stream, in bytes.
    pub fn plain_bytes(&self) -> u64 {
        self.runs.iter().map(|run| run.share().plain_bytes).sum()
    }

    /// How many members the stream has.
    pub fn members(&self) -> u64 {
        self.runs.iter().map(|run| run.share().members).sum()
    }
}

/// Collects members into runs.
#[derive(Default)]
pub(super) struct Collected {
    runs: Vec<Run>,
    members: u64,
    headers_bytes: u64,
    corrections_bytes: u64,
}

impl Collected {
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// True as long as a reader of recompressions would take this one.
    pub(super) fn is_within_limits(&self) -> bool {
        self.members <= MEMBERS_MAX
            && self.headers_bytes <= HEADERS_BYTES_MAX
            && self.corrections_bytes <= CORRECTIONS_BYTES_MAX
    }

    /// The encoder of the member before, if it was an exact one.
    pub(super) fn encoder_before(&self) -> Option<Encoder> {
        match self.runs.last()?.members {
            Members::Exact { encoder, .. } => Some(encoder),
            Members::Corrected { .. } => None,
        }
    }

    pub(super) fn push_exact(&mut self, header: Vec<u8>, encoder: Encoder, member_bytes: u64) {
        self.members += 1;
        if let Some(Run {
            header: before,
            members:
                Members::Exact {
                    encoder: other,
                    plain_bytes,
                },
        }) = self.runs.last_mut()
            && *before == header
            && *other == encoder
        {
            plain_bytes.push(member_bytes);
            return;
        }
        self.headers_bytes += header.len() as u64;
        let members = Members::Exact {
            encoder,
            plain_bytes: vec![member_bytes],
        };
        self.runs.push(Run { header, members });
    }

    pub(super) fn push_corrected(&mut self, header: Vec<u8>, chunks: Vec<Chunk>) {
        self.members += 1;
        self.headers_bytes += header.len() as u64;
        self.corrections_bytes += chunks
            .iter()
            .map(|chunk| chunk.corrections.len() as u64)
            .sum::<u64>();
        self.runs.push(Run {
            header,
            members: Members::Corrected { chunks },
        });
    }

    pub(super) fn finish(self, trailing: Vec<u8>) -> Recompression {
        Recompression {
            runs: self.runs,
            trailing,
        }
    }
}
