//! Refusals that are remembered: somebody asked for what they may not have.

use std::path::Path;

use jiff::Timestamp;

use super::failure::UsageError;
use super::output::Output;
use crate::content::{Error, ErrorKind, describe};
use crate::history::{ActiveRun, Ledger, NewRun};

/// Records the refusal as a run that was refused, where there is a state directory. Where it cannot be recorded that
/// is told, and the refusal stands.
pub(super) async fn record_refusal(state: Option<&Path>, run: &NewRun, refusal: &UsageError) {
    let Some(directory) = state.filter(|directory| directory.is_dir()) else {
        return;
    };
    let recorded = async {
        let ledger = Ledger::open(directory).await?;
        let run = ActiveRun::begin(&ledger, run, Timestamp::now).await?;
        let error = Error::new(ErrorKind::Denied, refusal.message.clone());
        run.refuse(&error, Vec::new()).await
    };
    if let Err(error) = recorded.await {
        Output::warn(&format!(
            "the refusal is not recorded: {}",
            describe(&error)
        ));
    }
}
