//! Receipts as arguments: who signs them and where they go, and whose count.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;

use super::failure::UsageError;
use super::keys::{add_trusted, read_signing_key};
use crate::bundle::{TrustedKeys, is_pipeline_name};
use crate::pipeline::Receipts;
use crate::storage::{ContainerReference, InvalidContainer};

/// What an import answers to the sender.
#[derive(Args)]
#[command(next_help_heading = "Receipts")]
pub(super) struct ReceiptArguments {
    /// Sign receipts of what was delivered with this key, for the sender; they tell of the bundle's own digests
    #[arg(long, value_name = "KEY", requires = "lane")]
    receipt_key: Option<PathBuf>,

    /// Also put receipts into this container; `off` makes none. They are in `receipts/` of the state directory
    #[arg(long, value_name = "CONTAINER|off", requires = "receipt_key")]
    receipts: Option<ReceiptDestination>,
}

/// Where receipts go beside the state directory.
#[derive(Clone)]
pub(super) enum ReceiptDestination {
    Off,
    Container(ContainerReference),
}

impl ReceiptDestination {
    pub(super) const OFF: &str = "off";
}

impl FromStr for ReceiptDestination {
    type Err = InvalidContainer;

    fn from_str(text: &str) -> Result<Self, InvalidContainer> {
        match text {
            Self::OFF => Ok(Self::Off),
            _ => text.parse().map(Self::Container),
        }
    }
}

impl ReceiptArguments {
    /// Who answers for the lane; nobody where no key is given, or where that is off.
    pub(super) fn build(
        &self,
        lane: Option<&str>,
        state: Option<&Path>,
    ) -> anyhow::Result<Option<Receipts>> {
        let (Some(key), Some(lane)) = (&self.receipt_key, lane) else {
            return Ok(None);
        };
        let container = match &self.receipts {
            Some(ReceiptDestination::Off) => return Ok(None),
            Some(ReceiptDestination::Container(container)) => Some(container.clone()),
            None => None,
        };
        check_lane(lane)?;
        let Some(state) = state else {
            let error = UsageError::new("`--receipt-key` needs `--state`")
                .hint("receipts are made of what the state directory remembers");
            return Err(error.into());
        };
        let key = read_signing_key(key)?;
        Ok(Some(Receipts::new(key, state, container)))
    }
}

/// A lane's name is part of names of files.
pub(super) fn check_lane(lane: &str) -> anyhow::Result<()> {
    if is_pipeline_name(lane) {
        return Ok(());
    }
    let error = UsageError::new(format!("`{lane}` cannot be the lane of a receipt"))
        .hint("use small letters, digits, `.`, `_` and `-`, at most 60");
    Err(error.into())
}

/// Whose receipts count.
#[derive(Args)]
#[command(next_help_heading = "Trust")]
pub(super) struct ReceiptTrustArguments {
    /// Public key, or a directory of `*.pub` files, that may answer for a lane
    #[arg(long, value_name = "LANE=FILE|DIR")]
    trust: Vec<String>,
}

impl ReceiptTrustArguments {
    /// The keys, each bound to its lanes; `None` where none is given.
    pub(super) fn keys(&self) -> anyhow::Result<Option<TrustedKeys>> {
        let mut keys = TrustedKeys::default();
        for text in &self.trust {
            let Some((lane, path)) = text.split_once('=') else {
                let error = UsageError::new(format!("`--trust {text}` names no lane"))
                    .hint(format!("a key answers for a lane: `--trust LANE={text}`"));
                return Err(error.into());
            };
            check_lane(lane)?;
            add_trusted(&mut keys, (Some(lane), Path::new(path)))?;
        }
        Ok((!self.trust.is_empty()).then_some(keys))
    }

    pub(super) fn required(&self) -> anyhow::Result<TrustedKeys> {
        let keys = self.keys()?;
        keys.ok_or_else(|| {
            UsageError::new("nobody is trusted: whose receipts count?")
                .hint("say who may answer for a lane: `--trust LANE=receipts.pub`")
                .into()
        })
    }
}
