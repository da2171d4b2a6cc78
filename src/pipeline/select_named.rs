//! References with tag or digest in a selection: out of reach of rules, and asked for where nobody else does so.

use std::sync::Arc;

use super::facts::FactsReader;
use crate::content::{OnError, Result, Source, describe};
use crate::oci::{Digest, Pin, Reference};

/// Whether references with tag or digest are asked for at their registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedReferences {
    /// Now: nobody else does.
    Check,
    /// When they are exported.
    Later,
}

/// A reference with tag or digest.
pub struct NamedReference {
    pub reference: Reference,
    /// What it stands for, where that was asked.
    pub digest: Option<Digest>,
    /// Why it could not be read and was left out.
    pub failure: Option<String>,
}

impl NamedReferences {
    pub(super) async fn look_up(
        self,
        reference: Reference,
        source: &Arc<dyn Source>,
        reader: &FactsReader,
        on_error: OnError,
    ) -> Result<NamedReference> {
        let tag = reference.tag.clone().map(Pin::Tag);
        let pin = reference.digest.clone().map(Pin::Digest).or(tag);
        let mut named = NamedReference {
            reference,
            digest: None,
            failure: None,
        };
        let Some(pin) = pin.filter(|_| self == Self::Check) else {
            return Ok(named);
        };
        let reference = &named.reference;
        match reader.resolve(source, &reference.repository, &pin).await {
            Ok(digest) => named.digest = Some(digest),
            Err(error) if on_error == OnError::Continue => {
                named.failure = Some(describe(&error));
            }
            Err(error) => {
                return Err(error.within(format!("source: cannot read `{reference}`")));
            }
        }
        Ok(named)
    }
}
